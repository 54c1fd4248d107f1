# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored slices behind a base: how far they reach without a hole, and which of them a target needs. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..streams.stream import StoredSegment, Stream
from .oplog_slice import OplogSlice, slice_from_facts
from .recovery_bases import RecoveryBase
from .timestamps import Position, position_text


@dataclass(frozen=True)
class StoredSlice:
    """A slice and where it is stored."""

    facts: OplogSlice
    stored: StoredSegment

    @property
    def first(self) -> Position:
        """The position of its first entry."""
        return self.facts.first.position

    @property
    def last(self) -> Position:
        """The position of its last entry."""
        return self.facts.last.position


@dataclass(frozen=True)
class Reach:
    """How far a base can be brought forward along one lineage: to *last*, and *why_no_further*.

    *run* has no hole; it is empty where nothing is stored behind the base, and then *last* is the base's own position.
    """

    base: RecoveryBase
    lineage: str
    run: tuple[StoredSlice, ...]
    last: Position
    why_no_further: str

    @property
    def end(self) -> Position:
        """The position after the last entry that is known: whatever comes first behind it has this one at least."""
        return self.last[0], self.last[1] + 1

    def contains(self, stop: Position) -> bool:
        """Whether everything before *stop* is known, and nothing behind it is in the base."""
        return self.base.usable_from < stop <= self.end


def read_slices(stream: Stream) -> tuple[list[StoredSlice], list[str]]:
    """The slices of a lineage in order, each once; sentences about those whose facts can't be read."""
    found: dict[str, StoredSlice] = {}
    warnings: list[str] = []
    for stored in stream.segments:
        try:
            facts = slice_from_facts(stored.segment.facts)
        except ValueError as error:
            warnings.append(f"The slice {stored.segment.name} of {stream.folder.lineage} is not used: {error}.")
            continue
        found.setdefault(stored.segment.name, StoredSlice(facts=facts, stored=stored))
    return sorted(found.values(), key=lambda one: (one.first, one.last)), warnings


def reach(base: RecoveryBase, *, lineage: str, slices: t.Sequence[StoredSlice]) -> Reach:
    """How far *base* gets along a lineage whose *slices* are in order."""
    run, follower = _run_around(base.position, slices)
    problem = _why_not_joined(base, lineage, slices) if not run else _why_not_continued(base, run)
    if problem:
        return Reach(base=base, lineage=lineage, run=(), last=base.usable_from, why_no_further=problem)
    # Slices may overlap: the last one to begin need not be the one that reaches furthest.
    last = max(one.last for one in run)
    why = f"nothing behind {position_text(last)} is stored"
    if follower is not None:
        why = f"between {position_text(last)} and {position_text(follower.first)} nothing is stored"
    if last < base.usable_from:
        return Reach(base=base, lineage=lineage, run=(), last=base.usable_from, why_no_further=why)
    return Reach(base=base, lineage=lineage, run=tuple(run), last=last, why_no_further=why)


def _why_not_joined(base: RecoveryBase, lineage: str, slices: t.Sequence[StoredSlice]) -> str:
    """Why no slice of a lineage holds the moment of the base."""
    if not slices:
        return "no slice of the oplog is stored"
    foreign = not_of_this_set(base, slices[0].facts)
    if foreign:
        return foreign
    last = max(one.last for one in slices)
    if base.position > last:
        return f"nothing behind {position_text(last)} is stored"
    if base.position < slices[0].first:
        return f"the lineage {lineage} begins at {position_text(slices[0].first)}, after the backup"
    return f"the slice that follows the backup is not stored: there is a hole at {position_text(base.position)}"


def _why_not_continued(base: RecoveryBase, run: t.Sequence[StoredSlice]) -> str:
    """Why slices that hold the moment of the base can't be replayed onto it; empty when they can."""
    foreign = not_of_this_set(base, run[0].facts)
    if foreign:
        return foreign
    if base.position < run[0].facts.bases_from:
        return f"the lineage {run[0].facts.lineage} takes backups from {position_text(run[0].facts.bases_from)} on"
    needed = beginning(base.position, run)
    if needed < run[0].first:
        return f"a transaction began at {position_text(needed)}, and its beginning is not stored"
    return ""


def needed_slices(found: Reach, *, stop: Position) -> tuple[StoredSlice, ...]:
    """Those slices that bring the base to just before *stop*, as few as can be, in the order of replay."""
    if not found.run or (found.base.position[0], found.base.position[1] + 1) >= stop:
        return ()
    chosen = _cover(found.run, start=found.base.position, stop=stop)
    start = beginning(found.base.position, chosen) if chosen else found.base.position
    return tuple(chosen if start >= found.base.position else _cover(found.run, start=start, stop=stop))


def beginning(position: Position, run: t.Sequence[StoredSlice]) -> Position:
    """Where reading must begin so that every transaction that ends behind *position* is whole."""
    behind = [one for one in run if one.last > position]
    needs = [min(one.facts.needs_from, one.first) for one in behind[1:]]
    if behind:
        # Of the slice with the base in its middle, what was open when it began; what began in it, it has.
        before = [one for one in run if one.last <= position and one.last >= behind[0].first]
        opened = before[-1].facts.open_first if before else behind[0].facts.needs_from
        needs += [position] if opened is None else [opened]
    return min([position, *needs])


def _cover(run: t.Sequence[StoredSlice], *, start: Position, stop: Position) -> list[StoredSlice]:
    chosen: list[StoredSlice] = []
    reached: Position | None = None
    while reached is None or (reached[0], reached[1] + 1) < stop:
        limit = start if reached is None else reached
        following = [one for one in run if one.first <= limit and one.last > limit]
        if not following:
            break
        chosen.append(max(following, key=lambda one: one.last))
        reached = chosen[-1].last
        if len(chosen) > len(run):
            break
    return chosen


def _run_around(position: Position, slices: t.Sequence[StoredSlice]) -> tuple[list[StoredSlice], StoredSlice | None]:
    """The slices that hang together around a position, and the first one behind the hole that follows them."""
    run: list[StoredSlice] = []
    reached: Position = (0, 0)
    for one in slices:
        if run and one.first > reached:
            if run[0].first <= position <= reached:
                return run, one
            run = []
        run.append(one)
        reached = max(reached, one.last)
    return (run, None) if run and run[0].first <= position <= reached else ([], None)


def not_of_this_set(base: RecoveryBase, facts: OplogSlice) -> str:
    """Why a lineage with a slice like this one is none for the base; empty when it may be."""
    if None not in (base.replica_set_id, facts.replica_set_id) and base.replica_set_id != facts.replica_set_id:
        return f"the lineage {facts.lineage} is that of another replica set ({facts.replica_set})"
    own, theirs = base.feature_compatibility, facts.feature_compatibility
    if None not in (own, theirs) and own != theirs:
        return f"the lineage {facts.lineage} has the feature compatibility version {theirs}, and the backup {own}"
    return ""
