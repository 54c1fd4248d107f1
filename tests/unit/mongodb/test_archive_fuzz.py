# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of archives that nobody should have made: each is read or refused by name, at once, in little memory."""

from __future__ import annotations

import io
import json
import random
import struct
import tracemalloc
import typing as t

import bson
import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoArchiveInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import archive_reader
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import (
    MAGIC,
    TERMINATOR,
    ArchiveCollection,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_listing import list_archive
from tests.support.fuzzing import growth, many
from tests.unit.mongodb.archives import archive, collection, small_archive

MIB = 1024 * 1024
# Lengths at which a reader that believes them goes wrong.
LENGTHS = (0, 1, 4, 5, 6, 255, 4096, 4097, 65536, MIB, 2**24, 2**24 + 16384, 2**24 + 16385, 2**31 - 1, 2**31, 2**32 - 2)
MANY = many(1000)


class Source(io.RawIOBase):
    """Gives at most so many bytes at a time, and fails the test when it is asked on and on after its end."""

    def __init__(self, data: bytes, *, most: int = MIB) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._most = most
        self._asked_at_end = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._data.read(min(size, self._most) if size >= 0 else self._most)
        if not piece:
            self._asked_at_end += 1
            assert self._asked_at_end < 10, "it does not notice the end"
        return piece


def outcome(data: bytes, *, most: int = MIB) -> tuple[t.Any, ...]:
    """What came of reading it; whatever is raised but MongoArchiveInvalid fails the test."""
    try:
        found = list_archive(t.cast("t.BinaryIO", Source(data, most=most)))
    except MongoArchiveInvalid as error:
        json.dumps(error.as_dict())
        return ("invalid", error.message, bool(error.hint))
    return ("valid", found.documents, found.size, sorted(found.ends))


# --- without any structure --------------------------------------------------------------------------------------------


@MANY
@given(st.binary(max_size=2000), st.sampled_from((b"", MAGIC, small_archive()[:120], small_archive())))
def test_random_bytes(data: bytes, start: bytes) -> None:
    assert outcome(start + data)[0] == ("valid" if not data and start == small_archive() else "invalid")


# --- altered archives -------------------------------------------------------------------------------------------------


def large_archive() -> bytes:
    """One with an oplog, large documents, many segments and awkward names."""
    entries = [bson.encode({"ts": bson.Timestamp(1000 + number, 1), "op": "n", "ns": ""}) for number in range(5)]
    documents = [bson.encode({"_id": number, "text": "é" * number, "inner": {"a": [1, {}]}}) for number in range(40)]
    return archive(
        {
            collection("orders"): documents,
            collection("ödd näme", database="dätabase"): [bson.encode({"_id": 1, "b": b"x" * 3000})] * 3,
            collection("recent", type_name="view"): [],
            collection("weather", type_name="timeseries"): documents[:3],
            collection("oplog", database="", type_name=""): [b"".join(entries)],
        }
    )


GOOD = (small_archive(), large_archive())


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A good archive after some cuts, copies, swaps and false lengths."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _change in range(draw(st.integers(1, 6))):
        here = draw(st.integers(0, max(0, len(data) - 1)))
        there = min(len(data), here + draw(st.integers(0, 200)))
        kind = draw(st.sampled_from(("bit", "byte", "length", "cut", "copy", "zero", "end", "insert")))
        if kind == "bit" and data:
            data[here] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and data:
            data[here] = draw(st.integers(0, 255))
        elif kind == "length":
            data[here : here + 4] = struct.pack("<I", draw(st.sampled_from(LENGTHS)))
        elif kind == "cut":
            del data[here:there]
        elif kind == "copy":
            data[there:there] = data[here:there]
        elif kind == "zero":
            data[here:there] = bytes(there - here)
        elif kind == "end":
            del data[here:]
        else:
            data[here:here] = draw(st.one_of(st.just(TERMINATOR), st.binary(max_size=20)))
    return bytes(data)


@pytest.mark.thorough
@many(2500)
@given(altered())
def test_altered_archives(data: bytes) -> None:
    outcome(data)


@many(300)
@given(altered(), st.integers(1, 40))
def test_how_it_arrives_changes_nothing(data: bytes, most: int) -> None:
    """A pipe gives what it has: the same archive in other pieces gives the same result.

    Of several mistakes another one may be met first, so refusals are compared without their words.
    """
    whole, pieces = outcome(data), outcome(data, most=most)
    if whole[0] == "invalid":
        whole, pieces = (whole[0], *whole[2:]), (pieces[0], *pieces[2:])
    assert whole == pieces


# --- whole ones with odd words ----------------------------------------------------------------------------------------

_EXTENDED = (
    "$oid", "$date", "$binary", "$uuid", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$timestamp",
    "$regularExpression", "$regex", "$options", "$code", "$scope", "$dbPointer", "$ref", "$id", "$symbol", "$undefined",
    "$minKey", "$maxKey", "base64", "subType", "pattern", "t", "i", "key", "name", "options", "indexes", "uuid", "v",
)  # fmt: skip
_WORDS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(("NaN", "1e999", "2026"))
)
_JSON = st.recursive(
    _WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_EXTENDED), inner, max_size=3)
    ),
    max_leaves=12,
)
_METADATA = st.one_of(
    _JSON.map(json.dumps),
    st.fixed_dictionaries({}, optional={"options": _JSON, "indexes": _JSON, "uuid": _JSON}).map(json.dumps),
    st.text(max_size=60),
    st.builds(
        lambda word, count: word * count, st.sampled_from(("[", '{"a":', "1", "-", '"')), st.integers(1, 100_000)
    ),
)


@pytest.mark.thorough
@many(1000)
@given(_METADATA, st.sampled_from(("collection", "view", "timeseries", "", "other")))
def test_metadata_that_is_none(metadata: str, kind: str) -> None:
    text = metadata.encode("utf-8", "replace").decode("utf-8")
    one = ArchiveCollection(database="shop", name="orders", data_name="orders", metadata=text, type=kind)
    if kind == "timeseries":
        one = ArchiveCollection(
            database="shop", name="orders", data_name="system.buckets.orders", metadata=text, type=kind
        )
    outcome(archive({one: [bson.encode({"_id": 1})]}))


_FIELDS = st.dictionaries(
    st.sampled_from(("db", "collection", "EOF", "CRC", "other")),
    st.one_of(
        st.sampled_from(("shop", "orders", "users", "")), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.none()
    ),
    max_size=5,
)
_SEGMENT = st.tuples(
    _FIELDS, st.lists(st.one_of(st.just(bson.encode({"_id": 1})), st.binary(max_size=20)), max_size=4), st.booleans()
)


@pytest.mark.thorough
@many(1000)
@given(st.lists(_SEGMENT, max_size=6), st.booleans())
def test_segments_in_any_order(segments: list[t.Any], with_prelude: bool) -> None:
    prelude = archive({collection("orders"): [], collection("users"): []})
    pieces = [prelude[: prelude.index(TERMINATOR) + 4] if with_prelude else MAGIC]
    for fields, documents, ends in segments:
        pieces += [bson.encode(fields), *documents, TERMINATOR if ends else b""]
    outcome(b"".join(pieces))


# --- memory and time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_alone_takes_no_memory(length: int) -> None:
    data = small_archive()
    position = data.index(b"x" * 50) - 30
    hostile = data[:position] + struct.pack("<I", length) + data[position + 4 :] + b"\x00" * 100
    tracemalloc.start()
    try:
        outcome(hostile)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_bad_archives() -> None:
    chance = random.Random(1)

    def read_some(count: int) -> None:
        for _number in range(count):
            data = bytearray(GOOD[1])
            for _change in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            outcome(bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data))

    assert growth(read_some, warm=200, first=200, more=600) < 200_000


class Endless(io.RawIOBase):
    """The beginning, then the same bytes again and again: what a decompression bomb gives; counts what was taken."""

    def __init__(self, start: bytes, piece: bytes) -> None:
        super().__init__()
        self.taken = 0
        self._start = start
        self._piece = piece * (MIB // len(piece) + 1)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert self.taken < 200 * MIB, "it reads on for ever"
        data, self._start = self._start or self._piece, b""
        self.taken += len(data)
        return data


def _prelude_document(metadata: str) -> bytes:
    return bson.encode({"db": "shop", "collection": "c", "metadata": metadata, "size": 0, "type": "collection"})


HEADER = MAGIC + bson.encode({"concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5"})


@pytest.mark.parametrize("metadata", ["x" * 100_000, "\N{PILE OF POO}" + "x" * 100_000], ids=["plain", "wide"])
def test_metadata_without_an_end(metadata: str) -> None:
    source = Endless(HEADER, _prelude_document(metadata))
    with pytest.raises(MongoArchiveInvalid, match="its metadata has no end"):
        list_archive(t.cast("t.BinaryIO", source))
    assert source.taken < 80 * MIB


def test_collections_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_reader, "_MOST_COLLECTIONS", 5000)
    source = Endless(HEADER, _prelude_document(""))
    with pytest.raises(MongoArchiveInvalid, match="its metadata has no end"):
        list_archive(t.cast("t.BinaryIO", source))
    assert source.taken <= 3 * MIB


def test_a_header_as_large_as_a_document_is_refused_unread() -> None:
    data = archive({collection("orders"): []})
    prelude = data[: data.index(TERMINATOR) + 4]
    with pytest.raises(MongoArchiveInvalid, match="5000 is neither the length"):
        list_archive(io.BytesIO(prelude + struct.pack("<I", 5000) + b"k" * 10_000))
