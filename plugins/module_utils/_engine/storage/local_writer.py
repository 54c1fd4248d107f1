# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object on its way into a folder: a temporary file beside its place, made durable, then given its name."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import secrets
import stat
import typing as t
import weakref

from ..core.errors import StorageError, StorageExists, StorageKeyInvalid
from .base import TEMPORARY_PREFIX, ObjectInfo
from .local_errors import storage_error, translated
from .local_tree import Tree

# Write-back begins behind the writer every so many bytes. Measured with a stream of 1.5 GB at 250 MB/s: the final fsync
# takes 0.01 s instead of 0.45 s, writing itself is no slower (a thread calling fdatasync cost 40 %), and the pages
# that are on the disk leave the cache to the database.
_WRITE_BACK_BYTES = 16 * 1024 * 1024
# File systems without hard links: FAT, exFAT, many FUSE and SMB mounts.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NAME_MAX = 255


class LocalWriter:
    """Writes ``FOLDER/.lifeboat-tmp-RANDOM-NAME`` and makes it ``FOLDER/NAME`` in commit()."""

    def __init__(self, *, tree: Tree, key: str, file_mode: int, expected_bytes: int | None, if_absent: bool) -> None:
        self._tree = tree
        self._key = key
        *self._parts, self._name = key.split("/")
        self._path = os.path.join(tree.root, key)
        self._expected_bytes = expected_bytes or 0
        self._if_absent = if_absent
        self._written = 0
        self._written_back = 0
        self._temporary = temporary_name(self._name)
        with translated(doing="write", root=tree.root, path=self._path):
            self._folder, self._file = self._begin(file_mode)
        # A writer that is forgotten must not keep its space until the next clean-up.
        self._discard = weakref.finalize(self, _discard, tree, self._parts, self._folder, self._file, self._temporary)

    def write(self, data: bytes | memoryview) -> None:
        self._require_open()
        rest = memoryview(data).cast("B")
        try:
            while rest:
                count = os.write(self._file, rest)
                self._written += count
                rest = rest[count:]
            self._write_back()
        except OSError as error:
            raise self._give_up(error, behind=len(rest)) from error

    def commit(self) -> ObjectInfo:
        self._require_open()
        try:
            os.fsync(self._file)
            facts = os.fstat(self._file)
            self._publish(facts)
        except FileNotFoundError as error:
            raise StorageError(f"The upload of {self._key} was aborted by somebody else meanwhile.") from error
        except OSError as error:
            raise self._give_up(error) from error
        finally:
            # Takes away the temporary name, whether or not the file has its real one by now.
            self.abort()
        return ObjectInfo(key=self._key, size=facts.st_size, modified=from_timestamp(facts.st_mtime))

    def abort(self) -> None:
        self._discard()

    def _give_up(self, error: OSError, *, behind: int = 0) -> StorageError:
        """Free the space and return the error to raise; *behind* is how many known bytes were not written yet."""
        self.abort()
        needed = max(self._expected_bytes, self._written + behind)
        return storage_error(error, doing="write", root=self._tree.root, path=self._path, needed=needed)

    def _require_open(self) -> None:
        if not self._discard.alive:
            raise StorageError(f"The writing of {self._key} has ended already; begin it anew.")

    def _begin(self, file_mode: int) -> tuple[int, int]:
        # A delete() at the same moment may prune folders before there is a file in them: then they are made again.
        for _attempt in range(100):
            try:
                folder = self._tree.open_folder(self._parts, make=True)
            except FileNotFoundError:
                continue
            try:
                return folder, _create(self._temporary, folder=folder, mode=file_mode)
            except FileNotFoundError:
                os.close(folder)
            except BaseException:
                os.close(folder)
                self._tree.prune(self._parts)
                raise
        raise StorageError(f"The folder of {self._key} vanishes again and again while it is made.")

    def _write_back(self) -> None:
        behind = self._written - self._written_back
        if behind >= _WRITE_BACK_BYTES and hasattr(os, "posix_fadvise"):
            # Linux starts to write dirty pages of the range without waiting, and drops those that are clean.
            os.posix_fadvise(self._file, self._written_back, behind, os.POSIX_FADV_DONTNEED)
            self._written_back = self._written

    def _publish(self, facts: os.stat_result) -> None:
        if not self._if_absent:
            self._refuse_folder()
            os.replace(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)
            return
        try:
            os.link(
                self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False
            )
        except FileExistsError:
            # NFS says so too when the link was made and only the answer was lost.
            if not self._is_ours(facts):
                raise self._exists() from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._publish_without_links()
        try:
            os.fsync(self._folder)
        except BaseException:
            os.unlink(self._name, dir_fd=self._folder)
            raise

    def _publish_without_links(self) -> None:
        """Rename, under a claim that only one writer can make."""
        claim = temporary_name(self._name, random="claim")
        try:
            os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._folder))
        except FileExistsError:
            raise StorageExists(
                f"{self._key} is being stored by another run at this moment, or that run died doing so.",
                hint=f"If no other run is at work, remove {os.path.join(os.path.dirname(self._path), claim)}",
            ) from None
        try:
            with contextlib.suppress(FileNotFoundError):
                os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
                raise self._exists()
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        finally:
            os.unlink(claim, dir_fd=self._folder)

    def _refuse_folder(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_mode):
                raise StorageKeyInvalid(
                    f"{self._path} is a folder of other objects, so no object can have that name.",
                    hint="Store it under another name.",
                )

    def _is_ours(self, facts: os.stat_result) -> bool:
        return os.path.samestat(facts, os.stat(self._name, dir_fd=self._folder, follow_symlinks=False))

    def _exists(self) -> StorageError:
        self._refuse_folder()
        return StorageExists(
            f"There is an object {self._key} already, and it may not be replaced.", details={"key": self._key}
        )


def from_timestamp(seconds: float) -> datetime.datetime:
    """Seconds since 1970, as a file system notes them, as an aware time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)


def temporary_name(name: str, *, random: str = "") -> str:
    """The name that the file *name* has while it is written; cut where file systems would refuse its length."""
    return f"{TEMPORARY_PREFIX}{random or secrets.token_hex(8)}-{name}"[:_NAME_MAX]


def final_name(temporary: str) -> str:
    """The name that the temporary file was to get."""
    return temporary[len(TEMPORARY_PREFIX) :].partition("-")[2]


def _create(name: str, *, folder: int, mode: int) -> int:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        # The umask took something away. FAT and SMB mounts have one mode for all files and refuse another.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, mode)
    return descriptor


def _discard(tree: Tree, parts: t.Sequence[str], folder: int, file: int, temporary: str) -> None:
    # An error here leaves at worst a file that unfinished() shows and the next run removes. After a commit the file is
    # safe already, its temporary name gone or one of two.
    with contextlib.suppress(OSError):
        os.close(file)
    with contextlib.suppress(OSError):
        os.unlink(temporary, dir_fd=folder)
    with contextlib.suppress(OSError):
        os.close(folder)
    tree.prune(parts)
