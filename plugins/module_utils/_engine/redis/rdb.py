# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an RDB is whole: checked while it streams by, in constant memory."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.checksums import CRC64_REDIS, crc_function
from ..core.errors import RdbInvalid
from .rdb_head import END_OF_FILE, MAGIC_BYTES, RdbHead, parse_head, parse_magic

CHECKSUM_BYTES = 8
_HEAD_BYTES = 64 * 1024
_READ_BYTES = 1024 * 1024
# Before version 5 (Redis 2.6) there was no checksum.
_OLDEST_VERSION = 5
# Which server can load which version, from the release notes and rdb.h of both projects.
_NEEDS = {
    5: "Redis 2.6",
    6: "Redis 2.8",
    7: "Redis 3.2",
    8: "Redis 4.0",
    9: "Redis 5.0",
    10: "Redis 7.0 or Valkey 7.2",
    11: "Redis 7.2 or Valkey 7.2",
    12: "Redis 7.4",
    80: "Valkey 9.0",
}


@dataclass(frozen=True)
class RdbFacts:
    """An RDB that is whole: its head, its size in bytes and its checksum.

    *crc64* is the checksum in hex, None when the server writes none (``rdbchecksum no``): then only the magic and the
    end mark could be checked.
    """

    head: RdbHead
    size: int
    crc64: str | None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for the manifest."""
        return {
            "magic": self.head.magic,
            "rdb_version": self.head.version,
            "auxiliary": dict(self.head.auxiliary),
            "first_database": None if self.head.first_database is None else dict(self.head.first_database),
            "size": self.size,
            "crc64": self.crc64,
        }


class RdbChecker:
    """Takes an RDB in pieces of any size and tells in the end whether it is whole.

    Memory is constant: the head (64 KiB at most), nine bytes of the end, and the state of the checksum. Bytes after the
    end are found because the checksum no longer fits; a second whole RDB right behind the first would fit again (the
    checksum of data and its checksum is 0), and a server would load the first alone.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._held = b""  # the last bytes seen: end mark and checksum, when it was the end
        self._crc64 = crc_function(CRC64_REDIS)
        self._checksum = 0
        self.size = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Raises RdbInvalid as soon as it is clear that this is no RDB."""
        if len(self._head) < _HEAD_BYTES:
            self._take_head(data)
        self.size += len(data)
        keep = CHECKSUM_BYTES + 1
        if len(data) < keep:
            joined = self._held + bytes(data)
            self._checksum = self._crc64(joined[:-keep], self._checksum)
            self._held = joined[-keep:]
            return
        self._checksum = self._crc64(self._held, self._checksum)
        self._checksum = self._crc64(memoryview(data)[:-keep], self._checksum)
        self._held = bytes(data[-keep:])

    def finish(self) -> RdbFacts:
        """The facts of a whole RDB. Raises RdbInvalid naming what is wrong with it."""
        return self.result_with(b"")

    def result_with(self, end: bytes) -> RdbFacts:
        """As finish(), as though *end* had been fed too; the checker can be fed on afterwards."""
        head = parse_head(bytes(self._head))
        tail = (self._held + end)[-CHECKSUM_BYTES - 1 :]
        size = self.size + len(end)
        if head.version < _OLDEST_VERSION:
            raise RdbInvalid(
                f"RDB version {head.version} has no checksum.", hint="Upgrade the server: Redis 2.6 has one."
            )
        if size < MAGIC_BYTES + 1 + CHECKSUM_BYTES or tail[0] != END_OF_FILE:
            raise RdbInvalid(
                f"The RDB of {size} bytes has no end mark where it belongs: it was cut short, or something follows it.",
                details={"size": size},
            )
        stored = int.from_bytes(tail[1:], "little")
        if stored == 0:
            return RdbFacts(head=head, size=size, crc64=None)
        found = self._crc64((self._held + end)[:-CHECKSUM_BYTES], self._checksum)
        if found != stored:
            raise RdbInvalid(
                f"The checksum of the RDB ({size} bytes) is {found:016x} and should be {stored:016x}: it is damaged.",
                hint="Take the snapshot again; when it happens again, check the server's memory and disk.",
                details={"size": size, "stored": f"{stored:016x}", "computed": f"{found:016x}"},
            )
        return RdbFacts(head=head, size=size, crc64=f"{stored:016x}")

    def _take_head(self, data: bytes | memoryview) -> None:
        had = len(self._head)
        self._head += data[: _HEAD_BYTES - had]
        if had < MAGIC_BYTES <= len(self._head):
            parse_magic(bytes(self._head))


def check_descriptor(descriptor: int) -> RdbFacts:
    """Check the RDB file behind *descriptor* from its begin to its end; the position stays where it is.

    Raises RdbInvalid.
    """
    checker = RdbChecker()
    while True:
        piece = os.pread(descriptor, _READ_BYTES, checker.size)
        if not piece:
            return checker.finish()
        checker.feed(piece)


def needed_server(head: RdbHead) -> str:
    """The oldest server that loads it: "Redis 7.0 or Valkey 7.2", or the version of the one that wrote it."""
    writer = head.auxiliary.get("valkey-ver") or head.auxiliary.get("redis-ver") or "the version that wrote it"
    return _NEEDS.get(head.version, writer)
