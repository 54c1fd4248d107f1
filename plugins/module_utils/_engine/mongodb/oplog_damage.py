# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in an oplog may be why somebody wants to go back: drops, mass deletes, big updates, renames. Pure.

Each is told with the position just before which everything was still there: that of the entry by which it became
visible. Inside a transaction that is the transaction's end, wherever the operation itself stands.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..core.clock import format_time
from . import bson_bytes
from .namespace_map import BUCKETS
from .oplog_entry import OplogEntry, read_entry, transaction_of
from .oplog_parts import TransactionParts, is_part
from .oplog_skips import Skip, Touched, shown_id, touched_by
from .timestamps import Position, moment_of, position_text

_SAMPLES = 5
# As many positions are told for leaving an operation out as somebody would want to give.
_MOST_SKIPS = 20
_SERVERS_OWN = ("config", "local", "admin")
_COMMANDS: t.Mapping[str, str] = {
    "drop": "drop",
    "dropDatabase": "drop of a database",
    "renameCollection": "rename",
    "collMod": "change of a collection",
    "dropIndexes": "drop of an index",
    "dropIndex": "drop of an index",
    "deleteIndexes": "drop of an index",
    "deleteIndex": "drop of an index",
    "convertToCapped": "made capped",
}
DELETES, UPDATES = "mass delete", "mass update"


@dataclass(frozen=True)
class Thresholds:
    """From when on deletes and updates of one collection are many: so many, with pauses of at most *pause* seconds."""

    deletes: int = 100
    updates: int = 1000
    pause: int = 10


@dataclass(frozen=True)
class Damage:
    """One thing that happened. *before* is the position just before which it had not; *last* that of its last entry.

    *count* counts operations, *samples* are some _ids (relaxed extended JSON). *skip* has what leaves it out, empty
    where that are too many. *detail* says more ("became shop.old", the index's name).
    """

    kind: str
    namespaces: tuple[str, ...]
    before: Position
    last: Position
    count: int = 1
    samples: tuple[t.Any, ...] = ()
    skip: tuple[str, ...] = ()
    detail: str = ""
    in_transaction: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values; ``before_operation`` is the target that recovers everything before it."""
        return {
            "kind": self.kind,
            "namespaces": list(self.namespaces),
            "before_operation": position_text(self.before),
            "time": format_time(moment_of(self.before)),
            "last": position_text(self.last),
            "last_time": format_time(moment_of(self.last)),
            "count": self.count,
            "samples": list(self.samples),
            "skip": list(self.skip),
            "detail": self.detail,
            "in_transaction": self.in_transaction,
        }


@dataclass
class _Group:
    """Deletes or updates of one collection that follow one another."""

    first: Position
    last: Position
    count: int = 0
    samples: tuple[t.Any, ...] = ()
    skip: tuple[str, ...] = ()
    in_transaction: bool = False


class DamageFinder:
    """Fed with entries in order; finish() has what was found in [*begins*, *ends*]. close() must follow.

    Entries before the span are looked at for transactions that end inside it.
    """

    def __init__(self, *, begins: Position, ends: Position, thresholds: Thresholds | None = None) -> None:
        self._begins = begins
        self._ends = ends
        self._thresholds = thresholds or Thresholds()
        self._parts = TransactionParts()
        self._groups: dict[tuple[str, str], _Group] = {}
        self._found: list[Damage] = []
        self._last: Position = (0, 0)

    def take(self, raw: bytes) -> None:
        """Take the next entry; one that was taken before is passed over. Raises MalformedBson."""
        entry = read_entry(raw)
        position = entry.position()
        if position <= self._last:
            return
        self._last = position
        for operation, skip in self._visible(entry, position):
            if self._begins <= position <= self._ends:
                self._look(operation, skip, visible=position)

    def finish(self) -> tuple[Damage, ...]:
        """What was found, in order of time."""
        for key in list(self._groups):
            self._end(key)
        return tuple(sorted(self._found, key=lambda one: (one.before, one.kind, one.namespaces)))

    def close(self) -> None:
        """Free what is kept of transactions that did not end."""
        self._parts.close()

    def _visible(self, entry: OplogEntry, position: Position) -> t.Iterator[tuple[OplogEntry, Skip]]:
        """The operations that take effect with an entry, and where each stands."""
        if entry.kind in ("i", "u", "d"):
            yield entry, Skip(position)
        if entry.kind != "c":
            return
        name, transaction = entry.command, transaction_of(entry)
        if name not in ("applyOps", "commitTransaction", "abortTransaction"):
            yield entry, Skip(position)
            return
        is_several = entry.field(b"multiOpType") is not None
        if transaction is not None and not is_several:
            if name == "abortTransaction":
                self._parts.forget(transaction)
                return
            if name == "applyOps" and is_part(entry):
                self._parts.keep(transaction, entry)
                return
            for part in self._parts.take(transaction):
                yield from _inside(part, part.position())
        if name == "applyOps":
            yield from _inside(entry, position)

    def _look(self, operation: OplogEntry, skip: Skip, *, visible: Position) -> None:
        if operation.database in _SERVERS_OWN or operation.name.startswith(BUCKETS):
            return
        if operation.kind == "c":
            self._command(operation, skip, visible=visible)
        elif operation.kind in ("d", "u") and operation.name != "system.views":
            self._count(operation, skip, visible=visible)
        elif operation.kind == "d":
            touched = touched_by(operation)
            name = None if touched.document is None else shown_id(touched.document)
            if isinstance(name, str) and name:
                self._found.append(_damage("drop of a view", (name,), skip, visible=visible))

    def _command(self, operation: OplogEntry, skip: Skip, *, visible: Position) -> None:
        name = operation.command
        kind = _COMMANDS.get(name)
        if kind is None:
            return
        touched = touched_by(operation)
        damage = _damage(kind, touched.namespaces, skip, visible=visible, detail=_detail(operation, touched))
        if name == "dropDatabase":
            damage = self._with_its_drops(operation.database, damage)
        self._found.append(damage)

    def _with_its_drops(self, database: str, damage: Damage) -> Damage:
        """The server drops the collections one by one before it drops their database: they are one thing."""
        own = [
            one
            for one in self._found
            if one.kind == "drop"
            and all(name.startswith(f"{database}.") for name in one.namespaces)
            and damage.before[0] - one.before[0] <= self._thresholds.pause
        ]
        if not own:
            return damage
        self._found = [one for one in self._found if one not in own]
        skips = tuple(skip for one in (*own, damage) for skip in one.skip)
        return replace(
            damage,
            before=min(one.before for one in own),
            count=len(own),
            skip=skips if len(skips) <= _MOST_SKIPS else (),
            detail=", ".join(name.partition(".")[2] for one in own[:_SAMPLES] for name in one.namespaces),
        )

    def _count(self, operation: OplogEntry, skip: Skip, *, visible: Position) -> None:
        key = (operation.kind, operation.full_name)
        group = self._groups.get(key)
        if group is not None and visible[0] - group.last[0] > self._thresholds.pause:
            self._end(key)
            group = None
        if group is None:
            group = self._groups[key] = _Group(first=visible, last=visible)
        group.last = visible
        group.count += 1
        group.in_transaction = group.in_transaction or skip.ordinal is not None
        if len(group.skip) <= _MOST_SKIPS:
            group.skip = (*group.skip, str(skip))
        if len(group.samples) < _SAMPLES:
            document = operation.document_id()
            if document is not None:
                group.samples = (*group.samples, shown_id(document))

    def _end(self, key: tuple[str, str]) -> None:
        kind, namespace = key
        group = self._groups.pop(key)
        least = self._thresholds.deletes if kind == "d" else self._thresholds.updates
        if group.count < least:
            return
        self._found.append(
            Damage(
                kind=DELETES if kind == "d" else UPDATES,
                namespaces=(namespace,),
                before=group.first,
                last=group.last,
                count=group.count,
                samples=group.samples,
                skip=group.skip if len(group.skip) <= _MOST_SKIPS else (),
                in_transaction=group.in_transaction,
            )
        )


def _inside(entry: OplogEntry, position: Position) -> t.Iterator[tuple[OplogEntry, Skip]]:
    for ordinal, operation in enumerate(entry.operations()):
        yield operation, Skip(position, ordinal)


def _damage(kind: str, namespaces: tuple[str, ...], skip: Skip, *, visible: Position, detail: str = "") -> Damage:
    return Damage(
        kind=kind,
        namespaces=namespaces,
        before=visible,
        last=visible,
        skip=(str(skip),),
        detail=detail,
        in_transaction=skip.ordinal is not None,
    )


def _detail(operation: OplogEntry, touched: Touched) -> str:
    if touched.word == "renameCollection" and len(touched.namespaces) > 1:
        target = operation.body_field(b"dropTarget")
        over = target is not None and operation.raw[target.start : target.end] != b"\x00"
        return f"became {touched.namespaces[1]}" + (", which was dropped" if over else "")
    if "Index" in touched.word:
        index = operation.body_field(b"index")
        if index is not None and index.type == bson_bytes.STRING:
            return bson_bytes.text(operation.raw, index)
    return ""
