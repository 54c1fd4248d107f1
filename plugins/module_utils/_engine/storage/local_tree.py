# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders below the root of a repository, entered one by one and never through a symbolic link.

Every step is an ``openat`` with ``O_NOFOLLOW`` from the folder above, so no link that somebody put into the
repository, at whatever moment, can lead a read, a write or a delete outside of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
import typing as t

from ..core.errors import StorageBucketMissing, StorageError, StorageForbidden, StorageKeyInvalid
from .base import TEMPORARY_PREFIX

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# ext4 puts this into the root of every file system, readable by root alone.
_NOT_OURS = frozenset({"lost+found"})


class Entry(t.NamedTuple):
    """One name in a folder: *name* ends in a slash when it is a folder."""

    name: str
    temporary: bool

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class Tree:
    """The folders of one repository. Descriptors are closed when their ``with`` block ends.

    Methods raise OSError as it comes (the caller knows what it was doing), and StorageError where they know better:
    StorageBucketMissing without a root, StorageForbidden at a symbolic link.
    """

    def __init__(self, *, root: str, create: bool, folder_mode: int) -> None:
        self.root = root
        self._create = create
        self._folder_mode = folder_mode

    @contextlib.contextmanager
    def folder(self, parts: t.Sequence[str], *, make: bool = False) -> t.Iterator[int]:
        """A descriptor of the folder *parts* below the root.

        Raises FileNotFoundError when it isn't there, unless *make*: then missing ones are made, each durable before
        anything is put into it.
        """
        descriptor = self.open_folder(parts, make=make)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_folder(self, parts: t.Sequence[str], *, make: bool = False) -> int:
        """As :meth:`folder`, for the caller to close."""
        descriptor = self._open_root(make=make)
        path = self.root
        for part in parts:
            path = os.path.join(path, part)
            try:
                below = self._enter(descriptor, part, path=path, make=make)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    def require_root(self) -> None:
        """Make the root where it may be made, else raise StorageBucketMissing when it isn't there."""
        os.close(self._open_root(make=True))

    def entries(self, descriptor: int, *, path: str) -> list[Entry]:
        """What the folder holds, in the order in which keys sort; files that are still being written included.

        A folder ``a`` sorts as ``a/``: then ``a-b`` comes before ``a/b``, as in a sorted list of keys. Sockets,
        pipes and devices are no objects and left out.
        """
        entries = []
        with os.scandir(descriptor) as scan:
            for found in scan:
                if found.name in _NOT_OURS:
                    continue
                if found.is_symlink():
                    raise _is_link(os.path.join(path, found.name))
                if found.is_dir(follow_symlinks=False):
                    entries.append(Entry(found.name + "/", temporary=False))
                elif found.is_file(follow_symlinks=False):
                    entries.append(Entry(found.name, temporary=found.name.startswith(TEMPORARY_PREFIX)))
        entries.sort()
        return entries

    def prune(self, parts: t.Sequence[str]) -> None:
        """Remove the folder *parts* and those above it while they are empty; never the root."""
        # An empty folder hurts nobody: whatever stands in the way (not empty, gone already, not ours) ends it silently.
        with contextlib.suppress(OSError, StorageError):
            for depth in range(len(parts), 0, -1):
                with self.folder(parts[: depth - 1]) as above:
                    os.rmdir(parts[depth - 1], dir_fd=above)

    def _open_root(self, *, make: bool) -> int:
        try:
            return os.open(self.root, _FOLDER_FLAGS)
        except FileNotFoundError:
            if not self._create:
                raise _root_missing(self.root) from None
            if not make:
                raise
        except NotADirectoryError:
            raise StorageBucketMissing(
                f"The repository {self.root} is not a folder.",
                hint=f"Run: ls -ld {shlex.quote(self.root)}",
                details={"path": self.root},
            ) from None
        self._make_root(self.root)
        return os.open(self.root, _FOLDER_FLAGS)

    def _make_root(self, path: str) -> None:
        if os.path.isdir(path):
            return
        above = os.path.dirname(path)
        self._make_root(above)
        descriptor = os.open(above, _FOLDER_FLAGS)
        try:
            self._make(os.path.basename(path), above=descriptor)
        finally:
            os.close(descriptor)

    def _enter(self, above: int, name: str, *, path: str, make: bool) -> int:
        try:
            return self._open_below(above, name, path=path, make=make)
        except FileNotFoundError:
            if not make:
                raise
        self._make(name, above=above)
        return self._open_below(above, name, path=path, make=make)

    def _make(self, name: str, *, above: int) -> None:
        try:
            os.mkdir(name, mode=self._folder_mode, dir_fd=above)
        except FileExistsError:
            return  # another writer was quicker
        mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
        if mode & 0o777 != self._folder_mode:
            # The umask took something away. A set-group-id bit that came from the folder above stays.
            os.chmod(name, self._folder_mode | mode & stat.S_ISGID, dir_fd=above)
        os.fsync(above)

    def _open_below(self, above: int, name: str, *, path: str, make: bool) -> int:
        try:
            return os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            refuse_link(above, name, path=path)
            if make:
                raise StorageKeyInvalid(
                    f"{path} is an object already, so nothing can be stored below it.",
                    hint="Store it under another name: no object's name may be the folder of another.",
                ) from error
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error


def refuse_link(above: int, name: str, *, path: str) -> None:
    """Raise StorageForbidden when *name* in the folder *above* is a symbolic link."""
    try:
        mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise _is_link(path)


def _is_link(path: str) -> StorageForbidden:
    return StorageForbidden(
        f"{path} is a symbolic link; links inside a repository are not followed, they could lead anywhere.",
        hint=f"Run: ls -l {shlex.quote(path)}   Mount the other place there, or make the whole repository a link.",
        details={"path": path},
    )


def _root_missing(root: str) -> StorageBucketMissing:
    return StorageBucketMissing(
        f"The folder of the repository, {root}, does not exist.",
        hint=f"If it is a mount, mount it. Else run: install -d -m 0700 {shlex.quote(root)}   or set create: true.",
        details={"path": root},
    )
