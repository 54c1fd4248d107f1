# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a dump is what is on the server: every kind of collection, byte by byte."""

from __future__ import annotations

import json
import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoDatabaseMissing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import splitting
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_identity import backup_id_in
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.collection_details import with_details
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.content import metadata_sha256
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import Scope, list_namespaces
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.raw_reader import read_raw
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb.rig import BACKUP_ID, Source, split_documents, stored_documents
from tests.integration.mongodb.sample import KINDS, NAMES, ODD


@pytest.mark.smoke
def test_every_document_of_every_kind_is_there_byte_by_byte(source: Source, client: t.Any) -> None:
    dump = source.dump(database=KINDS)
    archive = dump.read()
    assert {one.name for one in archive.prelude.collections if "$" not in one.name} == set(NAMES)
    for name in NAMES:
        data_name = "system.buckets.series" if name == "series" else name
        expected = [] if name == "recent" else stored_documents(client, KINDS, data_name)
        assert sorted(archive.documents[KINDS, data_name]) == sorted(expected), name


def test_odd_documents_pass_unchanged(source: Source) -> None:
    archive = source.dump(database=KINDS).read()
    assert archive.documents[KINDS, "odd"] == [bytes(document.raw) for document in ODD]


def test_options_and_indexes_are_kept(source: Source, client: t.Any) -> None:
    archive = source.dump(database=KINDS).read()

    def metadata(name: str) -> dict[str, t.Any]:
        parsed: dict[str, t.Any] = json.loads(archive.collection(KINDS, name).metadata)
        return parsed

    assert metadata("capped")["options"]["max"] == {"$numberInt": "5000"}
    assert metadata("series")["type"] == "timeseries"
    assert metadata("series")["options"]["timeseries"]["metaField"] == "sensor"
    assert metadata("clustered")["options"]["clusteredIndex"]["name"] == "by id"
    assert metadata("german")["options"]["collation"]["locale"] == "de"
    assert metadata("strict")["options"]["validator"] == {"$jsonSchema": {"required": ["name"]}}
    assert metadata("recent") == {
        "options": {"viewOn": "plain", "pipeline": [{"$match": {"_id": {"$gt": {"$numberInt": "1990"}}}}]},
        "indexes": [],
        "collectionName": "recent",
        "type": "view",
    }
    assert [index["name"] for index in metadata("plain")["indexes"]] == ["_id_", "by text", "unique_1"]
    assert [index["name"] for index in metadata("empty")["indexes"]] == ["_id_", "nothing_1"]
    (listed,) = client[KINDS].list_collections(filter={"name": "plain"})
    assert metadata("plain")["uuid"] == bytes(listed["info"]["uuid"]).hex()


def test_the_content_describes_the_dump(source: Source, client: t.Any, replica_set: MongoReplicaSet) -> None:
    content = source.dump(database=KINDS).content
    assert content["replica_set"] == "rs0"
    assert len(content["replica_set_id"]) == 24
    assert content["server"] == replica_set.nodes[0].address
    assert content["server_role"] == "primary"
    assert content["server_version"] == client.server_info()["version"]
    assert content["feature_compatibility_version"] == "6.0"
    assert content["tool"]["name"] == "native"
    collections = content["databases"][KINDS]
    plain = stored_documents(client, KINDS, "plain")
    assert collections["plain"]["documents"] == 2000
    assert collections["plain"]["bytes"] == sum(len(document) for document in plain)
    recent = {name: value for name, value in collections["recent"].items() if name != "metadata_sha256"}
    assert recent == {"documents": 0, "bytes": 0, "uuid": None, "type": "view", "crc64": "0" * 16, "indexes": []}
    assert collections["plain"]["indexes"] == ["_id_", "by text", "unique_1"]
    cluster_time = content["consistency"]["cluster_time"]
    assert cluster_time["time"].endswith("Z")
    assert (cluster_time["t"] > 0, cluster_time["i"] > 0) == (True, True)


def test_the_archive_says_which_backup_it_belongs_to(source: Source) -> None:
    archive = source.dump(database=KINDS).read()
    assert archive.prelude.tool_version == f"100.10.0+lifeboat.{BACKUP_ID}"
    assert backup_id_in(archive.prelude.tool_version) == BACKUP_ID


def test_the_content_covers_options_and_indexes(source: Source) -> None:
    dump = source.dump(database=KINDS)
    archive = dump.read()
    for name, noted in dump.content["databases"][KINDS].items():
        assert noted["metadata_sha256"] == metadata_sha256(archive.collection(KINDS, name).metadata)


def test_inspecting_changes_nothing_and_says_what_will_be_done(source: Source) -> None:
    inspection = source.producer(database=KINDS).inspect()
    assert inspection.expected_bytes > 100_000
    assert inspection.facts["version"] == "6.0.5"
    assert inspection.facts["snapshot_history_seconds"] == 300
    assert inspection.facts["members"][0]["role"] == "PRIMARY"
    assert inspection.facts["oplog_hours"] is not None
    assert "consistency: snapshot" in inspection.steps[1]
    assert "kinds.capped" in inspection.steps[2]
    assert list(source.folder.iterdir()) == []


@pytest.mark.smoke
def test_the_whole_instance_and_its_order(source: Source, client: t.Any) -> None:
    client.admin.command("createUser", "order", pwd="x", roles=[])
    try:
        dump = source.dump()
    finally:
        client.admin.command("dropUser", "order")
    archive = dump.read()
    names = {(one.database, one.name) for one in archive.prelude.collections}
    assert {("admin", "system.users"), ("admin", "system.version"), ("", "oplog"), (KINDS, "plain")} <= names
    assert not any(database in ("local", "config") for database, _name in names)
    assert not any(name in ("system.keys", "system.views", "system.profile") for _database, name in names)
    # mongorestore waits for ever, or refuses, when users aren't first or the oplog isn't last.
    events = [event for event in archive.order if event[1] == "admin" and event[2].startswith("system.")]
    assert archive.order[: len(events)] == events
    assert archive.order[-1] == ("end", "", "oplog")
    assert {event[1:] for event in archive.order[archive.order.index(("documents", "", "oplog")) :]} == {("", "oplog")}
    assert dump.content["consistency"]["mode"] == "oplog"


def test_no_more_collections_are_open_than_mongorestore_has_workers(
    source: Source, database: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "SMALLEST_PART", 10_000)
    for number in range(12):
        database[f"c{number}"].insert_many({"_id": key, "x": "y" * 100} for key in range(50 if number else 20_000))
    dump = source.dump(database=database.name, parallel=3)
    archive = dump.read()
    open_now: set[str] = set()
    most = 0
    for event, _database, name in archive.order:
        if event == "documents":
            open_now.add(name)
            most = max(most, len(open_now))
        else:
            open_now.discard(name)
    assert most <= archive.prelude.concurrent_collections == 3
    assert dump.content["databases"][database.name]["c0"]["documents"] == 20_000


def test_a_large_collection_read_in_parts_is_whole(
    source: Source, database: t.Any, client: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "SMALLEST_PART", 10_000)
    asked: list[int] = []
    genuine = splitting.split

    def split(*arguments: t.Any, **options: t.Any) -> t.Any:
        ranges = genuine(*arguments, **options)
        asked.append(len(ranges))
        return ranges

    monkeypatch.setattr(splitting, "split", split)
    database.large.insert_many({"_id": number * 3, "x": "y" * 100} for number in range(20_000))
    archive = source.dump(database=database.name, parallel=4).read()
    assert asked[0] > 2
    assert sorted(archive.documents[database.name, "large"]) == sorted(stored_documents(client, database.name, "large"))


@pytest.mark.parametrize("parts", [2, 5, 16])
def test_parts_of_a_collection_with_ids_of_all_types_are_whole(client: t.Any, parts: int) -> None:
    (mixed,) = with_details(client, list_namespaces(client, scope=Scope(database=KINDS, include=("mixed",))))
    ranges = splitting.split(client, mixed, parts=parts, any_type=True)
    assert len(ranges) == parts + 1  # MaxKey is left out of a range without an upper bound
    found: list[bytes] = []
    for part in ranges:
        for batch in read_raw(client, mixed, part=part):
            found += split_documents(batch.documents)
    assert sorted(found) == sorted(stored_documents(client, KINDS, "mixed"))


def test_random_keys_are_not_read_in_their_order(client: t.Any) -> None:
    (mixed,) = with_details(client, list_namespaces(client, scope=Scope(database=KINDS, include=("mixed",))))
    assert splitting.split(client, mixed, parts=4) == (splitting.WHOLE,)


def test_many_small_batches_lose_nothing(client: t.Any) -> None:
    (plain,) = with_details(client, list_namespaces(client, scope=Scope(database=KINDS, include=("plain",))))
    batches = list(read_raw(client, plain, batch_bytes=1000))
    assert len(batches) > 100
    assert sum(batch.count for batch in batches) == 2000
    assert b"".join(batch.documents for batch in batches) == b"".join(stored_documents(client, KINDS, "plain"))


def test_include_and_exclude(source: Source) -> None:
    dump = source.dump(database=KINDS, collections={"include": ["c*", "plain"], "exclude": ["capped"]})
    assert set(dump.content["databases"][KINDS]) == {"clustered", "plain"}
    with pytest.raises(MongoDatabaseMissing, match="'plane'"):
        source.producer(database=KINDS, collections={"include": ["plain", "plane"]}).inspect()


def test_a_database_that_is_not_there_is_refused(source: Source) -> None:
    with pytest.raises(MongoDatabaseMissing, match="The database kindz has no collections"):
        source.dump(database="kindz")


@pytest.mark.parametrize("included", [True, False])
def test_users_and_roles_of_one_database(source: Source, database: t.Any, included: bool) -> None:
    database.orders.insert_one({"_id": 1})
    database.command("createRole", "seller", privileges=[], roles=[])
    database.command("createUser", "ann", pwd="x", roles=["seller"])
    try:
        archive = source.dump(database=database.name, users_and_roles=included).read()
    finally:
        database.command("dropAllUsersFromDatabase")
        database.command("dropAllRolesFromDatabase")
    names = [one.name for one in archive.prelude.collections]
    if not included:
        assert names == ["orders"]
        return
    assert names == ["orders", "$admin.system.users", "$admin.system.roles", "$admin.system.version"]
    (user,) = archive.documents[database.name, "$admin.system.users"]
    assert bson.decode(user)["user"] == "ann"
    (role,) = archive.documents[database.name, "$admin.system.roles"]
    assert bson.decode(role)["role"] == "seller"
    assert [event[2].startswith("$admin.") for event in archive.order[:3]] == [True] * 3


def test_a_standalone_without_consistency(standalone: MongoServer, tmp_path: t.Any) -> None:
    dump = Source(uri=standalone.uri, folder=tmp_path / "dump").dump(consistency="none")
    assert dump.content["databases"]["shop"]["orders"]["documents"] == 100
    assert dump.content["replica_set"] is None
    assert dump.content["consistency"]["mode"] == "none"


def test_memory_is_bounded_by_the_queue_not_by_the_data(source: Source, database: t.Any) -> None:
    # 15 MB documents: a batch is one document, and the queue holds one more than its bound at most.
    database.large.insert_many({"_id": number, "x": b"y" * 15_000_000} for number in range(4))
    dump = source.dump(database=database.name)
    assert dump.content["databases"][database.name]["large"]["documents"] == 4
