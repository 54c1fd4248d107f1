# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timelines: where each branched off, read from ``00000002.history``; which one holds a position on a path. Pure.

Each line of a history file is an ancestor, oldest first: its number, the position at which it was left, a reason for
people. Lines may be blank or comments (readTimeLineHistory in src/backend/access/transam/timeline.c of PostgreSQL).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .names import parse_lsn
from .wal_names import format_lsn

_LINE = re.compile(r"\s*(?P<timeline>[0-9]+)\s+(?P<lsn>[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})(?:\s.*)?")
_LARGEST_FILE = 1024 * 1024


@dataclass(frozen=True)
class Ancestor:
    """A timeline that was left at the position *switch*: the first byte that is no longer of it."""

    timeline: int
    switch: int


@dataclass(frozen=True)
class TimelineHistory:
    """The way to one timeline, its *ancestors* oldest first. The first timeline has none."""

    timeline: int
    ancestors: tuple[Ancestor, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for ancestors that are out of order: PostgreSQL refuses them, too."""
        numbers = [0, *(one.timeline for one in self.ancestors), self.timeline]
        if any(later <= earlier for earlier, later in zip(numbers, numbers[1:])):
            raise ValueError(f"the timelines in the history of {self.timeline} are not in rising order")
        switches = [one.switch for one in self.ancestors]
        if any(later < earlier for earlier, later in zip(switches, switches[1:])):
            raise ValueError(f"the positions in the history of {self.timeline} are not in rising order")

    @property
    def begins(self) -> int:
        """The position at which this timeline begins: 0 for the first."""
        return self.ancestors[-1].switch if self.ancestors else 0

    def owner_of(self, position: int) -> int:
        """The timeline on the way that the byte at *position* is of."""
        return next((one.timeline for one in self.ancestors if position < one.switch), self.timeline)

    def file_timeline(self, number: int, *, segment_size: int) -> int:
        """The timeline in the name of the file that recovery reads as the segment *number*.

        In a segment with a switch it is the newer one's, which begins with a copy of what was before.
        """
        return next(
            (one.timeline for one in self.ancestors if number < one.switch // segment_size),
            self.timeline,
        )

    def end_of(self, timeline: int) -> int | None:
        """The position at which *timeline* was left on this way; None when it is the last. Raises KeyError."""
        if timeline == self.timeline:
            return None
        for one in self.ancestors:
            if one.timeline == timeline:
                return one.switch
        raise KeyError(timeline)

    def passes(self, timeline: int, position: int) -> bool:
        """Whether what *timeline* had written up to *position* is a part of this history."""
        try:
            end = self.end_of(timeline)
        except KeyError:
            return False
        return end is None or position <= end

    def as_facts(self) -> list[list[t.Any]]:
        """The form in records: ``[[1, "0/3000148"], ...]``; :func:`history_from_facts` reads it."""
        return [[one.timeline, format_lsn(one.switch)] for one in self.ancestors]


def parse_history(data: bytes, *, timeline: int) -> TimelineHistory:
    """Read the file ``<timeline>.history``. Raises ValueError for anything that PostgreSQL would not have written."""
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"the history of timeline {timeline} has {len(data)} bytes")
    ancestors = []
    for line in data.decode("utf-8", "replace").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"the history of timeline {timeline} has the line {line[:100]!r}")
        ancestors.append(Ancestor(timeline=int(found["timeline"]), switch=parse_lsn(found["lsn"])))
    if timeline > 1 and not ancestors:
        raise ValueError(f"the history of timeline {timeline} names no ancestor")
    return TimelineHistory(timeline=timeline, ancestors=tuple(ancestors))


def history_from_facts(facts: t.Any, *, timeline: int) -> TimelineHistory:
    """The inverse of :meth:`TimelineHistory.as_facts`. Raises ValueError for anything else."""
    try:
        pairs = [(int(parent), parse_lsn(str(switch))) for parent, switch in facts]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the record of the history of timeline {timeline} can't be read: {error}") from error
    if timeline > 1 and not pairs:
        raise ValueError(f"the record of the history of timeline {timeline} names no ancestor")
    return TimelineHistory(
        timeline=timeline, ancestors=tuple(Ancestor(timeline=parent, switch=switch) for parent, switch in pairs)
    )
