# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby that does not keep up: it is said by how much, nothing is lost unasked, and what is lost was counted."""

from __future__ import annotations

import json
import pathlib
import re
import time

from tests.lab.lab import Lab, runs_in
from tests.lab.outcome import accepted, run_of, steps, steps_to, tell
from tests.lab.timeline import Timeline
from tests.support.hosts.playing import Played
from tests.support.waiting import wait_for

#: The description allows 5 s.
_TOO_LONG = 8
_PASSWORD = "s/^PASSWORD=.*/PASSWORD=wrong/"


def refused_seconds(played: Played) -> int:
    """How much may be lost, by the words in which the plan was refused."""
    assert played.status != 0, played.output
    (told,) = set(re.findall(r"main: with south up to (\d+) s may be lost, and at most 5 s may be", played.words))
    assert "lifeboat_accept_data_loss=true" in played.words
    return int(told)


def test_a_standby_that_hears_nothing_is_not_promoted_unasked(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Its receiver hangs: the primary lives, and what it writes does not arrive."""
    lab.is_described_in("north")
    before = run_of(lab, "south")
    with lab.load(tmp_path) as load:
        with lab.receiver_hangs("south"):
            began = time.monotonic()
            wait_for(lambda: time.monotonic() > began + _TOO_LONG)
            load.wait_for_more(40)
            refused = lab.fail_over("--check")
        assert refused_seconds(refused) >= _TOO_LONG
        ahead = re.search(r"the primary answers and is (\d+) bytes ahead", refused.words)
        assert ahead is not None, refused.output
        assert int(ahead.group(1)) > 0
        # It goes on by itself, and then nothing would be lost.
        arrived = set(load.acknowledged)
        wait_for(lambda: arrived <= lab.writes("south"), seconds=180)
        checked, _confirm = lab.planned()
        assert checked.status == 0, checked.output
    assert load.refused == []
    assert run_of(lab, "south") == before
    assert lab.state() == runs_in("north")


def test_what_did_not_arrive_is_counted_and_the_name_waits_for_the_application(
    lab: Lab, tmp_path: pathlib.Path
) -> None:
    """The primary dies while the standby is behind; then an application of the entered region does not get well."""
    evidence_file = tmp_path / "evidence.json"
    unwell = lab.fleet["south1"]
    environment = unwell.read("/etc/adhd.env")
    unwell.run(f"sed -i '{_PASSWORD}' /etc/adhd.env")
    with lab.load(tmp_path) as load:
        with lab.stream_refused("north"):
            began = time.monotonic()
            wait_for(lambda: time.monotonic() > began + _TOO_LONG)
            load.wait_for_more(40)
            lab.kill_postgresql("north1")
        assert refused_seconds(lab.fail_over("--check")) >= _TOO_LONG
        assert lab.state() == {"database": "", "cache": "north1", "name": "north"}

        word = accepted(lab, lifeboat_health_wait=4, lifeboat_evidence=str(evidence_file))
        decided = time.monotonic()
        stopped = lab.fail_over(**word)
        assert stopped.status != 0
        assert "health-server-south-south1 failed. server-south on south1 is not well" in stopped.words, stopped.output
        whole = steps_to("south", frozen=("north1", "north2"))
        assert steps(lab, "south") == whole[: whole.index("health-server-south-south1")]
        # Data have moved, and the name has not: nobody is led to what is not well.
        assert lab.state() == {**runs_in("south"), "name": "north"}

        unwell.write("/etc/adhd.env", environment.replace(lab.database("north").address, lab.database("south").address))
        unwell.run("systemctl restart adhd")
        played = lab.fail_over(**word, lifeboat_resume=run_of(lab, "south"))
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("south"))
        assert played.status == 0, played.output
        load.wait_for_more(20, by=lab.addresses("south"))
    assert lab.state() == runs_in("south")
    assert steps(lab, "south") == whole

    evidence = json.loads(evidence_file.read_text())["sources"]["main"]
    lost = load.lost(lab.writes("south"))
    tell("standby behind", load=load, lost=lost, stated=evidence["lost"], decided=decided, line=line)
    assert 0 < len(lost) <= evidence["lost"]["commits"]
    assert all(at >= decided - evidence["stated"]["loss_seconds"] for at in lost.values())
