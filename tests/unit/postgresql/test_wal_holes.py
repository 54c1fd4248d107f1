# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a WAL archive has holes, and what is recorded of them."""

from __future__ import annotations

import datetime

from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.timeline_history import (
    Ancestor,
    TimelineHistory,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_events import (
    break_events,
    timeline_events,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_holes import Hole, find_holes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import segment_name

MIB = 1024 * 1024
SIZE = 16 * MIB
NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


def names(timeline: int, *numbers: int) -> list[str]:
    return [segment_name(timeline=timeline, number=number, segment_size=SIZE) for number in numbers]


def holes(*known: str, histories: tuple[TimelineHistory, ...] = (), archived: tuple[str, ...] = ()) -> list[Hole]:
    return list(find_holes(known, segment_size=SIZE, histories=histories, archived=archived))


def hole(timeline: int, first: int, last: int) -> Hole:
    return Hole(timeline, first, last, SIZE)


def child(timeline: int, parent: int, number: int) -> TimelineHistory:
    return TimelineHistory(timeline=timeline, ancestors=(Ancestor(timeline=parent, switch=number * SIZE + 100),))


def test_an_unbroken_archive_has_none() -> None:
    assert holes(*names(1, 255, 256, 257)) == []
    assert holes() == []


def test_notes_and_strangers_are_no_segments() -> None:
    note = "000000010000000000000004.00000028.backup"
    assert holes(*names(1, 3), note, "00000002.history", "readme", *names(1, 5)) == [hole(1, 4, 4)]


def test_holes_lie_between_what_is_known() -> None:
    assert holes(*names(1, 3, 5, 9, 10)) == [hole(1, 4, 4), hole(1, 6, 8)]


def test_what_was_before_the_first_one_is_no_hole() -> None:
    assert holes(*names(1, 7), archived=tuple(names(1, 3, 4, 7))) == []


def test_what_the_server_has_handed_over_behind_the_last_one_is_missing() -> None:
    assert holes(*names(1, 7), archived=tuple(names(1, 7, 8, 9, 11))) == [hole(1, 8, 9), hole(1, 11, 11)]


def test_nothing_is_missing_in_an_archive_that_has_not_begun() -> None:
    assert holes(archived=tuple(names(1, 7, 8))) == []


def test_a_new_timeline_that_was_lost_wholly_is_missing() -> None:
    assert holes(*names(1, 7), archived=tuple(names(2, 7, 8))) == [hole(2, 7, 8)]


def test_timelines_don_t_fill_each_others_holes() -> None:
    assert holes(*names(1, 3, 5), *names(2, 4)) == [hole(1, 4, 4)]


def test_at_a_switch_the_child_begins_where_the_parent_was_left() -> None:
    history = child(2, 1, 6)
    assert holes(*names(1, 3, 4, 5), *names(2, 6, 7), histories=(history,)) == []
    assert holes(*names(1, 3, 4, 5, 6, 7), *names(2, 6, 7), histories=(history,)) == []
    assert holes(*names(1, 3), *names(2, 6, 7), histories=(history,)) == [hole(1, 4, 5)]
    assert holes(*names(1, 3, 4, 5), *names(2, 8), histories=(history,)) == [hole(2, 6, 7)]


def test_a_timeline_without_segments_or_parent_is_no_hole() -> None:
    assert holes(*names(1, 3), histories=(child(2, 1, 6),)) == []
    assert holes(*names(2, 6), histories=(child(2, 1, 6),)) == []


def test_a_span_of_any_length_costs_nothing() -> None:
    far = segment_name(timeline=1, number=2**39, segment_size=SIZE)
    assert holes(*names(1, 3), far) == [hole(1, 4, 2**39 - 1)]


def test_a_hole_shrinks_by_what_was_mended() -> None:
    whole = hole(1, 4, 9)
    assert whole.without([]) == (whole,)
    assert whole.without([4, 9]) == (hole(1, 5, 8),)
    assert whole.without([6, 5]) == (hole(1, 4, 4), hole(1, 7, 9))
    assert whole.without(range(4, 10)) == ()


@given(strategies.sets(strategies.integers(0, 60), min_size=1))
def test_holes_and_known_ones_make_up_the_whole(numbers: set[int]) -> None:
    missing = {number for one in holes(*names(1, *numbers)) for number in range(one.first, one.last + 1)}
    assert missing == set(range(min(numbers), max(numbers) + 1)) - numbers


def test_a_hole_says_its_segments() -> None:
    assert hole(1, 4, 4).text == "000000010000000000000004"
    assert hole(1, 255, 257).text == "0000000100000000000000FF to 000000010000000100000001 (3 segments)"


def test_a_lost_hole_is_a_break_and_asks_for_a_backup_once() -> None:
    events = break_events(hole(1, 4, 6), reason="pg_wal does not have it any more", recorded=(), at=NOON)
    assert [event.what for event in events] == ["break", "full-backup-needed"]
    assert "000000010000000000000004 to 000000010000000000000006" in events[0].reason
    assert break_events(hole(1, 4, 6), reason="x", recorded=events, at=NOON) == ()
    assert break_events(hole(1, 5, 5), reason="x", recorded=events, at=NOON) == ()
    assert len(break_events(hole(1, 4, 7), reason="x", recorded=events, at=NOON)) == 2
    assert len(break_events(hole(2, 4, 6), reason="x", recorded=events, at=NOON)) == 2


def test_a_new_timeline_is_recorded_once() -> None:
    histories = {1: (TimelineHistory(timeline=1), NOON), 2: (child(2, 1, 6), NOON)}
    events = timeline_events(histories, recorded=())
    assert [(event.what, event.facts) for event in events] == [
        ("new-timeline", {"timeline": 2, "parent": 1, "lsn": "0/6000064"}),
        ("full-backup-needed", {"timeline": 2, "parent": 1, "lsn": "0/6000064"}),
    ]
    assert timeline_events(histories, recorded=events) == ()
