# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL written by hand, page by page, as PostgreSQL lays it out: for what a real server writes too rarely or never."""

from __future__ import annotations

import datetime
import struct

MEBIBYTE = 1024 * 1024
PAGE = 8192
MAGIC_15 = 0xD110
IDENTIFIER = "7300000000000000001"
_EPOCH = datetime.datetime.fromisoformat("2000-01-01T00:00:00+00:00")
XLOG, XACT, HEAP = 0, 1, 10
COMMIT, ABORT, SWITCH = 0x00, 0x20, 0x40


class WalWriter:
    """Writes records one behind the other, with the headers of pages and segments in between."""

    def __init__(
        self,
        *,
        number: int = 3,
        timeline: int = 1,
        segment_size: int = MEBIBYTE,
        identifier: str = IDENTIFIER,
        magic: int = MAGIC_15,
    ) -> None:
        self._first = number
        self._timeline, self._size, self._magic = timeline, segment_size, magic
        self._identifier = int(identifier)
        self._data = bytearray()
        self._begin_page(continued=0)

    @property
    def position(self) -> int:
        return self._first * self._size + len(self._data)

    def record(self, manager: int, info: int, data: bytes, *, between: bytes = b"") -> None:
        """One record; *between* goes between its header and that of its data (origin, top-level transaction)."""
        small = len(data) < 256
        head = between + (struct.pack("=BB", 255, len(data)) if small else struct.pack("=BI", 254, len(data)))
        length = 24 + len(head) + len(data)
        self._write(struct.pack("=IIQBBxxI", length, 700, 0, info, manager, 0) + head + data)

    def commit(self, moment: datetime.datetime, *, info: int = COMMIT, between: bytes = b"") -> None:
        """The end of a transaction."""
        microseconds = (moment - _EPOCH) // datetime.timedelta(microseconds=1)
        self.record(XACT, info, struct.pack("=q", microseconds), between=between)

    def rows(self, count: int, *, size: int = 100) -> None:
        """Changes of rows, which have no time."""
        for _number in range(count):
            self.record(HEAP, 0, b"r" * size)

    def fill(self, *, leave: int = 0) -> None:
        """Records up to *leave* bytes before the end of the segment."""
        while self._size - len(self._data) % self._size > leave + 256:
            self.record(HEAP, 0, b"r" * 150)

    def switch(self) -> None:
        """What pg_switch_wal() does: a record, then zeros without headers to the end of the segment."""
        self._write(struct.pack("=IIQBBxxI", 24, 0, 0, SWITCH, XLOG, 0))
        self._data += bytes(-len(self._data) % self._size)

    def segment(self, index: int = 0) -> bytes:
        """One whole segment. Its last record may go on in the next one."""
        while len(self._data) < (index + 1) * self._size:
            self.record(HEAP, 0, b"r" * 150)
        return bytes(self._data[index * self._size : (index + 1) * self._size])

    def _write(self, record: bytes) -> None:
        if len(self._data) % PAGE == 0:
            self._begin_page(continued=0)
        left = record
        while left:
            room = PAGE - len(self._data) % PAGE
            self._data += left[:room]
            left = left[room:]
            if left:
                self._begin_page(continued=len(left))
        self._data += bytes(-len(self._data) % 8)

    def _begin_page(self, *, continued: int) -> None:
        offset = len(self._data)
        is_long = offset % self._size == 0
        flags = (2 if is_long else 0) | (1 if continued else 0)
        position = self._first * self._size + offset
        self._data += struct.pack("=HHIQI4x", self._magic, flags, self._timeline, position, continued)
        if is_long:
            self._data += struct.pack("=QII", self._identifier, self._size, PAGE)


def plain_segment(name: str, *, identifier: str = IDENTIFIER, segment_size: int = MEBIBYTE) -> bytes:
    """A full segment that belongs to that name."""
    number = int(name[8:16], 16) * (0x100000000 // segment_size) + int(name[16:24], 16)
    writer = WalWriter(number=number, timeline=int(name[:8], 16), segment_size=segment_size, identifier=identifier)
    return writer.segment()
