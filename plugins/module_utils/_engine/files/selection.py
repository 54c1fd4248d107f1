# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of a backup are wanted."""

from __future__ import annotations

import os
import typing as t

from ..core.errors import RestoreTargetInvalid
from .entry import FOLDER, HARD_LINK, Entry
from .names import shown
from .patterns import Patterns, is_glob


class Selection:
    """Everything, or what *paths* name (absolute, perhaps with ``*``) with all below them.

    The folders above a path that is named in full are taken along, where they are missing.
    """

    def __init__(self, paths: t.Sequence[str] = ()) -> None:
        """Raises RequestInvalid for what is no pattern."""
        self.paths = tuple(os.path.normpath(path) for path in paths)
        self._patterns = Patterns(self.paths)
        self._literal = [path.lstrip("/") for path in self.paths if not is_glob(path)]

    def wants(self, path: str) -> bool:
        """Whether it was asked for."""
        return not self.paths or self._patterns.match_any(path)

    def leads_to(self, path: str) -> bool:
        """Whether something below that folder was asked for."""
        return any(wanted.startswith(f"{path}/") for wanted in self._literal)

    def takes(self, entry: Entry) -> bool:
        """Whether the entry is restored. Raises RestoreTargetInvalid for a name whose file was not asked for."""
        if not self.wants(entry.path):
            return entry.kind == FOLDER and self.leads_to(entry.path)
        if entry.kind == HARD_LINK and not self.wants(entry.target):
            raise RestoreTargetInvalid(
                f"/{shown(entry.path)} is another name (a hard link) of /{shown(entry.target)}, which has the content.",
                hint=f"Name both in paths: /{shown(entry.target)}.",
                details={"path": shown(entry.path), "target": shown(entry.target)},
            )
        return True
