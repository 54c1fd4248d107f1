# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of server this is, what it holds and how it keeps it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RedisCommandUnavailable, RedisPermissionDenied
from .info import Info, read_info
from .resp import RespClient

# CONFIG GET takes one pattern at a time before Redis 7; a setting that a server lacks is left out of its reply.
_SETTINGS = (
    "dir",
    "dbfilename",
    "appendonly",
    "appenddirname",
    "appendfilename",
    "appendfsync",
    "aof-use-rdb-preamble",
    "aof-timestamp-enabled",
    "rdbchecksum",
    "save",
    "aclfile",
)


@dataclass(frozen=True)
class ServerFacts:
    """What one look at a server found. ``settings`` is None when the user may not run CONFIG GET.

    ``flavour`` is "redis", "valkey" or what else the server calls itself; ``version`` is that flavour's own.
    """

    flavour: str
    version: str
    redis_version: tuple[int, ...]  # which Redis it behaves like
    run_id: str
    process_id: int
    role: str  # "primary" or "replica"
    primary_link: str | None  # "up" or "down", for a replica
    primary_link_down_seconds: int
    first_copy_running: bool
    replicas: int
    loading: bool
    cluster: bool
    sentinel: bool
    append_only: bool
    modules: tuple[str, ...]
    keyspace: t.Mapping[str, t.Mapping[str, int]]
    used_memory: int
    maximum_memory: int
    last_save: int  # seconds since 1970
    last_save_status: str
    changes_since_save: int
    aof_size: int
    aof_write_status: str
    settings: t.Mapping[str, str] | None

    @property
    def keys(self) -> int:
        """Keys in all databases."""
        return sum(counts["keys"] for counts in self.keyspace.values())

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for plans and manifests."""
        return {
            "flavour": self.flavour,
            "version": self.version,
            "run_id": self.run_id,
            "role": self.role,
            "primary_link": self.primary_link,
            "replicas": self.replicas,
            "cluster": self.cluster,
            "modules": list(self.modules),
            "keyspace": {name: dict(counts) for name, counts in self.keyspace.items()},
            "used_memory": self.used_memory,
            "maximum_memory": self.maximum_memory,
            "append_only": self.append_only,
            "last_save": self.last_save,
            "last_save_status": self.last_save_status,
            "changes_since_save": self.changes_since_save,
            "aof_size": self.aof_size,
            "settings": None if self.settings is None else dict(self.settings),
        }


def read_facts(client: RespClient) -> ServerFacts:
    """Ask the server about itself; changes nothing. Needs INFO; CONFIG GET may be denied."""
    return facts_from(read_info(client), settings=_read_settings(client))


def facts_from(info: Info, *, settings: t.Mapping[str, str] | None) -> ServerFacts:
    """The facts in one INFO reply of the default sections."""
    flavour, version = _flavour(info)
    replica = info.get("role") == "slave"
    return ServerFacts(
        flavour=flavour,
        version=version,
        redis_version=_version(info.get("redis_version", "")),
        run_id=info.get("run_id", ""),
        process_id=info.number("process_id"),
        role="replica" if replica else "primary",
        primary_link=info.get("master_link_status") if replica else None,
        primary_link_down_seconds=max(info.number("master_link_down_since_seconds"), 0),
        first_copy_running=info.is_on("master_sync_in_progress"),
        replicas=info.number("connected_slaves"),
        loading=info.is_on("loading") or info.is_on("async_loading"),
        cluster=info.is_on("cluster_enabled"),
        sentinel=info.get("redis_mode") == "sentinel",
        append_only=info.is_on("aof_enabled"),
        modules=tuple(info.modules),
        keyspace=info.keyspace,
        used_memory=info.number("used_memory"),
        maximum_memory=info.number("maxmemory"),
        last_save=info.number("rdb_last_save_time"),
        last_save_status=info.get("rdb_last_bgsave_status", ""),
        changes_since_save=info.number("rdb_changes_since_last_save"),
        aof_size=info.number("aof_current_size"),
        aof_write_status=info.get("aof_last_write_status", ""),
        settings=settings,
    )


def _read_settings(client: RespClient) -> dict[str, str] | None:
    found = {}
    for name in _SETTINGS:
        try:
            reply = client.command("CONFIG", "GET", name)
        except (RedisPermissionDenied, RedisCommandUnavailable):
            return None
        if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], bytes):
            # Paths may hold any byte: they come back as the file system's names do.
            found[name] = reply[1].decode("utf-8", "surrogateescape")
    return found


def _flavour(info: Info) -> tuple[str, str]:
    name = info.get("server_name", "redis")
    for other in (name, "valkey", "dragonfly", "keydb"):
        if f"{other}_version" in info and other != "redis":
            return other, info[f"{other}_version"]
    return "redis", info.get("redis_version", "")


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(part) for part in parts if part.isdigit())
