# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical backups of a whole cluster: full base backups, and incremental ones from PostgreSQL 17 on."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.clock import Clock, format_time
from ..core.errors import (
    PostgresArchivingOff,
    PostgresChecksumFailed,
    PostgresIncrementalUnsupported,
    PostgresParentUnusable,
    PostgresSummarizerOff,
    PostgresToolUnavailable,
)
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.producer import Inspection, PayloadSink, Production
from .base_backup_tool import BaseBackupOutcome, BaseBackupRequest, BaseBackupTool
from .base_content import base_content
from .connection import PostgresConnection
from .facts import ClusterFacts, checksum_failures, databases_content, read_extensions, read_facts
from .manifests import read_manifest
from .names import parse_lsn
from .options import BaseBackupOptions, IncrementalParent
from .pg_basebackup import PgBasebackupTool, expected_bytes
from .replication_backup import refuse_new_tablespaces, with_names
from .restore_base import base_restore_commands
from .wal_names import segments_covering
from .walg import WalgTool
from .walg_words import walg_restore_commands

FIRST_INCREMENTAL_VERSION = 17
_FACTS_SETTINGS = {"statement_timeout": "60s", "lock_timeout": "5s"}


class PgBaseBackupProducer:
    """A base backup of the cluster that the connection leads to, a primary or a standby.

    With *parent* it is an incremental one. *backup_id* names it, *state_directory* holds the manifests that later
    incremental backups build on.
    """

    engine = "postgresql"

    def __init__(
        self,
        *,
        connection: PostgresConnection,
        options: BaseBackupOptions,
        backup_id: str,
        state_directory: str,
        runner: Runner,
        clock: Clock,
        journal: Journal,
        kind: str = "base",
        parent: IncrementalParent | None = None,
        full_job: str = "SERVICE/SOURCE/base",
    ) -> None:
        """*full_job* is what a refused increment tells to make first."""
        self.kind = kind
        self._full_job = full_job
        self._connection = connection
        self._options = options
        self._backup_id = backup_id
        self._runner = runner
        self._clock = clock
        self._journal = journal
        self._parent = parent if kind == "incremental" else None
        self._tool: BaseBackupTool = (
            WalgTool(connection=connection, options=options, runner=runner, journal=journal, clock=clock)
            if options.tool == "walg"
            else PgBasebackupTool(
                connection=connection,
                options=options,
                runner=runner,
                journal=journal,
                state_directory=state_directory,
            )
        )

    def inspect(self) -> Inspection:
        """Connect, read the facts, refuse what can't become a good backup."""
        facts, _failures = self._look()
        request = self._request(facts)
        self._check(facts)
        steps = self._tool.check(request)
        return Inspection(facts=facts.as_dict(), steps=steps, expected_bytes=expected_bytes(facts, parent=self._parent))

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the backup. Damaged pages that the server meets while it runs are an error, not a note."""
        facts, failures_before = self._look()
        request = self._request(facts)
        warnings = self._check(facts)
        for warning in warnings:
            self._journal.warning(warning)
        self._tool.check(request)
        outcome = self._tool.make(request, sink=sink, progress=progress)
        progress.stage("reading the facts again")
        after, failures_after = self._look()
        refuse_new_tablespaces(facts, after)
        outcome = dataclasses.replace(outcome, tablespaces=with_names(outcome.tablespaces, facts=after))
        self._compare_failures(failures_before, failures_after)
        return Production(
            content=self._content(after, outcome, warnings=(*warnings, *outcome.warnings)),
            restore_commands=self._restore_commands(facts, outcome),
        )

    def _restore_commands(self, facts: ClusterFacts, outcome: BaseBackupOutcome) -> str:
        if outcome.walg:
            segments = segments_covering(
                parse_lsn(outcome.start_lsn),
                parse_lsn(outcome.end_lsn),
                timeline=outcome.timeline,
                segment_size=facts.wal_segment_size,
            )
            return walg_restore_commands(
                major=facts.major, payload=outcome.payload, walg=outcome.walg, segments=list(segments)
            )
        return base_restore_commands(
            major=facts.major,
            backup_id=self._backup_id,
            payload=outcome.payload,
            from_standby=facts.in_recovery,
            parent=self._parent,
            tablespaces=outcome.tablespaces,
        )

    def _look(self) -> tuple[ClusterFacts, int | None]:
        with self._connection.connect(
            runner=self._runner, database=self._connection.database or "postgres", options=_FACTS_SETTINGS
        ) as session:
            return read_facts(session), checksum_failures(session)

    def _request(self, facts: ClusterFacts) -> BaseBackupRequest:
        keep = self._options.keep_manifest
        return BaseBackupRequest(
            backup_id=self._backup_id,
            facts=facts,
            parent=self._parent,
            keep_manifest=facts.major >= FIRST_INCREMENTAL_VERSION if keep is None else keep,
        )

    def _check(self, facts: ClusterFacts) -> list[str]:
        """Refuse, or say what is worth a warning."""
        if self.kind == "incremental" and self._options.tool == WalgTool.name:
            raise PostgresToolUnavailable(
                "tool: walg makes its deltas by itself; kind: incremental is for pg_basebackup.",
                hint="Use kind: base with walg: {max_steps: 6}, or tool: pg_basebackup.",
                details={"tool": self._options.tool},
            )
        warnings = []
        if facts.archiving.is_off:
            consequence = "the backup restores by itself, but nothing that is committed after it can be recovered"
            if self._options.require_archiving:
                raise PostgresArchivingOff(
                    f"archive_mode is off: {consequence}.",
                    hint="Run: ALTER SYSTEM SET archive_mode = on;   set archive_command, and restart the server.",
                )
            warnings.append(f"archive_mode is off: {consequence}.")
        if not facts.data_checksums:
            warnings.append("The cluster has no data checksums: damaged pages go into the backup unnoticed.")
        if self.kind == "incremental":
            _check_incremental(facts, self._parent, full_job=self._full_job)
        return warnings

    @staticmethod
    def _compare_failures(before: int | None, after: int | None) -> None:
        if before is not None and after is not None and after > before:
            raise PostgresChecksumFailed(
                f"The server met {after - before} damaged pages while the backup was made.",
                hint="See where: SELECT datname, checksum_failures FROM pg_stat_database;   and the server's log.",
                details={"before": before, "after": after},
            )

    def _content(
        self, facts: ClusterFacts, outcome: BaseBackupOutcome, *, warnings: t.Sequence[str]
    ) -> dict[str, t.Any]:
        def extensions(database: str) -> list[dict[str, str]]:
            with self._connection.connect(runner=self._runner, database=database, options=_FACTS_SETTINGS) as session:
                return read_extensions(session)

        return base_content(
            facts=facts,
            outcome=outcome,
            options=self._options,
            parent=self._parent,
            databases=databases_content(facts, extensions=extensions),
            finished=format_time(self._clock.now()),
            warnings=warnings,
        )


def _check_incremental(facts: ClusterFacts, parent: IncrementalParent | None, *, full_job: str) -> None:
    full = f"Make a full base backup (kind: base): lifeboat backup {full_job}"
    if facts.major < FIRST_INCREMENTAL_VERSION:
        raise PostgresIncrementalUnsupported(
            f"The server is PostgreSQL {facts.version}; incremental backups came with {FIRST_INCREMENTAL_VERSION}.",
            hint="Use kind: base; WAL archiving covers the time between two of them.",
        )
    if not facts.summarize_wal:
        raise PostgresSummarizerOff(
            "The server has summarize_wal off, so it does not know which blocks changed since the parent backup.",
            hint="Run: ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();   then make a full base backup.",
        )
    if parent is None:
        raise PostgresParentUnusable(
            "There is no backup on which an incremental one could build.",
            hint=f"{full}   Its manifest is then kept on this host.",
        )
    manifest = read_manifest(parent.manifest_path)
    if manifest.system_identifier != facts.system_identifier:
        raise PostgresParentUnusable(
            f"The backup {parent.backup_id} is of another cluster (system identifier {manifest.system_identifier}, the "
            f"server's is {facts.system_identifier}).",
            hint=full,
            details={"parent": parent.backup_id},
        )
    # PostgreSQL takes a parent of an earlier timeline whose end is in its history; the chain would hang on backups of a
    # cluster that was left (ADR 71).
    if manifest.timeline != facts.timeline:
        since = "promoted or recovered since" if manifest.timeline < facts.timeline else "restored to a time before it"
        raise PostgresParentUnusable(
            f"The backup {parent.backup_id} ends on timeline {manifest.timeline}, the server is on {facts.timeline}: "
            f"it was {since}.",
            hint=f"{full}   After every recovery or promotion it is the first thing to do.",
            details={"parent": parent.backup_id, "lsn": parse_lsn(manifest.end_lsn)},
        )
