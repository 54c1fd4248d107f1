# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers into which a backup must not be restored, said before anything is stopped."""

from __future__ import annotations

from ..core.errors import (
    RedisClusterNode,
    RedisCommandUnavailable,
    RedisLoading,
    RedisPermissionDenied,
    RestoreTargetInvalid,
)
from .facts import ServerFacts
from .loadable import older_modules, refuse_missing_modules, refuse_unloadable
from .noted import Noted
from .resp import RespClient
from .target import Target, contradictions

_HELLO = "__sentinel__:hello"


def refuse_company(client: RespClient, facts: ServerFacts, *, allow_replicas: bool) -> list[str]:
    """Raise for a server that is not alone: replicas, Sentinels and clusters undo a restore, or are undone by it.

    Returns warnings about what could not be told.
    """
    who = client.peer
    if facts.sentinel:
        raise RestoreTargetInvalid(
            f"{who} is a Sentinel and holds no data.",
            hint="Name the server itself: redis-cli -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME <name>",
        )
    if facts.cluster:
        raise RedisClusterNode(
            f"{who} is a node of a cluster, and whoever restores one node alone breaks it.",
            hint="Restore beside (data_directory), and import from there: redis-cli --cluster import",
        )
    if facts.loading:
        raise RedisLoading(
            f"{who} is still loading its data set.",
            hint="Wait until INFO persistence says loading:0, then run it again.",
        )
    if facts.role == "replica":
        raise RestoreTargetInvalid(
            f"{who} is a replica: its primary would replace what is restored.",
            hint="Restore the primary (INFO replication names it), or run here first: redis-cli REPLICAOF NO ONE",
        )
    if facts.replicas and not allow_replicas:
        raise RestoreTargetInvalid(
            f"{facts.replicas} replicas are attached to {who}: they would copy what is restored, and what they hold "
            "now would be gone.",
            hint="Add allow_replicas: true when that is wanted, or stop them first; one of them may be the last copy "
            "of what is lost.",
            details={"replicas": facts.replicas},
        )
    watchers = _watchers(client)
    if watchers is None:
        return [f"Whether Sentinels watch {who} is not known: the user may not run PUBSUB."]
    if watchers:
        raise RestoreTargetInvalid(
            f"Sentinels watch {who}: they would fail over while it is stopped, and undo the restore.",
            hint="Run on each Sentinel: redis-cli -p 26379 SENTINEL REMOVE <name>   (afterwards: SENTINEL MONITOR)",
            details={"sentinels": watchers},
        )
    return []


def refuse_unfit_target(target: Target, noted: Noted, *, kind: str) -> None:
    """Raise when the server could not load the backup, or would not look for it after its restart."""
    refuse_unloadable(noted, target.server, kind=kind)
    if noted.cluster_node:
        raise RedisClusterNode(
            "The backup is of one node of a cluster: it holds some of the slots, and a single server would pass it for "
            "the whole.",
            hint="Restore it beside (data_directory), and import from there: redis-cli --cluster import",
        )
    if target.running:
        refuse_missing_modules(noted, loaded=target.modules, who=target.address)
    if noted.databases > target.databases:
        raise RestoreTargetInvalid(
            f"The backup has keys in database {noted.databases - 1}, and {target.address} has {target.databases} "
            "databases: it would refuse to load them.",
            hint=f"Set databases {noted.databases} or more in its configuration, and restart it.",
        )
    if kind == "aof" and not target.append_only:
        raise RestoreTargetInvalid(
            f"{target.address} keeps no append-only file (appendonly is no), so it would not load this one: it would "
            "start without any data.",
            hint="Restore a backup of the kind rdb, or run first: redis-cli CONFIG SET appendonly yes && redis-cli "
            "CONFIG REWRITE",
        )
    found = contradictions(target)
    if found:
        raise RestoreTargetInvalid(
            f"{target.address} would not look for its data where it does now, once restarted: {'; '.join(found)}.",
            hint="Make up your mind: run redis-cli CONFIG REWRITE, or set the values of the file with CONFIG SET.",
            details={"contradictions": found},
        )


def target_warnings(target: Target, noted: Noted) -> list[str]:
    """What to tell before a restore that is possible."""
    found = []
    if 0 < target.maximum_memory < noted.used_memory:
        found.append(
            f"{target.address} may use {target.maximum_memory} bytes (maxmemory), and the source used "
            f"{noted.used_memory}: it will evict keys or refuse writes."
        )
    old = older_modules(noted, loaded=target.modules)
    if old:
        found.append(f"{target.address} has older modules than the source had: {', '.join(old)}.")
    if not target.running:
        found.append(
            f"{target.address} does not run, so its modules, replicas and settings on the command line are not known."
        )
        if noted.modules:
            found.append(f"The source had the modules {', '.join(noted.modules)}.")
    return found


def _watchers(client: RespClient) -> int | None:
    """How many Sentinels listen to what others of them say through this server; None when we may not ask."""
    try:
        reply = client.command("PUBSUB", "NUMSUB", _HELLO)
    except (RedisPermissionDenied, RedisCommandUnavailable):
        return None
    return reply[1] if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], int) else None
