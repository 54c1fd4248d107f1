# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of a logical dump into a database that is there: all in one transaction, or nothing.

pg_restore writes SQL into a psql that has begun a transaction. The COMMIT is sent only after the whole payload was
read and its hash compared, and after the rows were counted inside of the same transaction.
"""

from __future__ import annotations

import os
import typing as t

from ..core.errors import PipelineFailed, PostgresNothingSelected, RestoreTargetInvalid
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..pipeline.processes import kill_all, open_pipe, spawn
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.steps import Facts, Step
from .adding_objects import Additions, additions, drop_statements, marker_name
from .connection import PostgresConnection
from .databases import find_database
from .dump_loading import Dump, list_file
from .dump_selection import Selection, select
from .dump_words import LoadWords
from .facts import read_facts
from .logical_restore_options import DatabaseRestoreOptions
from .logical_target import TargetServer, database_content, incomplete
from .restore_logical import connection_text
from .role_step import MAKE_ROLES, role_step
from .row_counts import noted_tables
from .session import Session
from .target_checks import free_on_server, needed_bytes

_ADD, _FORGET = "add", "remove the mark"


class PgLogicalAdder:
    """A logical dump, or some of its tables, added to an existing database whose tables don't collide with it."""

    engine = "postgresql"
    kind = "logical"

    def __init__(
        self, *, connection: PostgresConnection, options: DatabaseRestoreOptions, context: RestorerContext
    ) -> None:
        self._options = options
        self._server = TargetServer(connection=connection, context=context)
        # A schema that is there if and only if the transaction was committed, whoever lived to see it.
        self._marker = marker_name(context.restore_id)

    @property
    def target(self) -> str:
        """The name of the database."""
        return self._options.into

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """Hold the dump against the server and against what is in the database."""
        options, server = self._options, self._server
        dump = server.open(source, options.database)
        with server.session("postgres") as session:
            if find_database(session, name=options.into) is None:
                raise RestoreTargetInvalid(
                    f"There is no database {options.into} that tables could be added to.",
                    hint="Leave existing out: the restore then makes the database.",
                )
        if dump.is_directory:
            raise RestoreTargetInvalid(
                "A dump in the directory format can't be added to a database: it is not one stream.",
                hint="Restore it beside (without existing), then copy what you need: pg_dump -t TABLE | psql.",
            )
        with server.session(options.into) as session:
            adding = self._additions(session, dump)
            facts = server.require_fit(session, dump, adding.selection, manner=options.manner, roles=options.roles)
            missing = server.missing_roles(session, source) if options.roles else []
        program = server.program("pg_restore", server_major=facts.major, manifest=source.manifest)
        server.program("psql", server_major=facts.major, manifest=source.manifest)
        content = database_content(source.manifest, options.database)
        size = needed_bytes(content, plain_size=dump.plain_size) if adding.selection.is_whole else 0
        return RestoreInspection(
            facts={
                "database": options.database,
                "into": options.into,
                "server_version": facts.version,
                "pg_restore": program.dotted,
                "objects": len(adding.selection.entries),
                "there_already": list(adding.there),
                "roles_to_make": missing,
            },
            steps=tuple(step.title for step in self.steps(source=source, progress=server.progress())),
            needed_bytes=size,
            free_bytes=free_on_server(facts, host=server.connection.host),
            versions=f"dump of PostgreSQL {dump.toc.server_version}, server {facts.version}, "
            f"pg_restore {program.dotted}",
            warnings=tuple(f"Not restored: {what}." for what in adding.selection.left_out),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """Roles when wanted; the transaction; away with the mark that says that it was committed."""
        steps = [
            Step(
                name=_ADD,
                title=f"Add the dump of {self._options.database} to {self._options.into}, in one transaction",
                plan=lambda: self._plan(source),
                do=lambda facts: self._add(source, facts, progress=progress),
                undo=self._take_away,
            ),
            Step(
                name=_FORGET,
                title="Remove the mark of the transaction",
                do=lambda _facts: self._forget(),
                undo=lambda _facts: None,
            ),
        ]
        return [role_step(self._server, source, progress=progress), *steps] if self._options.roles else steps

    def outcome(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> Restoration:
        """What was added, and where."""
        address = self._server.connection.address(database=self._options.into)
        added = facts.get(_ADD, {})
        return Restoration(
            content={
                "database": self._options.into,
                "tables": added.get("tables"),
                "rows": added.get("rows"),
                "there_already": added.get("there", []),
                "left_out": added.get("left_out", []),
                "roles_made": facts.get(MAKE_ROLES, {}).get("made", []),
            },
            where=f"database {self._options.into} on {address.server}",
            connect=address.psql,
        )

    def discard(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> tuple[str, ...]:
        """Nothing was moved aside."""
        return ()

    def _additions(self, session: Session, dump: Dump) -> Additions:
        selection = select(dump.toc, schemas=self._options.schemas, tables=self._options.tables)
        found = additions(session, selection)
        if not found.selection.tables and not found.relations:
            raise PostgresNothingSelected("Nothing of the selection is missing in the database.")
        return found

    def _plan(self, source: PayloadSource) -> Facts:
        dump = self._server.open(source, self._options.database)
        with self._server.session(self._options.into) as session:
            adding = self._additions(session, dump)
            return {
                "drops": drop_statements(adding.selection),
                "ids": [entry.id for entry in adding.selection.entries],
                "there": list(adding.there),
                "left_out": list(adding.selection.left_out),
            }

    def _add(self, source: PayloadSource, facts: Facts, *, progress: Progress) -> Facts:
        dump = self._server.open(source, self._options.database, progress=progress)
        wanted = set(facts["ids"])
        selection = select(dump.toc).only(wanted)
        noted = noted_tables(database_content(source.manifest, self._options.database), wanted=selection.tables)
        with self._server.session(self._options.into) as session:
            if not self._is_committed(session):
                server_facts = read_facts(session)
                names = {
                    table: str(session.value("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", list(table)))
                    for table in noted or {}
                }
                questions = {names[table]: rows for table, rows in (noted or {}).items()}
                self._transaction(dump, selection, questions, server_major=server_facts.major, progress=progress)
            if self._options.analyze:
                for table in selection.tables:
                    name = session.value("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", list(table))
                    session.rows(f"ANALYZE {name}")
        return {
            "committed": True,
            "tables": None if noted is None else len(noted),
            "rows": None if noted is None else sum(noted.values()),
        }

    def _transaction(
        self,
        dump: Dump,
        selection: Selection,
        noted: t.Mapping[str, int],
        *,
        server_major: int,
        progress: Progress,
    ) -> None:
        server, manifest, words = self._server, dump.source.manifest, LoadWords()
        psql = server.program("psql", server_major=server_major, manifest=manifest)
        pg_restore = server.program("pg_restore", server_major=server_major, manifest=manifest)
        environment = server.environment(self._options.into)
        reading, writing = open_pipe()
        argv = [psql.path, "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"]
        argv.append(f"--dbname={connection_text(self._options.into)}")
        process = spawn("psql", argv, stdin=reading, stdout=None, environment=environment, on_line=words)
        try:
            try:
                _write(writing, f"BEGIN;\nCREATE SCHEMA {self._marker};\n")
                with list_file(selection) as descriptor:
                    output = PayloadOutput(
                        argv=(
                            pg_restore.path,
                            *self._options.manner.arguments(),
                            "--format=custom",
                            f"--use-list=/dev/fd/{descriptor}",
                            f"--file=/dev/fd/{writing}",
                        ),
                        pass_descriptors=(descriptor, writing),
                        on_stderr=words,
                    )
                    dump.source.deliver(dump.payload, output, progress=progress)
                _write(writing, "".join(_count_statement(name, rows) for name, rows in noted.items()) + "COMMIT;\n")
            finally:
                os.close(writing)  # without a COMMIT before it, this is the end of the transaction
        except (BrokenPipeError, PipelineFailed):
            process.wait()
            raise self._failure(words) from None  # psql gave up first: what it said is the reason
        except BaseException:
            kill_all([process])
            process.wait()
            raise
        if process.wait() != 0:
            raise self._failure(words)

    def _failure(self, words: LoadWords) -> Exception:
        differing = [error.partition("lifeboat: ")[2] for error in words.errors if "lifeboat: " in error]
        if differing:
            return incomplete(self._options.into, differing)
        return words.failure(database=self._options.into, program="psql")

    def _take_away(self, facts: Facts) -> None:
        """Only when the transaction was committed; before that the server itself has taken everything back."""
        with self._server.session(self._options.into) as session:
            if not (facts.get("committed") or self._is_committed(session)):
                return
            session.rows("BEGIN")
            session.rows(f"DROP SCHEMA IF EXISTS {self._marker}")
            for statement in facts.get("drops", []):
                session.rows(statement)
            session.rows("COMMIT")

    def _is_committed(self, session: Session) -> bool:
        return bool(session.rows("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", [self._marker]))

    def _forget(self) -> None:
        with self._server.session(self._options.into) as session:
            session.rows(f"DROP SCHEMA IF EXISTS {self._marker}")


def _count_statement(name: str, rows: int) -> str:
    """Fails the transaction when the table (its name as SQL) has another number of rows."""
    message = "lifeboat: " + name.replace("%", "%%").replace("'", "''") + f" has % rows instead of {rows}"
    count = f"SELECT count(*) INTO found FROM ONLY {name}"  # noqa: S608 quoted by the server
    body = f"DECLARE found bigint; BEGIN {count}; IF found <> {rows} THEN RAISE '{message}', found; END IF; END"
    return f"DO $lifeboat$ {body} $lifeboat$;\n"


def _write(descriptor: int, text: str) -> None:
    view = memoryview(text.encode("utf-8"))
    while view:
        view = view[os.write(descriptor, view) :]
