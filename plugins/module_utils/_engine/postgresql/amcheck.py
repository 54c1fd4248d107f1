# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""amcheck, PostgreSQL's own proof that tables and indexes are what their code expects (manual, appendix F.1).

Tables are checked from version 14 on, B-tree indexes (each entry against its table) on all, GIN indexes from 18 on.
"""

from __future__ import annotations

import typing as t

from ..core.errors import LifeboatError
from ..core.runner import Runner
from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from .connection import PostgresConnection
from .session import Session

_SCHEMA = "lifeboat_amcheck"
_SHOWN = 5
_KEPT = 100
_RELATIONS = """
SELECT c.oid, c.oid::regclass::text, a.amname
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
 WHERE (c.relkind IN ('r', 'm', 't') AND a.amname = 'heap'
        OR c.relkind = 'i' AND a.amname IN ('btree', 'gin') AND i.indisvalid AND i.indisready)
   AND (c.relpersistence = 'p' OR c.relpersistence = 'u' AND NOT pg_catalog.pg_is_in_recovery())
   AND NOT (c.relpersistence = 'u' AND c.relkind = 'i' AND pg_catalog.pg_relation_size(c.oid) = 0)
 ORDER BY c.oid
"""
# The value is empty for what is sound. What is broken may also be told by an error.
_STATEMENTS: t.Mapping[str, tuple[str, str]] = {
    "heap": (
        "verify_heapam",
        "SELECT pg_catalog.format('block %%s: %%s', blkno, msg) FROM {schema}.verify_heapam(%s::oid::regclass) LIMIT 3",
    ),
    "btree": ("bt_index_check", "SELECT {schema}.bt_index_check(%s::oid::regclass, true)"),
    "gin": ("gin_index_check", "SELECT {schema}.gin_index_check(%s::oid::regclass)"),
}


def check_relations(*, connection: PostgresConnection, runner: Runner, databases: t.Iterable[str]) -> t.Iterator[Check]:
    """One check for each database: all its tables and indexes, those of the catalog too.

    Needs a superuser on a server of our own (a scratch instance): where the extension is not installed it is created in
    a transaction that is rolled back. Skipped, and the message says why, where the server doesn't have it.
    """
    for database in databases:
        with connection.connect(
            runner=runner, database=database, options={"statement_timeout": "0", "search_path": "pg_catalog"}
        ) as session:
            yield _check(session, database=database)


def _check(session: Session, *, database: str) -> Check:
    session.rows("BEGIN")
    # Event triggers of the restored database must not take part in what we create.
    session.rows("SET LOCAL session_replication_role = replica")
    schema, reason = _extension(session)
    if not schema:
        return Check(name=f"amcheck of {database}", state=SKIPPED, message=f"amcheck of {database}: {reason}")
    functions = {row[0] for row in session.rows(_FUNCTIONS, [schema])}
    counts = {"tables": 0, "indexes": 0}
    problems: list[str] = []
    session.rows("SAVEPOINT before_each")
    for oid, relation, method in session.rows(_RELATIONS):
        function, statement = _STATEMENTS[method]
        if function not in functions:
            continue
        counts["tables" if method == "heap" else "indexes"] += 1
        try:
            found = [str(value) for (value,) in session.rows(statement.format(schema=f'"{schema}"'), [oid]) if value]
        except LifeboatError as error:
            found = [error.message]
            session.rows("ROLLBACK TO SAVEPOINT before_each")
        problems.extend(f"{relation}: {one}" for one in found)
    session.rows("ROLLBACK")
    return _judged(database, counts=counts, problems=problems, tables_known="verify_heapam" in functions)


_FUNCTIONS = """
SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = %s
"""


def _extension(session: Session) -> tuple[str, str]:
    """The schema of the extension's functions, or empty with the reason."""
    schema = session.value(
        "SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'amcheck'"
    )
    if schema is not None:
        return str(schema), ""
    if not session.value("SELECT count(*) FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck'"):
        return "", "the server does not have the extension (on Debian it is in postgresql-NN, elsewhere in -contrib)"
    if session.value("SELECT pg_catalog.pg_is_in_recovery()"):
        return "", "the extension is not in the backup, and a server in recovery can't create it"
    session.rows(f"CREATE SCHEMA {_SCHEMA}")
    session.rows(f"CREATE EXTENSION amcheck SCHEMA {_SCHEMA}")
    return _SCHEMA, ""


def _judged(database: str, *, counts: t.Mapping[str, int], problems: list[str], tables_known: bool) -> Check:
    looked_at = (
        f"{counts['tables']} tables, {counts['indexes']} indexes" if tables_known else f"{counts['indexes']} indexes"
    )
    if not problems:
        note = "" if tables_known else " (tables are checked from PostgreSQL 14 on)"
        return Check(
            name=f"amcheck of {database}",
            state=PASSED,
            message=f"amcheck of {database}: {looked_at} are sound{note}",
            found=dict(counts),
        )
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return Check(
        name=f"amcheck of {database}",
        state=FAILED,
        message=f"amcheck of {database}: {'; '.join(problems[:_SHOWN])}{more}",
        expected="no damage",
        found=problems[:_KEPT],
    )
