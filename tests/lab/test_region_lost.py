# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A region dies under load, all of it at once: its hosts, its servers and its repository. And it comes back."""

from __future__ import annotations

import json
import pathlib
import time

from tests.lab.lab import Lab, runs_in
from tests.lab.outcome import is_whole_but_for_the_lost_repository, run_of, steps, steps_to, tell
from tests.lab.timeline import Timeline


def test_a_region_is_killed_under_load_and_its_repository_with_it(lab: Lab, tmp_path: pathlib.Path) -> None:
    evidence_file, before = tmp_path / "evidence.json", run_of(lab, "north")
    with lab.load(tmp_path) as load:
        lab.lose("north")
        looked = time.monotonic()
        word = {"lifeboat_accept_data_loss": True}
        checked, confirm = lab.planned(**word)
        assert checked.status == 0, checked.output
        print(checked.output)
        decided = time.monotonic()
        print("LAB tasks of the look\n" + Timeline.of(lab.stopwatch, began=looked, entries=[]).told())
        played = lab.fail_over(lifeboat_confirm=confirm, lifeboat_evidence=str(evidence_file), **word)
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("south"))
        print(f"LAB timeline\n{line.told()}")
        assert is_whole_but_for_the_lost_repository(lab, "south", played), played.output
        load.wait_for_more(20, by=lab.addresses("south"))

    # Who is primary, what runs where, what the name says, and that every step was done, in this order.
    assert lab.state() == runs_in("south")
    assert lab.applications("south") == ["active", "active"]
    assert steps(lab, "south") == steps_to("south")
    # The ledger is in the repository that was left; the one of the lost region knows nothing of this failover.
    assert lab.ledger("south")[0]["data"]["repositories"] == ["south"]
    assert run_of(lab, "north") == before < run_of(lab, "south")

    # Which writes are there: all that were acknowledged, but for the last ones before the end of north.
    evidence = json.loads(evidence_file.read_text())
    stated = evidence["sources"]["main"]["stated"]
    lost = load.lost(lab.writes("south"))
    last = max(at for at in load.acknowledged.values() if at < looked)
    tell("region killed", load=load, lost=lost, stated=stated, decided=decided, line=line)
    print(f"LAB region killed: to the name {line.done('dns-'):.1f} s, look {decided - looked:.1f} s")
    assert all(at > last - stated["loss_seconds"] for at in lost.values())
    assert len(lost) <= 20


def test_the_old_region_comes_back_and_takes_no_writes(lab: Lab, tmp_path: pathlib.Path) -> None:
    with lab.load(tmp_path, by="south") as load:
        lab.come_back("north")
        load.wait_for_more(30)
    assert load.refused == []
    north = lab.database("north")
    for unit in ("postgresql@15-main", "redis-server"):
        assert north.attempt(f"systemctl is-active {unit}").stdout.strip() == "inactive"
        assert "was moved to south1" in north.run(f"journalctl -u {unit} --no-pager")
    # Its application runs, and can write nowhere.
    assert lab.applications("north") == ["active", "active"]
    ask = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health')"
    assert "503" in north.attempt(f'python3 -c "{ask}"').stderr
    assert lab.state() == runs_in("south")
