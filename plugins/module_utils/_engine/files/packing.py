# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees into one tar, and the list of what is in it: a line for each entry, in the same order."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import tempfile
import typing as t
from dataclasses import dataclass, field, replace

from ..core.clock import Clock
from .entry import FILE, HARD_LINK, Entry, TreeDigest
from .names import raw, shown
from .owners import Owners
from .patterns import Patterns
from .reading import Vanished, look_through, store_file
from .remembered import Known, Recall, Stamp, stamp_of
from .roots import Roots
from .tar_writer import ending, header
from .walk import Found, WalkNotes, entry_of, walk

# Of each kind of trouble that many are named; the number of all is noted.
_NAMED = 100
_PIECE = 1024 * 1024


@dataclass
class Amount:
    """So many *files* with so many *bytes*."""

    files: int = 0
    bytes: int = 0

    def add(self, entry: Entry) -> None:
        """One more."""
        self.files += 1
        self.bytes += entry.size


@dataclass
class Packed:
    """What was packed: *counts* by kind, *bytes* of all files, *fingerprint* of the tree, and what to doubt.

    *stored* is what of the files is in this tar, *kept* what is in those of earlier backups, by their ids, and
    *looked_through* how many of these had to be read to tell.
    """

    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    fingerprint: str = ""
    changed: list[str] = field(default_factory=list)
    notes: WalkNotes = field(default_factory=WalkNotes)
    stored: Amount = field(default_factory=Amount)
    kept: dict[str, Amount] = field(default_factory=dict)
    looked_through: int = 0

    @property
    def entries(self) -> int:
        """Lines of the list."""
        return sum(self.counts.values())

    def doubts(self) -> list[dict[str, str]]:
        """Files that are perhaps not in the backup as they were, each with the reason."""
        changed = [{"path": f"/{shown(path)}", "reason": "changed at every reading"} for path in self.changed]
        gone = [{"path": f"/{shown(path)}", "reason": "vanished while it was read"} for path in self.notes.vanished]
        return [*changed[:_NAMED], *gone[:_NAMED]]


class Packer:
    """Packs trees once. What it needs to remember is the files that have several names.

    *known* are the files of an earlier backup, in their order: one that is the same stays where it is, and is not even
    opened when its stamp is the same. *remember* is given each file that was read whole, with its stamp.
    """

    def __init__(
        self,
        roots: Roots,
        *,
        exclude: Patterns,
        clock: Clock,
        known: t.Iterable[Known] = (),
        remember: t.Callable[[Entry, Stamp], None] | None = None,
    ) -> None:
        self._roots = roots
        self._exclude = exclude
        self._clock = clock
        self._recall = Recall(iter(known))
        self._remember = remember
        self._owners = Owners()
        self._first_names: dict[tuple[int, int], str] = {}
        self._digest = TreeDigest()
        self.packed = Packed()

    def pack(self, output: t.BinaryIO, listing: t.BinaryIO | None = None, names: t.BinaryIO | None = None) -> Packed:
        """Write the tar to *output*, the list to *listing*, and what is kept to *names*. Raises FilesUnreadable."""
        written = 0

        def write(piece: bytes) -> None:
            nonlocal written
            output.write(piece)
            written += len(piece)

        packed = self.packed
        for found in walk(self._roots.paths, exclude=self._exclude, notes=packed.notes):
            try:
                entry = self._store(found, write)
            except (Vanished, FileNotFoundError):
                packed.notes.vanished.append(found.path)
                continue
            self._digest.add(entry)
            packed.counts[entry.kind] = packed.counts.get(entry.kind, 0) + 1
            packed.bytes += entry.size
            if entry.kind == FILE:
                (packed.kept.setdefault(entry.backup, Amount()) if entry.backup else packed.stored).add(entry)
            if listing is not None:
                listing.write(entry.as_line())
            if names is not None and entry.backup:
                names.write(kept_name(entry))
        output.write(ending(written))
        packed.fingerprint = self._digest.hexdigest()
        return packed

    def _store(self, found: Found, write: t.Callable[[bytes], None]) -> Entry:
        if found.status.st_nlink > 1 and found.kind == FILE:
            first = self._first_names.setdefault((found.status.st_dev, found.status.st_ino), found.path)
            if first != found.path:
                entry = entry_of(found, self._owners)
                other = _as_other_name(entry, first)
                write(header(other))
                return other
        if found.kind != FILE:
            entry = entry_of(found, self._owners)
            write(header(entry))
            return entry
        before = self._clock.now()
        kept = self._keep(found)
        if kept is not None:
            return self._noted(*kept, before)
        reading = store_file(found, write, owners=self._owners, clock=self._clock)
        if not reading.is_whole:
            self.packed.changed.append(found.path)
            return reading.entry
        return self._noted(reading.entry, reading.status, before)

    def _keep(self, found: Found) -> tuple[Entry, os.stat_result] | None:
        """The entry of a file that is the same as it was; None when it has to be stored.

        Everything that a tar says of a file must be the same: then the tars of a chain restore without the list, too.
        """
        known = self._recall.of(found.path)
        if known is None or found.status.st_size != known.entry.size:
            return None
        current = entry_of(found, self._owners)
        wanted = replace(known.entry, links=current.links, user_name=current.user_name, group_name=current.group_name)
        if replace(current, sha256=wanted.sha256, backup=wanted.backup) != wanted:
            return None
        status = found.status
        if known.stamp == (status.st_dev, status.st_ino, status.st_ctime_ns):
            return wanted, status
        # Another inode, another device number after a start of the host, or changed in the moment it was read last.
        looked = look_through(found)
        if looked is None or looked[0] != wanted.sha256 or looked[1].st_mtime_ns != wanted.modified:
            return None
        self.packed.looked_through += 1
        return wanted, looked[1]

    def _noted(self, entry: Entry, status: os.stat_result, before: datetime.datetime) -> Entry:
        if self._remember is not None:
            self._remember(entry, stamp_of(status, now=before))
        return entry


class _Nowhere:
    """Takes everything and keeps nothing: for looking whether anything changed."""

    def write(self, piece: bytes) -> int:
        return len(piece)


def kept_name(entry: Entry) -> bytes:
    """Of a file that lies in the tar of an earlier backup: which one, and its name there, as ``grep -z`` has it."""
    return entry.backup.encode("ascii") + b" " + raw(entry.path) + b"\0"


def fingerprint_of(roots: Roots, *, exclude: Patterns, clock: Clock) -> str:
    """The content hash of the trees as they are now."""
    return look_over(Packer(roots, exclude=exclude, clock=clock)).fingerprint


def look_over(packer: Packer) -> Packed:
    """What it would pack."""
    return packer.pack(t.cast("t.BinaryIO", _Nowhere()))


@contextlib.contextmanager
def listing_file() -> t.Iterator[t.BinaryIO]:
    """A place for the list until the tar is stored: about 200 bytes for each entry, readable by nobody else."""
    with tempfile.TemporaryFile(prefix="lifeboat-list-") as file:
        yield t.cast("t.BinaryIO", file)


def hash_from_beginning(file: t.BinaryIO) -> str:
    """SHA-256 of all that was written to it."""
    digest = hashlib.sha256()
    file.seek(0)
    while True:
        piece = file.read(_PIECE)
        if not piece:
            return digest.hexdigest()
        digest.update(piece)


def _as_other_name(entry: Entry, first: str) -> Entry:
    return Entry(
        path=entry.path,
        kind=HARD_LINK,
        mode=entry.mode,
        user=entry.user,
        group=entry.group,
        user_name=entry.user_name,
        group_name=entry.group_name,
        modified=entry.modified,
        target=first,
        links=entry.links,
    )
