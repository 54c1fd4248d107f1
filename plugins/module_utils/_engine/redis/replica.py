# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a replica is behind its primary, and whether the link between them is up."""

from __future__ import annotations

import typing as t

from ..core.replica_lag import ReplicaLag
from ..core.runner import Runner
from .connection import RedisConnection
from .info import Info, read_info


def replica_lag(source: t.Mapping[str, t.Any], standby: t.Mapping[str, t.Any], *, runner: Runner) -> ReplicaLag:
    """Ask both. The seconds are for how long nothing came from the primary, 0 when the replica has everything.

    Raises what connecting and asking raise.
    """
    # The primary first: what is written while the replica is asked makes no lag that there is not.
    written = _replication(source, runner=runner).number("master_repl_offset", -1)
    return lag_from(_replication(standby, runner=runner), written=written)


def lag_from(replica: Info, *, written: int) -> ReplicaLag:
    """What the replica's INFO says; *written* is the primary's offset, -1 when it told none."""
    if replica.get("role") != "slave":
        return ReplicaLag(follows=False)
    have = replica.number("slave_repl_offset", -1)
    # An offset is -1 until the first copy is there.
    behind = max(0, written - have) if written >= 0 and have >= 0 else None
    if replica.get("master_link_status") != "up":
        down = replica.number("master_link_down_since_seconds", -1)
        return ReplicaLag(follows=False, seconds=float(down) if down >= 0 else None, behind_bytes=behind)
    silent = float(max(0, replica.number("master_last_io_seconds_ago")))
    return ReplicaLag(follows=True, seconds=None if behind is None else silent if behind else 0.0, behind_bytes=behind)


def _replication(connection: t.Mapping[str, t.Any], *, runner: Runner) -> Info:
    client = RedisConnection.from_description(connection).open(runner=runner)
    try:
        return read_info(client, "replication")
    finally:
        client.close()
