# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The play dies at one kind of step after the other, the name server is away, and the failover is finished once."""

from __future__ import annotations

import pathlib
import time
import typing as t

from tests.lab.lab import Lab, runs_in
from tests.lab.outcome import accepted, is_whole_but_for_the_lost_repository, run_of, steps, steps_to, tell
from tests.lab.timeline import Timeline

#: One of each kind that this service has, in the order of the plan.
_BEFORE_THE_NAME = (
    *("fence-main", "cut-cache", "promote-main", "verify-main", "promote-cache"),
    *("rewire-server-north-north1", "health-server-north-north1"),
)
_FROM_THE_NAME_ON = ("dns-api.adhd.test", "watch", "backup-main")


def is_up_to(step: str, *, done: t.Sequence[str], whole: t.Sequence[str]) -> bool:
    """All before *step* is done, and nothing after it; the quick ones end before the play is dead."""
    number = whole.index(step)
    return list(done) in (list(whole[:number]), list(whole[: number + 1]))


def test_the_play_is_killed_at_each_kind_of_step_and_every_step_is_finished_once(
    lab: Lab, tmp_path: pathlib.Path
) -> None:
    lab.is_described_in("south")
    whole = steps_to("north")
    with lab.load(tmp_path, by="south") as load:
        lab.lose("south")
        word = accepted(lab)
        before, decided = run_of(lab, "north"), time.monotonic()
        for step in _BEFORE_THE_NAME:
            lab.killed_at(step, region="north", **word)
            assert run_of(lab, "north") > before
            word["lifeboat_resume"] = run_of(lab, "north")
            assert is_up_to(step, done=steps(lab, "north"), whole=whole)

        lab.names.tell("stop")
        nameless = lab.fail_over(**word)
        assert nameless.status != 0
        assert "dns-api.adhd.test failed" in nameless.words, nameless.output
        # Everything but the name has moved, and is well.
        assert steps(lab, "north") == whole[: whole.index("dns-api.adhd.test")]
        assert lab.state() == {**runs_in("north"), "name": ""}
        lab.names.tell("start")
        for step in _FROM_THE_NAME_ON:
            lab.killed_at(step, region="north", **word)
            assert is_up_to(step, done=steps(lab, "north"), whole=whole)
        played = lab.fail_over(**word)
        line = Timeline.of(lab.stopwatch, began=decided, entries=lab.ledger("north"))
        assert is_whole_but_for_the_lost_repository(lab, "north", played), played.output
        load.wait_for_more(20, by=lab.addresses("north"))

    assert lab.state() == runs_in("north")
    assert lab.applications("north") == ["active", "active"]
    assert steps(lab, "north") == whole
    assert {one["run"] for one in lab.ledger("north")} == {word["lifeboat_resume"]}
    lost = load.lost(lab.writes("north"))
    tell("killed at each step", load=load, lost=lost, stated=None, decided=decided, line=line)
    assert len(lost) <= 20
