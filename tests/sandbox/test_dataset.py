# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample data: the same every time, like real data, loaded once, whatever its size."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import bson
import pytest

from sandbox.dataset import (
    digest_mongodb,
    digest_postgresql,
    digest_redis,
    load_mongodb,
    load_postgresql,
    load_redis,
)
from sandbox.dataset.mongodb import DATABASE, _insert, batches
from sandbox.dataset.mongodb_features import AWKWARD_NAME
from sandbox.dataset.postgresql import blocks
from sandbox.dataset.redis import _MAKERS
from sandbox.mongodb import MongoReplicaSet
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[2]
DIGESTS: dict[str, Callable[[float], tuple[str, int]]] = {
    "mongodb": digest_mongodb,
    "postgresql": digest_postgresql,
    "redis": digest_redis,
}
# What version 1 with 2 MB is. They change only together with VERSION in sandbox/dataset/loaded.py.
EXPECTED = {
    "mongodb": "9bf9ca137d05913b06f2ba2a8943c3b736415d45414137553b36f1a5f6122372",
    "postgresql": "7ea994eed19faa19cb8ea59b33dc957a0690ef9c2c3f3867e0d7ba093d4eb878",
    "redis": "4403efb00eaa85f299c4242cae20f154754d2cac87fd33240673491bb827fe31",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_data_is_the_same_every_time_and_as_big_as_asked(name: str) -> None:
    digest, length = DIGESTS[name](2)
    assert digest == EXPECTED[name]
    assert length == pytest.approx(2_000_000, rel=0.25)


def test_another_process_with_another_hash_seed_makes_the_same() -> None:
    script = "from sandbox.dataset import *; print(digest_mongodb(1), digest_postgresql(1), digest_redis(1))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def _encoded() -> Iterator[bytes]:
    for _collection, batch in batches(8):
        for document in batch:
            yield bson.encode(document)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_encoded, id="mongodb"),
        pytest.param(lambda: blocks("tasks", 8), id="tasks"),
        pytest.param(lambda: blocks("trace_memories", 8), id="trace_memories"),
    ],
)
def test_it_compresses_like_real_data(content: Callable[[], Iterable[bytes]]) -> None:
    plain = b"".join(content())
    packed = subprocess.run(["zstd", "-1", "-c"], input=plain, capture_output=True, check=True).stdout
    assert 2.3 <= len(plain) / len(packed) <= 4


def test_memory_does_not_grow_with_the_size() -> None:
    script = (
        "import resource; from sandbox.dataset import *; digest_mongodb({0}); digest_postgresql({0}); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    small, large = (
        int(
            subprocess.run(
                [sys.executable, "-c", script.format(megabytes)], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
        )
        for megabytes in (5, 80)
    )
    assert large - small < 10_000, f"{small} KB for 5 MB, {large} KB for 80 MB"


def _interrupt(*arguments: object) -> t.NoReturn:
    raise RuntimeError("interrupted")


def test_mongodb_is_loaded_once_and_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with MongoReplicaSet(password="secret") as replicas, replicas.client() as client:
        first = load_mongodb(replicas.uri, megabytes=2)
        assert not first.skipped
        database = client[DATABASE]
        hashes = _hashes(database)
        assert load_mongodb(replicas.uri, megabytes=2).skipped

        kinds = {entry["name"]: entry for entry in database.list_collections()}
        assert kinds["active_users"]["type"] == "view"
        assert kinds["usage_events"]["type"] == "timeseries"
        assert kinds["audit_log"]["options"]["capped"]
        assert kinds["contacts"]["options"]["collation"]["locale"] == "de"
        assert "$jsonSchema" in kinds["invitations"]["options"]["validator"]
        assert "clusteredIndex" in kinds["sessions"]["options"]
        assert {"families", "users", "family_relationships", "notes", "archived_tasks", AWKWARD_NAME} <= kinds.keys()
        assert database["archived_tasks"].count_documents({}) == 0
        validator = kinds["invitations"]["options"]["validator"]
        assert database["invitations"].count_documents({"$nor": [validator]}) == 1
        options: dict[str, t.Any] = {}
        for name in ("users", "families", "family_relationships", "notes", "invitations"):
            for index in database[name].list_indexes():
                options.update({key: value for key, value in index.items() if value is not False})
        assert {"unique", "partialFilterExpression", "sparse", "expireAfterSeconds", "weights", "collation"} <= set(
            options
        )
        counted = sum(
            database[name].count_documents({})
            for name, entry in kinds.items()
            if entry["type"] != "view" and name[:7] != "system."
        )
        assert counted == first.items

        # A load that was interrupted starts anew.
        with monkeypatch.context() as patch:
            patch.setattr("sandbox.dataset.mongodb._create_indexes", _interrupt)
            with pytest.raises(RuntimeError, match="interrupted"):
                load_mongodb(replicas.uri, megabytes=1)
        assert not load_mongodb(replicas.uri, megabytes=2).skipped
        assert _hashes(database) == hashes
        assert not load_mongodb(replicas.uri, megabytes=1).skipped
        assert _hashes(database) != hashes


class _FailingDatabase:
    """Injects a fault: the first batch isn't accepted."""

    def __init__(self) -> None:
        self.batches = 0

    def __getitem__(self, name: str) -> _FailingDatabase:
        return self

    def insert_many(self, batch: t.Any) -> None:
        self.batches += 1
        if self.batches == 1:
            raise RuntimeError("no space left")


def test_a_batch_that_is_refused_ends_the_load_at_once() -> None:
    database: t.Any = _FailingDatabase()
    with pytest.raises(RuntimeError, match="no space left"):
        _insert(database, 8)
    assert database.batches < 3


def _hashes(database: t.Any) -> dict[str, str]:
    hashes: dict[str, str] = database.command("dbHash")["collections"]
    # The identifiers of a time series' buckets are the server's own.
    return {name: value for name, value in hashes.items() if not name.startswith("system.")}


def test_postgresql_is_loaded_once_and_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgreSQLServer(password="secret") as server:
        first = load_postgresql(server.uri, megabytes=2)
        assert not first.skipped
        hashes = _row_hashes(server)
        assert load_postgresql(server.uri, megabytes=2).skipped
        assert sum(count for count, dummy in hashes.values()) == first.items

        invalid = server.query("SELECT count(*) FROM pg_constraint WHERE NOT convalidated", database="mcp_adhd")
        assert invalid == [(0,)]
        (active, inactive) = server.query(
            "SELECT count(*) FROM users GROUP BY is_active ORDER BY is_active DESC", database="mcp_adhd"
        )
        assert active > inactive > (0,)
        assert server.query(
            "SELECT count(*) FROM tasks WHERE status IN ('pending', 'in_progress')", database="mcp_adhd"
        )[0][0]

        with monkeypatch.context() as patch:
            patch.setattr("sandbox.dataset.postgresql._fill", _interrupt)
            with pytest.raises(RuntimeError, match="interrupted"):
                load_postgresql(server.uri, megabytes=1)
        assert not load_postgresql(server.uri, megabytes=2).skipped
        assert _row_hashes(server) == hashes
        assert not load_postgresql(server.uri, megabytes=1).skipped
        assert _row_hashes(server) != hashes


def _row_hashes(server: PostgreSQLServer) -> dict[str, tuple[int, str]]:
    tables = ("users", "tasks", "trace_memories", "crisis_sessions")
    statement = "SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY id)) FROM {} AS t"
    return {
        table: t.cast("tuple[int, str]", server.query(statement.format(table), database="mcp_adhd")[0])
        for table in tables
    }


def test_redis_is_loaded_once_and_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(password="secret", settings={"enable-debug-command": "yes"}) as server, server.client() as client:
        first = load_redis(server.uri, megabytes=2)
        assert not first.skipped
        digest = client.execute_command("DEBUG", "DIGEST")
        assert load_redis(server.uri, megabytes=2).skipped
        kinds = {client.type(key) for key in client.scan_iter()}
        assert kinds == {b"string", b"hash", b"set", b"zset", b"list", b"stream"}
        keyspace: t.Any = client.info("keyspace")
        assert keyspace["db0"]["expires"] > 0
        assert keyspace["db1"]["expires"] > 0
        assert keyspace["db0"]["keys"] + keyspace["db1"]["keys"] == first.items

        with monkeypatch.context() as patch:
            patch.setitem(_MAKERS, "cache", _interrupt)
            with pytest.raises(RuntimeError, match="interrupted"):
                load_redis(server.uri, megabytes=1)
        assert not load_redis(server.uri, megabytes=2).skipped
        assert client.execute_command("DEBUG", "DIGEST") == digest
        assert not load_redis(server.uri, megabytes=1).skipped
        assert client.execute_command("DEBUG", "DIGEST") != digest
