# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of the files of its last backups: enough to tell, without reading it, that a file is the same.

``STATE/files/SERVICE.SOURCE/BACKUP ID.files`` has a line for each file: the stamp that the file had when it was read,
and its entry. The last line says which backup and list it belongs to and has the SHA-256 of all before.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import typing as t
from dataclasses import dataclass, replace

from ..catalog.layout import Series
from ..catalog.manifest import Manifest
from ..core.durable import fsync_folder
from ..core.errors import FilesArchiveInvalid
from ..core.ids import is_backup_id
from ..core.state import StateDirectory
from .entry import Entry, entry_from
from .names import order

#: The key of a manifest's content under which the SHA-256 of the plain list stands.
LIST_HASH = "list_sha256"
_FOLDER = "files"
_SUFFIX, _PARTIAL = ".files", ".partial"
_FORMAT = 1
#: So many of the newest stay: the newest backup may be missing in a repository, and then an older one is built on.
KEPT = 3
# A file that was changed less than this before it was read may be changed again without another time on it: clocks of
# file systems tick (4 to 10 ms on Linux), and some keep whole seconds, or two.
_TICK_NANOSECONDS = 2_000_000_000

#: Device, inode and time of the last change of anything about it; None for what has to be read to be told.
Stamp = t.Optional[tuple[int, int, int]]


@dataclass(frozen=True)
class Known:
    """A file as it was: its *entry*, in which ``backup`` names the one that has the content, always."""

    entry: Entry
    stamp: Stamp

    def as_line(self) -> bytes:
        """As one line."""
        return json.dumps(self.stamp, separators=(",", ":")).encode("ascii") + b" " + self.entry.as_line()


def stamp_of(status: os.stat_result, *, now: datetime.datetime) -> Stamp:
    """Of a file that was looked at *now* or later; None when it was changed only just before, or after."""
    if status.st_ctime_ns + _TICK_NANOSECONDS > int(now.timestamp() * 1_000_000_000):
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


class NotRemembered(Exception):
    """Nothing that could be relied on; the text says why."""


class Remembered:
    """The files of one backup. Made by :meth:`Shelf.look`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def files(self) -> t.Iterator[Known]:
        """One after the other, in the order of walks. Raises FilesArchiveInvalid and OSError."""
        with open(self._path, "rb") as file:
            for line in file:
                if line.startswith(b"{"):
                    return
                yield _known(line)


class Recall:
    """Files that are known, asked for by paths in their order."""

    def __init__(self, known: t.Iterator[Known]) -> None:
        self._known = known
        self._next = next(known, None)

    def of(self, path: str) -> Known | None:
        """The file that was there. What was asked for before is not found again."""
        place = order(path)
        while self._next is not None and order(self._next.entry.path) < place:
            self._next = next(self._known, None)
        return self._next if self._next is not None and self._next.entry.path == path else None


class Notes:
    """What is being noted of a backup that is being made; :meth:`keep` or :meth:`forget` follows."""

    def __init__(self, path: str, *, backup_id: str, state: StateDirectory) -> None:
        """Raises StateDirectoryUnusable."""
        self._path = path
        self._backup_id = backup_id
        self._state = state
        self._digest = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._file = os.fdopen(os.open(path + _PARTIAL, flags, 0o600), "wb")
        except OSError as error:
            raise state.unusable(path, error) from error

    def add(self, entry: Entry, stamp: Stamp) -> None:
        """A file of the backup, in its place. Raises StateDirectoryUnusable."""
        self._write(Known(entry if entry.backup else replace(entry, backup=self._backup_id), stamp).as_line())

    def keep(self, *, list_hash: str) -> None:
        """Give it its name, durably. Raises StateDirectoryUnusable."""
        end = {"format": _FORMAT, "backup": self._backup_id, "list": list_hash, "sha256": self._digest.hexdigest()}
        self._write(json.dumps(end).encode("ascii") + b"\n")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._path + _PARTIAL, self._path)
            fsync_folder(os.path.dirname(self._path))
        except OSError as error:
            raise self._state.unusable(self._path, error) from error

    def forget(self) -> None:
        """Remove what did not become whole."""
        with contextlib.suppress(OSError):  # what is left is removed by the next one that is kept
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path + _PARTIAL)

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise self._state.unusable(self._path, error) from error
        self._digest.update(line)


class Shelf:
    """What is remembered of one source."""

    def __init__(self, *, state: StateDirectory, series: Series) -> None:
        self._state = state
        self._name = f"{series.service}.{series.source}"

    def notes(self, backup_id: str) -> Notes:
        """For a new backup. Raises StateDirectoryUnusable."""
        self._state.folder(_FOLDER)
        return Notes(
            os.path.join(self._state.folder(os.path.join(_FOLDER, self._name)), backup_id + _SUFFIX),
            backup_id=backup_id,
            state=self._state,
        )

    def look(self, manifest: Manifest) -> Remembered:
        """The files of that backup; all that was noted is read. Raises NotRemembered."""
        path = os.path.join(self._path, manifest.backup_id + _SUFFIX)
        try:
            end, digest = _read_through(path)
        except FileNotFoundError:
            raise NotRemembered(f"this host has noted nothing of the files of {manifest.backup_id}") from None
        except OSError as error:
            raise NotRemembered(f"what was noted of {manifest.backup_id} can't be read: {error.strerror}") from error
        if end.get("format") != _FORMAT or end.get("sha256") != digest or end.get("backup") != manifest.backup_id:
            raise NotRemembered(f"what was noted of {manifest.backup_id} is damaged")
        if end.get("list") is None or end.get("list") != manifest.content.get(LIST_HASH):
            raise NotRemembered(f"what was noted of {manifest.backup_id} is not what that backup has")
        return Remembered(path)

    def prune(self, *, spare: t.Collection[str]) -> None:
        """Remove all but the newest, those to *spare*, and what died. Nobody else works on the source meanwhile."""
        try:
            names = os.listdir(self._path)
        except OSError:
            return
        ids = sorted(name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX))
        stale = [one + _SUFFIX for one in ids[:-KEPT] if one not in spare and is_backup_id(one)]
        for name in [*stale, *(name for name in names if name.endswith(_PARTIAL))]:
            with contextlib.suppress(OSError):  # it takes a little space and harms nobody
                os.unlink(os.path.join(self._path, name))

    @property
    def _path(self) -> str:
        return os.path.join(self._state.path, _FOLDER, self._name)


def _read_through(path: str) -> tuple[dict[str, t.Any], str]:
    """The last line, and the SHA-256 of all before. Raises OSError."""
    digest = hashlib.sha256()
    last = b""
    with open(path, "rb") as file:
        for line in file:
            digest.update(last)
            last = line
    try:
        end = json.loads(last)
    except ValueError:
        end = None
    return (end if isinstance(end, dict) else {}), digest.hexdigest()


def _known(line: bytes) -> Known:
    head, _space, rest = line.partition(b" ")
    try:
        stamp = json.loads(head)
        return Known(entry=entry_from(rest), stamp=None if stamp is None else (stamp[0], stamp[1], stamp[2]))
    except (ValueError, TypeError, IndexError) as error:
        raise FilesArchiveInvalid(
            f"A line of what was noted of files is none: {error!r}.",
            hint="Make a whole backup: lifeboat backup --whole",
        ) from error
