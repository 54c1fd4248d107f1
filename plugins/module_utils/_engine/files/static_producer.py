# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assets and logs: a whole backup now and then, and between them what is new. Files that are the same are not read."""

from __future__ import annotations

import shlex
import typing as t

from ..catalog.manifest import RESTORED_BYTES
from ..core.clock import Clock
from ..core.errors import StateDirectoryUnusable
from ..core.journal import Journal
from ..core.progress import Progress
from ..pipeline.producer import Inspection, PayloadInput, PayloadSink, Production
from .basis import Basis
from .entry import Entry
from .names import shown
from .packing import Packed, Packer, fingerprint_of, hash_from_beginning, listing_file, look_over
from .patterns import Patterns
from .producer import FILES_MEDIA, LIST_MEDIA, absent_warnings, tree_content, tree_warnings
from .remembered import LIST_HASH, Notes, Recall, Shelf, Stamp
from .restore_notes import FILES_PAYLOAD, KEPT_PAYLOAD, LIST_PAYLOAD, restore_commands
from .roots import Roots, resolve_roots
from .static_notes import increment_commands
from .static_options import STATIC, StaticOptions
from .surveying import survey
from .walk import Found

KEPT_MEDIA = "names of files in earlier backups"


class StaticProducer:
    """The paths of one source: all of them, or what differs from the backup that *basis* names (kind ``static``)."""

    engine = "files"
    kind = STATIC

    def __init__(
        self, *, options: StaticOptions, backup_id: str, basis: Basis, shelf: Shelf, clock: Clock, journal: Journal
    ) -> None:
        self._options = options
        self._backup_id = backup_id
        self._basis = basis
        self._shelf = shelf
        self._clock = clock
        self._journal = journal
        self._exclude = Patterns(options.places.exclude)

    def inspect(self) -> Inspection:
        """Walk everything without reading contents. Raises FilesMissing, and FilesUnreadable with the names."""
        roots, basis = self._roots(), self._basis
        recall = Recall(iter(basis.files()))
        seen = survey(roots, exclude=self._exclude, is_new=lambda found: _is_new(found, recall))
        of = f"of {', '.join(f'/{shown(path)}' for path in roots.paths)}"
        if basis.parent is None:
            steps = (f"make a whole backup: {basis.why}", f"read {seen.entries} files, folders and links {of}")
        else:
            which = f"increment {basis.steps} of at most {self._options.max_steps} after {basis.whole}"
            reading = f"{seen.new_files} of its {seen.files} files, which are new, changed or in doubt"
            steps = (
                f"build on {basis.parent.backup_id}: {which}",
                f"look at {seen.entries} entries {of}, and read {reading}",
            )
        return Inspection(
            facts={
                "roots": [f"/{shown(path)}" for path in roots.paths],
                "missing": list(roots.missing),
                "exclude": list(self._options.places.exclude),
                "entries": seen.entries,
                "bytes": seen.bytes,
                "new_files": seen.new_files,
                "new_bytes": seen.new_bytes,
            },
            steps=steps,
            expected_bytes=seen.new_bytes,
            whole_because=basis.why,
        )

    def fingerprint(self, *, progress: Progress) -> str:
        """The content hash of what would be stored now; only what differs is read. Raises what produce() raises.

        Empty, which no tree's is, when the host has lost its notes: a backup brings them back, and without them all
        would be read each time.
        """
        progress.stage("looking for changes")
        if self._basis.is_odd:
            return ""
        newest = self._basis.newest
        if newest is None:
            return fingerprint_of(self._roots(), exclude=self._exclude, clock=self._clock)
        noting = _Noting(self._shelf, newest.backup_id, [])
        try:
            packer = Packer(
                self._roots(),
                exclude=self._exclude,
                clock=self._clock,
                known=self._basis.known_files(),
                remember=noting.add_kept,
            )
            packed = look_over(packer)
            if packed.looked_through:
                noting.keep(str(newest.content[LIST_HASH]))  # so that they need not be read the next time
        finally:
            noting.forget()
        return packed.fingerprint

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the backup. Raises FilesMissing and FilesUnreadable."""
        roots, basis = self._roots(), self._basis
        warnings = absent_warnings(roots)
        if basis.is_odd:
            warnings.append(f"This backup is a whole one: {basis.why}.")
        noting = _Noting(self._shelf, self._backup_id, warnings)
        progress.stage("reading files")
        try:
            with listing_file() as listing, listing_file() as names:
                packed = self._pack(sink, roots, noting, listing, names)
                list_hash = hash_from_beginning(listing)
                listing.seek(0)
                sink.store(PayloadInput(name=LIST_PAYLOAD, media=LIST_MEDIA, file=listing.fileno()))
                if basis.parent is not None:
                    names.flush()
                    names.seek(0)
                    sink.store(PayloadInput(name=KEPT_PAYLOAD, media=KEPT_MEDIA, file=names.fileno()))
            # Before the manifest: it is only ever looked for by the id of a backup that exists.
            noting.keep(list_hash)
        except BaseException:
            noting.forget()
            raise
        self._shelf.prune(spare=() if basis.parent is None else (basis.parent.backup_id,))
        warnings += tree_warnings(packed)
        for warning in warnings:
            self._journal.warning(warning)
        return Production(
            content={**self._content(roots, packed), LIST_HASH: list_hash, "warnings": warnings},
            restore_commands=self._commands(roots, packed),
        )

    def _roots(self) -> Roots:
        places = self._options.places
        return resolve_roots(places.paths, places.optional_paths)

    def _pack(self, sink: PayloadSink, roots: Roots, noting: _Noting, listing: t.BinaryIO, names: t.BinaryIO) -> Packed:
        packer = Packer(roots, exclude=self._exclude, clock=self._clock, known=self._basis.files(), remember=noting.add)

        def write(output: t.BinaryIO) -> None:
            packer.pack(output, listing, names)

        sink.store(PayloadInput(name=FILES_PAYLOAD, media=FILES_MEDIA, write=write))
        return packer.packed

    def _content(self, roots: Roots, packed: Packed) -> dict[str, t.Any]:
        basis = self._basis
        parent = None
        if basis.parent is not None:
            parent = {
                "backup_id": basis.parent.backup_id,
                "chain": sorted(packed.kept),  # what is needed of it
                "whole": basis.whole,
                "steps": basis.steps,
            }
        return {
            **tree_content(roots, packed),
            "exclude": list(self._options.places.exclude),
            "system": None,
            "parent": parent,
            "whole_because": basis.why or None,
            RESTORED_BYTES: packed.bytes,
            "stored": {"files": packed.stored.files, "bytes": packed.stored.bytes},
            "kept": {
                backup_id: {"files": amount.files, "bytes": amount.bytes}
                for backup_id, amount in sorted(packed.kept.items())
            },
        }

    def _commands(self, roots: Roots, packed: Packed) -> str:
        if self._basis.parent is not None:
            return increment_commands(needed=sorted(packed.kept))
        return restore_commands(first=shlex.quote(shown(roots.paths[0])), has_system=False)


class _Noting:
    """What is noted for the next backup. It is worth much and not a backup: without it the next one is whole."""

    def __init__(self, shelf: Shelf, backup_id: str, warnings: list[str]) -> None:
        self._warnings = warnings
        self._notes: Notes | None = None
        try:
            self._notes = shelf.notes(backup_id)
        except StateDirectoryUnusable as error:
            self._give_up(error)

    def add(self, entry: Entry, stamp: Stamp) -> None:
        try:
            if self._notes is not None:
                self._notes.add(entry, stamp)
        except StateDirectoryUnusable as error:
            self._give_up(error)

    def add_kept(self, entry: Entry, stamp: Stamp) -> None:
        """Of what the backup has already, and nothing else."""
        if entry.backup:
            self.add(entry, stamp)

    def keep(self, list_hash: str) -> None:
        try:
            if self._notes is not None:
                self._notes.keep(list_hash=list_hash)
        except StateDirectoryUnusable as error:
            self._give_up(error)

    def forget(self) -> None:
        if self._notes is not None:
            self._notes.forget()

    def _give_up(self, error: StateDirectoryUnusable) -> None:
        self.forget()
        self._notes = None
        self._warnings.append(f"The next backup will be a whole one, for nothing could be noted: {error.message}")


def _is_new(found: Found, recall: Recall) -> bool:
    known, status = recall.of(found.path), found.status
    return known is None or (known.entry.size, known.entry.modified, known.stamp) != (
        status.st_size,
        status.st_mtime_ns,
        (status.st_dev, status.st_ino, status.st_ctime_ns),
    )
