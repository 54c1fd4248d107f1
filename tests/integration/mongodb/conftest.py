# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers: one replica set for the whole folder, others where a test needs its own."""

from __future__ import annotations

import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb import sample
from tests.integration.mongodb.rig import SECRET, Source


@pytest.fixture(scope="session")
def replica_set() -> t.Iterator[MongoReplicaSet]:
    """One member, without authentication, with the sample in the database kinds."""
    with MongoReplicaSet(oplog_megabytes=990) as servers:
        with servers.client() as client:
            sample.load(client)
        yield servers


@pytest.fixture(scope="session")
def guarded() -> t.Iterator[MongoReplicaSet]:
    """One member, with authentication."""
    with MongoReplicaSet(password=SECRET) as servers:
        with servers.client() as client:
            client.shop.orders.insert_many({"_id": number} for number in range(100))
        yield servers


@pytest.fixture(scope="session")
def standalone() -> t.Iterator[MongoServer]:
    """A server without an oplog."""
    with MongoServer() as server:
        with server.client() as client:
            client.shop.orders.insert_many({"_id": number} for number in range(100))
        yield server


@pytest.fixture
def source(replica_set: MongoReplicaSet, tmp_path: Path) -> Source:
    return Source(uri=replica_set.uri, folder=tmp_path / "dump")


@pytest.fixture
def client(replica_set: MongoReplicaSet) -> t.Iterator[t.Any]:
    with replica_set.client() as one:
        yield one


@pytest.fixture
def database(client: t.Any, request: pytest.FixtureRequest) -> t.Iterator[t.Any]:
    """An empty database of the replica set for this test alone."""
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    client.drop_database(name)
    yield client[name]
    client.drop_database(name)


@pytest.fixture
def short_folder() -> t.Iterator[Path]:
    """An empty folder whose path leaves room for a socket's; it must be empty again at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))
    yield folder
    left = [path.name for path in folder.iterdir()]
    shutil.rmtree(folder)
    assert left == []
