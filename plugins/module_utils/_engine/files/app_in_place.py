# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application in the place of what is deployed: its tree, file by file. The host keeps its repository."""

from __future__ import annotations

import os
from dataclasses import replace

from ..core.errors import RestoreTargetInvalid
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import RestoreInspection
from .app_noted import app_noted_in
from .git_repository import DOT_GIT
from .in_place import InPlaceRestorer
from .names import shown


class AppInPlaceRestorer(InPlaceRestorer):
    """See :class:`recovery.restorer.Restorer`."""

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """See InPlaceRestorer. Raises RestoreTargetInvalid for a backup without a tree."""
        noted = app_noted_in(source.manifest)
        if not noted.has_tree:
            raise RestoreTargetInvalid(
                "The backup has no tree (tree: false), and a repository is never replaced in place.",
                hint="Restore it beside: -o data_directory=FOLDER without in_place.",
            )
        looked = super().inspect(source=source)
        told = []
        for one in noted.repositories if not self._options.paths else ():
            path = f"/{shown(one.path)}"
            if not os.path.lexists(os.path.join(path, DOT_GIT)):
                told.append(f"{path} has no repository, and gets none in place: a restore beside makes {DOT_GIT}.")
            elif one.commit:
                told.append(
                    f"{path}/{DOT_GIT} stays as it is. The files are those of {one.commit[:12]}: "
                    f"git -C {path} reset -q {one.commit[:12]} has git see them so."
                )
        return replace(looked, warnings=(*looked.warnings, *told))
