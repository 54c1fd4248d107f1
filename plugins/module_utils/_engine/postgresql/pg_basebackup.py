# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_basebackup as the maker of base backups: one tar stream that holds its own WAL, from the server to the sink."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import (
    PostgresChecksumFailed,
    PostgresStreamIncomplete,
    PostgresWalSendersExhausted,
)
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.producer import PayloadInput, PayloadSink
from .backup_notes import BackupNotes
from .base_backup_tool import BaseBackupOutcome, BaseBackupRequest
from .clients import ClientProgram, find_client
from .connection import PostgresConnection
from .facts import ClusterFacts
from .manifests import ManifestShelf, read_manifest
from .options import BaseBackupOptions, IncrementalParent
from .relay import relay_base_backup
from .replication_backup import MANIFEST_PAYLOAD, ReplicationBackup
from .store_errors import named_failures
from .wal_hold import wal_hold, wal_hold_if_possible

BASE_PAYLOAD = "base.tar"


@dataclass(frozen=True)
class PgBasebackupTool:
    """Runs pg_basebackup against the server. *state_directory* is where manifests for incremental backups are kept."""

    connection: PostgresConnection
    options: BaseBackupOptions
    runner: Runner
    journal: Journal
    state_directory: str

    name: t.ClassVar[str] = "pg_basebackup"

    def check(self, request: BaseBackupRequest) -> tuple[str, ...]:
        """Refuse missing programs, no right and no room for a replication connection, tablespaces of old servers.

        A cluster with tablespaces of its own needs no program: see :class:`ReplicationBackup`.
        """
        facts = request.facts
        if facts.own_tablespaces:
            step = self._protocol().check(request)
        else:
            program = self._program(facts)
            kind = f"incremental base backup on {request.parent.backup_id}" if request.parent else "full base backup"
            step = f"stream a {kind} with pg_basebackup {program.dotted} (checkpoint: {self.options.checkpoint})"
        _refuse_without_senders(facts)
        # pg_hba.conf and the role's right are known for sure only by trying.
        self.connection.connect_replication(runner=self.runner).close()
        steps = [step]
        if self.options.hold_wal != "none":
            steps.insert(0, "keep its WAL on the server meanwhile, by a temporary replication slot")
        if request.keep_manifest:
            steps.append("keep its manifest on this host, for incremental backups")
        return tuple(steps)

    def make(self, request: BaseBackupRequest, *, sink: PayloadSink, progress: Progress) -> BaseBackupOutcome:
        """Stream the backup; nothing but its manifest touches this host's disk."""
        warnings: list[str] = []
        if request.facts.own_tablespaces:
            with self._wal_hold(request, warnings=warnings) as held:
                made = self._protocol().make(request, sink=sink, progress=progress, warnings=warnings)
            return dataclasses.replace(made, wal_held=held, warnings=tuple(warnings))
        program = self._program(request.facts)
        expected = expected_bytes(request.facts, parent=request.parent)
        notes = BackupNotes(on_start=lambda: progress.stage("streaming the base backup", bytes_expected=expected))
        manifest_path = ""
        with self._wal_hold(request, warnings=warnings) as held:
            progress.stage("waiting for the checkpoint")
            if request.keep_manifest:
                manifest_path = self._stream_and_keep(request, program, notes=notes, sink=sink, progress=progress)
            else:
                self._stream(request, program, notes=notes, sink=sink)
        if notes.damaged_pages:
            raise PostgresChecksumFailed(
                f"The server found damaged pages: {', '.join(notes.damaged_pages[:10])}.",
                hint="Restore the relations from a good backup, and check the disk; see the server's log.",
                details={"pages": notes.damaged_pages},
            )
        if notes.start_lsn is None or notes.end_lsn is None or notes.timeline is None:
            raise PostgresStreamIncomplete(
                "pg_basebackup ended well but did not tell where the backup begins and ends.",
                hint=f"Run it by hand and look at what it prints: {program.path} -X fetch -Ft -D - -v > /dev/null",
                details={"said": notes.text[-2000:]},
            )
        return BaseBackupOutcome(
            payload=BASE_PAYLOAD,
            start_lsn=notes.start_lsn,
            end_lsn=notes.end_lsn,
            timeline=notes.timeline,
            tool_name=program.name,
            tool_version=program.dotted,
            manifest_path=manifest_path,
            wal_held=held,
            warnings=(*warnings, *notes.warnings),
        )

    def _protocol(self) -> ReplicationBackup:
        return ReplicationBackup(
            connection=self.connection,
            options=self.options,
            runner=self.runner,
            state_directory=self.state_directory,
        )

    def _program(self, facts: ClusterFacts) -> ClientProgram:
        return find_client(
            "pg_basebackup",
            server_major=facts.major,
            runner=self.runner,
            bin_directory=self.connection.bin_directory,
        )

    def _argv(self, program: ClientProgram, *, backup_id: str, parent: IncrementalParent | None) -> tuple[str, ...]:
        argv = [
            program.path,
            "--pgdata=-",
            "--format=tar",
            "--wal-method=fetch",
            # A hash of the whole stream is made anyway; SHA256 here doubles the time and adds nothing.
            "--manifest-checksums=CRC32C",
            f"--checkpoint={self.options.checkpoint}",
            f"--label=lifeboat {backup_id}",
            "--verbose",
            "--no-password",
        ]
        if self.options.max_rate:
            argv.append(f"--max-rate={self.options.max_rate}")
        if parent is not None:
            argv.append(f"--incremental={parent.manifest_path}")
        return tuple(argv)

    def _wal_hold(self, request: BaseBackupRequest, *, warnings: list[str]) -> contextlib.AbstractContextManager[bool]:
        if self.options.hold_wal == "none":
            return contextlib.nullcontext(False)
        arguments: dict[str, t.Any] = {
            "connection": self.connection,
            "runner": self.runner,
            "backup_id": request.backup_id,
            "version": request.facts.version_number,
        }
        if self.options.hold_wal == "slot":
            return wal_hold(**arguments)

        def warn(why: str) -> None:
            warnings.append(
                f"The WAL of the backup is not kept on the server by a replication slot: {why} On a busy server it may "
                "be recycled before it is copied, and the backup then fails."
            )
            self.journal.warning(warnings[-1])

        if request.facts.max_wal_senders - request.facts.wal_senders_in_use < 2:
            # The slot's connection would take the last one from the backup itself.
            warn("only one WAL sender is free.")
            return contextlib.nullcontext(False)
        return wal_hold_if_possible(**arguments, on_refusal=lambda error: warn(error.message))

    def _stream(
        self, request: BaseBackupRequest, program: ClientProgram, *, notes: BackupNotes, sink: PayloadSink
    ) -> None:
        address = self.connection.address()
        with named_failures(said=notes, address=address):
            sink.store(
                PayloadInput(
                    name=BASE_PAYLOAD,
                    media="pg_basebackup, tar",
                    argv=self._argv(program, backup_id=request.backup_id, parent=request.parent),
                    environment=self.connection.environment(runner=self.runner),
                    on_stderr=notes,
                    expected_bytes=expected_bytes(request.facts, parent=request.parent),
                )
            )

    def _stream_and_keep(
        self,
        request: BaseBackupRequest,
        program: ClientProgram,
        *,
        notes: BackupNotes,
        sink: PayloadSink,
        progress: Progress,
    ) -> str:
        shelf = ManifestShelf(state_directory=self.state_directory, system_identifier=request.facts.system_identifier)
        address = self.connection.address()
        argv = self._argv(program, backup_id=request.backup_id, parent=request.parent)
        environment = self.connection.environment(runner=self.runner)
        try:
            with shelf.open_new(request.backup_id) as manifest:

                def write(output: t.BinaryIO) -> None:
                    relay_base_backup(
                        argv, environment=environment, notes=notes, address=address, output=output, manifest=manifest
                    )

                with named_failures(said=notes, address=address):
                    sink.store(
                        PayloadInput(
                            name=BASE_PAYLOAD,
                            media="pg_basebackup, tar",
                            write=write,
                            expected_bytes=expected_bytes(request.facts, parent=request.parent),
                        )
                    )
                path = shelf.keep(request.backup_id, manifest)
                read_manifest(path)
                progress.stage("storing the manifest of the base backup")
                manifest.seek(0)
                sink.store(
                    PayloadInput(
                        name=MANIFEST_PAYLOAD, media="PostgreSQL backup manifest, JSON", file=manifest.fileno()
                    )
                )
        except BaseException:
            shelf.forget(request.backup_id)
            raise
        spare = {request.parent.backup_id} if request.parent else set()
        shelf.prune(newest=self.options.manifest_history, spare=spare)
        return path


def expected_bytes(facts: ClusterFacts, *, parent: IncrementalParent | None) -> int:
    """An estimate of the stream's bytes: all databases, and one WAL segment; 0 (unknown) for what only changed."""
    if parent is not None:
        return 0
    return sum(database.size or 0 for database in facts.databases) + facts.wal_segment_size


def _refuse_without_senders(facts: ClusterFacts) -> None:
    if facts.max_wal_senders == 0:
        raise PostgresWalSendersExhausted(
            "The server takes no replication connections: max_wal_senders is 0"
            + (" and wal_level is minimal." if facts.settings.get("wal_level") == "minimal" else "."),
            hint="Run: ALTER SYSTEM SET wal_level = replica; ALTER SYSTEM SET max_wal_senders = 10;   and restart it.",
            details={"wal_level": facts.settings.get("wal_level"), "max_wal_senders": 0},
        )
