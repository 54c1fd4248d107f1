# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading an archive to its end without a server: what is in it, and that every checksum in it is right."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import MongoArchiveInvalid
from . import bson_bytes
from .archive import ArchiveCollection
from .archive_reader import ArchiveDocuments, ArchiveEnd, ArchivePrelude, ArchiveReader
from .collection_metadata import read_metadata
from .oplog_lint import entry_time
from .reply import each_document
from .timestamps import Position

OPLOG = ("", "oplog")
#: The entries that mongodump --dumpDbUsersAndRoles adds to one database begin with it.
USERS_PREFIX = "$admin."


@dataclass(frozen=True)
class ListedArchive:
    """A whole archive. *ends* has every entry by (database, name of its data); *first* and *last* are those of its
    oplog, None without one.
    """

    prelude: ArchivePrelude
    ends: t.Mapping[tuple[str, str], ArchiveEnd]
    first: Position | None = None
    last: Position | None = None

    @property
    def collections(self) -> dict[tuple[str, str], ArchiveCollection]:
        """The collections, views and time series by (database, name): without oplog and one database's users."""
        return {
            (one.database, one.name): one
            for one in self.prelude.collections
            if (one.database, one.name) != OPLOG and not one.name.startswith(USERS_PREFIX)
        }

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases with a collection, in order."""
        return tuple(sorted({database for database, _name in self.collections}))

    @property
    def documents(self) -> int:
        """How many documents there are altogether."""
        return sum(end.count for end in self.ends.values())

    @property
    def size(self) -> int:
        """The documents' bytes altogether."""
        return sum(end.size for end in self.ends.values())

    def end(self, collection: ArchiveCollection) -> ArchiveEnd:
        """What the archive said at that collection's end."""
        return self.ends[collection.database, collection.data_name]


def list_archive(source: t.BinaryIO) -> ListedArchive:
    """Read an archive to its end in constant memory; documents are counted, not decoded. Raises MongoArchiveInvalid."""
    reader = ArchiveReader(source)
    prelude = reader.prelude()
    for collection in prelude.collections:
        read_metadata(collection)  # no checksum covers it, but it must at least be what it claims to be
    ends: dict[tuple[str, str], ArchiveEnd] = {}
    first: Position | None = None
    last: Position | None = None
    for block in reader.blocks():
        if isinstance(block, ArchiveEnd):
            ends[block.database, block.collection] = block
        elif (block.database, block.collection) == OPLOG:
            here, last = _positions(block)
            first = first or here
    return ListedArchive(prelude=prelude, ends=ends, first=first, last=last)


def _positions(block: ArchiveDocuments) -> tuple[Position, Position]:
    """Of the first and the last oplog entry of a block, which has at least one."""
    try:
        entries = list(each_document(block.documents))
        return entry_time(entries[0]), entry_time(entries[-1])
    except bson_bytes.MalformedBson as error:
        raise MongoArchiveInvalid(
            f"The archive's oplog can't be read: {error}.",
            hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
        ) from error
