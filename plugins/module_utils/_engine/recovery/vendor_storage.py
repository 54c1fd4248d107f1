# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups whose data lies in a storage that a vendor's tool writes: what retention must know of them and may ask.

The repository holds what names such a backup. When the last repository lets it go, the tool itself removes the data,
and the log that only such data needed: nobody else knows how it lies there.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

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


class VendorStorage(t.Protocol):
    """A storage of a vendor's, through its own tool. Every call may take minutes; errors are LifeboatErrors."""

    def objections(self, going: t.Sequence[VendorBackup]) -> t.Mapping[str, LifeboatError]:
        """Why some of them may not be removed, by the backup's id; reads only.

        Whatever the tool would take along must be among *going*. Raises what the tool raises.
        """

    def remove(self, backup: VendorBackup) -> None:
        """Remove this one's data and nothing else, however much of it is still there. Raises what stands against it."""

    def trim(self, kept: t.Sequence[VendorBackup]) -> int:
        """Remove the log before the oldest backup in the storage; the number of files.

        Raises without removing anything when the tool would remove log that a recovery from one of *kept* reads.
        """
