# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking one member out of a tar stream that passes by, without touching the rest."""

from __future__ import annotations

import typing as t

_BLOCK = 512
_NAME = slice(0, 100)
_SIZE = slice(124, 136)
_MAGIC = slice(257, 262)


class TarTap:
    """Follows the headers of a ustar stream, as PostgreSQL writes it, and copies the member *wanted* to *target*.

    Only the 512 bytes of each header are looked at; what lies between is skipped by its length. *copied* counts the
    member's bytes, None before it was met.
    """

    def __init__(self, *, wanted: str, target: t.BinaryIO) -> None:
        self._wanted = wanted.encode("utf-8")
        self._target = target
        self._header = bytearray()
        self._content = 0  # bytes of the present member's content that are still to come
        self._padding = 0  # bytes after it up to the next block
        self._copying = False
        self.copied: int | None = None
        self.members = 0
        self.ended = False  # the empty block was met that marks the end of the archive

    @property
    def is_whole(self) -> bool:
        """Whether the stream ended where a member may end, and the wanted one was there."""
        return self.copied is not None and self.is_between

    @property
    def is_between(self) -> bool:
        """Whether the bytes so far end where a member may end."""
        return not self._content and not self._padding and not self._header

    def feed(self, data: memoryview) -> None:
        """Take the next bytes. Raises ``ValueError`` when they are not a tar stream."""
        position, end = 0, len(data)
        while position < end:
            if self._content:
                step = min(self._content, end - position)
                if self._copying:
                    self._target.write(data[position : position + step])
                self._content -= step
            elif self._padding:
                step = min(self._padding, end - position)
                self._padding -= step
            else:
                step = min(_BLOCK - len(self._header), end - position)
                self._header += data[position : position + step]
                if len(self._header) == _BLOCK:
                    self._enter(bytes(self._header))
                    self._header.clear()
            position += step

    def _enter(self, header: bytes) -> None:
        if not any(header):  # the end of the archive is marked by empty blocks
            self._copying = False
            self.ended = True
            return
        if header[_MAGIC] != b"ustar":
            raise ValueError(f"no tar header after {self.members} members")
        self.members += 1
        self._content = _number(header[_SIZE])
        self._padding = -self._content % _BLOCK
        self._copying = header[_NAME].rstrip(b"\0") == self._wanted
        if self._copying:
            self.copied = self._content


def _number(field: bytes) -> int:
    # Sizes from 8 GiB on are written in base 256, marked by the highest bit.
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    return int(field.rstrip(b" \0") or b"0", 8)
