# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dry run changes nothing and tells everything that it would have changed."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageError,
    StorageExists,
    StorageKeyInvalid,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.dry_run import DryRunStorage, Would
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import START, FakeClock


def test_changes_are_noted_in_order_and_not_made() -> None:
    memory = MemoryStorage(clock=FakeClock())
    memory.put("old", b"old")
    crashed = memory.writer("crashed")
    faulty = FaultyStorage(storage=memory)
    storage = DryRunStorage(storage=faulty, clock=FakeClock())

    storage.check()
    writer = storage.writer("a/b")
    writer.write(b"123")
    writer.write(memoryview(b"45"))
    info = writer.commit()
    assert (info.key, info.size, info.modified) == ("a/b", 5, START)
    assert storage.put("c", b"1").size == 1
    assert storage.put("old", b"new", if_absent=False).size == 3
    assert storage.delete(["old", "missing", "old"]).deleted == ("old", "missing")
    (upload,) = storage.unfinished()
    storage.abort_unfinished(upload)

    assert storage.would == [
        Would(action="store", key="a/b", size=5),
        Would(action="store", key="c", size=1),
        Would(action="store", key="old", size=3),
        Would(action="delete", key="old"),
        Would(action="delete", key="missing"),
        Would(action="abort", key="crashed"),
    ]
    assert faulty.changes == 0, "something reached the storage"
    assert memory.get("old") == b"old"
    assert [found.key for found in memory.list()] == ["old"]
    crashed.abort()


def test_what_may_not_be_replaced_is_refused_as_it_would_be() -> None:
    memory = MemoryStorage()
    memory.put("a", b"x")
    storage = DryRunStorage(storage=memory, clock=FakeClock())
    with pytest.raises(StorageExists):
        storage.put("a", b"y")
    with pytest.raises(StorageExists):
        storage.writer("a").commit()
    assert storage.would == []


def test_an_aborted_or_ended_writer_would_do_nothing() -> None:
    storage = DryRunStorage(storage=MemoryStorage(), clock=FakeClock())
    writer = storage.writer("a")
    writer.write(b"x")
    writer.abort()
    for call in (lambda: writer.write(b"x"), writer.commit):
        with pytest.raises(StorageError):
            call()
    assert storage.would == []


def test_check_proves_that_the_repository_answers() -> None:
    def fail() -> None:
        raise StorageUnreachable("The line is dead.")

    faulty = FaultyStorage(storage=MemoryStorage(), fault=fail, point=FaultPoint(at_call=1))
    with pytest.raises(StorageUnreachable):
        DryRunStorage(storage=faulty, clock=FakeClock()).check()


def test_versions_and_locks_are_noted_and_left_as_they_are() -> None:
    memory = MemoryStorage(clock=FakeClock(), locks=True)
    memory.put("a", b"123")
    memory.put("a", b"45678", if_absent=False)
    faulty = FaultyStorage(storage=memory)
    storage = DryRunStorage(storage=faulty, clock=FakeClock())
    until = START + datetime.timedelta(days=1)
    versions = list(storage.versions())
    assert storage.delete_versions(versions).deleted == ("a",)
    assert storage.extend_lock(["a"], until=until) == {}
    assert storage.set_hold(["a"], on=True) == {}
    assert storage.set_hold(["a"], on=False) == {}
    assert storage.would == [
        Would(action="delete version", key="a", size=5),
        Would(action="delete version", key="a", size=3),
        Would(action="lock", key="a"),
        Would(action="hold", key="a"),
        Would(action="release", key="a"),
    ]
    assert faulty.changes == 0, "something reached the storage"
    assert storage.lock_state("a") is None
    assert list(memory.versions()) == versions
    assert storage.clock_skew() == 0.0
    for bad in (lambda: storage.extend_lock(["../a"], until=until), lambda: storage.set_hold(["/"], on=True)):
        with pytest.raises(StorageKeyInvalid):
            bad()
