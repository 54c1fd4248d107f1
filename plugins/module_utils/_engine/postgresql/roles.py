# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles of a backup on a target: the missing ones are made, existing ones are never changed, no password is shown."""

from __future__ import annotations

import typing as t

from ..core.errors import ManifestInvalid, PostgresError
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .globals_sql import RoleStatement, missing_roles, read_globals, role_statements
from .logical import GLOBALS_PAYLOAD
from .session import Session, psycopg2_module


def noted_roles(source: PayloadSource, *, progress: Progress) -> list[RoleStatement]:
    """The statements in the backup's globals.sql. Raises ManifestInvalid when it was made without."""
    if GLOBALS_PAYLOAD not in source.names:
        raise ManifestInvalid(
            f"The backup {source.manifest.backup_id} was made without roles (globals: false).",
            hint="Restore without roles, or with owners: false and privileges: false.",
        )
    found: list[str] = []
    source.deliver(
        GLOBALS_PAYLOAD, PayloadOutput(read=lambda file: found.append(read_globals(file))), progress=progress
    )
    return role_statements(found[0])


def existing_roles(session: Session) -> set[str]:
    """The names of all roles of the cluster."""
    return {row[0] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles")}


def names_of_missing(statements: t.Sequence[RoleStatement], *, existing: t.Collection[str]) -> list[str]:
    """The roles that would be made."""
    return [one.role for one in missing_roles(statements, existing=existing) if one.creates]


def create_missing(session: Session, statements: t.Sequence[RoleStatement], *, wanted: t.Collection[str]) -> None:
    """Make the *wanted* roles that are not there, in one transaction: all of them or none."""
    existing = existing_roles(session)
    session.rows("BEGIN")
    for setting in ("log_statement = 'none'", "log_min_error_statement = 'panic'", "log_min_duration_statement = -1"):
        # Hashes of passwords don't belong into the server's log either; only a superuser may keep them out.
        _try(session, f"SET LOCAL {setting}")
    keep = existing | {one.role for one in statements if one.role not in wanted}
    for statement in missing_roles(statements, existing=keep):
        if {statement.role, statement.member or statement.role} <= existing | set(wanted):
            _execute(session, statement)
    session.rows("COMMIT")


def drop_roles(session: Session, names: t.Collection[str]) -> None:
    """Remove roles that a restore has made, in one transaction; those that are gone already are no error."""
    existing = existing_roles(session)
    session.rows("BEGIN")
    for name in names:
        if name in existing:
            quoted = session.value("SELECT pg_catalog.quote_ident(%s)", [name])
            session.rows(f"DROP ROLE {quoted}")
    session.rows("COMMIT")


def _execute(session: Session, statement: RoleStatement) -> None:
    psycopg2 = psycopg2_module()
    try:
        with session.connection.cursor() as cursor:
            cursor.execute(statement.text)
    except psycopg2.Error as error:
        # The whole message may quote the statement, and with it a password's hash.
        said = error.diag.message_primary or type(error).__name__
        session.rows("ROLLBACK")
        raise PostgresError(
            f"The role {statement.role} could not be made as it was: {said}",
            hint="Make the role by hand, or restore with roles: false, owners: false and privileges: false.",
            details={"role": statement.role, "sqlstate": error.pgcode},
        ) from None


def _try(session: Session, statement: str) -> None:
    session.rows("SAVEPOINT before")
    try:
        session.rows(statement)
    except PostgresError:
        session.rows("ROLLBACK TO SAVEPOINT before")
