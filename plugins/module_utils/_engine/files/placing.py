# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a backup onto the disk, with all that belongs to it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import typing as t
from dataclasses import dataclass, field

from .entry import BLOCK, CHARACTER, FIFO, FILE, LINK, Entry
from .extended import write_extended
from .names import raw, text
from .tar_reader import Pieces

_ZEROS = bytes(1024 * 1024)
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID
_TYPES = {FIFO: stat.S_IFIFO, CHARACTER: stat.S_IFCHR, BLOCK: stat.S_IFBLK}


@dataclass
class Refusals:
    """What could not be given back here: *owners* counts entries, *extended* the attributes by name."""

    owners: int = 0
    extended: dict[str, int] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """In sentences."""
        told = []
        if self.owners:
            told.append(f"The owners of {self.owners} entries could not be given back: only root can do that.")
        if self.extended:
            named = ", ".join(f"{name} of {count}" for name, count in sorted(self.extended.items()))
            told.append(f"Attributes that this file system or user can't have were left out: {named}.")
        return told


def place(
    entry: Entry, pieces: Pieces, *, folder: int, name: bytes, owners: bool, refusals: Refusals, durable: bool = False
) -> str:
    """Put anything but a folder and a hard link at *name* in the open *folder*, in place of what we put there before.

    Returns the SHA-256 of a file's content, empty for everything else. Raises OSError.
    """
    _remove_own(folder, name)
    if entry.kind == FILE:
        return _file(entry, pieces, folder=folder, name=name, owners=owners, refusals=refusals, durable=durable)
    if entry.kind == LINK:
        os.symlink(raw(entry.target), name, dir_fd=folder)
    else:
        os.mknod(name, 0o600 | _TYPES[entry.kind], os.makedev(*entry.device), dir_fd=folder)
    if owners:
        _own(lambda: os.chown(name, entry.user, entry.group, dir_fd=folder, follow_symlinks=False), refusals)
    if entry.kind != LINK:
        os.chmod(name, entry.mode, dir_fd=folder)
    _extend(f"/proc/self/fd/{folder}/{text(name)}", entry, refusals)
    os.utime(name, ns=(entry.modified, entry.modified), dir_fd=folder, follow_symlinks=False)
    return ""


def dress(entry: Entry, descriptor: int, *, owners: bool, refusals: Refusals) -> None:
    """Owner, mode, attributes and time of an open file or folder. Raises OSError."""
    mode = entry.mode
    is_owned = True
    if owners:
        is_owned = _own(lambda: os.chown(descriptor, entry.user, entry.group), refusals)
    if not is_owned:
        mode &= ~_SPECIAL_BITS  # they would run as somebody else than in the backup
    os.chmod(descriptor, mode)
    _extend(descriptor, entry, refusals)
    os.utime(descriptor, ns=(entry.modified, entry.modified))


def hash_zeros(digest: t.Any, count: int) -> None:
    """Hash a hole of *count* bytes."""
    while count > 0:
        digest.update(memoryview(_ZEROS)[: min(count, len(_ZEROS))])
        count -= len(_ZEROS)


def hashed(entry: Entry, pieces: Pieces) -> str:
    """The SHA-256 of a file's content, holes and all."""
    digest, position = hashlib.sha256(), 0
    for offset, piece in pieces:
        hash_zeros(digest, offset - position)
        digest.update(piece)
        position = offset + len(piece)
    hash_zeros(digest, entry.size - position)
    return digest.hexdigest()


def _file(
    entry: Entry, pieces: Pieces, *, folder: int, name: bytes, owners: bool, refusals: Refusals, durable: bool
) -> str:
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        sha256 = hashed(entry, _written(file, pieces))
        file.truncate(entry.size)
        dress(entry, descriptor, owners=owners, refusals=refusals)
        if durable:
            os.fsync(descriptor)
    return sha256


def _written(file: t.Any, pieces: Pieces) -> Pieces:
    for offset, piece in pieces:
        file.seek(offset)
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]
        yield offset, piece


def _remove_own(folder: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _own(change: t.Callable[[], None], refusals: Refusals) -> bool:
    try:
        change()
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
        refusals.owners += 1
        return False
    return True


def _extend(where: int | str, entry: Entry, refusals: Refusals) -> None:
    for name in write_extended(where, entry.extended):
        refusals.extended[name] = refusals.extended.get(name, 0) + 1
