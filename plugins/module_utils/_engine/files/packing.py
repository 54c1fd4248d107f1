# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees into one tar, and the list of what is in it: a line for each entry, in the same order."""

from __future__ import annotations

import contextlib
import tempfile
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from .entry import FILE, HARD_LINK, Entry, TreeDigest
from .names import shown
from .owners import Owners
from .patterns import Patterns
from .reading import Vanished, store_file
from .roots import Roots
from .tar_writer import ending, header
from .walk import Found, WalkNotes, entry_of, walk

# Of each kind of trouble that many are named; the number of all is noted.
_NAMED = 100


@dataclass
class Packed:
    """What was packed: *counts* by kind, *bytes* of all files, *fingerprint* of the tree, and what to doubt."""

    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    fingerprint: str = ""
    changed: list[str] = field(default_factory=list)
    notes: WalkNotes = field(default_factory=WalkNotes)

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
    """Packs trees once. What it needs to remember is the files that have several names."""

    def __init__(self, roots: Roots, *, exclude: Patterns, clock: Clock) -> None:
        self._roots = roots
        self._exclude = exclude
        self._clock = clock
        self._owners = Owners()
        self._first_names: dict[tuple[int, int], str] = {}
        self._digest = TreeDigest()
        self.packed = Packed()

    def pack(self, output: t.BinaryIO, listing: t.BinaryIO | None = None) -> Packed:
        """Write the tar to *output*, and the list to *listing*. Raises FilesUnreadable."""
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
            if listing is not None:
                listing.write(entry.as_line())
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
        reading = store_file(found, write, owners=self._owners, clock=self._clock)
        if not reading.is_whole:
            self.packed.changed.append(found.path)
        return reading.entry


class Nowhere:
    """Takes everything and keeps nothing: for looking whether anything changed."""

    def write(self, piece: bytes) -> int:
        return len(piece)


def fingerprint_of(roots: Roots, *, exclude: Patterns, clock: Clock) -> str:
    """The content hash of the trees as they are now."""
    packer = Packer(roots, exclude=exclude, clock=clock)
    return packer.pack(t.cast("t.BinaryIO", Nowhere())).fingerprint


@contextlib.contextmanager
def listing_file() -> t.Iterator[t.BinaryIO]:
    """A place for the list until the tar is stored: about 200 bytes for each entry, readable by nobody else."""
    with tempfile.TemporaryFile(prefix="lifeboat-list-") as file:
        yield t.cast("t.BinaryIO", file)


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
