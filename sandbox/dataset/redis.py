# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two numbered databases: sessions, profiles, queues and streams in 0, a cache in 1."""

from __future__ import annotations

import hashlib
import time
import typing as t

from .loaded import Loaded, marker
from .words import ANCHOR, chunks, numbered_uuid

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .words import Source

    Command = tuple[str | bytes | int | float, ...]

MARKER_KEY = "sandbox:loaded"
# In 2099: keys that expire are part of the data, but none does while anybody looks.
_FAR = int(ANCHOR.replace(year=2099).timestamp())
# Of 1 MB of data: how many of each kind, by their measured average size.
_PER_MEGABYTE = {"session": 550, "user": 500, "family": 200, "board": 6, "queue": 6, "stream": 6, "cache": 700}


def load_redis(uri: str, *, megabytes: float = 10) -> Loaded:
    """Load it unless the same is there; databases 0 and 1 are emptied first. ``uri``: of a user with all rights."""
    import redis

    started = time.monotonic()
    keys = 0
    with redis.Redis.from_url(uri, db=0) as first, redis.Redis.from_url(_with_database(uri, 1), db=1) as second:
        if first.get(MARKER_KEY) == marker(megabytes).encode():
            keys = int(first.dbsize()) + int(second.dbsize())
            return Loaded("redis", megabytes, keys, time.monotonic() - started, skipped=True)
        first.delete(MARKER_KEY)
        first.flushdb()
        second.flushdb()
        for database, commands in batches(megabytes):
            pipeline = (first, second)[database].pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            pipeline.execute()
        first.set(MARKER_KEY, marker(megabytes))
        keys = int(first.dbsize()) + int(second.dbsize())
    return Loaded("redis", megabytes, keys, time.monotonic() - started, skipped=False)


def digest_redis(megabytes: float) -> tuple[str, int]:
    """SHA-256 and length in bytes of all commands, without any server."""
    digest = hashlib.sha256()
    length = 0
    for database, commands in batches(megabytes):
        for command in commands:
            text = repr((database, command)).encode()
            digest.update(text)
            length += sum(len(str(word)) for word in command)
    return digest.hexdigest(), length


def batches(megabytes: float) -> Iterator[tuple[int, list[Command]]]:
    """Every command, in order, as (numbered database, commands for one pipeline)."""
    for kind, make in _MAKERS.items():
        count = max(2, round(_PER_MEGABYTE[kind] * megabytes))
        for source, numbers in chunks(f"redis {kind}", count, 500):
            yield int(kind == "cache"), [command for number in numbers for command in make(source, number)]


def _with_database(uri: str, database: int) -> str:
    head, question, options = uri.partition("?")
    return head.rsplit("/", 1)[0] + f"/{database}" + question + options


def _session(source: Source, number: int) -> Iterator[Command]:
    key = f"session:{source.uuid()}"
    user = numbered_uuid("user", source.number(100_000))
    yield "SET", key, f'{{"user": "{user}", "token": "{source.bits(256):064x}", "agent": "{source.text(300)}"}}'
    if number % 3:
        yield "EXPIREAT", key, _FAR + number


def _user(source: Source, number: int) -> Iterator[Command]:
    fields: list[str | int] = [
        "name",
        source.text(20),
        "seen",
        int(source.moment().timestamp()),
        "bio",
        source.text(350),
    ]
    yield "HSET", f"user:{number}", *fields, "logins", source.number(1000), "locale", source.pick(("en", "de", "fr"))


def _family(source: Source, number: int) -> Iterator[Command]:
    members = sorted({numbered_uuid("user", source.number(100_000)) for dummy in range(3 + source.number(8))})
    yield "SADD", f"family:{number}:members", *members
    yield "SADD", f"family:{number}:shoe-sizes", *sorted({source.number(50) for dummy in range(6)})


def _board(source: Source, number: int) -> Iterator[Command]:
    pairs: list[str | int | float] = []
    for place in range(200):
        pairs += [source.number(1_000_000) / 100, f"user:{place * 7 + number}"]
    yield "ZADD", f"board:{number}", *pairs
    yield "PFADD", f"visitors:{number}", *(source.bits(32) for dummy in range(50))
    yield "SETBIT", f"days:{number}", source.number(366), 1
    yield "GEOADD", f"places:{number}", source.number(18_000) / 100, source.number(8_000) / 100, source.text(12)


def _queue(source: Source, number: int) -> Iterator[Command]:
    jobs = [f'{{"job": "{source.uuid()}", "text": "{source.text(150 + source.number(200))}"}}' for dummy in range(60)]
    yield "RPUSH", f"queue:{number}", *jobs


def _stream(source: Source, number: int) -> Iterator[Command]:
    key = f"events:{number}"
    for place in range(60):
        identifier = f"{int(ANCHOR.timestamp()) * 1000 + place}-{number}"
        yield "XADD", key, identifier, "kind", source.pick(("login", "edit", "share")), "text", source.text(200)
    yield "XGROUP", "CREATE", key, "workers", "0"
    yield "XREADGROUP", "GROUP", "workers", "first", "COUNT", 5, "STREAMS", key, ">"


def _cache(source: Source, number: int) -> Iterator[Command]:
    key = f"cache:{number}:{source.bits(32):08x}"
    yield "SET", key, source.text(500)
    if number % 2:
        yield "EXPIREAT", key, _FAR - number
    yield "INCRBY", f"hits:{number % 100}", source.number(50)


_MAKERS = {
    "session": _session,
    "user": _user,
    "family": _family,
    "board": _board,
    "queue": _queue,
    "stream": _stream,
    "cache": _cache,
}
