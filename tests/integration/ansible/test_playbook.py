# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/backup.yml`` as a user runs it: all engines, several hosts, failures that stop nobody, a loud end."""

from __future__ import annotations

import pathlib
import socket
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import PASSWORD, Json, Lab, Played, run_playbook
from tests.support.proc_scan import SecretScan

PLAYBOOK = "playbooks/backup.yml"


def backups(*kinds: str) -> list[Json]:
    return [{"kind": kind, "repositories": ["local", "offsite"], "keep": {"within": "7d"}} for kind in kinds]


def services(lab: Lab) -> dict[str, list[Json]]:
    """Two hosts: one with MongoDB and Redis, one with PostgreSQL."""
    main = {"name": "main", "engine": "mongodb", "connection": lab.connection("mongodb"), "backups": backups("full")}
    cache = {"name": "cache", "engine": "redis", "connection": lab.connection("redis"), "backups": backups("rdb")}
    data = {
        "name": "main",
        "engine": "postgresql",
        "connection": lab.connection("postgresql"),
        "backups": backups("logical", "base"),
    }
    return {
        "one": [{"name": "family", "sources": [main, cache]}],
        "two": [{"name": "adhd", "sources": [data]}],
    }


def inventory(lab: Lab, described: dict[str, list[Json]], **more: Json) -> str:
    """An inventory file with a description for each host; *more* are hosts with variables of their own."""
    hosts: dict[str, Json] = {name: {"lifeboat_services": listed, **lab.vault()} for name, listed in described.items()}
    hosts.update(more)
    document = {
        "all": {
            "hosts": hosts,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        }
    }
    path = lab.directory / "inventory.yml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def play(lab: Lab, hosts: str, *arguments: str) -> Played:
    return run_playbook(lab, "--inventory", hosts, *arguments, playbook=PLAYBOOK)


def table(played: Played) -> dict[tuple[str, str], list[str]]:
    """The summary's rows by host and job: the words of each row after them."""
    rows = {}
    for line in played.output.splitlines():
        words = line.strip().strip('",').split()
        if len(words) > 3 and words[0] in ("one", "two", "gone") and ("/" in words[1] or words[1] == "-"):
            rows[words[0], words[1]] = words[2:]
    return rows


JOBS = {
    ("one", "family/main/full"),
    ("one", "family/cache/rdb"),
    ("two", "adhd/main/logical"),
    ("two", "adhd/main/base"),
}


@pytest.mark.newest
@pytest.mark.newest_first
def test_everything_of_all_hosts_is_backed_up_and_no_secret_is_shown(lab: Lab) -> None:
    hosts = inventory(lab, services(lab))
    with SecretScan([PASSWORD, lab.s3.administrator.secret_key]) as scan:
        played = play(lab, hosts, "-vv")
    assert played.status == 0, played.output
    assert scan.found == []
    assert scan.samples > 10
    assert {"pg_dump", "pg_basebackup", "zstd"} <= scan.programs
    rows = table(played)
    assert set(rows) == JOBS
    assert {words[0] for words in rows.values()} == {"complete"}
    assert "4 jobs: 4 complete." in played.output
    assert len(lab.manifests()) == 4
    assert PASSWORD not in played.output
    assert lab.s3.administrator.secret_key not in played.output


def test_a_dead_server_an_unreachable_host_and_a_missing_bucket_stop_nobody_else(lab: Lab) -> None:
    described = services(lab)
    described["one"][0]["sources"][1]["connection"]["port"] = free_port()
    gone = {
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": free_port(),
        "lifeboat_services": services(lab)["one"],
        **lab.vault(),
    }
    hosts = inventory(lab, described, gone=gone)
    document = yaml.safe_load(pathlib.Path(hosts).read_text())
    document["all"]["hosts"]["two"]["lifeboat_repositories"]["offsite"]["bucket"] = "nobody-made-this"
    pathlib.Path(hosts).write_text(yaml.safe_dump(document))

    played = play(lab, hosts)
    assert played.status != 0
    rows = table(played)
    assert rows["one", "family/main/full"][0] == "complete"
    assert rows["one", "family/cache/rdb"][0] == "failed"
    assert rows["one", "family/cache/rdb"][-1] == "redis.unreachable"
    assert rows["two", "adhd/main/logical"][0] == "partial"
    assert rows["two", "adhd/main/base"][0] == "partial"
    assert rows["gone", "-"][0] == "unreachable"
    assert "5 jobs: 1 complete, 2 partial, 2 failed." in played.output
    assert "storage.bucket_missing" in played.output
    assert sorted(f"{found['service']}/{found['kind']}" for found in lab.manifests()) == [
        "adhd/base",
        "adhd/logical",
        "family/full",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-e", "lifeboat_jobs=family/main/full"], {("one", "family/main/full")}),
        (
            ["-e", "lifeboat_jobs=family/cache,adhd/main/logical"],
            {("one", "family/cache/rdb"), ("two", "adhd/main/logical")},
        ),
        (["--tags", "postgresql"], {("two", "adhd/main/logical"), ("two", "adhd/main/base")}),
        (["--limit", "one", "--tags", "redis"], {("one", "family/cache/rdb")}),
    ],
)
def test_jobs_engines_and_hosts_can_be_chosen(lab: Lab, arguments: list[str], expected: set[tuple[str, str]]) -> None:
    played = play(lab, inventory(lab, services(lab)), *arguments)
    assert played.status == 0, played.output
    assert set(table(played)) == expected
    assert len(lab.manifests()) == len(expected)


def test_a_selection_that_names_what_nobody_has_is_refused_before_anything_runs(lab: Lab) -> None:
    played = play(lab, inventory(lab, services(lab)), "-e", "lifeboat_jobs=family/main/full,familly")
    assert played.status != 0
    assert "No host has a job familly." in played.output
    assert lab.stored() == {}


def test_check_mode_shows_every_plan_and_touches_nothing(lab: Lab) -> None:
    played = play(lab, inventory(lab, services(lab)), "--check", "--diff")
    assert played.status == 0, played.output
    assert "4 jobs: 4 planned." in played.output
    assert "+adhd/main/base: a postgresql backup would be made" in played.output
    assert lab.stored() == {}


def test_progress_is_shown_while_jobs_run_in_the_background(lab: Lab) -> None:
    limited = services(lab)["two"]
    limited[0]["sources"][0]["backups"] = [
        {**backups("base")[0], "options": {"max_rate": "8M"}},  # slow enough to be seen on its way
    ]
    played = play(lab, inventory(lab, {"two": limited}), "-e", "lifeboat_progress=1")
    assert played.status == 0, played.output
    lines = [
        line for line in played.output.splitlines() if line.startswith("  [two] adhd/main/base: ") and " MB" in line
    ]
    assert lines
    assert "/s, " in lines[-1]
    assert set(table(played)) == {("two", "adhd/main/base")}


@pytest.mark.newest
def test_a_description_with_a_mistake_names_its_place_and_nothing_runs(lab: Lab) -> None:
    described = services(lab)
    described["one"][0]["sources"][0]["backups"][0]["schedul"] = "0 2 * * *"
    played = play(lab, inventory(lab, {"one": described["one"]}))
    assert played.status != 0
    assert "schedul" in played.output
    assert "schedule" in played.output
    assert lab.stored() == {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: t.Any = probe.getsockname()[1]
        return int(port)
