# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis snapshots: ours by both ways, beside redis-cli in a pipe. Nothing is promised here."""

from __future__ import annotations

import contextlib
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox.dataset import load_redis
from sandbox.redis import RedisServer
from sandbox.server import HOST

from .command import Command
from .contest import Contender, Contest, Figure, bare_contenders
from .ours import ours
from .place import Place

# Redis holds it all in memory, and a fifth of the others' size is a large one already.
_SHARE = 5


@dataclass(frozen=True)
class Redis:
    """The running server; *data_bytes* is what it uses of memory."""

    server: RedisServer
    data_bytes: int


@contextlib.contextmanager
def redis_server(place: Place) -> t.Iterator[Redis]:
    """Start it and load the data."""
    # Before it sends a snapshot over the wire, the server waits five seconds for further replicas.
    settings = {"repl-diskless-sync-delay": "0"}
    server = RedisServer(directory=place.server_folder("redis"), startup_timeout=120, settings=settings)
    try:
        server.start()
        place.say(f"redis: loading {place.megabytes / _SHARE:g} MB")
        loaded = load_redis(server.uri, megabytes=place.megabytes / _SHARE)
        place.say(f"redis: loaded in {loaded.seconds:.0f} s")
        with server.client() as client:
            used = int(client.info("memory")["used_memory"])
        yield Redis(server=server, data_bytes=used)
    finally:
        server.discard()


@contextlib.contextmanager
def redis_contest(redis: Redis, place: Place) -> t.Iterator[Contest]:
    """zstd level 1 and two processors for all."""
    del place
    address = {"host": HOST, "port": redis.server.port}

    def snapshot(method: str) -> t.Callable[[Path], Command]:
        return lambda target: ours("redis", "rdb", {"connection": address, "method": method}, target=target)

    source = ("redis-cli", "-h", HOST, "-p", str(redis.server.port), "--rdb", "-")
    contenders = [
        Contender("sync", "Lifeboat, method: sync", snapshot("sync")),
        Contender("bgsave", "Lifeboat, method: bgsave", snapshot("bgsave")),
    ]
    missing = []
    if shutil.which("redis-cli") is None:
        missing.append("redis-cli isn't installed.")
    else:
        contenders += bare_contenders(source, title="redis-cli --rdb -", name="dump.rdb.zst")[:1]
    yield Contest(
        name="redis",
        title="Snapshot of Redis",
        data=f"{redis.data_bytes / 1e6:.0f} MB in memory",
        data_bytes=redis.data_bytes,
        contenders=tuple(contenders),
        figures=(Figure("(sync against redis-cli)", "sync", "bare"), Figure("(bgsave)", "bgsave", "bare")),
        limits=(),
        server_pids=lambda: [redis.server.pid],
        settle=lambda: None,
        missing=tuple(missing),
    )
