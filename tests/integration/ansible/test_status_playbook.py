# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/status.yml``: several hosts, one report, and those that could not be asked."""

from __future__ import annotations

import datetime
import json
import pathlib
import sys
import typing as t

import jsonschema
import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_schema import STATUS_SCHEMA
from sandbox.ports import free_port
from tests.integration.ansible.plays import Played, run_modules, run_playbook
from tests.support.watched import Watched, mongodb_source

SECRET = "not-for-anybody-8c1f"


class Fleet:
    """Two hosts with jobs, one that does not answer, one without jobs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.directory = folder
        now = datetime.datetime.now(tz=datetime.UTC)
        source = mongodb_source(connection={"uri": f"mongodb://backup:{SECRET}@127.0.0.1/"})
        self.good = Watched(folder / "good", now=now, sources=[source])
        self.late = Watched(folder / "late", now=now)
        self.good.verification(self.good.backup(0.1), hours_ago=0.05)
        self.late.backup(50)
        self.inventory = folder / "inventory.yml"
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        away = {"ansible_host": "127.0.0.1", "ansible_port": free_port(), "ansible_ssh_common_args": "-o BatchMode=yes"}
        hosts = {
            "good": {**local, **self.good.mapping},
            "late": {**local, **self.late.mapping},
            "away": {**away, **self.good.mapping},
            "without": local,
        }
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))

    def play(self, *arguments: str) -> Played:
        return run_playbook(self, "--inventory", str(self.inventory), *arguments, playbook="playbooks/status.yml")

    def files(self) -> set[str]:
        return {str(path) for site in (self.good, self.late) for path in site.folder.rglob("*")}


@pytest.fixture
def fleet(tmp_path: pathlib.Path) -> Fleet:
    return Fleet(tmp_path)


@pytest.mark.newest
@pytest.mark.newest_first
def test_all_hosts_are_asked_and_one_report_names_those_that_do_not_answer(fleet: Fleet) -> None:
    before = fleet.files()
    page, document = fleet.directory / "status.html", fleet.directory / "status.json"
    wanted = ("-e", f"lifeboat_status_html={page}", "-e", f"lifeboat_status_json={document}")
    played = fleet.play(*wanted, "-vvv")
    assert played.status in (0, 4), played.output  # 4: Ansible met an unreachable host, and went on
    assert "2 of 3 hosts answered." in played.output
    assert "not asked: away: The host can't be reached" in played.output
    assert "critical: late: family/main/full: There is no backup" not in played.output
    assert "late: family/main: 2 days 2 hours" in played.output
    assert SECRET not in played.output
    report = json.loads(document.read_text())
    by_name = {host["host"]: host for host in report["hosts"]}
    assert list(by_name) == ["away", "good", "late"]
    for name in ("good", "late"):
        jsonschema.Draft202012Validator(STATUS_SCHEMA).validate(by_name[name]["status"])
    assert (by_name["good"]["status"]["well"], by_name["late"]["status"]["well"]) == (True, False)
    assert by_name["away"]["status"] is None
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "Could not be asked." in text
    assert SECRET not in text
    assert fleet.files() == before


def test_it_ends_failed_when_told_to_and_check_mode_says_the_same(fleet: Fleet) -> None:
    page = fleet.directory / "page.html"
    said = fleet.play(
        "--limit", "late", "--check", "-e", f"lifeboat_status_html={page}", "-e", "lifeboat_status_fail=true"
    )
    assert said.status == 2, said.output
    assert "late: family/main: 2 days 2 hours" in said.output
    assert not page.exists()


def test_the_module_reads_a_file_or_a_description(fleet: Fleet) -> None:
    config = fleet.directory / "config.json"
    config.write_text(json.dumps(fleet.late.mapping))
    results: list[dict[str, t.Any]] = run_modules(
        fleet,
        ("backup_status", {"config": str(config)}),
        ("backup_status", {"description": fleet.late.mapping, "jobs": ["family/main"]}, "check"),
        ("backup_status", {"config": str(config), "jobs": ["nope"]}),
        ("backup_status", {}),
    )
    for result in results[:2]:
        assert not result["changed"]
        assert not result["well"]
        assert result["status"]["jobs"][0]["job"] == "family/main/full"
    assert results[2]["code"] == "configuration.job_unknown"
    assert results[3]["failed"]
