# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slice of the oplog: some entries one after the other, and what is known about them. Pure.

The bytes are those of ``oplog.bson`` as mongorestore reads it. A slice begins with the very entry that the one before
it ends with: that proves that nothing lies between them. Whoever joins slices drops the second of the two.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..core.ids import is_name
from .timestamps import Position, moment_of, position_from_text, position_text

MEDIA = "oplog slice"
_NAME = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})-([0-9]{1,10})\.([0-9]{1,10})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EntryMark:
    """What tells one entry from all others, also from one with the same position in another history."""

    position: Position
    term: int  # of the election whose primary wrote it; -1 where the server notes none
    sha256: str  # of the entry's bytes, which are the same on every member


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction of which entries were seen, but not its end. *key* is a hash of session and number.

    Only the primary that began it can end it, unless it is *prepared*: *term* says which primary that is.
    """

    key: str
    first: Position
    term: int
    prepared: bool

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"key": self.key, "first": position_text(self.first), "term": self.term, "prepared": self.prepared}


@dataclass(frozen=True)
class Objection:
    """An entry that can't be replayed: onto what is older than it nothing behind it can be, either."""

    position: Position
    cause: str  # feature-compatibility or not-replayable
    reason: str  # completes "at POSITION ..."

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"position": position_text(self.position), "cause": self.cause, "reason": self.reason}


@dataclass(frozen=True)
class Beginning:
    """Why a chain begins where it does; *before* is the lineage that ended, None when it is the first of all.

    *ended* is the last position of that lineage. *cause*: ``first``, ``rolled-over``, ``rolled-back``,
    ``set-initiated-again``, ``slices-lost``, or the cause of an objection.
    """

    cause: str
    reason: str
    before: str | None = None
    ended: Position | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "cause": self.cause,
            "reason": self.reason,
            "before": self.before,
            "ended": None if self.ended is None else position_text(self.ended),
        }


@dataclass(frozen=True)
class OplogSlice:
    """One slice. *size* and *sha256* are those of its bytes; *entries* counts the first, which is also in another.

    *bases_from* holds for the whole lineage: a base must have at least this position to be brought forward by it. It is
    later than the lineage's first entry where a transaction was open then. *needs_from* is where reading must begin so
    that every transaction that ends in this slice is whole: in an earlier slice, or at the first entry. *open* are the
    transactions that it leaves unfinished. *objections* (at or before *bases_from*, never behind it) are what ended
    the lineage before. *idle*: it holds nothing but notes that the server writes while nobody else does.
    """

    lineage: str
    first: EntryMark
    last: EntryMark
    entries: int
    size: int
    sha256: str
    replica_set: str
    replica_set_id: str | None
    server_version: str
    feature_compatibility: str | None
    member: str
    bases_from: Position
    needs_from: Position
    open: tuple[OpenTransaction, ...] = ()
    objections: tuple[Objection, ...] = ()
    beginning: Beginning | None = None  # of the lineage, on its first slice
    idle: bool = False

    @property
    def name(self) -> str:
        """The segment's name."""
        return slice_name(self.first.position, self.last.position)

    @property
    def open_first(self) -> Position | None:
        """The oldest entry of a transaction that this slice leaves unfinished (``open_txn_first_ts``)."""
        return min((one.first for one in self.open), default=None)

    def as_facts(self) -> dict[str, t.Any]:
        """As JSON values: the facts of the segment, and the note beside the file in the spool."""
        oldest = self.open_first
        return {
            "lineage": self.lineage,
            "first": position_text(self.first.position),
            "last": position_text(self.last.position),
            "term_first": self.first.term,
            "term_last": self.last.term,
            "first_sha256": self.first.sha256,
            "last_sha256": self.last.sha256,
            "entries": self.entries,
            "bytes": self.size,
            "sha256": self.sha256,
            "replica_set": self.replica_set,
            "replica_set_id": self.replica_set_id,
            "server_version": self.server_version,
            "feature_compatibility_version": self.feature_compatibility,
            "member": self.member,
            "bases_from": position_text(self.bases_from),
            "needs_from": position_text(self.needs_from),
            "open_txn_first_ts": None if oldest is None else position_text(oldest),
            "open_transactions": [one.as_dict() for one in self.open],
            "objections": [one.as_dict() for one in self.objections],
            "beginning": None if self.beginning is None else self.beginning.as_dict(),
            "idle": self.idle,
        }


def slice_from_facts(facts: t.Mapping[str, t.Any]) -> OplogSlice:
    """The inverse of :meth:`OplogSlice.as_facts`; facts that are not known are passed over.

    Raises ValueError that says what is missing or ill-formed.
    """
    try:
        found = OplogSlice(
            lineage=str(facts["lineage"]),
            first=_mark(facts, "first"),
            last=_mark(facts, "last"),
            entries=int(facts["entries"]),
            size=int(facts["bytes"]),
            sha256=_sha256(facts["sha256"]),
            replica_set=str(facts["replica_set"]),
            replica_set_id=_optional(facts.get("replica_set_id")),
            server_version=str(facts["server_version"]),
            feature_compatibility=_optional(facts.get("feature_compatibility_version")),
            member=str(facts.get("member", "")),
            bases_from=position_from_text(facts["bases_from"]),
            needs_from=position_from_text(facts["needs_from"]),
            open=tuple(_open(one) for one in facts["open_transactions"]),
            objections=tuple(_objection(one) for one in facts.get("objections", ())),
            beginning=_beginning(facts.get("beginning")),
            idle=bool(facts.get("idle", False)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the facts of a slice lack {error}") from error
    if found.last.position < found.first.position or found.entries < 1 or not is_name(found.lineage):
        raise ValueError(f"the facts of the slice {found.name} contradict each other")
    return found


def slice_name(first: Position, last: Position) -> str:
    """``1763751600.1-1763751660.4``: both ends are in it."""
    return f"{first[0]}.{first[1]}-{last[0]}.{last[1]}"


def parse_slice_name(name: str) -> tuple[Position, Position]:
    """The first and the last position. Raises ValueError."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no slice's name")
    first, last = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
    if first > last:
        raise ValueError(f"{name!r} ends before it begins")
    return first, last


def spool_name(lineage: str, name: str) -> str:
    """The name of the file in the spool, where slices of several lineages may wait."""
    return f"{lineage}@{name}"


def parse_spool_name(text: str) -> tuple[str, Position, Position]:
    """The lineage and both ends. Raises ValueError."""
    lineage, _at, name = text.partition("@")
    if not is_name(lineage):
        raise ValueError(f"{text!r} does not begin with a lineage")
    first, last = parse_slice_name(name)
    return lineage, first, last


def group_of(first: Position) -> str:
    """The folder of a slice: the day of its first entry in UTC, ``20261121``."""
    return moment_of(first).strftime("%Y%m%d")


def _mark(facts: t.Mapping[str, t.Any], which: str) -> EntryMark:
    return EntryMark(
        position=position_from_text(facts[which]),
        term=int(facts[f"term_{which}"]),
        sha256=_sha256(facts[f"{which}_sha256"]),
    )


def _sha256(value: t.Any) -> str:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no SHA-256")
    return value


def _optional(value: t.Any) -> str | None:
    return None if value is None else str(value)


def _open(one: t.Mapping[str, t.Any]) -> OpenTransaction:
    return OpenTransaction(
        key=str(one["key"]),
        first=position_from_text(one["first"]),
        term=int(one["term"]),
        prepared=bool(one["prepared"]),
    )


def _objection(one: t.Mapping[str, t.Any]) -> Objection:
    return Objection(position=position_from_text(one["position"]), cause=str(one["cause"]), reason=str(one["reason"]))


def _beginning(one: t.Mapping[str, t.Any] | None) -> Beginning | None:
    if one is None:
        return None
    ended = one.get("ended")
    return Beginning(
        cause=str(one["cause"]),
        reason=str(one["reason"]),
        before=_optional(one.get("before")),
        ended=None if ended is None else position_from_text(ended),
    )
