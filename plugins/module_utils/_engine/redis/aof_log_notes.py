# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host notes of a lineage between two captures: how far each file was captured, and as what it is known.

One JSON document for each lineage in a hidden folder of the spool, replaced whole after each piece. What it says may be
behind what lies in the spool by the piece that a death came after; the note beside that piece says the rest.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from dataclasses import asdict, dataclass, field

from ..core.durable import fsync_folder
from ..core.errors import StreamSpoolUnusable
from .aof_log_piece import BASE

FOLDER = ".aof-log"
_SUFFIX = ".json"


@dataclass
class FileNote:
    """One file of a generation.

    *captured* bytes are in the spool or stored, *tail* is the hash of their end, *closing* the second in force there.
    *ended*: the server writes no more to it; *sealed* is its length then, None as long as that is not known and for
    ever when its end is *lost* (which says how). *gone*: the manifest names it no more. *follows*: nothing was written
    between the increment before and it; else *broken* says why not. Of a base: its size and what its head says.
    """

    type: str
    increment: int
    file: str
    device: int = 0
    inode: int = 0
    captured: int = 0
    tail: str = ""
    closing: int | None = None
    ended: bool = False
    gone: bool = False
    sealed: int | None = None
    lost: str = ""
    follows: bool = False
    broken: str = ""
    size: int = 0
    created: int | None = None
    holds: int | None = None
    rdb: t.Mapping[str, t.Any] | None = None

    @property
    def key(self) -> str:
        """Its name among the notes and links."""
        return file_key(self.type, self.increment)

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to come of it."""
        if self.lost:
            return True
        if self.type == BASE:
            return self.size > 0 and self.captured >= self.size
        return self.ended and self.sealed is not None and self.captured >= self.sealed


@dataclass
class ChainNotes:
    """One lineage. *timed*: annotations were on when the last capture left, on the server *run_id*.

    *config_sets* is how often CONFIG SET had been run on it by then, *covered* the last second that was complete, and
    *taken* the second in which bytes were captured last. *since*: it took the place of another history, and says
    nothing about seconds before that one, although its files may hold older writes.
    """

    chain: int
    lineage: str
    run_id: str = ""
    replication_id: str = ""
    config_sets: int | None = None
    timed: bool = False
    covered: int | None = None
    taken: int | None = None
    since: int | None = None
    over: str = ""
    turned_on: str = ""
    files: dict[str, FileNote] = field(default_factory=dict)

    def in_order(self) -> list[FileNote]:
        """The files in order of commitment."""
        return sorted(self.files.values(), key=lambda note: (note.increment, note.type))

    def find(self, kind: str, increment: int) -> FileNote | None:
        """The note of that file."""
        return self.files.get(file_key(kind, increment))

    @property
    def last_increment(self) -> int:
        """The newest increment, 0 without one."""
        return max((note.increment for note in self.files.values() if note.type != BASE), default=0)


def file_key(kind: str, increment: int) -> str:
    """``0000000003.i``: in order of commitment."""
    return f"{increment:010d}.{kind}"


def load_notes(spool: str) -> list[ChainNotes]:
    """The notes of all lineages that are not done, oldest first. Raises StreamSpoolUnusable, also for one that can't be
    read: going on without it would begin a new lineage for nothing.
    """
    folder = os.path.join(spool, FOLDER)
    found = []
    try:
        for name in sorted(os.listdir(folder)):
            if name.endswith(_SUFFIX) and not name.startswith("."):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    found.append(_notes(json.load(file)))
    except FileNotFoundError:
        return found
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StreamSpoolUnusable(
            f"The notes in {folder} can't be read: {error}.",
            hint=f"Look at them; without them a new lineage is begun: mv {folder} {folder}.aside",
            details={"path": folder},
        ) from error
    return sorted(found, key=lambda notes: notes.chain)


def save_notes(spool: str, notes: ChainNotes) -> None:
    """Replace the notes of one lineage, durably. Raises ``OSError``."""
    folder = os.path.join(spool, FOLDER)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(notes), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, _path(folder, notes))
    except BaseException:
        os.unlink(temporary)
        raise
    fsync_folder(folder)


def forget_notes(spool: str, notes: ChainNotes) -> None:
    """Remove the notes of a lineage that is over and of which nothing is to come any more. Raises ``OSError``."""
    folder = os.path.join(spool, FOLDER)
    os.unlink(_path(folder, notes))
    fsync_folder(folder)


def _path(folder: str, notes: ChainNotes) -> str:
    return os.path.join(folder, f"{notes.chain}{_SUFFIX}")


def _notes(document: t.Mapping[str, t.Any]) -> ChainNotes:
    files = {key: FileNote(**note) for key, note in document["files"].items()}
    return ChainNotes(**{**document, "files": files})
