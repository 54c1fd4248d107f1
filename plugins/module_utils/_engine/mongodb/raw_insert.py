# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inserting documents as bytes: the ones of an archive go to the server as they are, never decoded.

The insert command takes its documents as one run of bytes behind the command itself (OP_MSG's section of kind 1):
https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#op_msg - just what an archive holds.
"""

from __future__ import annotations

import re
import struct
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoArchiveInvalid, MongoLoadFailed, MongoMajorityUnavailable
from . import bson_bytes
from .faults import named_faults
from .reply import each_document

if t.TYPE_CHECKING:
    from .connection import Client

# What every server takes in one command (hello.maxWriteBatchSize).
MOST_DOCUMENTS = 100_000
# CannotInsertTimeseriesBucketsWithMixedSchema, from src/mongo/base/error_codes.yml of github.com/mongodb/mongo.
_MIXED_SCHEMA = 408
# A timestamp field whose value is zero, wherever it is; what looks like one within other bytes is sorted out later.
_EMPTY_TIMESTAMP = re.compile(rb"\x11[^\x00]*\x00\x00{8}")
_RAW_DOCUMENT = 101  # how the driver's encoder recognises documents that are bytes already


class RawDocuments:
    """Documents one after the other, given to the driver as if they were one: it copies their bytes as they are."""

    _type_marker = _RAW_DOCUMENT

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


@dataclass(frozen=True)
class InsertTarget:
    """A collection on the target. *in_order* keeps the order of the documents (capped collections).

    *is_buckets* says that it holds the buckets of a time series.
    """

    database: str
    name: str
    in_order: bool = False
    is_buckets: bool = False

    @property
    def full_name(self) -> str:
        """``database.name``."""
        return f"{self.database}.{self.name}"


@dataclass(frozen=True)
class InsertSettings:
    """*write_concern* is the command's, as a document. *keeps_empty_timestamps* tells that the server stores a zero
    timestamp as it is when asked to (8.0, 7.0.13, 6.0.17, 5.0.29); others replace it by the current time.
    """

    write_concern: t.Mapping[str, t.Any]
    keeps_empty_timestamps: bool = False


def keeps_empty_timestamps(version: t.Sequence[int]) -> bool:
    """Whether a server of that version knows ``bypassEmptyTsReplacement``; see mongo-tools, common/db. Pure."""
    if version[0] >= 8:
        return True
    since = {(7, 0): 13, (6, 0): 17, (5, 0): 29}.get((version[0], version[1]))
    return since is not None and version[2] >= since


def insert_raw(client: Client, target: InsertTarget, documents: bytes, count: int, *, settings: InsertSettings) -> None:
    """Insert *count* documents that lie one after the other in *documents*; validators are not asked.

    Raises MongoLoadFailed when the server refuses one, MongoMajorityUnavailable, and what connections raise.
    """
    if count > MOST_DOCUMENTS:
        for part, size in _parts(documents):
            insert_raw(client, target, part, size, settings=settings)
        return
    if not settings.keeps_empty_timestamps and _EMPTY_TIMESTAMP.search(documents):
        if target.in_order and count > 1:
            for document in each_document(documents):
                insert_raw(client, target, document, 1, settings=settings)
            return
        documents, empty = _without_empty_timestamps(documents)
        for document in empty:
            _insert_with_empty_timestamps(client, target, document, settings=settings)
        count -= len(empty)
        if not count:
            return
    reply = _insert(client, target, documents, settings=settings)
    _judge(reply, target, count=count)


def _insert(client: Client, target: InsertTarget, documents: bytes, *, settings: InsertSettings) -> dict[str, t.Any]:
    from pymongo.errors import OperationFailure

    command: dict[str, t.Any] = {
        "insert": target.name,
        "ordered": target.in_order,
        "writeConcern": dict(settings.write_concern),
        "documents": [RawDocuments(documents)],
    }
    if not target.is_buckets:
        command["bypassDocumentValidation"] = True
    if settings.keeps_empty_timestamps:
        command["bypassEmptyTsReplacement"] = True
    database = client[target.database]
    with named_faults(f"Inserting into {target.full_name}", role="restore"):
        try:
            reply = database.command(command)
        except OperationFailure as error:
            if not target.is_buckets or error.code != _MIXED_SCHEMA:
                raise
            refused, stored = documents, 0
        else:
            if not target.is_buckets or _codes(reply) != {_MIXED_SCHEMA}:
                return reply
            stored = int(reply["n"])
            failed = {int(error["index"]) for error in reply["writeErrors"]}
            refused = b"".join(one for number, one in enumerate(each_document(documents)) if number in failed)
        # Its source was allowed to hold such buckets; the metadata of an archive does not tell.
        series = target.name[len("system.buckets.") :]
        database.command({"collMod": series, "timeseriesBucketsMayHaveMixedSchemaData": True})
        again = database.command({**command, "documents": [RawDocuments(refused)]})
    return {**again, "n": stored + int(again.get("n", 0))}


def _codes(reply: t.Mapping[str, t.Any]) -> set[int]:
    return {int(error.get("code", 0)) for error in reply.get("writeErrors", ())}


def _judge(reply: t.Mapping[str, t.Any], target: InsertTarget, *, count: int) -> None:
    errors = reply.get("writeErrors", ())
    if errors:
        first = errors[0]
        raise MongoLoadFailed(
            f"The server refused {len(errors)} of {count} documents of {target.full_name}: "
            f"{str(first.get('errmsg', ''))[:300]} (error {first.get('code')}).",
            hint="Look whether something else writes into the target; else restore another backup.",
            details={"namespace": target.full_name, "server_code": first.get("code")},
        )
    unconfirmed = reply.get("writeConcernError")
    if unconfirmed:
        raise MongoMajorityUnavailable(
            f"Documents of {target.full_name} were not confirmed by a majority: "
            f"{str(unconfirmed.get('errmsg', ''))[:300]}.",
            hint="In mongosh: rs.status()   Members that are down or far behind must come back first.",
        )
    if reply.get("n") != count:
        raise MongoLoadFailed(
            f"The server stored {reply.get('n')} of {count} documents of {target.full_name} and gave no reason.",
            hint="Look into mongod's log; run the restore again.",
            details={"namespace": target.full_name},
        )


def _parts(documents: bytes) -> t.Iterator[tuple[bytes, int]]:
    """The same documents in runs that a command takes."""
    start = position = count = 0
    while position < len(documents):
        position += bson_bytes.document_length(documents, position, len(documents))
        count += 1
        if count == MOST_DOCUMENTS:
            yield documents[start:position], count
            start, count = position, 0
    if count:
        yield documents[start:position], count


def _without_empty_timestamps(documents: bytes) -> tuple[bytes, list[bytes]]:
    """The documents without a zero timestamp at their top, and those with one. Raises MongoArchiveInvalid."""
    plain: list[bytes] = []
    empty: list[bytes] = []
    try:
        for document in each_document(documents):
            has_one = _EMPTY_TIMESTAMP.search(document) is not None and any(
                element.type == bson_bytes.TIMESTAMP
                and element.key != b"_id"
                and struct.unpack_from("<Q", document, element.start)[0] == 0
                for element in bson_bytes.elements(document)
            )
            (empty if has_one else plain).append(document)
    except bson_bytes.MalformedBson as error:
        raise MongoArchiveInvalid(
            f"A document of the archive is not BSON: {error}.",
            hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
        ) from error
    return b"".join(plain), empty


def _insert_with_empty_timestamps(
    client: Client, target: InsertTarget, document: bytes, *, settings: InsertSettings
) -> None:
    """Insert, and put the zero back that the server has replaced: an update by a pipeline leaves it as it is."""
    from bson.raw_bson import RawBSONDocument

    _judge(_insert(client, target, document, settings=settings), target, count=1)
    identity = bson_bytes.find(document, b"_id")
    if identity is None:
        return  # the server gave it an _id of its own: nothing that was in a collection looks so
    key = RawBSONDocument(_document(document[identity.start - len(b"_id") - 2 : identity.end]))
    update = {
        "q": key,
        "u": [{"$replaceRoot": {"newRoot": {"$literal": RawBSONDocument(document)}}}],
        "multi": False,
    }
    with named_faults(f"Updating {target.full_name}", role="restore"):
        client[target.database].command(
            {
                "update": target.name,
                "updates": [update],
                "bypassDocumentValidation": True,
                "writeConcern": dict(settings.write_concern),
            }
        )


def _document(elements: bytes) -> bytes:
    return struct.pack("<i", len(elements) + 5) + elements + b"\x00"
