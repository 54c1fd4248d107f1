# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``mcp_adhd``: users, tasks and traces of a support server, and what else a dump of PostgreSQL must keep."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
import typing as t
from datetime import timedelta

from .loaded import Loaded, marker
from .postgresql_schema import AFTER_LOADING, BEFORE_LOADING, ROLES
from .words import FAMILY_NAMES, GIVEN_NAMES, chunks, numbered_uuid

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .words import Source

DATABASE = "mcp_adhd"
_STATUSES = ("pending", "pending", "in_progress", "completed", "completed", "completed", "cancelled")
_ENERGIES = ("low", "medium", "high")
_KINDS = ("thought", "decision", "interruption", "achievement", "mood")
# Of 1 MB of data: rows by table, by their measured average size in COPY's text.
_PER_MEGABYTE = {"users": 150, "tasks": 750, "trace_memories": 900, "crisis_sessions": 20}

_COLUMNS = {
    "users": "id, email, display_name, is_active, password_hash, profile, created_at",
    "tasks": "id, user_id, title, description, status, priority, energy, context, due_at, created_at",
    "trace_memories": "id, user_id, kind, content, importance, fingerprint, metadata, created_at",
    "crisis_sessions": "id, user_id, severity, transcript, started_at, ended_at",
}


def load_postgresql(uri: str, *, megabytes: float = 35, database: str = DATABASE) -> Loaded:
    """Load it unless the same is there; another ``database`` of that name is dropped first. ``uri``: of a superuser."""
    import psycopg2
    from psycopg2 import sql

    started = time.monotonic()
    name = sql.Identifier(database)
    with contextlib.closing(psycopg2.connect(uri, connect_timeout=20)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (database,)
            )
            found = cursor.fetchone()
            rows = sum(_counts(megabytes).values())
            if found is not None and found[0] == marker(megabytes):
                return Loaded(database, megabytes, rows, time.monotonic() - started, skipped=True)
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
            cursor.execute(ROLES)
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER mcp_adhd_app").format(name))
            _fill(_with_database(uri, database), megabytes)
            comment = sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(marker(megabytes)))
            cursor.execute(comment)
    return Loaded(database, megabytes, rows, time.monotonic() - started, skipped=False)


def digest_postgresql(megabytes: float) -> tuple[str, int]:
    """SHA-256 and length in bytes of all rows in COPY's text format, without any server."""
    digest = hashlib.sha256()
    length = 0
    for table in _COLUMNS:
        digest.update(table.encode())
        for block in blocks(table, megabytes):
            digest.update(block)
            length += len(block)
    return digest.hexdigest(), length


def blocks(table: str, megabytes: float) -> Iterator[bytes]:
    """The rows of a table in COPY's text format, in blocks of up to 1000."""
    counts = _counts(megabytes)
    make = _MAKERS[table]
    for source, numbers in chunks(table, counts[table]):
        yield "".join([make(source, number, counts) for number in numbers]).encode()


def _counts(megabytes: float) -> dict[str, int]:
    return {table: max(10, round(rows * megabytes)) for table, rows in _PER_MEGABYTE.items()}


def _fill(uri: str, megabytes: float) -> None:
    import psycopg2

    with contextlib.closing(psycopg2.connect(uri, connect_timeout=20)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(BEFORE_LOADING)
            for table, columns in _COLUMNS.items():
                cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", _Reader(blocks(table, megabytes)), 1 << 20)
            cursor.execute(AFTER_LOADING)
        connection.commit()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _with_database(uri: str, database: str) -> str:
    from psycopg2.extensions import make_dsn

    return make_dsn(uri, dbname=database)


class _Reader(io.RawIOBase):
    """What COPY reads from: a file of blocks that are made while it reads."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        if not self._left:
            self._left = next(self._source, b"")
        block = self._left[: len(buffer)]
        self._left = self._left[len(block) :]
        buffer[: len(block)] = block
        return len(block)


def _user(source: Source, number: int, counts: dict[str, int]) -> str:
    name, family = source.pick(GIVEN_NAMES), source.pick(FAMILY_NAMES)
    profile = (
        f'{{"timezone": "{source.pick(("Europe/Berlin", "Europe/Paris", "America/New_York", "Asia/Tokyo"))}", '
        f'"diagnosed": {source.pick(("true", "false"))}, "hyperfocus_minutes": {source.number(180)}, '
        f'"support": ["{source.text(30)}", "{source.text(40)}"], "about": "{source.text(120 + source.number(160))}"}}'
    )
    active = "t" if source.number(100) < 80 else "f"
    email = f"{name}.{family}.{number}@example.org".lower()
    secret = f"pbkdf2:{source.bits(192):048x}"
    identifier = numbered_uuid("user", number)
    return f"{identifier}\t{email}\t{name} {family}\t{active}\t{secret}\t{profile}\t{_time(source)}\n"


def _task(source: Source, number: int, counts: dict[str, int]) -> str:
    user = numbered_uuid("user", source.number(counts["users"]))
    context = (
        f'{{"location": "{source.pick(("home", "office", "outside"))}", "minutes": {source.number(240)}, '
        f'"steps": [{{"text": "{source.text(40)}", "done": false}}, {{"text": "{source.text(30)}", "done": true}}]}}'
    )
    due = _time(source) if source.number(3) else "\\N"
    title = source.text(25 + source.number(40))
    return (
        f"{number + 1}\t{user}\t{title}\t{source.text(120 + source.number(260))}\t{source.pick(_STATUSES)}\t"
        f"{1 + source.number(5)}\t{source.pick(_ENERGIES)}\t{context}\t{due}\t{_time(source)}\n"
    )


def _trace(source: Source, number: int, counts: dict[str, int]) -> str:
    user = numbered_uuid("user", source.number(counts["users"]))
    metadata = f'{{"session": "{source.uuid()}", "source": "{source.pick(("chat", "timer", "mail"))}"}}'
    return (
        f"{number + 1}\t{user}\t{source.pick(_KINDS)}\t{source.text(180 + source.number(300))}\t"
        f"{source.number(10_000) / 10_000}\t\\\\x{source.bits(128):032x}\t{metadata}\t{_time(source)}\n"
    )


def _crisis(source: Source, number: int, counts: dict[str, int]) -> str:
    user = numbered_uuid("user", source.number(counts["users"]))
    started = source.moment()
    ended = started + timedelta(minutes=source.number(90))
    text = source.text(2000 + source.number(6000))
    return f"{number + 1}\t{user}\t{1 + source.number(5)}\t{text}\t{started.isoformat()}\t{ended.isoformat()}\n"


def _time(source: Source) -> str:
    return source.moment().isoformat()


_MAKERS: dict[str, Callable[[Source, int, dict[str, int]], str]] = {
    "users": _user,
    "tasks": _task,
    "trace_memories": _trace,
    "crisis_sessions": _crisis,
}
