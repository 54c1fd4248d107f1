# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad MongoDB archives made of good ones: each function takes the plain bytes of an archive and returns altered ones.

The first group breaks the archive itself; the second makes archives that are whole in themselves, with right checksums,
and hold something else than before. Where a collection is not named, the one with the most documents is meant.
"""

from __future__ import annotations

import dataclasses
import io
import json
import typing as t
from dataclasses import dataclass

import bson

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import (
    ArchiveCollection,
    ArchiveWriter,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_comparison import index_names
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_listing import list_archive
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_reader import (
    ArchiveDocuments,
    ArchivePrelude,
    ArchiveReader,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.content import metadata_sha256
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.reply import each_document

Name = tuple[str, str]  # database and collection


@dataclass(frozen=True)
class Parts:
    """An archive taken apart; *documents* has those of each entry, under its names in the prelude."""

    prelude: ArchivePrelude
    documents: dict[Name, list[bytes]]

    @property
    def largest(self) -> Name:
        """The collection with the most documents."""
        return max(self.documents, key=lambda name: len(self.documents[name]))


def take_apart(data: bytes) -> Parts:
    """The parts of an archive, which must be whole."""
    reader = ArchiveReader(io.BytesIO(data))
    prelude = reader.prelude()
    names = {(one.database, one.data_name): (one.database, one.name) for one in prelude.collections}
    documents: dict[Name, list[bytes]] = {name: [] for name in names.values()}
    for block in reader.blocks():
        if isinstance(block, ArchiveDocuments):
            documents[names[block.database, block.collection]] += each_document(block.documents)
    return Parts(prelude=prelude, documents=documents)


def put_together(parts: Parts) -> bytes:
    """An archive of these parts, with right checksums; one collection after the other."""
    output = io.BytesIO()
    writer = ArchiveWriter(output)
    writer.prelude(
        collections=parts.prelude.collections,
        concurrent_collections=parts.prelude.concurrent_collections,
        server_version=parts.prelude.server_version,
        tool_version=parts.prelude.tool_version,
    )
    for one in parts.prelude.collections:
        # Some hundred kilobytes at a time, as a dump has them.
        documents = parts.documents[one.database, one.name]
        for first in range(0, len(documents), 500):
            writer.documents(one, b"".join(documents[first : first + 500]))
        writer.end(one)
    return output.getvalue()


# --- archives that are broken -----------------------------------------------------------------------------------------


def truncated(data: bytes) -> bytes:
    """The first half."""
    return data[: len(data) // 2]


def without_the_last_byte(data: bytes) -> bytes:
    """All but one byte."""
    return data[:-1]


def bit_flipped(data: bytes) -> bytes:
    """One bit inside of a document is another one; checksums are as before."""
    position = _inside_a_document(data)
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def page_zeroed(data: bytes) -> bytes:
    """4 KiB in the middle of the documents are zero bytes (fewer in a small archive)."""
    position = _inside_a_document(data)
    count = min(4096, len(data) - position - 64)
    return data[:position] + bytes(count) + data[position + count :]


def segment_dropped(data: bytes) -> bytes:
    """Some documents are gone, cut out cleanly between two others; the collection's checksum is as before."""
    parts = take_apart(data)
    document = parts.documents[parts.largest][len(parts.documents[parts.largest]) // 2]
    position = data.index(document)
    return data[:position] + data[position + len(document) :]


# --- archives that hold something else --------------------------------------------------------------------------------


def empty(data: bytes) -> bytes:
    """Every collection is there and has no documents."""
    parts = take_apart(data)
    return put_together(dataclasses.replace(parts, documents={name: [] for name in parts.documents}))


def without_any_collection(data: bytes) -> bytes:
    """An archive of nothing."""
    return put_together(_with_collections(take_apart(data), []))


def half_the_rows(data: bytes, *, of: Name | None = None) -> bytes:
    """Every second document of a collection."""
    parts = take_apart(data)
    name = of or parts.largest
    return put_together(_with_documents(parts, name, parts.documents[name][::2]))


def one_value_changed(data: bytes, *, of: Name | None = None) -> bytes:
    """One document has another value of the same length; the archive's checksum is that of the new bytes."""
    parts = take_apart(data)
    name = of or parts.largest
    documents = list(parts.documents[name])
    middle = len(documents) // 2
    changed = bytearray(documents[middle])
    changed[-2] ^= 1  # the last byte of the last value, or the zero byte of a text
    if changed[-2] == 1:
        changed[-2] = 0
        changed[-3] ^= 1
    documents[middle] = bytes(changed)
    return put_together(_with_documents(parts, name, documents))


def document_malformed(data: bytes, *, of: Name | None = None) -> bytes:
    """One document has a type byte that BSON does not know; its length and the archive's checksum are right."""
    parts = take_apart(data)
    name = of or parts.largest
    documents = list(parts.documents[name])
    broken = bytearray(documents[-1])
    broken[4] = 0x77
    documents[-1] = bytes(broken)
    return put_together(_with_documents(parts, name, documents))


def value_repeated(data: bytes, *, of: Name | None = None) -> bytes:
    """The last document of a collection is its first once more: the same _id twice."""
    parts = take_apart(data)
    name = of or parts.largest
    documents = parts.documents[name]
    return put_together(_with_documents(parts, name, [*documents[:-1], documents[0]]))


def without_collection(data: bytes, *, name: Name | None = None) -> bytes:
    """One collection is missing, with its metadata."""
    parts = take_apart(data)
    gone = name or parts.largest
    return put_together(
        _with_collections(parts, [one for one in parts.prelude.collections if (one.database, one.name) != gone])
    )


def with_collection(data: bytes, *, name: Name) -> bytes:
    """There is one collection more, with one document."""
    parts = take_apart(data)
    new = ArchiveCollection(
        database=name[0],
        name=name[1],
        data_name=name[1],
        metadata=json.dumps({"indexes": [], "collectionName": name[1], "type": "collection"}),
        type="collection",
    )
    more = _with_collections(parts, [new, *parts.prelude.collections])
    return put_together(_with_documents(more, name, [bson.encode({"_id": 1})]))


def without_index(data: bytes, *, of: Name, index: str) -> bytes:
    """The metadata of a collection lacks an index."""

    def drop(metadata: dict[str, t.Any]) -> None:
        kept = [one for one in metadata["indexes"] if one["name"] != index]
        assert len(kept) == len(metadata["indexes"]) - 1, f"{of} has no index {index}"
        metadata["indexes"] = kept

    return _with_metadata(data, of, drop)


def without_options(data: bytes, *, of: Name) -> bytes:
    """The metadata of a collection lacks its options (validator, collation, capped ...)."""
    return _with_metadata(data, of, lambda metadata: metadata.pop("options"))


def of_another_database(data: bytes, *, name: str = "another") -> bytes:
    """All collections belong to a database of that name."""
    parts = take_apart(data)
    renamed = [dataclasses.replace(one, database=name) if one.database else one for one in parts.prelude.collections]
    documents = {(name if database else "", one): found for (database, one), found in parts.documents.items()}
    prelude = dataclasses.replace(parts.prelude, collections=tuple(renamed))
    return put_together(Parts(prelude=prelude, documents=documents))


def said_by(data: bytes, *, tool_version: str) -> bytes:
    """The archive names another tool version: that of an earlier Lifeboat, or one with another backup's id."""
    parts = take_apart(data)
    prelude = dataclasses.replace(parts.prelude, tool_version=tool_version)
    return put_together(dataclasses.replace(parts, prelude=prelude))


def oplog_cut(data: bytes) -> bytes:
    """The oplog in the archive lacks its last entry."""
    parts = take_apart(data)
    return put_together(_with_documents(parts, ("", "oplog"), parts.documents["", "oplog"][:-1]))


def note_what_is_there(document: dict[str, t.Any], *, archive: bytes) -> None:
    """Make the content of a manifest's document that of the archive: as if the dump itself had been made like this."""
    listed = list_archive(io.BytesIO(archive))
    databases: dict[str, dict[str, t.Any]] = {}
    for (database, name), one in listed.collections.items():
        end = listed.end(one)
        databases.setdefault(database, {})[name] = {
            "documents": end.count,
            "bytes": end.size,
            "uuid": None,
            "type": one.type,
            "crc64": f"{end.checksum:016x}",
            "indexes": list(index_names(one.metadata)),
            "metadata_sha256": metadata_sha256(one.metadata),
        }
    document["content"]["databases"] = databases


def _with_documents(parts: Parts, name: Name, documents: t.Sequence[bytes]) -> Parts:
    return dataclasses.replace(parts, documents={**parts.documents, name: list(documents)})


def _with_collections(parts: Parts, collections: t.Sequence[ArchiveCollection]) -> Parts:
    names = [(one.database, one.name) for one in collections]
    return Parts(
        prelude=dataclasses.replace(parts.prelude, collections=tuple(collections)),
        documents={name: parts.documents.get(name, []) for name in names},
    )


def _with_metadata(data: bytes, of: Name, change: t.Callable[[dict[str, t.Any]], t.Any]) -> bytes:
    parts = take_apart(data)
    collections = []
    for one in parts.prelude.collections:
        if (one.database, one.name) == of:
            metadata = json.loads(one.metadata)
            change(metadata)
            text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)
            collections.append(dataclasses.replace(one, metadata=text))
        else:
            collections.append(one)
    assert tuple(collections) != parts.prelude.collections, f"the archive has no {of}"
    return put_together(_with_collections(parts, collections))


def _inside_a_document(data: bytes) -> int:
    """A position in the last value of a document in the middle of the largest collection."""
    parts = take_apart(data)
    documents = parts.documents[parts.largest]
    document = documents[len(documents) // 2]
    return data.index(document) + len(document) - 3
