# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walking trees in the order of backups, by descriptors of folders: nobody can put a link under the walker's feet."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t
from dataclasses import dataclass, field

from ..core.errors import FilesUnreadable
from .entry import BLOCK, CHARACTER, FIFO, FILE, FOLDER, LINK, Entry
from .extended import read_extended
from .names import RESTORE_PREFIX, order, raw, shown, text
from .owners import Owners
from .patterns import Patterns

_GONE = (errno.ENOENT, errno.ESTALE)
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: FIFO,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK,
}


@dataclass(frozen=True)
class Found:
    """*name* in the open folder *folder*: what lies at *path*. It is good until the walk goes on."""

    path: str
    folder: int
    name: bytes
    status: os.stat_result

    @property
    def kind(self) -> str:
        """As in :mod:`entry`."""
        return _KINDS[stat.S_IFMT(self.status.st_mode)]

    @property
    def place(self) -> str:
        """A path of it that leads through no link."""
        return f"/proc/self/fd/{self.folder}/{text(self.name)}"


@dataclass
class WalkNotes:
    """What a walk met and did not give: *vanished* paths, *sockets*, how many were *excluded*."""

    vanished: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    excluded: int = 0


def walk(roots: t.Sequence[str], *, exclude: Patterns, notes: WalkNotes, base: str = "/") -> t.Iterator[Found]:
    """Everything below *roots* (sorted, relative to *base*), folders before what is in them, in the order of backups.

    What vanishes meanwhile is noted and passed over. Raises FilesUnreadable for a folder that may not be read.
    """
    for root in roots:
        parent, _slash, name = root.rpartition("/")
        place = os.path.join(base, parent)
        try:
            descriptor = os.open(raw(place), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (*_GONE, errno.ENOTDIR):
                raise _unreadable(place, error) from error
            notes.vanished.append(root)
            continue
        try:
            yield from _named(parent, descriptor, [raw(name)], exclude=exclude, notes=notes)
        finally:
            os.close(descriptor)


def _named(
    parent: str, descriptor: int, names: t.Sequence[bytes], *, exclude: Patterns, notes: WalkNotes
) -> t.Iterator[Found]:
    """The *names* of one folder with all below them; without recursion, so that depth costs descriptors only."""
    levels: list[tuple[str, int, t.Iterator[bytes]]] = [(parent, descriptor, iter(names))]
    try:
        while levels:
            path, folder, rest = levels[-1]
            name = next(rest, None)
            if name is None:
                levels.pop()
                if levels:
                    os.close(folder)
                continue
            found = _look(f"{path}/{text(name)}" if path else text(name), folder, name, exclude=exclude, notes=notes)
            if found is None:
                continue
            yield found
            if found.kind == FOLDER:
                opened = _open_folder(found, notes)
                if opened is not None:
                    levels.append((found.path, opened, iter(_sorted_names(opened, found.path))))
    finally:
        for _path, folder, _rest in levels[1:]:
            os.close(folder)


def _look(path: str, folder: int, name: bytes, *, exclude: Patterns, notes: WalkNotes) -> Found | None:
    if exclude.match(path) or text(name).startswith(RESTORE_PREFIX):
        notes.excluded += 1
        return None
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _GONE:
            raise _unreadable(path, error) from error
        notes.vanished.append(path)
        return None
    if stat.S_ISSOCK(status.st_mode):
        notes.sockets.append(path)  # it belongs to the process that listens, and is made anew by it
        return None
    return Found(path=path, folder=folder, name=name, status=status)


def _open_folder(found: Found, notes: WalkNotes) -> int | None:
    try:
        return os.open(found.name, _OPEN_FOLDER, dir_fd=found.folder)
    except OSError as error:
        if error.errno in (*_GONE, errno.ENOTDIR, errno.ELOOP):
            notes.vanished.append(found.path)
            return None
        raise _unreadable(found.path, error) from error


def _sorted_names(folder: int, path: str) -> list[bytes]:
    try:
        return sorted(os.fsencode(name) for name in os.listdir(folder))
    except OSError as error:
        raise _unreadable(path, error) from error


def entry_of(found: Found, owners: Owners, *, status: os.stat_result | None = None) -> Entry:
    """What the list says of it, without the content. *status* is that of the opened file, where there is one.

    Raises OSError when it vanished meanwhile.
    """
    seen = found.status if status is None else status
    kind = found.kind
    return Entry(
        path=found.path,
        kind=kind,
        mode=stat.S_IMODE(seen.st_mode),
        user=seen.st_uid,
        group=seen.st_gid,
        user_name=owners.user_name(seen.st_uid),
        group_name=owners.group_name(seen.st_gid),
        modified=seen.st_mtime_ns,
        size=seen.st_size if kind == FILE else 0,
        links=seen.st_nlink if kind != FOLDER else 1,
        target=text(os.readlink(found.name, dir_fd=found.folder)) if kind == LINK else "",
        device=(os.major(seen.st_rdev), os.minor(seen.st_rdev)) if kind in (CHARACTER, BLOCK) else (0, 0),
        extended=read_extended(found.place),
    )


def is_readable(found: Found) -> bool:
    """Whether we may read it; what vanished meanwhile is no question of rights."""
    if found.kind not in (FILE, FOLDER):
        return True
    needed = os.R_OK | (os.X_OK if found.kind == FOLDER else 0)
    with contextlib.suppress(OSError):
        if os.access(found.name, needed, dir_fd=found.folder, effective_ids=True):
            return True
        os.stat(found.name, dir_fd=found.folder, follow_symlinks=False)
        return False
    return True


def in_order(paths: t.Iterable[str]) -> list[str]:
    """Sorted as walks are."""
    return sorted(paths, key=order)


def _unreadable(path: str, error: OSError) -> FilesUnreadable:
    return FilesUnreadable(
        f"/{shown(path).lstrip('/')} can't be read: {error.strerror}.",
        hint="Run the backup as root, or leave it out: connection.exclude.",
        details={"path": shown(path)},
    )
