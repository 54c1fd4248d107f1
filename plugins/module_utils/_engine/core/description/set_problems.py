# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant about sets (kind ``system``): a connection, a source that is shared, version control."""

from __future__ import annotations

import typing as t

from .kinds import SET_KIND
from .problems import Problem
from .reading import Entry, entries, mapping, text_at
from .version_control import is_version_control


def set_problems(source: Entry, repositories: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Every problem with the sets of one source."""
    if text_at(source.data, "engine") != "files":
        return
    backups = entries(source.data, source.path, "backups")
    sets = [backup for backup in backups if backup.data.get("kind") == SET_KIND]
    if sets and len(sets) < len(backups):
        yield Problem(
            sets[0].path,
            "a set consists of backups of other sources, and this source has backups of its own.",
            f"Make a source for it: {{name: {SET_KIND}, engine: files, backups: [{{kind: {SET_KIND}, ...}}]}}",
        )
    elif sets and "connection" in source.data:
        yield Problem(
            (*source.path, "connection"),
            "a set consists of backups of other sources, so there is nothing to be reached or read here.",
            "Leave connection out; paths belong to a source with a backup of the kind config.",
        )
    for backup in sets:
        listed = backup.data.get("repositories")
        for index, item in enumerate(listed if isinstance(listed, list) else ()):
            name = text_at(item, "name") if isinstance(item, dict) else item
            if isinstance(name, str) and is_version_control(mapping(repositories.get(name))):
                yield Problem(
                    (*backup.path, "repositories", index),
                    f"{name!r} is a git repository, which can't hold the databases of a set.",
                    "Use type file or s3.",
                )
