# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the oplog as bytes: what they say, and the operation in them for a namespace of another name. Pure."""

from __future__ import annotations

import struct
import typing as t

from . import bson_bytes
from .timestamps import Position

# All that applyOps needs of an insert, update or delete. The UUID (ui) names a collection of another server.
_KEPT = (b"o", b"o2", b"b")
# What anybody asks of an entry; the rest (ui, wall, v, stmtId ...) is passed over.
_READ = frozenset((b"op", b"ns", b"ts", b"lsid", b"txnNumber", b"prevOpTime", b"multiOpType", *_KEPT))
_read_int32 = struct.Struct("<i").unpack_from
# Types whose value begins with its own length: the bytes beside it.
_BESIDE_LENGTH: t.Mapping[int, int] = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5}
_FIXED: t.Mapping[int, int] = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}


class OplogEntry(t.NamedTuple):
    """One entry, or one operation of a transaction: *kind* is i, u, d, c or n; *raw* is the whole document."""

    raw: bytes
    kind: str
    database: str
    name: str
    body: bson_bytes.Element | None
    fields: t.Mapping[bytes, bson_bytes.Element]

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
        """A field of the entry itself: op, ns, ts, o, o2, b, lsid, txnNumber, prevOpTime or multiOpType."""
        return self.fields.get(key)

    def body_field(self, key: bytes) -> bson_bytes.Element | None:
        """A field of the entry's ``o``."""
        if self.body is None:
            return None
        return bson_bytes.find(self.raw, key, position=self.body.start, end=self.body.end)

    def value(self, element: bson_bytes.Element) -> bytes:
        """The bytes of a value: of a document, the document."""
        return self.raw[element.start : element.end]

    def position(self) -> Position:
        """When it happened. Raises MalformedBson for an operation inside another entry, which does not say."""
        element = self.fields.get(b"ts")
        if element is None:
            raise bson_bytes.MalformedBson("an oplog entry has no ts")
        return bson_bytes.timestamp(self.raw, element)

    def document_id(self) -> bytes | None:
        """Which document an insert, update or delete concerns: type and bytes of its _id; None for anything else."""
        body = self.fields.get(b"o2") if self.kind == "u" else self.body if self.kind in ("i", "d") else None
        if body is None or body.type != bson_bytes.DOCUMENT:
            return None
        key = bson_bytes.find(self.raw, b"_id", position=body.start, end=body.end)
        return None if key is None else bytes((key.type,)) + self.raw[key.start : key.end]

    def operations(self) -> t.Iterator[OplogEntry]:
        """The operations of an ``applyOps`` entry."""
        array = self.body_field(b"applyOps")
        if array is None or array.type != bson_bytes.ARRAY:
            raise bson_bytes.MalformedBson("an applyOps entry has no list of operations")
        for element in bson_bytes.elements(self.raw, array.start, array.end):
            yield read_entry(self.value(element))


def read_entry(raw: bytes) -> OplogEntry:
    """Look into an entry. Raises MalformedBson.

    This runs for every operation of a replay, so it reads the types that entries are made of in place, and leaves all
    others to :mod:`bson_bytes`.
    """
    last = bson_bytes.document_length(raw, 0, len(raw)) - 1
    fields: dict[bytes, bson_bytes.Element] = {}
    position = 4
    while position < last:
        kind = raw[position]
        key_end = raw.find(0, position + 1, last)
        if key_end < 0:
            raise bson_bytes.MalformedBson("a key has no end")
        start = key_end + 1
        size = _FIXED.get(kind)
        if size is None:
            beside = _BESIDE_LENGTH.get(kind)
            if beside is None or last - start < 4:
                return _read_slowly(raw)
            length = _read_int32(raw, start)[0]
            if length < 0:
                raise bson_bytes.MalformedBson(f"a value of BSON type {kind} has the length {length}")
            size = beside + length
        end = start + size
        if end > last:
            raise bson_bytes.MalformedBson("a value reaches beyond its document")
        key = raw[position + 1 : key_end]
        if key in _READ:
            fields[key] = bson_bytes.Element(key, kind, start, end)
        position = end
    return _entry(raw, fields)


def _read_slowly(raw: bytes) -> OplogEntry:
    return _entry(raw, {element.key: element for element in bson_bytes.elements(raw) if element.key in _READ})


def _entry(raw: bytes, fields: t.Mapping[bytes, bson_bytes.Element]) -> OplogEntry:
    kind, namespace = fields.get(b"op"), fields.get(b"ns")
    full = "" if namespace is None else bson_bytes.text(raw, namespace)
    database, _dot, name = full.partition(".")
    return OplogEntry(raw, "" if kind is None else bson_bytes.text(raw, kind), database, name, fields.get(b"o"), fields)


def operation_on(entry: OplogEntry, *, database: str, name: str) -> bytes:
    """The insert, update or delete of an entry as applyOps takes it, on a namespace of that name."""
    raw, fields = entry.raw, entry.fields
    pieces = [_text(b"op", entry.kind), _text(b"ns", f"{database}.{name}")]
    for key in _KEPT:
        element = fields.get(key)
        if element is not None:
            pieces.append(raw[element.start - len(key) - 2 : element.end])
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
