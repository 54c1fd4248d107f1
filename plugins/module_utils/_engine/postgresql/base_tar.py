# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the tar of a base backup as a stream, strictly: what PostgreSQL never writes is refused, not interpreted.

PostgreSQL writes plain ustar headers (src/port/tar.c): files and folders with short relative names. Anything else, such
as links, devices, extended headers or names that lead elsewhere, would be read differently by different programs.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import HostileArchive, PostgresStreamIncomplete

FILE, FOLDER = "file", "folder"
_BLOCK = 512
_CHUNK = 1024 * 1024
_KINDS = {b"0": FILE, b"\0": FILE, b"5": FOLDER}
_WORDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
}


class ByteSource(t.Protocol):
    """What is read from: binary files and pipes."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer as far as bytes are there; how many, 0 at the end."""


@dataclass(frozen=True)
class Member:
    """One member: *path* is relative, without ``.`` and ``..``; *size* in bytes."""

    path: str
    kind: str
    size: int


class BaseTar:
    """The members of a tar stream, in order, each with its content. Memory is constant."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._buffer = memoryview(bytearray(_CHUNK))
        self._start = self._end = 0
        self._left = 0  # bytes of the present member that were not handed out
        self._padding = 0
        self.count = 0

    def __iter__(self) -> t.Iterator[Member]:
        """Each member; what is left of the one before is skipped.

        Raises HostileArchive for what must not be unpacked, PostgresStreamIncomplete for what is no whole tar.
        """
        while True:
            for _piece in self.content():
                pass
            self._skip(self._padding)
            header = self._block()
            if not any(header):
                self._require_end()
                return
            member = _member(header, number=self.count)
            self.count += 1
            self._left, self._padding = member.size, -member.size % _BLOCK
            yield member

    def content(self) -> t.Iterator[memoryview]:
        """The present member's bytes, piece by piece; each piece is valid until the next one is asked for."""
        while self._left:
            if self._start == self._end:
                self._fill()
            step = min(self._left, self._end - self._start)
            piece = self._buffer[self._start : self._start + step]
            self._start += step
            self._left -= step
            yield piece

    def _block(self) -> bytes:
        parts, missing = [], _BLOCK
        while missing:
            if self._start == self._end:
                self._fill()
            step = min(missing, self._end - self._start)
            parts.append(bytes(self._buffer[self._start : self._start + step]))
            self._start += step
            missing -= step
        return b"".join(parts)

    def _skip(self, count: int) -> None:
        while count:
            if self._start == self._end:
                self._fill()
            step = min(count, self._end - self._start)
            self._start += step
            count -= step

    def _fill(self) -> None:
        self._start, self._end = 0, self._source.readinto(self._buffer) or 0
        if not self._end:
            raise PostgresStreamIncomplete(
                f"The tar of the base backup ends in the middle, after {self.count} members.",
                hint="Restore another backup: lifeboat list shows them.",
                details={"members": self.count},
            )

    def _require_end(self) -> None:
        """After the empty block nothing may follow but emptiness: other programs might read on."""
        while True:
            if bytes(self._buffer[self._start : self._end]).strip(b"\0"):
                raise HostileArchive(
                    "The tar of the base backup goes on after its end.",
                    hint="Don't restore it; look at who could write to the repository.",
                    details={"members": self.count},
                )
            self._start, self._end = 0, self._source.readinto(self._buffer) or 0
            if not self._end:
                return


def _member(header: bytes, *, number: int) -> Member:
    kind = _KINDS.get(header[156:157])
    if header[257:262] != b"ustar" or _octal(header[148:156]) != _checksum(header):
        raise PostgresStreamIncomplete(
            f"The tar of the base backup is broken after {number} members: there is no header where one must be.",
            hint="Restore another backup: lifeboat list shows them.",
            details={"members": number},
        )
    prefix, name = (header[part].split(b"\0", 1)[0] for part in (slice(345, 500), slice(0, 100)))
    raw = prefix + b"/" + name if prefix else name
    path = raw.decode("utf-8", "surrogateescape")
    if kind is None:
        what = _WORDS.get(header[156:157], f"of the type {header[156:157]!r}")
        raise _hostile(path, f"it is {what}, and base backups hold only files and folders")
    # PostgreSQL itself writes ./pg_wal/archive_status/ for one folder.
    trimmed = path.removeprefix("./")
    trimmed = trimmed[:-1] if kind == FOLDER and trimmed.endswith("/") else trimmed
    if not trimmed or any(part in ("", ".", "..") for part in trimmed.split("/")):
        raise _hostile(path, "its name leads elsewhere")
    size = _size(header[124:136])
    if size is None or (kind == FOLDER and size):
        raise _hostile(path, "its size can't be")
    return Member(path=trimmed, kind=kind, size=size)


def _hostile(path: str, why: str) -> HostileArchive:
    shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return HostileArchive(
        f"The base backup has the member {shown!r}: {why}.",
        hint="Don't restore it; look at who could write to the repository.",
        details={"member": shown},
    )


def _checksum(header: bytes) -> int:
    return sum(header) - sum(header[148:156]) + 8 * 0x20


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else None


def _size(field: bytes) -> int | None:
    # Sizes from 8 GiB on are written in base 256, marked by the highest bit.
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return _octal(field)
