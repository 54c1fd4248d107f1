# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup into a folder that was empty: whatever its tar says, nothing outside of that folder is touched."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ..core.errors import HostileArchive, RestoreTargetInvalid
from .entry import FOLDER, HARD_LINK, Entry
from .folders import Folders
from .holding import Held
from .names import is_below, shown
from .placing import Refusals, dress, place
from .selection import Selection
from .tar_reader import Pieces, TarReader

# Of folders that the backup does not have, above its roots.
_OUTER_MODE = 0o755
# Of folders while they are filled.
_FILLING_MODE = 0o700


class Unpacker:
    """Takes a tar apart below *base*. Folders get their owner, mode and time when all below them is there."""

    def __init__(self, base: str, *, selection: Selection, owners: bool) -> None:
        self._base = base
        self._selection = selection
        self._owners = owners
        self._pending: list[Entry] = []
        self.refusals = Refusals()
        self.count = 0

    def unpack(self, stream: t.BinaryIO) -> None:
        """Read the tar to its end. Raises FilesArchiveInvalid, HostileArchive and OSError."""
        with contextlib.closing(Folders(self._base)) as folders:
            TarReader(stream).read(lambda entry, pieces: self._take(entry, pieces, folders))
            while self._pending:
                self._dress(self._pending.pop(), folders)

    def unpack_part(self, stream: t.BinaryIO, wanted: t.Iterator[Entry]) -> None:
        """Read the tar to its end, and take out what is *wanted*: entries of the list, in its order.

        Raises ContentMismatch when one is missing or has another content, and what unpack() raises.
        """
        with contextlib.closing(Folders(self._base)) as folders:
            held = Held(
                ((entry, None) for entry in self._counted(wanted)),
                lambda _nothing, entry, pieces: self._lay(entry, pieces, folders),
            )
            TarReader(stream).read(held.take)
            held.finish()
            while self._pending:
                self._dress(self._pending.pop(), folders)

    def _counted(self, wanted: t.Iterator[Entry]) -> t.Iterator[Entry]:
        for entry in wanted:
            self.count += 1
            yield entry

    def _take(self, entry: Entry, pieces: Pieces, folders: Folders) -> None:
        if self._selection.takes(entry):
            self.count += 1
            self._lay(entry, pieces, folders)

    def _lay(self, entry: Entry, pieces: Pieces, folders: Folders) -> str:
        """Put it where it belongs; the SHA-256 of a file."""
        while self._pending and not is_below(entry.path, self._pending[-1].path):
            self._dress(self._pending.pop(), folders)
        try:
            if entry.kind == FOLDER:
                self._folder(entry, folders)
                return ""
            folder, name = folders.of(entry.path, make=_OUTER_MODE)
            if entry.kind == HARD_LINK:
                self._other_name(entry, folders, folder=folder, name=name)
                return ""
            return place(entry, pieces, folder=folder, name=name, owners=self._owners, refusals=self.refusals)
        except (RestoreTargetInvalid, IsADirectoryError) as error:
            # The tree was empty: whatever stands in the way came out of the tar.
            raise _hostile(entry, "is to be written through a link or a file") from error

    def _folder(self, entry: Entry, folders: Folders) -> None:
        folder, name = folders.of(entry.path, make=_OUTER_MODE)
        try:
            os.mkdir(name, _FILLING_MODE, dir_fd=folder)
        except FileExistsError:
            folders.open(entry.path)
        self._pending.append(entry)

    def _dress(self, entry: Entry, folders: Folders) -> None:
        dress(entry, folders.open(entry.path), owners=self._owners, refusals=self.refusals)

    def _other_name(self, entry: Entry, folders: Folders, *, folder: int, name: bytes) -> None:
        kept = os.dup(folder)  # asking for the other folder closes this one
        try:
            try:
                source, first = folders.of(entry.target)
                status = os.stat(first, dir_fd=source, follow_symlinks=False)
            except FileNotFoundError:
                raise _hostile(entry, f"is another name of {shown(entry.target)}, which the backup lacks") from None
            if not stat.S_ISREG(status.st_mode):
                raise _hostile(entry, f"is another name of {shown(entry.target)}, which is no file")
            try:
                os.unlink(name, dir_fd=kept)
            except FileNotFoundError:
                pass
            os.link(first, name, src_dir_fd=source, dst_dir_fd=kept, follow_symlinks=False)
        finally:
            os.close(kept)


def _hostile(entry: Entry, what: str) -> HostileArchive:
    return HostileArchive(
        f"{shown(entry.path)!r} in the tar of files {what}.",
        hint="Don't restore it; look at who could write to the repository.",
        details={"member": shown(entry.path)},
    )
