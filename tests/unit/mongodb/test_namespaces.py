# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs into a dump, and what happened to collections in between."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoDatabaseMissing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.metadata import metadata_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import (
    Namespace,
    Scope,
    differences,
    require_found,
    users_and_roles_of,
)


def namespace(name: str, *, uuid: str | None = "11", type_name: str = "collection") -> Namespace:
    return Namespace(database="shop", name=name, type=type_name, uuid=uuid, source_database="shop", source_name=name)


@pytest.mark.parametrize(
    ("database", "name", "taken"),
    [
        ("shop", "orders", True),
        ("shop", "system.js", True),
        ("shop", "system.views", False),
        ("shop", "system.profile", False),
        ("shop", "system.buckets.weather", False),
        ("shop", "a$b", False),
        ("local", "oplog.rs", False),
        ("__mdb_internal_x", "a", False),
        ("config", "settings", True),
        ("config", "transactions", False),
        ("config", "system.sessions", False),
        ("admin", "system.users", True),
        ("admin", "system.roles", True),
        ("admin", "system.version", True),
        ("admin", "system.keys", False),
        ("admin", "notes", True),
    ],
)
def test_the_whole_instance_is_what_mongodump_takes(database: str, name: str, taken: bool) -> None:
    assert Scope().takes(database, name) is taken


def test_users_and_roles_can_stay_out() -> None:
    scope = Scope(users_and_roles=False)
    assert not scope.takes("admin", "system.users")
    assert not scope.takes("admin", "system.version")
    assert scope.takes("admin", "notes")


def test_one_database_and_patterns() -> None:
    scope = Scope(database="shop", include=("or*", "users"), exclude=("orders_old",))
    assert [name for name in ("orders", "orders_old", "users", "carts") if scope.takes("shop", name)] == [
        "orders",
        "users",
    ]
    assert not scope.takes("blog", "orders")
    whole = Scope(exclude=("shop.*",))
    assert (whole.takes("shop", "orders"), whole.takes("blog", "posts")) == (False, True)
    assert Scope().is_everything
    assert not whole.is_everything


def test_an_empty_dump_is_refused() -> None:
    with pytest.raises(MongoDatabaseMissing, match="The database shpo has no collections"):
        require_found([], scope=Scope(database="shpo"))
    with pytest.raises(MongoDatabaseMissing, match="No collection matches 'oders'"):
        require_found([namespace("orders")], scope=Scope(database="shop", include=("orders", "oders")))
    require_found([namespace("orders")], scope=Scope(database="shop", include=("ord*",)))


def test_differences() -> None:
    before = [namespace("a", uuid="1"), namespace("b", uuid="2"), namespace("c", uuid="3"), namespace("d", uuid="4")]
    after = [
        namespace("a", uuid="1"),
        namespace("b", uuid="9"),
        namespace("moved", uuid="3"),
        namespace("new", uuid="8"),
    ]
    assert differences(before, after) == (
        "shop.b was dropped and made anew",
        "shop.c was renamed to shop.moved",
        "shop.d was dropped",
    )
    assert differences(before, before) == ()
    assert differences(before, [*before, namespace("new", uuid="8")]) == ()
    changed_type = dataclasses.replace(before[0], type="view")
    assert differences(before[:1], [changed_type]) == ("shop.a was dropped and made anew",)


def test_users_of_one_database_as_mongodump_writes_them() -> None:
    users, roles, version = users_and_roles_of("shop")
    assert [one.name for one in (users, roles, version)] == [
        "$admin.system.users",
        "$admin.system.roles",
        "$admin.system.version",
    ]
    assert (users.query, roles.query, version.query) == ({"db": "shop"}, {"db": "shop"}, None)
    entry = users.archive_collection()
    assert (entry.database, entry.metadata, entry.type) == ("shop", "", "")
    assert all(one.is_about_users for one in (users, roles, version))


def test_metadata_is_canonical() -> None:
    text = metadata_text(
        options={"capped": True, "size": 4096, "validator": {"x": {"$gt": 1.0}}},
        indexes=[{"v": 2, "key": {"b": 1, "a": -1}, "name": "b_1_a_-1"}],
        uuid="ab" * 16,
        name="ördres",
        type_name="collection",
    )
    assert text == (
        '{"options":{"capped":true,"size":{"$numberInt":"4096"},"validator":{"x":{"$gt":{"$numberDouble":"1.0"}}}},'
        '"indexes":[{"v":{"$numberInt":"2"},"key":{"b":{"$numberInt":"1"},"a":{"$numberInt":"-1"}},"name":"b_1_a_-1"}],'
        f'"uuid":"{"ab" * 16}","collectionName":"ördres","type":"collection"}}'
    )


def test_metadata_of_a_time_series_has_no_uuid() -> None:
    text = metadata_text(options={}, indexes=[], uuid="ab" * 16, name="weather", type_name="timeseries")
    assert text == '{"indexes":[],"collectionName":"weather","type":"timeseries"}'
