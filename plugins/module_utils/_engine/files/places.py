# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a restore in place keeps its two folders: on the same file system as what is replaced, so that renames do.

``FOLDER/.lifeboat-restore-ID/new`` holds what will take the places of others, under numbers; ``…/old`` holds what was
there, under its own path; ``…/since`` what somebody wrote between a death and the next command.
"""

from __future__ import annotations

import os
import typing as t

from .names import RESTORE_PREFIX, is_below

NEW, OLD, SINCE = "new", "old", "since"


def place_for(path: str, *, roots: t.Sequence[str], restore_id: str) -> str:
    """The place (relative to the root of the host) for what lies at *path*, a root or below one.

    It is the folder that the root lies in, or the top of the file system that *path* is on where that is further down.
    """
    root = next((root for root in roots if is_below(path, root)), path)
    stop = os.path.join("/", os.path.dirname(root))
    folder = os.path.join("/", os.path.dirname(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    device = os.stat(folder).st_dev
    while folder not in (stop, "/") and os.stat(os.path.dirname(folder)).st_dev == device:
        folder = os.path.dirname(folder)
    return os.path.join(folder, f"{RESTORE_PREFIX}{restore_id}").lstrip("/")


def staged(place: str, number: int) -> str:
    """Where the new one lies."""
    return f"{place}/{NEW}/{number}"


def old(place: str, path: str) -> str:
    """Where the old one goes."""
    return f"{place}/{OLD}/{path}"


def since(place: str, number: int, count: int, path: str) -> str:
    """Where goes what nobody knew of, the *count*-th time at the action *number*."""
    return f"{place}/{SINCE}/{number}.{count}/{os.path.basename(path)}"
