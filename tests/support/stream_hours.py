# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams in a repository, some segments in each hour, and what retention reads of them."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.stream_marks import StreamMarks
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.windows import WindowsOf
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_hours import (
    StreamSummary,
    summarise_stream,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import RecoverySpan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index import make_index
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder, hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_records
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment, StreamEvent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.support.memory import MemoryStorage

BEGIN = parse_time("2026-11-21T00:00:00Z")
HOUR = datetime.timedelta(hours=1)

Span = tuple[datetime.datetime, datetime.datetime]


def hour(number: float) -> str:
    """The name of the hour of that number."""
    return hour_of(BEGIN + HOUR * number)


def record_of(
    folder: StreamFolder,
    segments: t.Sequence[Segment],
    *,
    number: float,
    engine: str = "postgresql",
    events: t.Sequence[StreamEvent] = (),
) -> Record:
    """A record that was made in the hour of that number."""
    made = BEGIN + HOUR * number
    return Record(
        record_id=new_backup_id(now=made),
        folder=folder,
        engine=engine,
        made=made,
        host="db1",
        lifeboat_version="0.1.0",
        segments=tuple(segments),
        events=tuple(events),
    )


def put_record(storage: Storage, one: Record) -> str:
    """As shipping does; the key."""
    key = one.folder.record_key(hour_of(one.made), one.record_id)
    storage.put(key, one.as_bytes())
    return key


def put_index(storage: Storage, records: t.Sequence[Record], *, with_records: bool = True) -> None:
    """The index of an hour that is over."""
    at = hour_of(records[0].made)
    storage.put(records[0].folder.index_key(at), make_index(records, hour=at, made=records[0].made).as_bytes())
    if with_records:
        for one in records:
            put_record(storage, one)


def store_by_hour(
    storage: Storage, stream: Stream, *, each: int, engine: str = "postgresql", indexed: bool = True
) -> int:
    """*each* segments of a stream in one hour after the other; how many hours."""
    segments = [one.segment for one in stream.segments]
    hours = range(0, len(segments), each)
    for number, first in enumerate(hours):
        one = record_of(stream.folder, segments[first : first + each], number=number, engine=engine)
        if indexed:
            put_index(storage, [one], with_records=False)
        else:
            put_record(storage, one)
    return len(hours)


def summary_of(
    storage: Storage, folder: StreamFolder, marks: StreamMarks, bases: t.Sequence[Backup], *, hours: int = 24
) -> StreamSummary:
    """What retention reads, some hours after the beginning."""
    return summarise_stream(
        storage,
        folder,
        engine="any",
        bases=bases,
        marks=marks,
        now=BEGIN + HOUR * hours + datetime.timedelta(minutes=1),
    )


def summed(stream: Stream, marks: StreamMarks, bases: t.Sequence[Backup], *, each: int = 2) -> StreamSummary:
    """The same of a stream that is stored so."""
    storage = MemoryStorage()
    hours = store_by_hour(storage, stream, each=each)
    return summary_of(storage, stream.folder, marks, bases, hours=hours)


def union(spans: t.Iterable[Span], *, apart: datetime.timedelta = datetime.timedelta(0)) -> list[Span]:
    """The same moments, in as few spans as can be; *apart* is how far two may be from each other and still be one."""
    found: list[Span] = []
    for begins, ends in sorted(spans):
        if found and begins <= found[-1][1] + apart:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def moments(spans: t.Iterable[RecoverySpan]) -> list[Span]:
    """Begin and end of each."""
    return [(one.begins, one.ends) for one in spans]


def later_hours(stream: Stream, first: str, *, each: int) -> Stream:
    """What is left of a stream that was stored by :func:`store_by_hour` when all hours before *first* are gone."""
    kept: list[StoredSegment] = [
        one for number, one in enumerate(stream.segments) if hour(number // each) >= first or _lasts(one)
    ]
    return replace(stream, segments=tuple(kept))


def windows_of(room: WindowsOf, bases: t.Sequence[Backup], stream: Stream) -> list[Span]:
    """What a room says can be reached along a stream."""
    return union(
        (one.begins, one.ends) for one in room(bases, [stream]).windows if one.lineage == stream.folder.lineage
    )


def _lasts(one: StoredSegment) -> bool:
    return one.segment.name.endswith(".history")


def spread(storage: Storage, folder: StreamFolder, *, now: datetime.datetime) -> int:
    """Give each record of a lineage an hour of its own, the last one being the hour before *now*; how many hours.

    So a stream of minutes can be pruned as if it were one of days. What the records say stays.
    """
    found = read_records(storage, folder, now=now).records
    keys = [one.key for prefix in (folder.records_prefix, folder.index_prefix) for one in storage.list(prefix)]
    for number, one in enumerate(reversed(found)):
        made = now - HOUR * (number + 1)
        put_record(storage, replace(one, made=made, record_id=new_backup_id(now=made)))
    storage.delete(keys)
    return len(found)
