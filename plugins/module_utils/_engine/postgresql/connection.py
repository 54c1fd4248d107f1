# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach a PostgreSQL server, for psycopg2 and for the client programs alike."""

from __future__ import annotations

import getpass
import os
import stat
import typing as t
from dataclasses import dataclass, field

from ..core.errors import (
    LifeboatError,
    PostgresHbaRefused,
    PostgresTlsRequired,
    PostgresUnreachable,
    PostgresVersionUnsupported,
    RequestInvalid,
    SecretUnavailable,
)
from ..core.runner import Runner
from ..core.secrets import Secret, secret_from
from .messages import Address, connecting_error
from .session import Session, psycopg2_module

OLDEST_VERSION = 12
_PASSWORD_KEYS = ("password", "password_file", "password_env", "password_command")
_TEXT_KEYS = ("host", "user", "database", "passfile", "service", "sslmode", "sslrootcert", "sslcert", "sslkey")
_KEYS = frozenset((*_TEXT_KEYS, *_PASSWORD_KEYS, "port", "connect_timeout", "bin_directory"))
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# An hour-long dump leaves the connection that holds its snapshot silent; firewalls forget silent connections.
_KEEPALIVES: t.Mapping[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 60,
    "keepalives_interval": 15,
    "keepalives_count": 8,
}
# The environment names of libpq for what psycopg2 takes as arguments.
_ENVIRONMENT: t.Mapping[str, str] = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


@dataclass(frozen=True)
class PostgresConnection:
    """A server, a role and how it proves itself. Empty text means libpq's default (also from PG* variables).

    *connect_timeout* is in seconds. *bin_directory* holds the client programs when they are not where the distribution
    puts them. The password is a reference (``core.secrets``) that is fetched at each use.
    """

    host: str = ""
    port: int | None = None
    user: str = ""
    database: str = ""
    password: Secret = field(default_factory=lambda: Secret(name="password"))
    passfile: str = ""
    service: str = ""
    sslmode: str = ""
    sslrootcert: str = ""
    sslcert: str = ""
    sslkey: str = ""
    connect_timeout: int = 10
    bin_directory: str = ""

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> PostgresConnection:
        """The connection of a job's description. Raises RequestInvalid for unknown keys and values that can't be."""
        if not isinstance(description, t.Mapping):
            raise RequestInvalid(
                f"connection is {description!r}, and must be a mapping.", hint="Write {host: ..., port: 5432}."
            )
        unknown = sorted(set(description) - _KEYS)
        if unknown:
            raise RequestInvalid(
                f"A PostgreSQL connection has no option {', '.join(unknown)}.",
                hint=f"Its options are: {', '.join(sorted(_KEYS))}.",
            )
        texts = {key: str(description[key]) for key in _TEXT_KEYS if description.get(key) is not None}
        password = secret_from(description, "password")
        sslmode = texts.get("sslmode", "")
        if sslmode and sslmode not in _SSL_MODES:
            raise RequestInvalid(f"sslmode {sslmode!r} does not exist.", hint=f"Use one of {', '.join(_SSL_MODES)}.")
        if password.is_given and texts.get("passfile"):
            raise RequestInvalid(
                "The PostgreSQL connection gives both a password and a passfile; libpq would ignore the passfile.",
                hint="Keep one of them. A file with the bare password is password_file; a passfile has lines "
                "host:port:database:user:password.",
            )
        port = description.get("port")
        return cls(
            **texts,
            port=None if port is None else _number("port", port, least=1, most=65535),
            password=password,
            connect_timeout=_number("connect_timeout", description.get("connect_timeout", 10), least=1, most=3600),
            bin_directory=str(description.get("bin_directory") or ""),
        )

    def address(self, *, database: str = "") -> Address:
        """Where the connection goes, for messages."""
        user = self.user or os.environ.get("PGUSER") or getpass.getuser()
        return Address(
            host=self.host or os.environ.get("PGHOST") or (f"service {self.service}" if self.service else "localhost"),
            port=str(self.port or os.environ.get("PGPORT") or 5432),
            user=user,
            database=database or self.database or os.environ.get("PGDATABASE") or user,
        )

    def environment(self, *, runner: Runner, database: str = "") -> dict[str, str]:
        """The variables through which a client program learns all of this; nothing of it belongs into argv.

        /proc/PID/environ can be read by the same user and by root only.
        """
        values = {name: str(getattr(self, key)) for key, name in _ENVIRONMENT.items() if getattr(self, key)}
        values["PGCONNECT_TIMEOUT"] = str(self.connect_timeout)
        values["PGAPPNAME"] = "lifeboat"
        if database or self.database:
            values["PGDATABASE"] = database or self.database
        self._check_passfile()
        password = self.password.fetch(runner=runner)
        if password is not None:
            values["PGPASSWORD"] = password
        return values

    def connect(self, *, runner: Runner, database: str = "", options: t.Mapping[str, str] | None = None) -> Session:
        """Open a session in autocommit mode. *options* are settings of the session (``statement_timeout``).

        Raises the named error of what is wrong, and PostgresVersionUnsupported for servers before version 12.
        """
        session = self._open(runner=runner, database=database, options=options, replication=False)
        if session.version < OLDEST_VERSION * 10000:
            session.close()
            raise PostgresVersionUnsupported(
                f"PostgreSQL at {session.address.server} is version {_dotted(session.version)}; "
                f"{OLDEST_VERSION} and later are supported.",
                hint="Upgrade the server: older versions get no fixes any more. Until then use pg_dump by hand.",
                details={"version": session.version},
            )
        return session

    def connect_replication(self, *, runner: Runner, options: t.Mapping[str, str] | None = None) -> Session:
        """Open a replication connection, over which commands of the replication protocol are sent."""
        return self._open(runner=runner, database="", options=options, replication=True)

    def _open(
        self, *, runner: Runner, database: str, options: t.Mapping[str, str] | None, replication: bool
    ) -> Session:
        psycopg2 = psycopg2_module()
        address = self.address(database=database)
        arguments = self._arguments(runner=runner, database=database, options=options)
        if replication:
            import psycopg2.extras

            arguments["connection_factory"] = psycopg2.extras.PhysicalReplicationConnection
        try:
            connection = psycopg2.connect(**arguments)
        except psycopg2.Error as error:
            text = _without(str(error), str(arguments.get("password") or ""))
            raise self._connecting_error(text, address=address, arguments=arguments) from None
        if not replication:  # a replication connection knows no transactions
            connection.autocommit = True
        return Session(connection=connection, address=address)

    def _arguments(self, *, runner: Runner, database: str, options: t.Mapping[str, str] | None) -> dict[str, t.Any]:
        self._check_passfile()
        arguments: dict[str, t.Any] = {key: getattr(self, key) for key in _ENVIRONMENT if getattr(self, key)}
        arguments.update(_KEEPALIVES, connect_timeout=self.connect_timeout, application_name="lifeboat")
        name = database or self.database
        if name:
            arguments["dbname"] = name
        password = self.password.fetch(runner=runner)
        if password is not None:
            arguments["password"] = password
        if options:
            arguments["options"] = " ".join(f"-c {key}={value}" for key, value in options.items())
        return arguments

    def _connecting_error(self, text: str, *, address: Address, arguments: t.Mapping[str, t.Any]) -> LifeboatError:
        named = connecting_error(text, address=address)
        if named is None:
            return PostgresUnreachable(
                f"The connection to PostgreSQL at {address.server} could not be made: {text.strip()}",
                hint=f"Run: {address.psql}",
                details={"server": address.server},
            )
        if isinstance(named, PostgresHbaRefused) and self.sslmode == "disable" and _takes_tls(arguments):
            return PostgresTlsRequired(
                f"PostgreSQL at {address.server} takes the role {address.user} over TLS only, and sslmode is disable.",
                hint="Set sslmode: require, or better verify-full with sslrootcert.",
                details=named.details,
            )
        return named

    def _check_passfile(self) -> None:
        if not self.passfile:
            return
        try:
            mode = os.stat(self.passfile).st_mode
        except OSError as error:
            raise SecretUnavailable(
                f"The passfile {self.passfile} can't be read: {error.strerror}.",
                hint=f"Run: ls -l {self.passfile}",
            ) from error
        if stat.S_IMODE(mode) & 0o077:
            raise SecretUnavailable(
                f"The passfile {self.passfile} can be read by others, so PostgreSQL's programs ignore it.",
                hint=f"Run: chmod 0600 {self.passfile}",
            )


def _takes_tls(arguments: t.Mapping[str, t.Any]) -> bool:
    """Whether the same connection gets past pg_hba.conf when it is made over TLS."""
    psycopg2 = psycopg2_module()
    try:
        psycopg2.connect(**{**arguments, "sslmode": "require"}).close()
    except psycopg2.Error as error:
        return "pg_hba.conf" not in str(error) and "SSL" not in str(error)
    return True


def _without(text: str, secret: str) -> str:
    return text.replace(secret, "***") if secret else text


def _number(name: str, value: t.Any, *, least: int, most: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if not least <= number <= most:
        raise RequestInvalid(f"{name} is {value!r}.", hint=f"Use a number from {least} to {most}.")
    return number


def _dotted(version: int) -> str:
    """150018 as 15.18."""
    return (
        f"{version // 10000}.{version % 10000}" if version >= 100000 else f"{version // 10000}.{version // 100 % 100}"
    )
