# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two sorts of archives in a base backup from the replication protocol, on their way to the sink.

The server sends the backup manifest behind the last archive. pg_basebackup puts it into the tar of the data folder when
it writes to a pipe; so do we, and whoever unpacks that tar has the manifest where every program looks for it.
"""

from __future__ import annotations

import io
import tarfile
import typing as t

from ..core.errors import PostgresStreamIncomplete
from .tar_tap import TarTap

_END = 2 * 512  # of a tar: two empty blocks
_LABEL = "backup_label"
_CHUNK = 1024 * 1024


class TablespaceTar:
    """A tablespace's tar: passed on as it is, and followed, so that one that is cut off is not taken for whole."""

    def __init__(self, output: t.BinaryIO) -> None:
        self._output = output
        self._tap = TarTap(wanted="", target=io.BytesIO())

    def write(self, piece: memoryview) -> None:
        """Pass on. Raises PostgresStreamIncomplete for what is no tar, and what the output raises."""
        follow(self._tap, piece)
        _write_all(self._output, piece)

    def finish(self) -> None:
        """The end. Raises PostgresStreamIncomplete when it is none."""
        require_end(self._tap)


class DataFolderTar:
    """The tar of the data folder: its end is held back until the manifest was added. *label* is its backup_label."""

    def __init__(self, output: t.BinaryIO) -> None:
        self._output = output
        self._held = b""
        self._label = io.BytesIO()
        self._tap = TarTap(wanted=_LABEL, target=self._label)

    @property
    def label(self) -> bytes:
        """The file backup_label, as far as it came by."""
        return self._label.getvalue()

    def write(self, piece: memoryview) -> None:
        """Pass on all but the last two blocks of what came. Raises as :class:`TablespaceTar` does."""
        follow(self._tap, piece)
        if len(piece) >= _END:
            _write_all(self._output, memoryview(self._held))
            _write_all(self._output, piece[:-_END])
            self._held = bytes(piece[-_END:])
        else:
            held = self._held + bytes(piece)
            _write_all(self._output, memoryview(held)[:-_END])
            self._held = held[-_END:]

    def finish_with(self, *, name: str, manifest: t.IO[bytes]) -> None:
        """Add the file *name* with all that *manifest* holds, and end the tar. Raises PostgresStreamIncomplete."""
        require_end(self._tap)
        if self._tap.copied is None:
            raise _incomplete("it has no backup_label")
        if len(self._held) != _END or any(self._held):
            raise _incomplete("it does not end with two empty blocks")
        size = manifest.seek(0, io.SEEK_END)
        manifest.seek(0)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        _write_all(self._output, memoryview(entry.tobuf(tarfile.USTAR_FORMAT)))
        left = size
        while left:
            data = manifest.read(min(left, _CHUNK))
            if not data:
                raise _incomplete("the manifest on this host became shorter")
            _write_all(self._output, memoryview(data))
            left -= len(data)
        _write_all(self._output, memoryview(bytes(-size % 512 + _END)))


def follow(tap: TarTap, piece: memoryview) -> None:
    """Let *tap* see the piece. Raises PostgresStreamIncomplete when it is no tar, or goes on behind its end."""
    if tap.ended and any(piece):
        raise _incomplete("it goes on behind its end")
    try:
        tap.feed(piece)
    except ValueError as error:
        raise _incomplete(str(error)) from error


def require_end(tap: TarTap) -> None:
    """Raise PostgresStreamIncomplete for a tar that ended in the middle of something."""
    if not tap.ended or not tap.is_between:
        raise _incomplete(f"it ends in the middle, after {tap.members} members")


def _write_all(output: t.BinaryIO, piece: memoryview) -> None:
    written = 0
    while written < len(piece):
        written += output.write(piece[written:])


def _incomplete(why: str) -> PostgresStreamIncomplete:
    return PostgresStreamIncomplete(
        f"An archive of the base backup is not whole: {why}.",
        hint="Start the backup again; if it happens again, look at the server's log.",
        details={"reason": why},
    )
