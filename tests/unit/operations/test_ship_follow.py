# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shipper that goes on: what it must remember between its turns, what it must not keep, and whom it waits for."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageUnreachable,
    StreamSpoolUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import Stop
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import follow_ship, run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_noted import read_look
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_run import Shipping
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import ShipResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.wanted import wanted_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, ObjectWriter
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import encoder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import StreamEvent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.source import SourceAlarm
from tests.support.clocks import START, FakeClock
from tests.support.memory import MemoryStorage
from tests.support.ship_bench import ShipBench, names
from tests.support.streams import name_of, read_one, recorded


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ShipBench:
    return ShipBench(tmp_path, monkeypatch)


@pytest.fixture
def shipping(bench: ShipBench) -> t.Iterator[t.Callable[..., Shipping]]:
    """Makes shippers that a test turns by hand."""
    made: list[Shipping] = []

    def make(**changes: t.Any) -> Shipping:
        made.append(Shipping(bench.request(**changes), host=bench.host, progress=Progress(clock=bench.clock)))
        made[-1].prepare()
        made[-1].inspect()
        return made[-1]

    yield make
    for one in made:
        one.close()


class Switch:
    """A fault that can be turned on and off."""

    on = False

    def __call__(self) -> None:
        if self.on:
            raise StorageUnreachable("nobody answers")


def go_on(one: Shipping, bench: ShipBench) -> None:
    """Turns until nothing goes on any more, in times when everybody may try again."""
    for _turn in range(3):
        bench.clock.advance(120)
        while one.turn(again=True) or one.is_busy:
            one.wait(1)


@pytest.mark.parametrize("change", [1, 2, 3, 4])
def test_what_was_written_and_not_answered_is_written_once(
    bench: ShipBench, shipping: t.Callable[..., Shipping], change: int
) -> None:
    def unanswered() -> None:
        raise StorageUnreachable("the answer was lost")

    storage = FaultyStorage(
        storage=MemoryStorage(), fault=unanswered, point=FaultPoint(at_change=change, answer_lost=True)
    )
    bench.storages = {"near": storage}
    bench.fill(1, 2)
    one = shipping(parallel=1)
    go_on(one, bench)
    assert storage.struck == (change <= 3)
    bench.assert_recorded(1, 2)
    records = [found.key for found in storage.list() if "/records/" in found.key]
    assert len(records) <= 2


class Turns(FakeClock):
    """A clock that calls *each* whenever somebody waits, and says stop after so many times."""

    def __init__(self, count: int, each: t.Callable[[int], None]) -> None:
        super().__init__()
        self._left = count
        self._each = each

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._left -= 1
        if self._left < 0:
            raise Stop("SIGTERM")
        self._each(self._left)


@pytest.mark.thorough
def test_following_says_something_only_when_something_changes(bench: ShipBench) -> None:
    fault = Switch()
    bench.storages["far"] = FaultyStorage(storage=MemoryStorage(), fault=fault, point=FaultPoint(at_call=1, times=None))
    numbers = iter(range(1, 1000))

    def each(left: int) -> None:
        bench.fill(next(numbers))
        fault.on = 40 < left < 80

    bench.clock = Turns(120, each)
    said: list[ShipResult] = []
    result = follow_ship(bench.request(), host=bench.host, report=said.append)
    assert [one.state for one in said] == ["complete", "partial", "complete"]
    assert result.state == "complete"
    bench.assert_recorded(*range(1, 121))
    states = [record["state"] for record in bench.state.records("shop.main.oplog")]
    assert states == ["complete", "partial", "complete", "complete"]


def _followed(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch, turns: int, look: t.Callable[[int], tuple[str, int]]
) -> list[tuple[str, int]]:
    """What is told in so many turns of a second, of which *look* says the state and what waits."""
    real = Shipping.result
    bench.clock = Turns(turns, lambda left: None)
    began = bench.clock.monotonic()

    def result(self: Shipping, *, goes_on: bool = False) -> ShipResult:
        made = real(self, goes_on=goes_on)
        state, waiting = look(int(bench.clock.monotonic() - began))
        return dataclasses.replace(made, state=state, spool=dataclasses.replace(made.spool, segments=waiting))

    monkeypatch.setattr(Shipping, "result", result)
    said: list[ShipResult] = []
    follow_ship(bench.request(), host=bench.host, report=said.append)
    return [(one.state, one.spool.segments) for one in said]


def test_a_state_that_goes_to_and_fro_is_told_each_half_minute(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _followed(bench, monkeypatch, 91, lambda second: (("blocked", "partial")[second % 2], 7))
    assert [state for state, _waiting in told[:2]] == ["blocked", "partial"], "what begins is told at once"
    assert 6 <= len(told) <= 8


def test_a_spool_that_drains_is_told_each_half_minute_with_what_remains(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _followed(bench, monkeypatch, 100, lambda second: ("blocked", 500 - second))
    assert told == [("blocked", 500), ("blocked", 470), ("blocked", 440), ("blocked", 410)]


def test_a_spool_that_stays_as_it_is_is_told_once(bench: ShipBench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _followed(bench, monkeypatch, 100, lambda second: ("blocked", 500 + second)) == [("blocked", 500)]


def test_following_says_once_an_hour_that_all_is_well(bench: ShipBench) -> None:
    bench.clock = Turns(250, lambda left: bench.clock.advance(29))
    follow_ship(bench.request(), host=bench.host)
    assert len(bench.state.records("shop.main.oplog")) == 4


def test_what_the_server_says_is_as_fresh_as_the_last_look(bench: ShipBench) -> None:
    """Where nobody writes no newer segment comes: the status must not fall behind until the next record of a run."""
    bench.tape.capture_seconds = 30
    bench.tape.facts = {
        "archive_timeout_seconds": 45,
        "archive_mode": "on",
        "in_recovery": False,
        "ready_count": 0,
        "is_failing": False,
        "pg_wal": {"waiting_segments": 0},
    }
    stored: list[datetime.timedelta] = []

    def each(left: int) -> None:
        bench.clock.advance(9)
        if left < 245:
            look = read_look(bench.state, "shop.main.oplog") or {}
            stored.append(bench.clock.now() - parse_time(look["stored_until"]))
        if left == 50:
            bench.tape.facts["is_failing"] = True  # a doubt now takes back nothing

    bench.clock = Turns(250, each)
    follow_ship(bench.request(), host=bench.host)
    assert len(bench.state.records("shop.main.oplog")) == 2
    assert max(stored[:190]) <= datetime.timedelta(seconds=45 + 30 + 20)
    assert stored[-1] >= datetime.timedelta(seconds=50 * 10)


def test_what_a_source_says_by_name_is_an_alarm_of_its_stream(bench: ShipBench) -> None:
    mild, grave = SourceAlarm("growing", "It grows."), SourceAlarm("full", "It is full.", hint="rm", is_critical=True)
    bench.tape.alarms = (mild,)
    assert [(one.name, one.severity) for one in bench.run().warnings] == [("growing", "warning")]
    bench.tape.alarms = (mild, grave)
    result = bench.run()
    assert [(one.name, one.severity, one.hint) for one in result.warnings] == [
        ("full", "critical", "rm"),
        ("growing", "warning", ""),
    ]
    assert result.state == "partial", "somebody hears of it"
    assert [one.name for one in bench.plan().warnings] == ["full", "growing"]


def test_following_captures_as_often_as_the_source_says(bench: ShipBench) -> None:
    bench.clock = Turns(50, lambda left: None)
    bench.tape.capture_seconds = 10
    follow_ship(bench.request(), host=bench.host)
    assert 5 <= len(bench.tape.stored) <= 7


def test_the_source_goes_on_from_what_is_known_while_no_repository_answers(bench: ShipBench) -> None:
    fault = Switch()
    storage = FaultyStorage(storage=MemoryStorage(), fault=fault, point=FaultPoint(at_call=1, times=None))
    bench.storages = {"near": storage}
    bench.tape.capture_seconds = 10

    def each(left: int) -> None:
        bench.clock.advance(59)
        fault.on = left < 150
        if left == 190:
            bench.fill(1, 2)

    bench.clock = Turns(200, each)
    follow_ship(bench.request(), host=bench.host)
    assert bench.tape.stored[0] is not None
    last = bench.tape.stored[-1]
    assert last is not None
    assert [one.segment.name for one in last.segments] == names(1, 2)
    assert len(bench.tape.stored) > 150


def test_a_source_that_no_repository_could_tell_about_asks_again_in_a_minute(bench: ShipBench) -> None:
    fault = Switch()
    fault.on = True
    storage = FaultyStorage(storage=MemoryStorage(), fault=fault, point=FaultPoint(at_call=1, times=None))
    bench.storages = {"near": storage}
    bench.clock = Turns(130, lambda left: None)
    follow_ship(bench.request(), host=bench.host)
    assert set(bench.tape.stored) == {None}
    assert len([call for call in storage.calls if call.startswith("list_folders")]) == 3


def test_the_events_of_the_first_capture_of_all_are_recorded(bench: ShipBench) -> None:
    event = StreamEvent(what="full-backup-needed", at=START, reason="It begins here.")
    bench.tape.events = (event,)
    bench.tape.lineage = None
    bench.tape.put(1)
    assert bench.run().state == "complete"
    assert read_one(bench.storages).events == (event,)


def test_the_full_backup_that_a_torn_stream_needs_is_asked_for(bench: ShipBench) -> None:
    bench.tape.put(1)
    bench.tape.events = (StreamEvent(what="break", at=START, reason="It tore."),)
    assert bench.run().state == "complete"
    assert wanted_backup(bench.state, service="shop", source="main") is None
    bench.tape.events = (StreamEvent(what="full-backup-needed", at=START, reason="It begins here."),)
    assert bench.run().state == "complete"
    wish = wanted_backup(bench.state, service="shop", source="main")
    assert wish is not None
    assert wish.reason == "It begins here."


def test_what_ends_the_service_ends_it_with_its_reason(bench: ShipBench) -> None:
    def each(left: int) -> None:
        if left == 5:
            (bench.spool / name_of(1)).unlink(missing_ok=True)
            bench.spool.rmdir()

    bench.clock = Turns(10, each)
    with pytest.raises(StreamSpoolUnusable):
        follow_ship(bench.request(), host=bench.host)
    assert bench.state.records("shop.main.oplog")[-1]["state"] == "failed"


def test_nothing_is_kept_of_what_left_the_spool(bench: ShipBench, shipping: t.Callable[..., Shipping]) -> None:
    one = shipping()
    for turn in range(5):
        bench.fill(*range(turn * 10, turn * 10 + 10))
        one.capture()
        go_on(one, bench)
    assert bench.waiting == []
    bench.assert_recorded(*range(50))
    for lane in one.lanes:
        assert not lane.writer._recorded
        assert not lane.writer._stored
        assert not any(lane.writer._known.values())
    assert not one._encoder._kept
    assert not one.watch._described
    assert not one._notes.recorded("near", "one")


def test_a_slow_repository_is_waited_for_as_long_as_it_works(bench: ShipBench) -> None:
    """Also when fewer copies would do: a hole in its records for some seconds' sake would be nobody's wish."""
    near, far = MemoryStorage(), MemoryStorage()
    bench.storages = {"near": near, "far": far}
    bench.fill(*range(1, 9))
    put = far.put
    near_has_all = threading.Event()

    def slow(key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        while recorded(near) != names(*range(1, 9)):
            near_has_all.wait(0.01)
        near_has_all.wait(0.2)
        return put(key, data, if_absent=if_absent)

    far.put = slow  # type: ignore[method-assign]
    result = run_ship(bench.request(required_copies=1, parallel=1), host=bench.host)
    assert result.state == "complete", result.as_dict()["warnings"]
    bench.assert_recorded(*range(1, 9))


def test_a_slow_repository_is_not_waited_for_when_the_spool_is_nearly_full(bench: ShipBench) -> None:
    near, far = MemoryStorage(), MemoryStorage()
    bench.storages = {"near": near, "far": far}
    bench.fill(*range(1, 9), size=10_000)
    put = far.put
    released = threading.Event()

    def slow(key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        for _turn in range(1000):
            if not bench.waiting:
                released.set()
                break
            threading.Event().wait(0.01)
        return put(key, data, if_absent=if_absent)

    far.put = slow  # type: ignore[method-assign]
    result = run_ship(bench.request(required_copies=1, spool_budget=90_000), host=bench.host)
    assert released.is_set()
    assert "copies_missing" in {warning.name for warning in result.warnings}
    bench.assert_recorded(*range(1, 9), where=["near"])


def test_a_large_file_that_changes_between_hashing_and_storing_is_not_stored(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "LARGEST_KEPT", 1000)
    storage = MemoryStorage()
    bench.storages = {"near": storage}
    bench.fill(1, size=50_000)
    writer = storage.writer

    def changing(key: str, **how: t.Any) -> ObjectWriter:
        if "/segments/" in key:
            path = bench.spool / name_of(1)
            path.write_bytes(path.read_bytes()[::-1])
        return writer(key, **how)

    monkeypatch.setattr(storage, "writer", changing)
    result = bench.run()
    assert "segment_gone" in {warning.name for warning in result.warnings}
    assert not [found.key for found in storage.list() if "/segments/" in found.key]
    assert bench.waiting == names(1)
