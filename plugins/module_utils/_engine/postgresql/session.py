# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries over psycopg2, with the server's refusals turned into named errors."""

from __future__ import annotations

import typing as t

from ..core.errors import (
    LibraryMissing,
    LifeboatError,
    PostgresConnectionLost,
    PostgresError,
    PostgresLockTimeout,
    PostgresPermissionDenied,
)
from .messages import Address, program_error

if t.TYPE_CHECKING:
    from types import ModuleType

    import psycopg2
    import psycopg2.extensions

Parameters = t.Union[t.Sequence[t.Any], t.Mapping[str, t.Any], None]

# Classes by SQLSTATE, for texts in a language that the table of messages does not know.
_BY_STATE: t.Mapping[str, type[LifeboatError]] = {
    "42501": PostgresPermissionDenied,  # insufficient_privilege
    "55P03": PostgresLockTimeout,  # lock_not_available
    "57P01": PostgresConnectionLost,  # admin_shutdown
    "57P02": PostgresConnectionLost,  # crash_shutdown
}


def psycopg2_module() -> ModuleType:
    """The library psycopg2. Raises LibraryMissing naming the package to install."""
    try:
        import psycopg2
    except ImportError as error:
        raise LibraryMissing(
            "The Python library psycopg2 is not installed for the interpreter that runs the engine.",
            hint="Run: pip install psycopg2-binary   or, on Debian: apt-get install python3-psycopg2",
            details={"library": "psycopg2"},
        ) from error
    return psycopg2


@t.final
class Session:
    """One open connection. Close it; leaving a ``with`` block does."""

    def __init__(self, *, connection: psycopg2.extensions.connection, address: Address) -> None:
        self.connection = connection
        self.address = address

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def version(self) -> int:
        """The server's version as PostgreSQL numbers it: 150018 is 15.18."""
        return self.connection.server_version

    def rows(self, statement: str, parameters: Parameters = None) -> list[tuple[t.Any, ...]]:
        """The rows of one statement, [] when it has none. Raises the named error of what the server says."""
        psycopg2 = psycopg2_module()
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg2.Error as error:
            raise session_error(error, address=self.address) from error

    def value(self, statement: str, parameters: Parameters = None) -> t.Any:
        """The first column of the first row; None when there is no row."""
        rows = self.rows(statement, parameters)
        return rows[0][0] if rows else None

    def close(self) -> None:
        """End the connection; an open transaction is rolled back by the server."""
        self.connection.close()


def session_error(error: psycopg2.Error, *, address: Address) -> LifeboatError:
    """The named error for what psycopg2 raised while a statement ran."""
    text = str(error).strip()
    named = program_error(text, address=address)
    if named is not None:
        return named
    by_state = _BY_STATE.get(error.pgcode or "", PostgresError)
    return by_state(
        f"PostgreSQL at {address.server} refused a statement: {text or type(error).__name__}",
        hint=f"Look in the server's log; the connection by hand: {address.psql}",
        details={"server": address.server, "sqlstate": error.pgcode},
    )
