# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the backup operation with a real source, into repositories that a test chooses."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageForbidden,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
    StateDirectory,
    running_jobs,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import backup as operation
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import (
    plan_backup,
    run_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupPlan,
    BackupRequest,
    BackupResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.backups import make_source, request
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage


class Bench:
    """A source, a state directory and repositories by name, which runs are given in place of those they describe."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.source = make_source(folder / "source", size=2_500_000)
        self.state = StateDirectory(path=str(folder / "state"))
        self.storages: dict[str, Storage] = {"near": MemoryStorage(name="near"), "far": MemoryStorage(name="far")}
        self.clock = FakeClock()
        self.journal = MemoryJournal()
        monkeypatch.setattr(operation, "open_storage", lambda _description, *, name, clock, runner: self.storages[name])

    @property
    def host(self) -> Host:
        """Who runs it."""
        return Host(clock=self.clock, journal=self.journal, name="db1")

    def request(self, **changes: t.Any) -> BackupRequest:
        """The request of a run; *changes* replace fields of it."""
        descriptions = {name: {"type": "memory"} for name in self.storages}
        return request(self.source, descriptions, state_directory=self.state.path, **changes)

    def run(self, **changes: t.Any) -> BackupResult:
        """Make a backup, a second later than the last."""
        self.clock.advance(1)
        return run_backup(self.request(**changes), host=self.host)

    def plan(self, **changes: t.Any) -> BackupPlan:
        """Plan a backup."""
        return plan_backup(self.request(**changes), host=self.host)

    @property
    def records(self) -> list[dict[str, t.Any]]:
        """The records of the runs."""
        return self.state.records("shop.main.static")

    def assert_idle(self) -> None:
        """Nothing runs, and nobody holds the lock."""
        assert running_jobs(self.state) == []
        lock = SourceLock(state=self.state, name="shop.main", clock=FakeClock())
        lock.acquire(holder={}, timeout=0)
        lock.release()


def faulty(fault: t.Callable[[], None] = unreachable, **point: t.Any) -> FaultyStorage:
    """A repository in memory with a fault at a FaultPoint of *point*."""
    return FaultyStorage(storage=MemoryStorage(), fault=fault, point=FaultPoint(**point))


def forbidden() -> None:
    """A fault: the repository knows us and refuses."""
    raise StorageForbidden("403: not you", hint="Ask for s3:PutObject.")
