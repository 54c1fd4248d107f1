# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that are killed before and after what they change, then finished or taken back by another process."""

from __future__ import annotations

import datetime
import itertools
import json
import signal
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.restoring import Restore, fingerprint, own_names
from tests.integration.mongodb.verifying import Place
from tests.support.children import environment, python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHOP = "shop"
# The listener is the fault: it kills the process before (or after) the n-th command that changes something.
_CHILD = """
import json, os, pathlib, signal, sys, threading
import pymongo.monitoring
from tests.integration.mongodb.restoring import Restore
from tests.support.resealing import parse_key

CHANGES = {"create", "insert", "renameCollection", "drop", "createIndexes", "_mergeAuthzCollections", "dropUser",
           "collMod", "delete", "update", "dropRole"}
repository, key, options, state, restore_id, deadly, moment = sys.argv[1:]
counts = {"before": 0, "after": 0}

class Killer(pymongo.monitoring.CommandListener):
    def look(self, event, when):
        if event.command_name in CHANGES:
            counts[when] += 1
            if when == moment and counts[when] == int(deadly):
                os.kill(os.getpid(), signal.SIGKILL)
    def started(self, event):
        self.look(event, "before")
    def succeeded(self, event):
        self.look(event, "after")
    def failed(self, event):
        self.look(event, "after")

pymongo.monitoring.register(Killer())
restore = Restore(
    repository=pathlib.Path(repository),
    folder=parse_key(key).folder,
    options=json.loads(options),
    state=pathlib.Path(state),
    restore_id=restore_id,
)
restore.inspect()
restore.begin()
restore.resume()
print(counts["before"])
"""


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet() as servers:
        yield servers


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory, replica_set: MongoReplicaSet) -> tuple[Path, BackupFolder]:
    folder = tmp_path_factory.mktemp("deaths")
    place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
    with replica_set.client() as client:
        shop = client[SHOP]
        shop.orders.insert_many({"_id": number} for number in range(50))
        shop.orders.create_index("price")
        shop.customers.insert_many({"_id": number} for number in range(20))
        shop["system.js"].insert_one({"_id": "new", "value": 1})
        shop.create_collection("shown", viewOn="orders", pipeline=[])
        shop.create_collection("weather", timeseries={"timeField": "at"})
        shop.weather.insert_one({"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)})
        shop.command("createRole", "seller", privileges=[], roles=["read"])
        shop.command("createUser", "ann", pwd="new", roles=["seller"])
        shop.command("createUser", "bob", pwd="new", roles=["read"])
        try:
            return place.repository, place.back_up(replica_set.uri, database=SHOP)
        finally:
            shop.command("dropAllUsersFromDatabase")
            shop.command("dropAllRolesFromDatabase")
            client.drop_database(SHOP)


def fill_old(client: t.Any) -> None:
    """What is there before: some of the backup's names, others, and one of its users."""
    shop = client[SHOP]
    shop.orders.insert_many({"_id": f"old {number}"} for number in range(10))
    shop.mine.insert_one({"_id": 1})
    shop["system.js"].insert_one({"_id": "old", "value": 1})
    shop.create_collection("shown", viewOn="mine", pipeline=[])
    shop.command("createUser", "ann", pwd="old", roles=["readWrite"])


def empty(client: t.Any) -> None:
    client[SHOP].command("dropAllUsersFromDatabase")
    client[SHOP].command("dropAllRolesFromDatabase")
    client.drop_database(SHOP)


def held(client: t.Any) -> dict[str, t.Any]:
    """All that a restore may change, users and roles with their hashes."""
    found = fingerprint(client)
    for kind in ("users", "roles"):
        found[f"{kind} themselves"] = {str(one["_id"]): str(one) for one in client.admin[f"system.{kind}"].find()}
        found.pop(f"admin.system.{kind}", None)
    return found


def run_child(restore: Restore, *, deadly: int, moment: str) -> int | None:
    """How many changes it made; None when it was killed."""
    repository, key = str(restore.repository), restore.folder.manifest_key
    arguments = (repository, key, json.dumps(restore.options), str(restore.state), restore.restore_id)
    done = subprocess.run(
        python(_CHILD, *arguments, str(deadly), moment),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def require_new(client: t.Any, where: str) -> None:
    shop = client[SHOP]
    assert shop.orders.count_documents({}) == 50, where
    assert "price_1" in shop.orders.index_information(), where
    assert shop.customers.count_documents({}) == 20, where
    assert shop.shown.count_documents({}) == 50, where
    assert shop.weather.count_documents({}) == 1, where
    assert [one["_id"] for one in shop["system.js"].find()] == ["new"], where
    assert {user["user"] for user in shop.command("usersInfo")["users"]} == {"ann", "bob"}, where
    assert [role["role"] for role in shop.command("usersInfo", "ann")["users"][0]["roles"]] == ["seller"], where


def test_a_restore_in_place_that_dies_anywhere(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, tmp_path: Path
) -> None:
    repository, folder = backup
    options = {
        "connection": {"uri": target.uri, "server_selection_timeout": 5},
        "in_place": True,
        "users_and_roles": True,
        "parallel": 1,
    }

    def restore(number: int) -> Restore:
        return Restore(
            repository=repository,
            folder=folder,
            options=options,
            state=tmp_path / "state",
            restore_id=f"20261121T12{number:04d}Z-abcdef",
        )

    with target.client() as client:
        fill_old(client)
        before = held(client)
        first = restore(0)
        changes = run_child(first, deadly=0, moment="before")
        assert changes is not None
        require_new(client, "without a death")
        first.roll_back()
        assert held(client) == before, "taken back after its end"

        # A sample, spread over the load, the renames, the views and the users.
        places = itertools.cycle(["before", "after"])
        deaths = 0
        for turn, number in enumerate(range(2, changes + 1, changes // 10)):
            moment = next(places)
            one, where = restore(number), f"death {moment} change {number} of {changes}"
            assert run_child(one, deadly=number, moment=moment) is None, where
            deaths += 1
            if turn % 2:
                one.resume()
                require_new(client, where)
            one.roll_back()
            assert held(client) == before, where
            if turn % 4 == 0:
                one.roll_back()
                assert held(client) == before, f"{where}, taken back twice"
            assert own_names(client) == [], where
        assert deaths >= 9
        empty(client)
