# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the WAL of a running standby is gone: only what is proven counts, and every doubt leaves it as it is."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PostgresPermissionDenied
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import standby_wal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_folder import StandbyFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_state import StandbyState
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_upstream import (
    Slot,
    UpstreamLook,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_wal import (
    Archives,
    StandbyAsked,
    forget_rebuilding,
    judge,
    look_for_wal,
    note_rebuilding,
    noted_rebuilding,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_ways import (
    Upstream,
    WalVerdict,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.timeline_history import (
    Ancestor,
    TimelineHistory,
)
from tests.support.clocks import FakeClock

SEGMENT = 16 * 1024 * 1024
OURS = "/usr/local/lib/lifeboat/fetch-wal /cache %f %p"
HISTORY = TimelineHistory(timeline=2, ancestors=(Ancestor(1, 0x2800000),))
PRIMARY = StandbyState(server="db1:5432", version=150018, system_identifier="7", in_recovery=False, timeline=2)
LOOK = UpstreamLook(
    state=PRIMARY,
    upstream=Upstream(system_identifier="7", timeline=2, written="0/9000100", history=HISTORY),
    slot=Slot(name="south", there=True, lost=True),
    bounded=True,
    segment_size=SEGMENT,
)
#: It has WAL up to the middle of the fourth segment.
STANDBY = StandbyState(
    server="db2:5432",
    version=150018,
    system_identifier="7",
    in_recovery=True,
    timeline=2,
    received="0/3500000",
    replayed="0/3500000",
)


def name(number: int, *, timeline: int = 2) -> str:
    return f"{timeline:08X}00000000{number:08X}"


def names(*numbers: int, timeline: int = 2) -> list[str]:
    return [name(number, timeline=timeline) for number in numbers]


def verdict(
    *,
    kept: t.Sequence[str] = (*names(7, 8, 9), "00000002.history"),
    command: str = "",
    archive: t.Collection[str] | None = None,
    restores_by: str = "",
    later: t.Mapping[str, t.Any] | None = None,
    look: UpstreamLook = LOOK,
    **facts: t.Any,
) -> WalVerdict:
    state = dataclasses.replace(STANDBY, **facts)
    before = StandbyAsked(state=state, restores_by=restores_by)
    after = dataclasses.replace(before, state=dataclasses.replace(state, **(later or {})))
    names = None if archive is None else functools.partial(tuple, archive)
    return judge(before, after, look, kept=kept, archives=Archives(command=command, names=names))


def test_what_the_primary_has_removed_is_gone_where_there_is_no_archive() -> None:
    found = verdict()
    assert found.gone, found
    assert found.position == "0/3500000"
    assert found.why == (
        f"the WAL that it needs next, {name(3)} from 0/3500000 on, is gone: db1:5432 has none before {name(7)}, "
        "the slot south is lost, and it has no archive"
    )


def test_it_is_gone_where_the_archive_has_only_later_ones() -> None:
    found = verdict(command=OURS, restores_by=OURS, archive=names(5, 6, 7))
    assert found.gone, found
    assert f"the archive lacks it, though it has {name(5)}" in found.why
    # One that is to get the archive as a second way only now.
    assert verdict(command=OURS, archive=names(5)).gone


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        # The standby may have more than it says, or get on.
        ({"received": None}, "has not asked its primary"),
        ({"receiving": True}, "it receives"),
        ({"later": {"receiving": True}}, "it receives"),
        ({"later": {"received": "0/3500100"}}, "still comes on"),
        ({"received": "0/3600000", "later": {"replayed": "0/3500100"}}, "still comes on"),
        ({"in_recovery": False}, "is another server"),
        ({"system_identifier": "8"}, "is another server"),
        # It left its primary's way, which is another matter.
        ({"timeline": 1, "received": "0/2900000"}, "on timeline 1, which db1:5432 lacks"),
        # The primary has what it needs.
        ({"kept": names(3, 4, 5, 9)}, "has not removed"),
        ({"kept": names(3, timeline=1) + names(8, 9)}, "has not removed"),
        ({"kept": []}, "has not removed"),
        ({"received": "0/9000000", "replayed": "0/9000000"}, "is still in"),
        # The archive has it, or may.
        ({"command": OURS, "restores_by": OURS, "archive": names(3, 4, 5)}, "the archive has"),
        ({"command": OURS, "restores_by": OURS, "archive": names(1, 2)}, "may still come"),
        ({"command": OURS, "restores_by": OURS, "archive": names(8, timeline=1)}, "may still come"),
        ({"command": OURS, "restores_by": OURS, "archive": []}, "may still come"),
        ({"command": OURS, "restores_by": OURS, "archive": None}, "could not be looked into"),
        ({"restores_by": "cp /archive/%f %p"}, "somebody else's"),
        ({"command": OURS, "restores_by": "cp /archive/%f %p", "archive": names(5)}, "somebody else's"),
    ],
)
def test_every_doubt_leaves_it_open(facts: dict[str, t.Any], why: str) -> None:
    found = verdict(**facts)
    assert not found.gone, found
    assert why in found.why
    assert not found.position


def test_a_record_that_the_archive_began_may_end_in_the_next_segment() -> None:
    restored = {"received": "0/2000000", "replayed": "0/3FFFF00"}
    assert not verdict(kept=names(4, 5, 9), **restored).gone
    assert verdict(kept=names(5, 9), **restored).gone


def test_the_file_before_a_switch_is_looked_for_on_its_own_timeline() -> None:
    early = {"timeline": 1, "received": "0/1500000", "replayed": "0/1500000"}
    assert verdict(**early).gone
    # What is written on the next timeline may be stored before the rest of the one that was left.
    assert not verdict(command=OURS, archive=names(5), **early).gone
    # The file with the switch in it is the next timeline's, so nothing of the first one comes behind.
    assert "00000001" in verdict(command=OURS, archive=names(2, 5), **early).why
    earlier = {"timeline": 1, "received": "0/500000", "replayed": "0/500000"}
    assert verdict(command=OURS, archive=[*names(1, timeline=1), "00000002.history"], **earlier).gone


def test_a_server_that_may_not_be_asked_proves_nothing() -> None:
    def connect(**_arguments: t.Any) -> t.NoReturn:
        raise PostgresPermissionDenied("It lets nobody look.", hint="Let them.")

    server = t.cast("t.Any", types.SimpleNamespace(connect=connect))
    found = look_for_wal(server, server, LOOK, command="", archived=None, host=Host())
    assert found == WalVerdict(gone=False, why="It lets nobody look")


def answering(*answers: dict[str, t.Any]) -> tuple[t.Any, t.Any]:
    """A standby that gives these answers in their order, the last one for ever, and its primary."""
    left = list(answers)

    class Session:
        def rows(self, _statement: str) -> list[tuple[str]]:
            return [(one,) for one in names(7, 8, 9)]

    @contextlib.contextmanager
    def connect(**_arguments: t.Any) -> t.Iterator[Session]:
        yield Session()

    def ask(_standby: t.Any, *, host: Host) -> StandbyAsked:
        del host
        return StandbyAsked(state=dataclasses.replace(STANDBY, **(left.pop(0) if len(left) > 1 else left[0])))

    return ask, types.SimpleNamespace(connect=connect)


def test_one_that_looks_for_a_moment_as_if_it_received_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*answers: dict[str, t.Any], archived: t.Any = None) -> tuple[WalVerdict, float]:
        ask, primary = answering(*answers)
        monkeypatch.setattr(standby_wal, "_ask", ask)
        clock = FakeClock()
        command = "" if archived is None else OURS
        found = look_for_wal(primary, primary, LOOK, command=command, archived=archived, host=Host(clock=clock))
        return found, sum(clock.slept)

    assert look({"receiving": True}, {}, {}) == (verdict(), 0.5)
    found, slept = look({"receiving": True})
    assert not found.gone
    assert slept > 1
    # One that is well is asked once, and its archive not at all.
    well, slept = look({"receiving": True, "received": "0/7000100"}, archived=pytest.fail)
    assert (well.gone, slept) == (False, 0)


def test_what_is_noted_counts_until_the_folder_has_more(tmp_path: Path) -> None:
    folder = StandbyFolder(path=str(tmp_path / "data"), found="cluster", end="0/3500000")
    assert noted_rebuilding(folder) is None
    gone = WalVerdict(gone=True, why="it is gone", position="0/3500000")
    note_rebuilding(folder.path, gone)
    assert noted_rebuilding(folder) == gone
    assert noted_rebuilding(dataclasses.replace(folder, end="0/3500100")) is None
    forget_rebuilding(folder.path)
    assert noted_rebuilding(folder) is None
    forget_rebuilding(folder.path)
