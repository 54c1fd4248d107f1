# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking into BSON without decoding it: documents pass through Lifeboat byte by byte as the server sent them.

Decoding and encoding again would change symbols, undefined values and duplicate keys, and fail on dates out of range
and on text that is not UTF-8. So only lengths and types are read here. The layout is that of https://bsonspec.org.
"""

from __future__ import annotations

import struct
import typing as t

Buffer = t.Union[bytes, bytearray, memoryview]

DOUBLE = 0x01
STRING = 0x02
DOCUMENT = 0x03
ARRAY = 0x04
BOOLEAN = 0x08
INT32 = 0x10
TIMESTAMP = 0x11
INT64 = 0x12

EMPTY_DOCUMENT = b"\x05\x00\x00\x00\x00"

_read_int32 = struct.Struct("<i").unpack_from
_read_int64 = struct.Struct("<q").unpack_from
_read_timestamp = struct.Struct("<II").unpack_from

# Bytes of a value by its type, where that is fixed.
_FIXED: t.Mapping[int, int] = {
    0x01: 8,  # double
    0x06: 0,  # undefined
    0x07: 12,  # object id
    0x08: 1,  # boolean
    0x09: 8,  # date
    0x0A: 0,  # null
    0x10: 4,  # int32
    0x11: 8,  # timestamp
    0x12: 8,  # int64
    0x13: 16,  # decimal128
    0x7F: 0,  # max key
    0xFF: 0,  # min key
}
_TEXT_TYPES = frozenset((0x02, 0x0D, 0x0E))  # string, code, symbol
_WHOLE_TYPES = frozenset((0x03, 0x04, 0x0F))  # document, array, code with scope: their length counts itself


class MalformedBson(ValueError):
    """The bytes are not BSON; callers turn it into the error that fits what they read."""


class Element(t.NamedTuple):
    """One field of a document: its key's bytes, its type and where its value lies in the buffer."""

    key: bytes
    type: int
    start: int
    end: int


def document_length(buffer: Buffer, position: int, end: int) -> int:
    """The length in bytes of the document at *position*, which must end at or before *end* with its zero byte.

    Raises MalformedBson.
    """
    if end - position < 5:
        raise MalformedBson(f"{end - position} bytes are too few for a document")
    length: int = _read_int32(buffer, position)[0]
    if length < 5 or length > end - position:
        raise MalformedBson(f"a document of {length} bytes does not fit into the {end - position} there are")
    if buffer[position + length - 1] != 0:
        raise MalformedBson("a document does not end with a zero byte")
    return length


def elements(buffer: Buffer, position: int = 0, end: int | None = None) -> t.Iterator[Element]:
    """The fields of the document or array at *position*, in order, duplicates included. Raises MalformedBson."""
    limit = len(buffer) if end is None else end
    last = position + document_length(buffer, position, limit) - 1
    position += 4
    while position < last:
        kind = buffer[position]
        key_end = position + 1
        while buffer[key_end] != 0:
            key_end += 1
            if key_end >= last:
                raise MalformedBson("a key has no end")
        start = key_end + 1
        value_end = start + _value_length(buffer, kind, start, last)
        if value_end > last:
            raise MalformedBson("a value reaches beyond its document")
        yield Element(bytes(buffer[position + 1 : key_end]), kind, start, value_end)
        position = value_end


def find(buffer: Buffer, key: bytes, *, position: int = 0, end: int | None = None) -> Element | None:
    """The first field called *key* of the document at *position*, None when there is none. Raises MalformedBson."""
    for element in elements(buffer, position, end):
        if element.key == key:
            return element
    return None


def text(buffer: Buffer, element: Element) -> str:
    """The value of a string field; bytes that are not UTF-8 are replaced. Raises MalformedBson for another type."""
    if element.type != STRING:
        raise MalformedBson(f"{element.key!r} is of BSON type {element.type}, not a string")
    return bytes(buffer[element.start + 4 : element.end - 1]).decode("utf-8", "replace")


def int64(buffer: Buffer, element: Element) -> int:
    """The value of an int32 or int64 field. Raises MalformedBson for another type."""
    if element.type == INT64:
        return int(_read_int64(buffer, element.start)[0])
    if element.type == INT32:
        return int(_read_int32(buffer, element.start)[0])
    raise MalformedBson(f"{element.key!r} is of BSON type {element.type}, not an integer")


def boolean(buffer: Buffer, element: Element) -> bool:
    """The value of a boolean field. Raises MalformedBson for another type."""
    if element.type != BOOLEAN:
        raise MalformedBson(f"{element.key!r} is of BSON type {element.type}, not a boolean")
    return buffer[element.start] != 0


def timestamp(buffer: Buffer, element: Element) -> tuple[int, int]:
    """The value of a timestamp field as (seconds since 1970, ordinal). Raises MalformedBson for another type."""
    if element.type != TIMESTAMP:
        raise MalformedBson(f"{element.key!r} is of BSON type {element.type}, not a timestamp")
    ordinal, seconds = _read_timestamp(buffer, element.start)
    return int(seconds), int(ordinal)


def _value_length(buffer: Buffer, kind: int, start: int, last: int) -> int:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    if kind == 0x0B:  # regular expression: two texts that end with a zero byte
        return _past_zero(buffer, _past_zero(buffer, start, last), last) - start
    if last - start < 4:
        raise MalformedBson("a value has no length")
    length: int = _read_int32(buffer, start)[0]
    if kind in _TEXT_TYPES and length >= 1:
        return 4 + length
    if kind in _WHOLE_TYPES and length >= 5:
        return length
    if kind == 0x05 and length >= 0:  # binary: length, subtype, bytes
        return 5 + length
    if kind == 0x0C and length >= 1:  # DBPointer: a text and an object id
        return 4 + length + 12
    raise MalformedBson(f"a value of BSON type {kind} has the length {length}")


def _past_zero(buffer: Buffer, position: int, last: int) -> int:
    while position < last:
        if buffer[position] == 0:
            return position + 1
        position += 1
    raise MalformedBson("a text has no end")
