# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of real backups into real servers, run as the operation runs them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import (
    mongodb as restorers,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import (
    FINISHED,
    ROLLED_BACK,
    Ledger,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestoreInspection,
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import (
    Step,
    roll_back,
    run_steps,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support import resealing

RESTORE_ID = "20261121T120000Z-abcdef"


@dataclass
class Restore:
    """One restore of one backup; *state* is the folder of its notes."""

    repository: Path
    folder: BackupFolder
    options: t.Mapping[str, t.Any]
    state: Path
    restore_id: str = RESTORE_ID
    identity_file: str | None = None
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    @property
    def host(self) -> Host:
        return Host(journal=self.journal)

    @property
    def directory(self) -> StateDirectory:
        return StateDirectory(path=str(self.state))

    def source(self) -> PayloadSource:
        return PayloadSource(
            manifest=resealing.read_manifest(self.repository, self.folder),
            storage=LocalStorage(path=str(self.repository)),
            repository="local",
            runner=self.host.runner,
            identity=Secret(name="identity", file=self.identity_file),
        )

    def restorer(self) -> Restorer:
        context = RestorerContext(restore_id=self.restore_id, host=self.host, state=self.directory)
        return restorers.full(self.options)(context)

    def inspect(self) -> RestoreInspection:
        return self.restorer().inspect(source=self.source())

    def begin(self) -> None:
        Ledger.begin(
            state=self.directory,
            clock=SystemClock(),
            restore_id=self.restore_id,
            target=self.restorer().target,
            request={},
        )

    def run(self, *, before: t.Mapping[str, t.Callable[[], None]] | None = None) -> Restoration:
        """From the look to the outcome; what fails is rolled back. *before* does something before the named step."""
        self.inspect()
        self.begin()
        return self.resume(before=before)

    def resume(self, *, before: t.Mapping[str, t.Callable[[], None]] | None = None) -> Restoration:
        """What a later process does with what a dead one left."""
        restorer, ledger, now = self.restorer(), self.ledger(), Progress(clock=SystemClock())
        steps = [_with(step, before or {}) for step in restorer.steps(source=self.source(), progress=now)]
        run_steps(steps, ledger=ledger, journal=self.journal, progress=now)
        outcome = restorer.outcome(facts=self.facts())
        ledger.close(FINISHED)
        return outcome

    def roll_back(self) -> None:
        restorer, ledger, now = self.restorer(), self.ledger(), Progress(clock=SystemClock())
        steps = restorer.steps(source=self.source(), progress=now)
        roll_back(steps, ledger=ledger, journal=self.journal, progress=now)
        ledger.close(ROLLED_BACK)

    def discard(self) -> tuple[str, ...]:
        return self.restorer().discard(facts=self.facts())

    def ledger(self) -> Ledger:
        return Ledger.load(state=self.directory, clock=SystemClock(), restore_id=self.restore_id)

    def facts(self) -> dict[str, dict[str, t.Any]]:
        return {entry["name"]: entry["facts"] for entry in self.ledger().as_dict()["steps"]}


def _with(step: Step, before: t.Mapping[str, t.Callable[[], None]]) -> Step:
    """The step with something that somebody else does after its plan and before its work."""
    doing = before.get(step.name)
    if doing is None:
        return step

    def do(facts: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any] | None:
        doing()
        return step.do(facts)

    return Step(name=step.name, title=step.title, do=do, undo=step.undo, plan=step.plan)


def fingerprint(client: t.Any) -> dict[str, t.Any]:
    """Everything on a server that a restore may change: collections with hash, options and indexes, views, users."""
    found: dict[str, t.Any] = {}
    for database in sorted(client.list_database_names()):
        if database in ("config", "local"):
            continue
        hashes = client[database].command("dbHash")["collections"]
        for entry in client[database].list_collections():
            name = entry["name"]
            if name in ("system.views", "system.version", "system.keys") or name.startswith("system.buckets."):
                continue
            indexes = []
            if entry["type"] != "view":
                indexes = sorted(str(sorted(index.items())) for index in client[database][name].list_indexes())
            value = hashes.get(name) or hashes.get(f"system.buckets.{name}")
            found[f"{database}.{name}"] = (entry["type"], str(entry["options"]), indexes, value)
    return found


def own_names(client: t.Any) -> list[str]:
    """What restores have left on a server, by full name."""
    return sorted(
        f"{database}.{name}"
        for database in client.list_database_names()
        if database not in ("config", "local")
        for name in client[database].list_collection_names()
        if "lifeboat" in name
    )
