# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The append-only files that a server's manifest names at one moment, open; and whether they are the noted ones."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import AofUnstable
from .aof_log_cut import tail_hash
from .aof_log_notes import ChainNotes, FileNote
from .aof_log_piece import BASE, INCREMENT
from .aof_manifest import ManifestEntry, parse_manifest
from .aof_set import Vanished, open_set
from .facts import ServerFacts
from .local_files import DataFolder

_ATTEMPTS = 50
_POLL = 0.1


@dataclass(frozen=True)
class OpenFile:
    """One file: ``b`` or ``i``, the increment that it is or that begins with it, its *name* and *path*."""

    type: str
    increment: int
    name: str
    path: str
    descriptor: int
    size: int


class OpenFiles:
    """The files of one moment, oldest first. Whoever gets them closes them."""

    def __init__(self, files: t.Sequence[OpenFile]) -> None:
        self.files = tuple(files)

    @property
    def first_increment(self) -> int:
        """The increment that begins with the base."""
        return min(file.increment for file in self.files)

    @property
    def last_increment(self) -> int:
        """The increment that is being written."""
        return max(file.increment for file in self.files)

    @property
    def newest(self) -> OpenFile:
        """The file that is being written."""
        return self.files[-1]

    def close(self) -> None:
        """Close them; may be called once."""
        for file in self.files:
            os.close(file.descriptor)


def open_files(facts: ServerFacts, folder: DataFolder, *, clock: Clock) -> OpenFiles | None:
    """What the manifest names now; None while there is no manifest with an increment yet.

    Raises AofUnstable when it never stood still, AofInvalid and RedisFilesUnreachable.
    """
    settings = facts.settings or {}
    for _attempt in range(_ATTEMPTS):
        try:
            found = open_set(
                data_folder=folder.path,
                folder_name=settings.get("appenddirname", "appendonlydir"),
                file_name=settings.get("appendfilename", "appendonly.aof"),
            )
        except Vanished as error:
            if not os.path.exists(str(error)) and str(error).endswith(".manifest"):
                return None
            clock.sleep(_POLL)
            continue
        files = [
            OpenFile(
                type=BASE if entry.kind == "base" else INCREMENT,
                increment=entry.sequence,
                name=entry.name,
                path=folder.join(file.name),
                descriptor=file.descriptor,
                size=file.length,
            )
            for entry, file in zip(_in_use(found.manifest), found.files)
        ]
        opened = OpenFiles(_with_base(files))
        if not opened.files or opened.newest.type == BASE:
            opened.close()
            return None
        return opened
    raise AofUnstable(
        f"The manifest of the append-only files below {folder.path!r} never stood still.",
        hint="Look at the server's log; the next capture tries again.",
        details={"path": folder.path},
    )


def _in_use(manifest: bytes) -> list[ManifestEntry]:
    return [entry for entry in parse_manifest(manifest) if entry.kind != "history"]


def _with_base(files: t.Sequence[OpenFile]) -> list[OpenFile]:
    """In order; a base is known by the increment that begins with it: the first one that the manifest names."""
    increments = sorted((file for file in files if file.type == INCREMENT), key=lambda file: file.increment)
    bases = [file for file in files if file.type == BASE]
    begin = increments[0].increment if increments else 0
    moved = [OpenFile(BASE, begin, base.name, base.path, base.descriptor, base.size) for base in bases]
    return [*moved, *increments]


def other_history(notes: ChainNotes, now: OpenFiles) -> str:
    """Why the files are not those that *notes* know, grown; empty when they are, or are later ones of the same row.

    The inode proves it, and where that is another one (files that were copied back) so do the last bytes that were
    captured: a base ends with its checksum.
    """
    if now.last_increment < notes.last_increment:
        return f"increment {notes.last_increment} was captured, and the server is at {now.last_increment}"
    for file in now.files:
        note = notes.find(file.type, file.increment)
        if note is not None and not _is_same(note, file, now=now, notes=notes):
            return f"{file.name} is not what was captured of it"
    return ""


def _is_same(note: FileNote, file: OpenFile, *, now: OpenFiles, notes: ChainNotes) -> bool:
    status = os.fstat(file.descriptor)
    if file.size < note.captured or (note.size and file.size != note.size):
        return False
    if note.captured and tail_hash(file.descriptor, note.captured, name=file.name) != note.tail:
        return False
    if (status.st_dev, status.st_ino) == (note.device, note.inode):
        return True
    if note.captured and note.type == INCREMENT:
        return True
    # Nothing of it was captured by which it could be known: the base before it must be the same.
    base = next((one for one in now.files if one.type == BASE), None)
    known = notes.find(BASE, now.first_increment)
    if base is None or known is None or not known.captured or base.size < known.captured:
        return False
    return tail_hash(base.descriptor, known.captured, name=base.name) == known.tail
