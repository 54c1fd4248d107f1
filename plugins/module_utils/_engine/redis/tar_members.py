# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the tar of append-only files as it streams by, trusting nothing in it.

Only plain files are taken, in constant memory: no links, no devices, no folders, no extension that could name a length
or a path of its own. Source: "Basic Tar Format" of GNU tar's manual; a name longer than 100 bytes stands in a member of
the type L before its own.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import AofInvalid, HostileArchive

_BLOCK = 512
_PIECE = 1024 * 1024
_ZEROS = bytes(_BLOCK)
_LONG_NAME = b"L"
_PLAIN = (b"0", b"\0")
_LONGEST_NAME = 4096
_MOST_MEMBERS = 10_000


@dataclass(frozen=True)
class TarMember:
    """One plain file: *name* as it stands in the tar (bytes that are not UTF-8 as surrogate escapes), *size* bytes."""

    name: str
    size: int


class TarReader:
    """Takes a stream apart: for each member one call of *take* with an iterator over its bytes."""

    def __init__(self, stream: t.BinaryIO) -> None:
        self._stream = stream
        self._members = 0

    def read(self, take: t.Callable[[TarMember, t.Iterator[bytes]], None]) -> int:
        """Read to the end of the stream; returns the number of members.

        Raises AofInvalid when it is no tar or cut short, HostileArchive for members that are no plain files.
        """
        long_name: bytes | None = None
        while True:
            header = self._exactly(_BLOCK)
            if header == _ZEROS:
                self._require_nothing_more()
                return self._members
            name, size, form = _parse(header)
            if form == _LONG_NAME:
                if not 0 < size <= _LONGEST_NAME:
                    raise HostileArchive(
                        f"A member of the tar of append-only files has a name of {size} bytes.",
                        hint="Don't restore it; look at who could write to the repository.",
                    )
                long_name = self._exactly(_padded(size))[:size].rstrip(b"\0")
                continue
            if form not in _PLAIN:
                raise HostileArchive(
                    f"The member {_text(long_name or name)!r} is no plain file (type {form!r}), and a backup of "
                    "append-only files has nothing else.",
                    hint="Don't restore it; look at who could write to the repository.",
                    details={"member": _text(long_name or name)},
                )
            self._members += 1
            if self._members > _MOST_MEMBERS:
                raise HostileArchive(
                    f"The tar of append-only files has more than {_MOST_MEMBERS} members.",
                    hint="Don't restore it; look at who could write to the repository.",
                )
            self._take(TarMember(name=_text(long_name or name), size=size), take)
            long_name = None

    def _take(self, member: TarMember, take: t.Callable[[TarMember, t.Iterator[bytes]], None]) -> None:
        left = member.size

        def pieces() -> t.Iterator[bytes]:
            nonlocal left
            while left:
                piece = self._exactly(min(_PIECE, left))
                left -= len(piece)
                yield piece

        take(member, pieces())
        while left:
            left -= len(self._exactly(min(_PIECE, left)))
        self._exactly(_padded(member.size) - member.size)

    def _require_nothing_more(self) -> None:
        while True:
            piece = self._stream.read(_PIECE)
            if not piece:
                return
            if piece.strip(b"\0"):
                raise _damaged("something follows its end")

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size) if size else b""
        while len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                raise _damaged("it was cut short")
            data += more
        return data


def _parse(header: bytes) -> tuple[bytes, int, bytes]:
    """Name, size and type. Raises AofInvalid when the header's own checksum differs."""
    stored = _octal(header[148:156])
    found = sum(header) - sum(header[148:156]) + 8 * 0x20
    if stored != found:
        raise _damaged("a header's checksum differs")
    size = _size(header[124:136])
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name, size, header[156:157]


def _size(field: bytes) -> int:
    if field[0] == 0x80:  # GNU: base 256, for 8 GiB and more
        return int.from_bytes(field[1:], "big")
    size = _octal(field)
    if size is None:
        raise _damaged("a size is no number")
    return size


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:
        return None


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _damaged(why: str) -> AofInvalid:
    return AofInvalid(
        f"The tar of append-only files is damaged: {why}.",
        hint="Restore another copy or another backup: lifeboat list shows them.",
    )
