# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``removal-<id>.json`` in a backup's folder: somebody set out to remove this copy by policy.

From the moment that one is there no list shows the folder as a backup, and no increment builds on it: the state
*deleting*. When nothing else is left in the folder the copy is *removed*; the document then stays for as long as
another repository has the backup, so that nobody takes this copy for missing. Each run writes one of its own and takes
back no other's: two of them at once can't hurt each other.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import BackupRemoved, LifeboatError, RemovalInvalid
from .layout import BackupFolder
from .manifest import document_checksum
from .manifest_fields import Fields, shortened
from .note import note_bytes, note_id_of, note_key, read_note
from .removal_schema import FORMAT, FORMAT_VERSION

PREFIX = "removal-"
DELETING, REMOVED = "deleting", "removed"


@dataclass(frozen=True)
class Removal:
    """Who removes which copy, since when, by which plan and for which reasons."""

    removal_id: str
    backup_id: str
    repository: str
    plan_hash: str
    reasons: tuple[str, ...]
    started: datetime.datetime
    host: str
    lifeboat_version: str

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document: dict[str, t.Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "id": self.removal_id,
            "backup": self.backup_id,
            "repository": self.repository,
            "plan_hash": self.plan_hash,
            "reasons": list(self.reasons),
            "started": format_time(self.started),
            "host": self.host,
            "lifeboat_version": self.lifeboat_version,
        }
        document["checksum"] = document_checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of the document: indented, for people."""
        return note_bytes(self.as_dict())


@dataclass(frozen=True)
class RemovedCopy:
    """A copy that is being removed from *repository*, or was. *removal* says why, where that was asked for.

    *marks* counts the notes of removals: more than one when several runs were at it.
    """

    folder: BackupFolder
    repository: str
    state: str  # DELETING or REMOVED
    removal: Removal | None = None
    marks: int = 1


def removal_key(folder: BackupFolder, removal_id: str) -> str:
    """The key of the document of that id."""
    return note_key(folder, PREFIX, removal_id)


def removal_id_of(key: str) -> str | None:
    """The id in the key of such a document, None when it is another object."""
    return note_id_of(key, PREFIX)


def parse_removal(data: bytes, *, key: str, backup_id: str) -> Removal:
    """Read a document; properties that are not known are passed over.

    Raises RemovalInvalid, and nothing else whatever bytes come in. That the document is there counts all the same.
    """
    try:
        found = _removal(Fields(read_note(data, of=FORMAT, version=FORMAT_VERSION), place=""))
        if found.backup_id != backup_id:
            raise ValueError(f"it is about the backup {found.backup_id}")
    except (ValueError, RecursionError) as error:
        raise RemovalInvalid(
            f"The removal {key} can't be read: {shortened(str(error))}.",
            hint="The copy counts as being removed; the next lifeboat prune goes on with it.",
            details={"key": key},
        ) from error
    return found


def removed_error(backup_id: str, copies: t.Iterable[RemovedCopy]) -> LifeboatError:
    """What to tell somebody who asks for a backup that *copies* say is gone, or going."""
    where = []
    for copy in copies:
        verb = "is being removed from" if copy.state == DELETING else "was removed from"
        why = ""
        if copy.removal is not None:
            since = format_time(copy.removal.started)
            why = f" since {since} by {copy.removal.host}: {'; '.join(copy.removal.reasons) or 'no reason was noted'}"
        where.append(f"{verb} {copy.repository}{why}")
    return BackupRemoved(
        f"The backup {backup_id} {', and '.join(where)}.",
        hint="Take another one: lifeboat list. What is to stay, pin beforehand: lifeboat pin ID --reason WHY",
        details={"backup": backup_id},
    )


def _removal(fields: Fields) -> Removal:
    return Removal(
        removal_id=fields.backup_id("id"),
        backup_id=fields.backup_id("backup"),
        repository=fields.text("repository"),
        plan_hash=fields.text("plan_hash"),
        reasons=fields.texts("reasons"),
        started=fields.time("started"),
        host=fields.text("host"),
        lifeboat_version=fields.text("lifeboat_version"),
    )
