# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup an archive belongs to, said in the archive itself: an old one under a new name is noticed. Pure.

The archive's header has a text for the version of the tool that wrote it; mongorestore only shows it. Behind a plus
sign a version may carry what is no part of it (https://semver.org, "build metadata"), so that whoever takes it for a
version reads the same one as before.
"""

from __future__ import annotations

import re

from ..core.ids import is_backup_id

# The release of mongodump whose archives ours are like; mongorestore shows it.
TOOL_VERSION = "100.10.0"
_MARK = re.compile(r"\+lifeboat\.(?P<id>[^+.]+)$")


def tool_version(backup_id: str | None) -> str:
    """What the archive of that backup says about its tool; without an id nothing but the version."""
    return TOOL_VERSION if backup_id is None else f"{TOOL_VERSION}+lifeboat.{backup_id}"


def backup_id_in(version: str) -> str | None:
    """The id in an archive's tool version; None when it names none: mongodump's, or one of an earlier Lifeboat."""
    found = _MARK.search(version)
    return found["id"] if found is not None and is_backup_id(found["id"]) else None
