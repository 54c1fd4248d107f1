# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup's data in a folder of our own, checked, durable, and not yet where any server would load it from.

One way for restores and verifications. What is staged is then laid out as the target wants it: a snapshot becomes
dump.rdb, or the base of a set of append-only files, for a server with ``appendonly yes`` ignores dump.rdb and starts
empty. Both forms of a base are what such a server writes itself (``aof-use-rdb-preamble``), so nothing has to be
switched off and on again while it starts.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from dataclasses import dataclass

from ..core.durable import fsync_folder
from ..core.errors import ContentMismatch
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .aof_manifest import quoted_name
from .aof_unpack import UnpackedAof, read_aof_tar, require_files
from .noted import Noted
from .rdb import RdbChecker, RdbFacts
from .restore_notes import AOF_PAYLOAD, RDB_PAYLOAD

_RDB = "dump.rdb"
_SET = "append-only"


@dataclass(frozen=True)
class Persistence:
    """Where a server looks for its data: names in its data folder. *append_folder* is None before Redis 7.0."""

    append_only: bool
    rdb_name: str
    append_name: str
    append_folder: str | None

    @property
    def append_path(self) -> str:
        """The folder of append-only files, or the one file before Redis 7.0."""
        return self.append_name if self.append_folder is None else self.append_folder


def stage_rdb(source: PayloadSource, noted: Noted, folder: str, *, progress: Progress) -> RdbFacts:
    """Fetch the snapshot into *folder*, made anew. Raises what delivery raises, RdbInvalid and ContentMismatch."""
    make_anew(folder)
    checker = RdbChecker()

    def read(stream: t.BinaryIO) -> None:
        with open(os.path.join(folder, _RDB), "xb", buffering=0, opener=_private) as file:
            while True:
                piece = stream.read(1024 * 1024)
                if not piece:
                    break
                checker.feed(piece)
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())

    source.deliver(RDB_PAYLOAD, PayloadOutput(read=read), progress=progress)
    facts = checker.finish()
    if noted.crc64 is not None and facts.crc64 != noted.crc64:
        raise ContentMismatch(
            f"The snapshot is whole, but it is another one than the manifest notes: its checksum is {facts.crc64}, "
            f"not {noted.crc64}.",
            hint="Restore another backup: lifeboat list shows them.",
            details={"found": facts.crc64, "noted": noted.crc64},
        )
    fsync_folder(folder)
    return facts


def stage_aof(source: PayloadSource, noted: Noted, folder: str, *, progress: Progress) -> UnpackedAof:
    """Fetch the append-only files into *folder*, which is made anew.

    Raises what delivery raises, AofInvalid, RdbInvalid, HostileArchive and ContentMismatch.
    """
    make_anew(folder)
    inner = os.path.join(folder, _SET)
    os.mkdir(inner, 0o700)
    found: list[UnpackedAof] = []
    source.deliver(
        AOF_PAYLOAD,
        PayloadOutput(read=lambda stream: found.append(read_aof_tar(stream, into=inner))),
        progress=progress,
    )
    require_files(found[0], noted)
    return found[0]


def lay_out_rdb(folder: str, persistence: Persistence) -> list[tuple[str, str]]:
    """Arrange the staged snapshot for a server: pairs of what lies in *folder* and its name in the data folder.

    May be called again after a death in its middle.
    """
    if not persistence.append_only:
        return [(_RDB, persistence.rdb_name)]
    if persistence.append_folder is None:
        return [(_RDB, persistence.append_name)]
    base = f"{persistence.append_name}.1.base.rdb"
    inner = os.path.join(folder, _SET)
    shutil.rmtree(inner, ignore_errors=True)
    os.mkdir(inner, 0o700)
    # A base is never written to again, only replaced; so is dump.rdb. Both names may share the bytes.
    os.link(os.path.join(folder, _RDB), os.path.join(inner, base))
    _write_manifest(inner, persistence, b"file " + quoted_name(base) + b" seq 1 type b\n")
    return [(_SET, persistence.append_folder), (_RDB, persistence.rdb_name)]


def lay_out_aof(folder: str, unpacked: UnpackedAof, persistence: Persistence) -> list[tuple[str, str]]:
    """As :func:`lay_out_rdb`, for append-only files."""
    inner = os.path.join(folder, _SET)
    if persistence.append_folder is None:
        return [(os.path.join(_SET, next(iter(unpacked.files))), persistence.append_name)]
    manifest = unpacked.manifest
    if manifest is None:  # the one file of an older server is a base, as in the upgrade that Redis 7.0 does itself
        manifest = b"file " + quoted_name(next(iter(unpacked.files))) + b" seq 1 type b\n"
    _write_manifest(inner, persistence, manifest)
    return [(_SET, persistence.append_folder)]


def hand_over(folder: str, *, user: int, group: int, mode: int) -> None:
    """Give everything in *folder* to the server's user (folders with the search bits that *mode*'s read bits imply),
    and make it durable.
    """
    for parent, folders, files in os.walk(folder):
        for name in files:
            _give(os.path.join(parent, name), user=user, group=group, mode=mode)
        for name in folders:
            _give(os.path.join(parent, name), user=user, group=group, mode=mode | (mode & 0o444) >> 2)
        fsync_folder(parent)


def remove(path: str) -> bool:
    """Remove a file or a whole folder; says whether there was one. A link is removed, not what it points to."""
    if not os.path.lexists(path):
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    return True


def make_anew(folder: str) -> None:
    """An empty folder of our own, whatever was there."""
    remove(folder)
    os.mkdir(folder, 0o700)


def _write_manifest(inner: str, persistence: Persistence, manifest: bytes) -> None:
    path = os.path.join(inner, f"{persistence.append_name}.manifest")
    with open(path, "wb", opener=_private) as file:
        file.write(manifest)
        file.flush()
        os.fsync(file.fileno())


def _give(path: str, *, user: int, group: int, mode: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (user, group):
            os.fchown(descriptor, user, group)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
