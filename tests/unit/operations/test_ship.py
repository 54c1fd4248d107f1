# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipping a stream: in order, into every repository at its own pace, out of the spool only when it is safe."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LockHeld,
    RequestInvalid,
    StorageForbidden,
    StorageUnreachable,
    StreamBlocked,
    StreamPartial,
    StreamSpoolUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import SourceLock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import ShipResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import encoder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import StreamEvent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool
from tests.support.clocks import START
from tests.support.memory import MemoryStorage
from tests.support.ship_bench import ShipBench, names
from tests.support.streams import MIB, assert_true, name_of, read_one, recorded


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ShipBench:
    return ShipBench(tmp_path, monkeypatch)


class Switchable:
    """A fault that can be turned on and off."""

    def __init__(self, error: t.Callable[[], Exception] | None = None) -> None:
        self.on = True
        self._error = error or (lambda: StorageUnreachable("nobody answers"))

    def __call__(self) -> None:
        if self.on:
            raise self._error()


def broken(fault: t.Callable[[], None], **point: t.Any) -> FaultyStorage:
    given = point or {"at_call": 1, "times": None}
    return FaultyStorage(storage=MemoryStorage(), fault=fault, point=FaultPoint(**given))


def warned(result: ShipResult) -> set[str]:
    return {warning.name for warning in result.warnings}


def test_what_the_source_has_goes_through_the_spool_into_every_repository(bench: ShipBench) -> None:
    bench.tape.put(1, 2, 3)
    result = bench.run()
    assert (result.state, result.error, result.captured, result.segments) == ("complete", None, 3, 3)
    bench.assert_recorded(1, 2, 3)
    assert bench.waiting == []
    stream = read_one(bench.storages)
    assert [each.segment.name for each in stream.segments] == names(1, 2, 3)
    assert all(set(each.copies) == {"near", "far"} for each in stream.segments)
    assert stream.problems == ()
    assert bench.state.records("shop.main.oplog")[-1]["state"] == "complete"


def test_the_copies_of_one_reading_are_the_same_bytes(bench: ShipBench) -> None:
    bench.fill(1)
    bench.run()
    (each,) = read_one(bench.storages).segments
    assert each.copies["near"].payload == each.copies["far"].payload


def test_the_order_is_that_of_commitment_and_not_that_of_arrival(bench: ShipBench) -> None:
    numbers = [10, 9, 100, 1, 2, *range(11, 80)]
    bench.fill(*numbers)
    bench.run()
    bench.assert_recorded(*sorted(numbers))


def test_records_are_not_too_large(bench: ShipBench) -> None:
    bench.fill(*range(1, 150), size=10)
    bench.run()
    keys = [found.key for found in bench.storages["near"].list() if "/records/" in found.key]
    assert 3 <= len(keys) < 20
    bench.assert_recorded(*range(1, 150))


def test_a_second_run_has_nothing_to_do(bench: ShipBench) -> None:
    bench.fill(1)
    bench.run()
    before = [found.key for found in bench.storages["near"].list()]
    result = bench.run()
    assert (result.state, result.segments) == ("complete", 0)
    assert [found.key for found in bench.storages["near"].list()] == before


def test_a_repository_that_is_down_delays_only_its_own_copies(bench: ShipBench) -> None:
    fault = Switchable()
    bench.storages["far"] = broken(fault)
    bench.fill(1, 2)
    result = bench.run()
    assert result.state == "partial"
    assert isinstance(result.error, StreamPartial)
    assert result.error.exit_status == 3
    assert {"repository_unreachable", "too_few_repositories"} <= warned(result)
    bench.assert_recorded(1, 2, where=["near"])
    assert bench.waiting == names(1, 2), "they must be in both before they leave the spool"
    bench.fill(3)
    fault.on = False
    assert bench.run().state == "complete"
    bench.assert_recorded(1, 2, 3)
    assert bench.waiting == []


def test_required_copies_let_a_segment_go_and_say_where_it_is_missing(bench: ShipBench) -> None:
    fault = Switchable()
    bench.storages["far"] = broken(fault)
    bench.fill(1, 2)
    result = bench.run(required_copies=1)
    assert bench.waiting == []
    assert result.state == "partial"
    assert {"repository_unreachable", "copies_missing"} <= warned(result)
    assert "2 segments left the spool without a copy in far" in str(result.error)
    fault.on = False
    bench.fill(3)
    bench.run(required_copies=1)
    bench.assert_recorded(1, 2, 3, where=["near"])
    bench.assert_recorded(3, where=["far"])
    assert {each.segment.name: set(each.copies) for each in read_one(bench.storages).segments} == {
        name_of(1): {"near"},
        name_of(2): {"near"},
        name_of(3): {"near", "far"},
    }


def test_with_required_copies_a_repository_that_works_still_gets_everything(bench: ShipBench) -> None:
    bench.fill(*range(1, 30))
    assert bench.run(required_copies=1).state == "complete"
    bench.assert_recorded(*range(1, 30))


def test_no_repository_at_all_is_blocked(bench: ShipBench) -> None:
    bench.storages = {"near": broken(Switchable()), "far": broken(Switchable())}
    bench.fill(1)
    result = bench.run()
    assert isinstance(result.error, StreamBlocked)
    assert result.error.exit_status == 1
    assert "no_repository" in warned(result)
    assert bench.waiting == names(1)


def test_a_segment_of_the_same_name_and_other_bytes_is_a_conflict_and_never_overwritten(bench: ShipBench) -> None:
    bench.fill(1)
    bench.run()
    before = {found.key: bench.storages["near"].get(found.key) for found in bench.storages["near"].list()}
    bench.clock.advance(10)
    bench.write(name_of(1), b"another history")
    bench.fill(2)
    result = bench.run()
    assert isinstance(result.error, StreamBlocked)
    assert "segment_conflict" in warned(result)
    assert bench.waiting == names(1, 2), "nothing behind it may be recorded"
    assert recorded(bench.storages["near"]) == names(1)
    for key, data in before.items():
        assert bench.storages["near"].get(key) == data


def test_a_conflict_is_seen_hours_later_too(bench: ShipBench) -> None:
    bench.fill(1)
    bench.run()
    bench.clock.advance(5 * 3600)
    bench.write(name_of(1), b"another history")
    assert "segment_conflict" in warned(bench.run())
    assert recorded(bench.storages["near"]) == names(1)


def test_the_same_segment_again_is_accepted(bench: ShipBench) -> None:
    bench.fill(1)
    bench.run()
    for seconds in (10, 5 * 3600):
        bench.clock.advance(seconds)
        bench.fill(1)
        assert bench.run().state == "complete"
        assert bench.waiting == []
    stream = read_one(bench.storages)
    assert [each.segment.name for each in stream.segments] == names(1)
    assert stream.problems == ()


def test_what_was_recorded_and_not_yet_removed_is_recorded_once(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "remove", lambda self, given: None)
        bench.run()
    assert bench.waiting == names(1, 2)
    bench.fill(3)
    bench.run()
    bench.assert_recorded(1, 2, 3)
    assert bench.waiting == []


@pytest.mark.parametrize("encrypted", [False, True])
def test_an_object_without_a_record_is_read_back_and_recorded(bench: ShipBench, encrypted: bool) -> None:
    # The process died between the segment and its record; its notes are gone, too.
    fault = Switchable()
    storage = broken(fault, at_change=2, times=None)
    changes: dict[str, t.Any] = {}
    if encrypted:
        changes["transforms"] = Transforms(compression=Compression(1, 1), encryption=Encryption((_recipient(),)))
    bench.storages = {"near": storage}
    bench.fill(1)
    assert bench.run(**changes).state == "blocked"
    (left,) = [found.key for found in storage.list()]
    assert "/segments/" in left
    fault.on = False
    assert bench.run(**changes).state == "complete"
    assert [found.key for found in storage.list() if "/segments/" in found.key] == [left]
    assert recorded(storage) == names(1)
    assert_true(storage)


def _recipient() -> str:
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    return next(line.rpartition(" ")[2] for line in made.stdout.splitlines() if "public key" in line)


def test_an_object_that_is_not_what_its_name_says_is_never_recorded(bench: ShipBench) -> None:
    storage = MemoryStorage()
    bench.storages = {"near": storage}
    bench.fill(1)
    bench.run()
    (key,) = [found.key for found in storage.list() if "/segments/" in found.key]
    storage.delete([found.key for found in storage.list()])
    storage.put(key, b"something else")
    bench.clock.advance(5)
    bench.fill(1)
    result = bench.run()
    assert "segment_conflict" in warned(result)
    assert recorded(storage) == []
    assert bench.waiting == names(1)


def test_a_lost_answer_of_the_segment_and_of_the_record(bench: ShipBench) -> None:
    for change in (1, 2):
        fault = Switchable()
        storage = broken(fault, at_change=change, answer_lost=True)
        bench.storages = {"near": storage}
        bench.fill(1, 2)
        result = bench.run(parallel=1)
        assert bench.waiting, result.as_dict()
        assert bench.run().state == "complete"
        bench.assert_recorded(1, 2)
        assert bench.waiting == []


def test_a_refused_file_is_named_and_holds_up_only_what_is_behind_it(bench: ShipBench) -> None:
    bench.fill(1, 3)
    bench.fill(1, lineage="two")
    bench.write(name_of(2), b"refuse me")
    result = bench.run()
    assert isinstance(result.error, StreamBlocked)
    assert "segment_refused" in warned(result)
    assert "1 files wait behind it" in str(result.error)
    assert bench.waiting == names(2, 3)
    bench.assert_recorded(1)
    bench.assert_recorded(1, lineage="two")
    (bench.spool / name_of(2)).unlink()
    bench.fill(2)
    assert bench.run().state == "complete"
    bench.assert_recorded(1, 2, 3)


def test_a_file_that_is_nothing_of_the_stream_is_named_and_holds_up_nobody(bench: ShipBench) -> None:
    bench.write("lost+found.txt", b"?")
    bench.fill(1)
    result = bench.run()
    assert "segment_refused" in warned(result)
    bench.assert_recorded(1)
    assert bench.waiting == ["lost+found.txt"]


def test_a_hole_is_said_aloud(bench: ShipBench) -> None:
    bench.fill(1, 2)
    bench.run()
    bench.fill(4)
    result = bench.run()
    assert result.state == "partial"
    assert "hole" in warned(result)
    assert "one-00000004 does not follow one-00000002" in str(result.error)


def test_a_file_that_somebody_takes_away_meanwhile_is_said_aloud(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(1, 2, 3)
    storage = MemoryStorage()
    bench.storages = {"near": storage}
    put = storage.put

    def taken(key: str, data: bytes, **how: t.Any) -> t.Any:
        (bench.spool / name_of(2)).unlink(missing_ok=True)
        return put(key, data, **how)

    monkeypatch.setattr(storage, "put", taken)
    result = bench.run(parallel=1)
    assert "segment_gone" in warned(result)
    bench.assert_recorded(1)
    result = bench.run()
    assert "hole" in warned(result)
    bench.assert_recorded(1, 3)
    bench.fill(2)
    assert bench.run().state == "complete"
    bench.assert_recorded(1, 3, 2)  # what the source has mended comes late, and is put in its place by who reads


def test_the_spool_nearly_full_and_full(bench: ShipBench) -> None:
    bench.storages = {"near": broken(Switchable())}
    bench.write(name_of(1), b"x" * int(0.85 * MIB))
    assert "spool_nearly_full" in warned(bench.run(spool_budget=MIB))
    bench.write(name_of(2), b"x" * int(0.2 * MIB))
    result = bench.run(spool_budget=MIB)
    assert "spool_full" in warned(result)
    assert result.state == "blocked"


def test_a_source_larger_than_the_spool_is_captured_in_turns(bench: ShipBench) -> None:
    bench.tape.put(*range(1, 11), size=100_000)
    result = bench.run(spool_budget=250_000)
    assert result.state == "complete"
    bench.assert_recorded(*range(1, 11))
    assert len(bench.tape.stored) >= 5


def test_what_waits_too_long_is_an_alarm(bench: ShipBench) -> None:
    bench.storages["far"] = broken(Switchable())
    bench.fill(1)
    assert "unshipped_too_old" not in warned(bench.run())
    bench.clock.advance(301)
    result = bench.run()
    alarm = next(warning for warning in result.warnings if warning.name == "unshipped_too_old")
    assert alarm.severity == "critical"
    assert "5 minutes" in alarm.message
    assert alarm.hint


def test_a_silent_source_does_not_stop_what_waits(bench: ShipBench) -> None:
    bench.tape.problem = "connection refused"
    bench.tape.lineage = None
    bench.fill(1)
    result = bench.run()
    assert result.state == "partial"
    assert "source_unreachable" in warned(result)
    bench.assert_recorded(1)


def test_a_capture_that_fails_does_not_stop_what_waits(bench: ShipBench) -> None:
    bench.tape.failure = StorageUnreachable("the oplog is gone")
    bench.fill(1)
    result = bench.run()
    assert "capture_failed" in warned(result)
    assert result.state == "blocked"
    bench.assert_recorded(1)


def test_the_source_is_told_what_is_stored(bench: ShipBench) -> None:
    bench.fill(1, 2)
    bench.run()
    bench.clock.advance(4 * 3600)
    bench.run()
    stored = bench.tape.stored[-1]
    assert stored is not None
    assert [each.segment.name for each in stored.segments] == names(1, 2)
    bench.storages = {"near": broken(Switchable())}
    bench.run()
    assert bench.tape.stored[-1] is None


def test_events_are_recorded_in_every_repository_once_even_when_one_is_down(bench: ShipBench) -> None:
    fault = Switchable()
    bench.storages["far"] = broken(fault)
    event = StreamEvent(what="break", at=START, reason="The oplog rolled over.", facts={"after": 1})
    bench.tape.events = (event,)
    bench.fill(1)
    bench.run()
    bench.tape.events = ()
    fault.on = False
    bench.run()
    bench.run()
    for name in ("near", "far"):
        (stream,) = [read_one({name: bench.storages[name]})]
        assert stream.events == (event,), name


def test_an_event_comes_no_later_than_the_segments_behind_it(bench: ShipBench) -> None:
    event = StreamEvent(what="break", at=START, reason="A gap.")
    bench.tape.events = (event,)
    storage = broken(Switchable(), at_change=4, times=None)
    bench.storages = {"near": storage}
    bench.tape.put(1, 2, 3)
    bench.run(parallel=1)
    stream = read_one(bench.storages)
    assert not stream.segments or stream.events == (event,)


class WriteOnly(FaultyStorage):
    """A repository whose credentials may write, and nothing else."""

    def pass_on(self, name: str, subject: str, call: t.Callable[[], t.Any]) -> t.Any:
        if name in ("read", "get", "stat", "list", "list_folders", "unfinished", "delete", "check"):
            raise StorageForbidden("403: you may write")
        return super().pass_on(name, subject, call)


def test_credentials_that_may_only_write_are_enough(bench: ShipBench) -> None:
    inside = MemoryStorage()
    bench.storages = {"near": WriteOnly(storage=inside)}
    bench.fill(1, 2)
    result = bench.run()
    assert result.state == "complete"
    assert result.repositories[0]["write_only"]
    bench.fill(3)
    assert bench.run().state == "complete"
    bench.storages = {"near": inside}
    bench.assert_recorded(1, 2, 3)


def unremovable(spool: Spool, given: t.Iterable[str]) -> None:
    """In place of Spool.remove: the disk has become read-only."""
    del given
    raise StreamSpoolUnusable(f"{spool.path}: read-only", hint="mount")


def test_write_only_credentials_and_what_was_recorded_but_not_removed(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = MemoryStorage()
    bench.storages = {"near": WriteOnly(storage=inside)}
    bench.fill(1)
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "remove", unremovable)
        with pytest.raises(StreamSpoolUnusable):
            bench.run()
    assert bench.waiting == names(1)
    assert bench.run().state == "complete"
    assert bench.waiting == []
    bench.storages = {"near": inside}
    bench.assert_recorded(1)


def test_write_only_credentials_and_an_object_without_a_record(bench: ShipBench) -> None:
    inside = MemoryStorage()
    fault = Switchable()
    bench.storages = {"near": WriteOnly(storage=inside, fault=fault, point=FaultPoint(at_change=2, times=None))}
    bench.fill(1)
    bench.run()
    fault.on = False
    assert bench.run().state == "complete"
    bench.storages = {"near": inside}
    bench.assert_recorded(1)  # whatever the object that nobody could read holds, the record names one that is known


def test_hours_that_are_over_get_an_index_once(bench: ShipBench) -> None:
    for number in range(1, 5):
        bench.fill(number)
        bench.run()
        bench.clock.advance(1800)
    bench.clock.advance(3600)
    bench.run()
    for storage in bench.storages.values():
        indexes = [found.key.rpartition("/")[2] for found in storage.list() if "/index/" in found.key]
        assert indexes == ["2026112102.json", "2026112103.json"]
    bench.assert_recorded(1, 2, 3, 4)
    stream = read_one(bench.storages)
    assert [each.segment.name for each in stream.segments] == names(1, 2, 3, 4)


def test_the_index_of_an_hour_waits_for_records_that_may_still_come(bench: ShipBench) -> None:
    bench.fill(1)
    bench.run()
    bench.clock.advance(3600 + 5 * 60)
    bench.run()
    assert not [found for found in bench.storages["near"].list() if "/index/" in found.key]
    bench.clock.advance(6 * 60)
    bench.run()
    assert [found for found in bench.storages["near"].list() if "/index/" in found.key]


def test_a_plan_changes_nothing_and_says_what_waits(bench: ShipBench) -> None:
    bench.fill(1, 2)
    bench.run()
    bench.fill(3, 4)
    bench.storages["far"] = broken(Switchable())
    before = [found.key for found in bench.storages["near"].list()]
    plan = bench.plan()
    assert (plan.spool.segments, [segment["name"] for segment in plan.segments]) == (2, names(3, 4))
    assert [(each["name"], each["state"], each["to_store"]) for each in plan.repositories] == [
        ("near", "ready", 2),
        ("far", "unusable", None),
    ]
    assert [found.key for found in bench.storages["near"].list()] == before
    assert bench.waiting == names(3, 4)
    assert "repository_unreachable" in {warning.name for warning in plan.warnings}


def test_one_shipper_of_a_stream_at_a_time_and_backups_of_the_source_go_on(bench: ShipBench) -> None:
    backup = SourceLock(state=bench.state, name="shop.main", clock=bench.clock)
    backup.acquire(holder={"job": "shop/main/full"}, timeout=0)
    assert bench.run().state == "complete"
    backup.release()
    other = SourceLock(state=bench.state, name="shop.main.oplog", clock=bench.clock)
    other.acquire(holder={"job": "shop/main/oplog"}, timeout=0)
    with pytest.raises(LockHeld):
        bench.run()
    other.release()


def test_a_spool_that_the_server_should_fill_must_be_there(bench: ShipBench) -> None:
    bench.spool.rmdir()
    request = bench.request()
    with pytest.raises(StreamSpoolUnusable):
        run_ship(replace(request, kind=replace(request.kind, filled_by_server=True)), host=bench.host)
    assert not bench.spool.exists()
    assert bench.state.records("shop.main.oplog")[-1]["state"] == "failed"


@pytest.mark.parametrize(
    "changes", [{"required_copies": 3}, {"required_copies": 0}, {"spool_directory": "here"}], ids=str
)
def test_bad_requests_are_refused_before_anything(bench: ShipBench, changes: dict[str, t.Any]) -> None:
    with pytest.raises(RequestInvalid):
        replace(bench.request(), **changes)


def test_large_segments_are_streamed(bench: ShipBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "LARGEST_KEPT", 1000)
    bench.fill(1, 2, size=200_000)
    assert bench.run().state == "complete"
    bench.assert_recorded(1, 2)


def test_a_record_that_came_too_late_for_its_hour_is_written_again(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MemoryStorage()
    bench.storages = {"near": storage}
    put = storage.put

    def slow(key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
        stored = put(key, data, if_absent=if_absent)
        if "/records/" in key and not slept:
            slept.append(key)
            bench.clock.advance(3600 + 6 * 60)
        return stored

    slept: list[str] = []
    monkeypatch.setattr(storage, "put", slow)
    bench.fill(1)
    bench.run()
    hours = {found.key.split("/")[5] for found in storage.list() if "/records/" in found.key}
    assert hours == {"2026112102", "2026112103"}
    assert [each.segment.name for each in read_one(bench.storages).segments] == names(1)
