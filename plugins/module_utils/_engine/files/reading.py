# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading one file while others may write to it: whole or not, never a body that differs from its header."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import typing as t
from dataclasses import dataclass, replace

from ..core.clock import Clock
from ..core.errors import FilesUnreadable
from .entry import FILE, Entry
from .extended import read_extended
from .names import shown
from .owners import Owners
from .tar_writer import BLOCK_SIZE, Extent, header, padded, sparse_header
from .walk import Found, entry_of

#: A file that changes while it is read is read this often.
READINGS = 3
_PAUSE_SECONDS = 0.05
_PIECE = 1024 * 1024
#: What is read into memory before its header is written, so that another reading leaves no trace in the tar.
_SMALL = 1024 * 1024
# More pieces than that are stored as they read, holes and all.
_MOST_EXTENTS = 50_000


@dataclass(frozen=True)
class Reading:
    """*entry* as it was stored; *is_whole* is False when the file changed at every reading. *status* is that of the
    file as it was read.
    """

    entry: Entry
    is_whole: bool
    status: os.stat_result


class Vanished(Exception):
    """It is not there any more, or something else is."""


def store_file(found: Found, write: t.Callable[[bytes], None], *, owners: Owners, clock: Clock) -> Reading:
    """Write the file as a member of a tar, again as a further member of the same name when it changed meanwhile: on
    unpacking, the last one counts. Raises Vanished and FilesUnreadable.
    """
    reading = None
    for turn in range(READINGS):
        if turn:
            clock.sleep(_PAUSE_SECONDS)
        try:
            with _opened(found) as file:
                status = os.fstat(file.fileno())
                entry = replace(
                    entry_of(found, owners, status=status), extended=read_extended(file.fileno()), kind=FILE
                )
                if entry.size <= _SMALL:
                    body = _whole(file)
                    is_same = len(body) == entry.size and _is_same(status, os.fstat(file.fileno()))
                    if not is_same and turn + 1 < READINGS:
                        continue
                    entry = replace(entry, size=len(body), sha256=hashlib.sha256(body).hexdigest())
                    if _extents_of(file.fileno(), status):
                        file.seek(0)
                        entry, is_same = _stream(file, entry, status, write)
                    else:
                        write(header(entry) + padded(body))
                    return Reading(entry=entry, is_whole=is_same, status=status)
                entry, is_same = _stream(file, entry, status, write)
                reading = Reading(entry=entry, is_whole=is_same, status=status)
                if is_same:
                    return reading
        except OSError as error:
            raise _unreadable(found, error) from error
    if reading is None:
        raise Vanished
    return reading


def look_through(found: Found) -> tuple[str, os.stat_result] | None:
    """SHA-256 of a file and its status, None when it changed while it was read. Raises Vanished and FilesUnreadable."""
    digest = hashlib.sha256()
    try:
        with _opened(found) as file:
            status = os.fstat(file.fileno())
            while True:
                piece = file.read(_PIECE)
                if not piece:
                    break
                digest.update(piece)
            is_same = _is_same(status, os.fstat(file.fileno()))
    except OSError as error:
        raise _unreadable(found, error) from error
    return (digest.hexdigest(), status) if is_same else None


def _unreadable(found: Found, error: OSError) -> FilesUnreadable:
    return FilesUnreadable(
        f"/{shown(found.path)} can't be read: {error.strerror}.",
        hint="Look at the disk: dmesg | tail. Leave it out with connection.exclude if it must be.",
        details={"path": shown(found.path)},
    )


def _opened(found: Found) -> t.BinaryIO:
    try:
        descriptor = os.open(
            found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=found.folder
        )
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ESTALE):
            raise Vanished from error
        raise
    file = open(descriptor, "rb", buffering=0)  # noqa: SIM115 the caller closes it
    if not _is_regular(descriptor):
        file.close()
        raise Vanished
    return t.cast("t.BinaryIO", file)


def _stream(
    file: t.BinaryIO, entry: Entry, status: os.stat_result, write: t.Callable[[bytes], None]
) -> tuple[Entry, bool]:
    """The file as it is read, in as many bytes as its header says, whatever becomes of it meanwhile."""
    extents = _extents_of(file.fileno(), status)
    digest = hashlib.sha256()
    # The header comes first and needs no hash; the list has it.
    if extents is None:
        write(header(entry))
        extents, total = [(0, entry.size)], entry.size
    else:
        write(sparse_header(entry, extents))
        total = sum(length for _offset, length in extents)
    position = 0
    for offset, length in extents:
        _hash_zeros(digest, offset - position)
        file.seek(offset)
        left = length
        while left:
            piece = file.read(min(_PIECE, left)) or bytes(min(_PIECE, left))  # zeros where it was cut short
            digest.update(piece)
            write(piece)
            left -= len(piece)
        position = offset + length
    _hash_zeros(digest, entry.size - position)
    write(bytes(-total % BLOCK_SIZE))
    return replace(entry, sha256=digest.hexdigest()), _is_same(status, os.fstat(file.fileno()))


def _whole(file: t.BinaryIO) -> bytes:
    """All of a small file, and no more than a small file has."""
    pieces = []
    left = _SMALL
    while left:
        piece = file.read(left)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _extents_of(descriptor: int, status: os.stat_result) -> list[Extent] | None:
    """Where data is, when the file has holes worth leaving out; None else."""
    if not status.st_size or status.st_blocks * 512 >= status.st_size:
        return None
    try:
        extents = list(itertools.islice(_data_in(descriptor, status.st_size), _MOST_EXTENTS + 1))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return None
        raise
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    if len(extents) > _MOST_EXTENTS or sum(length for _offset, length in extents) == status.st_size:
        return None
    if not extents or sum(extents[-1]) < status.st_size:
        extents.append((status.st_size, 0))  # so that readers learn where it ends
    return extents


def _data_in(descriptor: int, size: int) -> t.Iterator[Extent]:
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        if start >= size:
            return
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, position - start


def _is_same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _is_regular(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _hash_zeros(digest: t.Any, count: int) -> None:
    zeros = bytes(min(_PIECE, max(count, 0)))
    while count > 0:
        digest.update(zeros[: min(count, len(zeros))])
        count -= len(zeros)
