# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of collections during a restore. All lie in the database that is restored into: renaming copies nothing.

https://www.mongodb.com/docs/manual/reference/command/renameCollection/ - within one database only the name changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .namespace_map import without_system

_OWN = re.compile(r"lifeboat_(before_|between_|marks_|people_|people_before_)?[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}([.]|$)")


@dataclass(frozen=True)
class RestoreNames:
    """The names that belong to one restore: they have its id."""

    restore_id: str

    @property
    def staging(self) -> str:
        """Before the names of what is loaded until it takes its own."""
        return f"lifeboat_{self.restore_id}."

    @property
    def before(self) -> str:
        """Before the names of what was there."""
        return f"lifeboat_before_{self.restore_id}."

    @property
    def between(self) -> str:
        """Before the names of what somebody made while the names were exchanged."""
        return f"lifeboat_between_{self.restore_id}."

    @property
    def marks(self) -> str:
        """A collection in each database restored into: what this restore made there under its own name at once."""
        return f"lifeboat_marks_{self.restore_id}"

    @property
    def people(self) -> str:
        """The beginning of two collections in admin with the users and roles of the backup."""
        return f"lifeboat_people_{self.restore_id}"

    @property
    def people_before(self) -> str:
        """The beginning of two collections in admin with the users and roles that were there under the same names."""
        return f"lifeboat_people_before_{self.restore_id}"

    def aside(self, name: str, *, prefix: str) -> str:
        """A collection's name with one of the prefixes."""
        return prefix + without_system(name)

    def final(self, staged: str) -> str:
        """The name that a staged collection will take."""
        name = staged[len(self.staging) :]
        return "system.js" if name == without_system("system.js") else name

    @staticmethod
    def is_own(name: str) -> bool:
        """Whether the name belongs to any restore, this one or an earlier one."""
        return _OWN.match(name) is not None
