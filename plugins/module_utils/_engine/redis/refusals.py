# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers whose backup would not be one, and what an operator should know about those that are taken."""

from __future__ import annotations

from ..core.errors import RedisClusterNode, RedisLoading, RedisReplicaIncomplete, RequestInvalid
from .facts import ServerFacts


def refuse_unfit(facts: ServerFacts, *, address: str, allow_cluster_node: bool) -> None:
    """Raise the named error for a server that has no data set, not all of it, or not yet."""
    if facts.sentinel:
        raise RequestInvalid(
            f"{address} is a Sentinel and holds no data.",
            hint="Name the server itself: redis-cli -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME <name>",
        )
    if facts.loading:
        raise RedisLoading(
            f"{address} is still loading its data set.",
            hint="Wait until INFO persistence says loading:0, then run it again.",
        )
    if facts.first_copy_running:
        raise RedisReplicaIncomplete(
            f"{address} is a replica that is just getting its first copy from the primary.",
            hint="Wait until INFO replication says master_sync_in_progress:0, or back up the primary.",
        )
    if facts.cluster and not allow_cluster_node:
        raise RedisClusterNode(
            f"{address} is one node of a cluster: it holds only its own slots.",
            hint="Back up each primary as a source of its own with allow_cluster_node: true, and note CLUSTER NODES.",
        )


def warnings_about(facts: ServerFacts, *, address: str) -> list[str]:
    """What to tell the operator about a server that is backed up nevertheless."""
    found = []
    if facts.keys == 0:
        found.append(f"{address} holds no key at all. A server that was restarted without its files looks like this.")
    if facts.role == "replica" and facts.primary_link != "up":
        found.append(
            f"{address} is a replica that lost its primary {facts.primary_link_down_seconds} seconds ago: "
            "newer writes are missing."
        )
    if facts.cluster:
        found.append(f"{address} is one node of a cluster: the backup holds its slots only.")
    return found
