# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which seconds a way through append-only files can be cut at: all of that second is in, and nothing later. Pure.

``#TS:`` annotations stand before the first command of a second. A command is of the second of the last annotation
before it, as long as the server wrote annotations; where it did not, nobody can say, and no second in between can be
reached.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .aof_log_chain import Way
from .aof_log_piece import Piece

_UNTIMED = "commands without a time stand there: aof-timestamp-enabled was no"
_BACK = "the server's clock was set back"


@dataclass(frozen=True)
class Unreachable:
    """The seconds from *first* to *last* (both in), and why."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True)
class Seconds:
    """From *first* to *last* (both in), without *blocked*; *last* before *first* when there are none."""

    first: int
    last: int
    blocked: tuple[Unreachable, ...] = ()

    def __contains__(self, second: int) -> bool:
        return self.first <= second <= self.last and not any(one.first <= second <= one.last for one in self.blocked)

    def spans(self) -> list[tuple[int, int]]:
        """The unbroken spans, in order."""
        found, begin = [], self.first
        for one in sorted(self.blocked, key=lambda one: one.first):
            if one.first > begin:
                found.append((begin, min(one.first - 1, self.last)))
            begin = max(begin, one.last + 1)
        return [*found, (begin, self.last)] if begin <= self.last else found


def seconds_of(way: Way) -> Seconds:
    """The seconds that *way* can be cut at."""
    reading = SecondsReading(way.base.holds)
    for one in way.pieces:
        reading.take(one.piece)
    return reading.seconds()


class SecondsReading:
    """Walks along the pieces that follow a base which holds what was written up to the second *start*.

    Inside, *unsure* is the second from which on commands have no time.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._end: int | None = None
        self._highest: int | None = None
        self._unsure: int | None = None
        self._unsure_until: int | None = None  # the last second in which they can have been written
        self._blocked: list[Unreachable] = []

    @property
    def state(self) -> tuple[int | None, ...]:
        """Two that are alike in this go on alike, but for what they have blocked already and where they start."""
        return self._end, self._highest, self._unsure, None if self._unsure is None else self._unsure_until

    @property
    def blocked(self) -> t.Sequence[Unreachable]:
        """What can't be reached, as far as it is settled."""
        return self._blocked

    def take(self, piece: Piece) -> None:
        """The next piece."""
        if piece.opening is None and piece.untimed:
            self._lose(since=self._highest, piece=piece)
        if piece.first is not None and piece.lowest is not None and piece.highest is not None:
            self._settle(before=piece.first)
            if self._highest is not None and piece.lowest < self._highest:
                self._block(piece.lowest, self._highest - 1, _BACK)
            if piece.highest > (piece.last or 0):
                self._block(piece.lowest, piece.highest - 1, _BACK)
            self._highest = max(piece.highest, self._highest or 0)
        if piece.closing is None and piece.commands:
            self._lose(since=piece.last if piece.last is not None else piece.opening, piece=piece)
        if piece.covered is not None:
            self._end = piece.covered
        elif piece.last is not None:
            # More of that second may have come behind it.
            self._end = max(piece.last - 1, self._end or 0)

    def seconds(self) -> Seconds:
        """When all was taken."""
        end = self._start - 1 if self._end is None else self._end
        self._settle(before=None, end=end)
        return Seconds(first=self._start, last=end, blocked=tuple(self._blocked))

    def _lose(self, *, since: int | None, piece: Piece) -> None:
        """From here on commands have no time; they are later than *since* and than what was captured before."""
        after = None if piece.after is None else piece.after + 1
        if after is not None and self._unsure_until is not None and after > self._unsure_until:
            self._settle(before=after)  # nothing was written in between
        if self._unsure is None:
            self._unsure = max(one for one in (since, after, self._start) if one is not None)
        self._unsure_until = piece.taken

    def _settle(self, *, before: int | None, end: int | None = None) -> None:
        """Commands that have a time again follow *before* that second, or nothing follows until the second *end*."""
        if self._unsure is None or (before is None and end is None):
            return
        bounds = [one for one in (None if before is None else before - 1, end, self._unsure_until) if one is not None]
        self._block(self._unsure, min(bounds), _UNTIMED)
        self._unsure = None

    def _block(self, first: int, last: int, reason: str) -> None:
        if first <= last:
            self._blocked.append(Unreachable(first, last, reason))
