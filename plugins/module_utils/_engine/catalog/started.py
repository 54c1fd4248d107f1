# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``started.json``: the first in a backup's folder, written by the run that makes it or the copy that brings it.

It says whose the folder is for as long as there is no manifest, and which backup an increment builds on: whoever wants
to remove that one looks for it here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..core.errors import StorageNotFound
from ..core.ids import is_backup_id
from ..storage.base import Storage
from .layout import STARTED, BackupFolder


@dataclass(frozen=True)
class Started:
    """What is known of a beginning. *parent* is None for a full backup; *says_parent* is False when nobody knows.

    *host* made it; *is_copy*: it is a backup of elsewhere that is brought here, for which that host is nobody's.
    """

    host: str
    parent: str | None
    says_parent: bool
    is_copy: bool


def read_started(storage: Storage, folder: BackupFolder) -> Started | None:
    """What the folder's ``started.json`` says; None when there is none. Raises what get() raises but StorageNotFound.

    One that can't be read says nothing: neither who made it nor what it builds on.
    """
    try:
        return parse_started(storage.get(folder.key(STARTED)))
    except StorageNotFound:
        return None


def parse_started(data: bytes) -> Started:
    """Whatever bytes come in, nothing is raised. Earlier versions don't say the parent."""
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Started(host="", parent=None, says_parent=False, is_copy=False)
    host, parent = document.get("host"), document.get("parent")
    named = parent if isinstance(parent, str) and is_backup_id(parent) else None
    return Started(
        host=host if isinstance(host, str) else "",
        parent=named,
        says_parent=named is not None or ("parent" in document and parent is None),
        is_copy="copy" in document,
    )
