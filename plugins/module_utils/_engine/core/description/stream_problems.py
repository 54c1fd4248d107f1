# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant about several jobs of one stream: it is captured once, so they don't differ in how and where."""

from __future__ import annotations

import typing as t

from .kinds import STREAM_ALIASES
from .problems import Problem
from .reading import Entry, entries, text_at


def stream_problems(source: Entry) -> t.Iterator[Problem]:
    """Every job of a source that contradicts the job whose stream it keeps as well."""
    aliases = STREAM_ALIASES.get(text_at(source.data, "engine") or "", {})
    backups = entries(source.data, source.path, "backups")
    for backup in backups:
        stream = aliases.get(str(backup.data.get("kind")))
        own = next((one for one in backups if one.data.get("kind") == stream), None)
        if stream is None or own is None:
            continue
        if _repositories(backup) != _repositories(own):
            yield Problem(
                (*backup.path, "repositories"),
                f"this job and the one of the kind {stream} are one stream, which is stored once.",
                f"Name the same repositories in both: {', '.join(_repositories(own))}.",
            )
        if backup.data.get("options"):
            yield Problem(
                (*backup.path, "options"),
                f"this job and the one of the kind {stream} are one stream, which is captured once.",
                f"Give options to the job of the kind {stream}.",
            )


def _repositories(backup: Entry) -> list[str]:
    listed = backup.data.get("repositories")
    items = listed if isinstance(listed, list) else ()
    names = [item.get("name") if isinstance(item, dict) else item for item in items]
    return sorted(name for name in names if isinstance(name, str))
