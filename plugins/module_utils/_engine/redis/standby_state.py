# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server says of its place in a replication: primary or replica of whom, of which history, and up to where.

A history has an id (``master_replid``) and an offset in bytes. A replica that is promoted begins a new history and
keeps the old id beside it (``master_replid2``), so one can see what it was promoted from. Source: "Redis replication",
redis.io, section "Replication ID explained".
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from .info import Info, read_info
from .resp import RespClient

#: A primary that is fenced follows this: nothing listens there, so it takes no writes and keeps its data.
FENCE_HOST, FENCE_PORT = "127.0.0.1", 1
_NO_HISTORY = "0" * 40


@dataclass(frozen=True)
class RedisStandbyState:
    """One look at a server. *offset* is in bytes of its history; of a replica it is what it has applied.

    *read_only*: it is a replica that takes no writes of clients. *silent_seconds* is for how long nothing came from the
    primary, None where there is none or that is not known. *replica_offsets* are what its own replicas have said that
    they have, -1 of one without a copy.
    """

    server: str
    version: str
    run_id: str
    role: str  # "primary" or "replica"
    history: str
    offset: int
    previous_history: str | None
    switched: int | None
    follows: str | None
    link: str | None  # "up" or "down", for a replica
    silent_seconds: int | None
    first_copy_running: bool
    loading: bool
    fenced: bool
    read_only: bool
    cluster: bool
    replicas: int
    replica_offsets: tuple[int, ...]
    keys: int

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "replica_offsets": list(self.replica_offsets)}


def look_at_standby(client: RespClient) -> RedisStandbyState:
    """Ask the server; changes nothing. Needs INFO. Raises what asking raises."""
    return state_from(read_info(client), server=client.peer)


def state_from(info: Info, *, server: str) -> RedisStandbyState:
    """The state in one INFO reply of the default sections."""
    replica = info.get("role") == "slave"
    previous = info.get("master_replid2", _NO_HISTORY)
    host, port = info.get("master_host", ""), info.number("master_port")
    return RedisStandbyState(
        server=server,
        version=info.get("valkey_version") or info.get("redis_version", ""),
        run_id=info.get("run_id", ""),
        role="replica" if replica else "primary",
        history=info.get("master_replid", ""),
        offset=max(0, info.number("slave_repl_offset" if replica else "master_repl_offset")),
        previous_history=None if previous == _NO_HISTORY else previous,
        switched=None if previous == _NO_HISTORY else info.number("second_repl_offset"),
        follows=f"{host}:{port}" if replica else None,
        link=info.get("master_link_status") if replica else None,
        silent_seconds=_silence(info) if replica else None,
        first_copy_running=info.is_on("master_sync_in_progress"),
        loading=info.is_on("loading") or info.is_on("async_loading"),
        fenced=replica and (host, port) == (FENCE_HOST, FENCE_PORT),
        read_only=replica and info.is_on("slave_read_only"),
        cluster=info.is_on("cluster_enabled"),
        replicas=info.number("connected_slaves"),
        replica_offsets=tuple(_acknowledged(info)),
        keys=sum(counts["keys"] for counts in info.keyspace.values()),
    )


def _silence(info: Info) -> int | None:
    name = "master_last_io_seconds_ago" if info.get("master_link_status") == "up" else "master_link_down_since_seconds"
    seconds = info.number(name, -1)
    return None if seconds < 0 else seconds


def _acknowledged(info: Info) -> t.Iterator[int]:
    """The offsets in the lines ``slave0:ip=..,port=..,state=online,offset=..,lag=..``."""
    for name, value in info.items():
        if name.startswith("slave") and name[5:].isdigit():
            pairs = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
            offset = pairs.get("offset", "")
            yield int(offset) if pairs.get("state") == "online" and offset.isdigit() else -1
