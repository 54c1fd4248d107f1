# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles of git, read as they stream by: what refs they say they hold, and whether their pack is whole.

Sources: gitformat-bundle(5) and gitformat-pack(5) of git.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from ..core.errors import FilesArchiveInvalid

_PIECE = 1024 * 1024
_LONGEST_LINE = 64 * 1024
_MOST_REFS = 1_000_000
_SIGNATURES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_FORMATS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
_ANOTHER = "Restore another backup: lifeboat list shows them."


@dataclass(frozen=True)
class Bundle:
    """*refs* maps names to objects; *objects* is how many the pack has. It needs no other objects than its own."""

    refs: t.Mapping[str, str]
    objects: int
    object_format: str


def read_bundle(stream: t.BinaryIO, write: t.Callable[[bytes], t.Any] | None = None) -> Bundle:
    """Read it to its end, giving *write* every byte. Raises FilesArchiveInvalid for what is no whole bundle."""
    return _Reader(stream, write or _nowhere).read()


class _Reader:
    def __init__(self, stream: t.BinaryIO, write: t.Callable[[bytes], t.Any]) -> None:
        self._stream = stream
        self._write = write

    def read(self) -> Bundle:
        if self._line() not in _SIGNATURES:
            raise _damaged("it does not begin as one")
        refs: dict[str, str] = {}
        object_format = "sha1"
        while True:
            line = self._line()
            if line == b"\n":
                break
            if line.startswith(b"@"):
                name, _equals, value = line[1:-1].decode("ascii", "replace").partition("=")
                if name != "object-format" or value not in _FORMATS:
                    raise _damaged(f"it asks for {name} {value}, which no backup has")
                object_format = value
                continue
            if line.startswith(b"-"):
                raise _damaged("it needs objects that it does not have")
            oid, space, ref = line[:-1].decode("utf-8", "backslashreplace").partition(" ")
            if not space or not ref or len(refs) >= _MOST_REFS:
                raise _damaged("a line of its refs is none")
            refs[ref] = oid
        return Bundle(refs=refs, objects=self._pack(object_format), object_format=object_format)

    def _pack(self, object_format: str) -> int:
        """The pack ends with the hash of all before."""
        digest = _FORMATS[object_format](usedforsecurity=False)
        start = self._stream.read(12)
        if len(start) < 12 or start[:4] != b"PACK" or int.from_bytes(start[4:8], "big") not in (2, 3):
            raise _damaged("it has no pack")
        self._write(start)
        held = start
        while True:
            piece = self._stream.read(_PIECE)
            if not piece:
                break
            self._write(piece)
            held += piece
            digest.update(held[: -digest.digest_size])
            held = held[-digest.digest_size :]
        if held != digest.digest():
            raise _damaged("its pack was cut short or changed")
        return int.from_bytes(start[8:12], "big")

    def _line(self) -> bytes:
        line = self._stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise _damaged("its beginning was cut short")
        self._write(line)
        return line


def _nowhere(piece: bytes) -> None:
    del piece


def _damaged(why: str) -> FilesArchiveInvalid:
    return FilesArchiveInvalid(f"The bundle of git is damaged: {why}.", hint=_ANOTHER)
