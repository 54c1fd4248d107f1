# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lineage of a stream summed up by the hour: one pass over its indexes and records, in constant memory.

A million segments are read, and of each hour a few sums are kept: how much was recorded, and how far it reaches. So
the first hour that a base needs is found without holding a segment.
"""

from __future__ import annotations

import bisect
import datetime
import typing as t
from dataclasses import dataclass, field, replace

from ..catalog.catalog import Backup
from ..catalog.layout import Series
from ..core.errors import LifeboatError
from ..recovery.stream_marks import NOT_READ, Mark, Need, Position, StreamMarks, StreamReading
from ..storage.base import Storage
from ..streams.by_hour import HourOfRecords, each_hour
from ..streams.floors import floor_hours, newest_floor
from ..streams.hours import find_hours
from ..streams.layout import StreamFolder
from ..streams.reader import find_lineages
from ..streams.record import Record
from ..streams.segment import Segment
from .values import RecoverySpan, StreamEntry, StreamHour

#: Stands before every hour: what the floor says of those that are gone.
_BELOW = ""


@dataclass(frozen=True)
class StreamSummary:
    """One lineage in one repository: the planner's *entry*, and what the applier needs besides.

    *made* is when it was read (aware, UTC). *lasting* are records with nothing but segments that the lineage needs as
    long as it lasts, each with its hour; what the floor holds is not among them. *repeats* names for an hour the first
    one that may hold the same segments, where that is an earlier one. *ends* is for each track how far the segments
    reach before an hour. *problems* is what could not be read: whoever plans a removal must know. *is_unfinished*:
    something is left that an earlier run was to remove. *is_newest*: no other lineage of the series was recorded into
    later.
    """

    entry: StreamEntry
    made: datetime.datetime
    lasting: tuple[tuple[str, Record], ...] = ()
    repeats: t.Mapping[str, str] = field(default_factory=dict)
    problems: tuple[LifeboatError, ...] = ()
    is_unfinished: bool = False
    is_newest: bool = True
    tracks: t.Mapping[int, TrackEnds] = field(default_factory=dict)

    @property
    def folder(self) -> StreamFolder:
        """Where the lineage lies."""
        return StreamFolder(series=self.entry.series, lineage=self.entry.lineage)

    @property
    def newest(self) -> str:
        """The last hour with segments; empty where there is none."""
        return max((hour.key for hour in self.entry.hours if hour.segments), default="")

    def ends_before(self, hour: str) -> dict[int, Position]:
        """How far the segments of each track reach that were recorded before *hour*."""
        found = {track: ends.before(hour) for track, ends in self.tracks.items()}
        return {track: end for track, end in found.items() if end is not None}

    def lasting_before(self, hour: str) -> tuple[Record, ...]:
        """What must be held by a floor at *hour*."""
        return tuple(record for recorded, record in self.lasting if recorded < hour)

    def doubtful_from(self, hour: str) -> tuple[str, ...]:
        """The hours from *hour* on that may name segments which an earlier one names, too."""
        return tuple(later for later, first in sorted(self.repeats.items()) if later >= hour > first)


@dataclass
class TrackEnds:
    """How far one track reaches: *ends* only grow, each was reached in the hour of the same place."""

    hours: list[str] = field(default_factory=list)
    ends: list[Position] = field(default_factory=list)

    def add(self, hour: str, end: Position) -> None:
        """The highest end of an hour, which is later than all that were added."""
        if not self.ends or end > self.ends[-1]:
            self.hours.append(hour)
            self.ends.append(end)

    def first_behind(self, position: Position) -> str | None:
        """The first hour with something that ends behind *position*."""
        place = bisect.bisect_right(self.ends, position)
        return self.hours[place] if place < len(self.hours) else None

    def first_at(self, position: Position) -> str | None:
        """The first hour with something that ends at *position* or behind it."""
        place = bisect.bisect_left(self.ends, position)
        return self.hours[place] if place < len(self.hours) else None

    def before(self, hour: str) -> Position | None:
        """How far it reaches before an hour."""
        place = bisect.bisect_left(self.hours, hour)
        return self.ends[place - 1] if place else None


class Listener(t.Protocol):
    """Who is told what the records of a lineage say while it is read."""

    def take(self, hour: str, records: t.Sequence[Record]) -> None:
        """What the floor holds, as of the hour ``""``; then hour after hour."""

    def end(self, summary: StreamSummary) -> None:
        """All was read."""


def summarise_series(
    storage: Storage,
    series: Series,
    *,
    engine: str,
    bases: t.Sequence[Backup],
    marks: StreamMarks,
    now: datetime.datetime,
    listener: t.Callable[[StreamFolder], Listener] | None = None,
) -> tuple[StreamSummary, ...]:
    """Every lineage of a series, in order of name; *bases* are the backups of this repository that may be bases.

    *listener* gives for each lineage who is told what was read.

    Raises what the storage raises when it can't be listed.
    """
    found = []
    for name in find_lineages(storage, series):
        folder = StreamFolder(series=series, lineage=name)
        told = listener(folder) if listener is not None else None
        found.append(summarise_stream(storage, folder, engine=engine, bases=bases, marks=marks, now=now, listener=told))
    newest = max((one.newest for one in found), default="")
    return tuple(replace(one, is_newest=one.newest == newest) for one in found)


def summarise_stream(
    storage: Storage,
    folder: StreamFolder,
    *,
    engine: str,
    bases: t.Sequence[Backup],
    marks: StreamMarks,
    now: datetime.datetime,
    listener: Listener | None = None,
) -> StreamSummary:
    """Read one lineage; *listener* is told. A base that it can't bring forward any more is not among the needs.

    The newest hour with segments is needed by every base that is: where a stream goes on is known from its end alone.
    Raises what the storage raises when it can't be listed.
    """
    summing = _Summing(marks.reading(folder.lineage, bases))
    hours = find_hours(storage, folder, now=now)
    if hours.problem is not None:
        summing.problems.append(hours.problem)
    if hours.floor:
        try:
            floor = newest_floor(storage, folder)
        except LifeboatError as error:
            summing.problems.append(error)
        else:
            summing.begin(floor.records if floor else (), floor.ends if floor else {})
            if listener is not None:
                listener.take(_BELOW, floor.records if floor else ())
    with each_hour(storage, folder, hours) as found:
        for one in found:
            summing.take(one)
            if listener is not None:
                listener.take(one.hour, one.records)
    summary = StreamSummary(
        entry=summing.entry(folder, engine=engine, floor=hours.floor),
        made=now,
        lasting=tuple(summing.lasting),
        repeats=summing.repeats,
        problems=tuple(summing.problems),
        is_unfinished=bool(hours.floor) and _is_unfinished(storage, folder, hours.floor, has_hours=bool(summing.hours)),
        tracks=summing.tracks,
    )
    if listener is not None:
        listener.end(summary)
    return summary


class _Summing:
    """The sums of one lineage, hour after hour."""

    def __init__(self, reading: StreamReading) -> None:
        self._reading = reading
        self._newest = ""  # hour with segments
        self.hours: list[StreamHour] = []
        self.lasting: list[tuple[str, Record]] = []
        self.problems: list[LifeboatError] = []
        self.repeats: dict[str, str] = {}
        self.tracks: dict[int, TrackEnds] = {}

    def begin(self, records: t.Sequence[Record], ends: t.Mapping[int, Position]) -> None:
        """What the floor holds of what is gone."""
        for record in records:
            for segment in record.segments:
                self._reading.take(segment)
        for track, end in ends.items():
            self._track(track).add(_BELOW, end)

    def take(self, one: HourOfRecords) -> None:
        """The next hour."""
        self.problems += one.problems
        sums = _HourSums()
        for record in one.records:
            lasting = [segment for segment in record.segments if sums.take(segment, self._reading.take(segment))]
            sums.see(max((event.at for event in record.events), default=None))
            if lasting:
                self.lasting.append((one.hour, replace(record, segments=tuple(lasting), events=())))
        if not one.records:
            return
        # Of what says nothing of its time it is known that it did not happen later than it was recorded.
        ends = sums.ends or max(record.made for record in one.records)
        self.hours.append(StreamHour(key=one.hour, segments=sums.segments, stored_bytes=sums.stored_bytes, ends=ends))
        self._newest = one.hour if sums.segments else self._newest
        first = self._first_with_the_same(one.hour, sums)
        if first < one.hour:
            self.repeats[one.hour] = first
        for track, end in sums.highest.items():
            self._track(track).add(one.hour, end)

    def entry(self, folder: StreamFolder, *, engine: str, floor: str) -> StreamEntry:
        """What the planner is told."""
        needs = self._reading.needs()
        first = {need.base: self._first_hour(need) for need in needs}
        own = {need.base for need in needs if need.is_own}
        spans = [
            RecoverySpan(
                lineage=folder.lineage,
                base=first.get(span.base, span.base) if span.base in own else span.base,
                begins=span.begins,
                ends=span.ends,
            )
            for span in self._reading.spans()
        ]
        return StreamEntry(
            series=folder.series,
            lineage=folder.lineage,
            engine=engine,
            hours=tuple(self.hours),
            needed_from={base: hour for base, hour in first.items() if base not in own and hour},
            own_bases=tuple(sorted({first[base] for base in own})),
            floor=floor,
            windows=tuple(sorted(set(spans), key=lambda one: (one.begins, one.ends, one.base))),
        )

    def _first_hour(self, need: Need) -> str:
        """The first hour that a base needs; the newest one with segments when it needs nothing."""
        found = [
            hour
            for track, ends in self.tracks.items()
            if track != NOT_READ and track >= need.track
            for hour in (ends.first_behind(need.after),)
            if hour is not None
        ]
        # What is below the floor is needed no longer, whoever would need it: it is gone.
        hours = [max(hour, self.hours[0].key) for hour in found if self.hours]
        return min([*hours, self._newest])

    def _first_with_the_same(self, hour: str, sums: _HourSums) -> str:
        """The first hour that may hold a segment of this one."""
        if sums.has_unknown:
            return _BELOW
        found = [
            first
            for track, lowest in sums.lowest.items()
            if track in self.tracks
            for first in (self.tracks[track].first_at(lowest),)
            if first is not None
        ]
        return min([*found, hour])

    def _track(self, track: int) -> TrackEnds:
        return self.tracks.setdefault(track, TrackEnds())


@dataclass
class _HourSums:
    segments: int = 0
    stored_bytes: int = 0
    ends: datetime.datetime | None = None
    has_unknown: bool = False
    lowest: dict[int, Position] = field(default_factory=dict)
    highest: dict[int, Position] = field(default_factory=dict)

    def see(self, moment: datetime.datetime | None) -> None:
        """Something happened then."""
        if moment is not None and (self.ends is None or moment > self.ends):
            self.ends = moment

    def take(self, segment: Segment, mark: Mark | None) -> bool:
        """Count one; whether it lasts."""
        self.segments += 1
        self.stored_bytes += segment.payload.size
        self.see(segment.description.ends)
        if mark is None:
            self.has_unknown = True
            return False
        if mark.lasts:
            return True
        track, begins, end, _lasts = mark
        if track not in self.lowest or begins < self.lowest[track]:
            self.lowest[track] = begins
        if track not in self.highest or end > self.highest[track]:
            self.highest[track] = end
        return False


def _is_unfinished(storage: Storage, folder: StreamFolder, floor: str, *, has_hours: bool) -> bool:
    """Whether anything that was recorded before the floor is left, an older floor, or nothing but the floor itself."""
    for prefix in (folder.index_prefix, folder.records_prefix):
        found = next(iter(storage.list(prefix)), None)
        if found is not None and found.key[len(prefix) :] < floor:
            return True
    return not has_hours or len(floor_hours(storage, folder)) > 1
