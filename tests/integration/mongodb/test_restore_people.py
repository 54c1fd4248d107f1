# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and roles of a dump, and restores as users who may do just enough, or not enough."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pymongo
import pymongo.errors
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.restoring import Restore, fingerprint, own_names
from tests.integration.mongodb.rig import SECRET
from tests.integration.mongodb.verifying import Place

ROLES = ("restore", "readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor")


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    """With authentication; the user restorer has the documented roles."""
    with MongoReplicaSet(password=SECRET) as servers:
        servers.create_user("restorer", SECRET, [*ROLES, "backup"])
        yield servers


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory, guarded: MongoReplicaSet) -> tuple[Path, BackupFolder]:
    """Everything of a server with users in two databases, one of them called as the one who restores."""
    folder = tmp_path_factory.mktemp("people")
    place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
    with guarded.client() as client:
        client.shop.command("createRole", "seller", privileges=[], roles=["read"])
        client.shop.command("createUser", "ann", pwd="from the backup", roles=["seller"])
        client.shop.command("createUser", "bob", pwd="from the backup", roles=["read"])
        client.stock.boxes.insert_one({"_id": 1})
        client.stock["system.js"].insert_one({"_id": "new", "value": 1})
        client.stock.create_collection("shown", viewOn="boxes", pipeline=[])
        client.stock.create_collection("weather", timeseries={"timeField": "at", "metaField": "where"})
        client.stock.weather.insert_one({"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "where": 1})
        client.stock.command("createUser", "cid", pwd="from the backup", roles=["read"])
        client.admin.command("createUser", "restorer", pwd="another", roles=["read"])
        try:
            return place.repository, place.back_up(guarded.uri)
        finally:
            client.shop.command("dropAllUsersFromDatabase")
            client.shop.command("dropAllRolesFromDatabase")
            client.stock.command("dropAllUsersFromDatabase")
            client.drop_database("stock")
            client.admin.command("dropUser", "restorer")


@pytest.fixture
def there(target: MongoReplicaSet) -> t.Iterator[t.Any]:
    with target.client() as client:
        client.shop.command("createUser", "ann", pwd="of the target", roles=["readWrite"])
        client.shop.command("createUser", "dan", pwd="of the target", roles=["read"])
        yield client
        for name in ("shop", "stock"):
            client[name].command("dropAllUsersFromDatabase")
            client[name].command("dropAllRolesFromDatabase")
            client.drop_database(name)


def restore(backup: tuple[Path, BackupFolder], uri: str, folder: Path, **options: t.Any) -> Restore:
    return Restore(
        repository=backup[0],
        folder=backup[1],
        options={"connection": {"uri": uri, "server_selection_timeout": 5}, **options},
        state=folder / "state",
    )


def may_log_in(target: MongoReplicaSet, database: str, user: str, password: str) -> bool:
    with pymongo.MongoClient(
        host="127.0.0.1", port=target.port, username=user, password=password, authSource=database, directConnection=True
    ) as client:
        try:
            client[database].command("ping")
        except pymongo.errors.OperationFailure:
            return False
        return True


def test_users_come_back_and_go_again(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    one = restore(backup, target.uri_of("restorer", SECRET), tmp_path, users_and_roles=True)
    inspection = one.inspect()
    assert inspection.replaces == one.restorer().target
    assert SECRET not in json.dumps([inspection.facts, inspection.steps, one.restorer().target], default=str)
    outcome = one.run()
    assert outcome.content["users"] >= 3
    assert may_log_in(target, "shop", "ann", "from the backup")
    assert may_log_in(target, "stock", "cid", "from the backup")
    assert may_log_in(target, "shop", "dan", "of the target"), "who is not in the backup stays"
    assert may_log_in(target, "admin", "restorer", SECRET), "who restores keeps the password of the target"
    ledger = (tmp_path / "state" / "restores" / f"{one.restore_id}.json").read_text()
    assert "shop.ann" in ledger
    assert "storedKey" not in ledger
    assert SECRET not in ledger.replace(target.uri_of("restorer", SECRET), "")
    assert any("people_before" in name for name in outcome.aside)

    one.roll_back()
    assert may_log_in(target, "shop", "ann", "of the target")
    assert not may_log_in(target, "stock", "cid", "from the backup")
    assert may_log_in(target, "shop", "dan", "of the target")
    assert own_names(there) == []


def test_the_documented_roles_are_enough_for_every_kind_of_collection(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    target.create_user("worker", SECRET, list(ROLES))
    there.stock.boxes.insert_one({"_id": "old"})
    there.stock["system.js"].insert_one({"_id": "old", "value": 1})
    there.stock.create_collection("shown", viewOn="other", pipeline=[])
    before = fingerprint(there)
    one = restore(backup, target.uri_of("worker", SECRET), tmp_path, databases=["stock"], in_place=True)
    one.run()
    assert there.stock.shown.count_documents({}) == there.stock.weather.count_documents({}) == 1
    assert [document["_id"] for document in there.stock["system.js"].find()] == ["new"]
    one.roll_back()
    assert fingerprint(there) == before


def test_those_of_one_database(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    uri = target.uri_of("restorer", SECRET)
    one = restore(backup, uri, tmp_path, users_and_roles=True, databases=["shop"])
    one.run()
    assert may_log_in(target, "shop", "bob", "from the backup")
    assert not there.stock.command("usersInfo")["users"]
    one.discard()
    assert own_names(there) == []


def test_users_are_left_alone_unless_asked_for(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    one = restore(backup, target.uri_of("restorer", SECRET), tmp_path, suffix="_recovery")
    assert any("users_and_roles" in warning for warning in one.inspect().warnings) is True
    one.run()
    assert may_log_in(target, "shop", "ann", "of the target")
    assert not there.shop.command("usersInfo", "bob")["users"]
    one.roll_back()


def test_a_user_without_the_rights_is_refused_before_anything_is_changed(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    target.create_user("poor", SECRET, ["restore", "clusterMonitor"])
    one = restore(backup, target.uri_of("poor", SECRET), tmp_path, databases=["shop"])
    with pytest.raises(errors.MongoNotAuthorised, match="renameCollectionSameDB") as refused:
        one.inspect()
    for role in ROLES:
        assert role in refused.value.hint
    assert own_names(there) == []


def test_whoever_may_not_read_users_is_refused(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    del there
    target.create_user("middling", SECRET, list(ROLES))
    one = restore(backup, target.uri_of("middling", SECRET), tmp_path, databases=["shop"], users_and_roles=True)
    with pytest.raises(errors.MongoNotAuthorised, match="copy") as refused:
        one.inspect()
    assert "backup" in refused.value.hint


def test_a_uri_by_value_is_asked_for_again(
    backup: tuple[Path, BackupFolder], target: MongoReplicaSet, there: t.Any, tmp_path: Path
) -> None:
    """Notes keep no secrets; without its URI a restore of then would be taken back on the server of this host."""
    del there
    one = restore(backup, target.uri_of("restorer", SECRET), tmp_path, databases=["stock"])
    one.run()
    forgetful = Restore(repository=one.repository, folder=one.folder, options={"databases": ["stock"]}, state=one.state)
    with pytest.raises(errors.RestoreLedgerInvalid, match=r"went into stock at") as refused:
        forgetful.roll_back()
    assert "connection.uri" in refused.value.hint
    one.roll_back()
