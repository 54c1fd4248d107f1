# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream in the simulation: a spool, a shipper that may die between a segment and its record, and what must be true.

The writers are the engine's own; what reads, compresses and encrypts files is a small stand-in.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import random
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage, _Stored
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.encoder import Encoded
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import (
    StreamFolder,
    object_name,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.notes import StreamNotes
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import parse_record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record_writer import RecordWriter
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import SegmentDescription
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment_writer import SegmentWriter
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import SpoolEntry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.waiting import WaitingSegment

OPLOG = Series(service="shop", source="main", kind="oplog")
STREAM = StreamFolder(series=OPLOG, lineage="rs0")
# How long ago a shipper died that left the first segment without a record.
_LEFT_BEFORE = tuple(datetime.timedelta(hours=hours) for hours in (1, 20, 23, 30, 80, 220))
_MOST = 4


class Spool:
    """What waits: more files, the later it is. They stay until the course ends, as where a repository is down."""

    def __init__(self, chance: random.Random, *, now: datetime.datetime) -> None:
        self._chance = chance
        self._waiting = [_waiting(1, now)]

    def leave(self, storage: MemoryStorage, *, now: datetime.datetime) -> None:
        """The first segment without a record, perhaps."""
        if self._chance.random() < 0.5:
            return
        data = _content(self._waiting[0].entry)
        name = object_name(self._waiting[0].name, hashlib.sha256(data).hexdigest(), "")
        key = STREAM.segment_key("0", name)
        info = ObjectInfo(key=key, size=len(data), modified=now - self._chance.choice(_LEFT_BEFORE))
        storage._objects[key] = _Stored(data=data, info=info)

    def look(self, now: datetime.datetime) -> list[WaitingSegment]:
        """What there is now."""
        if len(self._waiting) < _MOST and self._chance.random() < 0.5:
            self._waiting.append(_waiting(len(self._waiting) + 1, now))
        return list(self._waiting)


def ship(storages: t.Mapping[str, Storage], waiting: t.Sequence[WaitingSegment], *, host: Host, state: str) -> None:
    """As a shipper does that has just been started. Raises LifeboatError."""
    notes = StreamNotes(state=StateDirectory(path=state), name="oplog")
    for name, storage in storages.items():
        writer = RecordWriter(
            name=name,
            storage=storage,
            engine="mongodb",
            segments=SegmentWriter(storage=storage, encoder=t.cast("t.Any", _Encoder()), clock=host.clock),
            order=lambda segment: (segment,),
            follows=lambda _before, _after: True,
            notes=notes,
            host=host,
            parallel=2,
        )
        writer.write(waiting, stopping=lambda: False)


def named(storage: MemoryStorage) -> set[str]:
    """The keys of the segments that records name, in whatever hour."""
    return {
        key
        for record, stored in storage._objects.items()
        if record.startswith(STREAM.records_prefix)
        for key in _named_by(record, stored.data)
    }


@functools.lru_cache(maxsize=4096)
def _named_by(key: str, data: bytes) -> tuple[str, ...]:
    record = parse_record(data, folder=STREAM, key=key)
    return tuple(STREAM.segment_key(one.description.group, one.payload.name) for one in record.segments)


def is_of_stream(key: str) -> bool:
    """Whether the object is one that a stream has: a segment, a record or an index."""
    return key.startswith((STREAM.segments_prefix, STREAM.records_prefix, STREAM.index_prefix))


def _waiting(number: int, now: datetime.datetime) -> WaitingSegment:
    name = f"{number:08d}"
    description = SegmentDescription(name=name, group="0", media="text", begins=now, ends=now, facts={})
    entry = SpoolEntry(name=name, path=f"/spool/{name}", size=len(name), modified=now)
    return WaitingSegment(entry=entry, folder=STREAM, description=description)


def _content(entry: SpoolEntry) -> bytes:
    return f"segment {entry.name}".encode()


class _Encoder:
    """In the place of zstd and age."""

    suffixes = ""
    compression = None
    encryption = None

    def encode(self, entry: SpoolEntry) -> Encoded:
        """See SegmentEncoder."""
        data = _content(entry)
        digest = hashlib.sha256(data).hexdigest()
        return Encoded(plain_size=len(data), plain_sha256=digest, data=data, sha256=digest)

    def plain_sha256(self, entry: SpoolEntry) -> str:
        """See SegmentEncoder."""
        return hashlib.sha256(_content(entry)).hexdigest()

    def taken(self, entry: SpoolEntry) -> None:
        """See SegmentEncoder."""
