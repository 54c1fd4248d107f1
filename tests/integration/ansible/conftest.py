# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers with a little data of each kind, once for the session; repositories that are new for each test."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from sandbox.mongodb import MongoReplicaSet
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer
from sandbox.s3 import S3Server
from tests.integration.ansible.plays import PASSWORD, WRITER, Lab


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Lab]:
    """All four servers; the data are small, since the point is what Ansible does."""
    directory = tmp_path_factory.mktemp("lab")
    with (
        PostgreSQLServer(password=PASSWORD) as postgresql,
        MongoReplicaSet(password=PASSWORD) as mongodb,
        RedisServer(password=PASSWORD, append_only=True) as redis,
        S3Server(buckets=("backups",), identities=[WRITER]) as s3,
    ):
        with postgresql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
            cursor.execute("INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 500) n")
        client = mongodb.client()
        client["shop"]["orders"].insert_many({"_id": number, "total": number * 3} for number in range(700))
        client.close()
        redis.client().mset({f"key:{number}": "x" * 50 for number in range(300)})
        yield Lab(directory=directory, postgresql=postgresql, mongodb=mongodb, redis=redis, s3=s3)


@pytest.fixture
def lab(servers: Lab, tmp_path: pathlib.Path) -> Lab:
    """The servers with an empty repository on disk, an unused prefix of the bucket, and a state directory."""
    return servers.in_folder(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every play takes seconds."""
    for item in items:
        if "/tests/integration/ansible/" in str(item.path):
            item.add_marker(pytest.mark.slow)
