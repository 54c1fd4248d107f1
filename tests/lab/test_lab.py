# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a service in two regions when one of them is lost, cut off, or comes back.

The tests follow one another on the same hosts.
"""

from __future__ import annotations

import json
import pathlib
import time
import typing as t

from tests.lab.lab import Lab
from tests.lab.timeline import Timeline
from tests.support.hosts.playing import Played
from tests.support.waiting import wait_for

STEPS = [
    *("fence-main", "cut-cache", "promote-main", "verify-main", "promote-cache"),
    *("rewire-server-south-south1", "rewire-server-south-south2"),
    *("health-server-south-south1", "health-server-south-south2"),
    *("dns-api.adhd.test", "watch", "backup-main"),
]


def flat(played: Played) -> str:
    return " ".join(played.output.split())


def is_whole_but_for_the_lost_repository(played: Played) -> bool:
    """The last step makes a backup, and one of its two repositories was lost with the region: it says so."""
    return played.status != 0 and "this is not well -- backup-main: The backup" in flat(played).replace('"', "")


def finished(lab: Lab, region: str) -> list[str]:
    return [one["step"] for one in lab.ledger(region) if one["event"] == "done"]


def test_the_lab_is_at_work(lab: Lab, tmp_path: pathlib.Path) -> None:
    assert lab.is_primary("north") == (True, True)
    assert lab.is_primary("south") == (False, False)
    with lab.load(tmp_path) as load:
        load.wait_for_more(20)
    assert set(load.acknowledged) <= lab.writes("north")
    assert set(load.acknowledged) <= lab.cached("north")


def test_a_cut_line_proves_nothing_and_nothing_is_changed(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Both regions live, and neither hears of the other: who can't prove that north takes no writes stops."""
    with lab.provider_away():
        lab.cut("north")
        number = str(int(time.monotonic() * 1000))
        lab.query("north", f"INSERT INTO writes VALUES ({number})")
        word = {"lifeboat_accept_data_loss": True}
        _checked, confirm = lab.planned(**word)
        stopped = lab.fail_over(lifeboat_confirm=confirm, **word)
        assert stopped.status != 0
        assert "Nothing proves that the old primary takes no writes any more" in flat(stopped), stopped.output
        assert "the provider does not answer" in flat(stopped)
        assert "lifeboat_accept_split_brain_risk=true" in flat(stopped)
        assert finished(lab, "south") == []
        assert [one["event"] for one in lab.ledger("south")] == ["opened", "intended", "failed"]
        # As it was: one primary, and the name leads there.
        assert lab.is_primary("north") == (True, True)
        assert lab.is_primary("south") == (False, False)
        assert lab.names.tell("look") == lab.addresses("north")
        assert lab.applications("north") == ["active", "active"]
        run = lab.ledger("south")[0]["run"]
        given_up = lab.fail_over(lifeboat_resume=run, lifeboat_abandon=True)
        assert given_up.status == 0, given_up.output
        lab.cut("north", healed=True)
    wait_for(lambda: int(number) in lab.writes("south"))


def test_a_region_is_killed_under_load(lab: Lab, tmp_path: pathlib.Path) -> None:
    evidence_file = tmp_path / "evidence.json"
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
        assert is_whole_but_for_the_lost_repository(played), played.output
        load.wait_for_more(20, by=lab.addresses("south"))

    # Who is primary, what runs where, what the name says, and that every step was done, in this order.
    assert lab.is_primary("south") == (True, True)
    assert lab.applications("south") == ["active", "active"]
    assert lab.names.tell("look") == lab.addresses("south")
    assert finished(lab, "south") == STEPS[:-1]

    # Which writes are there: all that were acknowledged, but for the last ones before the end of north.
    there = lab.writes("south")
    lost = sorted(number for number in load.acknowledged if number not in there)
    evidence = json.loads(evidence_file.read_text())
    stated = evidence["sources"]["main"]["stated"]
    last = max(at for at in load.acknowledged.values() if at < looked)
    seen = [one for one in load.notes if one["by"] in lab.addresses("north") and one["ok"]]
    began, ended = load.longest_silence
    print(
        f"LAB region killed: decision to healthy {line.done('health-'):.1f} s, to the name {line.done('dns-'):.1f} s, "
        f"whole play {line.tasks[-1][0]:.1f} s, look {decided - looked:.1f} s;\n"
        f"LAB {len(lost)} of {len(seen)} acknowledged writes lost, stated: {stated};\n"
        f"LAB clients had errors for {ended - began:.1f} s, {ended - decided:.1f} s of them since the decision"
    )
    assert all(load.acknowledged[number] > last - stated["loss_seconds"] for number in lost)
    assert len(lost) <= 20


def test_the_old_region_comes_back_and_takes_no_writes(lab: Lab, tmp_path: pathlib.Path) -> None:
    with lab.load(tmp_path, by="south") as load:
        lab.come_back("north")
        load.wait_for_more(30)
    assert all(one["ok"] for one in load.notes), [one for one in load.notes if not one["ok"]]
    north = lab.database("north")
    for unit in ("postgresql@15-main", "redis-server"):
        assert north.attempt(f"systemctl is-active {unit}").stdout.strip() == "inactive"
        assert "was moved to south1" in north.run(f"journalctl -u {unit} --no-pager")
    # Its application runs, and can write nowhere.
    assert lab.applications("north") == ["active", "active"]
    ask = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health')"
    assert "503" in north.attempt(f'python3 -c "{ask}"').stderr
    assert lab.is_primary("south") == (True, True)


def test_the_service_goes_home_without_loss(lab: Lab, tmp_path: pathlib.Path) -> None:
    lab.primary = "south"
    described = lab.play("playbooks/site.yml")
    assert described.status == 0, described.output
    home = {"lifeboat_failback": "adhd/main", "lifeboat_failback_to": "north", "lifeboat_failback_until": "standby"}
    rejoined = lab.play(
        "playbooks/dr_failback.yml", lifeboat_confirm="north", lifeboat_failback_rejoin="rebuild", **home
    )
    assert rejoined.status == 0, rejoined.output
    lab.follow("north", lab.database("south").address)
    assert lab.is_primary("north") == (False, False)
    with lab.load(tmp_path, by="south") as load:
        checked, confirm = lab.planned()
        assert checked.status == 0, checked.output
        decided = time.monotonic()
        played = lab.fail_over(lifeboat_confirm=confirm)
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("north"))
        print(f"LAB way home\n{line.told()}")
        assert played.status == 0, played.output
        load.wait_for_more(20, by=lab.addresses("north"))
    began, ended = load.longest_silence
    print(
        f"LAB way home: healthy after {line.done('health-'):.1f} s; of {len(load.acknowledged)} acknowledged writes "
        f"none was lost, and for {ended - began:.1f} s there was none"
    )
    assert set(load.acknowledged) <= lab.writes("north")
    assert set(load.acknowledged) <= lab.cached("north")
    assert lab.is_primary("north") == (True, True)
    assert lab.names.tell("look") == lab.addresses("north")
    lab.primary = "north"


def test_the_play_is_killed_and_the_name_server_is_away(lab: Lab, tmp_path: pathlib.Path) -> None:
    """The second time that north is lost: the play dies, then ends before the name, and goes on."""
    with lab.load(tmp_path) as load:
        lab.lose("north")
        word: dict[str, t.Any] = {"lifeboat_accept_data_loss": True}
        checked, confirm = lab.planned(**word)
        assert checked.status == 0, checked.output
        word["lifeboat_confirm"] = confirm
        before = lab.ledger("south")[0]["run"]
        lab.killed_at("promote-main", region="south", **word)
        run = lab.ledger("south")[0]["run"]
        assert run > before
        lab.names.tell("stop")
        nameless = lab.fail_over(**word, lifeboat_resume=run)
        assert nameless.status != 0
        assert "dns-api.adhd.test failed" in flat(nameless), nameless.output
        # Everything but the name has moved, and is well.
        assert finished(lab, "south") == STEPS[: STEPS.index("dns-api.adhd.test")]
        assert lab.is_primary("south") == (True, True)
        lab.names.tell("start")
        played = lab.fail_over(**word, lifeboat_resume=run)
        assert is_whole_but_for_the_lost_repository(played), played.output
        load.wait_for_more(20, by=lab.addresses("south"))
    assert finished(lab, "south") == STEPS[:-1]
    assert lab.names.tell("look") == lab.addresses("south")
    there = lab.writes("south")
    lost = [number for number in load.acknowledged if number not in there]
    print(f"LAB killed: {len(lost)} of {len(load.acknowledged)} acknowledged writes lost")
    assert len(lost) <= 20
