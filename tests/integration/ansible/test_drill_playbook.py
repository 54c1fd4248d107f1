# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/dr_drill.yml`` beside two real regions that people use: it is killed, measures, leaves nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
import typing as t

import pytest

from tests.integration.ansible.plays import Json, Played, play_until, run_playbook
from tests.integration.ansible.region_site import Regions, two_regions

pytestmark = pytest.mark.slow

PLAYBOOK = "playbooks/dr_drill.yml"


@pytest.fixture
def regions(tmp_path: pathlib.Path) -> t.Iterator[Regions]:
    with two_regions(tmp_path) as pair:
        checks: list[Json] = [
            {"name": "answers", "standby_reachable": "far"},
            {
                "name": "difference",
                "source": "main",
                "question": {
                    "name": "rows",
                    "database": "postgres",
                    "sql": "select count(*) from ledger",
                    "within_count_of": {"reference": "primary", "count": 9},
                },
            },
        ]
        exercise = {"name": "monthly", "kind": "disaster_recovery_test", "schedule": "0 5 1 * *", "checks": checks}
        name: Json = {
            "name": "api.example.org",
            "type": "A",
            "ttl": 60,
            "zone": "example.org",
            "provider": "command",
            "command": f"touch {tmp_path}/moved",
            "try_command": "true",
            "nameservers": ["127.0.0.1:1"],
            "values": {"north": ["192.0.2.1"], "south": ["192.0.2.2"]},
        }
        around = {"exercises": [exercise], "dns": [name]}
        own: Json = {"connection": {"paths": [str(pair.north.environment)]}}
        conf = {
            **own,
            "name": "conf",
            "engine": "files",
            "spares": [{**own, "name": "far-conf", "region": "south", "inventory_host": "south1"}],
            "backups": [{"kind": "config", "repositories": ["local"], "keep": {"within": "7d"}}],
        }
        found = dataclasses.replace(pair, around=around, main={"verify": {"level": 3}}, more=[conf])
        found.lifeboat("backup adhd/main --quiet").succeeded()
        found.lifeboat("backup adhd/conf --quiet").succeeded()
        found.lifeboat("verify adhd/main --quiet").succeeded()
        yield found
        shutil.rmtree(room(found), ignore_errors=True)


def room(regions: Regions) -> pathlib.Path:
    """Where PostgreSQL's account can enter, which it can't in a test's own folder."""
    return pathlib.Path(tempfile.gettempdir()) / f"lifeboat-drill-{regions.primary.port}"


def arguments(regions: Regions, **variables: t.Any) -> list[str]:
    words = {
        "lifeboat_drill_of": "adhd",
        "lifeboat_drill_directory": str(room(regions)),
        "lifeboat_repository": "local",
        **variables,
    }
    return ["--inventory", str(regions.inventory()), "-e", json.dumps(words)]


def play(regions: Regions, **variables: t.Any) -> Played:
    return run_playbook(regions, *arguments(regions, **variables), playbook=PLAYBOOK, seconds=600)


def flat(played: Played) -> str:
    return " ".join(played.output.split())


def drills(regions: Regions) -> list[list[str]]:
    """The events of each drill's ledger."""
    runs = sorted((regions.local / "adhd/.failover").glob("drill-*"))
    return [[json.loads(path.read_text())["event"] for path in sorted(run.glob("[0-9]*.json"))] for run in runs]


def at_work(folder: pathlib.Path) -> list[int]:
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(f"{folder}/"):
                found.append(int(entry.name))
    return found


def test_a_drill_restores_asks_measures_and_leaves_nothing_though_one_before_it_was_killed(regions: Regions) -> None:
    drill = room(regions) / "adhd"
    for wrong, why in (
        ({"lifeboat_drill_port": regions.primary.port}, "is production's"),
        ({"lifeboat_drill": False}, "says that it is none"),
    ):
        refused = play(regions, **wrong)
        assert refused.status != 0
        assert why in flat(refused), refused.output
    assert drills(regions) == []
    assert not drill.exists()

    # Killed while servers of it run.
    play_until(regions, *arguments(regions), playbook=PLAYBOOK, reached=lambda: bool(at_work(drill)))
    assert at_work(drill)

    before = (
        regions.primary.query("SELECT pg_postmaster_start_time()"),
        regions.standby.query("SELECT system_identifier FROM pg_control_system()"),
    )
    busy = play(regions)
    assert busy.status != 0
    assert "has drill-0001 open" in flat(busy)
    cleaned = play(regions, lifeboat_clean=True)
    assert cleaned.status == 0, cleaned.output
    assert at_work(drill) == []
    assert not drill.exists()
    assert drills(regions)[0][-1] == "abandoned"

    evidence_file = regions.directory / "evidence.json"
    played = play(regions, lifeboat_evidence=str(evidence_file))
    assert played.status == 0, played.output
    evidence = json.loads(evidence_file.read_text())
    assert (evidence["kind"], evidence["run"], evidence["state"]) == ("drill", "drill-0002", "complete")
    assert [one["name"] for one in evidence["steps"]] == [
        "restore-main",
        "ask-main",
        "restore-cache",
        "ask-cache",
        "restore-conf",
        "look-api-south-south1",
        "dns-api.example.org-A",
        "check-monthly-answers",
        "check-monthly-difference",
    ]
    assert evidence["checks"] == {"check-monthly-answers": True, "check-monthly-difference": True}
    assert evidence["objectives"]["rto_met"] is True
    assert evidence["objectives"]["rpo_met"] is True
    assert evidence["recovery_seconds"] > 0
    assert evidence["sources"]["main"]["restored"]

    # Nothing of it is left, and nothing of production was touched.
    assert at_work(drill) == []
    assert not drill.exists()
    after = (
        regions.primary.query("SELECT pg_postmaster_start_time()"),
        regions.standby.query("SELECT system_identifier FROM pg_control_system()"),
    )
    assert before == after
    assert regions.standby.query("SELECT pg_is_in_recovery()") == [(True,)]
    assert regions.north.is_well()
    assert "DATABASE_PORT=1\n" in regions.south.environment.read_text()
    with regions.cache.client() as client:
        assert client.get("later") == b"1"
    assert not (regions.directory / "moved").exists()
    # A failover is not kept by any of it.
    assert regions.entries() == []

    # Readiness knows that it was practised, and that the name could not be moved with what is there now.
    regions.around["dns"][0]["try_command"] = "false"
    told = regions.directory / "readiness.json"
    words = {"lifeboat_service": "adhd", "lifeboat_repository": "local", "lifeboat_readiness_json": str(told)}
    looked = run_playbook(
        regions,
        *("--inventory", str(regions.inventory()), "-e", json.dumps(words)),
        playbook="playbooks/dr_readiness.yml",
        seconds=600,
    )
    assert looked.status == 0, looked.output
    codes = {one["code"]: one for one in json.loads(told.read_text())["findings"]}
    assert not [code for code in codes if code.startswith("exercise")], codes
    assert codes["dns.rights"]["about"] == "api.example.org A"
    assert not (regions.directory / "moved").exists()
