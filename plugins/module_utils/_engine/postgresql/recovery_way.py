# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far each base backup reaches along the way to one timeline. Pure."""

from __future__ import annotations

import bisect
import datetime
import typing as t
from dataclasses import dataclass

from ..streams.stream import StoredSegment
from .recovery_archive import WalArchive, complete_until
from .recovery_bases import RecoveryBase
from .timeline_history import TimelineHistory

# Who looks for a known time does not go back for ever.
_LOOK_BACK = 1000


@dataclass(frozen=True)
class Run:
    """What follows *base* without a hole: the segments *first* to *last* (numbers; *last* before *first*: none).

    *goes_on* says that more is stored behind the hole that ends it.
    """

    way: Way
    base: RecoveryBase
    first: int
    last: int
    goes_on: bool

    @property
    def end(self) -> int:
        """The position behind the last byte that can be replayed."""
        return max(self.base.end, (self.last + 1) * self.base.segment_size)

    @property
    def until(self) -> datetime.datetime:
        """The last moment of which every commit is in it (aware, UTC; the source's clock)."""
        return self.until_number(self.last)

    def until_number(self, number: int) -> datetime.datetime:
        """The same for the segments up to *number*."""
        for one in range(number, max(self.first, number - _LOOK_BACK) - 1, -1):
            moment = complete_until(self.way.segment(one))
            if moment is not None:
                return max(moment, self.base.finished)
        return self.base.finished

    def segments(self, *, first: int = 0, last: int | None = None) -> tuple[StoredSegment, ...]:
        """In the order of replay, from the number *first* to *last*."""
        end = self.last if last is None else min(last, self.last)
        return tuple(self.way.segment(number) for number in range(max(first, self.first), end + 1))

    def number_complete_at(self, moment: datetime.datetime) -> int | None:
        """The first segment with which everything that was committed until *moment* is there; None: none is."""
        if moment <= self.base.finished:
            return self.first - 1
        for number in range(self.first, self.last + 1):
            complete = complete_until(self.way.segment(number))
            if complete is not None and complete >= moment:
                return number
        return None

    @property
    def hole(self) -> str:
        """A sentence on what ends it."""
        number = self.last + 1
        return self.way.archive.why_missing(self.way.file_timeline(number), number)


class Way:
    """The way of one timeline through the archive, and the bases that lie on it."""

    def __init__(self, *, archive: WalArchive, history: TimelineHistory, bases: t.Sequence[RecoveryBase]) -> None:
        self.archive = archive
        self.history = history
        #: Never one of an abandoned timeline, nor one that ended behind the position at which its timeline was left.
        self.bases = tuple(
            base
            for base in bases
            if base.segment_size == archive.segment_size and history.passes(base.timeline, base.end)
        )
        self._numbers = self._on_the_way()
        self._breaks = [
            index + 1
            for index, (before, after) in enumerate(zip(self._numbers, self._numbers[1:]))
            if after != before + 1
        ]

    @property
    def timeline(self) -> int:
        """The timeline that it leads to."""
        return self.history.timeline

    def file_timeline(self, number: int) -> int:
        """The timeline in the name of a segment's file."""
        return self.history.file_timeline(number, segment_size=self.archive.segment_size)

    def segment(self, number: int) -> StoredSegment:
        """The segment of that number. Raises KeyError."""
        return self.archive.segments[self.file_timeline(number), number]

    def run_of(self, base: RecoveryBase) -> Run:
        """How far *base* reaches."""
        first = base.first_number
        numbers = self._numbers
        place = bisect.bisect_left(numbers, first)
        if place == len(numbers) or numbers[place] != first:
            return Run(way=self, base=base, first=first, last=first - 1, goes_on=place < len(numbers))
        after = bisect.bisect_right(self._breaks, place)
        end = self._breaks[after] if after < len(self._breaks) else len(numbers)
        return Run(way=self, base=base, first=first, last=numbers[end - 1], goes_on=end < len(numbers))

    def runs(self) -> list[Run]:
        """Of every base on the way, those that end first, first."""
        return [self.run_of(base) for base in sorted(self.bases, key=lambda one: one.preference)]

    @property
    def last_number(self) -> int | None:
        """The last segment that is stored on it."""
        return self._numbers[-1] if self._numbers else None

    @property
    def has_own(self) -> bool:
        """Whether a file of the timeline itself is stored, or a base of it."""
        return bool(self.archive.numbers.get(self.timeline)) or any(
            base.timeline == self.timeline for base in self.bases
        )

    def _on_the_way(self) -> list[int]:
        size = self.archive.segment_size
        found: list[int] = []
        begin = 0
        for one in self.history.ancestors:
            end = one.switch // size
            found.extend(_between(self.archive.numbers.get(one.timeline, ()), begin, end))
            begin = max(begin, end)
        found.extend(_between(self.archive.numbers.get(self.timeline, ()), begin, None))
        return found


def ways_of(archive: WalArchive, bases: t.Sequence[RecoveryBase]) -> dict[int, Way]:
    """Every timeline that is known, by number. One whose history is missing leads from its own bases only."""
    found = {}
    for timeline in sorted({*archive.timelines, *(base.timeline for base in bases)}):
        history = archive.histories.get(timeline) or TimelineHistory(timeline=timeline)
        found[timeline] = Way(archive=archive, history=history, bases=bases)
    return found


def _between(numbers: t.Sequence[int], begin: int, end: int | None) -> t.Sequence[int]:
    first = bisect.bisect_left(numbers, begin)
    return numbers[first:] if end is None else numbers[first : bisect.bisect_left(numbers, end)]
