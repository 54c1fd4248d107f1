# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries along elections of the source: a ledger of acknowledged writes tells what must be there at each point.

The writer goes on while primaries step down and die, and notes of each write the optime that it was acknowledged with.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pymongo.errors
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoMajorityUnavailable,
    MongoNoSuitableMember,
    MongoOplogNotReplayable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position, position_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from sandbox.mongod import hello
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb.recovering import FolderReader, Recovery, at, plan
from tests.integration.mongodb.streaming import Streaming
from tests.integration.mongodb.verifying import Place
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARAMETERS = {"periodicNoopIntervalSecs": "1", "maxNumberOfTransactionOperationsInSingleOplogEntry": "4"}
_IN_A_TRANSACTION = 9


@dataclass
class LedgerWriter:
    """Single documents and transactions over several entries of the oplog, to whoever is primary."""

    servers: MongoReplicaSet
    acknowledged: dict[str, Position] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        with self.servers.client(w="majority", retryWrites=True, serverSelectionTimeoutMS=60_000) as client:
            for number in itertools.count():
                if self.stopping.is_set():
                    return
                name = f"{'several' if number % 4 == 3 else 'one'} {number}"
                try:
                    self.acknowledged[name] = self._write(client, name)
                except pymongo.errors.PyMongoError:
                    self.unsure.add(name)  # nobody knows; it is there as a whole or not at all

    def _write(self, client: t.Any, name: str) -> Position:
        with client.start_session() as session:
            if name.startswith("one"):
                client.shop.ledger.insert_one({"_id": name}, session=session)
            else:
                with session.start_transaction():
                    for part in range(_IN_A_TRANSACTION):
                        client.shop.parts.insert_one({"_id": f"{name} {part}", "of": name}, session=session)
            return position_of(session.operation_time)

    def check(self, client: t.Any, upto: Position) -> None:
        """All that was acknowledged up to there, nothing that was acknowledged with a later optime, nothing by half."""
        there = {one["_id"] for one in client.shop.ledger.find()}
        parts: dict[str, int] = {}
        for one in client.shop.parts.find():
            parts[one["of"]] = parts.get(one["of"], 0) + 1
        assert set(parts.values()) <= {_IN_A_TRANSACTION}, parts
        there |= set(parts)
        lost = sorted(name for name, when in self.acknowledged.items() if when <= upto and name not in there)
        assert not lost, f"acknowledged, and not there at {upto}: {lost[:5]}"
        later = sorted(name for name, when in self.acknowledged.items() if when > upto and name in there)
        # One writer, one write after the other: what an answer's time was moved on by came before the next write.
        assert not later, f"later than {upto}, and there: {later[:5]}"
        assert there <= set(self.acknowledged) | self.unsure


@pytest.fixture(scope="module")
def servers() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(members=3, parameters=PARAMETERS) as one:
        yield one


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet() as one:
        yield one


def another_primary(servers: MongoReplicaSet, than: MongoServer) -> bool:
    for node in servers.nodes:
        if node is not than:
            with contextlib.suppress(OSError, pymongo.errors.PyMongoError):
                if hello(node).get("isWritablePrimary"):
                    return True
    return False


def test_every_point_along_elections(servers: MongoReplicaSet, target: MongoReplicaSet, tmp_path: Path) -> None:
    place = Place(repository=tmp_path / "repository", scratch=tmp_path, state=tmp_path / "state")
    streaming = Streaming(uri=servers.uri, folder=tmp_path / "stream")
    with servers.client(w="majority") as client:
        client.shop.create_collection("ledger")
        client.shop.create_collection("parts")

    def capture() -> None:
        # As in a minute job: what can't be had while members elect is named, and had the next time.
        with contextlib.suppress(MongoNoSuitableMember, MongoMajorityUnavailable):
            streaming.run()

    def dumped() -> t.Any:
        # A transaction that began before the dump's window is refused with the hint to dump again.
        try:
            return place.back_up(servers.uri, consistency="oplog")
        except MongoOplogNotReplayable:
            return None

    wait_for(lambda: (capture(), bool(streaming.shipped))[1], what="a first slice")
    writer = LedgerWriter(servers)
    thread = threading.Thread(target=writer.write, daemon=True)
    thread.start()
    points: list[Position] = []
    try:
        wait_for(lambda: len(writer.acknowledged) > 10, what="the first writes")
        backup = wait_for(dumped, what="a dump that no transaction began before")
        for way in ("step down", "die"):
            known = len(writer.acknowledged)
            wait_for(lambda known=known: len(writer.acknowledged) > known + 15, what="writes")
            points.append(max(writer.acknowledged.values()))
            before = servers.primary
            if way == "die":
                before.kill()
            else:
                with before.client() as client, contextlib.suppress(pymongo.errors.PyMongoError):
                    client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=10)
            wait_for(lambda before=before: (capture(), another_primary(servers, before))[1], what="another primary")
            known = len(writer.acknowledged)
            wait_for(lambda known=known: len(writer.acknowledged) > known + 15, what="writes to it")
            if way == "die":
                before.start()
    finally:
        writer.stopping.set()
        thread.join(90)
    end = max(writer.acknowledged.values())
    points.append(end)
    wait_for(lambda: (capture(), streaming.slices()[-1].last.position >= end)[1], what="all of it")
    assert streaming.events == [], "no election breaks the chain"
    assert len({one.last.term for one in streaming.slices()}) >= 3, "there were no elections"

    (lineage,) = streaming.lineages()
    folder = tmp_path / "slices"
    folder.mkdir()
    for one in streaming.shipped:
        (folder / one.facts.name).write_bytes(one.data)
    behind = sorted(when for when in writer.acknowledged.values() if when > points[0])
    chosen = [*points, *random.Random(7).sample(behind, 3)]
    goals = [*((at(point), point) for point in chosen), (RecoveryTarget(kind="latest"), end)]
    for number, (goal, point) in enumerate(goals):
        recovery = Recovery(
            repository=place.repository,
            folder=backup,
            options={"connection": {"uri": target.uri, "server_selection_timeout": 5}},
            state=tmp_path / "notes",
            restore_id=f"20261121T12{number:04d}Z-abcdef",
            reader=FolderReader(
                plan=plan(place.repository, [backup], [streaming.stream(lineage)], goal), folder=folder
            ),
        )
        recovery.run()
        with target.client() as client:
            writer.check(client, point)
            client.drop_database("shop")
