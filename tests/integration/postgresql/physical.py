# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical backups made by the operation into a real repository, and the way back with all that it needs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verifiers import postgresql_base
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_verifier import PgBaseVerifier
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import Check
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import scratch_instance
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.verifier import (
    Instance,
    VerifierContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.rig import SECRET

MIB = 1024 * 1024


@dataclass
class Physical:
    """A repository with physical backups of one server; *identity* is the private key of encrypted ones."""

    server: PostgreSQLServer
    folder: Path
    recipients: tuple[str, ...] = ()
    identity: str = ""
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def host(self) -> Host:
        return Host(clock=SystemClock(), journal=self.journal, name="db1")

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(path=str(self.folder / "state"))

    def backup(self, kind: str = "base", **options: t.Any) -> str:
        """Make one; its id."""
        password = self.folder / "password"
        password.write_text(SECRET + "\n", encoding="utf-8")
        password.chmod(0o600)
        connection = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "user": "postgres",
            "database": "postgres",
            "password_file": str(password),
            "bin_directory": str(self.server.bin_directory),
        }
        runnable = KINDS["postgresql", kind]
        request = BackupRequest(
            series=Series(service="shop", source="main", kind=kind),
            engine="postgresql",
            repositories=(RepositoryRequest(name="it", description={"type": "file", "path": str(self.repository)}),),
            make_producer=runnable.factory({"connection": connection, **options}),
            transforms=Transforms(
                compression=Compression(level=1, threads=1),
                encryption=Encryption(recipients=self.recipients) if self.recipients else None,
            ),
            state_directory=self.state.path,
            parent_kinds=runnable.parent_kinds,
        )
        result = run_backup(request, host=self.host).as_dict()
        assert result["state"] == "complete", result
        return str(result["id"])

    def place(self, backup_id: str, kind: str = "base") -> BackupFolder:
        """Where a backup lies in the repository."""
        return Series(service="shop", source="main", kind=kind).backup(backup_id)

    def source(self, backup_id: str) -> PayloadSource:
        """Its payloads."""
        storage = open_storage(
            {"type": "file", "path": str(self.repository)},
            name="it",
            clock=self.host.clock,
            runner=self.host.runner,
            environment={},
        )
        reading = read_catalog({"it": storage})
        assert not reading.problems, [str(problem) for problem in reading.problems]
        manifest = next(one.manifest for one in reading.backups if one.manifest.backup_id == backup_id)
        identity = Secret(name="identity", file=self.identity) if self.identity else Secret(name="identity")
        return PayloadSource(
            manifest=manifest, storage=storage, repository="it", runner=self.host.runner, identity=identity
        )

    def chain(self, source: PayloadSource) -> tuple[PayloadSource, ...]:
        """What an increment builds on, the full one first."""
        parent = source.manifest.content.get("parent") or {}
        return tuple(self.source(str(one)) for one in parent.get("chain", ()))

    def verifier(self, source: PayloadSource, **options: t.Any) -> PgBaseVerifier:
        """With the server's own programs."""
        factory = postgresql_base.base({"bin_directory": str(self.server.bin_directory), **options})
        verifier = factory(VerifierContext(manifest=source.manifest, host=self.host, chain=self.chain(source)))
        assert isinstance(verifier, PgBaseVerifier)
        return verifier

    def listing(self, backup_id: str) -> dict[str, Check]:
        """Level 2, by the names of its checks."""
        source = self.source(backup_id)
        found = self.verifier(source).listing(source=source, progress=self.progress())
        return {check.name: check for check in found}

    @contextlib.contextmanager
    def alive(self, backup_id: str, **options: t.Any) -> t.Iterator[Instance]:
        """Level 3."""
        source = self.source(backup_id)
        verifier = self.verifier(source, **options)
        verifier.inspect(level=4)
        place = self.folder / "scratch"
        with (
            scratch_instance(str(place), memory_limit=256 * MIB, journal=self.journal) as scratch,
            verifier.scratch(source=source, scratch=scratch, progress=self.progress()) as instance,
        ):
            yield instance
        assert list(place.iterdir()) == []

    def progress(self) -> Progress:
        return Progress(clock=self.host.clock)


def make_key(folder: Path) -> tuple[str, str]:
    """A new key pair: recipient and the file of the private key."""
    path = folder / "identity.txt"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True, timeout=30)
    recipient = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True, timeout=30)
    return recipient.stdout.strip(), str(path)


@contextlib.contextmanager
def physical(server: PostgreSQLServer, **changes: t.Any) -> t.Iterator[Physical]:
    """A repository in a folder that the servers' user can enter, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-test-"))
    folder.chmod(0o755)
    try:
        (folder / "repository").mkdir()
        yield Physical(server=server, folder=folder, **changes)
    finally:
        shutil.rmtree(folder)


def failed(checks: t.Mapping[str, Check]) -> dict[str, str]:
    """The messages of those that failed, by name."""
    return {name: check.message for name, check in checks.items() if check.state == "failed"}
