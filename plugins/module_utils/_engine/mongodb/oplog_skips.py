# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations that a replay leaves out on purpose, and what came after them on the same documents. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from . import bson_bytes
from .namespace_map import BUCKETS
from .oplog_entry import OplogEntry
from .timestamps import Position

# So many are named; all are counted.
_NAMED = 100
_WORDS: t.Mapping[str, str] = {"i": "insert", "u": "update", "d": "delete"}


@dataclass(frozen=True)
class Skip:
    """One entry of the oplog, or with *ordinal* one operation inside it (of a transaction), counted from 0."""

    position: Position
    ordinal: int | None = None

    def __str__(self) -> str:
        seconds, number = self.position
        return f"{seconds}:{number}" + ("" if self.ordinal is None else f"/{self.ordinal}")


def parse_position(text: str) -> Position:
    """``1763751600:4`` as (1763751600, 4). Raises RequestInvalid."""
    seconds, colon, number = text.strip().partition(":")
    if not colon or not _is_number(seconds) or not _is_number(number):
        raise RequestInvalid(
            f"{text!r} is no position in an oplog.",
            hint="Write it as seconds:number, 1763751600:4, as lifeboat find-damage prints it.",
        )
    return int(seconds), int(number)


def parse_skip(text: str) -> Skip:
    """``1763751600:4``, or ``1763751600:4/2`` for the third operation in that entry. Raises RequestInvalid."""
    position, slash, ordinal = text.strip().partition("/")
    if slash and not _is_number(ordinal):
        raise RequestInvalid(
            f"{text!r} names no operation of an oplog.",
            hint="Write seconds:number for an entry, seconds:number/2 for the third operation in it.",
        )
    return Skip(position=parse_position(position), ordinal=int(ordinal) if slash else None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**32


@dataclass(frozen=True)
class Touched:
    """What an operation touches: one document of a collection, or with *document* None whole *namespaces*."""

    namespaces: tuple[str, ...]
    document: bytes | None
    word: str  # insert, update, delete, or the command


class Skips:
    """The skips of one replay, and the account of them: what was left out, and what depended on it.

    An operation depends on one that was left out when it is a later one of the same document, or of anything in a
    collection that a command left out would have changed. It is replayed all the same.
    """

    def __init__(self, skips: t.Sequence[Skip]) -> None:
        self._wanted: dict[Position, set[int | None]] = {}
        for one in skips:
            self._wanted.setdefault(one.position, set()).add(one.ordinal)
        self._met: set[Skip] = set()
        self._left_out: list[dict[str, t.Any]] = []
        self._dependants: list[dict[str, t.Any]] = []
        self._counts = [0, 0]
        self._documents: set[tuple[str, bytes]] = set()
        self._namespaces: set[str] = set()

    @property
    def any_met(self) -> bool:
        """Whether something was left out already, so that what follows may depend on it."""
        return bool(self._met)

    @property
    def missing(self) -> tuple[str, ...]:
        """Skips that never came."""
        return tuple(
            str(one)
            for position, ordinals in sorted(self._wanted.items())
            for one in (Skip(position, ordinal) for ordinal in sorted(ordinals, key=str))
            if one not in self._met
        )

    def takes_all(self, position: Position) -> bool:
        """Whether the transaction that ends there is to be left out as a whole."""
        if None not in self._wanted.get(position, ()):
            return False
        self._met.add(Skip(position))
        return True

    def is_left_out(self, position: Position, ordinal: int) -> bool:
        """Whether this operation of the entry is; an entry that is an operation itself has the ordinal 0."""
        wanted = self._wanted.get(position, ())
        found = [Skip(position, one) for one in (None, ordinal) if one in wanted]
        self._met.update(found)
        return bool(found)

    def leave_out(self, operation: OplogEntry, *, position: Position, ordinal: int | None) -> Touched:
        """Note it, and what may depend on it."""
        touched = touched_by(operation)
        if touched.document is None:
            self._namespaces.update(touched.namespaces)
        else:
            self._documents.add((touched.namespaces[0], touched.document))
        self._note(self._left_out, 0, touched, Skip(position, ordinal))
        return touched

    def pass_by(self, operation: OplogEntry, *, position: Position, ordinal: int | None) -> Touched | None:
        """Note an operation that is replayed when it depends on what was left out; what it touches then."""
        touched = touched_by(operation)
        namespaces = set(touched.namespaces)
        if touched.document is not None:
            depends = (
                bool(namespaces & self._namespaces) or (touched.namespaces[0], touched.document) in self._documents
            )
        else:
            depends = bool(namespaces & (self._namespaces | {namespace for namespace, _key in self._documents}))
        if touched.word in ("drop", "renameCollection"):
            self._end(touched)
        if not depends:
            return None
        self._note(self._dependants, 1, touched, Skip(position, ordinal))
        return touched

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values: counts, and the first of both kinds by position."""
        return {
            "left_out": {"count": self._counts[0], "first": list(self._left_out)},
            "dependants": {"count": self._counts[1], "first": list(self._dependants)},
        }

    def _end(self, touched: Touched) -> None:
        """What was dropped depends on nothing any more; what was renamed takes its past with it."""
        first = touched.namespaces[0]
        documents = {one for one in self._documents if one[0] in touched.namespaces}
        moved = {key for namespace, key in documents if namespace == first}
        was_touched = first in self._namespaces
        self._documents -= documents
        self._namespaces -= set(touched.namespaces)
        if touched.word == "renameCollection" and len(touched.namespaces) > 1:
            self._documents |= {(touched.namespaces[1], key) for key in moved}
            if was_touched:
                self._namespaces.add(touched.namespaces[1])

    def _note(self, where: list[dict[str, t.Any]], which: int, touched: Touched, skip: Skip) -> None:
        self._counts[which] += 1
        if len(where) < _NAMED:
            where.append(
                {
                    "position": str(skip),
                    "operation": touched.word,
                    "namespace": touched.namespaces[0] if touched.namespaces else "",
                    "_id": None if touched.document is None else shown_id(touched.document),
                }
            )


def touched_by(operation: OplogEntry) -> Touched:
    """What an insert, update, delete or command touches. Raises MalformedBson."""
    if operation.kind in _WORDS:
        return Touched((operation.full_name,), operation.document_id(), _WORDS[operation.kind])
    name = operation.command
    found: list[str] = []
    for key in (name.encode(), *((b"to",) if name == "renameCollection" else ())):
        element = operation.body_field(key) if key else None
        if element is not None and element.type == bson_bytes.STRING:
            text = bson_bytes.text(operation.raw, element)
            found.append(text if name == "renameCollection" else f"{operation.database}.{text.removeprefix(BUCKETS)}")
    return Touched(tuple(found) or (operation.database,), None, name)


def shown_id(document: bytes) -> t.Any:
    """An _id (type and bytes) as relaxed extended JSON; its hexadecimal bytes where it can't be decoded."""
    import json

    import bson
    from bson import json_util

    body = document[:1] + b"_id\x00" + document[1:]
    try:
        value = bson.decode((len(body) + 5).to_bytes(4, "little") + body + b"\x00")["_id"]
        return json.loads(json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS))
    except (bson.errors.InvalidBSON, ValueError, OverflowError):
        return document.hex()
