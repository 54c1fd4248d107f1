# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a base backup needs of the WAL, and what it reaches: the same as the windows say that are made of all of it."""

from __future__ import annotations

import datetime
import random

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RecoveryTargetUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_planner import (
    PgRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_marks import (
    WAL_MARKS,
    is_history,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_windows import wal_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.support.fuzzing import many
from tests.support.stream_hours import Span, hour, later_hours, moments, summed, union, windows_of
from tests.unit.postgresql.wal_archives import (
    at,
    base,
    failover,
    history,
    lsn,
    segment,
    segments,
    stored,
    stream,
    two_timelines,
)

BASES = [base(3), base(8, mark="bbbbbb"), base(14, mark="cccccc")]
STREAMS = {
    "one timeline": segments(1, 20),
    "a hole": [*segments(3, 9), *segments(11, 20)],
    "a hole behind a base": [*segments(3, 14), *segments(18, 20)],
    "two timelines": two_timelines(),
    "a failover": failover(),
    "no history": [one for one in two_timelines() if not is_history(one.segment.name)],
    "three timelines": [
        *two_timelines(),
        history(3, [(1, lsn(12, 0x800000)), (2, lsn(20, 0x100))], minutes=60),
        *(segment(number, timeline=3, minutes=number + 50) for number in range(20, 26)),
    ],
    "a short branch": [
        *segments(3, 20),
        history(2, [(1, lsn(12, 0x800000))], minutes=30),
        *(segment(number, timeline=2, minutes=number + 20) for number in range(12, 15)),
    ],
    "two bases at the end of what is not timed": [
        segment(number, ends=None, facts={"last_commit": None}) for number in range(3, 9)
    ],
    "nothing behind the last base": segments(1, 10),
    "mended late": [*segments(3, 9), *segments(11, 20), *segments(10, 10)],
    "recorded twice": [*segments(3, 12), *segments(9, 20)],
    "not timed": [segment(number, ends=None, facts={"last_commit": None}) for number in range(3, 20)],
}


#: What was committed in the last second before a segment was left may be in the next one.
SLACK = datetime.timedelta(seconds=1)


def spans(bases: list[Backup], wal: Stream, *, each: int = 2) -> list[Span]:
    return union(moments(summed(wal, WAL_MARKS, bases, each=each).entry.windows), apart=SLACK)


def windows(bases: list[Backup], wal: Stream) -> list[Span]:
    return union(windows_of(wal_windows, bases, wal), apart=SLACK)


@pytest.mark.parametrize("each", [1, 3, 100])
@pytest.mark.parametrize("name", STREAMS)
def test_the_spans_are_those_of_the_windows(name: str, each: int) -> None:
    wal = stream(*STREAMS[name])
    on_two = base(15, minutes=35, timeline=2, mark="dddddd")
    for bases in (BASES, BASES[:1], [*BASES, on_two], [on_two], []):
        assert spans(bases, wal, each=each) == windows(bases, wal)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("each", [1, 2, 5])
def test_nothing_that_a_base_reaches_depends_on_what_it_does_not_need(name: str, each: int) -> None:
    wal = stream(*STREAMS[name])
    for one in [*BASES, base(15, minutes=35, timeline=2)]:
        needed = summed(wal, WAL_MARKS, [one], each=each).entry.needed_from[one.manifest.backup_id]
        left = later_hours(wal, needed, each=each)
        assert windows([one], left) == windows([one], wal)


@pytest.mark.thorough
@many(80, deadline=None)
@given(st.integers(0, 1 << 40))
def test_the_same_of_any_archive(seed: int) -> None:
    chance = random.Random(seed)
    begins = {1: 1}
    wal = stream(*_any_archive(chance, begins))
    bases = [_any_base(chance, begins, mark=f"{number:06x}") for number in range(chance.randrange(4))]
    each = chance.choice((1, 2, 7))
    found = summed(wal, WAL_MARKS, bases, each=each)
    assert union(moments(found.entry.windows), apart=SLACK) == windows(bases, wal)
    for one in bases:
        left = later_hours(wal, found.entry.needed_from[one.manifest.backup_id], each=each)
        for minutes in range(0, 120, 7):
            assert planned(one, left, at(minutes + 0.5)) == planned(one, wal, at(minutes + 0.5))


def planned(one: Backup, wal: Stream, moment: datetime.datetime) -> list[str] | None:
    """The segments of a recovery to that moment from that base; None when it can't be reached."""
    target = RecoveryTarget(kind="time", time=moment)
    try:
        plan = PgRecoveryPlanner().plan(bases=[one], streams=[wal], target=target, now=moment)
    except RecoveryTargetUnreachable:
        return None
    return [each.segment.name for each in plan.segments]


def _any_base(chance: random.Random, begins: dict[int, int], *, mark: str) -> Backup:
    timeline = chance.choice(list(begins))
    number = chance.randrange(begins[timeline] + (timeline > 1), 40)
    return base(number, minutes=number + 40 * (timeline - 1), timeline=timeline, mark=mark)


def _any_archive(chance: random.Random, begun: dict[int, int]) -> list[StoredSegment]:
    """Up to three timelines, each with holes, in the order of their making; *begun* gets where they begin."""
    found = segments(1, chance.randrange(5, 30))
    ways = [(1, lsn(chance.randrange(3, 20), chance.choice((0, 0x800000))))]
    for timeline in (2, 3):
        if chance.random() < 0.4:
            break
        begins = begun[timeline] = int(ways[-1][1].partition("/")[2], 16) >> 24
        minutes = 40 * (timeline - 1)
        found.append(history(timeline, ways, minutes=minutes))
        found += [
            segment(number, timeline=timeline, minutes=minutes + number)
            for number in range(begins, begins + chance.randrange(12))
        ]
        ways.append((timeline, lsn(begins + chance.randrange(1, 9), 0x100)))
    return [one for one in found if chance.random() > 0.08] or segments(1, 2)


def test_a_base_needs_what_comes_from_its_start_on() -> None:
    entry = summed(stream(*segments(1, 20)), WAL_MARKS, BASES, each=2).entry
    first, second, third = (entry.needed_from[one.manifest.backup_id] for one in BASES)
    # Segment 3 is the first of the second hour, 8 the second of the fourth, 14 the second of the seventh.
    assert (first, second, third) == (hour(1), hour(3), hour(6))


def test_a_base_needs_nothing_of_lower_timelines_and_all_of_later_ones() -> None:
    wal = stream(*two_timelines())  # 18 segments, a history, 13 segments
    on_two = base(15, minutes=35, timeline=2)
    entry = summed(wal, WAL_MARKS, [base(3), on_two], each=1).entry
    assert entry.needed_from[base(3).manifest.backup_id] == hour(0)
    assert entry.needed_from[on_two.manifest.backup_id] == hour(19 + 3)


def test_a_base_of_a_segment_that_only_the_next_timeline_finished() -> None:
    entry = summed(stream(*failover()), WAL_MARKS, [base(12)], each=1).entry  # 9 segments, a history, 8 segments
    assert entry.needed_from == {base(12).manifest.backup_id: hour(10)}


def test_histories_last_and_notes_are_of_nobody() -> None:
    note = stored(
        "000000010000000000000003.00000028.backup", group="0000000100000000", ends=at(3), facts={"timeline": 1}
    )
    wal = stream(note, *two_timelines())
    found = summed(wal, WAL_MARKS, [base(14, mark="cccccc")], each=1)
    assert [record.segments[0].name for _hour, record in found.lasting] == ["00000002.history"]
    assert found.lasting[0][0] == hour(19)
    assert found.entry.needed_from == {base(14, mark="cccccc").manifest.backup_id: hour(12)}
    assert is_history("00000002.history")
    assert not is_history(note.segment.name)
    assert not is_history("history")


def test_a_failed_base_keeps_its_need_and_reaches_nothing() -> None:
    failed = base(8, state="failed", mark="bbbbbb")
    entry = summed(stream(*segments(1, 20)), WAL_MARKS, [failed]).entry
    assert entry.needed_from == {failed.manifest.backup_id: hour(3)}
    assert entry.windows == ()


def test_bases_of_other_clusters_and_kinds_need_nothing_here() -> None:
    other = [base(3, lineage="7399999999999999999"), base(3, kind="logical")]
    assert summed(stream(*segments(1, 20)), WAL_MARKS, other).entry.needed_from == {}


def test_a_base_behind_all_that_is_stored_needs_the_newest_hour() -> None:
    late = base(200)
    entry = summed(stream(*segments(1, 20)), WAL_MARKS, [late]).entry
    assert entry.needed_from == {late.manifest.backup_id: hour(9)}


def test_what_is_no_wal_is_passed_over() -> None:
    strange = stored("notes.txt", group="x", ends=at(2), facts={})
    found = summed(stream(*segments(1, 6), strange, *segments(7, 8)), WAL_MARKS, BASES[:1], each=1)
    assert [one.segments for one in found.entry.hours] == [1] * 9
    assert windows(BASES[:1], stream(*segments(1, 8))) == union(moments(found.entry.windows))
    # Nobody can tell what it repeats.
    assert hour(6) in found.doubtful_from(hour(5))
