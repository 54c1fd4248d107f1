# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mending holes in a WAL archive from the server's own ``pg_wal``.

A hole comes from a spool that was lost or cleaned by hand, or from a repository that lost an object. The server keeps
segments that it has archived until it needs their space, so many holes can still be mended when they are seen soon.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
import typing as t
from dataclasses import dataclass

from ..core.errors import StreamError, StreamSegmentRefused
from ..streams.spool import TEMPORARY, Spool, SpoolEntry
from .base_label import ControlFile
from .wal_description import describe_wal
from .wal_holes import Hole
from .wal_names import SEGMENT, parse_wal_name

_CHUNK = 1024 * 1024
_CONTROL_BYTES = 16
_GONE = "pg_wal does not have it any more"


@dataclass(frozen=True)
class WalDirectory:
    """The ``pg_wal`` of the server, on this host. *current* is the position up to which it has written."""

    path: str
    segment_size: int
    timeline: int
    current: int

    def numbers(self, hole: Hole) -> list[int]:
        """The segments of the hole that lie there and will not be written any more, rising. Raises OSError.

        Names ahead of the server's position are old files that wait to be used again.
        """
        found = []
        for text in os.listdir(self.path):
            name = parse_wal_name(text)
            if name is None or name.what != SEGMENT or name.timeline != hole.timeline or not self._is_finished(text):
                continue
            number = name.number(self.segment_size)
            if hole.first <= number <= hole.last:
                found.append(number)
        return sorted(found)

    def is_waiting(self, name: str) -> bool:
        """Whether the archiver has yet to bring it."""
        return os.path.exists(os.path.join(self.path, "archive_status", f"{name}.ready"))

    def archived(self) -> list[str]:
        """The finished segments there that the archiver has handed over, by name. Raises OSError."""
        names = os.listdir(os.path.join(self.path, "archive_status"))
        done = (name[: -len(".done")] for name in names if name.endswith(".done"))
        return sorted(name for name in done if self._is_finished(name))

    def _is_finished(self, text: str) -> bool:
        name = parse_wal_name(text)
        if name is None or name.what != SEGMENT:
            return False
        try:
            return name.end(self.segment_size) <= self.current and name.timeline <= self.timeline
        except ValueError:
            return False


def local_wal_directory(data_directory: str, *, system_identifier: str) -> str | None:
    """The server's ``pg_wal`` when it lies on this host, can be read and is of this cluster; else None."""
    if not data_directory:
        return None
    path = os.path.join(data_directory, "pg_wal")
    try:
        with open(os.path.join(data_directory, "global", "pg_control"), "rb") as file:
            control = ControlFile.parse(file.read(_CONTROL_BYTES))
        os.listdir(os.path.join(path, "archive_status"))
    except OSError:
        return None
    return path if control is not None and control.system_identifier == system_identifier else None


@dataclass(frozen=True)
class Mending:
    """What came of one hole: how many segments were spooled again, and which parts are lost, each with the reason."""

    mended: int
    lost: tuple[tuple[Hole, str], ...]


def mend(hole: Hole, *, directory: WalDirectory | None, spool: Spool, lineage: str) -> Mending:
    """Spool again what ``pg_wal`` still has. What the archiver will yet bring is neither mended nor lost.

    Raises StreamSpoolFull and StreamSpoolUnusable: what is not mended now is mended the next time.
    """
    if directory is None:
        return Mending(0, ((hole, "pg_wal can't be read from here"),))
    mended: list[int] = []
    coming: list[int] = []
    reasons: dict[int, str] = {}
    for number in directory.numbers(hole):
        name = hole.name(number)
        if directory.is_waiting(name):
            coming.append(number)
            continue
        try:
            spool_again(name, directory=directory, spool=spool, lineage=lineage)
            mended.append(number)
        except StreamSegmentRefused as error:
            reasons[number] = f"what pg_wal has under that name is not it: {error.details.get('reason', error.message)}"
        except StreamError:
            raise
        except FileNotFoundError:
            reasons[number] = _GONE
        except OSError as error:
            reasons[number] = f"it can't be read in pg_wal: {error.strerror}"
    rest = hole.without([*mended, *coming])
    return Mending(len(mended), tuple((part, reasons.get(part.first, _GONE)) for part in rest))


def spool_again(name: str, *, directory: WalDirectory, spool: Spool, lineage: str) -> None:
    """Put a segment out of ``pg_wal`` into the spool, with its time, once the copy has passed every check.

    The server may use the file anew in the middle of the copying, so it is the copy that is looked at. Raises
    StreamSegmentRefused for one that is not what its name says, StreamSpoolFull, StreamSpoolUnusable, OSError.
    """
    path = os.path.join(directory.path, name)
    spool.require_room(directory.segment_size)
    facts = os.stat(path)
    descriptor, temporary = tempfile.mkstemp(dir=spool.path, prefix=TEMPORARY)
    try:
        with os.fdopen(descriptor, "wb") as copy:
            _copy(path, copy)
        modified = datetime.datetime.fromtimestamp(facts.st_mtime, tz=datetime.timezone.utc)
        entry = SpoolEntry(name=name, path=temporary, size=facts.st_size, modified=modified)
        describe_wal(entry, lineage=lineage, before=None, thorough=False)
        owner = os.stat(spool.path)

        def write(file: t.BinaryIO) -> None:
            _copy(temporary, file)
            file.flush()
            # As the archive script would have put it there: readable for the server's user, with PostgreSQL's time.
            os.fchmod(file.fileno(), 0o640)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.utime(file.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))

        spool.put(name, write)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _copy(path: str, file: t.BinaryIO) -> None:
    with open(path, "rb") as source:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
