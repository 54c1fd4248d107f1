# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the oplog of one member, and reading a part of it."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoError, MongoTooOld
from .bson_bytes import MalformedBson
from .facts import version_numbers
from .faults import named_faults
from .oplog import majority_in, majority_position, oplog_namespace
from .oplog_chain import Found
from .oplog_lint import entry_time
from .oplog_marks import mark_of
from .oplog_slicer import moved
from .raw_reader import read_raw
from .reply import each_document, parse_reply
from .timestamps import Position, position_of, timestamp_of
from .topology import say_hello

if t.TYPE_CHECKING:
    from .connection import Client

OLDEST_VERSION = (4, 4)
NOTHING: Position = (0, 0)
_DOING = "Reading the oplog"


@dataclass(frozen=True)
class LastWrites:
    """What a member says of itself: its newest write, the newest that a majority has (NOTHING where it does not know),
    and what time it has (UTC).
    """

    newest: Position
    majority: Position
    now: datetime.datetime


@dataclass(frozen=True)
class OpenOnServer:
    """Transactions whose entries began before now and have not ended: how many, and the first entry of all."""

    count: int
    first: Position | None


def last_writes(client: Client) -> LastWrites:
    """Ask a member. Raises MongoUnreachable."""
    with named_faults("Asking for the last write"):
        hello = say_hello(client)
        last = hello["lastWrite"]
        return LastWrites(
            newest=position_of(last["opTime"]["ts"]),
            majority=majority_in(hello) or NOTHING,
            now=hello["localTime"].replace(tzinfo=datetime.timezone.utc),
        )


def look(client: Client, position: Position) -> Found:
    """What stands at or after *position*, for :func:`oplog_chain.judge`."""
    raw = _first(client, {"ts": {"$gte": timestamp_of(position)}})
    oldest = _first(client, {})
    return Found(
        entry=None if raw is None else mark_of(raw),
        oldest=None if oldest is None else entry_time(oldest),
        majority=last_writes(client).majority,
    )


def where_to_begin(client: Client) -> tuple[Position, Position]:
    """From where a new chain is read, and from which position on bases can use it.

    The first is earlier where a transaction is open. In between: whatever was open at the second position began after
    the first, or was seen to be open. Nothing less would do: a transaction may end between two questions.
    Raises MongoMajorityUnavailable.
    """
    before = majority_position(client)
    oldest = _first(client, {})
    found = open_transactions(client, since=None if oldest is None else entry_time(oldest))
    reads_from = before if found.first is None else min(before, found.first)
    return reads_from, majority_position(client)


def open_transactions(client: Client, *, since: Position | None) -> OpenOnServer:
    """Those in the oplog that began at *since* or later; what is older than the oplog itself never ends any more."""
    with named_faults("Looking for open transactions"):
        listed = client.config["transactions"].find(
            {"state": {"$in": ["prepared", "inProgress"]}, "startOpTime": {"$exists": True}}, {"startOpTime": 1}
        )
        begun = [position_of(one["startOpTime"]["ts"]) for one in listed]
    begun = [one for one in begun if since is None or one >= since]
    return OpenOnServer(count=len(begun), first=min(begun, default=None))


def read_entries(client: Client, *, start: Position, end: Position) -> t.Generator[bytes, None, None]:
    """The entries from *start* to *end*, both of which must be there: that proves that none between them is gone.

    Raises MongoOplogMoved.
    """
    window = {"ts": {"$gte": timestamp_of(start), "$lte": timestamp_of(end)}}
    first: Position | None = None
    last: Position | None = None
    for batch in read_raw(client, dataclasses.replace(oplog_namespace(), query=window)):
        for entry in each_document(batch.documents):
            last = entry_time(entry)
            if first is None:
                first = last
                if first != start:
                    raise moved(start)
            yield entry
        del batch  # or it would stay in memory beside the next one
    if last != end:
        raise moved(end)


def server_version(client: Client) -> tuple[str, str | None]:
    """The server's version and the feature compatibility version of its data, None where it does not say.

    Raises MongoTooOld below 4.4, which reads its whole oplog to find an entry by its time.
    """
    with named_faults("Reading the server's version", role="clusterMonitor"):
        version = str(client.admin.command("buildInfo")["version"])
        reply = client.admin.command({"getParameter": 1, "featureCompatibilityVersion": 1})
    if version_numbers(version) < OLDEST_VERSION:
        raise MongoTooOld(
            f"The server is MongoDB {version}; its oplog can be followed from 4.4 on.",
            hint="Upgrade the server; until then full backups are what can be recovered.",
            details={"version": version},
        )
    found = reply.get("featureCompatibilityVersion")
    return version, str(found["version"]) if isinstance(found, t.Mapping) and "version" in found else None


def _first(client: Client, query: t.Mapping[str, t.Any]) -> bytes | None:
    """The first entry that matches, as bytes."""
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    codec: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
    command = {"find": "oplog.rs", "filter": dict(query), "limit": 1, "singleBatch": True}
    with named_faults(_DOING):
        raw = client.local.command(command, codec_options=codec).raw
    try:
        return next(each_document(parse_reply(raw).documents), None)
    except MalformedBson as error:
        raise MongoError(f"{_DOING} failed: {error}.") from error
