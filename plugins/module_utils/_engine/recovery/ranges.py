# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The union of pieces, most of which come one after the other: memory for its holes, not for its pieces."""

from __future__ import annotations

import bisect
import typing as t
from dataclasses import dataclass

from .stream_marks import Position

_T = t.TypeVar("_T")


@dataclass
class Range(t.Generic[_T]):
    """Without a hole from *begins* to *ends*. *first* came with the piece that begins it, *last* with the piece that
    reaches furthest of those that came with anything.
    """

    begins: Position
    ends: Position
    first: _T | None
    last: _T | None


class Ranges(t.Generic[_T]):
    """Pieces from a position to another; two hang together when one begins where the other ends, or before."""

    def __init__(self) -> None:
        self._ranges: list[Range[_T]] = []

    def __iter__(self) -> t.Iterator[Range[_T]]:
        return iter(self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def add(self, begins: Position, ends: Position, what: _T | None = None) -> None:
        """One more piece, in whatever order."""
        last = self._ranges[-1] if self._ranges else None
        if last is None or begins > last.ends:
            self._ranges.append(Range(begins, ends, what, what))
        elif last.begins <= begins:
            if ends >= last.ends:
                last.ends = ends
                last.last = last.last if what is None else what
        else:
            self._insert(Range(begins, ends, what, what))

    def holding(self, position: Position) -> Range[_T] | None:
        """The range that *position* is in; either end is."""
        place = bisect.bisect_right([one.begins for one in self._ranges], position) - 1
        if place < 0 or self._ranges[place].ends < position:
            return None
        return self._ranges[place]

    def _insert(self, new: Range[_T]) -> None:
        apart = [one for one in self._ranges if one.ends < new.begins or new.ends < one.begins]
        touching = sorted(
            [*(one for one in self._ranges if one.ends >= new.begins and new.ends >= one.begins), new],
            key=lambda one: one.begins,
        )
        furthest = max(touching, key=lambda one: one.ends)
        known = [one for one in sorted(touching, key=lambda one: one.ends) if one.last is not None]
        merged = Range(
            begins=touching[0].begins,
            ends=furthest.ends,
            first=touching[0].first,
            last=known[-1].last if known else None,
        )
        self._ranges = sorted([*apart, merged], key=lambda one: one.begins)
