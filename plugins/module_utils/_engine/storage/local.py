# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository made of files below one folder: a local disk or a mounted network file system."""

from __future__ import annotations

import datetime
import os
import stat
import typing as t

from ..core.errors import StorageError, StorageForbidden, StorageNotFound, StorageUnreachable
from .base import (
    CHECK_KEY,
    TEMPORARY_PREFIX,
    DeleteReport,
    LockState,
    ObjectInfo,
    ObjectVersion,
    ObjectWriter,
    Properties,
    Unfinished,
    check_folder,
    check_key,
    check_prefix,
    is_key,
)
from .local_errors import free_bytes, storage_error, translated
from .local_tree import Tree, refuse_link
from .local_writer import LocalWriter, final_name, from_timestamp

_PIECE = 1024 * 1024
_NO_LOCKS = "a repository made of files has no object lock: root can always delete them"
_NO_VERSIONS = "a repository made of files keeps no old versions"


class LocalStorage:
    """Objects as files below *path*, an absolute folder that exists, unless *create*: then the first write makes it.

    An object is written under a temporary name beside its place, synced, linked to its name, and the folder synced.
    Files get *file_mode* and folders *folder_mode*, whatever the umask. No symbolic link below *path* is followed;
    *path* itself may be one. Files whose names can't be keys are not listed.

    The ``started`` of an unfinished upload is the time of its last write.
    """

    def __init__(self, *, path: str, create: bool = False, folder_mode: int = 0o700, file_mode: int = 0o600) -> None:
        self._root = os.path.normpath(path)
        self._create = create
        self._file_mode = file_mode
        self._tree = Tree(root=self._root, create=create, folder_mode=folder_mode)

    def __repr__(self) -> str:
        return f"LocalStorage({self._root!r})"

    @property
    def properties(self) -> Properties:
        return Properties(kind="file", url=f"file://{self._root}", conditional_put=True)

    def check(self) -> None:
        with translated(doing="enter", root=self._root, path=self._root):
            self._tree.require_root()
        self.put(CHECK_KEY, b"Lifeboat can write here.\n", if_absent=False)
        # One that may not be deleted again is left, as promised.
        self.delete([CHECK_KEY])

    def free_bytes(self) -> int | None:
        return free_bytes(self._root)

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        check_key(key)
        return LocalWriter(
            tree=self._tree,
            key=key,
            file_mode=self._file_mode,
            expected_bytes=expected_bytes,
            if_absent=if_absent,
        )

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        writer = self.writer(key, expected_bytes=len(data), if_absent=if_absent)
        try:
            writer.write(data)
            return writer.commit()
        finally:
            writer.abort()

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        descriptor, facts = self._open(key)
        end = facts.st_size if length is None else min(facts.st_size, offset + length)
        pieces = self._pieces(key, descriptor, position=offset, end=end)
        # Started here, so that the descriptor is closed even when nobody asks for the first piece.
        next(pieces)
        return pieces

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        size = self.stat(key).size
        if size > limit:
            raise StorageError(f"{key} is {size} bytes long, more than the {limit} that were to be read.")
        return b"".join(self.read(key))

    def stat(self, key: str) -> ObjectInfo:
        descriptor, facts = self._open(key)
        os.close(descriptor)
        return _info(key, facts)

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        folder, _slash, partial = check_prefix(prefix).rpartition("/")
        for key, facts in self._walk(folder, partial=partial):
            if is_key(key):
                yield _info(key, facts)

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        for name in sorted(self._folder_names(check_folder(prefix).rstrip("/"))):
            if any(is_key(key) for key, _facts in self._walk(f"{prefix}{name}")):
                yield name

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        for key in keys:
            check_key(key)
        deleted: list[str] = []
        refused: dict[str, str] = {}
        for key in dict.fromkeys(keys):
            reason = self._refusal_to_unlink(key)
            if reason is None:
                deleted.append(key)
            else:
                refused[key] = reason
        # Durable before we say so: whoever deletes a manifest and then its payload relies on the order.
        for folder in dict.fromkeys(key.rpartition("/")[0] for key in deleted):
            with translated(doing="delete from", root=self._root, path=os.path.join(self._root, folder)):
                self._settle(folder)
        return DeleteReport(deleted=tuple(deleted), refused=refused)

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        folder, _slash, partial = check_prefix(prefix).rpartition("/")
        for token, facts in self._walk(folder, partial=partial, temporary=True):
            above, _slash, name = token.rpartition("/")
            key = os.path.join(above, final_name(name))
            if key.startswith(prefix):
                yield Unfinished(key=key, token=token, started=from_timestamp(facts.st_mtime))

    def abort_unfinished(self, upload: Unfinished) -> None:
        check_key(upload.key)
        folder, _slash, name = upload.token.rpartition("/")
        if not name.startswith(TEMPORARY_PREFIX) or os.path.join(folder, final_name(name)) != upload.key:
            raise StorageError(f"{upload.token} is not the unfinished upload of {upload.key}.")
        parts = _parts(folder)
        with translated(doing="remove", root=self._root, path=os.path.join(self._root, upload.token)):
            try:
                with self._tree.folder(parts) as descriptor:
                    os.unlink(name, dir_fd=descriptor)
            except FileNotFoundError:
                return
        self._tree.prune(parts)

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        check_prefix(prefix)
        return iter(())

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        return DeleteReport(refused={check_key(version.key): _NO_VERSIONS for version in versions})

    def lock_state(self, key: str) -> LockState | None:
        self.stat(key)
        return None

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        return {check_key(key): _NO_LOCKS for key in keys}

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        return {check_key(key): _NO_LOCKS for key in keys}

    def clock_skew(self) -> float:
        return 0.0

    def _open(self, key: str) -> tuple[int, os.stat_result]:
        *parts, name = check_key(key).split("/")
        with translated(doing="read", root=self._root, path=os.path.join(self._root, key)):
            try:
                with self._tree.folder(parts) as folder:
                    refuse_link(folder, name, path=os.path.join(self._root, key))
                    # O_NONBLOCK: opening a named pipe would wait for its writer for ever.
                    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                    descriptor = os.open(name, flags, dir_fd=folder)
            except FileNotFoundError:
                raise _not_found(key) from None
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            os.close(descriptor)
            raise _not_found(key)
        return descriptor, facts

    def _pieces(self, key: str, descriptor: int, *, position: int, end: int) -> t.Iterator[bytes]:
        try:
            yield b""
            while position < end:
                try:
                    piece = os.pread(descriptor, min(_PIECE, end - position), position)
                except OSError as error:
                    path = os.path.join(self._root, key)
                    raise storage_error(error, doing="read", root=self._root, path=path) from error
                if not piece:
                    raise StorageUnreachable(
                        f"{key} ended at byte {position} of {end} while it was read: it was cut short meanwhile."
                    )
                position += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    def _refusal_to_unlink(self, key: str) -> str | None:
        """Remove the file and return None; or, when that is not allowed, why."""
        *parts, name = key.split("/")
        path = os.path.join(self._root, key)
        try:
            with translated(doing="delete", root=self._root, path=path), self._tree.folder(parts) as folder:
                refuse_link(folder, name, path=path)
                if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=folder)
        except StorageNotFound:
            return None  # it is not there, as is wanted
        except StorageForbidden as error:
            return error.message
        return None

    def _settle(self, folder: str) -> None:
        parts = _parts(folder)
        try:
            with self._tree.folder(parts) as descriptor:
                os.fsync(descriptor)
        except FileNotFoundError:
            return
        self._tree.prune(parts)

    def _walk(
        self, folder: str, *, partial: str = "", temporary: bool = False
    ) -> t.Iterator[tuple[str, os.stat_result]]:
        """Files at and below *folder* whose first part begins with *partial*, in order of key.

        With *temporary*, those that are still being written instead, whatever they begin with.
        """
        path = os.path.join(self._root, folder)
        with translated(doing="list", root=self._root, path=path):
            try:
                with self._tree.folder(_parts(folder)) as descriptor:
                    for entry in self._tree.entries(descriptor, path=path):
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_folder and entry.name.startswith(partial):
                            yield from self._walk(name[:-1], temporary=temporary)
                        elif entry.temporary == temporary and (temporary or entry.name.startswith(partial)):
                            yield from _facts(name, folder=descriptor)
            except FileNotFoundError:
                return  # removed while it was listed, or nothing was ever stored

    def _folder_names(self, folder: str) -> t.Sequence[str]:
        path = os.path.join(self._root, folder)
        with translated(doing="list", root=self._root, path=path):
            try:
                with self._tree.folder(_parts(folder)) as descriptor:
                    entries = self._tree.entries(descriptor, path=path)
            except FileNotFoundError:
                return []
        return [entry.name[:-1] for entry in entries if entry.is_folder]


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []


def _facts(name: str, *, folder: int) -> t.Iterator[tuple[str, os.stat_result]]:
    """The file's name and facts, or nothing when it was removed meanwhile."""
    try:
        yield name, os.stat(os.path.basename(name), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return


def _info(key: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, size=facts.st_size, modified=from_timestamp(facts.st_mtime))


def _not_found(key: str) -> StorageNotFound:
    return StorageNotFound(f"There is no object {key} in the repository.", details={"key": key})
