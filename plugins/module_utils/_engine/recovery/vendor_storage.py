# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups whose data lies in a storage that a vendor's tool writes: what retention must know of them and may ask.

The repository holds what names such a backup. When the last repository lets it go, the tool itself removes the data,
and the log that only such data needed: nobody else knows how it lies there.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import LifeboatError


@dataclass(frozen=True)
class VendorBackup:
    """One of them. *name* is what the *tool* calls it in *storage* (an address without secrets).

    *builds_on* is the name of what it can't be restored without, None for one that stands alone. *log_begins* is the
    first file of the server's log that a recovery from it reads, by its name. *config* is the file with the tool's
    settings that it was made with. *size* is in bytes, as the tool said it.
    """

    tool: str
    storage: str
    name: str
    backup_id: str
    builds_on: str | None = None
    log_begins: str = ""
    config: str = ""
    size: int = 0

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for plans."""
        return {"tool": self.tool, "storage": self.storage, "name": self.name, "bytes": self.size}


@dataclass(frozen=True)
class VendorRest:
    """What a storage still keeps of what was removed there, so that its space is not free yet.

    *hidden* counts the old versions that a bucket keeps of deleted objects, *hidden_bytes* their bytes. *locked* counts
    the objects that could not go as they are under lock, until *until* (None: a hold, or not known). *unknown*
    says why nobody could look.
    """

    hidden: int = 0
    hidden_bytes: int = 0
    locked: int = 0
    until: datetime.datetime | None = None
    unknown: str = ""

    def __bool__(self) -> bool:
        return bool(self.hidden or self.locked or self.unknown)

    def __add__(self, other: VendorRest) -> VendorRest:
        dates = [one.until for one in (self, other) if one.locked]
        known = [date for date in dates if date is not None]
        return VendorRest(
            hidden=self.hidden + other.hidden,
            hidden_bytes=self.hidden_bytes + other.hidden_bytes,
            locked=self.locked + other.locked,
            until=max(known) if known and len(known) == len(dates) else None,
            unknown=self.unknown or other.unknown,
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for results."""
        return {
            "hidden_versions": self.hidden,
            "hidden_bytes": self.hidden_bytes,
            "locked_objects": self.locked,
            "locked_until": format_time(self.until) if self.until else None,
            "unknown": self.unknown or None,
        }


class VendorStorage(t.Protocol):
    """A storage of a vendor's, through its own tool. Every call may take minutes; errors are LifeboatErrors.

    WalgRemovalLocked among them says that a lock ends by itself: its details have the date, ``until``.
    """

    def objections(self, going: t.Sequence[VendorBackup]) -> t.Mapping[str, LifeboatError]:
        """Why some of them may not be removed, by the backup's id; reads only.

        Whatever the tool would take along must be among *going*. Raises what the tool raises.
        """

    def remove(self, backup: VendorBackup) -> VendorRest:
        """Remove this one's data and nothing else, however much of it is still there; what old versions of it stay.

        Raises what stands against it.
        """

    def trim(self, kept: t.Sequence[VendorBackup]) -> tuple[int, VendorRest]:
        """Remove the log before the oldest backup in the storage; the number of files, and what of it stays.

        Raises without removing anything when the tool would remove log that a recovery from one of *kept* reads.
        """
