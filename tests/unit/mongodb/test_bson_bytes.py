# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BSON is walked without being decoded, and whatever is not BSON is refused rather than misread."""

from __future__ import annotations

import datetime
import decimal

import bson
import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import bson_bytes

EVERY_TYPE = {
    "double": 1.5,
    "string": "ünï",
    "document": {"a": 1},
    "array": [1, "two", None],
    "binary": b"\x00\x01",
    "object id": bson.ObjectId(),
    "true": True,
    "date": datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc),
    "null": None,
    "regex": bson.Regex("a.*b", "i"),
    "reference": bson.DBRef("c", 1),
    "code": bson.Code("f()"),
    "code with scope": bson.Code("f()", {"x": 1}),
    "int32": 7,
    "timestamp": bson.Timestamp(11, 22),
    "int64": bson.Int64(2**40),
    "decimal": bson.Decimal128(decimal.Decimal("1.10")),
    "min": bson.MinKey(),
    "max": bson.MaxKey(),
    "": "empty key",
}


def test_every_type_is_walked_over() -> None:
    document = bson.encode(EVERY_TYPE)
    assert [element.key.decode() for element in bson_bytes.elements(document)] == list(EVERY_TYPE)


def test_types_that_drivers_no_longer_write() -> None:
    # Undefined, symbol and DBPointer: old documents still have them.
    body = b"\x06u\x00" + b"\x0es\x00\x04\x00\x00\x00abc\x00" + b"\x0cp\x00\x02\x00\x00\x00c\x00" + b"\x07" * 12
    body += b"\x10n\x00\x05\x00\x00\x00"
    document = (len(body) + 5).to_bytes(4, "little") + body + b"\x00"
    assert [element.key for element in bson_bytes.elements(document)] == [b"u", b"s", b"p", b"n"]


def test_values_are_read_in_place() -> None:
    document = b"....." + bson.encode({"t": bson.Timestamp(11, 22), "n": bson.Int64(2**40), "s": "ünï", "b": True})
    fields = {element.key: element for element in bson_bytes.elements(document, 5)}
    assert bson_bytes.timestamp(document, fields[b"t"]) == (11, 22)
    assert bson_bytes.int64(document, fields[b"n"]) == 2**40
    assert bson_bytes.text(document, fields[b"s"]) == "ünï"
    assert bson_bytes.boolean(document, fields[b"b"]) is True


@pytest.mark.parametrize("reader", [bson_bytes.text, bson_bytes.int64, bson_bytes.boolean, bson_bytes.timestamp])
def test_a_value_of_another_type_is_refused(reader: object) -> None:
    document = bson.encode({"x": 1.5})
    element = bson_bytes.find(document, b"x")
    assert element is not None
    assert callable(reader)
    with pytest.raises(bson_bytes.MalformedBson):
        reader(document, element)


def test_every_truncation_is_refused() -> None:
    document = bson.encode(EVERY_TYPE)
    for length in range(len(document)):
        with pytest.raises(bson_bytes.MalformedBson):
            list(bson_bytes.elements(document[:length]))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(data: bytes) -> None:
    try:
        list(bson_bytes.elements(data))
    except bson_bytes.MalformedBson:
        pass


@settings(deadline=None)
@given(st.data())
def test_altered_documents_never_raise_anything_else(data: st.DataObject) -> None:
    document = bytearray(bson.encode(EVERY_TYPE))
    for _change in range(data.draw(st.integers(1, 4))):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    try:
        for element in bson_bytes.elements(bytes(document)):
            assert element.start <= element.end < len(document)
    except bson_bytes.MalformedBson:
        pass
