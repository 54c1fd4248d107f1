# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left out of a replay, and what depended on it."""

from __future__ import annotations

import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_entry import read_entry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_skips import (
    Skip,
    Skips,
    parse_skip,
)


def operation(op: str, o: t.Any, *, ns: str = "shop.orders", **more: t.Any) -> t.Any:
    return read_entry(bson.encode({"op": op, "ns": ns, "o": o, **more}))


def test_positions() -> None:
    assert parse_skip("1763751600:4") == Skip((1763751600, 4))
    assert parse_skip(" 1763751600:4/2 ") == Skip((1763751600, 4), 2)
    assert str(parse_skip("5:4/2")) == "5:4/2"


@pytest.mark.parametrize("text", ["", "5", "5:", ":4", "5:4/", "5:4/x", "-5:4", "5:4:3", "5.4", "5:99999999999", "٥:4"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(RequestInvalid):
        parse_skip(text)


def depending(skips: Skips, what: t.Any, number: int) -> bool:
    return skips.pass_by(what, position=(9, number), ordinal=None) is not None


def test_later_operations_of_the_same_document_depend_on_it() -> None:
    skips = Skips([Skip((1, 1))])
    gone = operation("d", {"_id": 7})
    assert skips.is_left_out((1, 1), 0)
    assert not skips.is_left_out((1, 2), 0)
    skips.leave_out(gone, position=(1, 1), ordinal=None)
    assert depending(skips, operation("i", {"_id": 7, "x": 1}), 1)
    assert depending(skips, operation("u", {"$v": 2}, o2={"_id": 7}), 2)
    assert not depending(skips, operation("u", {"$v": 2}, o2={"_id": 8}), 3)
    assert not depending(skips, operation("i", {"_id": 7}, ns="shop.customers"), 4)
    assert not depending(skips, operation("i", {"_id": "7"}), 5)
    assert depending(skips, operation("c", {"renameCollection": "shop.orders", "to": "shop.sold"}, ns="shop.$cmd"), 6)
    assert depending(skips, operation("d", {"_id": 7}, ns="shop.sold"), 7)
    assert depending(skips, operation("c", {"drop": "sold"}, ns="shop.$cmd"), 8)
    assert not depending(skips, operation("i", {"_id": 7}, ns="shop.sold"), 9)
    account = skips.as_dict()
    assert account["left_out"] == {
        "count": 1,
        "first": [{"position": "1:1", "operation": "delete", "namespace": "shop.orders", "_id": 7}],
    }
    assert account["dependants"]["count"] == 5
    assert [one["position"] for one in account["dependants"]["first"]] == ["9:1", "9:2", "9:6", "9:7", "9:8"]
    assert skips.missing == ()


def test_everything_in_a_collection_depends_on_its_drop() -> None:
    skips = Skips([Skip((1, 1))])
    assert skips.is_left_out((1, 1), 0)
    skips.leave_out(operation("c", {"drop": "orders"}, ns="shop.$cmd"), position=(1, 1), ordinal=None)
    assert depending(skips, operation("c", {"create": "orders"}, ns="shop.$cmd"), 1)
    assert depending(skips, operation("i", {"_id": 1}), 2)
    assert depending(skips, operation("c", {"createIndexes": "orders", "name": "x"}, ns="shop.$cmd"), 3)
    assert not depending(skips, operation("i", {"_id": 1}, ns="shop.customers"), 4)
    assert depending(skips, operation("c", {"drop": "orders"}, ns="shop.$cmd"), 5)
    assert not depending(skips, operation("i", {"_id": 1}), 6)


def test_skips_that_never_came() -> None:
    skips = Skips([Skip((1, 1)), Skip((1, 1), 3), Skip((2, 1))])
    assert set(skips.missing) == {"1:1", "1:1/3", "2:1"}
    assert skips.is_left_out((1, 1), 2)
    assert set(skips.missing) == {"1:1/3", "2:1"}
    assert skips.takes_all((2, 1))
    assert not skips.takes_all((3, 1))
    assert skips.missing == ("1:1/3",)


def test_only_so_many_are_named_and_all_are_counted() -> None:
    skips = Skips([Skip((1, 1))])
    for number in range(300):
        assert skips.is_left_out((1, 1), number)
        skips.leave_out(operation("d", {"_id": number}), position=(1, 1), ordinal=number)
    account = skips.as_dict()["left_out"]
    assert account["count"] == 300
    assert len(account["first"]) == 100
