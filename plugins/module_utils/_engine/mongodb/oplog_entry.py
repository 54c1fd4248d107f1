# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the oplog as bytes: what they say, and the operation in them for a namespace of another name. Pure."""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from . import bson_bytes

# All that applyOps needs of an insert, update or delete. The UUID (ui) names a collection of another server.
_KEPT = (b"o", b"o2", b"b")


@dataclass(frozen=True)
class OplogEntry:
    """One entry, or one operation of a transaction: *kind* is i, u, d, c or n; *raw* is the whole document."""

    raw: bytes
    kind: str
    database: str
    name: str
    body: bson_bytes.Element | None
    elements: tuple[bson_bytes.Element, ...]

    @property
    def full_name(self) -> str:
        """``database.name``."""
        return f"{self.database}.{self.name}"

    @property
    def command(self) -> str:
        """The name of the command that a *c* entry holds; empty when it holds none."""
        if self.body is None or self.body.type != bson_bytes.DOCUMENT:
            return ""
        first = next(bson_bytes.elements(self.raw, self.body.start, self.body.end), None)
        return "" if first is None else first.key.decode("utf-8", "replace")

    def field(self, key: bytes) -> bson_bytes.Element | None:
        """A field of the entry itself."""
        return next((element for element in self.elements if element.key == key), None)

    def body_field(self, key: bytes) -> bson_bytes.Element | None:
        """A field of the entry's ``o``."""
        if self.body is None:
            return None
        return bson_bytes.find(self.raw, key, position=self.body.start, end=self.body.end)

    def value(self, element: bson_bytes.Element) -> bytes:
        """The bytes of a value: of a document, the document."""
        return self.raw[element.start : element.end]

    def operations(self) -> t.Iterator[OplogEntry]:
        """The operations of an ``applyOps`` entry."""
        array = self.body_field(b"applyOps")
        if array is None or array.type != bson_bytes.ARRAY:
            raise bson_bytes.MalformedBson("an applyOps entry has no list of operations")
        for element in bson_bytes.elements(self.raw, array.start, array.end):
            yield read_entry(self.value(element))


def read_entry(raw: bytes) -> OplogEntry:
    """Look into an entry. Raises MalformedBson."""
    kind = namespace = ""
    body: bson_bytes.Element | None = None
    found = tuple(bson_bytes.elements(raw))
    for element in found:
        if element.key == b"op":
            kind = bson_bytes.text(raw, element)
        elif element.key == b"ns":
            namespace = bson_bytes.text(raw, element)
        elif element.key == b"o":
            body = element
    database, _dot, name = namespace.partition(".")
    return OplogEntry(raw=raw, kind=kind, database=database, name=name, body=body, elements=found)


def operation_on(entry: OplogEntry, *, database: str, name: str) -> bytes:
    """The insert, update or delete of an entry as applyOps takes it, on a namespace of that name."""
    pieces = [_text(b"op", entry.kind), _text(b"ns", f"{database}.{name}")]
    pieces += [
        entry.raw[element.start - len(element.key) - 2 : element.end]
        for element in entry.elements
        if element.key in _KEPT
    ]
    body = b"".join(pieces)
    return struct.pack("<i", len(body) + 5) + body + b"\x00"


def transaction_of(entry: OplogEntry) -> bytes | None:
    """What tells a transaction from all others, as bytes; None for an entry that belongs to none."""
    session, number = entry.field(b"lsid"), entry.field(b"txnNumber")
    if session is None or number is None:
        return None
    return entry.value(session) + b"/" + entry.value(number)


def has_predecessor(entry: OplogEntry) -> bool:
    """Whether an entry of a transaction follows earlier ones of the same transaction (prevOpTime)."""
    before = entry.field(b"prevOpTime")
    if before is None or before.type != bson_bytes.DOCUMENT:
        return False
    position = bson_bytes.find(entry.raw, b"ts", position=before.start, end=before.end)
    return position is not None and bson_bytes.timestamp(entry.raw, position) != (0, 0)


def is_set(entry: OplogEntry, key: bytes) -> bool:
    """Whether a flag in ``o`` (partialTxn, prepare) is true."""
    element = entry.body_field(key)
    return element is not None and element.type == bson_bytes.BOOLEAN and bson_bytes.boolean(entry.raw, element)


def _text(key: bytes, value: str) -> bytes:
    data = value.encode("utf-8")
    return b"\x02" + key + b"\x00" + struct.pack("<i", len(data) + 1) + data + b"\x00"
