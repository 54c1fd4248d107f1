# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast reader of entries reads what the thorough one does, and no bytes make it fall over."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

import bson
import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import bson_bytes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_entry import (
    OplogEntry,
    operation_on,
    read_entry,
)

KEYS = ("op", "ns", "ts", "o", "o2", "b", "ui", "lsid", "txnNumber", "wall", "v", "prevOpTime", "multiOpType", "x")
VALUES: st.SearchStrategy[t.Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5),
    st.binary(max_size=5),
    st.builds(bson.ObjectId, st.binary(min_size=12, max_size=12)),
    st.builds(bson.Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.just(datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)),
    st.just(bson.Regex("a", "i")),
    st.just(bson.Code("f()", {"x": 1})),
    st.just(bson.MinKey()),
    st.just(bson.Decimal128("1.5")),
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9), max_size=2),
    st.lists(st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9), max_size=2), max_size=2),
)
TEXTS = st.sampled_from(["i", "u", "d", "c", "n", "shop.orders", "shop.a.b", "shop", ""])
ENTRIES = st.fixed_dictionaries({}, optional={**dict.fromkeys(KEYS[2:], VALUES), "op": TEXTS, "ns": TEXTS})


def thorough(raw: bytes) -> dict[bytes, bson_bytes.Element]:
    kept = {b"op", b"ns", b"ts", b"o", b"o2", b"b", b"lsid", b"txnNumber", b"prevOpTime", b"multiOpType"}
    return {one.key: one for one in bson_bytes.elements(raw) if one.key in kept}


@given(ENTRIES)
def test_both_readers_agree(document: dict[str, t.Any]) -> None:
    raw = bson.encode(document)
    entry = read_entry(raw)
    assert dict(entry.fields) == thorough(raw)
    assert entry.kind == document.get("op", "")
    assert entry.full_name.removesuffix(".") == document.get("ns", "").removesuffix(".")


@given(ENTRIES, st.data())
def test_no_bytes_make_it_fall_over(document: dict[str, t.Any], data: st.DataObject) -> None:
    raw = bytearray(bson.encode(document))
    for _turn in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with contextlib.suppress(bson_bytes.MalformedBson):
        look(read_entry(broken))


def look(entry: OplogEntry) -> None:
    """Everything that anybody asks of an entry."""
    for asking in (entry.position, entry.document_id, lambda: list(entry.operations()), lambda: entry.command):
        with contextlib.suppress(bson_bytes.MalformedBson):
            asking()


@pytest.mark.parametrize("kind", ["i", "u", "d"])
def test_an_operation_keeps_its_bytes_under_another_name(kind: str) -> None:
    body = {"_id": 1, "x": bson.Int64(5)}
    entry = {"op": kind, "ns": "shop.orders", "ui": bson.Binary(b"u" * 16, 4), "o": body, "o2": {"_id": 1}, "b": True}
    made = operation_on(read_entry(bson.encode(entry)), database="shop_recovery", name="lifeboat_x.orders")
    assert bson.decode(made) == {
        "op": kind, "ns": "shop_recovery.lifeboat_x.orders", "o": body, "o2": {"_id": 1}, "b": True
    }  # fmt: skip


def test_which_document() -> None:
    def of(**entry: t.Any) -> bytes | None:
        return read_entry(bson.encode({"ns": "a.b", **entry})).document_id()

    assert of(op="i", o={"x": 1, "_id": 7}) == of(op="d", o={"_id": 7}) == of(op="u", o={"_id": 8}, o2={"_id": 7})
    assert of(op="i", o={"_id": 7}) != of(op="i", o={"_id": bson.Int64(7)})
    assert of(op="c", o={"drop": "b"}) is None
    assert of(op="u", o={"_id": 7}) is None
