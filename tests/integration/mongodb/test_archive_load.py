# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the native loader makes of an archive is what was dumped: every kind of collection, by the server's own hash."""

from __future__ import annotations

import contextlib
import datetime
import io
import subprocess
import threading
import types
import typing as t
from pathlib import Path

import bson
import pymongo
import pytest
from pymongo import monitoring

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoArchiveInvalid,
    MongoLoadFailed,
    MongoOplogNotReplayable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import raw_insert
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.apply_ops import ApplyOps
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_load import load_archive
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.load_values import (
    LoadOptions,
    LoadReport,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespace_map import NamespaceMap
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.load import TOTAL, open_accounts, total_on, transfers
from tests.integration.mongodb.rig import Source, room_for_a_large_transaction, vendor_tools
from tests.integration.mongodb.sample import KINDS

_NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    """An empty server to load into."""
    with MongoReplicaSet() as servers:
        yield servers


@pytest.fixture
def restored(target: MongoReplicaSet) -> t.Iterator[t.Any]:
    with target.client() as client:
        yield client
        for name in client.list_database_names():
            if name not in ("admin", "config", "local"):
                client.drop_database(name)


def load(client: t.Any, archive: Path | bytes, **options: t.Any) -> LoadReport:
    data = archive.read_bytes() if isinstance(archive, Path) else archive
    progress = Progress(clock=SystemClock())
    return load_archive(io.BytesIO(data), client=client, options=LoadOptions(**options), progress=progress)


def hashes(client: t.Any, database: str) -> dict[str, str]:
    """dbHash of each collection; views stand in system.views under the database's name, so it differs when renamed."""
    found: dict[str, str] = client[database].command("dbHash")["collections"]
    return {name: value for name, value in found.items() if name != "system.views"}


def shape(client: t.Any, database: str) -> dict[str, t.Any]:
    """Options and indexes of each collection and view."""
    found = {}
    for entry in client[database].list_collections():
        if entry["name"].startswith("system."):
            continue
        indexes = [] if entry["type"] == "view" else list(client[database][entry["name"]].list_indexes())
        found[entry["name"]] = (entry["type"], entry["options"], sorted(map(str, indexes)))
    return found


def test_every_kind_of_collection_comes_back(source: Source, client: t.Any, restored: t.Any) -> None:
    dump = source.dump(database=KINDS)
    report = load(restored, dump.archive)
    assert hashes(restored, KINDS) == hashes(client, KINDS)
    assert shape(restored, KINDS) == shape(client, KINDS)
    noted = {f"{KINDS}.{name}": facts["documents"] for name, facts in dump.content["databases"][KINDS].items()}
    assert report.counts() == noted
    assert restored[KINDS].strict.count_documents({"_id": "older than the validator"}) == 1


def test_another_name_for_the_database(source: Source, client: t.Any, restored: t.Any) -> None:
    names = NamespaceMap(databases={KINDS: "kinds_recovery"})
    load(restored, source.dump(database=KINDS).archive, names=names)
    assert hashes(restored, "kinds_recovery") == hashes(client, KINDS)
    assert KINDS not in restored.list_database_names()


class Watching(monitoring.CommandListener):
    """The commands of a client in their order; the first two inserts wait for each other."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.met = False
        self._together = threading.Barrier(2)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append(event.command_name)
        if event.command_name == "insert" and not self.met and not self._together.broken:
            with contextlib.suppress(threading.BrokenBarrierError):
                self._together.wait(timeout=60)
                self.met = True

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def test_several_insert_at_once_and_indexes_come_last(
    source: Source, client: t.Any, database: t.Any, target: MongoReplicaSet, restored: t.Any
) -> None:
    for name in ("one", "two"):
        database[name].insert_many({"_id": number, "text": "x" * 100} for number in range(500))
        database[name].create_index("text")
    watching = Watching()
    archive = source.dump(database=database.name).archive
    with pymongo.MongoClient(target.uri, event_listeners=[watching]) as loading:
        load(loading, archive, threads=2)
    assert watching.met, "two collections are inserted by two threads"
    commands = [name for name in watching.commands if name in ("create", "insert", "createIndexes")]
    assert commands == sorted(commands, key=["create", "insert", "createIndexes"].index)
    assert commands.count("createIndexes") == 2
    assert hashes(restored, database.name) == hashes(client, database.name)


def test_one_collection_alone(source: Source, client: t.Any, restored: t.Any) -> None:
    report = load(restored, source.dump(database=KINDS).archive, names=NamespaceMap(include=(f"{KINDS}.german",)))
    assert restored[KINDS].list_collection_names() == ["german"]
    assert hashes(restored, KINDS)["german"] == hashes(client, KINDS)["german"]
    assert f"{KINDS}.plain" in report.left_out


def test_staging_names_within_the_database(source: Source, client: t.Any, restored: t.Any) -> None:
    names = NamespaceMap(prefix="staged.", unprefixed=frozenset((f"{KINDS}.series", f"{KINDS}.recent")))
    load(restored, source.dump(database=KINDS).archive, names=names)
    found = hashes(restored, KINDS)
    assert found["staged.plain"] == hashes(client, KINDS)["plain"]
    assert found["system.buckets.series"] == hashes(client, KINDS)["system.buckets.series"]


def test_a_zero_timestamp_stays_zero(source: Source, client: t.Any, database: t.Any, restored: t.Any) -> None:
    """A server replaces a zero timestamp in an insert by the time of day, and says nothing."""
    database.clock.insert_many({"_id": number, "x": 1} for number in range(20))
    database.clock.update_many({"_id": {"$lt": 3}}, [{"$set": {"at": {"$literal": bson.Timestamp(0, 0)}}}])
    load(restored, source.dump(database=database.name).archive)
    assert restored[database.name].clock.find_one({"_id": 1})["at"] == bson.Timestamp(0, 0)
    assert hashes(restored, database.name) == hashes(client, database.name)


def test_more_documents_than_a_command_takes(
    source: Source, client: t.Any, restored: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_insert, "MOST_DOCUMENTS", 7)
    load(restored, source.dump(database=KINDS).archive)
    assert hashes(restored, KINDS) == hashes(client, KINDS)


@pytest.mark.parametrize("renamed", [False, True])
def test_an_oplog_brings_all_to_one_moment(
    source: Source, client: t.Any, database: t.Any, restored: t.Any, renamed: bool
) -> None:
    open_accounts(database)
    with transfers(client, database) as count:
        while count[0] < 5:
            pass
        dump = source.dump(consistency="oplog")
    target = "moved" if renamed else database.name
    report = load(restored, dump.archive, names=NamespaceMap(databases={database.name: target}))
    assert report.oplog is not None
    assert report.oplog.operations > 0
    assert total_on(restored[target]) == TOTAL


def test_collections_that_come_and_go_during_the_dump(source: Source, database: t.Any, restored: t.Any) -> None:
    """Made, indexed, dropped, a view, a time series, a large transaction: all by the oplog alone."""
    database.first.insert_many({"_id": number, "pad": "x" * 2000} for number in range(2000))
    database.create_collection("shown", viewOn="first", pipeline=[])

    def meanwhile() -> None:
        database.late.insert_many({"_id": number} for number in range(50))
        database.late.create_index("x", name="by x")
        database.gone.insert_one({"_id": 1})
        database.gone.drop()
        database.create_collection("seen", viewOn="late", pipeline=[])
        database.command("collMod", "late", validator={"y": {"$exists": True}}, validationLevel="moderate")
        database.create_collection("weather", timeseries={"timeField": "at"})
        room_for_a_large_transaction(database.client)
        with database.client.start_session() as session, session.start_transaction():
            for number in range(3):
                database.first.insert_one({"_id": f"t{number}", "pad": "y" * 9_000_000}, session=session)

    dump = source.dump(consistency="oplog", during=meanwhile)
    load(restored, dump.archive, names=NamespaceMap(databases={database.name: database.name}))
    made = restored[database.name]
    assert made.late.count_documents({}) == 50
    assert "by x" in made.late.index_information()
    assert made.first.count_documents({"_id": {"$regex": "^t"}}) == 3
    assert hashes(restored, database.name) == hashes(database.client, database.name)
    assert shape(restored, database.name) == shape(database.client, database.name)


def test_indexes_of_time_series_that_come_and_go_during_the_dump(
    source: Source, database: t.Any, restored: t.Any
) -> None:
    """The oplog knows the indexes of buckets only."""
    options = {"timeField": "at", "metaField": "sensor"}
    database.create_collection("weather", timeseries=options)
    database.weather.create_index([("gone", 1)], name="gone")
    database.weather.insert_one({"at": _NOW, "sensor": {"room": 1}, "v": 1})
    database.pad.insert_many({"_id": number, "pad": "x" * 2000} for number in range(2000))

    def meanwhile() -> None:
        database.weather.create_index([("v", -1)], name="by v")
        database.weather.create_index([("sensor.room", 1), ("at", -1)], name="by room")
        database.weather.drop_index("gone")
        database.command("collMod", "weather", index={"name": "by room", "hidden": True})
        database.create_collection("late", timeseries=options)
        database.late.create_index([("sensor", 1), ("v", 1)], name="late index")

    dump = source.dump(consistency="oplog", during=meanwhile)
    load(restored, dump.archive, names=NamespaceMap(databases={database.name: database.name}))
    assert set(restored[database.name].weather.index_information()) >= {"by v", "by room"}
    assert shape(restored, database.name) == shape(database.client, database.name)


def test_a_time_series_made_during_the_dump_is_refused_where_it_would_have_to_be_renamed(
    source: Source, database: t.Any, restored: t.Any
) -> None:
    database.pad.insert_many({"_id": number, "pad": "x" * 2000} for number in range(2000))
    database.create_collection("shown", viewOn="pad", pipeline=[])
    dump = source.dump(
        consistency="oplog", during=lambda: database.create_collection("late", timeseries={"timeField": "at"})
    )
    names = NamespaceMap(databases={database.name: database.name}, prefix="staged.")
    with pytest.raises(MongoOplogNotReplayable, match="made during the dump"):
        load(restored, dump.archive, names=names)


def test_an_update_of_a_document_that_is_gone_is_passed_over_when_its_deletion_comes(restored: t.Any) -> None:
    """A document was updated, then deleted, then its collection was read: some servers refuse such an update."""
    restored.t.x.insert_one({"_id": 1})

    class Strict:
        """The real server, told not to make what an update does not find: later releases do that by themselves."""

        def command(self, command: dict[str, t.Any]) -> t.Any:
            return restored.admin.command({**command, "alwaysUpsert": False})

    def operations() -> ApplyOps:
        return ApplyOps(types.SimpleNamespace(admin=Strict()))

    def update(key: int) -> bytes:
        return bson.encode({"op": "u", "ns": "t.x", "o": {"$v": 2, "diff": {"u": {"a": 1}}}, "o2": {"_id": key}})

    good = operations()
    for operation in (update(1), update(9), bson.encode({"op": "d", "ns": "t.x", "o": {"_id": 9}})):
        good.add("t.x", operation)
    good.flush()
    good.require_paid()
    assert list(restored.t.x.find()) == [{"_id": 1, "a": 1}]

    later = operations()
    later.add("t.x", update(9))
    later.flush()
    later.add("t.x", bson.encode({"op": "d", "ns": "t.x", "o": {"_id": 9}}))
    later.flush()
    later.require_paid()

    never = operations()
    never.add("t.x", update(9))
    never.flush()
    with pytest.raises(MongoOplogNotReplayable, match="1 documents"):
        never.require_paid()


def test_genuine_mongodump_archive(client: t.Any, replica_set: MongoReplicaSet, restored: t.Any) -> None:
    program = vendor_tools() / "mongodump"
    done = subprocess.run(
        [program, f"--uri={replica_set.uri}", f"--db={KINDS}", "--archive", "--quiet"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    load(restored, done.stdout)
    assert hashes(restored, KINDS) == hashes(client, KINDS)
    assert shape(restored, KINDS) == shape(client, KINDS)


def test_users_go_where_they_are_told(source: Source, database: t.Any, restored: t.Any) -> None:
    database.orders.insert_one({"_id": 1})
    database.command("createUser", "ann", pwd="x", roles=["read"])
    try:
        dump = source.dump(database=database.name)
    finally:
        database.command("dropAllUsersFromDatabase")
    report = load(restored, dump.archive, users_into="staged_people")
    try:
        assert report.users == 1
        assert [user["user"] for user in restored.admin["staged_people.users"].find()] == ["ann"]
        assert not restored[database.name].command("usersInfo")["users"]
    finally:
        restored.admin.drop_collection("staged_people.users")
        restored.admin.drop_collection("staged_people.roles")


def test_a_flipped_bit_and_a_cut_are_refused_and_no_thread_stays(source: Source, restored: t.Any) -> None:
    data = bytearray(source.dump(database=KINDS).archive.read_bytes())
    with pytest.raises(MongoArchiveInvalid):
        load(restored, bytes(data[: len(data) // 2]))
    restored.drop_database(KINDS)
    place = data.find(b"x" * 40)
    data[place] ^= 1
    with pytest.raises(MongoArchiveInvalid, match="checksum"):
        load(restored, bytes(data))
    assert [one.name for one in threading.enumerate() if one.name.startswith("mongodb insert")] == []


def test_a_document_that_is_there_already_fails_the_load(source: Source, client: t.Any, restored: t.Any) -> None:
    dump = source.dump(database=KINDS)
    load(restored, dump.archive)
    with pytest.raises(MongoLoadFailed):
        load(restored, dump.archive)
