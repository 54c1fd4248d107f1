# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plans mean for the storages of vendors' tools: the data goes whose name no repository keeps. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..recovery.vendor_storage import VendorBackup
from ..retention.values import REMOVED, RepositoryContent, RetentionPlan


@dataclass(frozen=True)
class VendorPlan:
    """One storage: whose data the tool removes, and whose it keeps.

    *log_from* is the first file of the server's log that one of those reads which stay, as far as the catalog knows
    (empty: nothing stays). With the data the tool removes the log before it, unless a backup that only the tool knows
    needs that.
    """

    tool: str
    storage: str
    removes: tuple[VendorBackup, ...]
    keeps: tuple[VendorBackup, ...]

    @property
    def log_from(self) -> str:
        """The least of the names: by timeline, and then by number."""
        return min((one.log_begins for one in self.keeps), default="")

    @property
    def removed_bytes(self) -> int:
        """As the tool counted them when it made the backups."""
        return sum(one.size for one in self.removes)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "tool": self.tool,
            "storage": self.storage,
            "removes": [{"id": one.backup_id, "name": one.name, "bytes": one.size} for one in self.removes],
            "removed_bytes": self.removed_bytes,
            "keeps": [{"id": one.backup_id, "name": one.name, "bytes": one.size} for one in self.keeps],
            "log_from": self.log_from or None,
        }


def vendor_plans(
    plans: t.Sequence[RetentionPlan], contents: t.Mapping[str, RepositoryContent]
) -> tuple[VendorPlan, ...]:
    """By tool and storage. What a repository holds that is not pruned, or can't be read, stays."""
    going = {
        plan.repository: {one.entry.backup_id for one in plan.decisions if one.verdict == REMOVED} for plan in plans
    }
    unread = {name for name, content in contents.items() if content.problems}
    found: dict[str, VendorBackup] = {}
    staying: set[str] = set()
    for name, content in contents.items():
        for entry in content.entries:
            if entry.vendor is not None:
                found[entry.backup_id] = entry.vendor
                if unread - {name} or entry.backup_id not in going.get(name, ()):
                    staying.add(entry.backup_id)
    groups: dict[tuple[str, str], list[VendorBackup]] = {}
    for one in sorted(found.values(), key=lambda one: one.backup_id):
        groups.setdefault((one.tool, one.storage), []).append(one)
    return tuple(
        VendorPlan(
            tool=tool,
            storage=storage,
            removes=tuple(one for one in group if one.backup_id not in staying),
            keeps=tuple(one for one in group if one.backup_id in staying),
        )
        for (tool, storage), group in sorted(groups.items())
    )
