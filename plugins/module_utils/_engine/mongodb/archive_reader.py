# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a mongodump archive piece by piece, in constant memory, and proving every collection's CRC.

The bytes may come from anywhere, so nothing in them is believed: every length is bounded before memory is asked for,
and whatever does not fit the format raises MongoArchiveInvalid, never anything else.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass, field

from ..core.errors import MongoArchiveInvalid
from . import bson_bytes
from .archive import FORMAT_VERSION, MAGIC, ArchiveCollection, crc64_function

# A stored document may have 16 MiB; the server's own (oplog entries) have 16 KiB more for what it adds.
LARGEST_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
# Metadata (validators, indexes) of all collections together, which is kept in memory: one or two kilobytes each, so
# this is far away. So is the number of collections: each takes some hundred bytes here, and a server two files.
_LARGEST_PRELUDE = 64 * 1024 * 1024
_MOST_COLLECTIONS = 200_000
# The document before a segment has two names (at most 63 and 255 bytes), a truth value and a checksum.
_LARGEST_HEADER = 4096
_TERMINATOR = 0xFFFFFFFF
_BUFFER = 1024 * 1024

_read_uint32 = struct.Struct("<I").unpack_from


@dataclass(frozen=True)
class ArchivePrelude:
    """What an archive says about itself before the data."""

    concurrent_collections: int
    server_version: str
    tool_version: str
    collections: tuple[ArchiveCollection, ...]


@dataclass(frozen=True)
class ArchiveDocuments:
    """Some documents of one collection, in the order of the archive: one after the other in *documents*."""

    database: str
    collection: str
    documents: bytes
    count: int


@dataclass(frozen=True)
class ArchiveEnd:
    """The end of a collection whose CRC was right: *count* documents with *size* bytes altogether."""

    database: str
    collection: str
    count: int
    size: int
    checksum: int


@dataclass
class _Progress:
    crc: int = 0
    count: int = 0
    size: int = 0


@dataclass(frozen=True)
class ArchiveSummary:
    """A whole archive that was read to its end: its prelude and the end of every collection."""

    prelude: ArchivePrelude
    ends: tuple[ArchiveEnd, ...] = field(default_factory=tuple)


class ArchiveReader:
    """Reads one archive from a file object. Call prelude() once, then iterate blocks() to the end."""

    def __init__(self, source: t.BinaryIO) -> None:
        self._source = source
        self._buffer = b""
        self._position = 0
        self._offset = 0  # of the buffer's first byte in the archive
        self._prelude: ArchivePrelude | None = None

    def prelude(self) -> ArchivePrelude:
        """Read what comes first. Raises MongoArchiveInvalid."""
        if self._take(4) != MAGIC:
            raise self._invalid("it does not begin with the four bytes of a mongodump archive")
        header = self._document()
        if header is None:
            raise self._invalid("it has no header")
        fields = self._fields(header)
        if fields.get("version") != FORMAT_VERSION:
            raise self._invalid(f"its format version is {fields.get('version')!r}, not {FORMAT_VERSION}")
        collections: list[ArchiveCollection] = []
        room = _LARGEST_PRELUDE
        while True:
            document = self._document()
            if document is None:
                break
            room -= len(document)
            if room < 0 or len(collections) == _MOST_COLLECTIONS:
                raise self._invalid("its metadata has no end")
            collections.append(self._collection(document, server_version=str(fields.get("server_version", ""))))
        names = {(collection.database, collection.data_name) for collection in collections}
        if len(names) != len(collections):
            raise self._invalid("it names a collection twice")
        concurrent = fields.get("concurrent_collections")
        self._prelude = ArchivePrelude(
            concurrent_collections=concurrent if isinstance(concurrent, int) else 0,
            server_version=str(fields.get("server_version", "")),
            tool_version=str(fields.get("tool_version", "")),
            collections=tuple(collections),
        )
        return self._prelude

    def blocks(self) -> t.Iterator[ArchiveDocuments | ArchiveEnd]:
        """The archive's data in order; ends only when every collection of the prelude has ended with the right CRC.

        Raises MongoArchiveInvalid.
        """
        prelude = self._prelude or self.prelude()
        crc64 = crc64_function()
        waiting = {(collection.database, collection.data_name): _Progress() for collection in prelude.collections}
        while not self._at_end():
            header = self._document(largest=_LARGEST_HEADER)
            if header is None:
                raise self._invalid("a segment has no header")
            fields = self._fields(header)
            key = (str(fields.get("db", "")), str(fields.get("collection", "")))
            so_far = waiting.get(key)
            if so_far is None:
                raise self._invalid(
                    f"it has data of {key[0]}.{key[1]}, which its list does not name or which has ended"
                )
            if fields.get("EOF") is True:
                if self._document() is not None:
                    raise self._invalid(f"documents follow the end of {key[0]}.{key[1]}")
                yield self._end(key, so_far, fields.get("CRC"))
                del waiting[key]
                continue
            for documents, count in self._segment():
                so_far.crc = crc64(documents, so_far.crc)
                so_far.count += count
                so_far.size += len(documents)
                yield ArchiveDocuments(database=key[0], collection=key[1], documents=documents, count=count)
        if waiting:
            names = ", ".join(sorted(f"{database}.{collection}" for database, collection in waiting)[:5])
            raise self._invalid(f"it ends before {len(waiting)} of its collections do ({names})")

    def verify(self) -> ArchiveSummary:
        """Read everything and keep only the ends. Raises MongoArchiveInvalid."""
        prelude = self._prelude or self.prelude()
        ends = tuple(block for block in self.blocks() if isinstance(block, ArchiveEnd))
        return ArchiveSummary(prelude=prelude, ends=ends)

    def _segment(self) -> t.Iterator[tuple[bytes, int]]:
        """Whole documents up to the terminator, as many at a time as lie in the buffer."""
        while True:
            self._fill(4)
            buffer, size = self._buffer, len(self._buffer)
            first = position = self._position
            count = 0
            ended = False
            while size - position >= 4:
                length: int = _read_uint32(buffer, position)[0]
                if length == _TERMINATOR:
                    ended = True
                    break
                if length > size - position:
                    break  # it is looked at again as the first one, when the others are out
                if length < 5 or length > LARGEST_DOCUMENT or buffer[position + length - 1]:
                    self._position = position
                    self._check_document(position, length)
                position += length
                count += 1
            if count:
                yield buffer[first:position], count
            self._position = position
            if ended:
                self._position += 4
                return
            if not count:
                self._fill(4)
                length = _read_uint32(self._buffer, self._position)[0]
                if length != _TERMINATOR:
                    self._check_length(length)
                    self._fill(length)

    def _document(self, *, largest: int = LARGEST_DOCUMENT) -> bytes | None:
        """The next document, None for a terminator."""
        self._fill(4)
        length: int = _read_uint32(self._buffer, self._position)[0]
        if length == _TERMINATOR:
            self._position += 4
            return None
        self._check_length(length, largest=largest)
        self._fill(length)
        self._check_document(self._position, length)
        return self._take(length)

    def _check_length(self, length: int, *, largest: int = LARGEST_DOCUMENT) -> None:
        if not 5 <= length <= largest:
            raise self._invalid(f"{length} is neither the length of a document nor the end of a segment")

    def _check_document(self, position: int, length: int) -> None:
        self._check_length(length)
        if self._buffer[position + length - 1] != 0:
            raise self._invalid("a document does not end with a zero byte")

    def _end(self, key: tuple[str, str], so_far: _Progress, stored: object) -> ArchiveEnd:
        if not isinstance(stored, int) or isinstance(stored, bool) or stored % 2**64 != so_far.crc:
            raise self._invalid(f"the checksum of {key[0]}.{key[1]} is wrong, so its documents were altered")
        return ArchiveEnd(database=key[0], collection=key[1], count=so_far.count, size=so_far.size, checksum=so_far.crc)

    def _collection(self, document: bytes, *, server_version: str) -> ArchiveCollection:
        fields = self._fields(document)
        name, kind = str(fields.get("collection", "")), str(fields.get("type", ""))
        if not name:
            raise self._invalid("it names a collection without a name")
        buckets = kind == "timeseries" and not stores_time_series_directly(server_version)
        return ArchiveCollection(
            database=str(fields.get("db", "")),
            name=name,
            data_name=f"system.buckets.{name}" if buckets else name,
            metadata=str(fields.get("metadata", "")),
            type=kind,
        )

    def _fields(self, document: bytes) -> dict[str, str | int | bool]:
        """The strings, integers and booleans of a small document."""
        fields: dict[str, str | int | bool] = {}
        try:
            for element in bson_bytes.elements(document):
                name = element.key.decode("utf-8", "replace")
                if element.type == bson_bytes.STRING:
                    fields[name] = bson_bytes.text(document, element)
                elif element.type in (bson_bytes.INT32, bson_bytes.INT64):
                    fields[name] = bson_bytes.int64(document, element)
                elif element.type == bson_bytes.BOOLEAN:
                    fields[name] = bson_bytes.boolean(document, element)
        except bson_bytes.MalformedBson as error:
            raise self._invalid(f"a header is not BSON: {error}") from error
        return fields

    def _take(self, count: int) -> bytes:
        self._fill(count)
        piece = self._buffer[self._position : self._position + count]
        self._position += count
        return piece

    def _at_end(self) -> bool:
        if self._position < len(self._buffer):
            return False
        self._offset += len(self._buffer)
        self._buffer = self._source.read(_BUFFER) or b""
        self._position = 0
        return not self._buffer

    def _fill(self, count: int) -> None:
        """Have at least *count* bytes from the current position on. Raises MongoArchiveInvalid when there are fewer."""
        have = len(self._buffer) - self._position
        if have >= count:
            return
        pieces = [self._buffer[self._position :]]
        self._offset += self._position
        while have < count:
            piece = self._source.read(_BUFFER)
            if not piece:
                self._buffer, self._position = b"".join(pieces), 0
                raise self._invalid("it is cut short")
            pieces.append(piece)
            have += len(piece)
        self._buffer, self._position = b"".join(pieces), 0

    def _invalid(self, what: str) -> MongoArchiveInvalid:
        offset = self._offset + self._position
        return MongoArchiveInvalid(
            f"The archive is not valid at byte {offset}: {what}.",
            hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
            details={"offset": offset},
        )


def stores_time_series_directly(server_version: str) -> bool:
    """Whether that server keeps a time series under its own name rather than in system.buckets (8.3 and later)."""
    numbers = [int(part) for part in server_version.split("-", maxsplit=1)[0].split(".")[:2] if part.isdigit()]
    return tuple(numbers) >= (8, 3)
