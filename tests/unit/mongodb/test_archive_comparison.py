# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are whole in themselves and not what their manifest says."""

from __future__ import annotations

import functools
import io
import json
import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ContentMismatch,
    ManifestInvalid,
    MongoArchiveInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import ArchiveCollection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_comparison import (
    compare_archive,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_identity import tool_version
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_listing import list_archive
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.noted_content import noted_content
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import Check
from tests.support import mutations_mongodb as mutations
from tests.support.manifests import BACKUP_ID, manifest
from tests.unit.mongodb.archives import archive, collection, content_of

OTHER_ID = "20261120T020000Z-000000"
POSITION = {"t": 1000, "i": 1, "time": "1970-01-01T00:16:40Z"}


def entry(seconds: int) -> bytes:
    return bson.encode({"ts": bson.Timestamp(seconds, 1), "op": "n", "ns": "", "o": {}})


def indexed(name: str) -> ArchiveCollection:
    metadata = {
        "options": {"capped": True},
        "indexes": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}, {"v": 2, "key": {"a": 1}, "name": "a_1"}],
        "collectionName": name,
        "type": "collection",
    }
    return ArchiveCollection(
        database="shop", name=name, data_name=name, metadata=json.dumps(metadata), type="collection"
    )


def good() -> bytes:
    plain = archive(
        {
            indexed("orders"): [b"".join(bson.encode({"_id": number, "a": "x" * 5}) for number in range(50))],
            collection("users"): [bson.encode({"_id": "ann"})],
            collection("recent", type_name="view"): [],
            collection("weather", type_name="timeseries"): [bson.encode({"_id": 1, "control": {}})],
        }
    )
    return mutations.said_by(plain, tool_version=tool_version(BACKUP_ID))


def checks(data: bytes, content: t.Mapping[str, t.Any], *, backup_id: str = BACKUP_ID) -> list[Check]:
    noted = noted_content(manifest(backup_id=backup_id, content=content))
    return list(compare_archive(list_archive(io.BytesIO(data)), noted, backup_id=backup_id))


def states(found: t.Iterable[Check]) -> dict[str, str]:
    return {check.name: check.state for check in found}


def failed(data: bytes, content: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {check.name: check.message for check in checks(data, content) if check.state == "failed"}


def test_what_was_noted_is_what_is_there() -> None:
    found = checks(good(), content_of(good()))
    assert set(states(found).values()) == {"passed"}
    assert list(states(found)) == [
        "archive",
        "identity",
        "server version",
        "collections",
        "documents",
        "checksums",
        "options and indexes",
    ]
    json.dumps([check.as_dict() for check in found])


ORDERS = ("shop", "orders")


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        (mutations.empty, "documents", "shop.orders has 0 documents, not 50; shop.users has 0"),
        (mutations.half_the_rows, "documents", "shop.orders has 25 documents, not 50"),
        (mutations.one_value_changed, "checksums", "shop.orders has the CRC-64"),
        (mutations.value_repeated, "checksums", "shop.orders has the CRC-64"),
        (mutations.document_malformed, "checksums", "shop.orders has the CRC-64"),
        (mutations.without_collection, "missing collections", "lacks shop.orders"),
        (
            functools.partial(mutations.with_collection, name=("shop", "more")),
            "additional collections",
            "has shop.more, which the manifest does not name.",
        ),
        (
            functools.partial(mutations.without_index, of=ORDERS, index="a_1"),
            "options and indexes",
            "lacks indexes that the manifest names: shop.orders: a_1",
        ),
        (
            functools.partial(mutations.without_options, of=ORDERS),
            "options and indexes",
            "shop.orders has others than noted",
        ),
    ],
)
def test_each_difference_is_named(change: t.Callable[[bytes], bytes], name: str, message: str) -> None:
    data = good()
    altered = change(data)
    assert altered != data
    assert message in failed(altered, content_of(data))[name]


def test_an_archive_of_another_backup_is_no_archive_of_this_one() -> None:
    stale = mutations.said_by(good(), tool_version=tool_version(OTHER_ID))
    with pytest.raises(ContentMismatch, match=f"belongs to the backup {OTHER_ID}, not to {BACKUP_ID}"):
        checks(stale, content_of(stale))


def test_a_backup_under_a_new_name_is_noticed() -> None:
    with pytest.raises(ContentMismatch, match=f"belongs to the backup {BACKUP_ID}, not to {OTHER_ID}"):
        checks(good(), content_of(good()), backup_id=OTHER_ID)


def test_archives_that_name_no_backup_are_accepted() -> None:
    plain = mutations.said_by(good(), tool_version="100.10.0")
    assert states(checks(plain, content_of(plain)))["identity"] == "skipped"


@pytest.mark.parametrize("change", [mutations.of_another_database, mutations.without_any_collection])
def test_a_dump_of_another_database_is_refused(change: t.Callable[[bytes], bytes]) -> None:
    with pytest.raises(ContentMismatch, match=r"but .* is of shop"):
        checks(change(good()), content_of(good()))


def test_another_servers_archive_is_noticed() -> None:
    assert failed(good(), content_of(good(), server_version="5.0.1")) == {
        "server version": "The archive is of MongoDB 6.0.5, not of 5.0.1 as noted."
    }


def test_earlier_manifests_have_less_to_compare() -> None:
    content = content_of(good())
    for noted in content["databases"]["shop"].values():
        for later in ("indexes", "metadata_sha256", "crc64"):
            del noted[later]
        noted["documents"] = None
    found = states(checks(mutations.half_the_rows(good()), content))
    assert [found[name] for name in ("documents", "checksums", "options and indexes")] == ["skipped"] * 3


def test_what_came_while_mongodump_began_is_no_failure() -> None:
    content = content_of(good(), tool={"name": "mongodump", "version": "100.10.0"})
    more = mutations.with_collection(good(), name=("shop", "more"))
    assert states(checks(more, content))["additional collections"] == "skipped"


def test_users_and_roles_of_a_database_must_be_there() -> None:
    content = content_of(good(), database="shop", users_and_roles=True)
    assert failed(good(), content) == {
        "users and roles": "The archive lacks the database's users and roles, which the manifest names."
    }
    names = ("$admin.system.users", "$admin.system.roles", "$admin.system.version")
    whole = archive({**{collection(name): [] for name in names}, collection("orders"): []})
    found = states(checks(whole, content_of(whole, database="shop", users_and_roles=True)))
    assert found["users and roles"] == "passed"
    assert found["collections"] == "passed"


# --- the oplog --------------------------------------------------------------------------------------------------------


def with_oplog() -> bytes:
    entries = b"".join(entry(seconds) for seconds in (1000, 1001, 1002))
    return archive({collection("orders"): [], collection("oplog", database="", type_name=""): [entries]})


def consistency(**more: t.Any) -> dict[str, t.Any]:
    return {"mode": "oplog", "reason": "", **more}


def at(seconds: int) -> dict[str, t.Any]:
    return {**POSITION, "t": seconds}


def test_the_oplog_is_that_of_the_dump() -> None:
    captured = {"start": at(1000), "end": at(1002), "entries": 3}
    content = content_of(with_oplog(), consistency=consistency(oplog=captured))
    assert states(checks(with_oplog(), content))["oplog"] == "passed"
    assert "oplog" in failed(mutations.oplog_cut(with_oplog()), content)
    without = mutations.without_collection(with_oplog(), name=("", "oplog"))
    assert "oplog" in failed(without, content)


@pytest.mark.parametrize(("window", "state"), [((999, 1002), "passed"), ((1003, 1009), "failed"), ((1, 5), "failed")])
def test_mongodumps_oplog_ends_within_the_run(window: tuple[int, int], state: str) -> None:
    noted = consistency(not_before=at(window[0]), not_after=at(window[1]))
    content = content_of(with_oplog(), consistency=noted)
    assert states(checks(with_oplog(), content))["oplog"] == state


def test_an_oplog_entry_without_a_position_is_named() -> None:
    data = archive({collection("oplog", database="", type_name=""): [bson.encode({"op": "n"})]})
    with pytest.raises(MongoArchiveInvalid, match="oplog can't be read: an oplog entry has no ts"):
        list_archive(io.BytesIO(data))


# --- manifests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"databases": None},
        {"databases": []},
        {"databases": {"shop": [1]}},
        {"databases": {"shop": {"orders": {"crc64": "x"}}}},
        {"tool": "native"},
        {"tool": {"name": 5}},
        {"consistency": None},
        {"consistency": {"mode": "oplog", "oplog": {"start": 5}}},
        {"database": 5},
    ],
)
def test_a_content_of_something_else_is_named(changes: t.Mapping[str, t.Any]) -> None:
    with pytest.raises(ManifestInvalid, match="does not describe a MongoDB dump"):
        noted_content(manifest(content=content_of(good(), **changes)))
