# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lineage summed up by the hour: what the planner is told, in constant memory."""

from __future__ import annotations

import datetime
import tracemalloc
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageUnreachable,
    StreamRecordInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.marked_streams import STREAM_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.recovery_kinds import (
    RECOVERABLE_ENGINES,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_marks import WAL_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.stream_marks import nothing_lasts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_hours import (
    TrackEnds,
    summarise_series,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import StreamHour
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import StreamEvent
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage
from tests.support.pruning import FOLDER, LATER, fill, prune, put_hour, summarise, wal
from tests.support.stream_hours import BEGIN, HOUR, hour, put_record, record_of
from tests.unit.postgresql.wal_archives import NOON, at, base

OTHER = StreamFolder(series=FOLDER.series, lineage="7399999999999999999")


@pytest.fixture
def storage() -> MemoryStorage:
    made = MemoryStorage()
    fill(made)
    return made


def test_every_engine_with_a_stream_tells_of_it() -> None:
    assert set(STREAM_MARKS) == set(RECOVERABLE_ENGINES)
    assert not nothing_lasts("00000002.history")


def test_the_sums_of_each_hour(storage: MemoryStorage) -> None:
    entry = summarise(storage, [base(8)]).entry
    assert entry.hours == tuple(
        StreamHour(key=hour(number), segments=3, stored_bytes=3000, ends=at(3 * number + 3)) for number in range(8)
    )
    assert (entry.series, entry.lineage, entry.engine, entry.floor) == (FOLDER.series, FOLDER.lineage, "postgresql", "")
    assert entry.needed_from == {base(8).manifest.backup_id: hour(2)}
    (window,) = entry.windows
    assert (window.base, window.begins, window.ends) == (
        base(8).manifest.backup_id,
        at(8),
        at(24) - datetime.timedelta(seconds=1),
    )


def test_an_hour_of_nothing_but_events_has_their_time(storage: MemoryStorage) -> None:
    event = StreamEvent("label", NOON, "It was labelled.", {})
    put_record(storage, record_of(FOLDER, [], number=9, events=[event]))
    put_record(storage, record_of(FOLDER, [], number=10))
    *_others, labelled, empty = summarise(storage).entry.hours
    assert labelled == StreamHour(key=hour(9), segments=0, stored_bytes=0, ends=NOON)
    # Of what says nothing of its time it is known when it was recorded.
    assert empty == StreamHour(key=hour(10), segments=0, stored_bytes=0, ends=BEGIN + 10 * HOUR)
    # They are no place from which anybody could go on.
    assert summarise(storage, [base(200)]).entry.needed_from == {base(200).manifest.backup_id: hour(7)}


def test_what_the_floor_hides_is_not_summed_up(storage: MemoryStorage) -> None:
    prune(storage, hour(3))
    summary = summarise(storage, [base(1), base(14)])
    assert summary.entry.floor == hour(3)
    assert [one.key for one in summary.entry.hours] == [hour(number) for number in range(3, 8)]
    # A base that would need more than there is needs at least all there is.
    assert summary.entry.needed_from == {
        base(1).manifest.backup_id: hour(3),
        base(14).manifest.backup_id: hour(4),
    }
    # It is a point in time, and nothing leads on from it.
    assert {one.base: one.begins == one.ends for one in summary.entry.windows} == {
        base(1).manifest.backup_id: True,
        base(14).manifest.backup_id: False,
    }


def test_what_can_not_be_read_is_told(storage: MemoryStorage) -> None:
    storage.put(FOLDER.index_key(hour(1)), b"{}", if_absent=False)
    (problem,) = summarise(storage).problems
    assert isinstance(problem, StreamRecordInvalid)
    assert [one.segments for one in summarise(storage).entry.hours] == [3] * 8
    prune(storage, hour(2))
    storage.put(FOLDER.floor_key(hour(2)), b"{}", if_absent=False)
    (problem,) = summarise(storage).problems
    assert problem.details["key"] == FOLDER.floor_key(hour(2))
    storage.put(FOLDER.index_key(hour(5)), b"{}", if_absent=False)
    assert len(summarise(storage).problems) == 2


def test_a_repository_that_does_not_answer_is_no_empty_stream(storage: MemoryStorage) -> None:
    silent = FaultyStorage(storage=storage, fault=unreachable, point=FaultPoint(at_call=1, times=None))
    with pytest.raises(StorageUnreachable):
        summarise(silent)
    with pytest.raises(StorageUnreachable):
        series_of(silent)


def series_of(storage: t.Any, series: Series = FOLDER.series) -> dict[str, bool]:
    found = summarise_series(storage, series, engine="postgresql", bases=(), marks=WAL_MARKS, now=LATER)
    return {one.entry.lineage: one.is_newest for one in found}


def test_the_newest_lineage_is_the_one_that_was_recorded_into_last(storage: MemoryStorage) -> None:
    assert series_of(storage) == {FOLDER.lineage: True}
    put_hour(storage, 8, wal(1, 3), folder=OTHER)
    assert series_of(storage) == {FOLDER.lineage: False, OTHER.lineage: True}
    put_hour(storage, 8, wal(60, 61), indexed=False)
    assert series_of(storage) == {FOLDER.lineage: True, OTHER.lineage: True}
    put_record(storage, record_of(FOLDER, [], number=9))
    assert series_of(storage)[OTHER.lineage], "where nothing but events was recorded nobody goes on"
    assert series_of(storage, Series(service="shop", source="other", kind="wal")) == {}


def test_which_hours_may_name_the_same_segments() -> None:
    storage = MemoryStorage()
    for number, (first, last) in enumerate([(1, 3), (4, 6), (7, 9), (5, 10), (11, 12)]):
        put_hour(storage, number, wal(first, last))
    summary = summarise(storage)
    assert summary.doubtful_from(hour(3)) == (hour(3),)
    # The end of one segment is the beginning of the next: that of the hour before may be the same one.
    assert summary.doubtful_from(hour(4)) == (hour(4),)
    assert hour(4) not in summary.doubtful_from(hour(3))
    assert summary.ends_before(hour(0)) == {}
    assert summary.ends_before(hour(3)) == {1: (10,)}
    assert summary.ends_before(hour(9)) == {1: (13,)}


def test_the_ends_of_a_track_only_grow() -> None:
    ends = TrackEnds()
    for key, end in (("a", (3,)), ("b", (2,)), ("c", (3,)), ("d", (7,))):
        ends.add(key, end)
    assert (ends.hours, ends.ends) == (["a", "d"], [(3,), (7,)])
    assert [ends.first_behind((number,)) for number in (2, 3, 7)] == ["a", "d", None]
    assert [ends.first_at((number,)) for number in (2, 3, 7, 8)] == ["a", "a", "d", None]
    assert [ends.before(key) for key in ("a", "b", "e")] == [None, (3,), (7,)]


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_segments() -> None:
    def peak(hours: int) -> int:
        storage = MemoryStorage()
        for number in range(hours):
            put_hour(storage, number, wal(40 * number + 1, 40 * number + 40), each=40)
        tracemalloc.start()
        summarise(storage, [base(8)], now=BEGIN + (hours + 1) * HOUR)
        _now, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    few, many = peak(30), peak(120)
    # 3,600 segments more; as objects they would take more than a kilobyte each.
    assert many - few < 400_000
