# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: files and folders with all that belongs to them, as one tar that is the same while they are."""

from __future__ import annotations

import shlex
import typing as t

from ..core.clock import Clock
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.producer import FINGERPRINT, Inspection, PayloadInput, PayloadSink, Production
from .names import shown
from .options import FilesOptions
from .packing import Packed, Packer, fingerprint_of, listing_file
from .patterns import Patterns
from .restore_notes import FILES_PAYLOAD, LIST_PAYLOAD, SYSTEM_PAYLOAD, restore_commands
from .roots import Roots, resolve_roots
from .surveying import survey
from .system_snapshot import PARTS, SystemSnapshot, take_snapshot

FILES_MEDIA = "files in a tar"
LIST_MEDIA = "list of files in JSON lines"
SYSTEM_MEDIA = "description of a host in a tar"
_SECOND = 1_000_000_000


class FilesProducer:
    """The paths of one source as they are now (kind ``config``)."""

    engine = "files"
    kind = "config"

    def __init__(self, *, options: FilesOptions, runner: Runner, clock: Clock, journal: Journal) -> None:
        self._options = options
        self._runner = runner
        self._clock = clock
        self._journal = journal
        self._exclude = Patterns(options.places.exclude)

    def inspect(self) -> Inspection:
        """Walk everything without reading contents. Raises FilesMissing, and FilesUnreadable with the names."""
        roots = self._roots()
        seen = survey(roots, exclude=self._exclude)
        steps = [
            f"read {seen.entries} files, folders and links of {', '.join(f'/{shown(path)}' for path in roots.paths)}"
        ]
        if self._options.system_snapshot:
            steps.append("note what the host is: kernel, packages, services, network, disks, cron, firewall")
        return Inspection(
            facts={
                "roots": [f"/{shown(path)}" for path in roots.paths],
                "missing": list(roots.missing),
                "exclude": list(self._options.places.exclude),
                "entries": seen.entries,
                "bytes": seen.bytes,
            },
            steps=tuple(steps),
            expected_bytes=seen.bytes,
        )

    def fingerprint(self, *, progress: Progress) -> str:
        """The content hash of what would be stored now: every file is read. Raises what produce() raises."""
        progress.stage("looking for changes")
        return fingerprint_of(self._roots(), exclude=self._exclude, clock=self._clock)

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the backup. Raises FilesMissing and FilesUnreadable."""
        roots = self._roots()
        packed = self._pack(roots, sink, progress)
        warnings = [*absent_warnings(roots), *tree_warnings(packed)]
        system = self._system(sink, progress) if self._options.system_snapshot else None
        for warning in warnings:
            self._journal.warning(warning)
        content = {
            **tree_content(roots, packed),
            "exclude": list(self._options.places.exclude),
            "system": None if system is None else system_content(system),
            "warnings": warnings,
        }
        return Production(
            content=content,
            restore_commands=restore_commands(first=shlex.quote(shown(roots.paths[0])), has_system=system is not None),
        )

    def _pack(self, roots: Roots, sink: PayloadSink, progress: Progress) -> Packed:
        """Store the trees and their list."""
        packer = Packer(roots, exclude=self._exclude, clock=self._clock)
        progress.stage("reading files")
        with listing_file() as listing:

            def write(output: t.BinaryIO) -> None:
                packer.pack(output, listing)

            sink.store(PayloadInput(name=FILES_PAYLOAD, media=FILES_MEDIA, write=write))
            listing.flush()
            listing.seek(0)
            sink.store(PayloadInput(name=LIST_PAYLOAD, media=LIST_MEDIA, file=listing.fileno()))
        return packer.packed

    def _roots(self) -> Roots:
        places = self._options.places
        return resolve_roots(places.paths, places.optional_paths)

    def _system(self, sink: PayloadSink, progress: Progress) -> SystemSnapshot:
        progress.stage("looking at the host")
        snapshot = take_snapshot(self._runner)
        made = snapshot.tar(modified=int(self._clock.now().timestamp()) * _SECOND)

        def write(output: t.BinaryIO) -> None:
            output.write(made)

        sink.store(PayloadInput(name=SYSTEM_PAYLOAD, media=SYSTEM_MEDIA, write=write))
        return snapshot


def absent_warnings(roots: Roots) -> list[str]:
    """Which optional paths are not there."""
    return [f"Optional, and not on this host: {path}." for path in roots.missing]


def tree_content(roots: Roots, packed: Packed) -> dict[str, t.Any]:
    """What the manifest says of trees that were packed."""
    return {
        "roots": [f"/{shown(path)}" for path in roots.paths],
        "missing": list(roots.missing),
        "entries": packed.entries,
        "counts": dict(sorted(packed.counts.items())),
        "bytes": packed.bytes,
        FINGERPRINT: packed.fingerprint,
        "excluded": packed.notes.excluded,
        "sockets": len(packed.notes.sockets),
        "doubts": packed.doubts(),
    }


def tree_warnings(packed: Packed) -> list[str]:
    """What an operator should know of them."""
    warnings = []
    for paths, what in ((packed.changed, "changed at every reading"), (packed.notes.vanished, "vanished meanwhile")):
        if paths:
            named = ", ".join(f"/{shown(path)}" for path in paths[:5])
            warnings.append(f"{len(paths)} files {what}, and may not be in the backup as they were: {named}.")
    return warnings


def system_content(system: SystemSnapshot) -> dict[str, t.Any]:
    """What the manifest says of the description of the host."""
    return {"members": [part.name for part in PARTS], "missing_tools": list(system.missing)}
