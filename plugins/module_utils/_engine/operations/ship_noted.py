# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps of the server's own facts for the status: in the record of a run, and as the newest look.

Who follows a stream writes a record only when something changes, or once an hour; the look is written each time.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from ..core.state import StateDirectory
from .ship_values import COMPLETE

#: The folder of the looks, a file for each stream.
LOOKS = "looks"


def read_look(state: StateDirectory, record_name: str) -> dict[str, t.Any] | None:
    """What :func:`noted_facts` said at the newest look; None where there was none."""
    return state.read(LOOKS, f"{record_name}.json")


def noted_facts(
    facts: t.Mapping[str, t.Any], *, state: str, waiting: int, inspected: datetime.datetime
) -> dict[str, t.Any]:
    """``oplog_hours``: for how many hours more a MongoDB server keeps what is to be captured next.

    ``pg_wal``: how full the pg_wal of a PostgreSQL server is, and may be.

    ``stored_until``: up to when every commit of a PostgreSQL server is stored. A primary switches to another segment
    when archive_timeout has gone by since the last switch and something was written (PostgreSQL manual,
    archive_timeout); so when nothing waits, here or in its pg_wal, whatever is older than that has been stored.
    """
    noted: dict[str, t.Any] = {}
    oplog = facts.get("oplog")
    if isinstance(oplog, dict) and isinstance(oplog.get("hours_left"), (int, float)):
        noted["oplog_hours"] = oplog["hours_left"]
    room = facts.get("pg_wal")
    if isinstance(room, dict):
        noted["pg_wal"] = room
    timeout = facts.get("archive_timeout_seconds")
    is_whole = state == COMPLETE and waiting == 0 and facts.get("ready_count") == 0
    is_primary = facts.get("archive_mode") in ("on", "always") and facts.get("in_recovery") is False
    if is_whole and is_primary and isinstance(timeout, int) and timeout > 0 and not facts.get("is_failing"):
        noted["stored_until"] = format_time(inspected - datetime.timedelta(seconds=timeout))
    return noted
