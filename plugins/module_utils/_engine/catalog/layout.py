# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in a repository: ``<service>/<source>/<kind>/<backup id>/`` with payloads, notes and manifest."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.ids import is_backup_id, is_name

MANIFEST = "manifest.json"
RESTORE_NOTES = "RESTORE.md"
STARTED = "started.json"


@dataclass(frozen=True)
class Series:
    """All backups of one kind of one source: a folder of the repository."""

    service: str
    source: str
    kind: str

    def __post_init__(self) -> None:
        """Raises RequestInvalid for names that can't be folders."""
        for label, name in (("service", self.service), ("source", self.source), ("kind", self.kind)):
            if not is_name(name):
                raise RequestInvalid(
                    f"The {label} {name!r} can't be a folder of the repository.",
                    hint="Use lower-case letters, digits, dot, dash, underscore; at most 63, a letter or digit first.",
                )

    @property
    def folder(self) -> str:
        """The key prefix of the series, ending in a slash."""
        return f"{self.service}/{self.source}/{self.kind}/"

    def backup(self, backup_id: str) -> BackupFolder:
        """The folder of one backup of the series."""
        return BackupFolder(series=self, backup_id=backup_id)


@dataclass(frozen=True)
class BackupFolder:
    """The folder of one backup."""

    series: Series
    backup_id: str

    def key(self, name: str) -> str:
        """The key of the object *name* of this backup."""
        return f"{self.series.folder}{self.backup_id}/{name}"

    @property
    def manifest_key(self) -> str:
        """The key whose existence makes the backup exist."""
        return self.key(MANIFEST)


class KeyParts(t.NamedTuple):
    """A key taken apart."""

    folder: BackupFolder
    name: str


def parse_key(key: str) -> KeyParts | None:
    """The parts of an object's key, None when it is no object of a backup."""
    parts = key.split("/", 4)
    if len(parts) != 5 or not is_backup_id(parts[3]) or not all(is_name(part) for part in parts[:3]):
        return None
    return KeyParts(folder=Series(*parts[:3]).backup(parts[3]), name=parts[4])
