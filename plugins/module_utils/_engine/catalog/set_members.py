# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets: a backup that names others of its service, its members, and is worth something only while all are there.

The set's manifest names the members (``content.members``); the label :data:`SET_LABEL` of each member names the set.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time, parse_time
from ..core.description.kinds import SET_KIND
from ..core.errors import ManifestInvalid
from ..core.ids import is_backup_id, is_name
from .layout import BackupFolder, Series
from .manifest import Manifest

#: The engine of a set.
SET_ENGINE = "files"
#: The label of a member that names its set: the folder of the set, without the slash at its end.
SET_LABEL = "set"
#: The key of a set's content under which its members stand.
MEMBERS = "members"


@dataclass(frozen=True)
class Member:
    """One backup of a set, as the set's manifest has it. *checksum* is that of the member's manifest."""

    folder: BackupFolder
    engine: str
    checksum: str
    started: datetime.datetime
    finished: datetime.datetime
    stored_bytes: int
    plain_bytes: int | None

    @classmethod
    def of(cls, manifest: Manifest) -> Member:
        """What a set notes of a backup."""
        return cls(
            folder=manifest.folder,
            engine=manifest.engine,
            checksum=str(manifest.as_dict()["checksum"]),
            started=manifest.started,
            finished=manifest.finished,
            stored_bytes=manifest.stored_bytes,
            plain_bytes=manifest.plain_bytes,
        )

    @property
    def name(self) -> str:
        """What people call it: service/source/kind."""
        return self.folder.series.folder.rstrip("/")

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, without the service: that is the set's."""
        return {
            "source": self.folder.series.source,
            "kind": self.folder.series.kind,
            "id": self.folder.backup_id,
            "engine": self.engine,
            "checksum": self.checksum,
            "started": format_time(self.started),
            "finished": format_time(self.finished),
            "stored_bytes": self.stored_bytes,
            "plain_bytes": self.plain_bytes,
        }


def is_set(manifest: Manifest) -> bool:
    """Whether it is the manifest of a set."""
    return (manifest.engine, manifest.kind) == (SET_ENGINE, SET_KIND)


def members_of(manifest: Manifest) -> tuple[Member, ...]:
    """The members of a set in their order; none for any other backup.

    Raises ManifestInvalid for a set whose members can't be read from it: nothing may pass for a set that names nobody.
    """
    if not is_set(manifest):
        return ()
    listed = manifest.content.get(MEMBERS)
    try:
        if not isinstance(listed, list) or not listed:
            raise ValueError("it names no members")
        members = tuple(_member(manifest.service, one) for one in listed)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestInvalid(
            f"The manifest {manifest.folder.manifest_key} is not that of a set: {error}.",
            hint="Look at the copy in another repository of the job; lifeboat list shows which have one.",
            details={"key": manifest.folder.manifest_key},
        ) from error
    return members


def member_folders(manifest: Manifest) -> tuple[BackupFolder, ...]:
    """Where the members of a set lie; none for any other backup, and for a set that can't be read."""
    try:
        return tuple(member.folder for member in members_of(manifest))
    except ManifestInvalid:
        return ()


def label_of_set(folder: BackupFolder) -> str:
    """What a member's label says."""
    return folder.key("").rstrip("/")


def set_in(labels: t.Mapping[str, str]) -> BackupFolder | None:
    """The set that these labels name; None where they name none."""
    if SET_LABEL not in labels:
        return None  # as nearly all
    parts = labels[SET_LABEL].split("/")
    if len(parts) != 4 or not all(is_name(part) for part in parts[:3]) or not is_backup_id(parts[3]):
        return None
    return Series(*parts[:3]).backup(parts[3])


def _member(service: str, document: t.Any) -> Member:
    kind, source, backup_id = document["kind"], document["source"], document["id"]
    texts = (kind, source, backup_id, document["engine"], document["checksum"])
    if not all(isinstance(text, str) for text in texts) or not (is_name(kind) and is_name(source)):
        raise ValueError("a member has no place")
    if not is_backup_id(backup_id):
        raise ValueError("a member has no id")
    stored, plain = document["stored_bytes"], document.get("plain_bytes")
    if not isinstance(stored, int) or not (plain is None or isinstance(plain, int)):
        raise TypeError("a member has no size")
    return Member(
        folder=Series(service=service, source=source, kind=kind).backup(backup_id),
        engine=document["engine"],
        checksum=document["checksum"],
        started=parse_time(str(document["started"])),
        finished=parse_time(str(document["finished"])),
        stored_bytes=stored,
        plain_bytes=plain,
    )
