# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The append-only files of one moment: opened, their lengths frozen, and copied in a tar.

A name is not a file: a rewrite replaces the manifest and deletes base and increments while we copy. An open descriptor
keeps the bytes until it is closed, so nothing is linked, and no setting of the server is changed. The last increment
keeps growing, so the length that it had at the moment is what is copied. An append-only file is a history: any
beginning of it is a state that the data set was in.
"""

from __future__ import annotations

import io
import os
import tarfile
import typing as t
from dataclasses import dataclass

from ..core.errors import AofUnstable
from .aof_check import AofChecker, AofFacts
from .aof_manifest import parse_manifest
from .local_files import unreadable

_PIECE = 1024 * 1024
_LARGEST_MANIFEST = 1024 * 1024


class Vanished(Exception):
    """A file that the manifest named was gone when it was to be opened: the set changed meanwhile."""


@dataclass(frozen=True)
class FrozenFile:
    """One open file of the set. Only its first *length* bytes belong to it; *name* is its path in the tar."""

    name: str
    kind: str  # base, increment, or single (before Redis 7.0)
    descriptor: int
    length: int
    modified: int


class AofSet:
    """The open files of one moment, oldest first; close() lets them go."""

    def __init__(self, *, files: t.Sequence[FrozenFile], manifest_name: str | None, manifest: bytes) -> None:
        """*manifest_name* is the manifest's path in the tar, None before Redis 7.0."""
        self.files = tuple(files)
        self.manifest_name = manifest_name
        self.manifest = manifest

    @property
    def length(self) -> int:
        """Bytes of all files without the manifest."""
        return sum(file.length for file in self.files)

    @property
    def increment_length(self) -> int:
        """Bytes of the files that are not the base."""
        return sum(file.length for file in self.files if file.kind != "base")

    def write_tar(self, output: t.BinaryIO) -> dict[str, AofFacts]:
        """Write all files and last the manifest as a tar; return what each file holds, by its name in the tar.

        Raises AofInvalid, RdbInvalid and AofUnstable; then what was written is worthless.
        """
        facts = {}
        with tarfile.open(
            fileobj=output, mode="w|", format=tarfile.GNU_FORMAT, bufsize=_PIECE, errors="surrogateescape"
        ) as archive:
            for file in self.files:
                checked = _CheckedReader(file)
                member = _member(file.name, size=file.length, modified=file.modified)
                # tarfile asks for 16 KiB at a time; the checker is faster with larger pieces.
                archive.addfile(member, io.BufferedReader(checked, _PIECE))
                facts[file.name] = checked.checker.finish(last=file is self.files[-1])
            if self.manifest_name is not None:
                newest = max((file.modified for file in self.files), default=0)
                member = _member(self.manifest_name, size=len(self.manifest), modified=newest)
                archive.addfile(member, io.BytesIO(self.manifest))
        return facts

    def close(self) -> None:
        """Close every file; may be called more than once."""
        files, self.files = self.files, ()
        for file in files:
            os.close(file.descriptor)


def open_set(*, data_folder: str, folder_name: str, file_name: str) -> AofSet:
    """Open the set of Redis 7.0 and later: everything that the manifest names and that is not history.

    Raises Vanished when it changed under our hands (try again), RedisFilesUnreachable and AofInvalid.
    """
    folder = os.path.join(data_folder, folder_name)
    manifest_name = file_name + ".manifest"
    manifest_path = os.path.join(folder, manifest_name)
    manifest = _read_manifest(manifest_path)
    names = [(entry.name, entry.kind) for entry in parse_manifest(manifest) if entry.kind != "history"]
    opened: list[tuple[str, str, int]] = []
    try:
        for name, kind in names:
            opened.append((os.path.join(folder_name, name), kind, _open(os.path.join(folder, name))))
        if _read_manifest(manifest_path) != manifest:
            raise Vanished(manifest_path)
        files = [_freeze(name, kind, descriptor) for name, kind, descriptor in opened]
    except BaseException:
        for _name, _kind, descriptor in opened:
            os.close(descriptor)
        raise
    return AofSet(files=files, manifest_name=os.path.join(folder_name, manifest_name), manifest=manifest)


def open_single(*, data_folder: str, file_name: str) -> AofSet:
    """Open the one append-only file of servers before Redis 7.0. Raises RedisFilesUnreachable."""
    path = os.path.join(data_folder, file_name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(path, error) from error
    return AofSet(files=[_freeze(file_name, "single", descriptor)], manifest_name=None, manifest=b"")


class _CheckedReader(io.RawIOBase):
    """Reads a frozen file's bytes from the begin to its frozen length, checking them as they pass."""

    def __init__(self, file: FrozenFile) -> None:
        super().__init__()
        self.checker = AofChecker(name=file.name)
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        wanted = min(len(buffer), self._file.length - self._offset)
        piece = os.pread(self._file.descriptor, wanted, self._offset) if wanted else b""
        if wanted and not piece:
            raise AofUnstable(
                f"{self._file.name} became shorter while it was copied: the server took back a write that failed.",
                hint="Look at the server's log and its disk (aof_last_write_status), then run the backup again.",
                details={"file": self._file.name, "length": self._file.length, "found": self._offset},
            )
        self._offset += len(piece)
        self.checker.feed(piece)
        buffer[: len(piece)] = piece
        return len(piece)


def _read_manifest(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST_MANIFEST)
    except FileNotFoundError:
        raise Vanished(path) from None
    except OSError as error:
        raise unreadable(path, error) from error


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Vanished(path) from None
    except OSError as error:
        raise unreadable(path, error) from error


def _freeze(name: str, kind: str, descriptor: int) -> FrozenFile:
    status = os.fstat(descriptor)
    return FrozenFile(name=name, kind=kind, descriptor=descriptor, length=status.st_size, modified=int(status.st_mtime))


def _member(name: str, *, size: int, modified: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = modified
    member.mode = 0o600
    return member
