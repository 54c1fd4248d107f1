# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a repository after a removal died in it, and that the next runs bring it to its end."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import VOID_AFTER
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.manifests import DATA
from tests.support.removals import Pruner, backup, fill, pin

KEPT, FIRST, PINNED = backup(4), backup(0), backup(2)
CHILD = backup(1, parent=0)
EVERYTHING = (KEPT, FIRST, CHILD, PINNED)
GOING = (FIRST, CHILD)


class Clock(t.Protocol):
    """A clock that can be set, or one for which the test sees to it that marks are old."""

    def now(self) -> datetime.datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def advance(self, seconds: float) -> None: ...


class RealTime(SystemClock):
    """The machine's own clock, which nobody can set."""

    def advance(self, seconds: float) -> None:
        """It goes by itself."""


class Death(BaseException):
    """The process is gone: nothing that it does from now on has any effect."""


def prepare(storage: Storage, clock: Clock) -> None:
    """Four backups: one that the plan keeps, two that build on one another and go, and one that was pinned too late."""
    fill(storage, EVERYTHING)
    pin(storage, PINNED.folder, now=clock.now())


def remove(storage: Storage, clock: Clock, *, versions: str = "current") -> None:
    """What dies: the removal of three of them."""
    result = Pruner(storage, clock).remove(FIRST, CHILD, PINNED, versions=versions)
    if result.error is not None:
        raise result.error


def judge(storage: Storage, where: object) -> None:
    """Everything that is shown is whole, with what it builds on; nothing is lost that was not to go."""
    shown = set(Pruner(storage, RealTime()).listed())
    for described in EVERYTHING:
        if described.backup_id in shown:
            for name, data in DATA.items():
                assert storage.get(described.folder.key(name)) == data, f"{name} of {described.backup_id}: {where}"
    assert KEPT.backup_id in shown, where
    assert CHILD.backup_id not in shown or FIRST.backup_id in shown, where
    for described in (KEPT, PINNED):
        keys = [found.key for found in storage.list(described.folder.key(""))]
        assert set(_objects(described)) <= set(keys), f"{described.backup_id} lost something: {where}"


def finish(storage: Storage, clock: Clock, where: object, *, versions: str = "current") -> None:
    """The next runs, the second one after a pruner's life, leave nothing of what was to go, and everything else."""
    for _run in range(2):
        pruner = Pruner(storage, clock)
        pruner.finish(versions=versions)
        judge(storage, where)
        going = [one for one in (*GOING, PINNED) if one.backup_id in pruner.listed()]
        pruner.remove(*going, versions=versions)
        judge(storage, where)
        clock.advance(VOID_AFTER.total_seconds() + 1)
    left = {found.key for found in storage.list() if "removal-check" not in found.key}
    wanted = {found for described in (KEPT, PINNED) for found in _objects(described)}
    assert {key for key in left if "/pin-" not in key} == wanted, where
    assert sorted(Pruner(storage, clock).listed()) == sorted([KEPT.backup_id, PINNED.backup_id]), where


def _objects(described: Manifest) -> t.Iterator[str]:
    folder = described.folder
    yield folder.manifest_key
    for name in ("started.json", "RESTORE.md", f"verification-{described.backup_id[:15]}Z-0000ee.json", *DATA):
        yield folder.key(name)
