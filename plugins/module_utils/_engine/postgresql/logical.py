# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical dumps: databases by pg_dump, roles and tablespaces by pg_dumpall, rows counted in the dump's own snapshot."""

from __future__ import annotations

import typing as t

from ..core.clock import Clock, format_time
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.producer import Inspection, PayloadInput, PayloadSink, Production
from .child import Said
from .clients import ClientProgram, find_client
from .connection import PostgresConnection
from .dump import DatabaseDumper, chosen_databases
from .facts import ClusterFacts, Database, is_untouched, read_facts
from .options import LogicalOptions
from .restore_logical import logical_restore_commands
from .scratch import check_scratch
from .store_errors import named_failures

GLOBALS_PAYLOAD = "globals.sql"
# Facts are read from catalogs and never wait for long; nothing of it may hang behind somebody's lock.
_FACTS_SETTINGS = {"statement_timeout": "60s", "lock_timeout": "5s"}


class PgLogicalDumpProducer:
    """One or more databases of a cluster as logical dumps.

    Each database is dumped from a snapshot of its own; the manifest's content says for each at which LSN and time, and
    how many rows every table had in just that snapshot.
    """

    engine = "postgresql"
    kind = "logical"

    def __init__(
        self, *, connection: PostgresConnection, options: LogicalOptions, runner: Runner, clock: Clock, journal: Journal
    ) -> None:
        self._connection = connection
        self._options = options
        self._runner = runner
        self._clock = clock
        self._journal = journal

    def inspect(self) -> Inspection:
        """Connect, read the facts, find the programs, check the room for a parallel dump."""
        facts = self._facts()
        databases = self._databases(facts)
        program = self._program("pg_dump", facts=facts)
        steps = []
        if self._options.format == "directory":
            largest = max(database.size or 0 for database in databases)
            check_scratch(self._options.scratch_directory, needed=largest)
        if self._options.globals:
            self._program("pg_dumpall", facts=facts)
            steps.append(f"dump roles and tablespaces into {GLOBALS_PAYLOAD}" + self._without_passwords(facts))
        counted = ", count the rows of its tables in the same snapshot" if self._options.row_counts == "exact" else ""
        steps += [f"dump the database {database.name} with pg_dump {program.dotted}{counted}" for database in databases]
        return Inspection(
            facts=facts.as_dict(),
            steps=tuple(steps),
            expected_bytes=sum(database.size or 0 for database in databases),
        )

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the dumps. A failure of one database fails the whole backup."""
        facts = self._facts()
        databases = self._databases(facts)
        pg_dump = self._program("pg_dump", facts=facts)
        warnings: list[str] = []
        globals_content = self._globals(facts, sink=sink, progress=progress, warnings=warnings)
        dumper = DatabaseDumper(
            connection=self._connection, options=self._options, runner=self._runner, pg_dump=pg_dump, facts=facts
        )
        contents = []
        for database in databases:
            if self._options.format == "directory":
                check_scratch(self._options.scratch_directory, needed=database.size or 0)
            contents.append(dumper.dump(database, sink=sink, progress=progress))
        return Production(
            content=self._content(
                facts, databases=contents, globals_content=globals_content, program=pg_dump, warnings=warnings
            ),
            restore_commands=logical_restore_commands(
                databases=contents,
                form=self._options.format,
                globals_payload=GLOBALS_PAYLOAD if globals_content else None,
                major=facts.major,
            ),
        )

    def _facts(self) -> ClusterFacts:
        with self._connection.connect(
            runner=self._runner, database=self._connection.database or "postgres", options=_FACTS_SETTINGS
        ) as session:
            return read_facts(session)

    def _databases(self, facts: ClusterFacts) -> list[Database]:
        databases = chosen_databases(facts, options=self._options)
        if self._options.every_database:
            # New databases are copies of template1: it is dumped when somebody put something there. Every session in
            # it holds up CREATE DATABASE, so it is looked at before.
            databases = [one for one in databases if one.name != "template1" or not self._is_untouched(one)]
        return databases

    def _is_untouched(self, database: Database) -> bool:
        with self._connection.connect(runner=self._runner, database=database.name, options=_FACTS_SETTINGS) as session:
            return is_untouched(session)

    def _program(self, name: str, *, facts: ClusterFacts) -> ClientProgram:
        return find_client(
            name, server_major=facts.major, runner=self._runner, bin_directory=self._connection.bin_directory
        )

    @staticmethod
    def _without_passwords(facts: ClusterFacts) -> str:
        return "" if facts.may_read_passwords else f", without passwords: {facts.role} may not read them"

    def _globals(
        self, facts: ClusterFacts, *, sink: PayloadSink, progress: Progress, warnings: list[str]
    ) -> dict[str, t.Any] | None:
        if not self._options.globals:
            return None
        program = self._program("pg_dumpall", facts=facts)
        argv = [
            program.path,
            "--globals-only",
            "--no-password",
            f"--lock-wait-timeout={self._options.lock_wait_timeout * 1000}",
        ]
        if not facts.may_read_passwords:
            argv.append("--no-role-passwords")
            warning = (
                f"{GLOBALS_PAYLOAD} holds the roles without their passwords: {facts.role} may not read pg_authid. "
                "After a restore on a new cluster every role needs its password again."
            )
            warnings.append(warning)
            self._journal.warning(warning)
        progress.stage("dumping roles and tablespaces")
        database = self._connection.database or "postgres"
        said = Said()
        with named_failures(said=said, address=self._connection.address(database=database)):
            sink.store(
                PayloadInput(
                    name=GLOBALS_PAYLOAD,
                    media="pg_dumpall globals, SQL",
                    argv=tuple(argv),
                    environment=self._connection.environment(runner=self._runner, database=database),
                    on_stderr=said,
                )
            )
        return {"payload": GLOBALS_PAYLOAD, "role_passwords": facts.may_read_passwords}

    def _content(
        self,
        facts: ClusterFacts,
        *,
        databases: list[dict[str, t.Any]],
        globals_content: dict[str, t.Any] | None,
        program: ClientProgram,
        warnings: list[str],
    ) -> dict[str, t.Any]:
        options = self._options
        return {
            "server_version": facts.version,
            "server_version_number": facts.version_number,
            "system_identifier": facts.system_identifier,
            "timeline": facts.timeline,
            "in_recovery": facts.in_recovery,
            "tool": {"name": program.name, "version": program.dotted},
            "format": options.format,
            "jobs": options.jobs,
            "row_counts": options.row_counts,
            "selection": {
                "databases": list(options.databases),
                "include_schemas": list(options.include_schemas),
                "exclude_schemas": list(options.exclude_schemas),
                "include_tables": list(options.include_tables),
                "exclude_tables": list(options.exclude_tables),
                "exclude_table_data": list(options.exclude_table_data),
            },
            "globals": globals_content,
            "databases": databases,
            "finished": format_time(self._clock.now()),
            "warnings": warnings,
        }
