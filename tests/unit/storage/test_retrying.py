# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried again, how often, and what never is. Faults are injected into a storage in memory."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageError,
    StorageExists,
    StorageForbidden,
    StorageNotFound,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, ObjectVersion
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from tests.support.clocks import START, FakeClock

MIB = 1024 * 1024


def unreachable() -> None:
    raise StorageUnreachable("The line is dead.")


def forbidden() -> None:
    raise StorageForbidden("Not you.")


class Line:
    """A storage in memory behind a line that breaks at *point*, and behind that the retries."""

    def __init__(self, point: FaultPoint, *, fault: t.Callable[[], None] = unreachable, attempts: int = 4) -> None:
        self.clock = FakeClock()
        # A clock of its own, so that waiting does not change what is stored.
        self.memory_clock = FakeClock()
        self.memory = MemoryStorage(clock=self.memory_clock)
        self.memory.put("a/b", b"data")
        self.faulty = FaultyStorage(storage=self.memory, fault=fault, point=point)
        self.storage = RetryingStorage(storage=self.faulty, clock=self.clock, attempts=attempts, jitter=0.0)


CALLS: dict[str, t.Callable[[RetryingStorage], object]] = {
    "check": lambda storage: storage.check(),
    "free_bytes": lambda storage: storage.free_bytes(),
    "put": lambda storage: storage.put("a/new", b"x"),
    "get": lambda storage: storage.get("a/b"),
    "read": lambda storage: list(storage.read("a/b")),
    "stat": lambda storage: storage.stat("a/b"),
    "list": lambda storage: list(storage.list()),
    "list_folders": lambda storage: list(storage.list_folders()),
    "delete": lambda storage: storage.delete(["a/b"]),
    "unfinished": lambda storage: list(storage.unfinished()),
    "writer": lambda storage: storage.writer("a/new").commit(),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("faults", [0, 1, 3])
def test_a_passing_fault_is_outlived(name: str, faults: int) -> None:
    line = Line(FaultPoint(at_call=1, times=faults))
    untroubled = Line(FaultPoint())
    assert CALLS[name](line.storage) == CALLS[name](untroubled.storage)
    assert line.faulty.struck == faults
    assert [info.key for info in line.memory.list()] == [info.key for info in untroubled.memory.list()]


@pytest.mark.parametrize("name", CALLS)
def test_a_lasting_fault_is_raised_after_so_many_attempts(name: str) -> None:
    line = Line(FaultPoint(at_call=1, times=None))
    with pytest.raises(StorageUnreachable) as caught:
        CALLS[name](line.storage)
    assert caught.value.details["attempts"] == 4
    assert len(line.faulty.calls) == 4
    assert line.clock.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("name", CALLS)
def test_a_refusal_is_raised_at_once(name: str) -> None:
    line = Line(FaultPoint(at_call=1, times=1), fault=forbidden)
    with pytest.raises(StorageForbidden):
        CALLS[name](line.storage)
    assert len(line.faulty.calls) == 1
    assert line.clock.slept == []


def test_delays_double_up_to_a_minute_and_vary_by_chance() -> None:
    clock = FakeClock()
    faulty = FaultyStorage(storage=MemoryStorage(), fault=unreachable, point=FaultPoint(at_call=1, times=None))
    storage = RetryingStorage(storage=faulty, clock=clock, attempts=10, base_delay=2.0, jitter=0.5)
    with pytest.raises(StorageUnreachable):
        storage.stat("a")
    longest = [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    assert all(most / 2 <= delay <= most for delay, most in zip(clock.slept, longest))
    assert len(clock.slept) == 9
    assert clock.slept != longest


# --- storing ---------------------------------------------------------------------------------------------------------


def test_a_put_whose_answer_was_lost_has_succeeded() -> None:
    line = Line(FaultPoint(at_change=1, answer_lost=True))
    info = line.storage.put("a/new", b"mine")
    assert info == line.memory.stat("a/new")
    assert line.memory.get("a/new") == b"mine"


def test_a_put_that_somebody_else_made_first_has_not() -> None:
    line = Line(FaultPoint(at_change=1))
    line.memory.put("a/new", b"his!")
    with pytest.raises(StorageExists):
        line.storage.put("a/new", b"mine")
    assert line.memory.get("a/new") == b"his!"


def test_an_object_that_was_there_before_the_first_attempt_is_refused_even_when_equal() -> None:
    line = Line(FaultPoint())
    with pytest.raises(StorageExists):
        line.storage.put("a/b", b"data")


def test_a_put_after_a_lost_answer_is_refused_when_one_may_not_look() -> None:
    class WriteOnly(MemoryStorage):
        """Stands for credentials that may not read."""

        def stat(self, key: str) -> ObjectInfo:
            raise StorageForbidden(f"No looking at {key}.")

    faulty = FaultyStorage(storage=WriteOnly(), fault=unreachable, point=FaultPoint(at_change=1, answer_lost=True))
    with pytest.raises(StorageExists):
        RetryingStorage(storage=faulty, clock=FakeClock()).put("a", b"x")


@pytest.mark.parametrize("step", ["write", "commit"])
def test_a_stream_is_never_written_twice(step: str) -> None:
    line = Line(FaultPoint(at_change={"write": 2, "commit": 3}[step]))
    writer = line.storage.writer("a/new")

    def store() -> None:
        writer.write(b"x")
        writer.commit()

    with pytest.raises(StorageUnreachable):
        store()
    assert [call for call in line.faulty.calls if call.startswith(f"{step} ")] == [f"{step} a/new"]
    writer.abort()
    assert [info.key for info in line.memory.list()] == ["a/b"]
    assert list(line.memory.unfinished()) == []


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, MIB, MIB + 1, 2 * MIB + 500_000])
@pytest.mark.parametrize(("offset", "length"), [(0, None), (0, 2_500_000), (1000, None), (999_999, 1_600_000)])
def test_a_broken_read_goes_on_where_it_was(at: int, offset: int, length: int | None) -> None:
    data = bytes(range(251)) * 12_000
    line = Line(FaultPoint(at_byte=("big", at), times=2))
    line.memory.put("big", data)
    expected = data[offset:] if length is None else data[offset : offset + length]
    assert b"".join(line.storage.read("big", offset=offset, length=length)) == expected


def test_every_piece_that_arrives_gives_new_attempts() -> None:
    """A hundred breaks are no more than one, as long as bytes arrive in between."""

    class Breaking(MemoryStorage):
        """Breaks behind every piece."""

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
            pieces = super().read(key, offset=offset, length=length)

            def one() -> t.Iterator[bytes]:
                yield next(pieces, b"")[:1000]
                unreachable()

            return one()

    memory = Breaking()
    memory.put("a", bytes(100_000))
    storage = RetryingStorage(storage=memory, clock=FakeClock(), attempts=2)
    pieces = storage.read("a")
    assert sum(len(next(pieces)) for _piece in range(100)) == 100_000


def test_a_read_is_not_continued_in_another_object() -> None:
    line = Line(FaultPoint(at_byte=("a/b", 3)))
    pieces = line.storage.read("a/b")
    assert next(pieces) == b"da"
    line.memory_clock.advance(1)
    line.memory.put("a/b", b"DATA", if_absent=False)
    with pytest.raises(StorageError, match="replaced"):
        next(pieces)


def test_a_read_of_what_is_missing_is_refused_at_once() -> None:
    line = Line(FaultPoint())
    with pytest.raises(StorageNotFound):
        line.storage.read("missing")
    assert line.clock.slept == []


# --- lists -----------------------------------------------------------------------------------------------------------


class BreakingList(MemoryStorage):
    """Breaks once behind the third object of a list, after *meanwhile* was called."""

    broken = False
    meanwhile: t.Callable[[], object] = staticmethod(lambda: None)

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix)):
            if number == 3 and not self.broken:
                self.broken = True
                self.meanwhile()
                unreachable()
            yield info


def test_a_broken_list_goes_on_behind_the_last_key() -> None:
    memory = BreakingList()
    for key in "abcdef":
        memory.put(key, b"")
    memory.meanwhile = lambda: memory.delete(["a"])
    storage = RetryingStorage(storage=memory, clock=FakeClock())
    assert [info.key for info in storage.list()] == list("abcdef")
    assert memory.broken


def test_a_broken_list_that_has_lost_its_place_says_so() -> None:
    memory = BreakingList()
    for key in "abcdef":
        memory.put(key, b"")
    memory.meanwhile = lambda: memory.delete(["c"])
    storage = RetryingStorage(storage=memory, clock=FakeClock())
    with pytest.raises(StorageUnreachable, match="behind c"):
        list(storage.list())


# --- versions and locks ----------------------------------------------------------------------------------------------


class BreakingVersions(MemoryStorage):
    """Breaks once behind the third version of a list."""

    broken = False

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        for number, version in enumerate(super().versions(prefix)):
            if number == 3 and not self.broken:
                self.broken = True
                unreachable()
            yield version


def test_a_broken_list_of_versions_goes_on_behind_the_last_one() -> None:
    memory = BreakingVersions(versioned=True)
    for _round in range(3):
        for key in "ab":
            memory.put(key, b"", if_absent=False)
    storage = RetryingStorage(storage=memory, clock=FakeClock())
    found = [(version.key, version.version_id) for version in storage.versions()]
    assert memory.broken
    assert [key for key, _id in found] == list("aaabbb")
    assert len(set(found)) == 6


@pytest.mark.parametrize(
    "call",
    [
        lambda storage: storage.delete(["a"]),
        lambda storage: storage.delete_versions([]),
        lambda storage: storage.lock_state("a"),
        lambda storage: storage.extend_lock(["a"], until=START),
        lambda storage: storage.set_hold(["a"], on=True),
        lambda storage: storage.clock_skew(),
        lambda storage: list(storage.versions()),
    ],
)
def test_what_can_be_repeated_is(call: t.Callable[[RetryingStorage], object]) -> None:
    memory = MemoryStorage(locks=True)
    memory.put("a", b"x")
    faulty = FaultyStorage(storage=memory, fault=unreachable, point=FaultPoint(at_call=1))
    clock = FakeClock()
    call(RetryingStorage(storage=faulty, clock=clock))
    assert len(faulty.calls) == 2
    assert len(clock.slept) == 1
