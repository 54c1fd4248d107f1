# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery label of Redis: the server's second. The append-only file knows no finer time."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from ..core.errors import RedisCommandFailed
from ..core.runner import Runner
from ..recovery.recovery_target import RecoveryTarget
from .connection import RedisConnection


def mark(
    connection: t.Mapping[str, t.Any], *, name: str, runner: Runner
) -> tuple[RecoveryTarget, t.Mapping[str, t.Any]]:
    """Ask the server's clock. Everything of that second will be in a recovery. Raises what connecting raises."""
    del name  # there is no place for it that replicas and clients would not see
    client = RedisConnection.from_description(connection).open(runner=runner)
    try:
        reply = client.command("TIME")
    finally:
        client.close()
    if not isinstance(reply, list) or not isinstance(reply[0], bytes) or not reply[0].isdigit():
        raise RedisCommandFailed("The server answers TIME with something that is no time.", hint="Run: redis-cli TIME")
    moment = datetime.datetime.fromtimestamp(int(reply[0]), tz=datetime.timezone.utc)
    return RecoveryTarget(kind="time", value=format_time(moment), time=moment), {"resolution_seconds": 1}
