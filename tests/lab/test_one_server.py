# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server dies, and its region lives: the standby beside it takes its place, and it comes home."""

from __future__ import annotations

import json
import pathlib
import time

from tests.lab.building import second_server
from tests.lab.description import DATA
from tests.lab.lab import Lab, runs_in
from tests.lab.outcome import steps, tell
from tests.lab.timeline import Timeline
from tests.support.hosts.root_file_system import PYTHON
from tests.support.waiting import wait_for

# The second server's host has no agent.
_BY_HAND = {"standby_python": PYTHON, "standby_guard": False}


def test_postgresql_alone_is_killed_and_the_standby_beside_it_takes_over(lab: Lab, tmp_path: pathlib.Path) -> None:
    second_server(lab, "north2")
    lab.beside = "north2"
    made = lab.play("tests/lab/standbys.yml", lab_source="north1", **_BY_HAND)
    assert made.status == 0, made.output

    evidence_file = tmp_path / "evidence.json"
    with lab.load(tmp_path) as load:
        lab.kill_postgresql("north1")
        word = {
            "lifeboat_promote": "adhd/main",
            "lifeboat_promote_to": "north2",
            "lifeboat_accept_data_loss": True,
            "lifeboat_evidence": str(evidence_file),
        }
        checked = lab.play("playbooks/promote_standby.yml", "--check", **word)
        assert checked.status == 0, checked.output
        assert lab.state() == {"database": "", "cache": "north1", "name": "north"}
        decided = time.monotonic()
        played = lab.play("playbooks/promote_standby.yml", lifeboat_confirm="north2", **word)
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("south"))
        print(f"LAB timeline of one server\n{line.told()}")
        assert played.status == 0, played.output
        load.wait_for_more(20, by=lab.addresses("north"))

    # PostgreSQL has moved to the other host of the region, and nothing else has: the same applications, the same name.
    assert lab.state() == {"database": "north2", "cache": "north1", "name": "north"}
    assert lab.applications("north") == ["active", "active"]
    assert lab.applications("south") == ["inactive", "inactive"]
    hosts = ("north1", "north2")
    rewired = [f"rewire-server-north-{name}" for name in hosts]
    assert steps(lab, "south") == ["fence", "promote", "verify", *rewired, "follow-south", "backup"]

    # What is lost stands on the old disk, and was counted there.
    evidence = json.loads(evidence_file.read_text())
    lost = load.lost(lab.writes("north", host="north2"))
    assert len(lost) <= evidence["lost"]["commits"]
    assert all(at >= decided - evidence["stated"]["loss_seconds"] for at in lost.values())
    assert evidence["fenced"] == {"proven": True, "method": "host"}
    tell("one server killed", load=load, lost=lost, stated=evidence["lost"], decided=decided, line=line)
    # The standby in the other region follows.
    wait_for(lambda: set(load.acknowledged) - set(lost) <= lab.writes("south"))


def test_it_comes_home_and_nothing_is_lost(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.main_on, lab.beside = "north2", "north1"
    with lab.load(tmp_path) as load:
        home = {"lifeboat_failback": "adhd/main", "lifeboat_failback_to": "north1", "lifeboat_confirm": "north1"}
        decided = time.monotonic()
        played = lab.play("playbooks/dr_failback.yml", lifeboat_failback_rejoin="rebuild", **home, **_BY_HAND)
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("south"))
        assert played.status == 0, played.output
        load.wait_for_more(20, by=lab.addresses("north"))
    assert lab.state() == runs_in("north")
    assert set(load.acknowledged) <= lab.writes("north")
    tell("one server's way home", load=load, lost=(), stated=None, decided=decided, line=line)
    wait_for(lambda: set(load.acknowledged) <= lab.writes("south"))

    # The lab is as it was: nobody stands beside it any more.
    lab.main_on = lab.beside = ""
    lab.fleet["north2"].run(f"systemctl stop postgresql@15-main && rm -rf {DATA}")
    idle = "pg_replication_slots WHERE slot_type = 'physical' AND NOT active"
    wait_for(lambda: lab.query("north", f"SELECT count(*) FROM {idle}") != "0")
    lab.query("north", f"SELECT pg_drop_replication_slot(slot_name) FROM {idle}")
