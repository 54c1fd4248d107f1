# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention must know of archived append-only files: from which generations a recovery can begin. Pure.

The bases lie in the stream itself: a recovery reads a base and the increments from that generation on; backups are
points beside it. The windows are those of :mod:`.aof_log_windows`, from one walk along the increments for all bases.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..core.errors import StreamRecordInvalid
from ..recovery.ranges import Ranges
from ..recovery.stream_marks import Mark, Need, ReachedSpan, StreamMarks, nothing_lasts
from ..streams.segment import Segment
from .aof_log_piece import Piece
from .aof_log_seconds import Seconds
from .aof_log_walk import Walk
from .snapshot_points import moment_of

_INCREMENTS, _BASES = 0, 1
_LAST_MOMENT = datetime.timedelta(microseconds=999_999)


@dataclass
class _Base:
    """What is stored of a base. *holds* is the last second of which it may hold writes, None as long as it is unknown.

    *size* is that of the whole file.
    """

    stored: Ranges[None]
    size: int = 0
    holds: int | None = None

    @property
    def is_whole(self) -> bool:
        found = self.stored.holding((0,))
        return self.holds is not None and found is not None and found.ends[0] >= self.size


class AofLogReading:
    """See :class:`recovery.stream_marks.StreamReading`."""

    def __init__(self, lineage: str, backups: t.Sequence[Backup]) -> None:
        del lineage, backups
        self._bases: dict[int, _Base] = {}
        self._walk = Walk()

    def take(self, segment: Segment) -> Mark | None:
        """See StreamReading. Positions are increments and bytes in them."""
        try:
            piece = Piece.of(segment)
        except StreamRecordInvalid:
            return None
        name = piece.name
        if piece.is_base:
            base = self._bases.setdefault(name.increment, _Base(Ranges()))
            base.stored.add((name.offset,), (name.end,))
            if name.offset == 0:
                base.size, base.holds = piece.size, piece.holds
        else:
            self._walk.take(piece)
        track = _BASES if piece.is_base else _INCREMENTS
        return Mark(track=track, begins=(name.increment, name.offset), ends=(name.increment, name.end))

    def needs(self) -> t.Sequence[Need]:
        """See StreamReading: of bases that are stored whole, each called by the increment that begins with it."""
        return [
            Need(base=str(increment), track=_INCREMENTS, after=(increment, -1), is_own=True)
            for increment, base in self._whole_bases()
        ]

    def spans(self) -> t.Sequence[ReachedSpan]:
        """See StreamReading. A window ends with its last second, of which all is in."""
        seconds = self._walk.seconds()
        return [
            ReachedSpan(base=str(increment), begins=moment_of(low), ends=moment_of(high) + _LAST_MOMENT)
            for increment, base in self._whole_bases()
            for low, high in _from(seconds[increment], base.holds or 0).spans()
        ]

    def _whole_bases(self) -> list[tuple[int, _Base]]:
        seconds = self._walk.seconds()
        return [one for one in sorted(self._bases.items()) if one[1].is_whole and one[0] in seconds]


def _from(seconds: Seconds, first: int) -> Seconds:
    return Seconds(first=first, last=seconds.last, blocked=seconds.blocked)


AOF_LOG_MARKS = StreamMarks(reading=AofLogReading, lasts=nothing_lasts)
