# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a collection as fast as the server gives it: find and getMore whose replies stay bytes.

Documents are neither decoded nor encoded, so they arrive exactly as they are stored. Parts of one collection are cut
by min() and max() on its _id index: the index orders values of all types, while $gte and $lt compare within one type
only and would lose documents whose _id is of another.
"""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoError
from .bson_bytes import MalformedBson
from .faults import CURSOR_NOT_FOUND, named_faults
from .namespaces import Namespace
from .reply import Batch, parse_reply
from .timestamps import Position, timestamp_of

if t.TYPE_CHECKING:
    from pymongo.client_session import ClientSession

    from .connection import Client

# Small enough for constant memory with several readers, large enough that a round trip doesn't show.
BATCH_BYTES = 2 * 1024 * 1024
_ASSUMED_DOCUMENT = 512


@dataclass(frozen=True)
class IdRange:
    """A part of a collection in the order of its _id index: from *lower* (in) to *upper* (out), or *only* one value.

    All are BSON documents ``{_id: value}``. Without *lower* it begins with the first document, MinKey included; without
    *upper* it ends before MaxKey: the server takes that as the bound, and bounds are out.
    """

    lower: bytes | None = None
    upper: bytes | None = None
    only: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole collection."""
        return self.lower is None and self.upper is None and self.only is None


WHOLE = IdRange()
# {_id: MaxKey}, which a range without an upper bound leaves out.
LAST_KEY = IdRange(only=b"\x0a\x00\x00\x00\x7f_id\x00\x00")


def read_raw(
    client: Client,
    namespace: Namespace,
    *,
    part: IdRange = WHOLE,
    at_cluster_time: Position | None = None,
    stop: threading.Event | None = None,
    batch_bytes: int = BATCH_BYTES,
) -> t.Iterator[Batch]:
    """The documents of a namespace, batch by batch; with *at_cluster_time* as they were at that moment.

    When *stop* is set it ends early and frees the server's cursor. Raises MongoCollectionChanged when the collection
    was dropped in the middle, MongoSnapshotTooOld, MongoNotAuthorised and MongoUnreachable.
    """
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument
    from pymongo.errors import OperationFailure

    codec: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
    database = client[namespace.source_database]
    size = batch_size(namespace, batch_bytes=batch_bytes)
    command = find_command(namespace, part=part, at_cluster_time=at_cluster_time, size=size)
    doing = f"Reading {namespace.full_name}"
    with client.start_session(causal_consistency=False) as session:
        while True:
            try:
                with named_faults(doing):
                    raw = database.command(command, codec_options=codec, session=session).raw
            except MongoError as error:
                if error.details.get("server_code") == CURSOR_NOT_FOUND:
                    error.hint = "The server closed the cursor; look into mongod's log for killSessions or a restart."
                raise
            try:
                batch = parse_reply(raw)
            except MalformedBson as error:
                raise MongoError(f"{doing} failed: {error}.") from error
            cursor_id = batch.cursor_id
            del raw
            yield batch
            del batch  # or it would stay in memory beside the next one
            if not cursor_id:
                return
            if stop is not None and stop.is_set():
                try:
                    _kill(client, session, namespace, cursor_id)
                except OperationFailure:
                    pass  # the session's end frees the cursor as well
                return
            command = get_more_command(namespace, cursor_id=cursor_id, size=size)


def find_command(
    namespace: Namespace, *, part: IdRange, at_cluster_time: Position | None, size: int
) -> dict[str, t.Any]:
    """The command that opens the cursor. Pure."""
    from bson.raw_bson import RawBSONDocument

    # Waiting for a slow repository may take longer than the ten minutes that a cursor may idle.
    command: dict[str, t.Any] = {"find": namespace.source_name, "batchSize": size, "noCursorTimeout": True}
    if namespace.query is not None:
        command["filter"] = dict(namespace.query)
    elif part.only is not None:
        command["filter"] = RawBSONDocument(part.only)
    elif part.is_whole:
        command["hint"] = {"$natural": 1}
    else:
        command["hint"] = {"_id": 1}
        if part.lower is not None:
            command["min"] = RawBSONDocument(part.lower)
        if part.upper is not None:
            command["max"] = RawBSONDocument(part.upper)
    if at_cluster_time is not None:
        command["readConcern"] = {"level": "snapshot", "atClusterTime": timestamp_of(at_cluster_time)}
    return command


def get_more_command(namespace: Namespace, *, cursor_id: int, size: int) -> dict[str, t.Any]:
    """The command that asks for the next batch. Pure."""
    from bson.int64 import Int64

    return {"getMore": Int64(cursor_id), "collection": namespace.source_name, "batchSize": size}


def batch_size(namespace: Namespace, *, batch_bytes: int) -> int:
    """How many documents make about *batch_bytes*, by the server's estimate of their size. Pure."""
    average = namespace.size // namespace.count if namespace.count else _ASSUMED_DOCUMENT
    return max(1, batch_bytes // max(average, 16))


def _kill(client: Client, session: ClientSession, namespace: Namespace, cursor_id: int) -> None:
    from bson.int64 import Int64

    client[namespace.source_database].command(
        {"killCursors": namespace.source_name, "cursors": [Int64(cursor_id)]}, session=session
    )
