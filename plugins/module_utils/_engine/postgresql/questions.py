# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions in SQL to a restored cluster, and the tables that it must have: read only, with a deadline."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import math
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, QuestionFailed, RequestInvalid
from ..core.runner import Runner
from ..recovery.questions import FAILED, PASSED, Answer, Check, Question
from .connection import PostgresConnection
from .session import Session

#: Databases that every cluster has, so that a question without a database never means them while there is another.
BUILT_IN = ("postgres", "template0", "template1")
_DEFAULT_TIMEOUT = 300.0
_CONNECTABLE = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
_TABLES = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND c.relname = %s AND (%s = '' OR n.nspname = %s)
 ORDER BY n.nspname
"""


@dataclass(frozen=True)
class Questioner:
    """Asks the databases of one running cluster.

    *databases* are those that came out of the backup. Nothing that is asked can change them: every session is read only
    from its start, and each statement ends after *timeout* seconds.
    """

    connection: PostgresConnection
    runner: Runner
    databases: tuple[str, ...]
    timeout: float = _DEFAULT_TIMEOUT

    def ask(self, question: Question) -> Answer:
        """The one value that the statement gives: number, truth value or text; None for no row and for NULL.

        Times become text (ISO 8601, UTC where they have a zone), intervals seconds. Raises QuestionFailed for anything
        that is not one statement with one row of one column, and when it can't be asked at all.
        """
        if question.way != "sql" or not isinstance(question.what, str) or not question.what.strip():
            raise QuestionFailed(
                f"The question {question.name} asks by {question.way}; PostgreSQL is asked in SQL.",
                hint="Write it as: {name: users, database: shop, sql: select count(*) from users, min: 1}",
            )
        database = self._database_of(question)
        try:
            with self._session(database) as session:
                return _only_value(_ask(session, question.what), question=question)
        except QuestionFailed:
            raise
        except LifeboatError as error:
            raise QuestionFailed(
                f"The question {question.name} could not be asked of the database {database}: {error.message}",
                hint=f"Try it by hand: {self.connection.address(database=database).psql} -c {question.what!r}",
                details={"question": question.name, "database": database, **error.details},
            ) from error

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Whether each table (or view) is there: ``table``, ``schema.table`` or ``database.schema.table``.

        A table without a database may be in any of them; *found* of the check says where it was seen. Raises
        RequestInvalid for what can't be a name.
        """
        for name in names:
            places = list(self._places(name))
            yield Check(
                name=f"table {name}",
                state=PASSED if places else FAILED,
                message=f"table {name}: in {', '.join(places)}"
                if places
                else f"table {name} is not in {', '.join(self.databases) or 'any database: there is none'}",
                expected=name,
                found=places or None,
            )

    def _places(self, name: str) -> t.Iterator[str]:
        database, schema, table = table_name(name)
        for candidate in self.databases:
            if database in ("", candidate):
                with self._session(candidate) as session:
                    for found in session.rows(_TABLES, [table, schema, schema]):
                        yield ".".join((candidate, *found))

    def _database_of(self, question: Question) -> str:
        if question.database:
            if question.database not in self.databases:
                raise QuestionFailed(
                    f"The question {question.name} is for the database {question.database}, which is not in the "
                    f"backup; it has: {', '.join(self.databases) or 'none'}.",
                    hint="Correct database in the question, or back that database up.",
                    details={"question": question.name, "databases": list(self.databases)},
                )
            return question.database
        own = [name for name in self.databases if name not in BUILT_IN] or list(self.databases)
        if len(own) != 1:
            raise QuestionFailed(
                f"The question {question.name} names no database, and the backup has {', '.join(own) or 'none'}.",
                hint=f"Write database: {own[0] if own else 'NAME'} in the question.",
                details={"question": question.name, "databases": own},
            )
        return own[0]

    def _session(self, database: str) -> Session:
        return self.connection.connect(
            runner=self.runner,
            database=database,
            options={
                # Also what an imprudent COMMIT in a question would begin.
                "default_transaction_read_only": "on",
                "statement_timeout": str(max(1, int(self.timeout * 1000))),
                "lock_timeout": "10s",
                "timezone": "UTC",
            },
        )


@contextlib.contextmanager
def asking(connection: t.Mapping[str, t.Any], runner: Runner) -> t.Iterator[t.Callable[[Question], Answer]]:
    """Ask the cluster of *connection* itself, as its restored copy will be asked. Raises what connecting raises."""
    server = PostgresConnection.from_description(connection)
    with server.connect(runner=runner) as session:
        names = tuple(str(row[0]) for row in session.rows(_CONNECTABLE))
    yield Questioner(connection=server, runner=runner, databases=names).ask


def _ask(session: Session, statement: str) -> list[tuple[t.Any, ...]]:
    """At most two rows of the statement: a cursor keeps a forgotten LIMIT from filling our memory."""
    session.rows("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    # The end of the line ends a comment at the end of the statement.
    session.rows("DECLARE lifeboat_question NO SCROLL CURSOR FOR " + statement.strip().rstrip(";") + "\n")
    rows = session.rows("FETCH 2 FROM lifeboat_question")
    session.rows("ROLLBACK")
    return rows


def _only_value(rows: list[tuple[t.Any, ...]], *, question: Question) -> Answer:
    if not rows:
        return None
    if len(rows) > 1 or len(rows[0]) != 1:
        found = "more than one row" if len(rows) > 1 else f"{len(rows[0])} columns"
        raise QuestionFailed(
            f"The question {question.name} gives {found}, and an answer is one value.",
            hint="Ask for one number: select count(*) from ...",
            details={"question": question.name},
        )
    return as_answer(rows[0][0])


def as_answer(value: t.Any) -> Answer:
    """A value of psycopg2 as a JSON value. Numbers stay exact where they are whole."""
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, memoryview):
        return value.hex()
    is_json = (
        value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    )
    return t.cast("Answer", value) if is_json else str(value)


def table_name(name: str) -> tuple[str, str, str]:
    """Database, schema and table as they are stored; empty where the name leaves them out.

    Dots in double quotes do not separate. Upper case stays, with and without quotes.
    """
    parts, quoted = [""], False
    for position, character in enumerate(name):
        if character == '"':
            if quoted and name[position + 1 : position + 2] == '"':
                parts[-1] += '"'
            quoted = not quoted
        elif character == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    if len(parts) > 3 or not parts[-1]:
        raise RequestInvalid(
            f"{name!r} is not the name of a table.", hint="Write table, schema.table or database.schema.table."
        )
    padded = ["", "", *parts][-3:]
    return padded[0], padded[1], padded[2]
