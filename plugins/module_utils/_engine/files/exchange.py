# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore in place changes, and its way back; each part can die anywhere and be done or undone again.

A file that is replaced gets a second name in ``old`` first, and is then replaced by a rename: at every moment the old
one or the new one is there, whole. Nothing is written through links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import typing as t

from . import places
from .actions import DRESS, FOLDER, PUT, Action
from .entry import FILE, Entry
from .folders import Folders
from .names import RESTORE_PREFIX, raw
from .placing import Refusals, dress

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
_MODE = 0o700


class Exchange:
    """Does the actions of one restore to the files below *base*."""

    def __init__(self, base: str, *, owners: bool) -> None:
        self._base = base
        self._owners = owners
        self._folders = Folders(base)
        self.refusals = Refusals()
        self.kept: list[str] = []  # what was found that nobody knew of, and where it went

    def close(self) -> None:
        """Give the descriptors back."""
        self._folders.close()

    def do(self, actions: t.Iterable[Action]) -> None:
        """Do them, in order. Raises OSError and RestoreTargetInvalid."""
        filled: list[Entry] = []
        for action in actions:
            while filled and not action.path.startswith(f"{filled[-1].path}/"):
                self._dress(filled.pop())
            if action.do == PUT:
                self._put(action)
            elif action.entry is None:
                self._move_aside(action)
            else:
                if action.do == FOLDER:
                    self._make_folder(action)
                filled.append(action.entry)
        while filled:
            self._dress(filled.pop())

    def undo(self, actions: t.Iterable[Action]) -> None:
        """Take back whatever was done of them, also when that is nothing. Raises OSError."""
        folders: list[Action] = []
        dressed: list[Entry] = []
        for action in actions:
            if action.do == PUT:
                self._take_back(action)
            elif action.do == FOLDER:
                folders.append(action)
            elif action.do == DRESS and action.current is not None:
                dressed.append(action.current)
            elif action.entry is None:
                self._put_back(action)
        for action in reversed(folders):
            self._remove_folder(action)
        for current in reversed(dressed):
            self._dress(current)

    # --- one file ----------------------------------------------------------------------------------------------------

    def _put(self, action: Action) -> None:
        new, kept = places.staged(action.place, action.number), places.old(action.place, action.path)
        if self._folders.status(new) is None:
            return  # it has its place already
        there, aside = self._folders.status(action.path), self._aside(action)
        if there is not None and aside is None:
            self._keep(action, there, kept)
        elif there is not None and aside is not None and not os.path.samestat(there, aside):
            # Somebody replaced it after we had kept the other one.
            self._rename(action.path, self._unknown(action))
        self._rename(new, action.path)

    def _keep(self, action: Action, there: os.stat_result, kept: str) -> None:
        """Give the old one its second name. What appeared since the plan is kept, too."""
        place = kept if action.current is not None else self._unknown(action)
        if not stat.S_ISDIR(there.st_mode):
            with self._two_folders(action.path, place) as (source, name, folder, other):
                try:
                    os.link(name, other, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
                    os.fsync(folder)
                    return
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
        self._rename(action.path, place)

    def _take_back(self, action: Action) -> None:
        new, kept = places.staged(action.place, action.number), places.old(action.place, action.path)
        there, aside = self._folders.status(action.path), self._aside(action)
        was_put = self._folders.status(new) is None
        if not was_put:
            if aside is not None and there is None:
                self._rename(kept, action.path)
            elif aside is not None and there is not None and os.path.samestat(there, aside):
                self._unlink(kept)
            return
        if aside is None and action.current is not None:
            return  # it is back already
        if there is not None and aside is not None and os.path.samestat(there, aside):
            self._unlink(kept)
            return
        if there is not None and not _is_ours(action, there):
            self._rename(action.path, self._unknown(action))
        elif there is not None and aside is None:
            self._unlink(action.path)
        if aside is not None:
            if there is not None and stat.S_ISDIR(aside.st_mode):
                with contextlib.suppress(FileNotFoundError):
                    self._unlink(action.path)
            self._rename(kept, action.path)
        with contextlib.suppress(FileNotFoundError):
            self._folders.sync(action.path)

    # --- folders, and what goes away ---------------------------------------------------------------------------------

    def _make_folder(self, action: Action) -> None:
        there = self._folders.status(action.path)
        if there is not None and stat.S_ISDIR(there.st_mode):
            return
        if there is not None:
            kept = places.old(action.place, action.path)
            is_known = action.current is not None and self._aside(action) is None
            self._rename(action.path, kept if is_known else self._unknown(action))
        folder, name = self._folders.of(action.path)
        os.mkdir(name, _MODE, dir_fd=folder)
        os.fsync(folder)

    def _remove_folder(self, action: Action) -> None:
        there = self._folders.status(action.path)
        kept = places.old(action.place, action.path)
        if there is not None and stat.S_ISDIR(there.st_mode):
            folder, name = self._folders.of(action.path)
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                if self._aside(action) is None:
                    return  # somebody uses it, and it stands in nobody's way
                self._rename(action.path, self._unknown(action))
        if self._aside(action) is not None:
            self._rename(kept, action.path)

    def _move_aside(self, action: Action) -> None:
        kept = places.old(action.place, action.path)
        if self._folders.status(kept) is None and self._folders.status(action.path) is not None:
            self._rename(action.path, kept)

    def _put_back(self, action: Action) -> None:
        kept = places.old(action.place, action.path)
        if self._folders.status(kept) is None:
            return
        if self._folders.status(action.path) is not None:
            self._rename(action.path, self._unknown(action))
        self._rename(kept, action.path)

    def _dress(self, entry: Entry) -> None:
        with contextlib.suppress(FileNotFoundError):
            dress(entry, self._folders.open(entry.path), owners=self._owners, refusals=self.refusals)

    # --- names -------------------------------------------------------------------------------------------------------

    def _aside(self, action: Action) -> os.stat_result | None:
        """What of this action lies in ``old``. Where nothing was, the folder of that name there may be no folder."""
        return self._folders.status(places.old(action.place, action.path)) if action.current is not None else None

    def _unknown(self, action: Action) -> str:
        """A free name for what nobody knew of: it is somebody's work, and is kept."""
        count = 1
        name = places.since(action.place, action.number, count, action.path)
        while self._folders.status(name) is not None:
            count += 1
            name = places.since(action.place, action.number, count, action.path)
        self.kept.append(f"/{name}")
        return name

    def _rename(self, path: str, to: str) -> None:
        with self._two_folders(path, to) as (source, name, folder, other):
            os.rename(name, other, src_dir_fd=source, dst_dir_fd=folder)
            os.fsync(folder)

    @contextlib.contextmanager
    def _two_folders(self, path: str, to: str) -> t.Iterator[tuple[int, bytes, int, bytes]]:
        """The open folder and name of each; what is needed in our own places is made."""
        make = _MODE if RESTORE_PREFIX in to else None
        folder, other = self._folders.of(to, make=make)
        folder = os.dup(folder)  # asking for the other one closes it
        try:
            source, name = self._folders.of(path)
            yield source, name, folder, other
        finally:
            os.close(folder)
            self._folders.forget()  # what was renamed may be the folder that is kept open

    def _unlink(self, path: str) -> None:
        folder, name = self._folders.of(path)
        os.unlink(name, dir_fd=folder)


def _is_ours(action: Action, there: os.stat_result) -> bool:
    """Whether it is what we put there, as we put it there."""
    entry = action.entry
    if entry is None or stat.S_ISDIR(there.st_mode):
        return False
    # The list has no size of links and of other names; the time is that of the backup in any case.
    has_size = entry.kind == FILE
    return there.st_mtime_ns == entry.modified and (not has_size or there.st_size == entry.size)


def remove_tree(base: str, path: str) -> bool:
    """Remove one of our places with all in it; says whether it was there. Raises OSError."""
    place = os.path.join(raw(base), raw(path))
    if not os.path.lexists(place):
        return False
    shutil.rmtree(place)
    return True


def prune_empty(base: str, path: str) -> None:
    """Remove what is empty of one of our places, itself included. Raises OSError."""
    for folder, _folders, _files in os.walk(os.path.join(raw(base), raw(path)), topdown=False):
        with contextlib.suppress(FileNotFoundError):
            if not os.listdir(folder):
                os.rmdir(folder)
