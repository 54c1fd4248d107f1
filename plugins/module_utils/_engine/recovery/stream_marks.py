# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention must know of a stream, and what a database room tells it: which segments a recovery from a base reads.

A room reads the segments of one lineage once, in the order in which they were recorded, and keeps sums only: there may
be a million of them. Positions are tuples of whole numbers, of which the later is the greater.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..streams.segment import Segment

Position = tuple[int, ...]

#: The track of what no recovery reads: notes, unfinished copies. Such segments go with the hours that they are in.
NOT_READ = -1


class Mark(t.NamedTuple):
    """Where a segment lies: it holds *track* from *begins* to *ends*.

    Tracks are histories of their own, numbered from 0 in the order in which they began (the timelines of a cluster).
    One that *lasts* is needed as long as anything of its lineage is (the history of a timeline).
    """

    track: int
    begins: Position
    ends: Position
    lasts: bool = False


@dataclass(frozen=True)
class Need:
    """A recovery from *base* reads what ends behind *after*, of *track* and every later one; never anything else.

    *base* is a backup's id, or the room's own name for a base that lies in the stream itself (*is_own*).
    """

    base: str
    track: int
    after: Position
    is_own: bool = False


@dataclass(frozen=True)
class ReachedSpan:
    """From *base* (as in :class:`Need`) every moment from *begins* to *ends* can be reached (aware, UTC)."""

    base: str
    begins: datetime.datetime
    ends: datetime.datetime


class StreamReading(t.Protocol):
    """One lineage as a room reads it."""

    def take(self, segment: Segment) -> Mark | None:
        """The next segment. None for one that the room can't read: no recovery can, either."""

    def needs(self) -> t.Sequence[Need]:
        """When all was taken: what each base reads that this lineage can bring forward, whatever became of its
        verification. Rather too much than too little: what is missing here may be in another repository.
        """

    def spans(self) -> t.Sequence[ReachedSpan]:
        """When all was taken: what each base reaches that did not fail, by the segments that were taken alone."""


@dataclass(frozen=True)
class StreamMarks:
    """What one engine tells of its stream: a *reading* of a lineage, with all backups that may be bases of it.

    *lasts* says the same of a segment's name as :attr:`Mark.lasts`, without reading anything else.
    """

    reading: t.Callable[[str, t.Sequence[Backup]], StreamReading]
    lasts: t.Callable[[str], bool]


def nothing_lasts(name: str) -> bool:
    """For engines of which every segment may go."""
    del name
    return False
