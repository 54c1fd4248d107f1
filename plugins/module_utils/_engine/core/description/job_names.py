# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last part of a job's id: the backup's name, or its kind, with a number from the second one on."""

from __future__ import annotations

import typing as t


def job_names(backups: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """One name for each of a source's *backups*, in their order: ``name``, else ``full``, ``full.2``, ``full.3``.

    A backup without name and kind gets an empty one.
    """
    names: list[str] = []
    unnamed: dict[str, int] = {}
    for backup in backups:
        given, kind = backup.get("name"), backup.get("kind")
        if isinstance(given, str) and given:
            names.append(given)
            continue
        kind = kind if isinstance(kind, str) else ""
        unnamed[kind] = unnamed.get(kind, 0) + 1
        names.append(kind if unnamed[kind] == 1 or not kind else f"{kind}.{unnamed[kind]}")
    return names
