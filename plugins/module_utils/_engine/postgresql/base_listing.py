# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Level 2 of a base backup: its tar read to the end, every file held against the backup_manifest, the WAL counted.

It finds what ``pg_verifybackup`` finds without unpacking anything, and what that does not look at: whose backup it is,
and when it was made.
"""

from __future__ import annotations

import typing as t

from ..catalog.manifest import Manifest
from ..core.checksums import CRC32C, crc_function
from ..core.errors import HostileArchive, PostgresBackupManifestInvalid
from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from .backup_manifest import NAME, ManifestReader, SeenFiles
from .base_label import BackupLabel, ControlFile, expectations
from .base_tar import FILE, BaseTar, ByteSource
from .tablespaces import LINKS, TABLESPACE_MAP, VERSION_FOLDER, mapped_oids, stored_tablespaces
from .wal_witness import WalWitness

_LABEL, _CONTROL, _VERSION = "backup_label", "global/pg_control", "PG_VERSION"
# Kept whole while they pass; none is longer.
_KEPT = (_LABEL, _CONTROL, _VERSION, TABLESPACE_MAP)
_MOST_KEPT = 65536


class BaseListing:
    """One reading of a base backup's tars: :meth:`read_tablespace` takes those of tablespaces, then :meth:`read` takes
    that of the data folder, and :meth:`checks` says what was found.
    """

    def __init__(self) -> None:
        self.members = 0
        self.files = 0
        self.wal = WalWitness()
        self.manifest: ManifestReader | None = None
        self.label = BackupLabel()
        self.control: ControlFile | None = None
        self.version = ""
        self._seen = SeenFiles()
        self._kept: dict[str, bytes] = {}
        self._tablespaces: set[int] = set()

    def read_tablespace(self, stream: t.BinaryIO, *, oid: int) -> None:
        """Read to the end. Raises HostileArchive, PostgresStreamIncomplete and LibraryMissing."""
        crc = crc_function(CRC32C)
        tar = BaseTar(t.cast(ByteSource, stream))
        for member in tar:
            if VERSION_FOLDER.fullmatch(member.path.partition("/")[0]) is None:
                raise HostileArchive(
                    f"The tablespace {oid} in the backup has the member {member.path!r}, which no server would read.",
                    hint="Don't restore it; look at who could write to the repository.",
                    details={"member": member.path},
                )
            if member.kind == FILE:
                self.files += 1
                checksum = 0
                for piece in tar.content():
                    checksum = crc(piece, checksum)
                self._seen.add(f"{LINKS}/{oid}/{member.path}", size=member.size, checksum=checksum)
        self._tablespaces.add(oid)

    def read(self, stream: t.BinaryIO) -> None:
        """Read to the end. Raises HostileArchive, PostgresStreamIncomplete, PostgresBackupManifestInvalid and
        LibraryMissing.
        """
        crc = crc_function(CRC32C)
        tar = BaseTar(t.cast(ByteSource, stream))
        for member in tar:
            if member.kind != FILE:
                continue
            self.files += 1
            if member.path == NAME:
                self._read_manifest(tar)
            elif self.wal.look(member.path, size=member.size, content=tar.content()):
                continue
            else:
                checksum = 0
                for piece in tar.content():
                    checksum = crc(piece, checksum)
                    self._keep(member.path, piece)
                self._seen.add(member.path, size=member.size, checksum=checksum)
        self.members = tar.count
        self.label = BackupLabel.parse(self._kept.get(_LABEL, b""))
        self.control = ControlFile.parse(self._kept.get(_CONTROL, b""))
        self.version = self._kept.get(_VERSION, b"").decode("ascii", "replace").strip()
        if self.manifest is None:
            raise PostgresBackupManifestInvalid(
                f"The base backup has {self.files} files and no backup_manifest.",
                hint="Restore another backup: lifeboat list shows them.",
                details={"files": self.files},
            )

    def checks(self, manifest: Manifest, *, parent_start: str | None = None) -> t.Iterator[Check]:
        """Compare with what Lifeboat's own manifest says; *parent_start* is where the parent of an increment began."""
        yield self._files()
        yield self._wal()
        yield from self._identity(manifest.content)
        yield self._label(manifest)
        yield from self._mapped(manifest)
        if manifest.kind == "incremental":
            yield self._increment(parent_start)

    def _keep(self, path: str, piece: memoryview) -> None:
        if path in _KEPT and len(self._kept.get(path, b"")) < _MOST_KEPT:
            self._kept[path] = self._kept.get(path, b"") + bytes(piece[:_MOST_KEPT])

    def _read_manifest(self, tar: BaseTar) -> None:
        if self.manifest is not None:
            raise PostgresBackupManifestInvalid(
                "The base backup has two backup_manifests.", hint="Restore another backup: lifeboat list shows them."
            )
        self.manifest = ManifestReader(seen=self._seen)
        for piece in tar.content():
            self.manifest.feed(piece)
        self.manifest.finish()

    def _files(self) -> Check:
        found = self._manifest.differences
        name = "files against backup_manifest"
        if found.count:
            more = f" and {found.count - 5} more" if found.count > 5 else ""
            message = f"{name}: {'; '.join(found.problems[:5])}{more}"
            return Check(name=name, state=FAILED, message=message, expected="no difference", found=found.problems)
        if self._manifest.unknown_algorithms:
            message = f"{name}: {self._manifest.files} files have their sizes; their checksums are not CRC32C"
            return Check(name=name, state=SKIPPED, message=message, found=self._manifest.files)
        message = f"{name}: {self._manifest.files} files have their sizes and checksums"
        return Check(name=name, state=PASSED, message=message, found=self._manifest.files)

    def _wal(self) -> Check:
        problems = [*self.wal.missing(self._manifest.wal_ranges), *(f"{one} is foreign" for one in self.wal.foreign)]
        spans = ", ".join(f"{one.start_lsn} to {one.end_lsn}" for one in self._manifest.wal_ranges)
        message = f"WAL {spans}: {'; '.join(problems[:5]) or 'every segment is there'}"
        return Check(name="WAL", state=FAILED if problems else PASSED, message=message, found=problems or None)

    def _identity(self, content: t.Mapping[str, t.Any]) -> t.Iterator[Check]:
        major, identifier, _start = expectations(content)
        found = {
            "pg_control": self.control.system_identifier if self.control else None,
            "backup_manifest": self._manifest.system_identifier,
            "WAL": self.wal.system_identifier,
        }
        yield _compared(
            "system identifier",
            expected=identifier,
            found={key: value for key, value in found.items() if value is not None} or {"pg_control": None},
        )
        yield _compared("version", expected=None if major is None else str(major), found={"PG_VERSION": self.version})

    def _label(self, manifest: Manifest) -> Check:
        """A backup of another day, put in this one's place, has another start."""
        name = "backup_label"
        _major, _identifier, start = expectations(manifest.content)
        problems = []
        if not self.label.start_lsn:
            problems.append("there is none that can be read")
        if start is not None and self.label.start_lsn != start:
            problems.append(f"it starts at {self.label.start_lsn or 'no position'}, not at {start}")
        if manifest.backup_id not in self.label.label:
            problems.append(f"it is labelled {self.label.label!r}, not {manifest.backup_id}")
        ranges = self._manifest.wal_ranges
        if ranges and manifest.content.get("end_lsn") not in (None, ranges[-1].end_lsn):
            problems.append(f"it ends at {ranges[-1].end_lsn}, not at {manifest.content['end_lsn']}")
        if self.label.is_from(manifest.started, manifest.finished) is False:
            problems.append(
                f"it is from {self.label.start_time}, the backup from {manifest.started:%Y-%m-%d %H:%M} UTC"
            )
        if problems:
            return Check(name=name, state=FAILED, message=f"{name}: {'; '.join(problems)}", found=problems)
        return Check(name=name, state=PASSED, message=f"{name}: begun at {start}, {self.label.start_time}", found=start)

    def _mapped(self, manifest: Manifest) -> t.Iterator[Check]:
        """Manifest, map and payloads must name the same tablespaces; a cluster without any gets no check."""
        name, mapped = "tablespaces", mapped_oids(self._kept.get(TABLESPACE_MAP, b""))
        noted = {one.oid for one in stored_tablespaces(manifest)}
        if not mapped and not noted:
            return
        is_right = mapped == noted == self._tablespaces
        names = ", ".join(f"{one.name} ({one.oid})" for one in stored_tablespaces(manifest))
        message = (
            f"{name}: {names}"
            if is_right
            else f"{name}: tablespace_map names {sorted(mapped)}, the manifest {sorted(noted)}, and there are "
            f"{sorted(self._tablespaces)}"
        )
        state = PASSED if is_right else FAILED
        yield Check(name=name, state=state, message=message, expected=sorted(noted), found=sorted(mapped))

    def _increment(self, parent_start: str | None) -> Check:
        name, found = "parent", self.label.incremental_from_lsn
        if not found:
            return Check(name=name, state=FAILED, message="parent: backup_label names none, so this is no increment")
        if parent_start is None:
            message = f"parent: it begins at {found}; the parent is not known"
            return Check(name=name, state=SKIPPED, message=message, found=found)
        is_right = found == parent_start
        return Check(
            name=name,
            state=PASSED if is_right else FAILED,
            message=f"parent: it builds on what began at {found}, and the parent began at {parent_start}",
            expected=parent_start,
            found=found,
        )

    @property
    def _manifest(self) -> ManifestReader:
        if self.manifest is None:
            raise AssertionError("read() comes first")
        return self.manifest


def _compared(name: str, *, expected: str | None, found: t.Mapping[str, str | None]) -> Check:
    shown = ", ".join(f"{value or 'nothing'} in {place}" for place, value in found.items())
    if expected is None:
        return Check(name=name, state=SKIPPED, message=f"{name}: {shown}; the manifest names none", found=dict(found))
    is_right = all(value == expected for value in found.values())
    message = f"{name}: {expected}" if is_right else f"{name}: {shown}, and the manifest says {expected}"
    return Check(name=name, state=PASSED if is_right else FAILED, message=message, expected=expected, found=dict(found))
