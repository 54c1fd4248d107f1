# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries to a point in time on real servers: a cluster that archives into a spool, its stream, and the way back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryTargetUnreachable,
    StreamSegmentRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import postgresql_base
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_planner import (
    PgRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    SpoolSettings,
    archive_command,
    write_archive_script,
    write_spool_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_description import describe_wal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    recovery_target_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.postgresql.physical import Physical
from tests.integration.postgresql.restoring import Restoring

SERIES = Series(service="shop", source="main", kind="wal")


def own(path: Path, *, mode: int = 0o755) -> Path:
    """A folder of the servers' user."""
    path.mkdir()
    path.chmod(mode)
    user = operating_system_user()
    if user is not None:
        shutil.chown(path, user)
    return path


# --- archiving --------------------------------------------------------------------------------------------------------


def archive_settings(folder: Path) -> dict[str, str]:
    """The settings of a server that archives into the spool below *folder*, by the script that Lifeboat installs."""
    script, spool = folder / "archive-wal", folder / "spool"
    write_archive_script(str(script))
    return {
        "archive_mode": "on",
        "archive_command": archive_command(script=str(script), spool=str(spool)),
        "track_commit_timestamp": "on",
        "max_prepared_transactions": "5",
        # Nobody else writes WAL at moments of its own.
        "autovacuum": "off",
        "checkpoint_timeout": "1h",
    }


def open_spool(server: PostgreSQLServer, folder: Path) -> str:
    """Tell the spool whose WAL it takes; the system identifier."""
    identifier = str(server.query("SELECT system_identifier FROM pg_control_system()")[0][0])
    write_spool_settings(str(folder / "spool"), SpoolSettings(system_identifier=identifier, budget_mib=8192))
    return identifier


def archive_everything(server: PostgreSQLServer, folder: Path) -> str:
    """Leave the segment that is being written, and wait until it is in the spool; its name."""
    name = str(server.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
    clock = SystemClock()
    deadline = clock.monotonic() + 90
    while not (folder / "spool" / name).exists():
        assert clock.monotonic() < deadline, server.query("SELECT * FROM pg_stat_archiver")
        clock.sleep(0.05)
    return name


def read_spool(folder: Path, identifier: str) -> tuple[Stream, list[str]]:
    """What shipping would record of the files in a spool, and the names of those that it would refuse."""
    segments, refused = [], []
    for entry in Spool(path=str(folder), budget=1 << 40).entries():
        try:
            lineage, description = describe_wal(entry, lineage=identifier, before=None, thorough=True)
        except StreamSegmentRefused:
            refused.append(entry.name)
            continue
        assert lineage == identifier
        digest = _sha256(entry.path)
        payload = StoredPayload(
            name=entry.name,
            media=description.media,
            size=entry.size,
            sha256=digest,
            plain_size=entry.size,
            compression=None,
            encryption=None,
        )
        found = Segment(description=description, payload=payload, plain_sha256=digest, stored=entry.modified)
        segments.append(StoredSegment(segment=found, copies={"it": found}))
    return Stream(folder=StreamFolder(series=SERIES, lineage=identifier), segments=tuple(segments)), refused


@dataclass
class FolderReader:
    """Segments out of a folder, each compared with its record. *faults*: so many fetches of a name fail first."""

    plan: RecoveryPlan
    folder: Path
    faults: dict[str, int] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def fetch(self, segment: StoredSegment, path: str) -> None:
        name = segment.segment.name
        self.fetched.append(name)
        if self.faults.get(name, 0) > 0:
            self.faults[name] -= 1
            raise OSError(f"made to fail: {name}")
        temporary = f"{path}.part"
        shutil.copyfile(self.folder / name, temporary)
        if _sha256(temporary) != segment.segment.plain_sha256:
            raise OSError(f"damaged: {name}")
        os.replace(temporary, path)

    def check(self) -> None:
        for one in self.plan.segments:
            path = self.folder / one.segment.name
            if not path.exists() or _sha256(str(path)) != one.segment.plain_sha256:
                raise RecoveryTargetUnreachable(f"{one.segment.name} is nowhere whole", hint="lifeboat windows")


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- recovering -------------------------------------------------------------------------------------------------------


def backups_of(rig: Physical) -> tuple[Backup, ...]:
    """The catalog of its repository."""
    storage = open_storage(
        {"type": "file", "path": str(rig.repository)},
        name="it",
        clock=rig.host.clock,
        runner=rig.host.runner,
        environment={},
    )
    reading = read_catalog({"it": storage})
    assert not reading.problems
    return reading.backups


def plan_recovery(
    rig: Physical, target: t.Mapping[str, t.Any], *, identifier: str, spool: Path | None = None
) -> RecoveryPlan:
    """Plan it from the repository's manifests and the records of the spool."""
    stream, _refused = read_spool(spool or rig.folder / "spool", identifier)
    now = SystemClock().now()
    read = recovery_target_from(target, now=now)
    return PgRecoveryPlanner().plan(bases=backups_of(rig), streams=[stream], target=read, now=now)


@dataclass(kw_only=True)
class Recovering(Restoring):
    """One recovery, with everything that a process of its own needs to do it again."""

    target: dict[str, t.Any] = field(default_factory=dict)
    identifier: str = ""
    faults: dict[str, int] = field(default_factory=dict)
    reader: FolderReader | None = None

    @classmethod
    def to(cls, rig: Physical, target: t.Mapping[str, t.Any], *, identifier: str, **options: t.Any) -> Recovering:
        """Planned, its segments checked."""
        plan = plan_recovery(rig, target, identifier=identifier)
        assert plan.base is not None
        reader = FolderReader(plan=plan, folder=rig.folder / "spool")
        reader.check()
        return cls(
            folder=rig.folder,
            bin_directory=str(rig.server.bin_directory),
            backup_id=plan.base.manifest.backup_id,
            options=options,
            target=dict(target),
            identifier=identifier,
            reader=reader,
        )

    @property
    def segments(self) -> FolderReader:
        if self.reader is None:
            rig = self._rig()
            plan = plan_recovery(rig, self.target, identifier=self.identifier)
            self.reader = FolderReader(plan=plan, folder=self.folder / "spool")
        self.reader.faults = self.faults
        return self.reader

    def restorer(self) -> Restorer:
        rig = self._rig()
        source = rig.source(self.backup_id)
        context = RestorerContext(
            restore_id=self.restore_id,
            host=self.host,
            state=self.state,
            chain=rig.chain(source),
            segments=self.segments,
        )
        options = {"bin_directory": self.bin_directory, **self.options}
        make = {"base": postgresql_base.base, "incremental": postgresql_base.incremental}[source.manifest.kind]
        return make(options)(context)

    def die(self, step: str, moment: str) -> None:
        """Run in another process that is killed there."""
        words = {"bin_directory": self.bin_directory, "target": self.target, "identifier": self.identifier}
        self._die_in("pitr_child", step=step, moment=moment, **words)


@contextlib.contextmanager
def archiving_cluster(folder: Path, **options: t.Any) -> t.Iterator[tuple[PostgreSQLServer, str]]:
    """A server whose WAL goes into the spool below *folder*; with its system identifier."""
    own(folder / "spool")
    with PostgreSQLServer(settings=archive_settings(folder), **options) as server:
        yield server, open_spool(server, folder)
