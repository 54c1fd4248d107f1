# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a member of a replica set is behind its primary."""

from __future__ import annotations

import typing as t

from ..core.errors import MongoNoSuitableMember
from ..core.replica_lag import ReplicaLag
from ..core.runner import Runner
from .connection import MongoConnection
from .topology import SECONDARY, Member, Topology, read_topology


def replica_lag(
    source: t.Mapping[str, t.Any], standby: t.Mapping[str, t.Any], *, name: str, runner: Runner
) -> ReplicaLag:
    """What the set says of the member *name*; of the one that *standby* leads to when none is called so.

    Without a connection of its own the source's set is asked. Raises what connecting and asking raise, and
    MongoNoSuitableMember when there is no such member.
    """
    with MongoConnection.from_description(standby or source).open(runner=runner) as client:
        member = member_named(read_topology(client), name=name)
    # Without a primary nobody knows the newest write.
    follows = member.role == SECONDARY and member.healthy
    return ReplicaLag(follows=follows, seconds=member.lag if follows else None)


def member_named(topology: Topology, *, name: str) -> Member:
    """The member whose host is *name*, with or without its port, else the one that was asked directly."""
    named = [one for one in topology.members if name in (one.host, one.host.rpartition(":")[0])]
    asked = [one for one in topology.members if topology.direct and one.host == topology.me]
    for member in (*named, *asked):
        return member
    there = ", ".join(one.host for one in topology.members) or "no members: it is no replica set"
    raise MongoNoSuitableMember(
        f"No member of the set is called {name}; it has {there}.",
        hint="Call the standby by the member's host name, or give it a connection to this member alone "
        "(mongodb://HOST/?directConnection=true).",
    )
