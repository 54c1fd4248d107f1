# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of an RDB: magic, version, auxiliary fields and the first database's size hint.

Source: "Redis RDB file format" and the constants of Redis's and Valkey's rdb.h: opcodes 0xFA auxiliary field, 0xFE
select database, 0xFB hash table sizes, 0xFF end of file. Valkey 9 writes VALKEY080 where others write REDIS0011.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import RdbInvalid

MAGIC_BYTES = 9
END_OF_FILE = 0xFF
_AUXILIARY = 0xFA
_SELECT_DATABASE = 0xFE
_RESIZE_DATABASE = 0xFB
_MAGIC = re.compile(rb"(REDIS)(\d{4})|(VALKEY)(\d{3})")
_INTEGER_BYTES = {0: 1, 1: 2, 2: 4}
_COMPRESSED = 3
_TIME = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True)
class RdbHead:
    """*magic* is REDIS or VALKEY; *auxiliary* holds fields such as redis-ver, ctime and used-mem as text.

    *first_database* has index, keys and expires as the server counted them at the fork: exact, where it is there.
    """

    magic: str
    version: int
    auxiliary: t.Mapping[str, str] = field(default_factory=dict)
    first_database: t.Mapping[str, int] | None = None

    @property
    def created(self) -> int | None:
        """When the save began by the server's clock, in seconds since 1970; None for what can't be a time."""
        text = self.auxiliary.get("ctime", "")
        return int(text) if _TIME.fullmatch(text) else None


class _Ended(Exception):
    """The bytes at hand end inside a field."""


def parse_magic(data: bytes) -> tuple[str, int]:
    """Magic and version in the first nine bytes. Raises RdbInvalid when they are something else."""
    found = _MAGIC.fullmatch(data[:MAGIC_BYTES])
    if found is None:
        raise RdbInvalid(
            f"This is no RDB: it begins with {data[:MAGIC_BYTES]!r} instead of REDIS or VALKEY and a version.",
            details={"begins_with": data[:MAGIC_BYTES].hex()},
        )
    magic, version = (found[1], found[2]) if found[1] else (found[3], found[4])
    return magic.decode("ascii"), int(version)


def parse_head(data: bytes) -> RdbHead:
    """What the first bytes of an RDB say, without fields that *data* cuts off. Raises RdbInvalid for a wrong magic."""
    magic, version = parse_magic(data)
    cursor = _Cursor(data, offset=MAGIC_BYTES)
    auxiliary: dict[str, str] = {}
    first: dict[str, int] | None = None
    try:
        while cursor.peek() == _AUXILIARY:
            cursor.take(1)
            key = cursor.string()
            auxiliary[key] = cursor.string()
        if cursor.peek() == _SELECT_DATABASE:
            cursor.take(1)
            index = cursor.length()
            if cursor.peek() == _RESIZE_DATABASE:
                cursor.take(1)
                first = {"index": index, "keys": cursor.length(), "expires": cursor.length()}
    except _Ended:
        pass  # the head is longer than what is at hand: what was read so far is right
    return RdbHead(magic=magic, version=version, auxiliary=auxiliary, first_database=first)


class _Cursor:
    def __init__(self, data: bytes, *, offset: int) -> None:
        self._data = data
        self._offset = offset

    def peek(self) -> int:
        if self._offset >= len(self._data):
            raise _Ended
        return self._data[self._offset]

    def take(self, count: int) -> bytes:
        end = self._offset + count
        if end > len(self._data):
            raise _Ended
        piece = self._data[self._offset : end]
        self._offset = end
        return piece

    def length(self) -> int:
        """A length: 6, 14, 32 or 64 bits, big-endian. A special encoding where a length belongs ends the parse."""
        first = self.take(1)[0]
        form = first >> 6
        if form == 0:
            return first & 0x3F
        if form == 1:
            return (first & 0x3F) << 8 | self.take(1)[0]
        if first == 0x80:
            return int.from_bytes(self.take(4), "big")
        if first == 0x81:
            return int.from_bytes(self.take(8), "big")
        raise _Ended

    def string(self) -> str:
        """A string as text: plain bytes, or a small integer. A compressed one (LZF) is skipped and reads as empty."""
        first = self.peek()
        if first >> 6 != 3:
            return self.take(self.length()).decode("utf-8", "replace")
        self.take(1)
        form = first & 0x3F
        if form in _INTEGER_BYTES:
            return str(int.from_bytes(self.take(_INTEGER_BYTES[form]), "little", signed=True))
        if form == _COMPRESSED:
            compressed = self.length()
            self.length()
            self.take(compressed)
            return ""
        raise _Ended
