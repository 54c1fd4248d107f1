# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pruner at a time, and none that died keeps the others away for ever."""

from __future__ import annotations

import datetime
import functools
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    PruneRunning,
    StorageForbidden,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import (
    LEASE_KEY,
    STOP_AFTER,
    VOID_AFTER,
    Lease,
    break_lease,
    take_lease,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

HOLDER = {"host": "db1", "pid": 4711}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock=clock)


def take(storage: Storage, clock: FakeClock, **holder: t.Any) -> Lease:
    return take_lease(storage, holder={**HOLDER, **holder}, now=clock.now())


def test_the_second_is_told_who_prunes_since_when_and_what_to_do(storage: MemoryStorage, clock: FakeClock) -> None:
    with take(storage, clock) as lease:
        assert lease.deadline == clock.now() + STOP_AFTER
        clock.advance(60)
        with pytest.raises(PruneRunning) as raised:
            take(storage, clock)
        assert lease.is_ours()
    assert raised.value.exit_status == 4
    for word in ("process 4711 on db1", "2026-11-21T02:00:00Z"):
        assert word in raised.value.message
    assert "lifeboat repo unlock" in raised.value.hint
    assert list(storage.list()) == []


def test_whatever_ends_the_run_the_lease_is_given_back(storage: MemoryStorage, clock: FakeClock) -> None:
    with pytest.raises(ZeroDivisionError), take(storage, clock):
        raise ZeroDivisionError
    take(storage, clock).release()
    assert list(storage.list()) == []


def test_six_hours_after_it_was_stored_anybody_may_take_it_over(storage: MemoryStorage, clock: FakeClock) -> None:
    first = take(storage, clock)
    clock.advance(VOID_AFTER.total_seconds())
    with pytest.raises(PruneRunning):
        take(storage, clock)
    clock.advance(1)
    second = take(storage, clock, host="db2")
    assert (first.is_ours(), second.is_ours()) == (False, True)
    first.release()
    assert second.is_ours(), "who lost it takes it from nobody"


def test_it_is_the_storages_clock_that_counts(storage: MemoryStorage, clock: FakeClock) -> None:
    class Ahead(MemoryStorage):
        """Its clock is seven hours ahead of ours."""

        def clock_skew(self) -> float:
            return 7 * 3600.0

    ahead = FakeClock(clock.now() + datetime.timedelta(hours=7))
    other = Ahead(clock=ahead)
    take(other, clock)
    with pytest.raises(PruneRunning):
        take(other, clock)
    assert datetime.timedelta(hours=1) <= VOID_AFTER - STOP_AFTER


def test_the_lost_answer_to_our_own_put_does_not_lock_us_out(storage: MemoryStorage, clock: FakeClock) -> None:
    lossy = FaultyStorage(storage=storage, fault=unreachable, point=FaultPoint(at_call=1, answer_lost=True))
    retrying = RetryingStorage(storage=lossy, clock=clock)
    with take(retrying, clock) as lease:
        assert lease.is_ours()


def test_what_can_not_be_read_holds_until_it_is_void(storage: MemoryStorage, clock: FakeClock) -> None:
    storage.put(LEASE_KEY, b"\xff")
    with pytest.raises(PruneRunning, match="a host that nobody knows"):
        take(storage, clock)
    clock.advance(VOID_AFTER.total_seconds() + 1)
    assert take(storage, clock).is_ours()


def test_breaking_tells_who_held_it_and_he_notices(storage: MemoryStorage, clock: FakeClock) -> None:
    assert break_lease(storage) is None
    lease = take(storage, clock)
    held = break_lease(storage)
    assert held is not None
    assert (held["host"], held["id"]) == ("db1", lease.lease_id)
    assert not lease.is_ours()
    assert take(storage, clock).is_ours()


def test_who_may_not_write_may_not_prune(storage: MemoryStorage, clock: FakeClock) -> None:
    def forbidden() -> None:
        raise StorageForbidden("403: not you")

    with pytest.raises(StorageForbidden):
        take(FaultyStorage(storage=storage, fault=forbidden, point=FaultPoint(at_change=1)), clock)


def test_a_lease_that_can_not_be_given_back_hides_no_other_error(storage: MemoryStorage, clock: FakeClock) -> None:
    broken = FaultyStorage(storage=storage, fault=unreachable, point=FaultPoint(at_change=2))
    with pytest.raises(ZeroDivisionError), take(broken, clock):
        raise ZeroDivisionError
    storage.delete([LEASE_KEY])
    broken = FaultyStorage(storage=storage, fault=unreachable, point=FaultPoint(at_change=2))
    with pytest.raises(StorageUnreachable), take(broken, clock):
        pass


def test_however_two_take_it_at_once_at_most_one_is_told_that_he_has_it() -> None:
    """The second comes before every call of the first."""
    for call in range(1, 6):
        clock = FakeClock()
        inner = MemoryStorage(clock=clock)
        other: list[Lease] = []

        def second(clock: FakeClock, inner: MemoryStorage, other: list[Lease]) -> None:
            try:
                other.append(take(inner, clock, host="db2"))
            except LifeboatError:
                pass

        try:
            fault = functools.partial(second, clock, inner, other)
            first = take(FaultyStorage(storage=inner, fault=fault, point=FaultPoint(at_call=call)), clock)
        except PruneRunning:
            assert other
            continue
        assert first.is_ours() + sum(lease.is_ours() for lease in other) == 1, f"at call {call}"
