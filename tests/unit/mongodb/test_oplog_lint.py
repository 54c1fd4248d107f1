# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An oplog entry that mongorestore can't replay is found at capture."""

from __future__ import annotations

import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.bson_bytes import MalformedBson
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_commands import REPLAYED_COMMANDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_entry import read_entry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_lint import (
    entry_time,
    objection,
    stream_objection,
)


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


def stream_verdict(op: str, ns: str, o: dict[str, t.Any], **more: t.Any) -> tuple[str, str] | None:
    raw = bson.encode({"op": op, "ns": ns, "o": o, "ts": bson.Timestamp(5, 6), "v": 2, **more})
    found: tuple[str, str] | None = stream_objection(read_entry(raw))
    return found


@pytest.mark.parametrize(
    ("op", "ns", "o"),
    [
        ("n", "", {"msg": "periodic noop"}),
        ("i", "shop.orders", {"_id": 1}),
        ("i", "admin.system.users", {"_id": "admin.ann"}),
        ("i", "shop.system.views", {"_id": "shop.recent", "viewOn": "orders", "pipeline": []}),
        ("d", "shop.system.views", {"_id": "shop.recent"}),
        # The first user of all.
        ("i", "admin.system.version", {"_id": "authSchema", "currentVersion": 5}),
        ("c", "shop.$cmd", {"renameCollection": "shop.a", "to": "shop.b"}),
        ("c", "shop.$cmd", {"convertToCapped": "a"}),
        ("c", "config.$cmd", {"somethingInternal": 1}),
        ("c", "local.$cmd", {"somethingInternal": 1}),
        ("c", "admin.$cmd", {"commitTransaction": 1}),
        ("c", "admin.$cmd", {"abortTransaction": 1}),
        ("c", "admin.$cmd", {"applyOps": [{"op": "c", "ns": "shop.$cmd", "o": {"create": "a"}}]}),
        *(("c", "shop.$cmd", {name: "a"}) for name in sorted(REPLAYED_COMMANDS)),
    ],
)
def test_a_slice_may_hold_all_that_our_replay_knows(op: str, ns: str, o: dict[str, t.Any]) -> None:
    assert stream_verdict(op, ns, o) is None


@pytest.mark.parametrize(
    ("op", "ns", "o", "cause", "says"),
    [
        ("c", "shop.$cmd", {"importCollection": "shop.a"}, "not-replayable", "imported"),
        ("c", "shop.$cmd", {"emptycapped": "a"}, "not-replayable", "emptied"),
        ("c", "shop.$cmd", {"upgradeDowngradeViewlessTimeseries": "a"}, "not-replayable", "time series"),
        ("c", "shop.$cmd", {"aNewCommand": 1}, "not-replayable", "the command aNewCommand was run"),
        ("d", "admin.system.version", {"_id": "featureCompatibilityVersion"}, "feature-compatibility", "version"),
        (
            "c",
            "admin.$cmd",
            {"applyOps": [{"op": "i", "ns": "a.b", "o": {}}, {"op": "c", "ns": "a.$cmd", "o": {"aNewCommand": 1}}]},
            "not-replayable",
            "aNewCommand",
        ),
    ],
)
def test_what_our_replay_refuses_ends_a_chain(op: str, ns: str, o: dict[str, t.Any], cause: str, says: str) -> None:
    found = stream_verdict(op, ns, o)
    assert found is not None
    assert found[0] == cause
    assert says in found[1]


def test_the_feature_compatibility_version_is_changed_by_an_update() -> None:
    o2 = {"_id": "featureCompatibilityVersion"}
    found = stream_verdict("u", "admin.system.version", {"$v": 2, "diff": {"u": {"version": "5.0"}}}, o2=o2)
    assert found == ("feature-compatibility", "the feature compatibility version was changed")
    assert stream_verdict("u", "admin.system.version", {"$v": 2, "diff": {}}, o2={"_id": "authSchema"}) is None
    assert stream_verdict("u", "shop.system.version", {"$v": 2, "diff": {}}, o2=o2) is None


@pytest.mark.parametrize(
    ("o", "passes"),
    [
        ({"_id": "shop.recent", "viewOn": "orders", "pipeline": []}, True),
        ({"$v": 2, "diff": {"u": {"viewOn": "others"}, "i": {"x": 1}, "d": {"y": False}}}, True),
        ({"$v": 2, "diff": {"spipeline": {"a": True, "u0": 1}}}, False),
        ({"$set": {"viewOn": "others"}}, False),
    ],
)
def test_a_change_of_a_view_must_say_what_the_view_is_then(o: dict[str, t.Any], passes: bool) -> None:
    assert (stream_verdict("u", "shop.system.views", o, o2={"_id": "shop.recent"}) is None) is passes
