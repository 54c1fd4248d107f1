# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G as the maker of base backups: the data goes to WAL-G's storage, the repository gets what names it.

A backup of ours exists when our manifest does, which is written after WAL-G's backup was found again in its storage by
our id, held no damaged page, and had all WAL behind it (docs/adr/0036-a-wal-g-backup-is-named-not-copied.md).
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock, format_time
from ..core.errors import (
    PostgresArchivingOff,
    PostgresChecksumFailed,
    PostgresForeignCluster,
    PostgresTablespaceUnsupported,
    PostgresToolUnavailable,
    RequestInvalid,
    WalgArchiveBroken,
    WalgBackupMissing,
)
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.producer import PayloadInput, PayloadSink
from .base_backup_tool import BaseBackupOutcome, BaseBackupRequest
from .base_folder import read_control
from .connection import PostgresConnection
from .facts import ClusterFacts
from .names import parse_lsn
from .options import BaseBackupOptions
from .programs import server_account
from .wal_names import segments_covering
from .walg_options import WalgOptions
from .walg_program import WalgProgram, find_walg
from .walg_records import FullPolicy, WalgBackup, parse_sentinel, parse_warnings, why_full

WALG_PAYLOAD = "walg-sentinel.json"
TOOL_NAME = "wal-g"
_PAUSE = 5.0


@dataclass(frozen=True)
class WalgTool:
    """Drives WAL-G on the host of the data folder."""

    connection: PostgresConnection
    options: BaseBackupOptions
    runner: Runner
    journal: Journal
    clock: Clock

    name: t.ClassVar[str] = "walg"

    def check(self, request: BaseBackupRequest) -> tuple[str, ...]:
        """Refuse what WAL-G would do otherwise than it is meant, or say nothing of."""
        program = self._program(request)
        data_directory = self._data_directory(request.facts)
        reason = self._why_full(program, request.facts)
        kind = f"a full backup ({reason})" if reason else "a delta"
        return (
            f"push {kind} of {data_directory} with wal-g {program.version} to {program.settings.prefix}",
            "find it again there by this backup's id, and look for damaged pages",
            f"wait until all WAL from its begin on is there, at most {self._walg.archive_wait} seconds",
            "store what names it in the repositories",
        )

    def make(self, request: BaseBackupRequest, *, sink: PayloadSink, progress: Progress) -> BaseBackupOutcome:
        """Push, find, check, name."""
        facts = request.facts
        program = self._program(request)
        data_directory = self._data_directory(facts)
        reason = self._why_full(program, facts)
        progress.stage("pushing with wal-g")
        said = program.push(
            data_directory,
            backup_id=request.backup_id,
            full=reason is not None,
            verify=facts.data_checksums,
            max_steps=self._walg.max_steps,
        )
        warnings = parse_warnings(said)
        progress.stage("finding the backup in wal-g's storage")
        made = self._find(program, request)
        sentinel_text = program.sentinel_text(made.name)
        sentinel = parse_sentinel(sentinel_text)
        if reason is not None and sentinel.delta_from is not None:
            raise WalgBackupMissing(
                f"WAL-G made the delta {made.name}, and was told to make a full backup: {reason}.",
                hint=f"Look at it: {program.path} st cat basebackups_005/{made.name}_backup_stop_sentinel.json",
            )
        if facts.data_checksums:
            _refuse_damage(made, program.damaged(made.name), program=program)
        progress.stage("waiting for the archive")
        self._require_archive(program, made, segment_size=facts.wal_segment_size)
        progress.stage("storing what names the backup")
        sink.store(
            PayloadInput(
                name=WALG_PAYLOAD,
                media="WAL-G backup_stop_sentinel, JSON",
                write=lambda output: _write(output, sentinel_text),
            )
        )
        return BaseBackupOutcome(
            payload=WALG_PAYLOAD,
            start_lsn=made.start_lsn,
            end_lsn=made.finish_lsn,
            timeline=made.timeline,
            tool_name=TOOL_NAME,
            tool_version=program.version,
            warnings=warnings,
            walg={
                "backup_name": made.name,
                "storage": program.settings.prefix,
                "config": program.settings.config or None,
                "wal_file": made.wal_file,
                "started": format_time(made.started),
                "finished": format_time(made.finished),
                "uncompressed_size": made.uncompressed_size,
                "compressed_size": made.compressed_size,
                "full_because": reason,
                "delta_from": sentinel.delta_from,
                "delta_full": sentinel.delta_full,
                "delta_count": sentinel.delta_count,
            },
        )

    # --- before -------------------------------------------------------------------------------------------------------

    @property
    def _walg(self) -> WalgOptions:
        return self.options.walg or WalgOptions()

    def _program(self, request: BaseBackupRequest) -> WalgProgram:
        facts = request.facts
        if facts.in_recovery:
            # Its archive is the primary's business, and what wal-verify says of a standby was never tried.
            raise PostgresToolUnavailable(
                "The server is a standby, and tool: walg is for the primary.",
                hint="Run the job on the primary's host, or use tool: pg_basebackup, which takes both.",
                details={"tool": self.name},
            )
        if facts.archiving.is_off:
            raise PostgresArchivingOff(
                "archive_mode is off, and the backups of WAL-G hold no WAL: without the archive none of them starts.",
                hint="Run: ALTER SYSTEM SET archive_mode = on;   set archive_command to wal-g wal-push, and restart.",
            )
        if facts.own_tablespaces:
            names = ", ".join(f"{one.name} ({one.location})" for one in facts.own_tablespaces)
            raise PostgresTablespaceUnsupported(
                f"The cluster has tablespaces of its own: {names}. With tool: walg they are not supported.",
                hint="Use tool: pg_basebackup, which backs them up from PostgreSQL 15 on.",
                details={"tablespaces": [one.name for one in facts.own_tablespaces]},
            )
        data_directory = self._data_directory(facts)
        environment = self.connection.environment(runner=self.runner)
        host = self.connection.host or os.environ.get("PGHOST", "")
        if not host:
            raise RequestInvalid(
                "tool: walg needs connection.host: without it WAL-G tries whatever server answers on localhost.",
                hint="Set it to the folder of the socket: connection: {host: /var/run/postgresql, port: 5432}",
            )
        environment.update(
            PGHOST=host,
            PGPORT=str(self.connection.port or os.environ.get("PGPORT") or 5432),
            PGDATA=data_directory,
            PGDATABASE=self.connection.database or os.environ.get("PGDATABASE") or "postgres",
        )
        environment.setdefault("PGUSER", self.connection.address().user)
        return find_walg(self._walg, runner=self.runner, account=server_account(), environment=environment)

    @staticmethod
    def _data_directory(facts: ClusterFacts) -> str:
        """Its path, when it is this server's own and on this host."""
        path = facts.settings.get("data_directory")
        if not path:
            raise RequestInvalid(
                f"The role {facts.role} may not see data_directory, and WAL-G reads that folder.",
                hint=f'Run: GRANT pg_read_all_settings TO "{facts.role}";',
            )
        if not os.path.isfile(os.path.join(path, "global", "pg_control")):
            raise RequestInvalid(
                f"{path}, the server's data folder, is not on this host or can't be read; WAL-G must run beside it.",
                hint="Run the job on the server's host, or use tool: pg_basebackup, which works over the network.",
            )
        found = read_control(path).system_identifier
        if found != facts.system_identifier:
            raise PostgresForeignCluster(
                f"{path} on this host is the cluster {found}, and the server is {facts.system_identifier}.",
                hint="Run the job on the server's host.",
                details={"path": path},
            )
        return path

    def _why_full(self, program: WalgProgram, facts: ClusterFacts) -> str | None:
        backups = program.backups()
        foreign = [one for one in backups if one.system_identifier not in (None, facts.system_identifier)]
        if foreign:
            raise PostgresForeignCluster(
                f"{program.settings.prefix} holds backups of another cluster ({foreign[-1].name} of "
                f"{foreign[-1].system_identifier}; the server is {facts.system_identifier}).",
                hint="Give every cluster a storage prefix of its own; after initdb or pg_upgrade it is another one.",
                details={"backup": foreign[-1].name},
            )
        newest = backups[-1].name if backups else None
        return why_full(
            FullPolicy(
                max_steps=self._walg.max_steps,
                max_age=self._walg.max_age,
                full_after_timeline_change=self._walg.full_after_timeline_change,
            ),
            backups=backups,
            newest_sentinel=program.sentinel(newest) if newest else None,
            newest_damaged=bool(newest and facts.data_checksums and program.damaged(newest)),
            timeline=facts.timeline,
            now=self.clock.now(),
        )

    # --- after --------------------------------------------------------------------------------------------------------

    def _find(self, program: WalgProgram, request: BaseBackupRequest) -> WalgBackup:
        found = [one for one in program.backups() if one.backup_id == request.backup_id]
        if len(found) != 1:
            raise WalgBackupMissing(
                f"WAL-G ended well, and its list has {len(found)} backups with the id {request.backup_id}.",
                hint=f"Run: {program.path} backup-list --detail   and look at user_data.",
                details={"backup_id": request.backup_id},
            )
        (made,) = found
        if made.system_identifier not in (None, request.facts.system_identifier):
            raise PostgresForeignCluster(
                f"WAL-G backed up the cluster {made.system_identifier}, and the server is "
                f"{request.facts.system_identifier}.",
                hint="Look at PGHOST and PGPORT in the config of WAL-G.",
                details={"backup": made.name},
            )
        return made

    def _require_archive(self, program: WalgProgram, made: WalgBackup, *, segment_size: int) -> None:
        """WAL-G's own check ends with 0 even when WAL is missing, and calls what is missing late at first."""
        until = self.clock.monotonic() + self._walg.archive_wait
        own = list(
            segments_covering(
                parse_lsn(made.start_lsn),
                parse_lsn(made.finish_lsn),
                timeline=made.timeline,
                segment_size=segment_size,
            )
        )
        while True:
            state = program.archive(made.name)
            stored = program.timelines()
            missing = [name for name in own if not any(one.has(name) for one in stored)]
            if state.is_whole and not missing:
                return
            if not state.may_become_whole or self.clock.monotonic() >= until:
                words = [f"{name} is MISSING" for name in missing] + ([] if state.is_whole else [state.words])
                raise WalgArchiveBroken(
                    f"The backup {made.name} lies in {program.settings.prefix}, but not all WAL behind it: "
                    f"{'; '.join(words)}.",
                    hint="Look at the archiver: SELECT * FROM pg_stat_archiver;   then make the backup again.",
                    details={"backup": made.name, "missing": [*missing, *(list(one) for one in state.missing)]},
                )
            self.clock.sleep(_PAUSE)


def _refuse_damage(made: WalgBackup, damaged: t.Sequence[str], *, program: WalgProgram) -> None:
    if damaged:
        raise PostgresChecksumFailed(
            f"WAL-G met damaged pages: {', '.join(damaged[:10])}. Its backup {made.name} is not taken for one.",
            hint="Restore the relations from a good backup, and check the disk. To remove the bad one: "
            f"{program.path} delete target {made.name} --confirm",
            details={"files": list(damaged), "backup": made.name},
        )


def _write(output: t.BinaryIO, text: str) -> None:
    output.write(text.encode("utf-8"))
