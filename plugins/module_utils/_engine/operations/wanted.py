# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full backups that something asks for: a recovery that began a new timeline, a stream that was torn.

The wish is a note of this host. It is granted by the next full backup of the source that was begun after it.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time, parse_time
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.state import StateDirectory

#: The kinds of backups that a recovery begins with, by engine. Append-only files bring their own bases.
FULL_KINDS: t.Mapping[str, str] = {"postgresql": "base", "mongodb": "full"}
_FOLDER = "wanted"


@dataclass(frozen=True)
class Wanted:
    """Why a full backup is needed, and since when (aware, UTC)."""

    reason: str
    since: datetime.datetime


def want_full_backup(state: StateDirectory, *, service: str, source: str, reason: str, host: Host) -> None:
    """Note the wish; a note that can't be written is a warning, because it is also said in the result."""
    try:
        state.write(_FOLDER, f"{service}.{source}.json", {"reason": reason, "since": format_time(host.clock.now())})
    except LifeboatError as error:
        host.journal.warning(f"That a full backup is needed could not be noted: {error.message}")


def wanted_backup(state: StateDirectory, *, service: str, source: str) -> Wanted | None:
    """The newest wish of a source, granted or not; None when there is none."""
    document = state.read(_FOLDER, f"{service}.{source}.json")
    try:
        return Wanted(reason=str(document["reason"]), since=parse_time(str(document["since"]))) if document else None
    except (KeyError, ValueError):
        return None
