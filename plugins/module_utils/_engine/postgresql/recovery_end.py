# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last whole record of a WAL segment: the position that makes "the end of what is stored" a target like any other.

A server that recovers without a target promotes at whatever it takes for the end. With the position of the last record
as its target it stops there, or dies when it does not come so far.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from .wal_page import LONG_HEADER_SIZE, SHORT_HEADER_SIZE, SegmentHeader, filled_bytes, page_header, segment_header

_LENGTH = struct.Struct("=I")
_SHORTEST_RECORD = 24  # SizeOfXLogRecord
_ALIGNMENT = 8


@dataclass(frozen=True)
class SegmentEnd:
    """The records that begin in one segment: positions of the last of all and of the last that also ends in it.

    None where there is no such record (it may be filled by one that began before).
    """

    last: int | None
    last_whole: int | None


def segment_end(path: str) -> SegmentEnd:
    """Look into the segment at *path*, from its end. Raises WalDamaged and OSError."""
    with open(path, "rb") as file:
        header = segment_header(file.read(LONG_HEADER_SIZE))
        pages = filled_bytes(file, header) // header.page_size
        last = None
        for page in range(pages - 1, -1, -1):
            file.seek(page * header.page_size)
            found = _records(file.read(header.page_size), page=page, header=header)
            for position, length in reversed(found):
                last = position if last is None else last
                if position + length <= _capacity(position, header=header):
                    return SegmentEnd(last=last, last_whole=position)
    return SegmentEnd(last=last, last_whole=None)


def last_record(paths: t.Iterable[str]) -> int | None:
    """The position of the last whole record in neighbouring segments, of which the last one comes first; None: none.

    No further path is asked for once it is found. Raises WalDamaged and OSError.
    """
    is_followed = False
    for path in paths:
        end = segment_end(path)
        if is_followed and end.last is not None:
            return end.last  # it goes on in the next segment, where another record follows it
        if end.last_whole is not None:
            return end.last_whole
        is_followed = is_followed or end.last is not None
    return None


def _records(data: bytes, *, page: int, header: SegmentHeader) -> list[tuple[int, int]]:
    """Position and length of the records that begin on a page."""
    found = []
    first = page_header(data)
    at = first.size + _aligned(first.continued)
    while at + _LENGTH.size <= len(data):
        length = _LENGTH.unpack_from(data, at)[0]
        if length < _SHORTEST_RECORD:
            break
        found.append((header.position + page * header.page_size + at, length))
        at += _aligned(length)
    return found


def _capacity(position: int, *, header: SegmentHeader) -> int:
    """Up to where a record that begins at *position* may reach when the headers of later pages are taken out."""
    end = header.position + header.segment_size
    pages_behind = (end - position - 1) // header.page_size
    return end - pages_behind * SHORT_HEADER_SIZE


def _aligned(length: int) -> int:
    return (length + _ALIGNMENT - 1) & ~(_ALIGNMENT - 1)
