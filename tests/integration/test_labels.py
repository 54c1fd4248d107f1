# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One label on three real servers: each has its position, no name is given twice, and nothing else is changed."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LabelExists,
    LabelInvalid,
    LifeboatError,
    PostgresUnreachable,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.labels import (
    LabelSource,
    find_label,
    make_label,
    read_labels,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from sandbox.mongodb import MongoReplicaSet
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer

Json = dict[str, t.Any]


@pytest.fixture(scope="module")
def sources() -> t.Iterator[dict[str, LabelSource]]:
    with PostgreSQLServer() as postgresql, MongoReplicaSet() as mongodb, RedisServer(append_only=True) as redis:
        yield {
            "main": LabelSource(
                "main",
                "postgresql",
                {"host": "127.0.0.1", "port": postgresql.port, "user": postgresql.superuser, "database": "postgres"},
            ),
            "documents": LabelSource("documents", "mongodb", {"uri": mongodb.uri}),
            "cache": LabelSource("cache", "redis", {"port": redis.port}),
        }


class Refusing(MemoryStorage):
    """Takes nothing: a fault."""

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.NoReturn:
        raise StorageUnreachable(f"{key} can't be stored", hint="")


def label(name: str, sources: t.Iterable[LabelSource], **storages: MemoryStorage) -> t.Any:
    return make_label(name, service="adhd", sources=list(sources), storages=storages, host=Host())


def test_every_engine_gets_its_own_point(sources: dict[str, LabelSource]) -> None:
    storage = MemoryStorage()
    made = label("before-upgrade", sources.values(), local=storage).label
    kinds = {point.source: point.target.kind for point in made.points}
    assert kinds == {"main": "lsn", "documents": "optime", "cache": "time"}
    assert {point.source: dict(point.facts).get("note") for point in made.points}["documents"] is True
    assert 0 < made.skew_seconds < 30
    assert find_label("before-upgrade", service="adhd", storages={"local": storage}) == made


def test_a_name_means_one_instant(sources: dict[str, LabelSource]) -> None:
    storage = MemoryStorage()
    label("once", [sources["cache"]], local=storage)
    before = storage.get("adhd/.labels/once.json")
    with pytest.raises(LabelExists):
        label("once", [sources["cache"]], local=storage)
    assert storage.get("adhd/.labels/once.json") == before


def test_later_points_come_later(sources: dict[str, LabelSource]) -> None:
    storage = MemoryStorage()
    first, second = (label(name, sources.values(), local=storage).label for name in ("first", "second"))
    labels, problems = read_labels("adhd", storages={"local": storage})
    assert not problems
    assert [one.name for one in labels] == ["first", "second"]
    for earlier, later in zip(first.points, second.points, strict=True):
        if earlier.target.kind == "lsn":
            assert _lsn(earlier.target.value) < _lsn(later.target.value)
        if earlier.target.kind == "optime":
            assert tuple(map(int, earlier.target.value.split(":"))) < tuple(map(int, later.target.value.split(":")))


def test_a_repository_that_refuses_leaves_the_others_with_the_label(sources: dict[str, LabelSource]) -> None:
    storage = MemoryStorage()
    result = label("partial", [sources["cache"]], local=storage, offsite=Refusing())
    assert (result.repositories, set(result.errors)) == (("local",), {"offsite"})
    with pytest.raises(LifeboatError):
        label("nowhere", [sources["cache"]], offsite=Refusing())


def test_a_source_that_does_not_answer_means_no_label(sources: dict[str, LabelSource]) -> None:
    storage = MemoryStorage()
    gone = LabelSource("gone", "postgresql", {"host": "127.0.0.1", "port": free_port(), "user": "postgres"})
    with pytest.raises(PostgresUnreachable):
        label("half", [sources["cache"], gone], local=storage)
    assert list(storage.list()) == []


def test_a_service_without_databases_is_refused() -> None:
    with pytest.raises(LabelInvalid, match="no source"):
        label("nothing", [], local=MemoryStorage())


def _lsn(text: str) -> int:
    high, _slash, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)
