# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One walk along the increments of a lineage, in the order in which they were recorded, for every base at once. Pure.

It finds what :mod:`.aof_log_chain` and :mod:`.aof_log_seconds` find for each base by itself. From the first piece with
a time on, the walks from two bases are alike, so all but one are dropped: memory for generations and for what can't be
reached. A piece that was recorded behind later ones (a hole that was mended) counts as missing here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .aof_log_piece import Piece
from .aof_log_seconds import Seconds, SecondsReading, Unreachable


@dataclass(frozen=True)
class _Joined:
    """A walk that goes on as the trunk does: what it blocked before, and how much the trunk had blocked by then."""

    blocked: tuple[Unreachable, ...]
    trunk_blocked: int


@dataclass
class _Run:
    """Increments that follow each other: *trunk* walks from the *first* one on, *own* from later ones."""

    first: int
    increment: int
    length: int = 0
    trunk: SecondsReading = field(default_factory=lambda: SecondsReading(0))
    own: dict[int, SecondsReading] = field(default_factory=dict)
    joined: dict[int, _Joined] = field(default_factory=dict)

    def take(self, piece: Piece) -> None:
        """A piece that goes on where the last one ended."""
        self.length = piece.name.end
        self.trunk.take(piece)
        for increment, reading in list(self.own.items()):
            reading.take(piece)
            if reading.state == self.trunk.state:
                self.joined[increment] = _Joined(tuple(reading.blocked), len(self.trunk.blocked))
                del self.own[increment]

    def seconds(self) -> dict[int, Seconds]:
        """Of each generation."""
        trunk = self.trunk.seconds()
        found = {self.first: trunk, **{increment: reading.seconds() for increment, reading in self.own.items()}}
        for increment, joined in self.joined.items():
            blocked = (*joined.blocked, *trunk.blocked[joined.trunk_blocked :])
            found[increment] = Seconds(first=trunk.first, last=trunk.last, blocked=blocked)
        return found


class Walk:
    """Takes the pieces of increments; :meth:`seconds` says which can be reached from a base of each."""

    def __init__(self) -> None:
        self._run: _Run | None = None
        self._newest = -1  # the last increment of which the beginning was taken
        self._held: Piece | None = None  # a longer one of the same beginning may come
        self._found: dict[int, Seconds] = {}

    def take(self, piece: Piece) -> None:
        """The next piece of an increment, as it was recorded."""
        held = self._held
        if held is None or (held.name.increment, held.name.offset) != (piece.name.increment, piece.name.offset):
            self._held = piece
            if held is not None:
                self._place(held)
        elif (piece.name.end, piece.name.covered) > (held.name.end, held.name.covered):
            self._held = piece

    def seconds(self) -> t.Mapping[int, Seconds]:
        """When all was taken: by the number of the increment that a base stands before, from the beginning of time on.

        Where a base's own seconds begin only the base knows.
        """
        if self._held is not None:
            self._place(self._held)
            self._held = None
        self._end()
        return self._found

    def _place(self, piece: Piece) -> None:
        run, name = self._run, piece.name
        if run is not None and name.increment == run.increment:
            # What lies behind a hole is passed over, and so is what came before.
            if name.offset <= run.length and (name.end > run.length or name.offset == name.end == run.length):
                run.take(piece)
        elif name.offset == 0 and name.increment > self._newest:
            self._newest = name.increment
            if run is None or name.increment != run.increment + 1 or piece.previous != (run.increment, run.length):
                self._end()
                run = self._run = _Run(first=name.increment, increment=name.increment)
            else:
                run.increment = name.increment
                run.own[name.increment] = SecondsReading(0)
            run.take(piece)

    def _end(self) -> None:
        if self._run is not None:
            self._found.update(self._run.seconds())
            self._run = None
