# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain of slices: where it is, whether a member's oplog continues it, and what breaks it. Pure.

A chain is one lineage in the repository. It goes on through elections and on any member as long as the entry that it
ended with is there, the very same one. Anything else ends it, and a new one begins that needs a base of its own.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ..core.errors import MongoSetRenamed
from .oplog_slice import Beginning, EntryMark, OpenTransaction, OplogSlice
from .timestamps import Position, position_text

FIRST = "first"
ROLLED_OVER = "rolled-over"
ROLLED_BACK = "rolled-back"
INITIATED_AGAIN = "set-initiated-again"
SLICES_LOST = "slices-lost"

CONTINUES = "continues"
BEHIND = "behind"

_LONGEST_SET_NAME = 26
_NOT_IN_NAMES = re.compile("[^a-z0-9._-]")


@dataclass(frozen=True)
class Chain:
    """Where a chain is. *end* is None while nothing of it is in the spool; then it is read from *reads_from* on."""

    lineage: str
    replica_set: str
    replica_set_id: str | None
    feature_compatibility: str | None
    bases_from: Position
    reads_from: Position
    end: EntryMark | None = None
    open: tuple[OpenTransaction, ...] = ()
    beginning: Beginning | None = None  # to be told by its first slice

    @property
    def is_new(self) -> bool:
        """Whether nothing of it is in the spool yet."""
        return self.end is None

    def after(self, one: OplogSlice) -> Chain:
        """The chain with this slice at its end."""
        return replace(self, end=one.last, open=one.open, reads_from=one.last.position, beginning=None)


def chain_of(one: OplogSlice) -> Chain:
    """The chain that ends with this slice."""
    return Chain(
        lineage=one.lineage,
        replica_set=one.replica_set,
        replica_set_id=one.replica_set_id,
        feature_compatibility=one.feature_compatibility,
        bases_from=one.bases_from,
        reads_from=one.last.position,
        end=one.last,
        open=one.open,
    )


def newest(slices: t.Iterable[OplogSlice], *, replica_set_id: str | None) -> OplogSlice | None:
    """The slice that the newest chain ends with; chains of the set with this id come before all others."""
    return max(
        slices,
        key=lambda one: (one.replica_set_id == replica_set_id, one.bases_from, one.lineage, one.last.position),
        default=None,
    )


def require_same_set(known: OplogSlice | None, *, replica_set: str) -> None:
    """Raise MongoSetRenamed when the stream is that of a set of another name."""
    if known is None or known.replica_set == replica_set:
        return
    raise MongoSetRenamed(
        f"The server belongs to the replica set {replica_set}; this stream is that of {known.replica_set} "
        f"(up to {position_text(known.last.position)}).",
        hint=f"Check the connection. Is {replica_set} meant, then give it a source of its own in the description, and "
        "make a full backup there.",
        details={"replica_set": replica_set, "stream_of": known.replica_set, "lineage": known.lineage},
    )


def lineage_of(replica_set: str, replica_set_id: str | None, *, bases_from: Position) -> str:
    """The name of a chain: ``rs0-65a1b2c3d4e5-1763751600.1``; a folder's name whatever the set is called."""
    name = _NOT_IN_NAMES.sub("-", replica_set.lower())[:_LONGEST_SET_NAME].lstrip("._-") or "set"
    return f"{name}-{(replica_set_id or '0' * 12)[:12]}-{bases_from[0]}.{bases_from[1]}"


@dataclass(frozen=True)
class Found:
    """What a member's oplog holds at or after the end of a chain: *entry* is the first such entry, None when there is
    none. *oldest* is the first entry of all, *majority* the newest that a majority has, as the member knows.
    """

    entry: EntryMark | None
    oldest: Position | None
    majority: Position


def judge(end: EntryMark, found: Found) -> str:
    """What a member's oplog means to a chain that ends with *end*.

    CONTINUES: it has the same entry. BEHIND: it does not say yet. ROLLED_OVER: it begins later; another member may
    have it still. ROLLED_BACK: a majority has another history, which is true of all members.
    """
    if found.entry == end:
        return CONTINUES
    if found.entry is None or found.oldest is None:
        return BEHIND
    if found.oldest > end.position:
        return ROLLED_OVER
    # What stands there instead counts only when it can't go away any more: a member that is cut off may not know yet.
    return ROLLED_BACK if found.majority >= found.entry.position else BEHIND


def broken_by(verdicts: t.Sequence[str], *, primary_was_asked: bool) -> str | None:
    """What ended a chain that no member continues: ROLLED_OVER, ROLLED_BACK, or None while that can't be told."""
    if ROLLED_BACK in verdicts:
        return ROLLED_BACK
    if primary_was_asked and verdicts and all(verdict == ROLLED_OVER for verdict in verdicts):
        return ROLLED_OVER
    return None


def why_broken(cause: str, end: Position) -> str:
    """A sentence for people."""
    what = position_text(end)
    if cause == ROLLED_OVER:
        return f"No member's oplog reaches back to {what}, which is the last that was captured: what followed is lost."
    if cause == SLICES_LOST:
        return f"What was captured up to {what} is neither in the spool any more nor in a repository."
    if cause == ROLLED_BACK:
        return f"The set's history is another one since before {what}: it was rolled back, or restored."
    return f"The set was initiated again after {what} was captured: it is another set of the same name."


@dataclass(frozen=True)
class Hole:
    """Entries that lie between two slices of one chain and are in neither."""

    before: OplogSlice
    after: OplogSlice


def holes(slices: t.Iterable[OplogSlice]) -> tuple[Hole, ...]:
    """The holes between slices of one lineage, in order."""
    found: list[Hole] = []
    reached: OplogSlice | None = None
    for one in sorted(slices, key=lambda one: (one.first.position, one.last.position)):
        if reached is not None and one.first.position > reached.last.position:
            found.append(Hole(before=reached, after=one))
        if reached is None or one.last.position > reached.last.position:
            reached = one
    return tuple(found)
