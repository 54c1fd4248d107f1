# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories with backups that are to be removed, and removals of them."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Reading, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, pin_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import Clock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_backups import (
    finish_removals,
    remove_backups,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.removing import Removed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    KEPT,
    REMOVED,
    Decision,
    Entry,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.manifests import manifest, store

BASE = Series(service="shop", source="main", kind="base")
INCREMENT = Series(service="shop", source="main", kind="incremental")
IDS = tuple(f"202611{day:02}T020000Z-00000{number}" for number, day in enumerate((1, 5, 9, 13, 17)))


def backup(number: int, *, parent: int | None = None) -> Manifest:
    """The backup of that number: a base, or an increment of another one."""
    series = BASE if parent is None else INCREMENT
    return manifest(
        backup_id=IDS[number],
        service=series.service,
        source=series.source,
        kind=series.kind,
        engine="postgresql",
        parent=None if parent is None else IDS[parent],
        repositories=("local",),
        compression=None,
    )


def decision(described: Manifest) -> Decision:
    """That the policy removes it."""
    entry = Entry(
        series=described.folder.series,
        backup_id=described.backup_id,
        engine=described.engine,
        started=described.started,
        finished=described.finished,
        state="complete",
        stored_bytes=described.stored_bytes,
        parent=described.parent,
    )
    return Decision(entry=entry, verdict=REMOVED, reasons=("older than 3d",))


def kept(described: Manifest, *, state: str = "verified") -> Decision:
    """That the policy keeps it."""
    decided = decision(described)
    return replace(decided, entry=replace(decided.entry, state=state), verdict=KEPT, reasons=("verified 1 of 2",))


def fill(storage: Storage, backups: t.Iterable[Manifest]) -> None:
    """Put them there as runs do, with notes and a verification each."""
    for described in backups:
        folder = store(storage, described)
        storage.put(folder.key("RESTORE.md"), b"how to")
        storage.put(folder.key(f"verification-{described.backup_id[:15]}Z-0000ee.json"), b"{}")


def pin(storage: Storage, folder: BackupFolder, *, now: datetime.datetime, **more: t.Any) -> str:
    """Pin a backup; the id of the pin."""
    made = Pin(
        pin_id="20261120T120000Z-0000cc",
        backup_id=folder.backup_id,
        reason="the audit",
        by="ops",
        host="db1",
        made=now,
        **more,
    )
    storage.put(pin_key(folder, made.pin_id), made.as_bytes())
    return str(made.pin_id)


class Pruner:
    """Removes from one repository, named local; *elsewhere* are the ids that another one has."""

    def __init__(self, storage: Storage, clock: Clock, *, elsewhere: t.Collection[str] = ()) -> None:
        self.storage = storage
        self.clock = clock
        self.elsewhere = elsewhere
        self.journal = MemoryJournal()
        self.host = Host(clock=clock, journal=self.journal, name="db1")

    def remove(self, *backups: Manifest, **more: t.Any) -> Removed:
        """Remove these."""
        return self.carry_out([decision(one) for one in backups], **more)

    def carry_out(self, decisions: t.Sequence[Decision], **more: t.Any) -> Removed:
        """Remove what they say."""
        return remove_backups(self.storage, decisions, plan_hash="the plan", **self._common(), **more)

    def finish(self, **more: t.Any) -> Removed:
        """Go on with what is begun."""
        return finish_removals(self.storage, self.reading().removals, **self._common(), **more)

    def reading(self) -> Reading:
        """What the repository holds."""
        return read_catalog({"local": self.storage})

    def listed(self) -> list[str]:
        """The ids of the backups that are shown; fails when something can't be read."""
        reading = self.reading()
        bad = [problem for problem in reading.problems if problem.code != "catalog.verification_invalid"]
        assert not bad, [str(problem) for problem in bad]
        return [one.manifest.backup_id for one in reading.backups]

    def objects(self) -> list[str]:
        """All that is in the repository."""
        return [found.key for found in self.storage.list()]

    def _common(self) -> dict[str, t.Any]:
        return {
            "repository": "local",
            "elsewhere": lambda backup_id: backup_id in self.elsewhere,
            "host": self.host,
            "journal": self.journal,
            "progress": Progress(clock=self.clock),
            "deadline": self.clock.now() + datetime.timedelta(hours=5),
        }
