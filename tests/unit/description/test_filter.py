# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lifeboat.recovery.jobs and the inventories, in a real Ansible."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

from tests.unit.description.samples import changed, description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: >-
          {{ lifeboat_services | lifeboat.recovery.jobs(lifeboat_repositories, lifeboat_settings | default({}),
             select=lifeboat_jobs | default('')) | to_json }}
        dest: "{{ destination }}/{{ inventory_hostname }}.json"
        mode: "0600"
"""


class Run(t.NamedTuple):
    status: int
    output: str
    jobs: dict[str, list[dict[str, t.Any]]]


@pytest.fixture
def play(tmp_path: pathlib.Path) -> t.Callable[..., Run]:
    """Run the filter in a play; the jobs by host."""

    def run(inventory: pathlib.Path, *, limit: str = "all", **variables: t.Any) -> Run:
        playbook = tmp_path / "play.yml"
        playbook.write_text(PLAY, encoding="utf-8")
        destination = tmp_path / "jobs"
        destination.mkdir(exist_ok=True)
        variables = {"destination": str(destination), "ansible_connection": "local", **variables}
        variables["ansible_python_interpreter"] = sys.executable
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), "--limit", limit, str(playbook)]
        done = subprocess.run(
            [*command, "-e", json.dumps(variables)],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        files = destination.glob("*.json")
        jobs = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
        return Run(status=done.returncode, output=done.stdout + done.stderr, jobs=jobs)

    return run


@pytest.fixture
def inventory(tmp_path: pathlib.Path) -> t.Callable[[dict[str, t.Any]], pathlib.Path]:
    """An inventory with one host that has these variables."""

    def write(variables: dict[str, t.Any]) -> pathlib.Path:
        path = tmp_path / "hosts.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": {"one": variables}}}, sort_keys=False), encoding="utf-8")
        return path

    return write


Play = t.Callable[..., Run]
Inventory = t.Callable[[dict[str, t.Any]], pathlib.Path]


@pytest.mark.thorough
@pytest.mark.newest
def test_jobs_come_with_all_their_values(play: Play, inventory: Inventory) -> None:
    data = description()
    data["lifeboat_repositories"]["local"]["path"] = "{{ '/var' ~ '/b' }}"
    run = play(inventory(data), lifeboat_jobs="family/main/full, adhd")
    assert run.status == 0, run.output
    jobs = run.jobs["one"]
    assert [job["id"] for job in jobs] == [
        "family/main/full",
        "adhd/main/logical",
        "adhd/main/logical.2",
        "adhd/main/weekly-base",
    ]
    assert jobs[0]["repositories"][0]["description"] == {"type": "file", "path": "/var/b"}
    assert "[WARNING]: lifeboat" not in run.output


@pytest.mark.newest
def test_problems_are_told_without_a_traceback(play: Play, inventory: Inventory) -> None:
    data = changed("lifeboat_services.0.sources.0.backups.0.schedule", "0 25 * * *")
    data["lifeboat_services"][1]["sources"][0]["engine"] = "postgres"
    run = play(inventory(data))
    assert run.status != 0
    assert "The description has 2 problems:" in run.output
    assert "lifeboat_services[0] (family) > sources[0] (main) > backups[0] > schedule: the hour field" in run.output
    assert "Did you mean 'postgresql'?" in run.output
    assert "docs/description.md" in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("select", "text"),
    [
        (["famly"], "did you mean 'family'?"),
        ("family/main/ful", "did you mean 'family/main/full'?"),
        (5, "select must be text such as"),
        ([5], "select must be text such as"),
    ],
)
def test_a_selection_that_names_nothing_is_refused(select: t.Any, text: str) -> None:
    from ansible.errors import AnsibleFilterError

    from ansible_collections.lifeboat.recovery.plugins.filter.jobs import FilterModule

    data = description()
    with pytest.raises(AnsibleFilterError) as caught:
        FilterModule().filters()["jobs"](data["lifeboat_services"], data["lifeboat_repositories"], None, select)
    assert text in str(caught.value)


@pytest.mark.parametrize("select", ["family,adhd", ["family", "adhd"], ["family,adhd"], "", None, []])
def test_a_selection_is_text_or_a_list(select: t.Any) -> None:
    from ansible_collections.lifeboat.recovery.plugins.filter.jobs import FilterModule

    data = description()
    jobs = FilterModule().filters()["jobs"](data["lifeboat_services"], data["lifeboat_repositories"], None, select)
    assert len(jobs) == 7


@pytest.mark.thorough
def test_doubts_are_warnings_and_no_secret_is_in_them(play: Play, inventory: Inventory) -> None:
    run = play(inventory(changed("lifeboat_services.0.sources.1.connection.password", "hunter2")))
    assert run.status == 0, run.output
    flat = " ".join(run.output.split())
    assert "[WARNING]: lifeboat: family/cache: password is given by value" in flat
    assert "hunter2" not in run.output


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "count"), [("family", 7), ("adhd", 8)])
def test_a_reference_inventory_gives_its_jobs(play: Play, name: str, count: int) -> None:
    run = play(ROOT / "inventories" / name, limit=name)
    assert run.status == 0, run.output
    assert [len(found) for found in run.jobs.values()] == [count]


@pytest.mark.thorough
@pytest.mark.newest
def test_the_sandboxs_inventory_reads_what_the_sandbox_says_of_itself(play: Play, tmp_path: pathlib.Path) -> None:
    """Made-up addresses: nothing is connected to here. The demo's own test runs the jobs on the real servers."""
    said = {
        "directory": "/sandbox",
        "scratch_directory": "/sandbox/scratch",
        "mongodb": {"uri_file": "/sandbox/mongodb.uri", "program": "/usr/bin/mongod"},
        "postgresql": {
            "host": "127.0.0.1",
            "port": 5499,
            "user": "lifeboat",
            "database": "mcp_adhd",
            "password_file": "/sandbox/postgresql.password",
            "bin_directory": "/usr/lib/postgresql/15/bin",
        },
        "redis": {"host": "127.0.0.1", "port": 6399, "user": "lifeboat", "password_file": "/sandbox/redis.password"},
        "s3": {
            "endpoint_url": "http://127.0.0.1:8399",
            "region": "us-east-1",
            "bucket": "demo",
            "credentials_file": "/sandbox/s3.env",
        },
        "age": {"recipient": RECIPIENT},
    }
    (tmp_path / "sandbox.json").write_text(json.dumps(said), encoding="utf-8")
    run = play(ROOT / "inventories/sandbox", sandbox_directory=str(tmp_path))
    assert run.status == 0, run.output
    assert "[WARNING]: lifeboat" not in run.output
    found = {job["id"]: job for jobs in run.jobs.values() for job in jobs}
    assert sorted(found) == [
        "adhd/main/base",
        "adhd/main/logical",
        "family/cache/aof",
        "family/cache/rdb",
        "family/main/full",
    ]
    assert all(job["runnable"] for job in found.values())
    assert {use["name"] for job in found.values() for use in job["repositories"]} == {"local", "offsite"}
    assert {json.dumps(job["encryption"]) for job in found.values()} == {json.dumps({"recipients": [RECIPIENT]})}
    assert found["adhd/main/base"]["connection"]["port"] == 5499
    assert found["family/main/full"]["state_directory"] == "/sandbox/state"
