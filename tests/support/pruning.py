# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's WAL in a repository with its bytes, pruning of it, and what must be true whenever a pruner has died."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_stream import prune_stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_pruned import StreamPruned
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_marks import WAL_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_windows import wal_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_hours import (
    StreamSummary,
    summarise_stream,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import StreamDecision
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import floor_hour, newest_floor
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import (
    read_records,
    read_streams,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.support.clocks import FakeClock
from tests.support.stream_hours import BEGIN, HOUR, put_index, put_record, record_of
from tests.unit.postgresql.wal_archives import history, lsn, segment, stream

FOLDER: StreamFolder = stream().folder
#: A clock far behind the last hour that any of these tests fills.
LATER = BEGIN + 40 * HOUR


def number_of(segment_name: str) -> int:
    """The number of a segment of WAL."""
    return int(segment_name[-8:], 16)


def wal(first: int, last: int, *, timeline: int = 1) -> list[StoredSegment]:
    """Neighbours, both included."""
    return [
        segment(number, timeline=timeline, sha256=f"{timeline:04x}{number:060x}") for number in range(first, last + 1)
    ]


def switch(number: int) -> StoredSegment:
    """The history of timeline 2, which branched off in the segment of that number."""
    return history(2, [(1, lsn(number, 0x800000))], minutes=number)


def put_segment(storage: Storage, one: Segment, *, folder: StreamFolder = FOLDER) -> str:
    """The object of a segment, with the bytes that its record says; the key."""
    key = folder.segment_key(one.description.group, one.payload.name)
    storage.put(key, b"x" * one.payload.size, if_absent=False)
    return key


def put_hour(
    storage: Storage,
    number: float,
    segments: t.Sequence[StoredSegment],
    *,
    folder: StreamFolder = FOLDER,
    indexed: bool = True,
    each: int = 1,
) -> list[Record]:
    """Segments that were recorded in the hour of that number, *each* of them by one record, which stay."""
    for one in segments:
        put_segment(storage, one.segment, folder=folder)
    records = [
        record_of(folder, [one.segment for one in segments[start : start + each]], number=number + start / 1000)
        for start in range(0, len(segments), each)
    ]
    if indexed:
        put_index(storage, records)
    else:
        for one in records:
            put_record(storage, one)
    return records


def fill(storage: Storage, *, hours: int = 8, each: int = 3, folder: StreamFolder = FOLDER) -> None:
    """Timeline 1 in the first hours, from segment 1 on; the last two hours have no index."""
    for number in range(hours):
        segments = wal(number * each + 1, (number + 1) * each)
        put_hour(storage, number, segments, folder=folder, indexed=number < hours - 2)


def summarise(
    storage: Storage,
    bases: t.Sequence[Backup] = (),
    *,
    folder: StreamFolder = FOLDER,
    now: datetime.datetime = LATER,
) -> StreamSummary:
    """What retention reads."""
    return summarise_stream(storage, folder, engine="postgresql", bases=bases, marks=WAL_MARKS, now=now)


def decide(summary: StreamSummary, keep_from: str) -> StreamDecision:
    """As a planner does."""
    going = [one for one in summary.entry.hours if one.key < keep_from]
    return StreamDecision(
        entry=summary.entry,
        keep_from=keep_from if going else "",
        removed_hours=len(going),
        removed_segments=sum(one.segments for one in going),
        removed_bytes=sum(one.stored_bytes for one in going),
        reasons=("because a test says so",),
    )


def prune(
    storage: Storage,
    keep_from: str,
    *,
    folder: StreamFolder = FOLDER,
    is_newest: bool = True,
    now: datetime.datetime = LATER,
    summary: StreamSummary | None = None,
    host: Host | None = None,
    **options: t.Any,
) -> StreamPruned:
    """Read, decide and remove, as one run does."""
    clock = FakeClock(now)
    found = summary or replace(summarise(storage, folder=folder, now=now), is_newest=is_newest)
    return prune_stream(
        storage,
        found,
        decide(found, keep_from),
        host=host or Host(clock=clock, name="pruner"),
        progress=Progress(clock=clock),
        **options,
    )


def read(storage: Storage, *, now: datetime.datetime = LATER) -> Stream:
    """The only lineage."""
    (found,) = read_streams({"it": storage}, FOLDER.series, clock=FakeClock(now))
    assert found.problems == ()
    return found


def names(storage: Storage, *, now: datetime.datetime = LATER) -> list[str]:
    """The names of its segments in order of recording."""
    return [one.segment.name for one in read(storage, now=now).segments]


def keys(storage: Storage, *, folder: StreamFolder = FOLDER) -> list[str]:
    """Everything that is stored of a lineage, without what all of it has in common."""
    return [one.key[len(folder.prefix) :] for one in storage.list(folder.prefix)]


def segments_stored(storage: Storage, *, folder: StreamFolder = FOLDER) -> set[str]:
    """The names of the segments whose objects are there."""
    return {key.rpartition("/")[2].partition(".")[0] for key in keys(storage, folder=folder) if "segments/" in key}


def assert_true(storage: Storage, *, folder: StreamFolder = FOLDER, now: datetime.datetime = LATER) -> None:
    """Whatever is read is there, with the bytes that are said of it."""
    found = read_records(storage, folder, now=now)
    assert not found.problems, [str(problem) for problem in found.problems]
    for record in found.records:
        for one in record.segments:
            key = folder.segment_key(one.description.group, one.payload.name)
            assert storage.stat(key).size == one.payload.size, key


def assert_clean(storage: Storage, *, folder: StreamFolder = FOLDER, now: datetime.datetime = LATER) -> None:
    """Nothing is stored that nobody reads: no segment, record, index below the floor, no older floor."""
    assert_true(storage, folder=folder, now=now)
    floor = floor_hour(storage, folder)
    found = read_records(storage, folder, now=now)
    named = {one.payload.name for record in found.records for one in record.segments}
    held = newest_floor(storage, folder)
    lasting = {one.name for record in held.records for one in record.segments} if held else set()
    assert lasting <= {one.name for record in found.records for one in record.segments}
    for key in keys(storage, folder=folder):
        what, _slash, rest = key.partition("/")
        if what == "segments":
            assert rest.rpartition("/")[2] in named, key
        elif what == "floors":
            assert rest == f"{floor}.json", key
        else:
            assert rest[:10] >= floor, key


def reachable(storage: Storage, bases: t.Sequence[Backup], *, now: datetime.datetime = LATER) -> list[t.Any]:
    """What the room says that can be recovered."""
    streams = read_streams({"it": storage}, FOLDER.series, clock=FakeClock(now))
    return [(one.begins, one.ends, one.bases) for one in wal_windows(bases, streams).windows]
