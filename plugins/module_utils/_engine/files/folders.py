# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders by descriptors, one component after the other, never through a link: nothing can lead out of a tree."""

from __future__ import annotations

import errno
import os

from ..core.errors import RestoreTargetInvalid
from .names import raw, shown

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folders:
    """The folders below *base*; the last one that was asked for stays open. Close it when done."""

    def __init__(self, base: str) -> None:
        """Raises OSError."""
        self._base = base
        # Of the base itself links are followed: it is ours, or the root of the host.
        self._root = os.open(raw(base), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._path: str | None = None
        self._descriptor = -1

    def close(self) -> None:
        """Give the descriptors back."""
        self._forget()
        os.close(self._root)

    def of(self, path: str, *, make: int | None = None) -> tuple[int, bytes]:
        """The open folder that *path* (relative to the base) lies in, and its name there.

        *make* is the mode of folders that are made where they are missing. Raises FileNotFoundError where nothing is
        made, and RestoreTargetInvalid when a link or a file stands where a folder has to be.
        """
        folder, _slash, name = path.rpartition("/")
        return self.open(folder, make=make), raw(name)

    def open(self, path: str, *, make: int | None = None) -> int:
        """The open folder *path*. Raises as :meth:`of`."""
        if path == "":
            return self._root
        if path == self._path:
            return self._descriptor
        current, is_ours = self._root, False
        try:
            for part in path.split("/"):
                opened = _open(current, raw(part), path, make=make)
                if is_ours:
                    os.close(current)
                current, is_ours = opened, True
        except BaseException:
            if is_ours:
                os.close(current)
            raise
        self._forget()
        self._path, self._descriptor = path, current
        return current

    def status(self, path: str) -> os.stat_result | None:
        """What lies there, a link not followed; None for nothing."""
        try:
            folder, name = self.of(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def place(self, path: str) -> str:
        """A path of it for calls that take no descriptors; good until another folder is asked for."""
        folder, _slash, name = path.rpartition("/")
        return f"/proc/self/fd/{self.open(folder)}/{name}"

    def sync(self, path: str) -> None:
        """Make the names in the folder that *path* lies in durable."""
        folder, _name = self.of(path)
        os.fsync(folder)

    def forget(self) -> None:
        """Close what is kept open: it may be renamed or removed now."""
        self._forget()

    def _forget(self) -> None:
        if self._path is not None:
            os.close(self._descriptor)
            self._path = None


def _open(folder: int, name: bytes, path: str, *, make: int | None) -> int:
    for _turn in range(2):
        try:
            return os.open(name, _FLAGS, dir_fd=folder)
        except FileNotFoundError:
            if make is None:
                raise
            try:
                os.mkdir(name, make, dir_fd=folder)
            except FileExistsError:
                continue
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            raise RestoreTargetInvalid(
                f"{shown(path)}: a link or a file stands where the backup has a folder, and nothing is written through "
                "it.",
                hint="Look at it: ls -ld. Move it away, or restore beside: data_directory without in_place.",
                details={"path": shown(path)},
            ) from error
    raise FileNotFoundError(errno.ENOENT, "it vanished again", path)
