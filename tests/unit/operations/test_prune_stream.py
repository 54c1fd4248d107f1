# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing what a stream no longer needs: what goes, what stays, and what the next run finishes."""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass, replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageForbidden,
    StorageUnreachable,
    StreamRecordInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import Lease, take_lease
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_hours import summarise_series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import DeleteReport, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import (
    floor_hour,
    floor_hours,
    newest_floor,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index_writer import write_indexes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder, hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import find_lineages
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.pruning import (
    FOLDER,
    LATER,
    assert_clean,
    assert_true,
    fill,
    keys,
    names,
    number_of,
    prune,
    put_hour,
    reachable,
    read,
    segments_stored,
    summarise,
    switch,
    wal,
)
from tests.support.stream_hours import BEGIN, HOUR, hour, put_index, put_record, record_of
from tests.unit.postgresql.wal_archives import base

OTHER = StreamFolder(series=FOLDER.series, lineage="7399999999999999999")


def numbers(storage: Storage) -> list[int]:
    return [number_of(name) for name in names(storage) if not name.endswith(".history")]


@pytest.fixture
def storage() -> MemoryStorage:
    """Segments 1 to 24, three in each of eight hours."""
    made = MemoryStorage()
    fill(made)
    return made


# --- what goes -------------------------------------------------------------------------------------------------------


def test_what_was_recorded_before_goes_with_its_records_and_indexes(storage: MemoryStorage) -> None:
    before = reachable(storage, [base(8)])
    summary = summarise(storage, [base(8)])
    done = prune(storage, summary.entry.needed_from[base(8).manifest.backup_id])
    assert done.floor == hour(2)
    assert (done.hours, done.segments, done.bytes, done.spared) == (2, 6, 6000, 0)
    assert done.is_finished
    assert done.error is None
    assert numbers(storage) == list(range(7, 25))
    assert reachable(storage, [base(8)]) == before
    assert_clean(storage)
    assert done.as_dict()["floor"] == hour(2)


def test_a_later_floor_takes_the_place_of_an_earlier_one(storage: MemoryStorage) -> None:
    for number in (1, 3, 7):
        prune(storage, hour(number))
        assert floor_hours(storage, FOLDER) == (hour(number),)
        assert numbers(storage) == list(range(3 * number + 1, 25))
        assert_clean(storage)


def test_nothing_is_touched_where_nothing_goes(storage: MemoryStorage) -> None:
    before = keys(storage)
    done = prune(storage, hour(0))
    assert (done.floor, done.segments, done.is_finished) == ("", 0, True)
    assert keys(storage) == before


def test_what_is_pruned_has_nothing_more_to_prune(storage: MemoryStorage) -> None:
    prune(storage, hour(4))
    counting = FaultyStorage(storage=storage)
    summary = summarise(counting, [base(14)])
    assert not summary.is_unfinished
    assert [one.key for one in summary.entry.hours] == [hour(number) for number in range(4, 8)]
    assert counting.changes == 0
    done = prune(counting, hour(4))
    assert (done.segments, counting.changes) == (0, 0)


def test_a_floor_is_never_lowered(storage: MemoryStorage) -> None:
    prune(storage, hour(4))
    assert prune(storage, hour(2)).floor == hour(4)
    assert floor_hours(storage, FOLDER) == (hour(4),)


def test_hours_without_an_index_go_as_well() -> None:
    storage = MemoryStorage()
    for number in range(4):
        put_hour(storage, number, wal(3 * number + 1, 3 * number + 3), indexed=False)
    done = prune(storage, hour(3))
    assert (done.hours, done.segments, done.objects) == (3, 9, 18)
    assert_clean(storage)


def test_a_late_record_of_an_indexed_hour_goes_as_well(storage: MemoryStorage) -> None:
    put_hour(storage, 1.5, wal(50, 51), indexed=False)
    assert prune(storage, hour(3)).segments == 11
    assert_clean(storage)


def test_events_of_hours_that_go_go(storage: MemoryStorage) -> None:
    put_record(storage, record_of(FOLDER, [], number=1.7))
    prune(storage, hour(3))
    assert_clean(storage)


# --- what stays ------------------------------------------------------------------------------------------------------


def test_the_history_of_a_timeline_stays_as_long_as_its_lineage() -> None:
    storage = MemoryStorage()
    put_hour(storage, 0, wal(1, 5))
    put_hour(storage, 1, [switch(5), *wal(5, 8, timeline=2)])
    put_hour(storage, 2, wal(9, 12, timeline=2))
    put_hour(storage, 3, wal(13, 16, timeline=2), indexed=False)
    for number in (2, 3):
        done = prune(storage, hour(number))
        assert done.is_finished
        assert "00000002.history" in names(storage)
        assert "00000002" in {name.partition(".")[0] for name in segments_stored(storage)}
        assert_clean(storage)
    floor = newest_floor(storage, FOLDER)
    assert floor is not None
    assert [one.name for record in floor.records for one in record.segments] == ["00000002.history"]
    assert floor.ends[1] == (6,)
    assert floor.ends[2] == (13,)


def test_what_lasts_and_was_not_known_when_the_floor_was_made_is_held_before_its_record_goes() -> None:
    storage = MemoryStorage()
    fill(storage)
    summary = summarise(storage)
    # Somebody else brings it after the reading: in an hour with an index, and in one without.
    put_hour(storage, 1.5, [switch(5)], indexed=False)
    put_hour(storage, -5, [replace_timeline(switch(5), 3)], indexed=True)
    done = prune(storage, hour(3), summary=summary)
    assert done.is_finished
    assert {"00000002.history", "00000003.history"} <= set(names(storage))
    assert_clean(storage)


def replace_timeline(one: t.Any, timeline: int) -> t.Any:
    name = f"{timeline:08X}.history"
    payload = replace(one.segment.payload, name=one.segment.payload.name.replace(one.segment.name, name))
    facts = {**one.segment.facts, "timeline": timeline}
    description = replace(one.segment.description, name=name, facts=facts)
    return replace(one, segment=replace(one.segment, description=description, payload=payload))


@pytest.mark.parametrize("indexed", [True, False])
def test_a_segment_that_an_hour_which_counts_names_too_stays(indexed: bool) -> None:
    storage = MemoryStorage()
    put_hour(storage, 0, wal(1, 6))
    put_hour(storage, 1, wal(7, 9))
    put_hour(storage, 2, wal(5, 10), indexed=indexed)
    put_hour(storage, 3, wal(11, 12), indexed=False)
    done = prune(storage, hour(2))
    assert (done.segments, done.spared) == (4, 5)
    assert numbers(storage) == list(range(5, 13))
    assert_clean(storage)


def test_a_segment_that_was_recorded_again_after_the_reading_stays(storage: MemoryStorage) -> None:
    summary = summarise(storage, now=BEGIN + 8 * HOUR)
    put_hour(storage, 7.5, wal(2, 3), indexed=False)
    put_hour(storage, 9, wal(1, 1), indexed=False)
    prune(storage, hour(3), summary=summary)
    assert {1, 2, 3} <= set(numbers(storage))
    assert_clean(storage)


def test_a_segment_that_was_recorded_again_stays_also_when_another_run_finishes(storage: MemoryStorage) -> None:
    put_hour(storage, 5.5, wal(2, 3), indexed=False)
    die_at(storage, lambda calls: next(n for n, call in enumerate(calls, 1) if call.startswith("delete ")), hour(3))
    assert floor_hour(storage, FOLDER) == hour(3)
    assert len(segments_stored(storage)) == 24
    summary = summarise(storage)
    assert summary.is_unfinished
    prune(storage, "", summary=summary)
    assert numbers(storage) == [*range(10, 19), 2, 3, *range(19, 25)]
    assert_clean(storage)


def test_only_hours_that_may_name_the_same_are_read_again(storage: MemoryStorage) -> None:
    counting = FaultyStorage(storage=storage)
    summary = summarise(storage, now=BEGIN + 8 * HOUR)
    prune(counting, hour(2), summary=summary, now=BEGIN + 8 * HOUR)
    read_again = {
        call.rpartition("/")[2][:10] for call in counting.calls if call.startswith("get ") and "/index/" in call
    }
    assert hour(4) not in read_again
    assert hour(3) not in read_again


# --- locks, refusals, damage -----------------------------------------------------------------------------------------


def test_what_is_under_lock_keeps_its_records_until_the_lock_has_ended() -> None:
    clock = FakeClock(BEGIN)
    storage = MemoryStorage(clock=clock, locks=True, delete_versions=True)
    fill(storage)
    locked = [key for key in (one.key for one in storage.list(f"{FOLDER.prefix}segments/")) if "00000002." in key]
    until = LATER + datetime.timedelta(days=3)
    assert storage.extend_lock(locked, until=until) == {}
    clock.advance((LATER - BEGIN).total_seconds())
    done = prune(storage, hour(3))
    assert (done.segments, done.deferred, done.deferred_until) == (8, 1, until)
    assert done.waiting == (hour(0),)
    assert done.error is None
    assert not done.is_finished
    assert numbers(storage) == list(range(10, 25))
    assert segments_stored(storage) == {f"{1:08X}{0:08X}{number:08X}" for number in (2, *range(10, 25))}
    assert f"index/{hour(0)}.json" in keys(storage)

    # A later run with a higher floor still knows of it; once the lock has ended all of it goes.
    assert summarise(storage).is_unfinished
    assert prune(storage, hour(5)).waiting == (hour(0),)
    clock.advance(datetime.timedelta(days=4).total_seconds())
    assert prune(storage, "").is_finished
    assert_clean(storage)


def test_records_under_lock_are_tried_again_without_their_segments() -> None:
    clock = FakeClock(LATER)
    storage = MemoryStorage(clock=clock, locks=True, delete_versions=True)
    fill(storage)
    for what in (f"{FOLDER.index_prefix}{hour(1)}", FOLDER.hour_prefix(hour(0))):
        locked = [one.key for one in storage.list(what)]
        assert storage.extend_lock(locked, until=LATER + HOUR) == {}
    done = prune(storage, hour(3))
    assert (done.segments, done.deferred, done.waiting) == (9, 4, (hour(0), hour(1)))
    assert f"index/{hour(0)}.json" in keys(storage), "it names the records in one request"
    clock.advance(7200)
    assert prune(storage, "").is_finished
    assert_clean(storage)


class Stubborn(MemoryStorage):
    """Deletes nothing of that name."""

    refuses = ""

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        refused = {key: "AccessDenied" for key in keys if self.refuses and self.refuses in key}
        report = super().delete([key for key in keys if key not in refused])
        cause = (StorageForbidden("Deleting is not allowed.", hint="Give the right to."),) if refused else ()
        return DeleteReport(deleted=report.deleted, refused=refused, causes=cause)


@pytest.mark.parametrize("refuses", ["000000010000000000000005.", "/records/", "/index/", "/floors/"])
def test_what_may_not_be_removed_is_said_and_comes_again(refuses: str) -> None:
    storage = Stubborn()
    fill(storage)
    prune(storage, hour(1))
    storage.refuses = refuses
    done = prune(storage, hour(3))
    assert isinstance(done.error, StorageForbidden)
    assert all(why == "AccessDenied" for why in done.refused.values())
    assert done.refused
    assert_true(storage)
    storage.refuses = ""
    assert prune(storage, "" if refuses != "/floors/" else hour(4)).is_finished
    assert_clean(storage)


def test_an_index_that_nobody_can_read_goes_by_its_records(storage: MemoryStorage) -> None:
    records = put_hour(storage, -1, wal(60, 62))
    storage.put(FOLDER.index_key(hour(-1)), b"{}", if_absent=False)
    summary = summarise(storage)
    assert [type(one) for one in summary.problems] == [StreamRecordInvalid]
    done = prune(storage, hour(2), summary=summary)
    assert done.segments == 9
    assert done.is_finished
    assert_clean(storage)
    assert len(records) == 3


def test_what_nobody_can_read_stays_and_is_said(storage: MemoryStorage) -> None:
    put_index(storage, [record_of(FOLDER, [wal(60, 60)[0].segment], number=-1)], with_records=False)
    storage.put(FOLDER.index_key(hour(-1)), b"{}", if_absent=False)
    put_hour(storage, -2, wal(61, 62), indexed=False)
    damaged = next(one.key for one in storage.list(FOLDER.hour_prefix(hour(-2))))
    storage.put(damaged, b"{}", if_absent=False)
    done = prune(storage, hour(2))
    assert {problem.details["key"] for problem in done.problems} == {damaged, FOLDER.index_key(hour(-1))}
    assert isinstance(done.error, StreamRecordInvalid)
    assert {f"records/{hour(-2)}/{damaged.rpartition('/')[2]}", f"index/{hour(-1)}.json"} <= set(keys(storage))
    assert numbers(storage) == list(range(7, 25))


def test_a_floor_that_can_not_be_read_ends_it_before_anything_is_removed(storage: MemoryStorage) -> None:
    prune(storage, hour(2))
    storage.put(FOLDER.floor_key(hour(2)), b"{}", if_absent=False)
    before = keys(storage)
    done = prune(storage, hour(4))
    assert isinstance(done.stopped, StreamRecordInvalid)
    assert keys(storage) == before


def test_an_hour_that_counts_and_can_not_be_read_ends_it_before_anything_is_removed(storage: MemoryStorage) -> None:
    summary = summarise(storage)
    put_hour(storage, 9, wal(1, 1), indexed=False)
    fresh = next(one.key for one in storage.list(FOLDER.hour_prefix(hour(9))))
    storage.put(fresh, b"{}", if_absent=False)
    before = keys(storage)
    done = prune(storage, hour(4), summary=summary)
    assert isinstance(done.stopped, StreamRecordInvalid)
    assert keys(storage) == before


def test_older_versions_go_where_that_is_wanted() -> None:
    storage = MemoryStorage(versioned=True)
    fill(storage)
    prune(storage, hour(2))
    assert any(not one.is_latest or one.is_marker for one in storage.versions(FOLDER.prefix))
    fresh = MemoryStorage(versioned=True)
    fill(fresh)
    assert prune(fresh, hour(2), versions="all").is_finished
    assert {one.key for one in fresh.versions(FOLDER.prefix)} == {one.key for one in fresh.list(FOLDER.prefix)}
    assert_clean(fresh)


# --- whole lineages --------------------------------------------------------------------------------------------------


def test_a_lineage_that_is_over_goes_whole(storage: MemoryStorage) -> None:
    put_hour(storage, 7.5, [switch(24)], indexed=False)
    done = prune(storage, hour(20), is_newest=False)
    assert done.is_finished
    assert keys(storage) == []


def test_the_end_of_the_newest_lineage_stays_whatever_is_decided(storage: MemoryStorage) -> None:
    fill(storage, hours=3, folder=OTHER)
    first, second = summarise_series(storage, FOLDER.series, engine="postgresql", bases=(), marks=marks(), now=LATER)
    assert [(one.entry.lineage, one.is_newest) for one in (first, second)] == [
        (FOLDER.lineage, True),
        (OTHER.lineage, False),
    ]
    assert prune(storage, hour(20), summary=second).is_finished
    assert find_lineages(storage, FOLDER.series) == (FOLDER.lineage,)
    assert prune(storage, hour(20), summary=first).floor == hour(7)
    assert numbers(storage) == [22, 23, 24]
    assert_clean(storage)


def marks() -> t.Any:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_marks import WAL_MARKS

    return WAL_MARKS


def test_a_lineage_that_lives_on_meanwhile_keeps_its_floor(storage: MemoryStorage) -> None:
    put_hour(storage, 7.5, [switch(24)], indexed=False)
    summary = replace(summarise(storage), is_newest=False)
    put_hour(storage, 21, wal(30, 31), indexed=False)
    assert prune(storage, hour(20), summary=summary).is_finished
    assert names(storage)[0] == "00000002.history"
    assert numbers(storage) == [30, 31]
    assert_clean(storage)


def test_a_lineage_that_goes_whole_keeps_its_floor_while_anything_of_it_is_under_lock() -> None:
    clock = FakeClock(LATER)
    storage = MemoryStorage(clock=clock, locks=True, delete_versions=True)
    fill(storage)
    locked = [one.key for one in storage.list(f"{FOLDER.prefix}segments/")][4:6]
    assert storage.extend_lock(locked, until=LATER + HOUR) == {}
    assert prune(storage, hour(20), is_newest=False).waiting == (hour(1),)
    assert floor_hour(storage, FOLDER) == hour(20)
    clock.advance(7200)
    assert prune(storage, "").is_finished
    assert keys(storage) == []


def test_a_floor_alone_goes_at_last(storage: MemoryStorage) -> None:
    die_at(storage, len, hour(20), is_newest=False)
    assert keys(storage) == [f"floors/{hour(20)}.json"]
    assert summarise(storage).is_unfinished
    assert prune(storage, "").is_finished
    assert keys(storage) == []


# --- one after the other, and at the same time -----------------------------------------------------------------------


@dataclass
class Clocked:
    """A lease that ends after so many questions."""

    left: int
    deadline: datetime.datetime = LATER + HOUR

    def is_ours(self) -> bool:
        self.left -= 1
        return self.left >= 0


def test_nothing_more_is_begun_when_the_time_is_up_or_the_lease_is_gone(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_module(), "_BATCH", 5)
    late = take_lease(storage, holder={}, now=LATER - 6 * HOUR)
    host = Host(clock=FakeClock(LATER), name="pruner")
    done = prune(storage, hour(3), lease=late, host=host)
    assert (done.is_left, done.segments, done.error) == (True, 0, None)
    assert floor_hour(storage, FOLDER) == hour(3)
    lost: t.Any = Clocked(left=1)
    done = prune(storage, "", lease=lost)
    assert done.is_left
    assert 0 < done.segments < 9
    assert not done.is_finished
    assert_true(storage)
    assert prune(storage, "").is_finished
    assert_clean(storage)
    assert isinstance(late, Lease)


def prune_module() -> t.Any:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import prune_stream

    return prune_stream


@pytest.mark.thorough
def test_a_repository_that_does_not_answer_is_the_end_and_no_more(storage: MemoryStorage) -> None:
    def fail() -> None:
        raise StorageUnreachable("The repository does not answer.", hint="Look at the network.")

    summary = summarise(storage)
    total = FaultyStorage(storage=copy_of(storage))
    prune(total, hour(3), summary=summary)
    for number in range(1, len(total.calls) + 1):
        left = copy_of(storage)
        faulty = FaultyStorage(storage=left, fault=fail, point=FaultPoint(at_call=number))
        done = prune(faulty, hour(3), summary=summary)
        assert isinstance(done.stopped, StorageUnreachable), number
        assert_true(left)
        assert prune(left, hour(3)).is_finished
        assert_clean(left)


class Died(BaseException):
    """The process is gone: nothing more is done, and nothing is caught."""


def copy_of(storage: Storage) -> MemoryStorage:
    made = MemoryStorage()
    for one in storage.list():
        made.put(one.key, storage.get(one.key))
    return made


def die_at(storage: MemoryStorage, choose: t.Callable[[list[str]], int], keep_from: str, **options: t.Any) -> None:
    """Let a run die before one of its calls: of all calls that it would make, the one that is chosen."""
    summary = replace(summarise(storage), is_newest=options.pop("is_newest", True))
    whole = FaultyStorage(storage=copy_of(storage))
    prune(whole, keep_from, summary=summary)
    die(storage, summary, keep_from, at_call=choose(whole.calls))


def die(storage: Storage, summary: t.Any, keep_from: str, *, at_call: int, answer_lost: bool = False) -> bool:
    """Let a run die; False when it had fewer calls to make."""

    def gone() -> None:
        raise Died

    point = FaultPoint(at_call=at_call, answer_lost=answer_lost, times=None)
    try:
        prune(FaultyStorage(storage=storage, fault=gone, point=point), keep_from, summary=summary)
    except Died:
        return True
    return False


def made_for_dying() -> MemoryStorage:
    """Two timelines, hours without an index, a late record, a segment that was recorded twice, an older floor."""
    storage = MemoryStorage()
    put_hour(storage, -2, wal(100, 101))
    put_hour(storage, 0, wal(1, 3))
    put_hour(storage, 1, [switch(4), *wal(4, 6, timeline=2)])
    put_hour(storage, 1.9, wal(7, 7, timeline=2), indexed=False)
    put_hour(storage, 2, wal(8, 9, timeline=2), indexed=False)
    put_hour(storage, 3, wal(10, 12, timeline=2), indexed=False)
    put_hour(storage, 4, wal(9, 14, timeline=2), indexed=False)
    prune(storage, hour(0))
    return storage


@pytest.mark.thorough
@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("keep_from", "is_newest"), [(hour(3), True), (hour(30), False)], ids=["a part", "whole"])
def test_a_run_dies_at_every_call_and_the_next_one_finishes(keep_from: str, is_newest: bool, answer_lost: bool) -> None:
    origin = made_for_dying()
    summary = replace(summarise(origin), is_newest=is_newest)
    before = names(origin)
    undisturbed = copy_of(origin)
    prune(undisturbed, keep_from, summary=summary)
    afterwards = keys(undisturbed)
    for number in itertools.count(1):
        storage = copy_of(origin)
        if not die(storage, summary, keep_from, at_call=number, answer_lost=answer_lost):
            break
        # Whoever reads now sees everything or what stays, and all of it is there.
        assert_true(storage)
        if any(key.startswith(f"records/{hour(0)}/") for key in keys(storage)):
            assert f"index/{hour(0)}.json" in keys(storage), f"{number}: it names the records in one request"
        shown = names(storage) if storage_has_hours(storage) else []
        assert shown in (before, names(undisturbed) if afterwards else []), number
        again = replace(summarise(storage), is_newest=is_newest)
        if again.is_unfinished or floor_hour(storage, FOLDER) < keep_from:
            done = prune(storage, keep_from, summary=again)
            assert done.is_finished, number
        assert keys(storage) == afterwards, number
        if afterwards:
            assert_clean(storage)
    assert number > 15


def storage_has_hours(storage: Storage) -> bool:
    return bool(summarise(storage).entry.hours)


def test_a_run_that_dies_again_and_again_comes_to_its_end() -> None:
    origin = made_for_dying()
    storage = copy_of(origin)
    for number in range(1, 40):
        die(storage, summarise(storage), hour(3), at_call=1 + number % 17, answer_lost=number % 2 == 0)
        assert_true(storage)
    assert prune(storage, hour(3)).is_finished
    assert_clean(storage)


@pytest.mark.thorough
def test_two_at_once_do_no_harm() -> None:
    origin = made_for_dying()
    summary = summarise(origin)
    for first, second in itertools.product((hour(2), hour(3), hour(4)), repeat=2):
        for number in range(1, 40, 3):
            # One is stopped anywhere; the other one, who had read at the same time, does all of his; the first goes on.
            storage = copy_of(origin)
            if not die(storage, summary, first, at_call=number):
                break
            assert prune(storage, second, summary=summary).stopped is None
            assert_true(storage)
            assert prune(storage, first, summary=summary).stopped is None
            assert_true(storage)
            assert floor_hour(storage, FOLDER) == max(first, second)
            assert prune(storage, "").is_finished
            assert_clean(storage)


@pytest.mark.thorough
def test_shipping_goes_on_while_a_run_dies() -> None:
    origin = made_for_dying()
    summary = summarise(origin)
    for number in itertools.count(1):
        storage = copy_of(origin)
        put_hour(storage, 5, wal(15, 16, timeline=2), indexed=False)
        if not die(storage, summary, hour(3), at_call=number):
            break
        write_indexes(storage, FOLDER, now=LATER)
        put_hour(storage, 6, wal(17, 17, timeline=2), indexed=False)
        write_indexes(storage, FOLDER, now=LATER)
        assert_true(storage)
        assert prune(storage, hour(3)).is_finished
        assert numbers(storage)[-1] == 17
        assert_clean(storage)


def test_an_index_that_is_made_below_the_floor_goes_with_the_next_run(storage: MemoryStorage) -> None:
    """Whoever had listed an hour before the floor was there may write its index afterwards."""
    records = put_hour(storage, 2.5, wal(70, 71), indexed=False)
    prune(storage, hour(4))
    put_index(storage, records, with_records=False)
    summary = summarise(storage)
    assert summary.is_unfinished
    assert hour_of(records[0].made) < floor_hour(storage, FOLDER)
    assert prune(storage, "", summary=summary).is_finished
    assert_clean(storage)
    assert read(storage).problems == ()
