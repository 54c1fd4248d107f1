# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention must know of a cluster's WAL: which segments a base backup needs, and what it reaches. Pure.

A recovery reads from the backup's start on, along its own timeline and those that branched off later: numbers of
timelines only grow. The windows are those of :mod:`.wal_windows`, from unions of segments instead of all of them.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field, replace

from ..catalog.catalog import Backup
from ..catalog.standing import COMPLETE
from ..recovery.ranges import Range, Ranges
from ..recovery.stream_marks import NOT_READ, Mark, Need, ReachedSpan, StreamMarks
from ..streams.segment import Segment
from ..streams.stream import StoredSegment
from .recovery_archive import complete_until
from .recovery_bases import RecoveryBase, usable_bases
from .timeline_history import TimelineHistory, history_from_facts
from .wal_names import HISTORY, SEGMENT, SEGMENT_SIZES, USUAL_SEGMENT_SIZE, WalName, parse_wal_name

# Who looks for a known time does not go back for ever; see recovery_way.
_LOOK_BACK = 1000


@dataclass(frozen=True)
class _End:
    """The furthest segment of a range whose time is known."""

    number: int
    segment: Segment

    @property
    def complete(self) -> datetime.datetime | None:
        return complete_until(StoredSegment(self.segment, {}))


@dataclass
class _Archive:
    """What is stored of each timeline, as far as windows depend on it."""

    segment_size: int
    timelines: dict[int, Ranges[_End]] = field(default_factory=dict)
    histories: dict[int, TimelineHistory] = field(default_factory=lambda: {1: TimelineHistory(timeline=1)})
    created: dict[int, datetime.datetime] = field(default_factory=dict)

    def newest(self, timeline: int) -> Range[_End] | None:
        """The end of a timeline."""
        ranges = list(self.timelines.get(timeline, ()))
        return ranges[-1] if ranges else None

    def begin_of(self, history: TimelineHistory) -> datetime.datetime | None:
        """From when on what was committed is of this timeline; None for the first, and where nobody knows."""
        if not history.ancestors:
            return None
        parent = history.ancestors[-1]
        end = self.newest(parent.timeline)
        created = self.created.get(history.timeline)
        if end is not None and end.ends[0] - 1 >= parent.switch // self.segment_size:
            return created
        # Nothing is stored of the parent behind the position at which it was left.
        stored = end.last.complete if end is not None and end.last is not None else None
        return stored or created

    def run_of(self, base: RecoveryBase, history: TimelineHistory) -> tuple[int, _End | None]:
        """The number behind the last segment that follows *base* without a hole on the way to a timeline."""
        number, end = base.first_number, None
        while True:
            timeline = history.file_timeline(number, segment_size=self.segment_size)
            ranges = self.timelines.get(timeline)
            found = None if ranges is None else ranges.holding((number,))
            if found is None or found.ends[0] <= number:
                return number, end
            left = None if timeline == history.timeline else history.end_of(timeline)
            until = found.ends[0] if left is None else min(found.ends[0], left // self.segment_size)
            end = found.last if until == found.ends[0] else None
            if until == number:
                return number, end
            number = until


class WalReading:
    """See :class:`recovery.stream_marks.StreamReading`."""

    def __init__(self, lineage: str, backups: t.Sequence[Backup]) -> None:
        # Which bases there are does not depend on what became of their verification; which reach something does.
        whole = [replace(one, repositories=dict.fromkeys(one.repositories, COMPLETE)) for one in backups]
        self._bases = [one for one in usable_bases(whole).usable if one.system_identifier == lineage]
        self._good = [one for one in usable_bases(backups).usable if one.system_identifier == lineage]
        self._archive = _Archive(segment_size=self._bases[-1].segment_size if self._bases else 0)

    def take(self, segment: Segment) -> Mark | None:
        """See StreamReading. Positions are numbers of segments, tracks the timelines."""
        name = parse_wal_name(segment.name)
        if name is None:
            return None
        if name.what == HISTORY:
            self._take_history(name, segment)
            return Mark(track=NOT_READ, begins=(name.timeline,), ends=(name.timeline,), lasts=True)
        size = self._size(segment)
        try:
            number = name.number(size)
        except ValueError:
            return None
        if name.what != SEGMENT:
            begins = (name.timeline, number, name.offset)
            return Mark(track=NOT_READ, begins=begins, ends=begins)
        if segment.facts.get("segment_size", size) != size:
            return None
        is_timed = segment.description.ends is not None or segment.facts.get("last_commit") is not None
        ranges = self._archive.timelines.setdefault(name.timeline, Ranges())
        ranges.add((number,), (number + 1,), _End(number, segment) if is_timed else None)
        return Mark(track=name.timeline, begins=(number,), ends=(number + 1,))

    def needs(self) -> t.Sequence[Need]:
        """See StreamReading."""
        size = self._archive.segment_size
        return [
            Need(
                base=base.backup_id,
                track=base.timeline,
                after=(base.start // size,) if base.segment_size == size else (0,),
            )
            for base in self._bases
        ]

    def spans(self) -> t.Sequence[ReachedSpan]:
        """See StreamReading."""
        archive = self._archive
        files = {1, *(one for one in archive.histories), *archive.timelines, *(base.timeline for base in self._good)}
        found: list[ReachedSpan] = []
        for timeline in sorted(files):
            history = archive.histories.get(timeline) or TimelineHistory(timeline=timeline)
            found += _spans(history, archive, self._good, begins=archive.begin_of(history))
        return found

    def _size(self, segment: Segment) -> int:
        """The size of segments: that of the newest base, else that of the first segment."""
        if not self._archive.segment_size:
            noted = segment.facts.get("segment_size")
            is_size = isinstance(noted, int) and noted in SEGMENT_SIZES
            self._archive.segment_size = noted if is_size and isinstance(noted, int) else USUAL_SEGMENT_SIZE
        return self._archive.segment_size

    def _take_history(self, name: WalName, segment: Segment) -> None:
        try:
            history = history_from_facts(segment.facts.get("history"), timeline=name.timeline)
        except ValueError:
            return
        self._archive.histories[name.timeline] = history
        if segment.description.ends is not None:
            self._archive.created[name.timeline] = segment.description.ends


def _spans(
    history: TimelineHistory, archive: _Archive, bases: t.Sequence[RecoveryBase], *, begins: datetime.datetime | None
) -> t.Iterator[ReachedSpan]:
    """What each base reaches on the way to one timeline."""
    runs: list[tuple[RecoveryBase, int]] = []
    untils: dict[int, datetime.datetime] = {}
    for base in bases:
        if base.segment_size != archive.segment_size or not history.passes(base.timeline, base.end):
            continue
        number, end = archive.run_of(base, history)
        if base.timeline != history.timeline and max(base.end, number * archive.segment_size) <= history.begins:
            continue
        until = base.finished
        if end is not None and end.number >= max(base.first_number, number - 1 - _LOOK_BACK):
            until = max(until, end.complete or until)
        runs.append((base, number))
        # Who gets as far as another base that ended then has all that was committed until then.
        untils[number] = max(until, untils.get(number, until))
    for base, number in runs:
        is_own = base.timeline == history.timeline
        start = base.finished if is_own or begins is None else begins
        yield ReachedSpan(base=base.backup_id, begins=min(start, untils[number]), ends=untils[number])


def is_history(name: str) -> bool:
    """Whether a segment's name is that of the history of a timeline, which every recovery across it reads."""
    parsed = parse_wal_name(name)
    return parsed is not None and parsed.what == HISTORY


WAL_MARKS = StreamMarks(reading=WalReading, lasts=is_history)
