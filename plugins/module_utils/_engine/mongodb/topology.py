# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which member of a replica set to read: a healthy secondary that is not far behind, else the primary."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoNoSuitableMember, MongoShardedCluster
from .faults import COMMAND_NOT_FOUND, named_faults

if t.TYPE_CHECKING:
    from .connection import Client

PRIMARY = "PRIMARY"
SECONDARY = "SECONDARY"
READ_PREFERENCES = ("secondaryPreferred", "secondary", "primary")


@dataclass(frozen=True)
class Member:
    """One member as replSetGetStatus sees it; *lag* is seconds behind the primary, None when that can't be told."""

    host: str
    role: str  # PRIMARY, SECONDARY, ARBITER, RECOVERING, ...
    healthy: bool
    lag: float | None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"host": self.host, "role": self.role, "healthy": self.healthy, "lag_seconds": self.lag}


@dataclass(frozen=True)
class Topology:
    """What kind of deployment a client reached. A standalone has neither *replica_set* nor *members*.

    *me* is the server that answered; *direct* tells that the URI names this one server alone.
    """

    me: str
    replica_set: str | None
    replica_set_id: str | None
    members: tuple[Member, ...]
    direct: bool


def read_topology(client: Client) -> Topology:
    """Ask a client's server what it belongs to.

    Raises MongoShardedCluster for mongos, MongoNotAuthorised when the role clusterMonitor is missing.
    """
    with named_faults("Asking the server what it is", role="clusterMonitor"):
        hello = say_hello(client)
        if hello.get("msg") == "isdbgrid":
            raise MongoShardedCluster(
                "This is mongos, the router of a sharded cluster.",
                hint="Back a sharded cluster up with Percona Backup for MongoDB, or with the provider's snapshots.",
            )
        address = client.address
        reached = f"{address[0]}:{address[1]}" if address else ""
        direct = client.topology_description.topology_type_name == "Single"
        if "setName" not in hello:
            return Topology(me=reached, replica_set=None, replica_set_id=None, members=(), direct=direct)
        status = client.admin.command("replSetGetStatus")
        settings = client.admin.command("replSetGetConfig")["config"].get("settings", {})
    return Topology(
        me=str(hello.get("me", reached)),
        replica_set=str(hello["setName"]),
        replica_set_id=str(settings["replicaSetId"]) if "replicaSetId" in settings else None,
        members=_members(status),
        direct=direct,
    )


def say_hello(client: Client) -> dict[str, t.Any]:
    """The server's own account of its role and its last writes."""
    from pymongo.errors import OperationFailure

    try:
        return client.admin.command("hello")
    except OperationFailure as error:
        if error.code != COMMAND_NOT_FOUND:
            raise
        # Before 4.4.2 the command had another name.
        reply = client.admin.command("isMaster")
        reply["isWritablePrimary"] = bool(reply.get("ismaster", False))
        return reply


def _members(status: t.Mapping[str, t.Any]) -> tuple[Member, ...]:
    listed = list(status.get("members", ()))
    newest: datetime.datetime | None = None
    for member in listed:
        if member.get("stateStr") == PRIMARY:
            newest = member.get("optimeDate")
    found: list[Member] = []
    for member in listed:
        optime = member.get("optimeDate")
        lag = None
        if newest is not None and optime is not None and member.get("stateStr") in (PRIMARY, SECONDARY):
            lag = max(0.0, (newest - optime).total_seconds())
        found.append(
            Member(
                host=str(member.get("name", "")),
                role=str(member.get("stateStr", "")),
                healthy=bool(member.get("health", 0)),
                lag=lag,
            )
        )
    return tuple(found)


def members_to_read(topology: Topology, *, read_preference: str, max_lag: float) -> tuple[Member, ...]:
    """The members that may be read, the best first.

    Secondaries count when they are healthy and at most *max_lag* seconds behind (the closest first), the primary unless
    only secondaries are wanted. Without a primary the lag is unknown and every healthy secondary counts. Raises
    MongoNoSuitableMember. Pure: it looks only at what *topology* says.
    """
    healthy = [member for member in topology.members if member.healthy]
    secondaries = sorted(
        (member for member in healthy if member.role == SECONDARY and (member.lag is None or member.lag <= max_lag)),
        key=lambda member: member.lag or 0.0,
    )
    primaries = [member for member in healthy if member.role == PRIMARY]
    chosen = {
        "primary": primaries,
        "secondary": secondaries,
        "secondaryPreferred": [*secondaries, *primaries],
    }[read_preference]
    if not chosen:
        states = "; ".join(
            f"{member.host} {member.role}{'' if member.lag is None else f' {member.lag:g} s behind'}"
            for member in topology.members
        )
        raise MongoNoSuitableMember(
            f"No member of {topology.replica_set} may be read with read_preference {read_preference}: {states}.",
            hint=f"Wait until a member has caught up (max_lag_seconds is {max_lag:g}), or use secondaryPreferred.",
            details={"members": [member.as_dict() for member in topology.members]},
        )
    return tuple(chosen)
