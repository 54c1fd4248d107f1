# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipping beside sweeps: what retention may take for garbage is never recorded, whatever the clocks say."""

from __future__ import annotations

import datetime
import functools
import pathlib

import pytest

import ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune as prune_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageError,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import run_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_results import PruneResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    LEAST_SWEEP_AGE,
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_run import Shipping
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record_writer import SETTLED_WITHIN
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.unrecorded import (
    RECORDED_WITHIN,
    TAKEN_WITHIN,
)
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.ship_bench import ShipBench, names
from tests.support.streams import SERIES, assert_true, recorded

DAY = 86400.0


class Elsewhere(MemoryStorage):
    """A storage whose clock is *ahead* seconds of the host's; it stores no record while *is_down*."""

    def __init__(self, clock: FakeClock, *, ahead: float = 0.0) -> None:
        self.own = FakeClock(clock.now() + datetime.timedelta(seconds=ahead))
        super().__init__(clock=self.own)
        self._host = clock
        self._ahead = ahead
        self.is_down = False

    def tick(self) -> None:
        """Go with the host's clock."""
        self.own.advance((self._host.now() - self.own.now()).total_seconds() + self._ahead)

    def clock_skew(self) -> float:
        return self._ahead

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        if self.is_down and "/records/" in key:
            raise StorageUnreachable("nobody answers")
        self.tick()
        return super().put(key, data, if_absent=if_absent)

    @property
    def segments(self) -> list[str]:
        return [found.key for found in self.list() if "/segments/" in found.key]


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ShipBench:
    return ShipBench(tmp_path, monkeypatch)


def left_without_a_record(bench: ShipBench, *, ahead: float = 0.0) -> tuple[Elsewhere, str]:
    """A repository with one segment, of which the run died before it was recorded."""
    storage = Elsewhere(bench.clock, ahead=ahead)
    bench.storages = {"near": storage}
    bench.fill(1)
    storage.is_down = True
    assert bench.run().state == "blocked"
    storage.is_down = False
    (left,) = storage.segments
    return storage, left


@pytest.mark.parametrize("ahead", [0.0, 3 * DAY, -3 * DAY])
def test_what_a_dead_run_stored_within_a_day_is_recorded_as_it_is(bench: ShipBench, ahead: float) -> None:
    storage, left = left_without_a_record(bench, ahead=ahead)
    bench.clock.advance(DAY - 60)
    assert bench.run().state == "complete"
    assert storage.segments == [left]
    assert recorded(storage) == names(1)


@pytest.mark.parametrize("ahead", [0.0, 3 * DAY, -3 * DAY])
def test_what_is_older_may_be_swept_and_is_stored_once_more(bench: ShipBench, ahead: float) -> None:
    storage, left = left_without_a_record(bench, ahead=ahead)
    bench.clock.advance(DAY)
    assert bench.run().state == "complete"
    assert len(storage.segments) == 2
    storage.delete([left])  # the sweep
    assert recorded(storage) == names(1)
    assert_true(storage)


def test_a_storage_that_does_not_say_what_time_it_is_gets_it_once_more(
    bench: ShipBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, left = left_without_a_record(bench)

    def dateless() -> float:
        raise StorageError("answered without a date")

    monkeypatch.setattr(storage, "clock_skew", dateless)
    assert bench.run().state == "complete"
    assert len(storage.segments) == 2
    storage.delete([left])
    assert_true(storage)


def test_what_is_swept_while_it_is_looked_at_is_stored_again(bench: ShipBench, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, left = left_without_a_record(bench)
    stat = storage.stat

    def swept(key: str) -> ObjectInfo:
        if key == left:
            storage.delete([key])
        return stat(key)

    monkeypatch.setattr(storage, "stat", swept)
    assert bench.run().state == "complete"
    assert recorded(storage) == names(1)
    assert_true(storage)


def turn(one: Shipping, bench: ShipBench) -> None:
    """Until nothing goes on any more."""
    for _turn in range(3):
        bench.clock.advance(120)
        while one.turn(again=True) or one.is_busy:
            one.wait(1)


@pytest.mark.parametrize("hours", [11, 13, 24 * 8])
def test_a_shipper_that_could_not_record_for_long_stores_anew_what_it_has_stored(bench: ShipBench, hours: int) -> None:
    """The same process: it remembers what it stored, and what it stored may have been swept since."""
    storage = Elsewhere(bench.clock)
    bench.storages = {"near": storage}
    bench.fill(1)
    one = Shipping(bench.request(), host=bench.host, progress=Progress(clock=bench.clock))
    try:
        one.prepare()
        one.inspect()
        storage.is_down = True
        turn(one, bench)
        (left,) = storage.segments
        bench.clock.advance(hours * 3600)
        storage.is_down = False
        turn(one, bench)
    finally:
        one.close()
    assert recorded(storage) == names(1)
    if hours > LEAST_SWEEP_AGE.total_seconds() / 3600:
        storage.delete([left])  # the sweep
    assert_true(storage)


def test_whoever_takes_an_object_as_late_as_may_be_records_it_before_any_sweep() -> None:
    assert TAKEN_WITHIN + RECORDED_WITHIN + datetime.timedelta(hours=1) + SETTLED_WITHIN < LEAST_SWEEP_AGE


def prune(bench: ShipBench, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> PruneResult:
    """Retention on another host; it keeps every segment that is recorded."""
    monkeypatch.setattr(prune_module, "open_storage", lambda *_given, **_more: storage)
    policy = JobPolicy(
        repository="near",
        series=SERIES,
        engine="mongodb",
        job="oplog",
        keep=keep_policy_from({"forever": True}),
    )
    request = PruneRequest(
        repositories=(RepositoryRequest(name="near", description={"type": "memory"}),),
        policies=(policy,),
        state_directory=f"{bench.state.path}-pruner",
    )
    return run_prune(request, host=Host(clock=bench.clock, journal=bench.journal, name="pruner"))


def ship_at(call: int, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bool]:
    """The shipper comes back, and ships all it has, at that call of a sweep; how many calls, whether anything went."""
    bench = ShipBench(folder, monkeypatch)
    storage, _left = left_without_a_record(bench)
    bench.clock.advance(8 * DAY)
    came = []

    def come_back() -> None:
        came.append(bench.run().state)

    watched = FaultyStorage(storage=storage, fault=come_back, point=FaultPoint(at_call=call))
    result = prune(bench, watched, monkeypatch)
    assert result.error is None
    assert bench.run().state == "complete"
    assert recorded(storage) == names(1)
    assert_true(storage)
    assert len(storage.segments) == 1, call
    return len(watched.calls), bool(came)


def test_whenever_the_shipper_comes_back_during_a_sweep_what_it_records_is_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, _came = ship_at(10_000, folder_of(tmp_path, 0), monkeypatch)
    assert calls > 10
    for call in range(1, calls + 1):
        _calls, came = ship_at(call, folder_of(tmp_path, call), monkeypatch)
        assert came


def folder_of(folder: pathlib.Path, number: int) -> pathlib.Path:
    (folder / str(number)).mkdir()
    return folder / str(number)


def swept_by(bench: ShipBench, storage: Elsewhere, monkeypatch: pytest.MonkeyPatch, swept: list[bool]) -> None:
    swept.append(prune(bench, storage, monkeypatch).changed)


def test_whenever_the_sweep_comes_while_the_shipper_is_back_what_is_recorded_is_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in range(1, 1000):
        bench = ShipBench(folder_of(tmp_path, call), monkeypatch)
        storage, _left = left_without_a_record(bench)
        bench.clock.advance(8 * DAY)
        swept: list[bool] = []

        sweep = functools.partial(swept_by, bench, storage, monkeypatch, swept)
        bench.storages = {"near": FaultyStorage(storage=storage, fault=sweep, point=FaultPoint(at_call=call))}
        assert bench.run().state == "complete"
        assert recorded(storage) == names(1)
        assert_true(storage)
        if not swept:
            break
        assert swept == [True]
        assert len(storage.segments) == 1, call
    assert call > 5
