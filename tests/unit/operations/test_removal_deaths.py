# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal dies at every call to the repository, before it and after it; and somebody else comes at every call."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import BackupNotFound
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.pins import pin_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import VOID_AFTER
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.removal_deaths import FIRST, PINNED, Death, finish, judge, prepare, remove
from tests.support.removals import IDS, Pruner

Make = t.Callable[[FakeClock], Storage]


@pytest.fixture(params=["memory", "versions", "file"])
def make(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Make:
    numbers = iter(range(10_000))

    def made(clock: FakeClock) -> Storage:
        if request.param == "file":
            return LocalStorage(path=str(tmp_path / str(next(numbers))), create=True)
        return MemoryStorage(clock=clock, versioned=request.param == "versions")

    made.versions = "all" if request.param == "versions" else "current"  # type: ignore[attr-defined]
    return made


class Dying(FaultyStorage):
    """Whoever works on it dies at *point*, and nothing that he does from then on has any effect."""

    def pass_on(self, name: str, subject: str, call: t.Callable[[], t.Any]) -> t.Any:
        if self.struck:
            raise Death
        return super().pass_on(name, subject, call)


def die() -> None:
    raise Death


@pytest.mark.thorough
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_removal_that_dies_at_any_call_is_brought_to_its_end_by_the_next(make: Make, *, answer_lost: bool) -> None:
    versions = make.versions  # type: ignore[attr-defined]
    clock = FakeClock()
    storage = make(clock)
    prepare(storage, clock)
    counting = FaultyStorage(storage=storage)
    remove(counting, clock, versions=versions)
    assert len(counting.calls) > 20
    for call in range(1, len(counting.calls) + 1):
        clock = FakeClock()
        storage = make(clock)
        prepare(storage, clock)
        dying = Dying(storage=storage, fault=die, point=FaultPoint(at_call=call, answer_lost=answer_lost))
        with contextlib.suppress(Death):
            remove(dying, clock, versions=versions)
        where = f"call {call}: {counting.calls[call - 1]}"
        judge(storage, where)
        clock_of_files(storage, clock)
        finish(storage, clock, where, versions=versions)


def clock_of_files(storage: Storage, clock: FakeClock) -> None:
    """Files have the machine's own time: the marks are as old as the test says."""
    if isinstance(storage, LocalStorage):
        newest = max((found.modified for found in storage.list()), default=clock.now())
        clock.advance(max(0.0, (newest - clock.now()).total_seconds()) + VOID_AFTER.total_seconds() + 1)


@pytest.mark.thorough
def test_two_pruners_at_once_do_no_harm_and_only_work_twice(make: Make) -> None:
    """The second one does all of its work before any one call of the first."""
    clock = FakeClock()
    storage = make(clock)
    prepare(storage, clock)
    counting = FaultyStorage(storage=storage)
    remove(counting, clock)
    for call in range(1, len(counting.calls) + 1):
        clock = FakeClock()
        storage = make(clock)
        prepare(storage, clock)

        def second(storage: Storage = storage, clock: FakeClock = clock) -> None:
            clock.advance(1)
            remove(storage, clock)

        where = f"call {call}: {counting.calls[call - 1]}"
        remove(FaultyStorage(storage=storage, fault=second, point=FaultPoint(at_call=call)), clock)
        judge(storage, where)
        assert sorted(Pruner(storage, clock).listed()) == sorted([IDS[4], PINNED.backup_id]), where
        finish(storage, clock, where)


@pytest.mark.thorough
def test_a_pin_that_comes_at_any_call_is_kept_or_refused_and_never_forgotten(make: Make) -> None:
    clock = FakeClock()
    storage = make(clock)
    prepare(storage, clock)
    counting = FaultyStorage(storage=storage)
    remove(counting, clock)
    answers = set()
    for call in range(1, len(counting.calls) + 1):
        clock = FakeClock()
        storage = make(clock)
        prepare(storage, clock)
        pinned: list[bool] = []

        def pin(storage: Storage, clock: FakeClock, pinned: list[bool]) -> None:
            with contextlib.suppress(BackupNotFound):
                pin_backup({"local": storage}, FIRST.backup_id, reason="wait", by="me", host=Host(clock=clock))
                pinned.append(True)

        fault = functools.partial(pin, storage, clock, pinned)
        remove(FaultyStorage(storage=storage, fault=fault, point=FaultPoint(at_call=call)), clock)
        where = f"call {call}: {counting.calls[call - 1]}"
        judge(storage, where)
        answers.add(bool(pinned))
        assert (FIRST.backup_id in Pruner(storage, clock).listed()) == bool(pinned), where
    assert answers == {True, False}
