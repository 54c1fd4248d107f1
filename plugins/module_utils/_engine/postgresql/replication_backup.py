# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups of clusters with tablespaces of their own, by the replication protocol: one payload for each archive.

pg_basebackup writes one tar to its standard output and refuses a second one; the server itself sends them all over one
connection, as of one moment. From PostgreSQL 15 on, whose messages tell one archive from the next.
"""

from __future__ import annotations

import dataclasses
import tempfile
import typing as t
from dataclasses import dataclass

from ..core.errors import (
    PostgresChecksumFailed,
    PostgresError,
    PostgresParentUnusable,
    PostgresStreamIncomplete,
    PostgresTablespaceUnsupported,
)
from ..core.progress import Progress
from ..core.runner import Runner
from ..core.version import VERSION
from ..pipeline.producer import PayloadInput, PayloadSink
from .backup_notes import BackupNotes
from .base_backup_stream import DATA_FOLDER_ARCHIVE, Archive, BaseBackupStream
from .base_backup_tool import BaseBackupOutcome, BaseBackupRequest, TablespacePayload
from .base_label import BackupLabel
from .connection import PostgresConnection
from .facts import ClusterFacts
from .manifests import ManifestFacts, ManifestShelf, read_manifest
from .options import BaseBackupOptions

FIRST_VERSION = 15
MANIFEST_PAYLOAD = "backup_manifest"
TOOL_NAME = "lifeboat"
_MEDIA = "base backup, tar"


@dataclass(frozen=True)
class ReplicationBackup:
    """Speaks BASE_BACKUP with the server. *state_directory* is where manifests for incremental backups are kept."""

    connection: PostgresConnection
    options: BaseBackupOptions
    runner: Runner
    state_directory: str

    def check(self, request: BaseBackupRequest) -> str:
        """Refuse what can't be backed up so; otherwise what make() does, in words."""
        facts = request.facts
        refuse_unsendable(facts)
        kind = f"incremental base backup on {request.parent.backup_id}" if request.parent else "full base backup"
        names = ", ".join(one.name for one in facts.own_tablespaces)
        return (
            f"stream a {kind} with the tablespaces {names} over the replication protocol "
            f"(checkpoint: {self.options.checkpoint})"
        )

    def make(
        self, request: BaseBackupRequest, *, sink: PayloadSink, progress: Progress, warnings: list[str]
    ) -> BaseBackupOutcome:
        """Stream the backup; nothing but its manifest touches this host's disk. What the server warns of is added."""
        notes = BackupNotes()
        manifest_path = ""
        if request.keep_manifest:
            shelf = ManifestShelf(
                state_directory=self.state_directory, system_identifier=request.facts.system_identifier
            )
            try:
                with shelf.open_new(request.backup_id) as manifest:
                    label, tablespaces = self._stream(
                        request, manifest=manifest, notes=notes, sink=sink, progress=progress
                    )
                    found = _whole_manifest(manifest)
                    manifest_path = shelf.keep(request.backup_id, manifest)
                    progress.stage("storing the manifest of the base backup")
                    manifest.seek(0)
                    media = "PostgreSQL backup manifest, JSON"
                    sink.store(PayloadInput(name=MANIFEST_PAYLOAD, media=media, file=manifest.fileno()))
            except BaseException:
                shelf.forget(request.backup_id)
                raise
            spare = {request.parent.backup_id} if request.parent else set()
            shelf.prune(newest=self.options.manifest_history, spare=spare)
        else:
            with tempfile.TemporaryFile() as manifest:
                label, tablespaces = self._stream(request, manifest=manifest, notes=notes, sink=sink, progress=progress)
                found = _whole_manifest(manifest)
        if not label.start_lsn or label.start_timeline is None:
            raise PostgresStreamIncomplete(
                "The base backup's backup_label does not tell where it begins.",
                hint="Start the backup again; if it happens again, report it with the server's version.",
            )
        warnings.extend(notes.warnings)
        return BaseBackupOutcome(
            payload=DATA_FOLDER_ARCHIVE,
            start_lsn=label.start_lsn,
            end_lsn=found.end_lsn,
            timeline=label.start_timeline,
            tool_name=TOOL_NAME,
            tool_version=VERSION,
            manifest_path=manifest_path,
            tablespaces=tablespaces,
        )

    def command(self, request: BaseBackupRequest) -> str:
        """What pg_basebackup -X fetch -Ft would send."""
        words = [
            f"LABEL 'lifeboat {request.backup_id}'",
            "PROGRESS true",
            f"CHECKPOINT '{self.options.checkpoint}'",
            "WAL true",
            "TABLESPACE_MAP true",
            "MANIFEST 'yes'",
            "MANIFEST_CHECKSUMS 'CRC32C'",
        ]
        if self.options.max_rate:
            words.append(f"MAX_RATE {_kilobytes(self.options.max_rate)}")
        if request.parent is not None:
            words.append("INCREMENTAL true")
        return f"BASE_BACKUP ({', '.join(words)})"

    def _stream(
        self,
        request: BaseBackupRequest,
        *,
        manifest: t.IO[bytes],
        notes: BackupNotes,
        sink: PayloadSink,
        progress: Progress,
    ) -> tuple[BackupLabel, tuple[TablespacePayload, ...]]:
        known = {one.oid: one for one in request.facts.own_tablespaces}
        found: list[TablespacePayload] = []
        session = self.connection.connect_replication(runner=self.runner)
        session.connection.notices = _Notices(notes)  # type: ignore[assignment]
        progress.stage("waiting for the checkpoint")
        try:
            with BaseBackupStream(
                session=session,
                command=self.command(request),
                manifest=manifest,
                parent_manifest=request.parent.manifest_path if request.parent else None,
            ) as stream:
                while True:
                    archive = stream.next_archive()
                    if archive is None:
                        break
                    of = known.get(archive.oid)
                    name = of.name if of is not None else ""
                    progress.stage(
                        f"streaming the tablespace {name or archive.oid}"
                        if archive.oid
                        else "streaming the base backup"
                    )
                    stored = sink.store(
                        PayloadInput(
                            name=archive.name,
                            media=f"{_MEDIA} of a tablespace" if archive.oid else _MEDIA,
                            write=stream.write_archive,
                            expected_bytes=self._expected(request, archive),
                        )
                    )
                    if archive.oid:
                        found.append(
                            TablespacePayload(
                                oid=archive.oid,
                                name=name,
                                location=archive.location,
                                payload=archive.name,
                                size=stored.plain_size,
                            )
                        )
                label = BackupLabel.parse(stream.label)
        except PostgresError as error:
            raise _damage(notes) or error from error
        damage = _damage(notes)
        if damage is not None:
            raise damage
        return label, tuple(found)

    @staticmethod
    def _expected(request: BaseBackupRequest, archive: Archive) -> int:
        if request.parent is not None:
            return 0  # only what changed
        facts = request.facts
        if archive.oid:
            return next((one.size or 0 for one in facts.own_tablespaces if one.oid == archive.oid), 0)
        outside = sum(one.size or 0 for one in facts.own_tablespaces)
        return max(0, sum(one.size or 0 for one in facts.databases) - outside) + facts.wal_segment_size


def refuse_unsendable(facts: ClusterFacts) -> None:
    """Raise PostgresTablespaceUnsupported for servers and tablespaces that can't be backed up with their data."""
    own = facts.own_tablespaces
    names = ", ".join(f"{one.name} ({one.location})" for one in own)
    details = {"tablespaces": [one.name for one in own]}
    if facts.major < FIRST_VERSION:
        raise PostgresTablespaceUnsupported(
            f"The cluster has tablespaces of its own: {names}. PostgreSQL {facts.version} sends them in a way that "
            f"Lifeboat does not read; from {FIRST_VERSION} on it does.",
            hint="Run: ALTER TABLE ... SET TABLESPACE pg_default; DROP TABLESPACE ...;   or use kind: logical, or "
            f"upgrade to PostgreSQL {FIRST_VERSION} or later.",
            details=details,
        )
    inside = [one.name for one in own if not one.location.startswith("/")]
    if inside:
        raise PostgresTablespaceUnsupported(
            f"The tablespaces {', '.join(inside)} lie inside the data folder (allow_in_place_tablespaces), which is "
            "for PostgreSQL's own tests only.",
            hint="Run: ALTER TABLE ... SET TABLESPACE pg_default; DROP TABLESPACE ...;   or use kind: logical.",
            details=details,
        )


def refuse_new_tablespaces(before: ClusterFacts, after: ClusterFacts) -> None:
    """Raise PostgresTablespaceUnsupported when a tablespace was made while a backup ran.

    Its data is in the backup's WAL only, and replaying that writes into the folder of then: next to a running source
    into its own.
    """
    known = {one.oid for one in before.own_tablespaces}
    new = [one for one in after.own_tablespaces if one.oid not in known]
    if new:
        names = ", ".join(f"{one.name} ({one.location})" for one in new)
        raise PostgresTablespaceUnsupported(
            f"The tablespace {names} was made while the backup ran, so only half of it would be in the backup.",
            hint="Start the backup again.",
            details={"tablespaces": [one.name for one in new]},
        )


class _Notices:
    """What psycopg2 gives the server's notices to: text of one or more lines each."""

    def __init__(self, notes: BackupNotes) -> None:
        self._notes = notes

    def append(self, text: str) -> None:
        for line in text.splitlines():
            self._notes(line)


def _damage(notes: BackupNotes) -> PostgresChecksumFailed | None:
    if not notes.damaged_pages:
        return None
    return PostgresChecksumFailed(
        f"The server found damaged pages: {', '.join(notes.damaged_pages[:10])}.",
        hint="Restore the relations from a good backup, and check the disk; see the server's log.",
        details={"pages": notes.damaged_pages},
    )


def _whole_manifest(manifest: t.IO[bytes]) -> ManifestFacts:
    try:
        # By its descriptor: it may have no name.
        return read_manifest(f"/dev/fd/{manifest.fileno()}")
    except PostgresParentUnusable as error:
        raise PostgresStreamIncomplete(
            f"The manifest that the server sent behind the base backup is not whole: {error.message}",
            hint="Start the backup again.",
        ) from error


def _kilobytes(rate: str) -> int:
    """``50M``, ``500k`` or ``500`` in the kilobytes a second that BASE_BACKUP takes."""
    number = int(rate.rstrip("kM"))
    return number * 1024 if rate.endswith("M") else number


def with_names(tablespaces: t.Sequence[TablespacePayload], *, facts: ClusterFacts) -> tuple[TablespacePayload, ...]:
    """With the names that a later look found; the oid as a name for one that nobody knows any more."""
    names = {one.oid: one.name for one in facts.own_tablespaces}
    return tuple(dataclasses.replace(one, name=one.name or names.get(one.oid) or str(one.oid)) for one in tablespaces)
