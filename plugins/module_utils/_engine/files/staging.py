# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore in place puts anywhere, laid out beside it first: fetched, checked against the list, and durable."""

from __future__ import annotations

import contextlib
import os
import typing as t

from . import places
from .actions import PUT, Action
from .entry import HARD_LINK, Entry
from .folders import Folders
from .holding import Held
from .placing import Refusals, place
from .tar_reader import Pieces, TarReader

_MODE = 0o700


class Stager:
    """Takes out of tars what actions put somewhere, each under its number. Tars and actions have one order."""

    def __init__(self, base: str, *, owners: bool) -> None:
        self._base = base
        self._by_number: dict[int, str] = {}
        self._owners = owners
        self.refusals = Refusals()

    def stage(self, stream: t.BinaryIO, actions: t.Iterable[Action]) -> None:
        """Read a tar to its end; all that *actions* put must be in it. The tar with other names of files comes last.

        Raises FilesArchiveInvalid, HostileArchive, ContentMismatch and OSError.
        """
        wanted = ((one.entry, one) for one in actions if one.do == PUT and one.entry is not None)
        with contextlib.closing(Folders(self._base)) as folders:
            held = Held(wanted, lambda action, entry, pieces: self._put(action, entry, pieces, folders))
            TarReader(stream).read(held.take)
            held.finish()

    def _put(self, action: Action, entry: Entry, pieces: Pieces, folders: Folders) -> str:
        wanted = t.cast("Entry", action.entry)
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
        return sha256

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
