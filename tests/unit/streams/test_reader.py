# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading streams: indexes and records, several repositories as one, and nothing left out silently."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageUnreachable,
    StreamConflict,
    StreamRecordInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index_writer import write_indexes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_newest, read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage
from tests.unit.streams.samples import EVENT, FOLDER, START, record, segment

HOUR = datetime.timedelta(hours=1)


def store(storage: Storage, one: Record) -> str:
    key = FOLDER.record_key(hour_of(one.made), one.record_id)
    storage.put(key, one.as_bytes())
    return key


def at(hours: float, *segments: Segment) -> Record:
    return record(*segments, made=START + HOUR * hours)


def read(storages: t.Mapping[str, Storage], *, now: datetime.datetime = START, **how: t.Any) -> Stream:
    (stream,) = read_streams(storages, FOLDER.series, clock=FakeClock(now), **how)
    return stream


def numbers(stream: Stream) -> list[int]:
    return [int(each.segment.name[-8:], 16) for each in stream.segments]


def test_nothing_stored_is_no_stream() -> None:
    assert read_streams({"it": MemoryStorage()}, FOLDER.series) == ()


def test_segments_of_several_repositories_are_one_segment_with_copies() -> None:
    near, far = MemoryStorage(), MemoryStorage()
    for storage in (near, far):
        store(storage, record(segment(1), segment(2), events=[EVENT]))
    store(near, at(0.1, segment(3)))
    stream = read({"near": near, "far": far})
    assert numbers(stream) == [1, 2, 3]
    assert [sorted(each.copies) for each in stream.segments] == [["far", "near"], ["far", "near"], ["near"]]
    assert stream.events == (EVENT,)
    assert stream.problems == ()


def test_a_segment_that_is_recorded_twice_is_one() -> None:
    storage = MemoryStorage()
    store(storage, at(0, segment(1)))
    store(storage, at(0.1, segment(2)))
    store(storage, at(0.2, segment(1)))
    assert numbers(read({"it": storage})) == [1, 2]


def test_two_histories_under_one_name_are_a_problem_and_the_first_counts() -> None:
    storage = MemoryStorage()
    store(storage, at(0, segment(1)))
    store(storage, at(0.1, segment(1, content="other")))
    stream = read({"it": storage})
    assert stream.segments[0].segment == segment(1)
    (problem,) = stream.problems
    assert isinstance(problem, StreamConflict)
    assert problem.details["segment"] == segment(1).name


def test_a_record_that_can_not_be_read_is_a_problem_and_not_the_end() -> None:
    storage = MemoryStorage()
    store(storage, at(0, segment(1)))
    key = store(storage, at(0.1, segment(2)))
    storage.put(key, storage.get(key).replace(b'"size": 1002', b'"size": 1003'), if_absent=False)
    stream = read({"it": storage})
    assert numbers(stream) == [1]
    (problem,) = stream.problems
    assert isinstance(problem, StreamRecordInvalid)
    assert problem.details["repository"] == "it"


def test_a_repository_that_does_not_answer_is_a_problem_of_the_stream() -> None:
    near = MemoryStorage()
    store(near, at(0, segment(1)))
    far = FaultyStorage(storage=MemoryStorage(), fault=unreachable, point=FaultPoint(at_call=1, times=None))
    stream = read({"near": near, "far": far})
    assert numbers(stream) == [1]
    assert [problem.details["repository"] for problem in stream.problems] == ["far"]
    with pytest.raises(StorageUnreachable):
        read_streams({"far": far}, FOLDER.series)
    with pytest.raises(StorageUnreachable):
        read_streams({"empty": MemoryStorage(), "far": far}, FOLDER.series)


def fill(storage: Storage, *, hours: int = 5, each: int = 3) -> datetime.datetime:
    """Records over some hours; the time after them."""
    for number in range(hours * each):
        store(storage, at(number / each, segment(number + 1)))
    return START + HOUR * hours


def test_indexes_say_the_same_as_the_records() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    before = read({"it": storage}, now=now)
    done = write_indexes(storage, FOLDER, now=now)
    assert len(done.written) == 4
    assert done.to == max(done.written)
    assert read({"it": storage}, now=now) == before
    assert write_indexes(storage, FOLDER, now=now).written == ()
    for key in [found.key for found in storage.list(FOLDER.records_prefix)]:
        if any(f"/{hour}/" in key for hour in done.written):
            storage.delete([key])
    assert numbers(read({"it": storage}, now=now)) == numbers(before)


def test_only_the_wanted_hours_are_read() -> None:
    storage = FaultyStorage(storage=MemoryStorage())
    now = fill(storage)
    write_indexes(storage, FOLDER, now=now)
    hour = hour_of(START + HOUR)
    storage.calls.clear()
    stream = read({"it": storage}, now=now, since=hour, until=hour)
    assert numbers(stream) == [4, 5, 6]
    assert sum(call.startswith("get ") for call in storage.calls) <= 2 + 3
    assert numbers(read({"it": storage}, now=now, since=hour_of(START + 4 * HOUR))) == [13, 14, 15]


def test_a_damaged_index_is_a_problem_and_its_records_are_read_instead() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    hours = write_indexes(storage, FOLDER, now=now).written
    before = numbers(read({"it": storage}, now=now))
    for hour in (hours[0], hours[-1]):
        key = FOLDER.index_key(hour)
        storage.put(key, storage.get(key).replace(b"WAL", b"LAW"), if_absent=False)
        stream = read({"it": storage}, now=now)
        assert sorted(numbers(stream)) == before
        assert any(isinstance(problem, StreamRecordInvalid) for problem in stream.problems)


def test_an_hour_with_an_unreadable_record_gets_no_index_and_is_still_read() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    key = next(found.key for found in storage.list(FOLDER.hour_prefix(hour_of(START + HOUR))))
    good = storage.get(key)
    storage.put(key, b"{}", if_absent=False)
    done = write_indexes(storage, FOLDER, now=now)
    assert hour_of(START + HOUR) not in done.written
    assert len(done.problems) == 1
    stream = read({"it": storage}, now=now)
    assert numbers(stream) == [1, 2, 3, 5, 6, *range(7, 16)]
    assert len(stream.problems) == 1
    storage.put(key, good, if_absent=False)  # somebody mended it: it counts at once, and gets its index later
    assert numbers(read({"it": storage}, now=now)) == list(range(1, 16))
    assert write_indexes(storage, FOLDER, now=now).written == (hour_of(START + HOUR),)
    assert numbers(read({"it": storage}, now=now)) == list(range(1, 16))


def test_a_record_that_comes_after_its_hours_index_is_not_lost() -> None:
    storage = MemoryStorage()
    now = fill(storage, hours=3)
    write_indexes(storage, FOLDER, now=now)
    late = at(1.99, segment(100))
    store(storage, late)
    assert 100 in numbers(read({"it": storage}, now=now))
    for hours in (3, 4, 5, 60):
        store(storage, at(hours, segment(100 + hours)))
        now = START + HOUR * (hours + 1.5)
        write_indexes(storage, FOLDER, now=now)
        assert 100 in numbers(read({"it": storage}, now=now)), hours


def test_a_pause_of_weeks_is_found_over() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    write_indexes(storage, FOLDER, now=now)
    store(storage, at(24 * 30, segment(99)))
    now = START + HOUR * (24 * 30 + 0.5)
    assert numbers(read({"it": storage}, now=now))[-1] == 99
    assert write_indexes(storage, FOLDER, now=now + 2 * HOUR).written == (
        hour_of(START + 4 * HOUR),
        hour_of(START + 24 * 30 * HOUR),
    )


def test_the_newest_end_is_found_with_few_requests() -> None:
    storage = FaultyStorage(storage=MemoryStorage())
    now = fill(storage, hours=60, each=1)
    write_indexes(storage, FOLDER, now=now)
    for later in (0.0, 5.0, 24 * 40.0):
        storage.calls.clear()
        (stream,) = read_newest({"it": storage}, FOLDER.series, clock=FakeClock(now + HOUR * later))
        assert numbers(stream)[-1] == 60
        assert len(numbers(stream)) < 10
        assert len(storage.calls) < 30, storage.calls


def test_folders_of_backups_are_no_lineages() -> None:
    storage = MemoryStorage()
    store(storage, at(0, segment(1)))
    storage.put(f"{FOLDER.series.folder}20261121T020000Z-4f2c91/manifest.json", b"{}")
    assert numbers(read({"it": storage})) == [1]
