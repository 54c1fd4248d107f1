# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a data folder that is to be a standby's: every case, and never more than is allowed."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_folder import StandbyFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_ways import (
    Upstream,
    WalVerdict,
    Way,
    choose_way,
    crashed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.timeline_history import (
    Ancestor,
    TimelineHistory,
)

# The third timeline: the first was left at 0/3000000, the second at 0/5000000.
HISTORY = TimelineHistory(timeline=3, ancestors=(Ancestor(1, 0x3000000), Ancestor(2, 0x5000000)))
UPSTREAM = Upstream(system_identifier="7", timeline=3, written="0/6000000", history=HISTORY)
PRIMARY = StandbyFolder(
    path="/data",
    found="cluster",
    state="shut down",
    system_identifier="7",
    timeline=2,
    end="0/4000000",
    rewindable=True,
)


GONE = WalVerdict(gone=True, why="the WAL that it needs is gone", position="0/4000000")


def way(rejoin: str = "auto", *, half_rewound: bool = False, wal: WalVerdict | None = None, **facts: t.Any) -> Way:
    folder = dataclasses.replace(PRIMARY, **facts)
    return choose_way(folder, UPSTREAM, rejoin=rejoin, half_rewound=half_rewound, wal=wal)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"found": "absent"}, "create"),
        ({"found": "empty"}, "create"),
        ({"found": "other"}, "refuse"),
        ({"system_identifier": "8"}, "refuse"),
        ({"running": True, "state": "in production"}, "refuse"),
        ({"running": True, "state": "in production", "signal": True}, "refuse"),
        ({"running": True, "state": "in archive recovery"}, "refuse"),  # a recovery to a point, not a standby
        ({"running": True, "state": "in archive recovery", "signal": True}, "configure"),
        ({"restored": True, "state": "in production"}, "refuse"),
        ({"restored": True, "state": "in production", "signal": True}, "start"),
        # Shut down before its successor began.
        ({}, "follow"),
        ({"timeline": 1, "end": "0/2000000"}, "follow"),
        # Its last record begins where its successor begins: that one never had it.
        ({"end": "0/5000000"}, "rewind"),
        ({"end": "0/5000028"}, "rewind"),
        ({"end": "0/5000028", "rewindable": False}, "rebuild"),
        ({"timeline": 1, "end": "0/3000100"}, "rewind"),
        # A timeline that the upstream was never on.
        ({"timeline": 4, "end": "0/5000100"}, "rewind"),
        # Crashed: where its WAL ends is not known yet.
        ({"state": "in production"}, "rewind"),
        ({"state": "in production", "rewindable": False}, "rebuild"),
        # A standby, stopped; with all that it has on the way, or beyond it.
        ({"state": "shut down in recovery", "end": "0/5000000"}, "start"),
        ({"state": "shut down in recovery", "end": "0/5000100"}, "rewind"),
        ({"state": "shut down in recovery", "timeline": 3, "end": "0/5800000"}, "start"),
        # Nobody was promoted in its place.
        ({"timeline": 3, "end": "0/5800000"}, "refuse"),
        ({"timeline": 3, "end": "0/5800000", "state": "in production"}, "refuse"),
    ],
)
def test_the_cheapest_way_that_fits_is_taken(facts: dict[str, t.Any], name: str) -> None:
    found = way(**facts)
    assert found.name == name, found
    assert found.why
    assert found.hint or name != "refuse"


@pytest.mark.parametrize("name", ["rewind", "rebuild"])
def test_what_has_writes_of_its_own_is_touched_only_as_it_is_allowed(name: str) -> None:
    apart = {"end": "0/5000028"}
    assert way("never", **apart).name == "refuse"
    assert way(name, **apart).name == name
    assert way(name, **apart).left == "0/5000000"
    assert way("rewind", rewindable=False, **apart).name == "refuse"


@pytest.mark.parametrize(("rejoin", "name"), [("auto", "rebuild"), ("rebuild", "rebuild"), ("rewind", "refuse")])
def test_after_a_rewind_that_died_only_a_rebuild_helps(rejoin: str, name: str) -> None:
    assert way(rejoin, half_rewound=True).name == name


def test_no_word_lifts_a_refusal_of_a_strange_folder_or_a_running_primary() -> None:
    strange: tuple[dict[str, t.Any], ...] = (
        {"found": "other"},
        {"system_identifier": "8"},
        {"running": True, "state": "in production"},
        {"running": True, "state": "in production", "signal": True, "rewindable": False},
    )
    for facts in strange:
        for rejoin in ("never", "auto", "rewind", "rebuild"):
            for half in (True, False):
                assert way(rejoin, half_rewound=half, **facts).name == "refuse"


def test_a_standby_that_runs_is_rebuilt_only_by_the_word_and_when_its_wal_is_proven_to_be_gone() -> None:
    running: dict[str, t.Any] = {"running": True, "state": "in archive recovery", "signal": True}
    found = way("rebuild", wal=GONE, **running)
    assert (found.name, found.left) == ("rebuild", None)
    assert GONE.why in found.why
    for rejoin in ("never", "auto", "rewind"):
        refused = way(rejoin, wal=GONE, **running)
        assert refused.name == "refuse"
        assert "rejoin: rebuild" in refused.hint
    doubtful = way("rebuild", wal=WalVerdict(gone=False, why="db1 does not answer"), **running)
    assert doubtful.name == "configure"
    assert "not proven to be gone: db1 does not answer" in doubtful.why
    for rejoin in ("never", "auto", "rewind", "rebuild"):
        assert way(rejoin, **running).name == "configure"
        # Nor does what is true of a standby's WAL touch anything else that runs.
        assert way(rejoin, wal=GONE, **{**running, "signal": False}).name == "refuse"
        assert way(rejoin, wal=GONE, **{**running, "state": "in production"}).name == "refuse"


def test_a_rebuild_that_died_behind_the_stop_is_taken_up() -> None:
    stopped: dict[str, t.Any] = {"state": "shut down in recovery", "timeline": 3, "end": "0/5800000", "signal": True}
    assert way("rebuild", wal=GONE, **stopped).name == "rebuild"
    assert way("rebuild", **stopped).name == "start"
    assert way("never", wal=GONE, **stopped).name == "start"
    assert way("rebuild", wal=GONE, timeline=3, end="0/5800000").name == "refuse"  # a primary by now


def test_a_crashed_server_is_known_by_its_control_file() -> None:
    assert crashed(dataclasses.replace(PRIMARY, state="in production"))
    assert crashed(dataclasses.replace(PRIMARY, state="in crash recovery"))
    assert not crashed(PRIMARY)
    assert not crashed(dataclasses.replace(PRIMARY, state="shut down in recovery"))
    assert not crashed(StandbyFolder(path="/data", found="absent"))
