# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore in place puts anywhere, laid out beside it first: fetched, checked against the list, and durable."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..core.errors import ContentMismatch
from . import places
from .actions import PUT, Action
from .entry import FILE, HARD_LINK, Entry
from .folders import Folders
from .names import order, shown
from .placing import Refusals, place
from .tar_reader import Pieces, TarReader

_MODE = 0o700


class Stager:
    """Takes out of a tar what the actions put somewhere, each under its number. Tar and actions have one order."""

    def __init__(self, base: str, actions: t.Iterator[Action], *, owners: bool) -> None:
        self._base = base
        self._puts = (action for action in actions if action.do == PUT)
        self._next = next(self._puts, None)
        self._last: tuple[Action, str] | None = None  # a member may come again; the last one counts
        self._by_number: dict[int, str] = {}
        self._owners = owners
        self.refusals = Refusals()

    def stage(self, stream: t.BinaryIO) -> None:
        """Read the tar to its end. Raises FilesArchiveInvalid, HostileArchive, ContentMismatch and OSError."""
        with contextlib.closing(Folders(self._base)) as folders:
            TarReader(stream).read(lambda entry, pieces: self._take(entry, pieces, folders))
        self._settle()
        if self._next is not None:
            raise _differs(self._next.path, "is in the list and not in the tar")

    def _take(self, entry: Entry, pieces: Pieces, folders: Folders) -> None:
        if self._last is not None and self._last[0].path == entry.path:
            self._put(self._last[0], entry, pieces, folders)
            return
        self._settle()
        if self._next is None or order(entry.path) < order(self._next.path):
            return
        if entry.path != self._next.path:
            raise _differs(self._next.path, "is in the list and not in the tar")
        action, self._next = self._next, next(self._puts, None)
        self._put(action, entry, pieces, folders)

    def _put(self, action: Action, entry: Entry, pieces: Pieces, folders: Folders) -> None:
        wanted = action.entry
        if wanted is None or wanted.kind != entry.kind or wanted.target != entry.target:
            raise _differs(action.path, "is of another kind in the tar than in the list")
        target = places.staged(action.place, action.number)
        sha256 = ""
        if entry.kind == HARD_LINK:
            self._other_name(action, wanted, target, folders)
        else:
            folder, name = folders.of(target)
            sha256 = place(
                entry,
                pieces,
                folder=folder,
                name=name,
                owners=self._owners,
                refusals=self.refusals,
                durable=True,
            )
        if entry.links > 1 or wanted.links > 1:
            self._by_number[action.number] = target
        self._last = (action, sha256)

    def _other_name(self, action: Action, wanted: Entry, target: str, folders: Folders) -> None:
        """Another name of a file that is staged, too, or that stays as it is."""
        source = wanted.target if action.first is None else self._by_number[action.first]
        folder, name = folders.of(target)
        kept = os.dup(folder)
        try:
            there, first = folders.of(source)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=kept)
            os.link(first, name, src_dir_fd=there, dst_dir_fd=kept, follow_symlinks=False)
        finally:
            os.close(kept)

    def _settle(self) -> None:
        """The member is over: its content must be the list's."""
        if self._last is None:
            return
        action, sha256 = self._last
        self._last = None
        if action.entry is not None and action.entry.kind == FILE and action.entry.sha256 != sha256:
            raise _differs(action.path, f"has the SHA-256 {sha256} in the tar, and {action.entry.sha256} in the list")


def make_places(base: str, names: t.Sequence[str]) -> None:
    """An empty folder for what is staged in each place. Raises OSError and RestoreTargetInvalid."""
    with contextlib.closing(Folders(base)) as folders:
        for name in names:
            folder = folders.open(f"{name}/{places.NEW}", make=_MODE)
            for left in os.listdir(folder):
                os.unlink(os.fsencode(left), dir_fd=folder)
            os.fsync(folder)


def sync_places(base: str, names: t.Sequence[str]) -> None:
    """Make the names of what was staged durable. Raises OSError."""
    with contextlib.closing(Folders(base)) as folders:
        for name in names:
            os.fsync(folders.open(f"{name}/{places.NEW}"))


def _differs(path: str, how: str) -> ContentMismatch:
    return ContentMismatch(
        f"/{shown(path)} {how}.",
        hint="Restore another backup: lifeboat list shows them.",
        details={"path": shown(path)},
    )
