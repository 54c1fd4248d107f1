# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repositories hold of one cluster's WAL, sorted by timelines and numbers. Pure: from the records alone."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.clock import parse_time
from ..streams.stream import StoredSegment, Stream
from .timeline_history import TimelineHistory, history_from_facts
from .wal_names import HISTORY, SEGMENT, WalName, parse_wal_name, segment_name

#: A commit takes its time before its record is written. Until so long before a segment was last written, every commit
#: is in it or before it (an asynchronous one waits for three turns of the WAL writer: wal_writer_delay is 200 ms).
SLACK = datetime.timedelta(seconds=1)


@dataclass(frozen=True)
class WalArchive:
    """*segments* by timeline and number. *histories* has every timeline whose way is known, the first one always.

    *unusable* says why a file that is recorded can't be used, by its name: two contents under one name, for example.
    *created* is when a timeline began (aware, UTC; the source's clock).
    """

    lineage: str
    segment_size: int
    segments: t.Mapping[tuple[int, int], StoredSegment]
    histories: t.Mapping[int, TimelineHistory]
    history_files: tuple[StoredSegment, ...]
    unusable: t.Mapping[str, str]
    created: t.Mapping[int, datetime.datetime]
    numbers: t.Mapping[int, t.Sequence[int]] = field(default_factory=dict)  # of each timeline, rising

    def name(self, timeline: int, number: int) -> str:
        """The name of a segment."""
        return segment_name(timeline=timeline, number=number, segment_size=self.segment_size)

    def why_missing(self, timeline: int, number: int) -> str:
        """A sentence on a segment that can't be had."""
        name = self.name(timeline, number)
        return self.unusable.get(name) or f"{name} is in no repository"

    @property
    def timelines(self) -> list[int]:
        """Those with segments or a history, rising."""
        return sorted({*self.numbers, *self.histories})

    def continues(self, timeline: int) -> bool:
        """Whether nothing is stored of the parent behind the position at which it was left for this one.

        So it is after a failover; after a recovery to an earlier point the parent's abandoned end is still there.
        """
        history = self.histories.get(timeline)
        if history is None or not history.ancestors:
            return False
        parent = history.ancestors[-1]
        numbers = self.numbers.get(parent.timeline, ())
        return not numbers or numbers[-1] < parent.switch // self.segment_size

    def stored_until(self, timeline: int) -> datetime.datetime | None:
        """The last moment of which anything of this timeline is stored, holes or not."""
        moments = [
            moment
            for number in self.numbers.get(timeline, ())[-3:]
            for moment in (complete_until(self.segments[timeline, number]),)
            if moment is not None
        ]
        return max(moments, default=None)


def archive_of(stream: Stream, *, segment_size: int) -> WalArchive:
    """Sort the files of a stream. *segment_size* is what a base backup says; a segment of another size is unusable."""
    sorting = _Sorting(segment_size=segment_size, unusable=_conflicts(stream))
    for stored in stream.segments:
        name = parse_wal_name(stored.segment.name)
        if name is not None and name.what in (SEGMENT, HISTORY):
            sorting.add(name, stored)
    return sorting.result(stream.folder.lineage)


class _Sorting:
    """The files of one stream, one after the other."""

    def __init__(self, *, segment_size: int, unusable: dict[str, str]) -> None:
        self._size = segment_size
        self._unusable = unusable
        self._segments: dict[tuple[int, int], StoredSegment] = {}
        self._histories: dict[int, TimelineHistory] = {1: TimelineHistory(timeline=1)}
        self._history_files: dict[int, StoredSegment] = {}
        self._hashes: dict[str, str] = {}

    def add(self, name: WalName, stored: StoredSegment) -> None:
        """Sort one in, or note why it can't be used."""
        if self._hashes.setdefault(name.name, stored.segment.plain_sha256) != stored.segment.plain_sha256:
            self._unusable[name.name] = _twice(name.name)
        elif name.what == HISTORY:
            self._add_history(name, stored)
        else:
            size = stored.segment.facts.get("segment_size", self._size)
            if size != self._size:
                self._unusable[name.name] = f"{name.name} is of a cluster with segments of {size} bytes"
            else:
                self._segments[name.timeline, name.number(self._size)] = stored

    def result(self, lineage: str) -> WalArchive:
        """What came of it."""
        segments = {key: one for key, one in self._segments.items() if one.segment.name not in self._unusable}
        numbers: dict[int, list[int]] = {}
        for timeline, number in sorted(segments):
            numbers.setdefault(timeline, []).append(number)
        files = {key: one for key, one in self._history_files.items() if one.segment.name not in self._unusable}
        ends = {timeline: one.segment.description.ends for timeline, one in files.items()}
        return WalArchive(
            lineage=lineage,
            segment_size=self._size,
            segments=segments,
            histories={
                timeline: history
                for timeline, history in self._histories.items()
                if timeline in files or not history.ancestors
            },
            history_files=tuple(files[timeline] for timeline in sorted(files)),
            unusable=self._unusable,
            created={timeline: moment for timeline, moment in ends.items() if moment is not None},
            numbers=numbers,
        )

    def _add_history(self, name: WalName, stored: StoredSegment) -> None:
        try:
            history = history_from_facts(stored.segment.facts.get("history"), timeline=name.timeline)
        except ValueError as error:
            self._unusable[name.name] = str(error)
            return
        self._histories[name.timeline] = history
        self._history_files[name.timeline] = stored


def complete_until(stored: StoredSegment) -> datetime.datetime | None:
    """Until when every commit is in this segment or before it; None when nobody noted a time."""
    last = last_commit(stored)
    ends = stored.segment.description.ends
    if ends is None:
        return last
    safe = ends - SLACK
    return safe if last is None else max(safe, last)


def last_commit(stored: StoredSegment) -> datetime.datetime | None:
    """The time of the last commit in a segment, where the record tells it."""
    noted = stored.segment.facts.get("last_commit")
    try:
        return parse_time(noted) if isinstance(noted, str) else None
    except ValueError:
        return None


def _conflicts(stream: Stream) -> dict[str, str]:
    """The names that reading the records found with two contents."""
    found: dict[str, str] = {}
    for problem in stream.problems:
        name = problem.details.get("segment")
        if problem.code == "stream.conflict" and isinstance(name, str):
            found[name] = _twice(name)
    return found


def _twice(name: str) -> str:
    return f"{name} is stored twice with different content"
