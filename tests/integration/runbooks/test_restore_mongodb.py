# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/restore-mongodb.md``, walked through with a real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass

import pytest
from pymongo import MongoClient

from sandbox.mongodb import MongoReplicaSet
from sandbox.parts import MONGOD, find_mongod, require
from tests.integration.runbooks.walk import PAGES, Walk, backup
from tests.support.children import ENGINE, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = "restore-mongodb.md"


@dataclass
class Place:
    walk: Walk
    client: MongoClient[t.Any]

    @property
    def orders(self) -> int:
        return int(self.client["shop"]["orders"].count_documents({}))

    @property
    def names(self) -> set[str]:
        """Databases, and collections of the shop."""
        return {*self.client.list_database_names(), *self.client["shop"].list_collection_names()}


@pytest.fixture(scope="module")
def server() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(parameters={"enableTestCommands": "1"}) as one:
        yield one


@pytest.fixture
def place(walk: Walk, server: MongoReplicaSet) -> t.Iterator[Place]:
    """A verified backup of a thousand orders."""
    uri_file = walk.folder / "uri"
    uri_file.write_text(server.uri, encoding="utf-8")
    uri_file.chmod(0o600)
    with MongoClient(server.uri) as client:
        client.drop_database("shop")
        client["shop"]["orders"].insert_many([{"_id": number, "text": "x" * 100} for number in range(1000)])
        client["shop"]["orders"].create_index("text", name="by_text")
        lifeboat = walk.describe(
            {
                "name": "main",
                "engine": "mongodb",
                "connection": {"uri_file": str(uri_file)},
                "backups": [backup("full")],
                "verify": {"level": 4, "options": {"mongod": str(require(find_mongod(), MONGOD))}},
            }
        )
        lifeboat("backup --quiet").succeeded()
        lifeboat("verify --quiet").succeeded()
        address = server.uri.partition("//")[2].partition("/")[0]
        walk.variables["SERVER"] = address
        yield Place(walk=walk, client=client)


def test_beside_and_in_place_and_back(place: Place) -> None:
    place.client["shop"]["orders"].delete_many({"_id": {"$gte": 500}})
    before = place.names
    place.walk.through(PAGE, 1, 2, 3)
    assert place.orders == 500, "production is not touched"
    assert place.names == before
    place.walk.through(PAGE, 1, 5)
    assert place.orders == 1000
    assert "by_text" in place.client["shop"]["orders"].index_information()
    place.walk.through(PAGE, 1, 6)
    assert place.orders == 500
    assert place.names == before
    place.walk.through(PAGE, 1, 5, 7)
    assert place.orders == 1000
    assert place.names == before


def test_one_collection(place: Place) -> None:
    place.client["shop"]["later"].insert_one({})
    place.client["shop"]["orders"].drop()
    place.walk.through(PAGE, 1, 4)
    assert place.orders == 1000
    assert "by_text" in place.client["shop"]["orders"].index_information()
    assert "later" in place.names


def test_documents_are_copied_by_the_pages_pipeline(place: Place) -> None:
    [pipeline] = re.findall(r"```js\n.*aggregate\(\n(.*)\n\)\n```", (PAGES / PAGE).read_text(encoding="utf-8"))
    place.client["shop"]["orders"].delete_many({"_id": {"$lt": 10}})
    place.walk.command_line()("restore shop/main/full --quiet -o databases=[shop] -o suffix=_recovery").succeeded()
    try:
        place.client["shop_recovery"]["orders"].aggregate(json.loads(pipeline))
        assert place.orders == 991
        assert place.client["shop"]["orders"].find_one({"_id": 7}) == {"_id": 7, "text": "x" * 100}
    finally:
        place.client.drop_database("shop_recovery")


def test_a_restore_that_died(place: Place) -> None:
    place.client["shop"]["orders"].delete_many({"_id": {"$gte": 500}})
    before = place.names
    server = place.walk.variables["SERVER"]
    # The fault: the server lets the first rename wait, so that whoever restores can be killed in the middle.
    wait = {"failCommands": ["renameCollection"], "blockConnection": True, "blockTimeMS": 60_000, "errorCode": 11600}
    place.client["admin"].command("configureFailPoint", "failCommand", mode="alwaysOn", data=wait)
    words = ["restore", "shop/main/full", "--in-place", "-o", "databases=[shop]", "--confirm", f"shop at {server}"]
    configuration = str(place.walk.folder / "config.yml")
    command = [sys.executable, "-m", ENGINE, "--config", configuration, *words]
    try:
        with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as restoring:
            while not (renaming := _renaming(place.client)):
                assert restoring.poll() is None, "it never renamed anything"
                time.sleep(0.05)
            restoring.kill()
        for operation in renaming:  # or it would sleep on
            place.client["admin"].command("killOp", op=operation)
    finally:
        place.client["admin"].command("configureFailPoint", "failCommand", mode="off")
    assert place.names != before
    place.walk.through(PAGE, 1, 8)
    assert place.orders == 500
    assert place.names == before


def _renaming(client: MongoClient[t.Any]) -> list[int]:
    """The operations that wait to rename a collection."""
    running = client["admin"].command("currentOp", active=True)["inprog"]
    return [operation["opid"] for operation in running if "renameCollection" in operation.get("command", {})]
