# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore in place will do, on disk before it does anything: one line for each thing that changes."""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass

from ..core.durable import fsync_folder
from ..core.errors import RestoreLedgerInvalid
from .entry import Entry, entry_from

#: A file, link or device takes its place; a folder is made; a folder is given other rights; something is moved aside.
PUT, FOLDER, DRESS, REMOVE = "put", "folder", "dress", "remove"
_DOES = (PUT, FOLDER, DRESS, REMOVE)


@dataclass(frozen=True)
class Action:
    """*entry* is the backup's (None for REMOVE), *current* what was there (None for nothing). *place* as in
    :mod:`places`. *first* is the number of the action that stages the file which this is another name of; None when
    that file stays as it is.
    """

    number: int
    do: str
    path: str
    place: str
    entry: Entry | None
    current: Entry | None
    first: int | None = None

    def as_line(self) -> bytes:
        """As one line."""
        document = {
            "number": self.number,
            "do": self.do,
            "path": self.path,
            "place": self.place,
            "entry": self.entry.as_line().decode("ascii") if self.entry else None,
            "current": self.current.as_line().decode("ascii") if self.current else None,
            "first": self.first,
        }
        return json.dumps(document).encode("ascii") + b"\n"


def write_actions(path: str, actions: t.Iterable[Action]) -> int:
    """Write them to *path* in one step, durably; returns how many. The file is readable by its owner only."""
    temporary = f"{path}.new"
    count = 0
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for action in actions:
            file.write(action.as_line())
            count += 1
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    fsync_folder(os.path.dirname(path))
    return count


def read_actions(path: str) -> t.Iterator[Action]:
    """One after the other; nothing when there is no such file. Raises RestoreLedgerInvalid when it can't be read."""
    try:
        file = open(path, "rb")  # noqa: SIM115 it is open until the last one was taken
    except FileNotFoundError:
        return
    with file:
        for line in file:
            yield _action(line, path)


def _action(line: bytes, path: str) -> Action:
    try:
        document = json.loads(line)
        made = Action(
            number=int(document["number"]),
            do=str(document["do"]),
            path=str(document["path"]),
            place=str(document["place"]),
            entry=entry_from(document["entry"].encode("ascii")) if document["entry"] else None,
            current=entry_from(document["current"].encode("ascii")) if document["current"] else None,
            first=document["first"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RestoreLedgerInvalid(
            f"The notes of the restore in {path} can't be read: {error!r}.",
            hint="What was replaced lies in the folders old below .lifeboat-restore-ID; move it back by hand.",
            details={"path": path},
        ) from error
    if made.do not in _DOES:
        raise RestoreLedgerInvalid(
            f"The notes of the restore in {path} ask for {made.do!r}.", hint="Use the version that wrote them."
        )
    return made
