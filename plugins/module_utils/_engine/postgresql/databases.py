# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as a whole: made as they were, renamed, exchanged and removed. A database is recognised by its oid."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresError, RestoreTargetInvalid
from .dump_toc import DumpToc
from .globals_sql import IN_DATABASE, statements, unquoted
from .session import Session

_LONGEST_NAME = 63  # bytes: NAMEDATALEN - 1
_END_ATTEMPTS = 300  # of a tenth of a second


@dataclass(frozen=True)
class DatabaseIdentity:
    """A database of the cluster."""

    oid: int
    name: str
    accepts_connections: bool


def find_database(session: Session, *, name: str = "", oid: int | None = None) -> DatabaseIdentity | None:
    """By its name or its oid; None when there is none."""
    rows = session.rows(
        "SELECT oid, datname, datallowconn FROM pg_catalog.pg_database WHERE datname = %s OR oid = %s", [name, oid]
    )
    return DatabaseIdentity(*rows[0]) if rows else None


def derived_name(database: str, word: str, restore_id: str) -> str:
    """``shop_before_20261121t020000z_4f2c91``: nothing in it needs quotes but what the database's own name does."""
    suffix = f"_{word}_{restore_id.lower().replace('-', '_')}".encode("ascii")
    kept = database.encode("utf-8")[: _LONGEST_NAME - len(suffix)]
    return kept.decode("utf-8", "ignore") + suffix.decode("ascii")


def require_fitting(name: str) -> None:
    """Raise RestoreTargetInvalid for a name that PostgreSQL would shorten in silence."""
    if not name or len(name.encode("utf-8")) > _LONGEST_NAME or "\0" in name:
        raise RestoreTargetInvalid(
            f"{name!r} can't be the name of a database: PostgreSQL takes 1 to {_LONGEST_NAME} bytes.",
            hint="Choose another with into.",
        )


def create_database(
    session: Session, *, name: str, toc: DumpToc, content: t.Mapping[str, t.Any], owners: bool, tablespaces: bool
) -> None:
    """Make an empty database like the dumped one (encoding, collation, owner) under another name."""
    quoted = quote(session, name)
    entry = next(iter(toc.of_kind("DATABASE")), None)
    head = f"CREATE DATABASE {quote(session, toc.database)} "
    if entry is not None and entry.statement.startswith(head):
        rest = entry.statement[len(head) :].strip().rstrip(";")
        if not tablespaces:
            rest = re.sub(r' TABLESPACE = (?:"(?:[^"]|"")+"|\S+)', "", rest)
    else:  # a dump of chosen tables doesn't say what its database was like
        rest = session.value(
            "SELECT pg_catalog.format('WITH TEMPLATE = template0 ENCODING = %%L LC_COLLATE = %%L LC_CTYPE = %%L',"
            " %s::text, %s::text, %s::text)",
            [content["encoding"], content["collation"], content["character_type"]],
        )
    session.rows(f"CREATE DATABASE {quoted} {rest}")
    if owners and entry is not None and entry.owner:
        session.rows(f"ALTER DATABASE {quoted} OWNER TO {quote(session, entry.owner)}")


def apply_properties(session: Session, *, name: str, toc: DumpToc, privileges: bool) -> None:
    """Give a database the settings, comment and (*privileges*) rights of the dumped one, under its own name.

    Settings for a role that the cluster doesn't have are left out.
    """
    old = re.escape(quote(session, toc.database))
    names = re.compile(rf"(ALTER DATABASE |ALTER ROLE .* IN DATABASE |[^;]* ON DATABASE ){old}(?= )")
    new = quote(session, name)
    roles = {row[0] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles")}
    kinds = ("DATABASE PROPERTIES", "COMMENT", "SECURITY LABEL", *(("ACL",) if privileges else ()))
    for entry in toc.of_kind(*kinds):
        if entry.kind != "DATABASE PROPERTIES" and not entry.name.startswith("DATABASE "):
            continue
        for statement in statements(entry.statement):
            about = IN_DATABASE.match(statement)
            if about is None or unquoted(about["role"]) in roles:
                session.rows(names.sub(lambda found: found[1] + new, statement, count=1))


def exchange_names(session: Session, renames: t.Sequence[tuple[DatabaseIdentity, str]]) -> None:
    """Rename several databases in one transaction, in that order; everybody in them is sent away first.

    Whoever comes back in between is kept out. Afterwards each takes connections as it did before.
    """
    for database, _name in renames:
        session.rows(f"ALTER DATABASE {quote(session, database.name)} WITH ALLOW_CONNECTIONS false")
    try:
        for database, _name in renames:
            end_connections(session, oid=database.oid)
        session.rows("BEGIN")
        for database, name in renames:
            session.rows(f"ALTER DATABASE {quote(session, database.name)} RENAME TO {quote(session, name)}")
        session.rows("COMMIT")
    except BaseException:
        session.rows("ROLLBACK")  # a warning when there is no transaction
        raise
    finally:
        for database, _name in renames:
            if database.accepts_connections:
                allow_connections(session, oid=database.oid)


def allow_connections(session: Session, *, oid: int) -> None:
    """Let people in again; nothing when the database is gone."""
    found = find_database(session, oid=oid)
    if found is not None and not found.accepts_connections:
        session.rows(f"ALTER DATABASE {quote(session, found.name)} WITH ALLOW_CONNECTIONS true")


def end_connections(session: Session, *, oid: int) -> None:
    """End every session in the database and wait for that. Raises PostgresError for what does not go."""
    left: list[tuple[t.Any, ...]] = []
    for _attempt in range(_END_ATTEMPTS):
        # The server ends its own vacuum workers when a database is renamed; few roles may do that.
        left = session.rows(
            "SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
            " WHERE datid = %s AND backend_type <> 'autovacuum worker' AND pid <> pg_catalog.pg_backend_pid()",
            [oid],
        )
        if not left:
            return
        session.rows("SELECT pg_catalog.pg_sleep(0.1)")
    raise PostgresError(
        "A session in the database does not end.",
        hint="See who it is: SELECT * FROM pg_stat_activity;",
        details={"processes": [row[0] for row in left]},
    )


def drop_database(session: Session, *, name: str = "", oid: int | None = None) -> bool:
    """Remove a database with everybody in it; False when there is none."""
    found = find_database(session, name=name, oid=oid)
    if found is None:
        return False
    if session.version < 130000:
        session.rows(f"ALTER DATABASE {quote(session, found.name)} WITH ALLOW_CONNECTIONS false")
        end_connections(session, oid=found.oid)
    force = " WITH (FORCE)" if session.version >= 130000 else ""
    session.rows(f"DROP DATABASE {quote(session, found.name)}{force}")
    return True


def quote(session: Session, name: str) -> str:
    """An identifier as SQL, quoted by the server where it must be."""
    return str(session.value("SELECT pg_catalog.quote_ident(%s)", [name]))


def require_replaceable(session: Session, old: DatabaseIdentity) -> None:
    """Raise RestoreTargetInvalid for what would keep a database from being renamed, or be lost by it."""
    prepared = session.rows("SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s", [old.name])
    if prepared:
        raise RestoreTargetInvalid(
            f"The database {old.name} has prepared transactions, which keep it from being renamed.",
            hint="Finish each: COMMIT PREPARED 'GID' or ROLLBACK PREPARED 'GID' (SELECT * FROM pg_prepared_xacts).",
            details={"prepared": [row[0] for row in prepared]},
        )
    slots = session.rows("SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = %s", [old.name])
    if slots:
        raise RestoreTargetInvalid(
            f"Logical replication slots belong to the database {old.name}: {', '.join(row[0] for row in slots)}. "
            "They would follow the old database and never see the new one.",
            hint="Drop them (SELECT pg_drop_replication_slot('NAME')), and make them again after the restore.",
            details={"slots": [row[0] for row in slots]},
        )
