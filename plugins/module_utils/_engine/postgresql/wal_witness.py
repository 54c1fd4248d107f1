# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL inside a base backup: every segment that it needs, of its own cluster, without pages that are not WAL.

The layout of pages is that of src/include/access/xlog_internal.h: each begins with magic (2 bytes), flags (2), timeline
(4) and its own position (8); the first of a segment goes on, from byte 24, with the system identifier (8) and the sizes
of segment and page (4 each).
"""

from __future__ import annotations

import re
import struct
import typing as t

from ..core.errors import PostgresBackupManifestInvalid
from .backup_manifest import WalRange
from .names import parse_lsn, wal_segment

_SEGMENT = re.compile(r"pg_wal/(?P<name>[0-9A-F]{24})")
_PAGE = 8192
_SHORT = struct.Struct("=HHIQ")
_LONG = struct.Struct("=QII")
_LONG_AT = 24
_IS_LONG = 0x0002
_LARGEST_RANGE = 1 << 20
# What initdb --wal-segsize allows, in bytes.
_SEGMENT_SIZES = frozenset(1 << exponent for exponent in range(20, 31))


class WalWitness:
    """Looks at the page headers of the segments that pass by, and then says what is missing."""

    def __init__(self) -> None:
        self._good: dict[str, int] = {}  # name to the bytes, from its start, whose page headers are right
        self._sizes: dict[str, int] = {}
        self.system_identifier: str | None = None
        self.foreign: list[str] = []

    def look(self, path: str, *, size: int, content: t.Iterable[memoryview]) -> bool:
        """Read a member's content when it is a WAL segment; False when it is none."""
        match = _SEGMENT.fullmatch(path)
        if match is None:
            return False
        name = match["name"]
        offset, good, whole = 0, 0, size in _SEGMENT_SIZES
        carried = b""
        for piece in content:
            data = carried + bytes(piece[: _PAGE - len(carried)]) if carried else piece
            start = 0
            if carried:
                if len(data) < _PAGE:
                    carried = bytes(data)
                    continue
                if whole:
                    whole = self._page(name, data, offset=offset, size=size)
                    good = offset + _PAGE if whole else good
                offset += _PAGE
                start, data = _PAGE - len(carried), piece
            end = start + (len(data) - start) // _PAGE * _PAGE
            for position in range(start, end, _PAGE):
                if whole:
                    whole = self._page(
                        name, data[position : position + _LONG_AT + _LONG.size], offset=offset, size=size
                    )
                    good = offset + _PAGE if whole else good
                offset += _PAGE
            carried = bytes(data[end:])
        self._good[name], self._sizes[name] = good, size
        return True

    def missing(self, ranges: t.Sequence[WalRange]) -> list[str]:
        """What of the WAL that the backup needs is not in it, in sentences; empty when all is there."""
        problems = []
        size = max((one for one in self._sizes.values() if one in _SEGMENT_SIZES), default=16 * 1024 * 1024)
        for wal in ranges:
            try:
                start, end = parse_lsn(wal.start_lsn), parse_lsn(wal.end_lsn)
            except ValueError:
                raise PostgresBackupManifestInvalid(
                    f"The backup_manifest names the WAL range {wal.start_lsn} to {wal.end_lsn}, which is none.",
                    hint="Restore another backup: lifeboat list shows them.",
                ) from None
            if not 0 < end - start <= _LARGEST_RANGE * size:
                problems.append(f"the range {wal.start_lsn} to {wal.end_lsn} is none of a backup")
                continue
            for position in range(start - start % size, end, size):
                name = wal_segment(timeline=wal.timeline, position=position, segment_size=size)
                needed = min(size, end - position)
                good = self._good.get(name)
                if good is None:
                    problems.append(f"{name} is missing")
                elif self._sizes[name] != size or good < min(needed, size):
                    problems.append(f"{name} is damaged from its byte {good} on, and {needed} are needed")
        return problems

    def _page(self, name: str, data: bytes | memoryview, *, offset: int, size: int) -> bool:
        magic, flags, timeline, position = _SHORT.unpack_from(data)
        number = int(name[8:16], 16) * (0x100000000 // size) + int(name[16:24], 16)
        if not magic or position != number * size + offset or timeline > int(name[:8], 16):
            return False
        if offset == 0:
            if not flags & _IS_LONG:
                return False
            identifier, segment_size, page_size = _LONG.unpack_from(data, _LONG_AT)
            if segment_size != size or page_size != _PAGE:
                return False
            if self.system_identifier not in (None, str(identifier)):
                self.foreign.append(name)
            self.system_identifier = str(identifier)
        return True
