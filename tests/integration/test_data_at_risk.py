# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a write is on one host only: measured from its acknowledgement until a recovery could bring it back.

All three databases are followed as services follow them, under load and at rest. PostgreSQL hands a segment over that
is not full after ``archive_timeout``, which is ten seconds here and part of what may pass.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
import time
import typing as t
from dataclasses import dataclass, field

import pytest

from sandbox.mongodb import MongoReplicaSet
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from sandbox.redis import RedisServer
from tests.support.command_line import CommandLine, describe
from tests.support.followers import Followers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Json = dict[str, t.Any]
JOBS = {"main": "shop/main/wal", "documents": "shop/documents/oplog", "cache": "shop/cache/aof-log"}
TIMEOUT = 10
#: Ten seconds are also how often oplog and append-only files are captured; the rest is the way into the repository.
AT_MOST = TIMEOUT + 10.0
LOAD_SECONDS = 12


def _lsn(text: str) -> tuple[int, ...]:
    """Of "1/0/3000138", timeline and position, or of a position alone."""
    high, low = text.split("/")[-2:]
    return (int(high, 16) << 32 | int(low, 16),)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(":"))


@dataclass
class Probe:
    """Writes to one source, and when each was acknowledged and stored; positions are compared as the engine does."""

    write: t.Callable[[], str]
    position_of: t.Callable[[str], tuple[int, ...]]
    waiting: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)
    at_risk: list[float] = field(default_factory=list)

    def once(self) -> None:
        position = self.position_of(self.write())
        self.waiting.append((time.monotonic(), position))

    def stored_up_to(self, text: str) -> None:
        """Everything up to there can be recovered now."""
        there, now = self.position_of(text), time.monotonic()
        while self.waiting and self.waiting[0][1] <= there:
            self.at_risk.append(now - self.waiting.pop(0)[0])


@contextlib.contextmanager
def probes(postgresql: PostgreSQLServer, mongodb: MongoReplicaSet, redis: RedisServer) -> t.Iterator[dict[str, Probe]]:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(postgresql.connect()))
        client = stack.enter_context(mongodb.client(w="majority"))
        keys = stack.enter_context(redis.client())

        def row() -> str:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO written VALUES (repeat('x', 100))")
                cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
                return str(cursor.fetchone()[0])

        def document() -> str:
            with client.start_session() as session:
                client["shop"]["written"].insert_one({"pad": "x" * 100}, session=session)
                at = session.operation_time
                return f"{at.time}:{at.inc}"

        def member() -> str:
            keys.rpush("written", "x" * 100)
            figures = keys.info("persistence")
            return f"1:{figures['aof_current_size'] - figures['aof_base_size']}"

        yield {
            "main": Probe(row, _lsn),
            "documents": Probe(document, _numbers),
            "cache": Probe(member, _numbers),
        }


@pytest.fixture
def folder() -> t.Iterator[pathlib.Path]:
    made = pathlib.Path(tempfile.mkdtemp(prefix="lb-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def description(
    folder: pathlib.Path, postgresql: PostgreSQLServer, mongodb: MongoReplicaSet, redis: RedisServer
) -> Json:
    (folder / "repository").mkdir()
    stored = {"repositories": ["local"], "keep": {"within": "7d"}}
    address = {"host": "127.0.0.1", "port": postgresql.port, "user": postgresql.superuser, "database": "postgres"}
    wal = {"spool_directory": str(folder / "wal"), "archive_timeout": f"{TIMEOUT}s"}
    continuous = {"triggers": ["continuous"], **stored}
    sources: list[Json] = [
        {
            "name": "main",
            "engine": "postgresql",
            "connection": address,
            "backups": [{"kind": "base", **stored}, {"kind": "wal", "options": wal, **continuous}],
        },
        {
            "name": "documents",
            "engine": "mongodb",
            "connection": {"uri": mongodb.uri},
            "backups": [{"kind": "full", **stored}, {"kind": "oplog", **continuous}],
        },
        {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": redis.port},
            "backups": [{"kind": "aof-log", **continuous}],
        },
    ]
    return {
        "lifeboat_settings": {"state_directory": str(folder / "state")},
        "lifeboat_repositories": {"local": {"type": "file", "path": str(folder / "repository")}},
        "lifeboat_services": [{"name": "shop", "sources": sources}],
    }


def prepare(lifeboat: CommandLine, postgresql: PostgreSQLServer, folder: pathlib.Path) -> None:
    """Spool, script and settings, as ``lifeboat ship --prepare`` says them; the first look ties the spool."""
    owner = operating_system_user() or "postgres"
    said = lifeboat(f"ship {JOBS['main']} --prepare --json --script {folder}/archive-wal --owner {owner}").succeeded()
    (prepared,) = said.document["prepared"]
    assert prepared["settings"]["archive_timeout"] == f"{TIMEOUT}s"
    lifeboat("ship --quiet").succeeded()
    for name in ("archive_command", "archive_timeout"):
        value = prepared["settings"][name].replace("'", "''")
        postgresql.query(f"ALTER SYSTEM SET {name} = '{value}'")
    postgresql.query("SELECT pg_reload_conf()")


def look(lifeboat: CommandLine, found: t.Mapping[str, Probe]) -> None:
    """What could be recovered now."""
    for one in lifeboat("windows --json").document["sources"]:
        for window in one["windows"]:
            found[one["source"].partition("/")[2]].stored_up_to(window["last"])


def test_no_write_is_on_one_host_only_for_longer_than_promised(folder: pathlib.Path) -> None:
    with PostgreSQLServer() as postgresql, MongoReplicaSet() as mongodb, RedisServer(append_only=True) as redis:
        with redis.client() as client:
            client.config_set("aof-timestamp-enabled", "yes")
        postgresql.query("CREATE TABLE written (pad text)")
        lifeboat = describe(folder / "config.json", description(folder, postgresql, mongodb, redis))
        prepare(lifeboat, postgresql, folder)
        lifeboat("backup shop/main/base shop/documents/full --quiet").succeeded()
        followers = Followers(lifeboat.configuration, JOBS)
        try:
            for name in JOBS:
                followers.start(name)
            with probes(postgresql, mongodb, redis) as found:
                begun = time.monotonic()
                while time.monotonic() - begun < LOAD_SECONDS:
                    for probe in [*found.values()] * 20:
                        probe.once()
                    look(lifeboat, found)
                # From here on everything is at rest: what was written last waits for the longest.
                ended = time.monotonic()
                while any(probe.waiting for probe in found.values()):
                    followers.require_alive()
                    assert time.monotonic() - ended < 3 * AT_MOST, {
                        name: len(one.waiting) for name, one in found.items()
                    }
                    time.sleep(0.2)
                    look(lifeboat, found)
        finally:
            followers.end()
        longest = {name: max(probe.at_risk) for name, probe in found.items()}
        print(f"\nat risk for at most: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in longest.items())}")
        assert all(len(probe.at_risk) > 10 for probe in found.values())
        assert max(longest.values()) < AT_MOST, longest
