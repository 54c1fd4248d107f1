# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps restored beside what is there and in its place: what comes back, what steps aside, what is refused."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.native_dump import NativeDump
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb import sample
from tests.integration.mongodb.load import TOTAL, open_accounts, total_on, transfers
from tests.integration.mongodb.restoring import RESTORE_ID, Restore, fingerprint, own_names
from tests.integration.mongodb.verifying import Place
from tests.support import resealing

KINDS = sample.KINDS
BEFORE = f"lifeboat_before_{RESTORE_ID}."
_NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
BETWEEN = f"lifeboat_between_{RESTORE_ID}."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("restore")
    return Place(repository=folder / "repository", scratch=folder, state=folder / "state")


@pytest.fixture(scope="module")
def backup(place: Place, replica_set: MongoReplicaSet) -> BackupFolder:
    """The database with a collection of every kind."""
    return place.back_up(replica_set.uri, database=KINDS)


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet() as servers:
        yield servers


@pytest.fixture
def there(target: MongoReplicaSet) -> t.Iterator[t.Any]:
    """A client of the target, which is empty."""
    with target.client() as client:
        yield client
        for name in client.list_database_names():
            if name not in ("admin", "config", "local"):
                client.drop_database(name)
        for name in client.admin.list_collection_names():
            if "lifeboat" in name:
                client.admin.drop_collection(name)


class Making(t.Protocol):
    def __call__(self, folder: BackupFolder | None = None, **options: t.Any) -> Restore: ...


@pytest.fixture
def restore(place: Place, backup: BackupFolder, target: MongoReplicaSet, tmp_path: Path) -> Making:
    def make(folder: BackupFolder | None = None, **options: t.Any) -> Restore:
        return Restore(
            repository=place.repository,
            folder=folder or backup,
            options={"connection": {"uri": target.uri, "server_selection_timeout": 5}, **options},
            state=tmp_path / "state",
        )

    return make


def of(found: t.Mapping[str, t.Any], database: str) -> dict[str, t.Any]:
    """What a fingerprint says of one database."""
    return {name.partition(".")[2]: value for name, value in found.items() if name.startswith(f"{database}.")}


def fill_old(client: t.Any) -> None:
    """A production database with some of the backup's names, and others."""
    old = client[KINDS]
    old.plain.insert_many({"_id": f"old {number}"} for number in range(30))
    old.plain.create_index("old")
    old.create_collection("capped", capped=True, size=5000)
    old.create_collection("mine")
    old.mine.insert_one({"_id": 1})
    old.create_collection("recent", viewOn="mine", pipeline=[{"$match": {"old": True}}])
    old.create_collection("odd", viewOn="mine", pipeline=[])  # the backup has a collection of this name
    old["system.js"].insert_one({"_id": "old", "value": 1})


# --- beside ---------------------------------------------------------------------------------------------------------


def test_into_an_empty_server(restore: Making, client: t.Any, there: t.Any) -> None:
    one = restore()
    inspection = one.inspect()
    assert inspection.replaces is None
    assert inspection.free_bytes
    assert 0 < inspection.needed_bytes < inspection.free_bytes
    assert fingerprint(there) == fingerprint(there)
    outcome = one.run()
    assert of(fingerprint(there), KINDS) == of(fingerprint(client), KINDS)
    assert outcome.aside == ()
    assert outcome.content["documents"] > 2000
    assert own_names(there) == []
    assert there[KINDS].strict.count_documents({"_id": "older than the validator"}) == 1
    one.roll_back()
    assert KINDS not in there.list_database_names()
    one.roll_back()


@pytest.mark.parametrize("options", [{"suffix": "_recovery"}, {"rename": {KINDS: "kinds_recovery"}}], ids=str)
def test_beside_production_under_another_name(
    restore: Making, client: t.Any, there: t.Any, options: dict[str, t.Any]
) -> None:
    fill_old(there)
    before = fingerprint(there)
    one = restore(**options)
    assert one.inspect().replaces is None
    one.run()
    found = fingerprint(there)
    assert of(found, "kinds_recovery") == of(fingerprint(client), KINDS)
    assert of(found, KINDS) == of(before, KINDS)
    one.roll_back()
    assert fingerprint(there) == before


def test_a_part(restore: Making, client: t.Any, there: t.Any) -> None:
    there[KINDS].plain.insert_one({"_id": "production"})
    wanted = [f"{KINDS}.german", f"{KINDS}.series", f"{KINDS}.recent"]
    one = restore(collections=wanted)
    assert ".german" in one.restorer().target
    one.run()
    assert sorted(of(fingerprint(there), KINDS)) == ["german", "plain", "recent", "series"]
    assert of(fingerprint(there), KINDS)["german"] == of(fingerprint(client), KINDS)["german"]
    assert there[KINDS].series.count_documents({}) == client[KINDS].series.count_documents({})
    assert there[KINDS].plain.count_documents({}) == 1
    one.roll_back()
    assert sorted(of(fingerprint(there), KINDS)) == ["plain"]


def test_one_database_of_a_whole_dump_with_an_oplog(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    client.other.things.insert_one({"_id": 1})
    try:
        folder = place.back_up(replica_set.uri, consistency="oplog")
    finally:
        client.drop_database("other")
    outcome = restore(folder, databases=[KINDS]).run()
    assert outcome.content["oplog"] is not None
    assert of(fingerprint(there), KINDS) == of(fingerprint(client), KINDS)
    assert "other" not in there.list_database_names()
    with pytest.raises(errors.RequestInvalid, match="no database shop"):
        restore(folder, databases=["shop"]).inspect()
    with pytest.raises(errors.RequestInvalid, match=r"no collection kinds\.nothing"):
        restore(folder, collections=["kinds.nothing"]).inspect()


def test_everything_under_transactions_comes_back_as_of_one_moment(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    """Also what came up while the dump ran, which only the oplog knows, goes where all goes."""
    accounts = client.accounts
    open_accounts(accounts)
    try:
        with transfers(client, accounts) as count:
            while count[0] < 5:
                time.sleep(0.01)
            folder = place.back_up(replica_set.uri, consistency="oplog")
    finally:
        client.drop_database("accounts")
    one = restore(folder, suffix="_r")
    assert "(*_r)" in one.restorer().target
    outcome = one.run()
    assert outcome.content["oplog"]["operations"] > 0
    assert total_on(there.accounts_r) == TOTAL
    assert {name for name in there.list_database_names() if name not in ("admin", "config", "local")} == {
        "accounts_r",
        f"{KINDS}_r",
    }


@pytest.mark.parametrize("in_the_way", [False, True])
def test_a_time_series_made_while_the_dump_ran(
    place: Place, restore: Making, client: t.Any, there: t.Any, in_the_way: bool
) -> None:
    """Only the oplog knows it, and it can't be renamed."""
    listing = NativeDump._moment
    fresh = client.fresh
    fresh.create_collection("shown", viewOn="none", pipeline=[])

    def meanwhile(dump: NativeDump) -> t.Any:
        found = listing(dump)
        fresh.create_collection("weather", timeseries={"timeField": "at", "metaField": "where"})
        fresh.weather.insert_many({"at": _NOW, "where": number} for number in range(5))
        fresh.weather.create_index([("where", 1), ("v", 1)], name="by v")
        return found

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(NativeDump, "_moment", meanwhile)
            folder = place.back_up(_uri_of(client), consistency="oplog")
        wanted = of(fingerprint(client), "fresh")
    finally:
        client.drop_database("fresh")
    one = restore(folder, databases=["fresh"], suffix="_r", in_place=True)
    if not in_the_way:
        one.run()
        assert of(fingerprint(there), "fresh_r") == wanted
        assert there.fresh_r.weather.count_documents({}) == 5
        one.roll_back()
        assert of(fingerprint(there), "fresh_r") == {}
        return
    there.fresh_r.create_collection("weather", timeseries={"timeField": "other"})
    before = fingerprint(there)
    with pytest.raises(errors.RestoreTargetInvalid, match="exists already"):
        one.run()
    assert fingerprint(there) == before, "empty, but not ours"


def _uri_of(client: t.Any) -> str:
    host, port = client.address
    return f"mongodb://{host}:{port}/?replicaSet=rs0"


def test_into_a_server_of_its_own(restore: Making, standalone: MongoServer, client: t.Any) -> None:
    one = restore(suffix="_r")
    one.options = {**one.options, "connection": {"uri": standalone.uri, "server_selection_timeout": 5}}
    one.run()
    with standalone.client() as there:
        assert of(fingerprint(there), f"{KINDS}_r") == of(fingerprint(client), KINDS)
        one.roll_back()
        assert of(fingerprint(there), f"{KINDS}_r") == {}


def test_being_told_to_stop_takes_everything_back(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    client.big.pile.insert_many({"_id": number, "pad": "x" * 5000} for number in range(4000))
    try:
        folder = place.back_up(replica_set.uri, database="big")
    finally:
        client.drop_database("big")
    there.big.pile.insert_one({"_id": "old"})
    before = fingerprint(there)
    threads = set(threading.enumerate())

    def stop() -> None:
        staged = there.big[f"lifeboat_{RESTORE_ID}.pile"]
        while staged.estimated_document_count() < 100:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=stop)
    killer.start()
    with pytest.raises(errors.Interrupted), stopping_on_signals():
        restore(folder, in_place=True).run()
    killer.join()
    assert fingerprint(there) == before
    ours = [one.name for one in set(threading.enumerate()) - threads if one.name.startswith("mongodb")]
    assert ours == []


def test_existing_names_are_refused_and_nothing_is_touched(restore: Making, there: t.Any) -> None:
    fill_old(there)
    before = fingerprint(there)
    with pytest.raises(errors.RestoreTargetInvalid) as refused:
        restore().inspect()
    assert f"{KINDS}.plain" in refused.value.details["collections"]
    assert f"{KINDS}.mine" not in refused.value.details["collections"]
    assert "suffix" in refused.value.hint
    assert "in_place" in refused.value.hint
    assert fingerprint(there) == before


def test_a_name_that_comes_up_meanwhile_fails_a_restore_beside(restore: Making, there: t.Any) -> None:
    one = restore()
    with pytest.raises(errors.RestoreTargetInvalid, match="was not there"):
        one.run(before={"check": lambda: there[KINDS].plain.insert_one({"_id": "mine"})})
    assert sorted(of(fingerprint(there), KINDS)) == ["plain"]
    assert there[KINDS].plain.find_one() == {"_id": "mine"}


# --- in place -------------------------------------------------------------------------------------------------------


def test_in_place_and_back_again(restore: Making, client: t.Any, there: t.Any) -> None:
    fill_old(there)
    before = fingerprint(there)
    one = restore(in_place=True)
    inspection = one.inspect()
    assert inspection.replaces == one.restorer().target
    assert f"{KINDS}.plain -> {KINDS}.{BEFORE}plain" in inspection.moves
    assert any(f"{KINDS}.mine" in warning for warning in inspection.warnings)
    assert fingerprint(there) == before
    outcome = one.run()
    found = of(fingerprint(there), KINDS)
    wanted = of(fingerprint(client), KINDS)
    assert {name: found[name] for name in wanted} == wanted
    assert set(found) - set(wanted) == {"mine", f"{BEFORE}plain", f"{BEFORE}capped", f"{BEFORE}system%js"}
    assert f"collection {KINDS}.{BEFORE}plain" in outcome.aside
    one.roll_back()
    assert fingerprint(there) == before


def test_what_was_moved_aside_is_removed_on_request(restore: Making, there: t.Any) -> None:
    fill_old(there)
    one = restore(in_place=True)
    one.run()
    assert len(one.discard()) == 3
    assert own_names(there) == []
    assert there[KINDS].plain.count_documents({}) == 2000
    assert there[KINDS].mine.count_documents({}) == 1


def test_everything_else_steps_aside_on_request(restore: Making, client: t.Any, there: t.Any) -> None:
    fill_old(there)
    there[KINDS].create_collection("old view", viewOn="mine", pipeline=[])
    before = fingerprint(there)
    one = restore(in_place=True, others="aside")
    one.run()
    names = {name for name in of(fingerprint(there), KINDS) if not name.startswith("lifeboat_before")}
    assert names == set(of(fingerprint(client), KINDS))
    assert there[KINDS][f"{BEFORE}mine"].count_documents({}) == 1
    one.roll_back()
    assert fingerprint(there) == before


def test_what_applications_make_in_the_middle_is_kept(restore: Making, there: t.Any) -> None:
    fill_old(there)
    one = restore(in_place=True)

    def meanwhile() -> None:
        there[KINDS].german.insert_one({"_id": "by an application"})
        there[KINDS].drop_collection("plain")
        there[KINDS].plain.insert_one({"_id": "by an application"})

    with pytest.raises(errors.RestoreRollBackFailed, match="is gone"):
        # The old collection was removed by somebody: nobody may say that it is in its place again.
        one.run(before={"exchange": meanwhile, "make views": _fail})
    assert there[KINDS][f"{BETWEEN}plain"].find_one() == {"_id": "by an application"}
    assert there[KINDS].plain.count_documents({}) == 2000


def test_a_collection_made_in_the_middle_steps_aside_and_comes_back(restore: Making, there: t.Any) -> None:
    there[KINDS].plain.insert_one({"_id": "old"})
    one = restore(in_place=True)
    outcome = one.run(before={"exchange": lambda: there[KINDS].german.insert_one({"_id": "new"})})
    assert there[KINDS][f"{BETWEEN}german"].find_one() == {"_id": "new"}
    assert there[KINDS].german.count_documents({}) == 200
    assert any("german" in warning for warning in outcome.warnings)
    one.roll_back()
    assert sorted(of(fingerprint(there), KINDS)) == ["german", "plain"]
    assert there[KINDS].german.find_one() == {"_id": "new"}


def _fail() -> None:
    raise errors.MongoLoadFailed("injected")


@pytest.mark.parametrize("step", ["check", "remove views", "exchange", "make views", "tidy"])
def test_a_failing_step_is_put_back(restore: Making, there: t.Any, step: str) -> None:
    fill_old(there)
    before = fingerprint(there)
    with pytest.raises(errors.MongoLoadFailed, match="injected"):
        restore(in_place=True).run(before={step: _fail})
    assert fingerprint(there) == before


def test_time_series_in_the_way_are_refused(restore: Making, there: t.Any) -> None:
    there[KINDS].create_collection("series", timeseries={"timeField": "at"})
    with pytest.raises(errors.RestoreTargetInvalid, match="can't rename") as refused:
        restore(in_place=True).inspect()
    assert "suffix" in refused.value.hint
    there[KINDS].drop_collection("series")
    there[KINDS].create_collection("plain", timeseries={"timeField": "at"})
    with pytest.raises(errors.RestoreTargetInvalid, match="moved aside"):
        restore(in_place=True).inspect()


def test_a_time_series_that_somebody_made_meanwhile_is_not_removed(restore: Making, there: t.Any) -> None:
    one = restore()

    def meanwhile() -> None:
        there[KINDS].create_collection("series", timeseries={"timeField": "at"})
        there[KINDS].series.insert_one({"at": _NOW, "mine": True})

    with pytest.raises(errors.RestoreTargetInvalid, match="exists already"):
        one.run(before={"load": meanwhile})
    assert sorted(of(fingerprint(there), KINDS)) == ["series"]
    assert there[KINDS].series.count_documents({"mine": True}) == 1


# --- refusals -------------------------------------------------------------------------------------------------------


def test_counts_that_differ_are_refused_before_anything_takes_a_name(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    client.counted.orders.insert_many({"_id": number} for number in range(10))
    try:
        folder = place.back_up(replica_set.uri, database="counted")
    finally:
        client.drop_database("counted")

    def change(document: dict[str, t.Any]) -> None:
        document["content"]["databases"]["counted"]["orders"]["documents"] = 11

    resealing.mutate_manifest(place.repository, folder, change)
    there.counted.orders.insert_one({"_id": "old"})
    before = fingerprint(there)
    with pytest.raises(errors.RestoreIncomplete, match="10 documents were loaded, and the manifest says 11"):
        restore(folder, in_place=True).run()
    assert fingerprint(there) == before


def test_documents_that_vanish_after_the_load_are_noticed(restore: Making, there: t.Any) -> None:
    staged = f"lifeboat_{RESTORE_ID}.plain"
    with pytest.raises(errors.RestoreIncomplete, match="1999 documents, and 2000 were loaded"):
        restore().run(before={"check": lambda: there[KINDS][staged].delete_one({"_id": 7})})
    assert KINDS not in there.list_database_names()


def test_old_manifests(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    """As the first releases wrote them, without what later ones noted."""
    folder = place.back_up(replica_set.uri, database=KINDS)

    def older(document: dict[str, t.Any]) -> None:
        for entry in document["content"]["databases"][KINDS].values():
            for key in ("indexes", "metadata_sha256", "bytes", "crc64", "type", "uuid"):
                entry.pop(key, None)
        document["content"].pop("feature_compatibility_version")

    resealing.mutate_manifest(place.repository, folder, older)
    restore(folder).run()
    assert of(fingerprint(there), KINDS) == of(fingerprint(client), KINDS)


def test_a_backup_of_a_later_release_is_refused(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any
) -> None:
    client.later.orders.insert_one({"_id": 1})
    try:
        folder = place.back_up(replica_set.uri, database="later")
    finally:
        client.drop_database("later")
    resealing.mutate_manifest(
        place.repository, folder, lambda document: document["content"].update(feature_compatibility_version="8.0")
    )
    with pytest.raises(errors.RestoreVersionMismatch, match=r"8\.0"):
        restore(folder).inspect()


def test_a_flipped_bit_leaves_nothing(
    place: Place, replica_set: MongoReplicaSet, restore: Making, there: t.Any, client: t.Any
) -> None:
    folder = place.back_up(replica_set.uri, database=KINDS)

    def flip(data: bytes) -> bytes:
        where = data.find(b"x" * 40)
        return data[:where] + b"y" + data[where + 1 :]

    resealing.mutate_payload(place.repository, folder, "dump.archive", flip)
    with pytest.raises(errors.MongoArchiveInvalid, match="checksum"):
        restore(folder).run()
    assert KINDS not in there.list_database_names()


# --- particular data ------------------------------------------------------------------------------------------------


def test_an_encrypted_payload(
    replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True, timeout=30)
    recipient = subprocess.run(["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True, timeout=30)
    private = Place(repository=tmp_path / "repository", scratch=tmp_path, state=tmp_path / "backup-state")
    folder = private.back_up(replica_set.uri, recipient=recipient.stdout.strip(), database=KINDS)
    one = restore(folder)
    one.repository = private.repository
    with pytest.raises(errors.IdentityMissing):
        one.inspect()
    one.identity_file = str(key)
    one.run()
    assert of(fingerprint(there), KINDS) == of(fingerprint(client), KINDS)


def test_a_collection_with_encrypted_fields(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    """Later servers don't rename such a collection, so it goes to its own name at once."""
    fields = {"fields": [{"path": "ssn", "bsonType": "string", "keyId": bson.Binary(b"1" * 16, 4)}]}
    client.hidden.command({"create": "people", "encryptedFields": fields})
    document = {"_id": 1, "ssn": bson.Binary(b"\x07abc", 6), "__safeContent__": [b"1" * 32]}
    client.hidden.command({"insert": "people", "documents": [document], "bypassDocumentValidation": True})
    client.hidden.plain.insert_one({"_id": 1})
    try:
        folder = place.back_up(replica_set.uri, database="hidden")
        wanted = of(fingerprint(client), "hidden")
    finally:
        client.drop_database("hidden")
    one = restore(folder)
    one.run()
    assert of(fingerprint(there), "hidden") == wanted
    with pytest.raises(errors.RestoreTargetInvalid, match="encrypted collection"):
        restore(folder, in_place=True).inspect()
    one.roll_back()
    assert of(fingerprint(there), "hidden") == {}


def test_documents_that_expire_are_missed_by_nobody(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    """The target's server removes them as soon as their index is there: that is no loss of ours."""
    client.admin.command({"setParameter": 1, "ttlMonitorEnabled": False})
    try:
        client.expiring.sessions.insert_many({"_id": number, "at": _NOW} for number in range(20))
        client.expiring.sessions.create_index("at", expireAfterSeconds=60)
        folder = place.back_up(replica_set.uri, database="expiring")
    finally:
        client.drop_database("expiring")
        client.admin.command({"setParameter": 1, "ttlMonitorEnabled": True})
    one = restore(folder)
    assert any("expiring.sessions" in warning for warning in one.inspect().warnings)
    staged = f"lifeboat_{RESTORE_ID}.sessions"
    outcome = one.run(before={"check": lambda: there.expiring[staged].delete_many({"_id": {"$lt": 5}})})
    assert outcome.content["expired"] >= 5


def test_a_secondary_is_no_target(restore: Making, target: MongoReplicaSet, there: t.Any) -> None:
    del there
    one = restore()
    uri = f"mongodb://127.0.0.1:{target.port}/?directConnection=true"
    one.options = {**one.options, "connection": {"uri": uri, "server_selection_timeout": 5}}
    one.inspect()
    with target.nodes[0].client() as node:
        node.admin.command({"replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 0, "force": True})
        try:
            with pytest.raises(errors.RestoreTargetInvalid, match="not the primary"):
                one.inspect()
        finally:
            node.admin.command({"replSetFreeze": 0})
            while not node.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.05)
