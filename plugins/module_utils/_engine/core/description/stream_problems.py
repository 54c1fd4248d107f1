# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant about several jobs of one stream: it is captured once, so they don't differ in how and where."""

from __future__ import annotations

import typing as t

from .kinds import stream_owner
from .problems import Problem
from .reading import Entry, entries, text_at

#: What jobs of one stream don't say each for itself, beside the repositories.
SHARED = ("options", "compression", "encryption")


def stream_problems(source: Entry) -> t.Iterator[Problem]:
    """Every job of a source that contradicts the job whose stream it keeps as well."""
    engine = text_at(source.data, "engine") or ""
    backups = entries(source.data, source.path, "backups")
    kinds = [str(one.data.get("kind")) for one in backups]
    for number, (backup, kind) in enumerate(zip(backups, kinds)):
        owner = stream_owner(kinds, engine=engine, kind=kind)
        if owner is not None and owner != number:
            yield from _contradictions(backup, backups[owner])


def _contradictions(backup: Entry, own: Entry) -> t.Iterator[Problem]:
    kind = own.data.get("kind")
    if _repositories(backup) != _repositories(own):
        yield Problem(
            (*backup.path, "repositories"),
            f"this job and the one of the kind {kind} are one stream, which is stored once.",
            f"Name the same repositories in both: {', '.join(_repositories(own))}.",
        )
    for key in SHARED:
        if backup.data.get(key):
            yield Problem(
                (*backup.path, key),
                f"this job and the one of the kind {kind} are one stream, which is captured once.",
                f"Give {key} to the job of the kind {kind}.",
            )


def _repositories(backup: Entry) -> list[str]:
    listed = backup.data.get("repositories")
    items = listed if isinstance(listed, list) else ()
    names = [item.get("name") if isinstance(item, dict) else item for item in items]
    return sorted(name for name in names if isinstance(name, str))
