# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the writer writes is what the reader reads, whatever the output takes at a time."""

from __future__ import annotations

import io
import typing as t

import bson
import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoArchiveInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import (
    MAGIC,
    ArchiveWriter,
    crc64,
    namespace_header,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_reader import (
    ArchiveDocuments,
    ArchiveEnd,
    ArchiveReader,
)
from tests.unit.mongodb.archives import archive, collection, small_archive


def test_the_checksum_is_crc64_xz() -> None:
    # The check value of CRC-64/XZ.
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA
    assert crc64(b"6789", crc64(b"12345")) == 0x995DC9BBDF1939FA


def test_a_header_is_the_bson_that_mongorestore_reads() -> None:
    header = namespace_header("shöp", "orders", end=True, checksum=2**64 - 1)
    assert bson.decode(header) == {"db": "shöp", "collection": "orders", "EOF": True, "CRC": -1}
    assert list(bson.decode(header)) == ["db", "collection", "EOF", "CRC"]


def test_round_trip() -> None:
    reader = ArchiveReader(io.BytesIO(small_archive()))
    prelude = reader.prelude()
    assert (prelude.server_version, prelude.tool_version, prelude.concurrent_collections) == ("6.0.5", "100.10.0", 4)
    assert [(one.name, one.data_name, one.type) for one in prelude.collections] == [
        ("orders", "orders", "collection"),
        ("users", "users", "collection"),
        ("recent", "recent", "view"),
        ("weather", "system.buckets.weather", "timeseries"),
    ]
    found: dict[str, list[t.Any]] = {}
    ends = {}
    for block in reader.blocks():
        if isinstance(block, ArchiveDocuments):
            found.setdefault(block.collection, []).extend(bson.decode_all(block.documents))
        else:
            ends[block.collection] = (block.count, block.size)
    assert found["orders"] == [{"_id": 1}, {"_id": 2}, {"_id": 3}]
    assert ends == {"orders": (3, 42), "users": (1, 77), "recent": (0, 0), "system.buckets.weather": (1, 28)}


class Stingy(io.RawIOBase):
    """A file that takes only some bytes at a time, as a pipe may."""

    def __init__(self, *, most: int) -> None:
        self.taken = bytearray()
        self._most = most

    def writable(self) -> bool:
        return True

    def write(self, data: t.Any) -> int:
        piece = bytes(data)[: self._most]
        self.taken += piece
        return len(piece)


def test_short_writes_lose_nothing() -> None:
    output = Stingy(most=7)
    writer = ArchiveWriter(t.cast("t.BinaryIO", output))
    orders = collection("orders")
    writer.prelude(collections=[orders], concurrent_collections=1, server_version="6.0.5", tool_version="100.10.0")
    writer.documents(orders, bson.encode({"_id": 1, "text": "x" * 100}))
    assert writer.unfinished == (("shop", "orders"),)
    writer.end(orders)
    assert writer.unfinished == ()
    summary = ArchiveReader(io.BytesIO(bytes(output.taken))).verify()
    assert [(end.collection, end.count) for end in summary.ends] == [("orders", 1)]


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(max_size=40), max_size=4), min_size=1, max_size=4))
def test_any_content_round_trips(contents: list[list[bytes]]) -> None:
    collections = {
        collection(f"c{number}"): [bson.encode({"b": piece}) for piece in pieces]
        for number, pieces in enumerate(contents)
    }
    summary = ArchiveReader(io.BytesIO(archive(collections))).verify()
    assert {end.collection: (end.count, end.checksum) for end in summary.ends} == {
        one.name: (len(pieces), crc64(b"".join(pieces))) for one, pieces in collections.items()
    }


def test_documents_larger_than_the_readers_buffer() -> None:
    large = bson.encode({"_id": 1, "b": b"x" * 5_000_000})
    small = bson.encode({"_id": 2})
    data = archive({collection("orders"): [small + large + small, large]})
    (end,) = ArchiveReader(io.BytesIO(data)).verify().ends
    assert (end.count, end.size) == (4, 2 * len(large) + 2 * len(small))


def changed(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :]


def test_one_altered_bit_of_a_document_is_found() -> None:
    data = small_archive()
    position = data.index(b"x" * 50) + 20
    with pytest.raises(MongoArchiveInvalid, match=r"checksum of shop\.users is wrong"):
        ArchiveReader(io.BytesIO(changed(data, position))).verify()


def test_every_truncation_is_found() -> None:
    data = small_archive()
    for length in range(len(data)):
        with pytest.raises(MongoArchiveInvalid):
            ArchiveReader(io.BytesIO(data[:length])).verify()


def test_something_else_is_named() -> None:
    with pytest.raises(MongoArchiveInvalid, match="does not begin with"):
        ArchiveReader(io.BytesIO(b"PGDMP" * 10)).verify()


@pytest.mark.parametrize("length", [4, 16 * 1024 * 1024 + 16 * 1024 + 1, 0x7FFFFFFF, 0xFFFFFFFE])
def test_an_absurd_length_asks_for_no_memory(length: int) -> None:
    with pytest.raises(MongoArchiveInvalid, match="neither the length of a document nor the end"):
        ArchiveReader(io.BytesIO(MAGIC + length.to_bytes(4, "little") + b"x" * 100)).verify()


def test_data_after_a_collections_end_is_refused() -> None:
    data = small_archive()
    again = namespace_header("shop", "orders", end=False, checksum=0) + bson.encode({"_id": 9}) + b"\xff\xff\xff\xff"
    with pytest.raises(MongoArchiveInvalid, match="has ended"):
        ArchiveReader(io.BytesIO(data + again)).verify()


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_the_named_error(data: bytes) -> None:
    for start in (b"", MAGIC):
        with pytest.raises(MongoArchiveInvalid):
            ArchiveReader(io.BytesIO(start + data)).verify()


@settings(deadline=None)
@given(st.data())
def test_altered_archives_raise_only_the_named_error(data: st.DataObject) -> None:
    content = bytearray(small_archive())
    for _change in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        summary = ArchiveReader(io.BytesIO(bytes(content))).verify()
    except MongoArchiveInvalid:
        return
    # What was altered then is in the prelude's words (a version, metadata), which no checksum covers.
    assert {end.count for end in summary.ends if isinstance(end, ArchiveEnd)} <= {0, 1, 3}
