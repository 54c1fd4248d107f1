# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at trees before they are backed up: how much there is, and whether all of it may be read."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import FilesUnreadable
from .entry import FILE, FOLDER
from .names import shown
from .patterns import Patterns
from .roots import Roots
from .walk import Found, WalkNotes, is_readable, walk

_NAMED = 20


@dataclass(frozen=True)
class Survey:
    """*entries* of all kinds, *files* and their *bytes*; *new_files* and *new_bytes* of those that will be read."""

    entries: int
    files: int
    bytes: int
    new_files: int
    new_bytes: int


def survey(roots: Roots, *, exclude: Patterns, is_new: t.Callable[[Found], bool] | None = None) -> Survey:
    """Walk everything without reading contents. Raises FilesUnreadable with the names."""
    entries = files = size = new_files = new_size = 0
    unreadable: list[str] = []
    for found in walk(roots.paths, exclude=exclude, notes=WalkNotes()):
        entries += 1
        if found.kind == FILE:
            files += 1
            size += found.status.st_size
            if is_new is None or is_new(found):
                new_files += 1
                new_size += found.status.st_size
        if not is_readable(found):
            unreadable.append(f"/{shown(found.path)}")
            if found.kind == FOLDER or len(unreadable) >= _NAMED:
                break  # the walk would stop there anyway
    if unreadable:
        raise FilesUnreadable(
            f"May not be read: {', '.join(unreadable)}.",
            hint="Run the backup as root, or leave them out: connection.exclude.",
            details={"paths": unreadable},
        )
    return Survey(entries=entries, files=files, bytes=size, new_files=new_files, new_bytes=new_size)
