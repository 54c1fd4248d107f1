# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures inside of databases: a flag in Redis, and what new sessions of PostgreSQL begin with."""

from __future__ import annotations

import base64
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import DegradedMeasureFailed
from ..core.host import Host
from ..postgresql.administrator import administrator_session
from ..postgresql.connection import PostgresConnection
from ..redis.connection import RedisConnection
from .programs import Plain

if t.TYPE_CHECKING:
    from ..postgresql.session import Session
    from ..redis.resp import RespClient

Json = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class RedisLever(Plain):
    """A string, or a field of a hash. A time at which it would expire is kept; values are kept byte by byte."""

    connection: Json
    key: str
    value: str
    host: Host
    member: str | None = None
    database: int = 0

    def read(self) -> dict[str, t.Any]:
        """``value`` in base 64, None when there is none, and ``expires`` in milliseconds since 1970."""
        with _Client(self) as client:
            wanted = b"hash" if self.member is not None else b"string"
            kind = _bytes(client.command("TYPE", self.key))
            if kind not in (wanted, b"none"):
                raise DegradedMeasureFailed(
                    f"{self.key} is a {kind.decode()}, not a {wanted.decode()}; nothing was changed.",
                    hint="A flag is a string, or a field of a hash with field.",
                )
            if self.member is not None:
                value, left = client.command("HGET", self.key, self.member), -1
            else:
                value, left = client.command("GET", self.key), int(t.cast(int, client.command("PTTL", self.key)))
            expires = _milliseconds(self.host.clock) + left if left >= 0 else None
            told = None if value is None else base64.b64encode(_bytes(value)).decode("ascii")
            return {"value": told, "expires": expires}

    def is_on(self, now: Json) -> bool:
        """As wanted."""
        return bool(now["value"] == base64.b64encode(self.value.encode("utf-8")).decode("ascii"))

    def is_back(self, now: Json, before: Json) -> bool:
        """As before; what would have expired since is not there any more."""
        return bool(now["value"] == (None if self._is_over(before) else before["value"]))

    def turn_on(self, before: t.Any) -> None:
        """Set it, for ever."""
        with _Client(self) as client:
            if self.member is not None:
                client.command("HSET", self.key, self.member, self.value)
            else:
                client.command("SET", self.key, self.value)

    def turn_back(self, before: Json) -> None:
        """Set it to what it was, or remove it."""
        value = None if before["value"] is None or self._is_over(before) else base64.b64decode(before["value"])
        with _Client(self) as client:
            if self.member is not None:
                client.command(*(("HDEL", self.key, self.member) if value is None else self._hash_words(value)))
            elif value is None:
                client.command("DEL", self.key)
            elif before["expires"] is None:
                client.command("SET", self.key, value)
            else:
                left = max(int(before["expires"]) - _milliseconds(self.host.clock), 1)
                client.command("SET", self.key, value, "PX", str(left))

    def _hash_words(self, value: bytes) -> tuple[str | bytes, ...]:
        return ("HSET", self.key, str(self.member), value)

    def _is_over(self, before: Json) -> bool:
        return before["expires"] is not None and int(before["expires"]) <= _milliseconds(self.host.clock)


class _Client:
    def __init__(self, lever: RedisLever) -> None:
        self._lever = lever
        self._client: RespClient | None = None

    def __enter__(self) -> RespClient:
        connection = RedisConnection.from_description(self._lever.connection)
        self._client = connection.open(runner=self._lever.host.runner)
        self._client.command("SELECT", str(self._lever.database))
        return self._client

    def __exit__(self, *exc_info: object) -> None:
        if self._client is not None:
            self._client.close()


def _bytes(reply: t.Any) -> bytes:
    return reply if isinstance(reply, bytes) else str(reply).encode("utf-8")


def _milliseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1000)


@dataclass(frozen=True)
class SettingsLever(Plain):
    """Settings that ALTER ROLE and ALTER DATABASE keep for new sessions. Those that are open keep theirs."""

    connection: Json
    settings: t.Mapping[str, str]
    host: Host
    role: str | None = None
    database: str | None = None
    administrator: Json = field(default_factory=dict)
    account: str = "postgres"

    def read(self) -> dict[str, str | None]:
        """Each of the settings as it is noted in the server; None where there is none."""
        with self._session() as session:
            return self._read(session)

    def is_on(self, now: Json) -> bool:
        """As wanted."""
        return dict(now) == dict(self.settings)

    def is_back(self, now: Json, before: Json) -> bool:
        """As before."""
        return dict(now) == dict(before)

    def turn_on(self, before: t.Any) -> None:
        """Set them."""
        self._set(self.settings)

    def turn_back(self, before: Json) -> None:
        """Set them to what they were; reset those that were not set."""
        self._set(before)

    def _set(self, wanted: t.Mapping[str, str | None]) -> None:
        kind, name = ("ROLE", self.role) if self.role is not None else ("DATABASE", self.database)
        target = f"ALTER {kind} {_quoted(str(name))}"
        with self._session() as session:
            session.rows("BEGIN")
            for setting, value in wanted.items():
                if value is None:
                    session.rows(f"{target} RESET {_quoted(setting)}")
                else:
                    session.rows(f"{target} SET {_quoted(setting)} = %s", (value,))
            session.rows("COMMIT")

    def _read(self, session: Session) -> dict[str, str | None]:
        known = session.value(_KNOWN_ROLE if self.role is not None else _KNOWN_DATABASE, (self.role or self.database,))
        if known is None:
            raise DegradedMeasureFailed(
                f"The server has no {'role ' + self.role if self.role is not None else f'database {self.database}'}.",
                hint="Mend the measure in the description.",
            )
        rows = session.rows(_OF_ROLE if self.role is not None else _OF_DATABASE, (known,))
        found = dict(str(one).split("=", 1) for row in rows for one in row[0])
        return {name: found.get(name) for name in self.settings}

    def _session(self) -> t.Any:
        return administrator_session(
            self.administrator,
            jobs=PostgresConnection.from_description(self.connection),
            account=self.account,
            host=self.host,
        )


_KNOWN_ROLE = "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s"
_KNOWN_DATABASE = "SELECT oid FROM pg_catalog.pg_database WHERE datname = %s"
_OF_ROLE = "SELECT setconfig FROM pg_catalog.pg_db_role_setting WHERE setrole = %s AND setdatabase = 0"
_OF_DATABASE = "SELECT setconfig FROM pg_catalog.pg_db_role_setting WHERE setdatabase = %s AND setrole = 0"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
