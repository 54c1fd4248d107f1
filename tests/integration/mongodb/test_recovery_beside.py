# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database recovered beside production, which goes on meanwhile: transactions, deaths, what is left out, users."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import threading
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.find_damage import find_damage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_damage import Damage, Thresholds
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position, moment_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb import ledger
from tests.integration.mongodb.recovering import (
    FolderReader,
    Recovery,
    at,
    cut,
    last_position,
    plan,
    positions,
    state_of,
)
from tests.integration.mongodb.restoring import own_names
from tests.integration.mongodb.rig import room_for_a_large_transaction
from tests.integration.mongodb.verifying import Place
from tests.support.children import environment, python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LATEST = RecoveryTarget(kind="latest")
# The listener is the fault: it kills the process before (or after) the n-th command that changes something.
_CHILD = """
import os, pickle, signal, sys
import pymongo.monitoring

CHANGES = {"create", "insert", "renameCollection", "drop", "createIndexes", "collMod", "applyOps"}
path, deadly, moment = sys.argv[1:]
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
with open(path, "rb") as file:
    recovery = pickle.load(file)
recovery.inspect()
recovery.begin()
recovery.resume()
print(counts["before"])
"""


@pytest.fixture(scope="module")
def servers() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(parameters={**ledger.PARAMETERS, "enableTestCommands": "1"}) as one:
        yield one


@pytest.fixture
def client(servers: MongoReplicaSet) -> t.Iterator[t.Any]:
    with servers.client() as one:
        yield one
        for name in one.list_database_names():
            if name not in ("admin", "config", "local"):
                one.drop_database(name)


@dataclass
class Production:
    """A database that is written to, its backups and its oplog."""

    servers: MongoReplicaSet
    client: t.Any
    folder: Path
    begins: Position
    numbers: t.Iterator[int]

    def back_up(self, **options: t.Any) -> BackupFolder:
        place = Place(repository=self.folder / "repository", scratch=self.folder, state=self.folder / "state")
        return place.back_up(self.servers.uri, **options)

    def cut(self, *, every: int = 1, name: str = "slices") -> Stream:
        return cut(self.client, self.folder / name, self.begins, every=every, bases_from=self.begins)

    def recovery(
        self, backup: BackupFolder, goal: RecoveryTarget, *, stream: Stream | None = None, **options: t.Any
    ) -> Recovery:
        stream = stream or self.cut()
        chosen = plan(self.folder / "repository", [backup], [stream], goal)
        return Recovery(
            repository=self.folder / "repository",
            folder=backup,
            options={"connection": {"uri": self.servers.uri, "server_selection_timeout": 5}, **options},
            state=self.folder / "notes",
            restore_id=f"20261121T12{next(self.numbers):04d}Z-abcdef",
            reader=FolderReader(plan=chosen, folder=self.folder / "slices"),
        )

    def damage(self, stream: Stream, **thresholds: t.Any) -> tuple[Damage, ...]:
        reader = FolderReader(plan=t.cast("t.Any", None), folder=self.folder / "slices")
        now = moment_of(last_position(self.client))
        return find_damage([stream], fetch=reader.fetch, around=now, thresholds=Thresholds(**thresholds))


@pytest.fixture
def production(servers: MongoReplicaSet, client: t.Any, tmp_path: Path) -> Production:
    client.shop.orders.insert_many({"_id": number, "v": 0} for number in range(20))
    client.shop.customers.insert_many({"_id": number} for number in range(10))
    client.shop.orders.create_index("v")
    client.other.things.insert_one({"_id": 1})
    return Production(servers, client, tmp_path, last_position(client), itertools.count())


def test_beside_production_that_is_written_to(production: Production) -> None:
    """Production has what it is given meanwhile, and the copy has what was before the mistake."""
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.orders.insert_many({"_id": 100 + number} for number in range(10))
    client.shop.customers.rename("clients")
    good = state_of(client, ["shop"])
    client.other.things.insert_one({"_id": 2})
    client.shop.clients.drop()
    client.shop.orders.delete_many({})
    stream = production.cut()
    found = production.damage(stream, deletes=20)
    drop = next(one for one in found if one.namespaces == ("shop.clients",))
    assert [one.kind for one in found] == ["rename", "drop", "mass delete"]
    assert found[2].count == 30
    goal = RecoveryTarget(kind="before_operation", value=drop.as_dict()["before_operation"])
    stop = threading.Event()
    written = [0]

    def write() -> None:
        with production.servers.client() as own:
            while not stop.is_set():
                written[0] += 1
                own.shop.orders.insert_one({"_id": f"meanwhile {written[0]}"})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        one = production.recovery(backup, goal, stream=stream, suffix="_recovery")
        assert one.inspect().replaces is None
        outcome = one.run()
    finally:
        stop.set()
        writer.join()
    assert state_of(client, ["shop"], suffix="_recovery") == good
    assert client.shop.orders.count_documents({}) == written[0] > 0
    assert client.shop.list_collection_names() == ["orders"]
    assert "other_recovery" not in client.list_database_names()
    assert outcome.content["recovery"]["operations"] > 0
    assert outcome.content["databases"] == {"shop_recovery": {"orders": 30, "clients": 10}}
    assert own_names(client) == []
    one.roll_back()
    assert "shop_recovery" not in client.list_database_names()


def test_in_place_with_what_is_there_kept(production: Production) -> None:
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.fresh.insert_one({"_id": "made after the backup"})
    client.shop.orders.update_many({}, {"$inc": {"v": 1}})
    good = state_of(client, ["shop"])
    point = last_position(client)
    client.shop.orders.update_many({}, {"$set": {"v": "ruined"}})
    client.shop.fresh.insert_one({"_id": "later"})
    ruined = state_of(client, ["shop"])
    one = production.recovery(backup, at(point), in_place=True)
    assert one.inspect().replaces is not None
    one.run()
    found = state_of(client, ["shop"])
    assert {name: value for name, value in found.items() if "lifeboat" not in name} == good
    one.roll_back()
    assert state_of(client, ["shop"]) == ruined


def test_single_collections(production: Production) -> None:
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.orders.insert_one({"_id": 100})
    client.shop.customers.rename("clients")
    one = production.recovery(backup, LATEST, suffix="_recovery", collections=["shop.orders", "shop.customers"])
    outcome = one.run()
    assert client.shop_recovery.orders.count_documents({}) == 21
    assert client.shop_recovery.list_collection_names() == ["orders"]
    assert any("shop.customers became shop.clients" in warning for warning in outcome.warnings)
    client.shop.clients.rename("orders", dropTarget=True)
    other = production.recovery(backup, LATEST, suffix="_again", collections=["shop.orders"])
    with pytest.raises(errors.MongoOplogNotReplayable, match=r"shop\.clients became shop\.orders"):
        other.run()
    assert "shop_again" not in client.list_database_names()


def test_a_transaction_that_was_open_when_the_backup_was_made(production: Production) -> None:
    """Its first entries are older than the backup, its commit is younger: it is there as a whole."""
    client = production.client
    with client.start_session() as session:
        session.start_transaction()
        for number in range(9):
            client.shop.orders.insert_one({"_id": f"t{number}"}, session=session)
        client.shop.customers.delete_one({"_id": 1}, session=session)
        # Its entries come with this; else they would with the commit. Servers that are no shards do it for tests.
        client.admin.command({"prepareTransaction": 1, "autocommit": False}, session=session)
        backup = production.back_up(consistency="oplog")
        client.shop.orders.insert_one({"_id": "between"})
        between = last_position(client)
        commit = client.admin.command(
            {
                "commitTransaction": 1,
                "autocommit": False,
                "commitTimestamp": _prepared(client),
            },
            session=session,
        )
        assert commit["ok"] == 1
    good = state_of(client, ["shop"])
    client.shop.orders.drop()
    last = next(one for one in positions(client, between) if one > between)
    stream = production.cut()
    production.recovery(backup, at(last), stream=stream, suffix="_recovery", databases=["shop"]).run()
    assert state_of(client, ["shop"], suffix="_recovery") == good
    production.recovery(backup, at(between), stream=stream, suffix="_before", databases=["shop"]).run()
    assert client.shop_before.orders.count_documents({"_id": "between"}) == 1
    assert client.shop_before.orders.count_documents({"_id": {"$regex": "^t"}}) == 0
    assert client.shop_before.customers.count_documents({"_id": 1}) == 1


def _prepared(client: t.Any) -> t.Any:
    """The timestamp of the newest prepared transaction."""
    found = client.local["oplog.rs"].find_one({"o.prepare": True}, sort=[("$natural", -1)])
    return found["ts"]


def test_an_operation_that_is_left_out(production: Production) -> None:
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.customers.insert_one({"_id": "new"})
    client.shop.customers.drop()
    client.shop.customers.insert_one({"_id": 1, "second": "life"})
    client.shop.orders.delete_one({"_id": 3})
    client.shop.orders.insert_one({"_id": 3, "v": "again"})
    client.shop.orders.update_one({"_id": 4}, {"$set": {"v": 7}})
    stream = production.cut()
    (drop,) = (one for one in production.damage(stream) if one.kind == "drop")
    goal = RecoveryTarget(kind="latest", skip=drop.skip)
    outcome = production.recovery(backup, goal, stream=stream, suffix="_recovery").run()
    assert client.shop_recovery.customers.count_documents({}) == 11
    assert client.shop_recovery.customers.find_one({"_id": 1}) == {"_id": 1, "second": "life"}
    assert client.shop_recovery.orders.find_one({"_id": 4})["v"] == 7
    account = outcome.content["recovery"]
    assert account["left_out"]["first"][0]["operation"] == "drop"
    assert {(one["operation"], one["namespace"]) for one in account["dependants"]["first"]} == {
        ("create", "shop.customers"),
        ("insert", "shop.customers"),
    }


def test_an_operation_inside_a_transaction_is_left_out(production: Production) -> None:
    client = production.client
    backup = production.back_up(database="shop")
    with client.start_session() as session, session.start_transaction():
        for number in range(6):
            client.shop.orders.insert_one({"_id": 200 + number}, session=session)
        client.shop.orders.delete_many({"_id": {"$lt": 5}}, session=session)
    client.shop.orders.update_one({"_id": 203}, {"$set": {"v": 1}})
    client.shop.orders.insert_one({"_id": 300})
    stream = production.cut()
    (damage,) = production.damage(stream, deletes=5)
    assert damage.in_transaction
    whole = RecoveryTarget(kind="latest", skip=damage.skip)
    outcome = production.recovery(backup, whole, stream=stream, suffix="_undeleted").run()
    assert client.shop_undeleted.orders.count_documents({}) == 20 + 6 + 1
    assert outcome.content["recovery"]["left_out"]["count"] == 5
    # The transaction's end stands for all of it; the update behind it finds nothing then, and is told.
    goal = RecoveryTarget(kind="latest", skip=(damage.as_dict()["before_operation"],))
    outcome = production.recovery(backup, goal, stream=stream, suffix="_without").run()
    assert client.shop_without.orders.count_documents({}) == 20 + 1
    assert client.shop_without.orders.find_one({"_id": 203}) is None
    account = outcome.content["recovery"]
    assert account["left_out"]["count"] == 11
    assert account["missed"] == 1
    assert [one["_id"] for one in account["dependants"]["first"]] == [203]
    assert any("11 operations were left out, and 1 later ones" in warning for warning in outcome.warnings)
    assert any("update shop.orders 203" in warning for warning in outcome.warnings)
    assert any("found nothing to change" in warning for warning in outcome.warnings)


def test_a_dropped_database_is_left_out(production: Production) -> None:
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.orders.insert_one({"_id": "last"})
    good = state_of(client, ["shop"])
    client.drop_database("shop")
    stream = production.cut()
    (damage,) = production.damage(stream)
    assert damage.kind == "drop of a database"
    goal = RecoveryTarget(kind="latest", skip=damage.skip)
    production.recovery(backup, goal, stream=stream, suffix="_recovery").run()
    assert state_of(client, ["shop"], suffix="_recovery") == good
    before = RecoveryTarget(kind="before_operation", value=damage.as_dict()["before_operation"])
    production.recovery(backup, before, stream=stream, suffix="_before").run()
    assert state_of(client, ["shop"], suffix="_before") == good


def test_users_as_they_were(production: Production) -> None:
    client = production.client
    try:
        client.shop.command("createUser", "ann", pwd="x", roles=["read"])
        backup = production.back_up(database="shop")
        client.shop.command("createUser", "bob", pwd="x", roles=["read"])
        client.shop.command("updateUser", "ann", roles=["readWrite"])
        client.other.command("createUser", "eve", pwd="x", roles=["read"])
        point = last_position(client)
        for name in ("ann", "bob"):
            client.shop.command("dropUser", name)
        client.other.command("dropUser", "eve")
        one = production.recovery(backup, at(point), in_place=True, users_and_roles=True)
        one.run()
        found = {user["user"]: user["roles"][0]["role"] for user in client.shop.command("usersInfo")["users"]}
        assert found == {"ann": "readWrite", "bob": "read"}
        assert client.other.command("usersInfo")["users"] == []
    finally:
        client.shop.command("dropAllUsersFromDatabase")


def test_a_recovery_that_dies_anywhere(production: Production) -> None:
    """Killed before and after commands of load, replay, indexes and renames; then finished or undone."""
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.customers.rename("clients")
    client.shop.orders.insert_many({"_id": 100 + number} for number in range(1500))
    client.shop.create_collection("weather", timeseries={"timeField": "at"})
    client.shop.orders.update_many({"_id": {"$lt": 10}}, {"$inc": {"v": 1}})
    client.shop.clients.insert_one({"_id": "last"})
    good = state_of(client, ["shop"])
    stream = production.cut(every=400)
    first = production.recovery(backup, LATEST, stream=stream, suffix="_recovery")
    changes = run_child(first, deadly=0, moment="before")
    assert changes is not None
    assert state_of(client, ["shop"], suffix="_recovery") == good
    first.roll_back()
    assert "shop_recovery" not in client.list_database_names()
    moments = itertools.cycle(["before", "after"])
    for turn, number in enumerate(range(2, changes + 1, max(1, changes // 7))):
        one, moment = production.recovery(backup, LATEST, stream=stream, suffix="_recovery"), next(moments)
        where = f"death {moment} change {number} of {changes}"
        assert run_child(one, deadly=number, moment=moment) is None, where
        if turn % 2 == 0:
            one.resume()
            assert state_of(client, ["shop"], suffix="_recovery") == good, where
        one.roll_back()
        assert "shop_recovery" not in client.list_database_names(), where
        assert own_names(client) == [], where
        with contextlib.suppress(FileNotFoundError):
            assert list((production.folder / "notes" / "recovery").iterdir()) == [], where


def test_a_signal_takes_everything_back(production: Production) -> None:
    """It comes while a batch is on its way; nothing is applied behind the back of whoever cleans up."""
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.orders.insert_many({"_id": 100 + number} for number in range(3000))
    stream = production.cut(every=500)
    one = production.recovery(backup, LATEST, stream=stream, suffix="_recovery")
    assert one.reader is not None
    middle = one.reader.plan.segments[3].segment.name

    def stop(name: str) -> None:
        if name == middle:
            os.kill(os.getpid(), signal.SIGTERM)

    one.reader.before = stop
    with pytest.raises(errors.Interrupted), stopping_on_signals():
        one.run()
    assert "shop_recovery" not in client.list_database_names()
    assert own_names(client) == []
    assert [thread.name for thread in threading.enumerate() if "mongodb" in thread.name] == []


def test_a_transaction_of_many_megabytes(production: Production) -> None:
    client = production.client
    backup = production.back_up(database="shop")
    room_for_a_large_transaction(client)
    with client.start_session() as session, session.start_transaction():
        for number in range(4):
            client.shop.orders.insert_one({"_id": f"large {number}", "pad": "x" * 9_000_000}, session=session)
    production.recovery(backup, LATEST, suffix="_recovery").run()
    found = client.shop_recovery.orders.aggregate([{"$match": {"pad": {"$exists": True}}}, {"$project": {"n": 1}}])
    assert len(list(found)) == 4


def test_with_no_more_rights_than_a_restore_needs(production: Production) -> None:
    """Renames, drops, made indexes and collections, changed options: all by the roles that a refusal names."""
    client = production.client
    backup = production.back_up(database="shop")
    client.shop.orders.update_many({}, {"$inc": {"v": 1}})
    client.shop.orders.delete_one({"_id": 3})
    client.shop.customers.rename("clients")
    client.shop.create_collection("log", capped=True, size=4096)
    client.shop.command("collMod", "orders", validator={"x": {"$exists": False}})
    client.shop.create_collection("weather", timeseries={"timeField": "at"}, expireAfterSeconds=10**9)
    client.shop.command("convertToCapped", "clients", size=10_000)
    client.shop.orders.create_index("w")
    client.shop.gone.insert_one({})
    client.shop.gone.drop()
    good = state_of(client, ["shop"])
    roles = ["restore", "readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor"]
    with MongoReplicaSet(password="root") as guarded:
        guarded.create_user("restorer", "secret", roles)
        one = production.recovery(backup, LATEST)
        uri = guarded.uri_of("restorer", "secret")
        one.options = {"connection": {"uri": uri, "server_selection_timeout": 5}}
        one.run()
        with guarded.client() as there:
            assert state_of(there, ["shop"]) == good


def run_child(recovery: Recovery, *, deadly: int, moment: str) -> int | None:
    """How many changes it made; None when it was killed."""
    path = recovery.state.parent / "recovery.pickle"
    path.write_bytes(pickle.dumps(recovery))
    done = subprocess.run(
        python(_CHILD, str(path), str(deadly), moment),
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


def test_a_database_that_is_younger_than_the_backup(production: Production) -> None:
    """By its name alone, though the backup does not know it; a name that nobody knows is refused as before."""
    client = production.client
    backup = production.back_up()
    client.young.people.insert_one({"_id": 1})
    before = last_position(client)
    with client.start_session() as session, session.start_transaction():
        client.young.people.insert_one({"_id": 2}, session=session)
    stream = production.cut()
    one = production.recovery(backup, LATEST, stream=stream, suffix="_recovery", databases=["young"])
    assert one.inspect().replaces is None
    one.run()
    assert state_of(client, ["young"], suffix="_recovery") == state_of(client, ["young"])
    assert "shop_recovery" not in client.list_database_names()
    in_place = production.recovery(backup, at(before), stream=stream, in_place=True, collections=["young.people"])
    assert in_place.inspect().replaces is not None, "what is there steps aside, and that has to be confirmed"
    in_place.run()
    assert [found["_id"] for found in client.young.people.find()] == [1]
    with pytest.raises(errors.RestoreTargetInvalid, match=r"has young\.people already"):
        production.recovery(backup, LATEST, stream=stream, databases=["young"]).inspect()
    with pytest.raises(errors.RequestInvalid, match="Neither the backup nor the oplog up to the target") as refused:
        production.recovery(backup, LATEST, stream=stream, suffix="_x", databases=["yuong"]).inspect()
    assert "shop" in refused.value.hint


def test_a_backup_that_was_made_before_there_was_anything(production: Production) -> None:
    """As on a new server, whose first full backup is made at once: all there is, is in the oplog."""
    client = production.client
    for name in ("shop", "other"):
        client.drop_database(name)
    backup = production.back_up()
    with pytest.raises(errors.RequestInvalid, match="the oplog makes none before the target"):
        production.recovery(backup, LATEST, suffix="_recovery").inspect()
    client.shop.orders.insert_many({"_id": number} for number in range(7))
    client.shop.orders.create_index("v")
    production.recovery(backup, LATEST, suffix="_recovery").run()
    assert state_of(client, ["shop"], suffix="_recovery") == state_of(client, ["shop"])
