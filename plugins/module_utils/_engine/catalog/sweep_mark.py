# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``sweep-<owner>.json`` in a folder that is no backup: somebody is emptying it.

A copy from another repository may begin in such a folder at any moment. It writes ``started.json`` and then looks for
this mark; whoever sweeps writes the mark and then looks for ``started.json``. Whoever comes second sees the other, and
nothing is taken from under a copy. A mark never hides a backup.
"""

from __future__ import annotations

import json
import re

from ..storage.base import Storage
from .layout import BackupFolder

PREFIX = "sweep-"
SUFFIX = ".json"
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 100


def mark_key(folder: BackupFolder, owner: str) -> str:
    """The key of the mark of *owner*: the name of a host that holds the source's lock, or an id of its own."""
    return folder.key(f"{PREFIX}{_NOT_ALLOWED.sub('-', owner)[:_LONGEST]}{SUFFIX}")


def is_mark(key: str) -> bool:
    """Whether the object is such a mark."""
    name = key.rpartition("/")[2]
    return name.startswith(PREFIX) and name.endswith(SUFFIX)


def put_mark(storage: Storage, folder: BackupFolder, owner: str) -> str:
    """Write the mark, over an earlier one of the same owner; its key. Raises what put() raises."""
    key = mark_key(folder, owner)
    storage.put(key, (json.dumps({"owner": owner}) + "\n").encode("utf-8"), if_absent=False)
    return key
