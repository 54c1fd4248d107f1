# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults strike where they are told to, and only there: other tests rely on it."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageForbidden
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import START


class Struck(Exception):
    pass


def strike() -> None:
    raise Struck


def story(storage: Storage) -> None:
    """Nine calls, seven of which can change something."""
    storage.check()
    writer = storage.writer("a")
    writer.write(b"12345")
    writer.write(b"67890")
    writer.commit()
    storage.stat("a")
    storage.put("b", b"x")
    list(storage.list())
    storage.delete(["b"])


def test_calls_and_changes_are_counted() -> None:
    storage = FaultyStorage(storage=MemoryStorage())
    story(storage)
    assert storage.calls == [
        "check",
        "writer a",
        "write a",
        "write a",
        "commit a",
        "stat a",
        "put b",
        "list",
        "delete b",
    ]
    assert storage.changes == 7
    assert storage.struck == 0


@pytest.mark.parametrize("number", range(1, 10))
def test_every_call_can_be_struck(number: int) -> None:
    storage = FaultyStorage(storage=MemoryStorage(), fault=strike, point=FaultPoint(at_call=number))
    with pytest.raises(Struck):
        story(storage)
    assert len(storage.calls) == number
    assert storage.struck == 1


@pytest.mark.parametrize(
    ("number", "call"), list(enumerate(["check", "writer a", "write a", "write a", "commit a", "put b"], 1))
)
@pytest.mark.parametrize("answer_lost", [False, True])
def test_every_change_can_be_struck_before_and_after_it_is_made(number: int, call: str, answer_lost: bool) -> None:
    memory = MemoryStorage()
    point = FaultPoint(at_change=number, answer_lost=answer_lost)
    storage = FaultyStorage(storage=memory, fault=strike, point=point)
    with pytest.raises(Struck):
        story(storage)
    assert storage.calls[-1] == call
    made = {"commit a": ["a"], "put b": ["a", "b"]}.get(call, [])
    assert [info.key for info in memory.list()] == (made if answer_lost else made[:-1])


@pytest.mark.parametrize(("times", "struck"), [(1, 1), (2, 2), (None, 3)])
def test_a_fault_strikes_so_many_times(times: int | None, struck: int) -> None:
    storage = FaultyStorage(storage=MemoryStorage(), fault=strike, point=FaultPoint(at_change=1, times=times))
    for number in range(3):
        try:
            storage.put(str(number), b"")
        except Struck:
            continue
    assert storage.struck == struck


@pytest.mark.parametrize("at", range(1, 11))
def test_every_byte_can_be_struck_on_its_way_in(at: int) -> None:
    memory = MemoryStorage()
    storage = FaultyStorage(storage=memory, fault=strike, point=FaultPoint(at_byte=("a", at)))
    writer = storage.writer("a")

    def write() -> None:
        writer.write(b"12345")
        writer.write(b"67890")

    with pytest.raises(Struck):
        write()
    storage._point = FaultPoint()
    writer.commit()
    assert memory.get("a") == b"1234567890"[: at - 1]


@pytest.mark.parametrize("at", range(1, 11))
def test_every_byte_can_be_struck_on_its_way_out(at: int) -> None:
    memory = MemoryStorage()
    memory.put("a", b"1234567890")
    memory.put("b", b"1234567890")
    storage = FaultyStorage(storage=memory, fault=strike, point=FaultPoint(at_byte=("a", at)))
    assert b"".join(storage.read("b")) == b"1234567890"
    seen = bytearray()

    def read() -> None:
        for piece in storage.read("a"):
            seen.extend(piece)

    with pytest.raises(Struck):
        read()
    assert bytes(seen) == b"1234567890"[: at - 1]
    assert b"".join(storage.read("a")) == b"1234567890"


def test_abort_never_raises_even_when_it_is_struck() -> None:
    def forbid() -> None:
        raise StorageForbidden("Not you.")

    memory = MemoryStorage()
    storage = FaultyStorage(storage=memory, fault=forbid, point=FaultPoint(at_change=2))
    storage.writer("a").abort()
    assert storage.struck == 1
    assert list(memory.unfinished()) == []


def test_versions_and_locks_are_calls_as_well() -> None:
    storage = FaultyStorage(storage=MemoryStorage(locks=True))
    storage.put("a", b"x")
    versions = list(storage.versions("a"))
    storage.lock_state("a")
    storage.extend_lock(["a"], until=START)
    storage.set_hold(["a", "b"], on=False)
    storage.delete_versions([*versions, *versions])
    storage.clock_skew()
    assert storage.calls == [
        "put a",
        "versions a",
        "lock_state a",
        "extend_lock a",
        "set_hold a b",
        "delete_versions a",
        "clock_skew",
    ]
    assert storage.changes == 4
