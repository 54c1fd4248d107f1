# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups in a real repository, to be altered and verified by the real operation."""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import Verification
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restored_dump import RestoredDump
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.producers import (
    mongodb as producers,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verifiers import (
    mongodb as verifiers,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Proof,
    VerifyRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import scratch_instance
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.verifier import VerifierContext
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from sandbox.mongodb import MongoReplicaSet
from sandbox.parts import MONGOD, find_mongod, require
from tests.support import mutations_mongodb, resealing

ARCHIVE = "dump.archive"
SHOP = "verified"
SERIES = Series(service="shop", source="main", kind="full")


@dataclass(frozen=True)
class Place:
    """A repository on disk, and a folder for scratch instances, whose path is short enough for a socket."""

    repository: Path
    scratch: Path
    state: Path
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    @property
    def host(self) -> Host:
        return Host(journal=self.journal)

    def back_up(
        self, uri: str, *, series: Series = SERIES, recipient: str | None = None, **options: t.Any
    ) -> BackupFolder:
        """Make a real backup, encrypted for *recipient*."""
        description = {"connection": {"uri": uri, "server_selection_timeout": 5}, **options}
        request = BackupRequest(
            series=series,
            engine="mongodb",
            repositories=(RepositoryRequest(name="local", description=self._description),),
            make_producer=producers.full(description),
            transforms=Transforms(
                compression=Compression(level=1, threads=1),
                encryption=Encryption(recipients=(recipient,)) if recipient else None,
            ),
            state_directory=str(self.state),
        )
        return run_backup(request, host=self.host).manifest.folder

    def verify(
        self, folder: BackupFolder, *, level: int = 4, options: t.Mapping[str, t.Any] | None = None, **proof: t.Any
    ) -> Verification:
        """Verify one backup by the operation; raises the error when nobody could tell."""
        request = VerifyRequest(
            repositories=(RepositoryRequest(name="local", description=self._description),),
            selection=Selection(backup_id=folder.backup_id),
            proof=Proof(level=level, options={"mongodb": {"mongod": mongod(), **(options or {})}}, **proof),
            scratch_directory=str(self.scratch),
            state_directory=str(self.state),
        )
        (outcome,) = run_verifications(request, host=self.host).outcomes
        if outcome.verification is None:
            assert outcome.error is not None
            raise outcome.error
        return outcome.verification

    def alter(self, folder: BackupFolder, change: t.Callable[[bytes], bytes]) -> None:
        """Alter the archive of a backup; sizes and hashes are right again."""
        resealing.mutate_payload(self.repository, folder, ARCHIVE, change)

    def note_what_is_there(self, folder: BackupFolder) -> None:
        """Make the manifest's content that of the archive: as if the dump itself had been made like this."""
        archive = resealing.plain_bytes(self.repository, folder, ARCHIVE)
        resealing.mutate_manifest(
            self.repository, folder, lambda document: mutations_mongodb.note_what_is_there(document, archive=archive)
        )

    @contextlib.contextmanager
    def restored(self, folder: BackupFolder, **options: t.Any) -> t.Iterator[RestoredDump]:
        """Level 3 of the verifier alone: the instance, to be looked at or damaged."""
        manifest = resealing.read_manifest(self.repository, folder)
        host = self.host
        source = PayloadSource(
            manifest=manifest,
            storage=LocalStorage(path=str(self.repository)),
            repository="local",
            runner=host.runner,
            identity=Secret(name="identity"),
        )
        verifier = verifiers.full({"mongod": mongod(), **options})(VerifierContext(manifest=manifest, host=host))
        verifier.inspect(level=4)
        progress = Progress(clock=SystemClock())
        limit = 1024 * 1024 * 1024
        with (
            scratch_instance(str(self.scratch), memory_limit=limit, journal=self.journal) as scratch,
            verifier.scratch(source=source, scratch=scratch, progress=progress) as instance,
        ):
            yield t.cast("RestoredDump", instance)

    @property
    def _description(self) -> dict[str, t.Any]:
        return {"type": "file", "path": str(self.repository), "create": True}


def mongod() -> str:
    """The program that the tests' own servers run."""
    return str(require(find_mongod(), MONGOD))


def small_backup(servers: MongoReplicaSet, folder: Path) -> tuple[Path, BackupFolder]:
    """A new repository below *folder* with a backup of the small database SHOP, which is gone from the servers."""
    place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
    with servers.client() as client:
        shop = client[SHOP]
        # What expired long ago must still be there for the dump: the source's monitor looks once a minute.
        client.admin.command({"setParameter": 1, "ttlMonitorEnabled": False})
        try:
            shop.orders.insert_many(
                {"_id": number, "price": number / 2, "item": f"i{number % 7}"} for number in range(200)
            )
            shop.orders.create_index([("item", 1), ("price", -1)], name="by item")
            shop.orders.create_index("price", unique=True)
            shop.create_collection("german", collation={"locale": "de"}, validator={"name": {"$exists": True}})
            long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
            shop.sessions.insert_many({"_id": number, "at": long_ago} for number in range(20))
            shop.sessions.create_index("at", expireAfterSeconds=60)
            made = place.back_up(servers.uri, database=SHOP)
        finally:
            client.drop_database(SHOP)
            client.admin.command({"setParameter": 1, "ttlMonitorEnabled": True})
    return place.repository, made
