# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An oplog entry that mongorestore can't replay is found at capture."""

from __future__ import annotations

import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.bson_bytes import MalformedBson
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_lint import entry_time, objection


def entry(op: str, ns: str, o: dict[str, t.Any]) -> bytes:
    return bson.encode(
        {"op": op, "ns": ns, "ui": bson.Binary(b"1" * 16, 4), "o": o, "ts": bson.Timestamp(5, 6), "v": 2}
    )


def verdict(op: str, ns: str, o: dict[str, t.Any], *, users: bool = True, views: t.Collection[str] = ()) -> str | None:
    found: str | None = objection(entry(op, ns, o), users_and_roles=users, databases_with_views=views)
    return found


def test_the_position_is_read() -> None:
    assert entry_time(entry("n", "", {})) == (5, 6)
    with pytest.raises(MalformedBson):
        entry_time(bson.encode({"op": "n"}))


@pytest.mark.parametrize(
    ("op", "ns", "o"),
    [
        ("n", "", {"msg": "periodic noop"}),
        ("i", "shop.orders", {"_id": 1}),
        ("u", "shop.orders", {"$v": 2, "diff": {}}),
        ("d", "shop.orders", {"_id": 1}),
        ("i", "admin.system.users", {"_id": "admin.ann"}),
        ("i", "shop.orders", {"renameCollection": "a document that looks like a command"}),
        ("c", "shop.$cmd", {"create": "orders"}),
        ("c", "shop.$cmd", {"drop": "orders"}),
        ("c", "shop.$cmd", {"collMod": "orders"}),
        ("c", "shop.$cmd", {"createIndexes": "orders"}),
        ("c", "admin.$cmd", {"commitTransaction": 1}),
        ("c", "admin.$cmd", {"applyOps": [{"op": "i", "ns": "shop.orders", "o": {"_id": 1}}]}),
        ("c", "config.$cmd", {"somethingInternal": 1}),
    ],
)
def test_what_can_be_replayed_passes(op: str, ns: str, o: dict[str, t.Any]) -> None:
    assert verdict(op, ns, o) is None


@pytest.mark.parametrize(
    ("op", "ns", "o", "says"),
    [
        ("c", "shop.$cmd", {"renameCollection": "shop.a", "to": "shop.b"}, "renamed"),
        ("c", "shop.$cmd", {"importCollection": "shop.a"}, "imported"),
        ("c", "shop.$cmd", {"convertToCapped": "a"}, "made capped"),
        ("c", "shop.$cmd", {"upgradeDowngradeViewlessTimeseries": "a"}, "time series"),
        ("c", "shop.$cmd", {"aNewCommand": 1}, "the command aNewCommand was run"),
        ("u", "admin.system.version", {"$v": 2}, "feature compatibility"),
        ("c", "config.$cmd", {"create": "reshardingOperations"}, "resharded"),
        ("i", "shop.system.views", {"_id": "shop.recent"}, "first view of the database shop"),
        (
            "c",
            "admin.$cmd",
            {"applyOps": [{"op": "i", "ns": "a.b", "o": {}}, {"op": "u", "ns": "admin.system.version", "o": {}}]},
            "feature compatibility",
        ),
    ],
)
def test_what_cannot_be_replayed_is_named(op: str, ns: str, o: dict[str, t.Any], says: str) -> None:
    found = verdict(op, ns, o)
    assert found is not None
    assert says in found


def test_users_that_the_dump_leaves_out_cannot_change() -> None:
    assert verdict("i", "admin.system.users", {"_id": 1}, users=False) is not None
    nested = {"applyOps": [{"op": "i", "ns": "admin.system.roles", "o": {}}]}
    assert verdict("c", "admin.$cmd", nested, users=False) is not None
    assert verdict("c", "admin.$cmd", nested) is None


def test_a_second_view_can_be_replayed() -> None:
    assert verdict("i", "shop.system.views", {"_id": "shop.recent"}, views={"shop"}) is None
