# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup manifests on this host: all that an incremental base backup needs of its parent."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresParentUnusable, StateDirectoryUnusable
from ..core.ids import backup_id_time, is_backup_id

_SUFFIX = ".backup_manifest"
_PARTIAL = ".partial"
_TAIL = 65536
_LONGEST_BACKUP = datetime.timedelta(days=7)
_CHECKSUM_LINE = re.compile(rb'\n"Manifest-Checksum": "(?P<sum>[0-9a-f]{64})"\}\n?$')
_IDENTIFIER = re.compile(rb'"System-Identifier": (?P<identifier>\d+)')
_RANGES = re.compile(rb'"WAL-Ranges": (?P<ranges>\[[^\]]*\])')


@dataclass(frozen=True)
class ManifestFacts:
    """What the manifest of a base backup says about the backup. *system_identifier* is there from version 17 on."""

    system_identifier: str | None
    timeline: int
    start_lsn: str
    end_lsn: str


def read_manifest(path: str) -> ManifestFacts:
    """Check that the file is a whole backup manifest, and what it says. In constant memory, whatever its size.

    Raises PostgresParentUnusable when it is missing, cut short or changed (its last line holds the SHA-256 of
    all before).
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(4096)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            found = _CHECKSUM_LINE.search(tail)
            ranges = _RANGES.search(tail)
            if found is None or ranges is None:
                raise _unusable(path, "it is not a whole backup manifest")
            # The sum covers everything up to and with the line end before its own line.
            digest = _sha256(file, length=size - len(tail) + found.start() + 1)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if digest.encode("ascii") != found["sum"]:
        raise _unusable(path, "its checksum is wrong")
    # The server writes the newest timeline first.
    wal = sorted(json.loads(ranges["ranges"]), key=_timeline_of)
    identifier = _IDENTIFIER.search(head)
    return ManifestFacts(
        system_identifier=str(int(identifier["identifier"])) if identifier else None,
        timeline=int(wal[-1]["Timeline"]),
        start_lsn=str(wal[0]["Start-LSN"]),
        end_lsn=str(wal[-1]["End-LSN"]),
    )


class ManifestShelf:
    """One cluster's manifests: ``STATE/postgresql/SYSTEM IDENTIFIER/BACKUP ID.backup_manifest``, mode 0600."""

    def __init__(self, *, state_directory: str, system_identifier: str) -> None:
        self.folder = os.path.join(state_directory, "postgresql", system_identifier)

    def path(self, backup_id: str) -> str:
        """Where the manifest of a backup lies, whether it is there or not."""
        return os.path.join(self.folder, backup_id + _SUFFIX)

    def open_new(self, backup_id: str) -> t.BinaryIO:
        """A file for a manifest that is on its way; keep() or forget() follows. Raises StateDirectoryUnusable."""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(self.path(backup_id) + _PARTIAL, flags, 0o600)
        except OSError as error:
            raise StateDirectoryUnusable(
                f"The manifest of the base backup can't be kept in {self.folder}: {error.strerror}.",
                hint=f"Run: ls -ld {self.folder}   or set keep_manifest: false (no incremental can follow).",
            ) from error
        return os.fdopen(descriptor, "w+b")

    def keep(self, backup_id: str, file: t.BinaryIO) -> str:
        """Give a complete manifest its name, durably; its path."""
        file.flush()
        os.fsync(file.fileno())
        os.replace(self.path(backup_id) + _PARTIAL, self.path(backup_id))
        return self.path(backup_id)

    def forget(self, backup_id: str) -> None:
        """Remove a manifest that did not become complete, or whose backup is gone; no error when there is none."""
        for path in (self.path(backup_id) + _PARTIAL, self.path(backup_id)):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue

    def backup_ids(self) -> list[str]:
        """The backups whose manifests are here, oldest first."""
        return self._ids(_SUFFIX)

    def prune(self, *, newest: int, spare: t.Collection[str] = ()) -> list[str]:
        """Remove all but the *newest* manifests and those to *spare*; the removed ids.

        Halves that crashed runs left are removed too, once they are older than any backup takes.
        """
        ids = self.backup_ids()
        removed = [backup_id for backup_id in ids[:-newest] if backup_id not in spare]
        for backup_id in removed:
            self.forget(backup_id)
        for backup_id in self._ids(_SUFFIX + _PARTIAL):
            if ids and backup_id_time(ids[-1]) - backup_id_time(backup_id) > _LONGEST_BACKUP:
                os.unlink(self.path(backup_id) + _PARTIAL)
        return removed

    def _ids(self, suffix: str) -> list[str]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        ids = [name[: -len(suffix)] for name in names if name.endswith(suffix)]
        return sorted(backup_id for backup_id in ids if is_backup_id(backup_id))


def _timeline_of(entry: t.Mapping[str, t.Any]) -> int:
    return int(entry["Timeline"])


def _unusable(path: str, why: str) -> PostgresParentUnusable:
    return PostgresParentUnusable(
        f"The manifest {path} of the parent backup can't be used: {why}.",
        hint="Make a full base backup (kind: base); the next incremental one builds on it.",
        details={"path": path},
    )


def _sha256(file: t.BinaryIO, *, length: int) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0:
        data = file.read(min(length, 1024 * 1024))
        if not data:
            break
        digest.update(data)
        length -= len(data)
    return digest.hexdigest()
