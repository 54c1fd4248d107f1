# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the recorded pieces of a lineage to what can be replayed: bases, the way on from each, and where it ends. Pure.

A way begins with a base and goes on with the increment that begins at the same moment, piece by piece, then with the
next increment where that is proven to continue it. It ends before the first hole.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, StreamConflict
from ..streams.stream import StoredSegment, Stream
from .aof_log_piece import BASE, INCREMENT, Piece


@dataclass(frozen=True)
class StoredPiece:
    """A piece with the segment that it is."""

    piece: Piece
    stored: StoredSegment


@dataclass(frozen=True)
class BaseFile:
    """A base of which every byte is stored."""

    pieces: tuple[StoredPiece, ...]

    @property
    def head(self) -> Piece:
        """Its first piece, which says what it is."""
        return self.pieces[0].piece

    @property
    def increment(self) -> int:
        """The increment that begins where it was made."""
        return self.head.name.increment

    @property
    def holds(self) -> int:
        """The last second of which it may hold writes."""
        return self.head.holds or 0


@dataclass(frozen=True)
class Way:
    """*pieces* of increments that follow *base* without a hole. *end* says why it goes no further; empty: all there is.

    *last* is the increment that it ends in, *length* how many bytes of that it has.
    """

    base: BaseFile
    pieces: tuple[StoredPiece, ...]
    last: int
    length: int
    end: str = ""

    @property
    def position(self) -> tuple[int, int]:
        """How far it goes."""
        return self.last, self.length


@dataclass(frozen=True)
class Chain:
    """One lineage. *ways* are in order of their bases; *newest* is the last position that is recorded at all.

    *problems* are pieces that can't be used, and why.
    """

    stream: Stream
    ways: tuple[Way, ...]
    newest: tuple[int, int]
    problems: tuple[LifeboatError, ...]

    @property
    def lineage(self) -> str:
        """Its folder."""
        return self.stream.folder.lineage

    @property
    def begun(self) -> int:
        """The second in which it was begun, 0 for one without pieces."""
        return self.ways[0].base.head.name.chain if self.ways else 0


def read_chain(stream: Stream) -> Chain:
    """Sort the pieces of a lineage. What can't be used is left out and named; nothing is raised."""
    pieces, problems = _usable(stream)
    files: dict[tuple[str, int], list[StoredPiece]] = {}
    for one in pieces:
        files.setdefault((one.piece.name.type, one.piece.name.increment), []).append(one)
    increments = {number: found for (kind, number), found in files.items() if kind == INCREMENT}
    ways = []
    for (kind, _number), found in sorted(files.items()):
        if kind != BASE:
            continue
        cover, length, _hole = _cover(found)
        if cover and length >= cover[0].piece.size:
            ways.append(_way(BaseFile(tuple(cover)), increments))
    newest = max(((number, found[-1].piece.name.end) for number, found in increments.items()), default=(0, 0))
    return Chain(stream=stream, ways=tuple(ways), newest=newest, problems=(*stream.problems, *problems))


def _usable(stream: Stream) -> tuple[list[StoredPiece], list[LifeboatError]]:
    problems: list[LifeboatError] = []
    found: dict[str, StoredPiece] = {}
    conflicts: set[str] = set()
    for stored in stream.segments:
        try:
            piece = Piece.of(stored.segment)
        except LifeboatError as error:
            problems.append(error)
            continue
        other = found.get(stored.segment.name)
        if other is None:
            found[stored.segment.name] = StoredPiece(piece, stored)
        elif other.stored.segment.plain_sha256 != stored.segment.plain_sha256:
            conflicts.add(stored.segment.name)
    for name in sorted(conflicts):
        # Nobody can say which of the two is the history.
        del found[name]
        problems.append(
            StreamConflict(
                f"{name} is stored twice with different bytes.",
                hint="Two servers are shipped under one name: give each a source of its own.",
                details={"segment": name},
            )
        )
    return sorted(found.values(), key=lambda one: one.piece.name), problems


def _cover(pieces: t.Sequence[StoredPiece]) -> tuple[list[StoredPiece], int, str]:
    """Those of one file's pieces that cover it from its begin without a hole, how far, and what is missing then."""
    chosen: list[StoredPiece] = []
    end = 0
    # Of those that begin alike the longest comes first, so that a repeated shorter one adds nothing.
    for one in sorted(pieces, key=lambda one: (one.piece.name.offset, -one.piece.name.end, one.piece.name.covered)):
        name = one.piece.name
        if name.offset > end:
            return chosen, end, f"bytes {end} to {name.offset} of {one.piece.file} are in no repository"
        if name.end > end or name.offset == name.end == end:
            chosen.append(one)
            end = name.end
    return chosen, end, ""


def _way(base: BaseFile, increments: t.Mapping[int, t.Sequence[StoredPiece]]) -> Way:
    taken: list[StoredPiece] = []
    number = base.increment
    length, end = 0, ""
    while True:
        pieces, length, end = _cover(increments.get(number, ()))
        taken += pieces
        following = increments.get(number + 1)
        if end or following is None:
            break
        end = _break_before(following, previous=(number, length))
        if end:
            break
        number += 1
    later = min((one for one in increments if one > number), default=None)
    if not end and later is not None:
        reasons = [one.piece.broken for one in increments[later] if one.piece.broken]
        end = reasons[0] if reasons else f"increment {number + 1} is in no repository"
    return Way(base=base, pieces=tuple(taken), last=number, length=length, end=end)


def _break_before(following: t.Sequence[StoredPiece], *, previous: tuple[int, int]) -> str:
    """Why an increment can't be joined to the one before, of which there is as much as *previous* says; else empty."""
    heads = [one.piece for one in following if not one.piece.name.offset]
    file = following[0].piece.file
    if any(head.previous == previous for head in heads):
        return ""
    if not heads:
        return f"the begin of {file} is in no repository"
    if any(head.previous for head in heads):
        return f"the end of the increment before {file} is in no repository"
    reasons = [head.broken for head in heads if head.broken]
    return reasons[0] if reasons else f"what was written before {file} was begun is not known to be all stored"
