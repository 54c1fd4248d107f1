# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a WAL segment: whose they are, whether they are the ones that the name promises, and where they end.

The layout is that of src/include/access/xlog_internal.h: each page begins with magic (2 bytes), flags (2), timeline
(4), its own position (8) and how much of a record that began before it goes on in it (4); the first page of a segment
has, from byte 24 on, the system identifier (8) and the sizes of segment and page (4 each). Numbers are in the byte
order of the server's processor, which is taken to be this host's.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from .wal_names import SEGMENT_SIZES, WalName

_SHORT = struct.Struct("=HHIQI")
_LONG = struct.Struct("=QII")
_LONG_AT = 24
LONG_HEADER_SIZE = 40
SHORT_HEADER_SIZE = 24
IS_CONTINUED, IS_LONG = 0x0001, 0x0002
# What configure --with-wal-blocksize allows, in bytes.
_PAGE_SIZES = frozenset(1024 << exponent for exponent in range(7))
_CHUNK = 1024 * 1024
#: XLOG_PAGE_MAGIC of each major version.
_VERSIONS: t.Mapping[int, int] = {
    0xD101: 12,
    0xD106: 13,
    0xD10D: 14,
    0xD110: 15,
    0xD113: 16,
    0xD116: 17,
    0xD118: 18,
}


class WalDamaged(ValueError):
    """The bytes are not what the file's name says; the text says from where on."""


@dataclass(frozen=True)
class SegmentHeader:
    """The beginning of a segment. *system_identifier* is text as it needs 64 bits; sizes and positions in bytes."""

    magic: int
    timeline: int
    position: int
    system_identifier: str
    segment_size: int
    page_size: int

    @property
    def major(self) -> int | None:
        """The major version of PostgreSQL that wrote it; None for one that this Lifeboat does not know."""
        return _VERSIONS.get(self.magic)


@dataclass(frozen=True)
class PageHeader:
    """*continued* is the number of bytes, on this and later pages, of the record that began before; 0 when none did."""

    magic: int
    flags: int
    timeline: int
    position: int
    continued: int

    @property
    def size(self) -> int:
        """How long the header itself is, in bytes."""
        return LONG_HEADER_SIZE if self.flags & IS_LONG else SHORT_HEADER_SIZE


def page_header(data: bytes | memoryview, offset: int = 0) -> PageHeader:
    """The header of the page at *offset*. Raises WalDamaged when there are too few bytes for one."""
    if len(data) - offset < SHORT_HEADER_SIZE:
        raise WalDamaged("it is too short for a page of WAL")
    magic, flags, timeline, position, continued = _SHORT.unpack_from(data, offset)
    return PageHeader(magic, flags, timeline, position, continued if flags & IS_CONTINUED else 0)


def segment_header(data: bytes | memoryview) -> SegmentHeader:
    """The beginning of a segment. Raises WalDamaged when it is none."""
    if len(data) < LONG_HEADER_SIZE:
        raise WalDamaged(f"it has {len(data)} bytes, fewer than the header of a segment")
    page = page_header(data)
    identifier, segment_size, page_size = _LONG.unpack_from(data, _LONG_AT)
    if not any(data[:LONG_HEADER_SIZE]):
        raise WalDamaged("it begins with zeros instead of WAL")
    if not page.magic or not page.flags & IS_LONG or segment_size not in SEGMENT_SIZES or page_size not in _PAGE_SIZES:
        raise WalDamaged("it does not begin like a segment of WAL")
    return SegmentHeader(
        magic=page.magic,
        timeline=page.timeline,
        position=page.position,
        system_identifier=str(identifier),
        segment_size=segment_size,
        page_size=page_size,
    )


def check_header(header: SegmentHeader, *, name: WalName, size: int) -> None:
    """Raise WalDamaged unless a file of that name and *size* in bytes can begin so.

    The first segment of a new timeline begins with pages of the old one: they are copied up to the switch.
    """
    if size != header.segment_size:
        raise WalDamaged(f"it has {size} bytes, and its header says {header.segment_size}")
    try:
        expected = name.start(header.segment_size)
    except ValueError as error:
        raise WalDamaged(str(error)) from error
    if header.position != expected:
        raise WalDamaged(f"its header is that of position {header.position}, and its name means {expected}")
    if header.timeline > name.timeline:
        raise WalDamaged(f"its header is of timeline {header.timeline}, and its name means {name.timeline}")


def filled_bytes(file: t.BinaryIO, header: SegmentHeader) -> int:
    """How far, from the segment's start, pages are WAL of this place; behind it there are zeros only.

    A server that switches segments early leaves zeros behind (since version 11 without page headers). The file must
    have the size of the segment. Raises WalDamaged when something else lies between or behind.
    """
    pages = struct.Struct(f"{_SHORT.format}{header.page_size - _SHORT.size}x")
    zeros = bytes(_CHUNK)
    filled = 0
    is_over = False
    file.seek(0)
    for _number in range(header.segment_size // _CHUNK):
        chunk = file.read(_CHUNK)
        good = 0
        if not is_over:
            for magic, _flags, timeline, position, _continued in pages.iter_unpack(chunk):
                if magic != header.magic or position != header.position + filled + good or timeline < header.timeline:
                    break
                good += header.page_size
        if chunk[good:] != zeros[good : len(chunk)]:
            raise WalDamaged(f"from its byte {filled + good} on it is not the WAL of this place")
        filled += good
        is_over = good < _CHUNK
    return filled
