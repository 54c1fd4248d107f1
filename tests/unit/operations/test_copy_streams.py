# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams are brought up as well: segments first, then true records of them; conflicts are told and never mixed."""

from __future__ import annotations

import datetime
import itertools
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import KeepPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StreamConflict
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import TargetPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copying import plan_copy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import JobPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import Floor
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.hours import find_hours
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder, hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_newest, read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import StreamEvent
from tests.support.backups import listed
from tests.support.clocks import START
from tests.support.copies import (
    STREAM,
    Repositories,
    backup_id,
    content,
    described,
    events_in,
    put_backup,
    put_index,
    put_segments,
    recorded,
    replace_object,
    segment_of,
)
from tests.support.manifests import unreachable

HOUR = datetime.timedelta(hours=1)
TORN = StreamEvent(what="break", at=START, reason="it was set back")


@pytest.fixture
def two(tmp_path: pathlib.Path) -> Repositories:
    return Repositories(tmp_path)


@pytest.fixture
def three(tmp_path: pathlib.Path) -> Repositories:
    return Repositories(tmp_path, ("local", "offsite", "far"))


def names(*numbers: int) -> set[str]:
    return {segment_of(number)[0].name for number in numbers}


def put_floor(storage: Storage, hour: str, *, made: datetime.datetime, records: t.Any = ()) -> None:
    floor = Floor(
        folder=STREAM,
        engine="mongodb",
        hour=hour,
        made=made,
        host="db1",
        lifeboat_version="0.1.0",
        records=tuple(records),
    )
    storage.put(STREAM.floor_key(hour), floor.as_bytes(), if_absent=False)


def test_segments_that_a_repository_never_got_are_stored_and_recorded_there(two: Repositories) -> None:
    """What required_copies let go to one repository only."""
    put_index(two["local"], put_segments(two["local"], range(1, 4)))
    put_segments(two["local"], range(4, 7), made=START + HOUR)
    put_segments(two["offsite"], [1, 6])
    result = two.copy()
    assert result.error is None
    (outcome,) = result.streams
    assert (outcome.segments, outcome.kept, outcome.planned.target) == (4, 0, "offsite")
    assert recorded(two["offsite"]).keys() == recorded(two["local"]).keys() == names(*range(1, 7))


def test_the_stream_reads_as_one_afterwards(two: Repositories) -> None:
    put_segments(two["local"], range(1, 4), events=[TORN])
    put_segments(two["offsite"], [3])
    two.copy(to=("offsite",))
    (alone,) = read_streams({"offsite": two["offsite"]}, STREAM.series, clock=two.clock)
    assert {one.segment.name for one in alone.segments} == names(1, 2, 3)
    assert [event.what for event in alone.events] == ["break"]
    assert alone.problems == ()
    (merged,) = read_streams(two.storages, STREAM.series, clock=two.clock)
    assert all(set(one.copies) == {"local", "offsite"} for one in merged.segments)
    assert [event.what for event in merged.events] == ["break"]


def test_a_second_copy_has_nothing_to_do(two: Repositories) -> None:
    put_segments(two["local"], range(1, 4), events=[TORN])
    put_segments(two["offsite"], [3])
    assert two.copy().changed
    before = content(two["offsite"])
    second = two.copy()
    assert not second.changed
    assert content(two["offsite"]) == before


def test_a_plan_counts_and_changes_nothing(two: Repositories) -> None:
    put_segments(two["local"], range(1, 4), events=[TORN])
    put_segments(two["local"], range(2, 6), made=START + HOUR)
    put_segments(two["offsite"], [3])
    before = content(two["offsite"])
    plan = plan_copy(two.request(to=("offsite",)), host=two.host, storages=two.storages)
    (stream,) = plan.streams
    assert (stream.segments, stream.events, stream.passed_over) == (4, 1, 0)
    assert stream.bytes == sum(len(segment_of(number)[1]) for number in (1, 2, 4, 5))
    assert stream.hours == {"local": (hour_of(START), hour_of(START + HOUR))}
    assert content(two["offsite"]) == before


def test_times_of_the_segments_stay_what_they_were(two: Repositories) -> None:
    put_segments(two["local"], [1])
    put_segments(two["offsite"], [2])
    two.copy(to=("offsite",))
    assert recorded(two["offsite"])[segment_of(1)[0].name] == recorded(two["local"])[segment_of(1)[0].name]


def test_a_stream_goes_where_its_series_is_or_a_job_names_it(two: Repositories) -> None:
    put_segments(two["local"], [1])
    assert two.copy().streams == ()
    other = TargetPolicy(names=lambda series: series == STREAM.series)
    assert two.copy(policies={"offsite": other}).changed
    assert recorded(two["offsite"]).keys() == names(1)


def test_a_job_that_no_longer_stores_there_is_left_alone(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["offsite"], [1])
    assert not two.copy(policies={"offsite": TargetPolicy(names=lambda series: False)}).changed


def test_hours_that_the_retention_there_would_not_keep_are_passed_over(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["local"], [3, 4], made=START + HOUR)
    put_segments(two["offsite"], [5], made=START + HOUR)

    def wanted_hour(folder: StreamFolder, hour: str) -> bool:
        assert folder == STREAM
        return hour > hour_of(START)

    result = two.copy(to=("offsite",), policies={"offsite": TargetPolicy(wanted_hour=wanted_hour)})
    assert recorded(two["offsite"]).keys() == names(3, 4, 5)
    assert result.streams[0].planned.passed_over == 2
    assert result.error is None


def test_hours_before_the_oldest_base_that_is_kept_there_are_passed_over(two: Repositories) -> None:
    """A year of the stream goes to a repository that keeps a week of it."""
    for day in (1, 5, 18, 20):
        put_backup(two["local"], described(backup_id(day)))
    put_segments(two["local"], [1], made=START - datetime.timedelta(days=20))
    put_segments(two["local"], [2], made=START - datetime.timedelta(days=2))
    put_segments(two["local"], [3], made=START)

    def policy(kind: str, keep: KeepPolicy) -> JobPolicy:
        series = Series(service="family", source="main", kind=kind)
        return JobPolicy(repository="offsite", series=series, engine="mongodb", job=kind, keep=keep)

    keeps = (
        policy("full", KeepPolicy(count=2, minimum_verified=0)),
        policy("oplog", KeepPolicy(within=datetime.timedelta(days=1))),
    )
    target = TargetPolicy(names=lambda _series: True, keeps=keeps)
    result = two.copy(to=("offsite",), policies={"offsite": target})
    assert [backup.manifest.backup_id for backup in listed(two["offsite"])] == [backup_id(18), backup_id(20)]
    assert recorded(two["offsite"]).keys() == names(2, 3)
    assert result.streams[0].planned.passed_over == 1


def test_what_lies_below_the_floor_of_the_target_does_not_come_back(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["local"], [3, 4], made=START + HOUR)
    put_segments(two["offsite"], [3], made=START + HOUR)
    put_floor(two["offsite"], hour_of(START + HOUR), made=START + HOUR)
    two.copy(to=("offsite",))
    assert recorded(two["offsite"]).keys() == names(3, 4)


def test_what_a_floor_keeps_is_known_and_travels(three: Repositories) -> None:
    """The histories of timelines, whose own hours are gone."""
    history = put_segments(three["local"], [1])
    put_segments(three["local"], [3], made=START + HOUR)
    put_floor(three["local"], hour_of(START + HOUR), made=START + HOUR, records=[history])
    put_segments(three["far"], [3], made=START + HOUR)
    put_floor(three["far"], hour_of(START + 2 * HOUR), made=START + HOUR)
    three.copy(to=("far",))
    assert recorded(three["far"]).keys() >= names(1)
    again = three.copy(to=("far",))
    assert not again.changed


def test_an_object_that_a_dead_copy_left_is_kept_and_recorded(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["offsite"], [2])
    segment, data = segment_of(1)
    two["offsite"].put(STREAM.segment_key(segment.description.group, segment.payload.name), data)
    (outcome,) = two.copy().streams
    assert (outcome.segments, outcome.kept, outcome.bytes) == (1, 1, 0)
    assert recorded(two["offsite"]).keys() == names(1, 2)


def test_an_object_that_is_old_may_be_swept_and_is_not_counted_on(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["offsite"], [2])
    segment, data = segment_of(1)
    key = STREAM.segment_key(segment.description.group, segment.payload.name)
    two["offsite"].put(key, data)
    two.clock.advance(2 * 86400)
    (outcome,) = two.copy().streams
    assert outcome.kept == 0
    copied = recorded(two["offsite"])[segment.name]
    assert copied.payload.name != segment.payload.name
    two["offsite"].delete([key])  # the sweep
    assert recorded(two["offsite"]).keys() == names(1, 2)


def test_an_object_from_before_the_floor_may_be_removed_and_is_not_counted_on(two: Repositories) -> None:
    put_segments(two["local"], [1, 2], made=START + 2 * HOUR)
    put_segments(two["offsite"], [1], made=START)
    put_segments(two["offsite"], [2], made=START + 2 * HOUR)
    two.clock.advance(60)
    put_floor(two["offsite"], hour_of(START + HOUR), made=two.clock.now())
    (outcome,) = two.copy(to=("offsite",)).streams
    assert (outcome.segments, outcome.kept) == (1, 0)
    # Retention goes on and removes what the hours below its floor name.
    segment, _data = segment_of(1)
    two["offsite"].delete([STREAM.segment_key(segment.description.group, segment.payload.name)])
    assert recorded(two["offsite"]).keys() == names(1, 2)


def test_another_encryption_of_the_same_is_stored_beside(two: Repositories) -> None:
    put_segments(two["local"], [1, 2], encryption="a")
    put_segments(two["offsite"], [2], encryption="b")
    segment, _data = segment_of(1, encryption="b")
    key = STREAM.segment_key(segment.description.group, segment.payload.name)
    two["offsite"].put(key, b"encrypted otherwise, and cut short")
    result = two.copy(to=("offsite",))
    assert result.error is None
    copied = recorded(two["offsite"])
    assert copied.keys() == names(1, 2)
    assert copied[segment.name].payload.name not in key
    assert content(two["offsite"])[key] == b"encrypted otherwise, and cut short"


def test_what_was_stored_beside_and_never_recorded_is_found_again(two: Repositories) -> None:
    put_segments(two["local"], [1, 2], encryption="a")
    put_segments(two["offsite"], [2], encryption="b")
    segment, data = segment_of(1, encryption="a")
    prefix = STREAM.group_prefix(segment.description.group)
    two["offsite"].put(f"{prefix}{segment.payload.name}", b"other")
    beside = f"{segment.name}.{segment.plain_sha256}.0a1b2c.zst.age"
    two["offsite"].put(f"{prefix}{beside}", data)
    (outcome,) = two.copy(to=("offsite",)).streams
    assert outcome.kept == 1
    assert recorded(two["offsite"])[segment.name].payload.name == beside


def test_other_bytes_of_one_name_are_told_and_never_mixed(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["offsite"], [1], content="another history")
    result = two.copy(to=("offsite",))
    assert [type(problem) for problem in result.plan.problems] == [StreamConflict]
    assert recorded(two["offsite"])[segment_of(1)[0].name] == segment_of(1, content="another history")[0]
    assert result.error is not None
    # The rest comes all the same.
    assert recorded(two["offsite"]).keys() == names(1, 2)


def test_other_bytes_that_no_record_names_are_a_conflict_too(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["offsite"], [3])
    other, data = segment_of(1, content="another history")
    two["offsite"].put(STREAM.segment_key(other.description.group, other.payload.name), data)
    (outcome,) = two.copy(to=("offsite",)).streams
    assert (outcome.segments, outcome.lacking, outcome.state) == (1, 1, "failed")
    assert isinstance(outcome.error, StreamConflict)
    assert recorded(two["offsite"]).keys() == names(2, 3)


def test_damaged_segments_come_from_the_next_repository(three: Repositories) -> None:
    put_segments(three["local"], [1, 2, 3])
    put_segments(three["far"], [1, 2, 3], made=START + 5 * HOUR)
    put_segments(three["offsite"], [3])
    segment, data = segment_of(1)
    key = STREAM.segment_key(segment.description.group, segment.payload.name)
    replace_object(three["local"], key, b"?" + data[1:])
    result = three.copy(to=("offsite",))
    (outcome,) = result.streams
    assert (outcome.segments, outcome.lacking) == (2, 0)
    assert recorded(three["offsite"]).keys() == names(1, 2, 3)


def test_damaged_segments_that_nobody_else_has_are_told(two: Repositories) -> None:
    put_segments(two["local"], [1, 2, 3])
    put_segments(two["offsite"], [3])
    segment, data = segment_of(1)
    key = STREAM.segment_key(segment.description.group, segment.payload.name)
    replace_object(two["local"], key, b"?" + data[1:])
    result = two.copy(to=("offsite",))
    (outcome,) = result.streams
    assert (outcome.segments, outcome.lacking, outcome.state) == (1, 1, "failed")
    assert recorded(two["offsite"]).keys() == names(2, 3)
    assert result.error is not None


def test_a_source_that_ends_in_the_middle_is_replaced_by_the_next(three: Repositories) -> None:
    put_segments(three["local"], range(1, 6))
    put_segments(three["far"], range(1, 6), made=START + 5 * HOUR)
    put_segments(three["offsite"], [9])
    watched = FaultyStorage(storage=three["local"])
    three.storages["local"] = watched
    plan_copy(three.request(to=("offsite",)), host=three.host, storages=three.storages)
    calls = len(watched.calls)
    # It answers while the plan is made, and a few calls more.
    three.storages["local"] = FaultyStorage(
        storage=three["local"], fault=unreachable, point=FaultPoint(at_call=calls + 6, times=None)
    )
    result = three.copy(to=("offsite",), parallel=1)
    (outcome,) = result.streams
    assert outcome.lacking == 0
    assert recorded(three["offsite"]).keys() == names(1, 2, 3, 4, 5, 9)


def test_segments_that_the_source_removes_meanwhile_are_no_failure(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["local"], [3], made=START + 2 * HOUR)
    put_segments(two["offsite"], [9], made=START + 2 * HOUR)
    local = two["local"]

    class Pruned(FaultyStorage):
        """Retention moves the floor and takes the segments below away."""

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
            if not list(local.list(STREAM.floors_prefix)):
                put_floor(local, hour_of(START + HOUR), made=two.clock.now())
                gone = [segment_of(number)[0] for number in (1, 2)]
                local.delete([STREAM.segment_key(one.description.group, one.payload.name) for one in gone])
            return super().read(key, offset=offset, length=length)

    two.storages["local"] = Pruned(storage=local)
    result = two.copy(to=("offsite",))
    (outcome,) = result.streams
    assert (outcome.gone, outcome.lacking, outcome.state) == (2, 0, "copied")
    assert result.error is None
    assert recorded(two["offsite"]).keys() == names(3, 9)


def test_whole_hours_that_the_source_removes_meanwhile_are_no_failure(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["local"], [3], made=START + 2 * HOUR)
    put_segments(two["offsite"], [9], made=START + 2 * HOUR)
    local = two["local"]

    class Pruned(FaultyStorage):
        """Retention moves the floor when the plan is made and before anything is copied."""

        def list(self, prefix: str = "") -> t.Iterator[t.Any]:
            if prefix == STREAM.floors_prefix and f"list {prefix}" in self.calls:
                put_floor(local, hour_of(START + HOUR), made=two.clock.now())
            return super().list(prefix)

    two.storages["local"] = Pruned(storage=local)
    (outcome,) = two.copy(to=("offsite",)).streams
    assert (outcome.segments, outcome.gone, outcome.lacking) == (1, 2, 0)
    assert recorded(two["offsite"]).keys() == names(3, 9)


def test_segments_that_are_recorded_and_not_there_are_repaired_when_asked(two: Repositories) -> None:
    put_segments(two["local"], [1, 2, 3])
    put_segments(two["offsite"], [1, 2, 3])
    keys = {
        number: STREAM.segment_key(segment_of(number)[0].description.group, segment_of(number)[0].payload.name)
        for number in (1, 2)
    }
    two["offsite"].delete([keys[1]])
    replace_object(two["offsite"], keys[2], b"cut")
    assert not two.copy(to=("offsite",)).changed
    (outcome,) = two.copy(to=("offsite",), repair=True).streams
    assert (outcome.segments, outcome.lacking) == (2, 0)
    (alone,) = read_streams({"offsite": two["offsite"]}, STREAM.series, clock=two.clock)
    for one in alone.segments:
        copy = one.copies["offsite"]
        stored = content(two["offsite"])[STREAM.segment_key(copy.description.group, copy.payload.name)]
        assert len(stored) == copy.payload.size


def test_records_are_never_made_in_an_hour_that_has_its_index(two: Repositories) -> None:
    """The clock of this host is behind."""
    put_segments(two["local"], [1, 2])
    ahead = two.clock.now() + 5 * HOUR
    put_index(two["offsite"], put_segments(two["offsite"], [9], made=ahead))
    two.copy(to=("offsite",))
    (alone,) = read_streams({"offsite": two["offsite"]}, STREAM.series, clock=two.clock)
    assert {one.segment.name for one in alone.segments} == names(1, 2, 9)


def test_a_record_that_comes_too_late_for_its_hour_is_made_again(two: Repositories) -> None:
    put_segments(two["local"], [1])
    put_segments(two["offsite"], [9])
    offsite = two["offsite"]

    class Slow(FaultyStorage):
        slow = 1

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            if "/records/" in key and self.slow:
                self.slow -= 1
                two.clock.advance(3 * 3600)
            return super().put(key, data, if_absent=if_absent)

    two.storages["offsite"] = Slow(storage=offsite)
    began = hour_of(two.clock.now())
    two.copy(to=("offsite",))
    hours = [key.split("/")[5] for key in content(offsite) if "/records/" in key]
    assert began in hours
    assert hour_of(two.clock.now()) in hours


def test_hours_that_only_copies_reach_get_their_indexes(two: Repositories) -> None:
    put_segments(two["local"], [1])
    put_segments(two["offsite"], [9])
    two.copy(to=("offsite",))
    two.clock.advance(3 * 3600)
    put_segments(two["local"], [2], made=two.clock.now())
    two.copy(to=("offsite",))
    assert len(find_hours(two["offsite"], STREAM, now=two.clock.now()).indexed) == 2


def test_many_segments_of_many_hours_are_recorded_in_batches(two: Repositories) -> None:
    numbers = itertools.count(1)
    for hour in range(5):
        put_segments(two["local"], [next(numbers) for _turn in range(70)], made=START + hour * HOUR)
    put_segments(two["offsite"], [1])
    result = two.copy(to=("offsite",))
    assert result.streams[0].segments == 349
    assert recorded(two["offsite"]).keys() == recorded(two["local"]).keys()
    (newest,) = read_newest({"offsite": two["offsite"]}, STREAM.series, clock=two.clock)
    assert newest.problems == ()


def test_events_alone_travel(two: Repositories) -> None:
    put_segments(two["local"], [1], events=[TORN])
    put_segments(two["offsite"], [1])
    result = two.copy(to=("offsite",))
    assert result.streams[0].events == 1
    assert events_in(two["offsite"]) == ["break"]
    assert not two.copy(to=("offsite",)).changed


@pytest.mark.thorough
@pytest.mark.parametrize("answer_lost", [False, True])
@pytest.mark.parametrize("side", ["local", "offsite"])
def test_a_fault_at_every_call_leaves_true_records_and_the_next_copy_goes_on(
    tmp_path: pathlib.Path, side: str, answer_lost: bool
) -> None:
    for call in itertools.count(1):
        repositories = Repositories(tmp_path)
        put_index(repositories["local"], put_segments(repositories["local"], range(1, 4), events=[TORN]))
        put_segments(repositories["local"], range(4, 6), made=START + 20 * HOUR)
        put_segments(repositories["offsite"], [2])
        plain = repositories.storages[side]
        faulty = FaultyStorage(
            storage=plain, fault=unreachable, point=FaultPoint(at_call=call, answer_lost=answer_lost, times=None)
        )
        repositories.storages[side] = faulty
        first = repositories.copy(to=("offsite",), parallel=1)
        repositories.storages[side] = plain
        # Each of it is there, byte for byte; and what is not is told, save an index that somebody else can write.
        has_all = recorded(repositories["offsite"]).keys() == names(*range(1, 6))
        if not faulty.struck:
            assert first.error is None
            break
        assert has_all or first.error is not None, call
        repositories.clock.advance(60)
        again = repositories.copy(to=("offsite",))
        assert again.error is None, (call, again.error)
        assert recorded(repositories["offsite"]).keys() == names(*range(1, 6)), call
        assert set(events_in(repositories["offsite"])) == {"break"}, call
    assert call > 15
