# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the archive that ``mongodump --archive`` writes, so that stock mongorestore reads it.

The layout is described in common/archive/spec.md of github.com/mongodb/mongo-tools: a prelude (four magic bytes, a
header, one document of metadata for each collection), then segments of documents of any collection in any order, and an
end for each collection that carries the CRC-64/XZ of all its documents. mongorestore refuses data whose CRC is wrong.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from ..core.checksums import CRC64_XZ, Crc, crc_function

MAGIC = b"\x6d\xe2\x99\x81"
TERMINATOR = b"\xff\xff\xff\xff"
FORMAT_VERSION = "0.1"


@dataclass(frozen=True)
class ArchiveCollection:
    """One collection of the prelude.

    *data_name* is the collection that the documents are stored under: ``system.buckets.NAME`` for a time series, else
    *name*. *metadata* is canonical extended JSON, empty where mongodump writes none; *type* is "timeseries", "view",
    "collection" or empty. The top-level oplog has the database "" and the name "oplog".
    """

    database: str
    name: str
    data_name: str
    metadata: str
    type: str


def crc64(data: bytes, previous: int = 0) -> int:
    """CRC-64/XZ of *data* after *previous*. Raises LibraryMissing."""
    return crc64_function()(data, previous)


def crc64_function() -> Crc:
    """The function behind :func:`crc64`, for loops. Raises LibraryMissing."""
    return crc_function(CRC64_XZ)


class ArchiveWriter:
    """Writes one archive to a file object, in order: prelude(), then any mix of documents() and end()."""

    def __init__(self, output: t.BinaryIO) -> None:
        self._output = output
        self._crc64 = crc64_function()
        self._sums: dict[tuple[str, str], int] = {}

    def prelude(
        self,
        *,
        collections: t.Sequence[ArchiveCollection],
        concurrent_collections: int,
        server_version: str,
        tool_version: str,
    ) -> None:
        """Write what comes first. At most *concurrent_collections* may be open (begun, not ended) at any time.

        mongorestore works on so many collections at once; with more of them open it would wait for ever.
        """
        import bson

        header = {
            "concurrent_collections": concurrent_collections,
            "version": FORMAT_VERSION,
            "server_version": server_version,
            "tool_version": tool_version,
        }
        pieces = [MAGIC, bson.encode(header)]
        pieces += [
            bson.encode(
                {
                    "db": collection.database,
                    "collection": collection.name,
                    "metadata": collection.metadata,
                    "size": 0,
                    "type": collection.type,
                }
            )
            for collection in collections
        ]
        pieces.append(TERMINATOR)
        self._write(b"".join(pieces))
        self._sums = {(collection.database, collection.data_name): 0 for collection in collections}

    def documents(self, collection: ArchiveCollection, documents: bytes) -> None:
        """Write some documents of a collection, one after the other as bytes; none are fine, too."""
        if not documents:
            return
        key = (collection.database, collection.data_name)
        self._sums[key] = self._crc64(documents, self._sums[key])
        self._write(namespace_header(*key, end=False, checksum=0))
        self._write(documents)
        self._write(TERMINATOR)

    def end(self, collection: ArchiveCollection) -> int:
        """Write the end of a collection; every one of the prelude needs it, views too. Returns its CRC-64/XZ."""
        key = (collection.database, collection.data_name)
        checksum = self._sums.pop(key)
        self._write(namespace_header(*key, end=True, checksum=checksum) + TERMINATOR)
        return checksum

    @property
    def unfinished(self) -> tuple[tuple[str, str], ...]:
        """The (database, collection) pairs that have no end yet."""
        return tuple(self._sums)

    def _write(self, data: bytes) -> None:
        # An unbuffered file may take a part only.
        view = memoryview(data)
        while view:
            view = view[self._output.write(view) :]


def namespace_header(database: str, collection: str, *, end: bool, checksum: int) -> bytes:
    """The document before a segment (checksum 0) and at a collection's end."""
    names = b"".join(
        b"\x02" + key + b"\x00" + struct.pack("<i", len(value) + 1) + value + b"\x00"
        for key, value in ((b"db", database.encode()), (b"collection", collection.encode()))
    )
    # The checksum is unsigned, BSON's 64 bits are signed: the same bits are written.
    rest = b"\x08EOF\x00" + (b"\x01" if end else b"\x00") + b"\x12CRC\x00" + struct.pack("<Q", checksum) + b"\x00"
    return struct.pack("<i", 4 + len(names) + len(rest)) + names + rest
