# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository with backups of real servers, and verifications of them, one level at a time."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers import redis as producers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import redis as restorers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verifiers import redis as verifiers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import (
    FINISHED,
    ROLLED_BACK,
    Ledger,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import Check
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restoration,
    RestoreInspection,
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import (
    Scratch,
    scratch_instance,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import roll_back, run_steps
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.verifier import (
    Instance,
    Verifier,
    VerifierContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.integration.redis.servers import Served, describe
from tests.support import resealing

MEMORY = 512 * 1024 * 1024


@dataclass
class Rig:
    """One repository in *folder*; *identity_file* is the private key when the backups are encrypted."""

    folder: pathlib.Path
    recipient: str | None = None
    identity_file: pathlib.Path | None = None
    host: Host = field(default_factory=Host)

    @property
    def repository(self) -> pathlib.Path:
        return self.folder / "repository"

    @property
    def scratch_directory(self) -> pathlib.Path:
        return self.folder / "scratch"

    def back_up(self, of: Served, *, kind: str = "rdb", source: str = "main", **options: t.Any) -> BackupFolder:
        """Back *of* up by the real operation; the place of the new backup."""
        factory = {"rdb": producers.rdb, "aof": producers.aof}[kind]
        encryption = Encryption(recipients=(self.recipient,)) if self.recipient else None
        result = run_backup(
            BackupRequest(
                series=Series(service="shop", source=source, kind=kind),
                engine="redis",
                repositories=(
                    RepositoryRequest("local", {"type": "file", "path": str(self.repository), "create": True}),
                ),
                make_producer=factory({"connection": describe(of), "timeout": 60, **options}),
                transforms=Transforms(compression=Compression(level=1, threads=1), encryption=encryption),
                state_directory=str(self.folder / "state"),
            ),
            host=self.host,
        )
        return result.manifest.folder

    def manifest(self, place: BackupFolder) -> Manifest:
        return resealing.read_manifest(self.repository, place)

    def source(self, place: BackupFolder) -> PayloadSource:
        """The payloads of the backup."""
        storage = open_storage(
            {"type": "file", "path": str(self.repository)},
            name="local",
            clock=self.host.clock,
            runner=self.host.runner,
        )
        return PayloadSource(
            manifest=self.manifest(place),
            storage=storage,
            repository="local",
            runner=self.host.runner,
            identity=Secret(name="identity", file=str(self.identity_file) if self.identity_file else None),
        )

    def verifier(self, place: BackupFolder, **options: t.Any) -> Verifier:
        manifest = self.manifest(place)
        factory = {"rdb": verifiers.rdb, "aof": verifiers.aof}[manifest.kind](options)
        return factory(VerifierContext(manifest=manifest, host=self.host))

    def check_stored(self, place: BackupFolder) -> None:
        """Level 1: raises when stored bytes are not those of the manifest."""
        source = self.source(place)
        for payload in source.manifest.payloads:
            source.check(payload, progress=progress())

    def listing(self, place: BackupFolder, **options: t.Any) -> list[Check]:
        """Level 2."""
        verifier = self.verifier(place, **options)
        verifier.inspect(level=2)
        return list(verifier.listing(source=self.source(place), progress=progress()))

    @contextlib.contextmanager
    def instance(
        self, place: BackupFolder, *, memory: int = MEMORY, **options: t.Any
    ) -> t.Iterator[tuple[Instance, Scratch]]:
        """Level 3."""
        verifier = self.verifier(place, **options)
        verifier.inspect(level=3)
        with (
            scratch_instance(str(self.scratch_directory), memory_limit=memory, journal=self.host.journal) as scratch,
            verifier.scratch(source=self.source(place), scratch=scratch, progress=progress()) as instance,
        ):
            yield instance, scratch

    def compare(self, place: BackupFolder, **options: t.Any) -> list[Check]:
        """Level 4, without questions."""
        with self.instance(place, **options) as (instance, _scratch):
            return list(instance.compare())

    def reached(self, place: BackupFolder) -> tuple[int, str]:
        """How far a verification comes: the last level that passes, and what the next one says."""
        reached = 0
        try:
            self.check_stored(place)
            reached = 1
            require_passed(self.listing(place))
            reached = 2
            with self.instance(place) as (instance, _scratch):
                reached = 3
                require_passed(list(instance.compare()))
        except LifeboatError as error:
            return reached, f"{error.code}: {error.message}"
        except CheckFailed as failed:
            return reached, str(failed)
        return 4, ""

    def mutate(self, place: BackupFolder, function: t.Callable[[bytes], bytes]) -> None:
        """Change the one payload's plain bytes and seal again."""
        name = "dump.rdb" if self.manifest(place).kind == "rdb" else "appendonly.tar"
        resealing.mutate_payload(self.repository, place, name, function, identity_file=self.identity_file)

    def plain(self, place: BackupFolder) -> bytes:
        name = "dump.rdb" if self.manifest(place).kind == "rdb" else "appendonly.tar"
        return resealing.plain_bytes(self.repository, place, name, identity_file=self.identity_file)

    def note(self, place: BackupFolder, **changes: t.Any) -> None:
        """Change what the manifest's content says, and seal again; None takes a property out."""

        def change(document: dict[str, t.Any]) -> None:
            for name, value in changes.items():
                document["content"][name] = value
                if value is None:
                    del document["content"][name]

        resealing.mutate_manifest(self.repository, place, change)


@dataclass
class Restore:
    """One restore of a backup of *rig*, as the operation runs it: inspect, ledger, steps, outcome."""

    rig: Rig
    place: BackupFolder
    options: t.Mapping[str, t.Any]
    restore_id: str = "20261121T120000Z-abcdef"

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.rig.folder / "state"))

    def restorer(self) -> Restorer:
        factory = {"rdb": restorers.rdb, "aof": restorers.aof}[self.rig.manifest(self.place).kind](self.options)
        return factory(RestorerContext(restore_id=self.restore_id, host=self.rig.host, state=self.state))

    def inspect(self) -> RestoreInspection:
        return self.restorer().inspect(source=self.rig.source(self.place))

    def run(self) -> Restoration:
        """From the look to the outcome; what fails is rolled back."""
        self.inspect()
        Ledger.begin(
            state=self.state,
            clock=self.rig.host.clock,
            restore_id=self.restore_id,
            target=self.restorer().target,
            request={},
        )
        return self.resume()

    def ledger(self) -> Ledger:
        return Ledger.load(state=self.state, clock=self.rig.host.clock, restore_id=self.restore_id)

    def resume(self) -> Restoration:
        """What a later process does with what a dead one left."""
        restorer, ledger = self.restorer(), self.ledger()
        now = progress()
        steps = restorer.steps(source=self.rig.source(self.place), progress=now)
        run_steps(steps, ledger=ledger, journal=self.rig.host.journal, progress=now)
        outcome = restorer.outcome(facts=self.facts())
        ledger.close(FINISHED)
        return outcome

    def roll_back(self) -> None:
        restorer, ledger = self.restorer(), self.ledger()
        now = progress()
        steps = restorer.steps(source=self.rig.source(self.place), progress=now)
        roll_back(steps, ledger=ledger, journal=self.rig.host.journal, progress=now)
        ledger.close(ROLLED_BACK)

    def discard(self) -> tuple[str, ...]:
        return self.restorer().discard(facts=self.facts())

    def facts(self) -> dict[str, dict[str, t.Any]]:
        return {entry["name"]: entry["facts"] for entry in self.ledger().as_dict()["steps"]}


class CheckFailed(Exception):
    """A check of a level failed."""


def require_passed(checks: list[Check]) -> None:
    failed = [check.message for check in checks if check.state == "failed"]
    if failed:
        raise CheckFailed("; ".join(failed))


def progress() -> Progress:
    return Progress(clock=SystemClock())
