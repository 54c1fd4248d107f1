# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pin-<id>.json`` in a backup's folder: somebody's word that the backup stays, whatever the policy says."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import PinInvalid
from ..core.ids import backup_id_time
from .layout import BackupFolder
from .manifest import document_checksum
from .manifest_fields import Fields, shortened
from .note import note_bytes, note_id_of, note_key, read_note
from .pin_schema import FORMAT, FORMAT_VERSION

PREFIX = "pin-"


@dataclass(frozen=True)
class Pin:
    """Who wants the backup kept, why and until when (None: until it is unpinned); a *hold* is a legal one.

    A hold is in force until somebody takes it away by its id, whatever its *until* says.
    """

    pin_id: str
    backup_id: str
    reason: str
    by: str
    host: str
    made: datetime.datetime
    until: datetime.datetime | None = None
    hold: bool = False

    def is_in_force(self, now: datetime.datetime) -> bool:
        """Whether the backup must stay for it at *now*."""
        return self.hold or self.until is None or self.until > now

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document: dict[str, t.Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "id": self.pin_id,
            "backup": self.backup_id,
            "reason": self.reason,
            "by": self.by,
            "host": self.host,
            "made": format_time(self.made),
            "until": format_time(self.until) if self.until else None,
            "hold": self.hold,
        }
        document["checksum"] = document_checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of the document: indented, for people."""
        return note_bytes(self.as_dict())


def pin_key(folder: BackupFolder, pin_id: str) -> str:
    """The key of the document of that id."""
    return note_key(folder, PREFIX, pin_id)


def pin_id_of(key: str) -> str | None:
    """The id in the key of such a document, None when it is another object."""
    return note_id_of(key, PREFIX)


def parse_pin(data: bytes, *, key: str, backup_id: str) -> Pin:
    """Read a document; properties that are not known are passed over.

    Raises PinInvalid, and nothing else whatever bytes come in; what holds then is :func:`unreadable_pin`.
    """
    try:
        found = _pin(Fields(read_note(data, of=FORMAT, version=FORMAT_VERSION), place=""))
        if found.backup_id != backup_id:
            raise ValueError(f"it is about the backup {found.backup_id}")
    except (ValueError, RecursionError) as error:
        raise PinInvalid(
            f"The pin {key} can't be read, so the backup stays: {shortened(str(error))}.",
            hint=f"Pin the backup again, then remove this one: lifeboat unpin {backup_id} --pin {pin_id_of(key)}",
            details={"key": key},
        ) from error
    return found


def unreadable_pin(key: str, *, backup_id: str) -> Pin:
    """What a pin means that can't be read: the backup stays until somebody takes the pin away."""
    pin_id = pin_id_of(key) or backup_id
    return Pin(
        pin_id=pin_id,
        backup_id=backup_id,
        reason="its document can't be read",
        by="",
        host="",
        made=backup_id_time(pin_id),
    )


def _pin(fields: Fields) -> Pin:
    return Pin(
        pin_id=fields.backup_id("id"),
        backup_id=fields.backup_id("backup"),
        reason=fields.text("reason"),
        by=fields.text("by"),
        host=fields.text("host"),
        made=fields.time("made"),
        until=fields.time("until") if fields.given("until") else None,
        hold=fields.flag("hold"),
    )
