# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A floor: what was recorded before it is not there, for who reads, who writes indexes, who asks for the newest end."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StreamRecordInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.by_hour import each_hour
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import (
    Floor,
    floor_hour,
    floor_hours,
    newest_floor,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.hours import find_hours
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index_writer import write_indexes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import (
    find_lineages,
    read_newest,
    read_records,
    read_streams,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.unit.streams.samples import FOLDER, START, record, segment

HOUR = datetime.timedelta(hours=1)


def hour(number: float) -> str:
    return hour_of(START + HOUR * number)


def fill(storage: Storage, *, hours: int = 6, each: int = 3) -> datetime.datetime:
    """Records over some hours; the time after them."""
    for number in range(hours * each):
        put(storage, record(segment(number + 1), made=START + HOUR * (number / each)))
    return START + HOUR * hours


def put(storage: Storage, one: Record) -> str:
    key = FOLDER.record_key(hour_of(one.made), one.record_id)
    storage.put(key, one.as_bytes())
    return key


def put_floor(storage: Storage, at: str, *records: Record) -> Floor:
    floor = Floor(
        folder=FOLDER,
        engine="postgresql",
        hour=at,
        made=START,
        host="db1",
        lifeboat_version="0.1.0",
        records=records,
    )
    storage.put(FOLDER.floor_key(at), floor.as_bytes())
    return floor


def numbers(storage: Storage, now: datetime.datetime, read: t.Any = read_streams) -> list[int]:
    return [
        int(each.segment.name[-8:], 16)
        for stream in read({"it": storage}, FOLDER.series, clock=FakeClock(now))
        for each in stream.segments
    ]


def by_hour(storage: Storage, now: datetime.datetime) -> dict[str, list[int]]:
    with each_hour(storage, FOLDER, find_hours(storage, FOLDER, now=now)) as hours:
        return {
            one.hour: [int(each.name[-8:], 16) for each_record in one.records for each in each_record.segments]
            for one in hours
        }


@pytest.fixture(params=["records", "indexes", "some indexes", "damaged newest index"])
def storage(request: pytest.FixtureRequest) -> MemoryStorage:
    made = MemoryStorage()
    if request.param == "some indexes":
        write_indexes(made, FOLDER, now=fill(made, hours=4))
        for number in range(12, 18):
            put(made, record(segment(number + 1), made=START + HOUR * (number / 3)))
        return made
    now = fill(made)
    if request.param != "records":
        last = write_indexes(made, FOLDER, now=now).written[-1]
        if request.param.startswith("damaged"):
            made.put(FOLDER.index_key(last), b"{}", if_absent=False)
    return made


NOW = START + 6 * HOUR


def test_what_was_recorded_before_the_floor_is_not_there(storage: MemoryStorage) -> None:
    assert numbers(storage, NOW) == list(range(1, 19))
    put_floor(storage, hour(2))
    assert numbers(storage, NOW) == list(range(7, 19))
    put_floor(storage, hour(4))
    assert numbers(storage, NOW) == list(range(13, 19))
    assert floor_hours(storage, FOLDER) == (hour(2), hour(4))
    assert min(numbers(storage, NOW, read_newest)) >= 13
    below = read_records(storage, FOLDER, now=NOW, below_floor=True)
    assert sum(len(one.segments) for one in below.records) == 18


def test_every_hour_is_read_once_and_in_order(storage: MemoryStorage) -> None:
    found = by_hour(storage, NOW)
    assert list(found) == sorted(found)
    assert found == {hour(number): [3 * number + 1, 3 * number + 2, 3 * number + 3] for number in range(6)}
    put_floor(storage, hour(2))
    assert by_hour(storage, NOW) == {key: value for key, value in found.items() if key >= hour(2)}


def test_a_late_record_of_an_indexed_hour_is_read_once() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    write_indexes(storage, FOLDER, now=now)
    put(storage, record(segment(100), made=START + HOUR * 4.9))
    assert by_hour(storage, now)[hour(4)] == [13, 14, 15, 100]


def test_a_damaged_index_is_a_problem_of_its_hour_and_its_records_are_read() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    write_indexes(storage, FOLDER, now=now)
    storage.put(FOLDER.index_key(hour(2)), b"{}", if_absent=False)
    with each_hour(storage, FOLDER, find_hours(storage, FOLDER, now=now)) as hours:
        found = {one.hour: one for one in hours}
    assert [type(problem) for problem in found[hour(2)].problems] == [StreamRecordInvalid]
    assert sum(len(one.segments) for one in found[hour(2)].records) == 3
    assert not any(one.problems for key, one in found.items() if key != hour(2))


def test_no_index_is_made_below_the_floor() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    put_floor(storage, hour(3))
    assert write_indexes(storage, FOLDER, now=now).written == (hour(3), hour(4))
    unread = next(found.key for found in storage.list(FOLDER.hour_prefix(hour(1))))
    storage.put(unread, b"{}", if_absent=False)
    assert write_indexes(storage, FOLDER, now=now + HOUR).problems == ()


def test_hours_that_the_newest_index_names_are_passed_over_below_the_floor() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    unread = next(found.key for found in storage.list(FOLDER.hour_prefix(hour(1))))
    storage.put(unread, b"{}", if_absent=False)
    write_indexes(storage, FOLDER, now=now)
    assert hour(1) in find_hours(storage, FOLDER, now=now).loose
    put_floor(storage, hour(2))
    assert hour(1) not in find_hours(storage, FOLDER, now=now).loose
    (stream,) = read_streams({"it": storage}, FOLDER.series, clock=FakeClock(now))
    assert stream.problems == ()


def test_what_a_floor_holds_stays(storage: MemoryStorage) -> None:
    lasting = record(segment(1), made=START)
    put_floor(storage, hour(4), lasting)
    assert numbers(storage, NOW) == [1, *range(13, 19)]
    assert 1 not in numbers(storage, NOW, read_newest)
    assert newest_floor(storage, FOLDER) is not None


def test_a_floor_that_can_not_be_read_is_a_problem_and_counts_by_its_name(storage: MemoryStorage) -> None:
    put_floor(storage, hour(4))
    storage.put(FOLDER.floor_key(hour(4)), b"{}", if_absent=False)
    (stream,) = read_streams({"it": storage}, FOLDER.series, clock=FakeClock(NOW))
    assert any(problem.details["key"] == FOLDER.floor_key(hour(4)) for problem in stream.problems)
    assert len(stream.segments) == 6
    with pytest.raises(StreamRecordInvalid):
        newest_floor(storage, FOLDER)


def test_a_lineage_of_which_only_a_floor_is_left_is_no_stream() -> None:
    storage = MemoryStorage()
    put_floor(storage, hour(1))
    assert read_streams({"it": storage}, FOLDER.series, clock=FakeClock(NOW)) == ()
    assert find_lineages(storage, FOLDER.series) == (FOLDER.lineage,)
    put(storage, record(segment(9), made=START + HOUR * 2))
    assert numbers(storage, NOW) == [9]


def test_a_floor_that_makes_room_for_a_newer_one_while_it_is_read() -> None:
    class Moving(MemoryStorage):
        """The older floor is removed between listing and reading."""

        def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
            found = list(super().list(prefix))
            if prefix == FOLDER.floors_prefix and floor_key in [one.key for one in found] and len(found) == 1:
                put_floor(self, hour(3))
                self.delete([floor_key])
            return iter(found)

    floor_key = FOLDER.floor_key(hour(2))
    storage = Moving()
    put_floor(storage, hour(2))
    found = newest_floor(storage, FOLDER)
    assert found is not None
    assert found.hour == floor_hour(storage, FOLDER) == hour(3)


def test_an_index_that_retention_removes_while_it_is_read_is_no_problem() -> None:
    class Moving(MemoryStorage):
        """The floor comes, and the first hours go, when the first of their indexes is read."""

        moves = False

        def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
            if self.moves and key == FOLDER.index_key(hour(1)):
                self.moves = False
                put_floor(self, hour(3))
                self.delete([FOLDER.index_key(hour(number)) for number in range(3)])
                self.delete(
                    [found.key for found in super().list(FOLDER.records_prefix) if hour(3) > found.key[-47:-37]]
                )
            return super().get(key, limit=limit)

    for read in ("whole", "by hour"):
        storage = Moving()
        now = fill(storage)
        write_indexes(storage, FOLDER, now=now)
        storage.moves = True
        if read == "whole":
            (stream,) = read_streams({"it": storage}, FOLDER.series, clock=FakeClock(now))
            assert stream.problems == ()
        else:
            with each_hour(storage, FOLDER, find_hours(storage, FOLDER, now=now)) as hours:
                assert not any(one.problems for one in hours)
        assert not storage.moves


def test_who_stops_reading_in_the_middle_leaves_nothing_behind() -> None:
    storage = MemoryStorage()
    now = fill(storage)
    with each_hour(storage, FOLDER, find_hours(storage, FOLDER, now=now)) as hours:
        first = next(hours)
    assert first.hour == hour(0)
    with pytest.raises(StopIteration):
        next(hours)


def test_a_floor_says_the_same_when_it_is_read_back() -> None:
    storage = MemoryStorage()
    made = dataclasses.replace(put_floor(storage, hour(2), record(segment(3))), ends={2: (7, 1), -1: (5,)})
    storage.put(FOLDER.floor_key(hour(2)), made.as_bytes(), if_absent=False)
    assert newest_floor(storage, FOLDER) == made
