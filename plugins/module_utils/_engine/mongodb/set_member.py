# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a replica set as its configuration and its status have them, and changing what one of them is."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import MongoMemberRefused, MongoNoSuitableMember, MongoPromotionNotReached
from ..core.host import Host
from .connection import MongoConnection
from .faults import named_faults
from .topology import PRIMARY, SECONDARY

if t.TYPE_CHECKING:
    from .connection import Client

ROLE = "clusterManager"
_POLL = 0.2
_LARGEST_PRIORITY = 1000


@dataclass(frozen=True)
class SetMember:
    """One member. *newest* is the time of its last entry, None of an arbiter or of one that does not answer.

    *optime* is that entry's place in the oplog: seconds, number in the second, and term.
    """

    host: str
    role: str  # PRIMARY, SECONDARY, ARBITER, RECOVERING, "(not reachable/healthy)", ...
    healthy: bool
    votes: int
    priority: float
    hidden: bool
    delayed: bool
    arbiter: bool
    newest: datetime.datetime | None
    optime: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "newest": format_time(self.newest) if self.newest else None}


@dataclass(frozen=True)
class ReplicaSet:
    """A set as one of its members sees it. *configuration* is the server's own document."""

    name: str
    term: int
    configuration: t.Mapping[str, t.Any]
    members: tuple[SetMember, ...]

    @property
    def primary(self) -> SetMember | None:
        """The healthy primary that is known; None without one."""
        return next((one for one in self.members if one.role == PRIMARY and one.healthy), None)

    @property
    def has_majority(self) -> bool:
        """Whether those that answer could elect a primary."""
        votes = sum(one.votes for one in self.members)
        healthy = sum(one.votes for one in self.members if one.healthy and one.role in (PRIMARY, SECONDARY, "ARBITER"))
        return healthy * 2 > votes

    def named(self, host: str) -> SetMember:
        """The member with that address, port 27017 where none is given. Raises MongoNoSuitableMember."""
        wanted = with_port(host)
        for one in self.members:
            if one.host == wanted:
                return one
        raise MongoNoSuitableMember(
            f"The replica set {self.name} has no member {wanted}.",
            hint=f"Its members: {', '.join(one.host for one in self.members)}.",
        )


@dataclass(frozen=True)
class WantedMember:
    """What a member is to be. One with *priority* 0 never becomes primary by itself."""

    host: str
    priority: float = 0
    votes: int = 1
    hidden: bool = False


@dataclass(frozen=True)
class MemberChanged:
    """What came of it; *before* is None of one that was added."""

    changed: bool
    set_name: str
    host: str
    role: str
    before: t.Mapping[str, t.Any] | None
    seconds: float

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "before": None if self.before is None else dict(self.before)}


def with_port(host: str) -> str:
    """The address as the configuration has it."""
    return host if ":" in host.rpartition("]")[2] else f"{host}:27017"


def read_set(client: Client) -> ReplicaSet:
    """What this server says of its set. Needs clusterMonitor. Raises the named faults."""
    with named_faults("Asking for the state of the replica set", role="clusterMonitor"):
        status = client.admin.command("replSetGetStatus")
        configuration = client.admin.command("replSetGetConfig")["config"]
    said = {str(one.get("name")): one for one in status.get("members", ())}
    return ReplicaSet(
        name=str(configuration["_id"]),
        term=int(status.get("term", -1)),
        configuration=configuration,
        members=tuple(_member(one, said.get(str(one["host"]), {})) for one in configuration["members"]),
    )


def have_member(
    connection: MongoConnection, wanted: WantedMember, *, timeout: float, host: Host, check: bool = False
) -> MemberChanged:
    """Add the member, or change its priority and votes, and wait until it has the data.

    A new one gets its votes and its priority when it has caught up, so that the set never counts on somebody who has
    nothing. Raises MongoMemberRefused, MongoPromotionNotReached, and what connecting and asking raise.
    """
    began = host.clock.monotonic()
    address = with_port(wanted.host)
    _refuse(wanted)
    with connection.open(runner=host.runner) as client:
        found = read_set(client)
        there = next((one for one in found.members if one.host == address), None)
        before = None if there is None else _rights(there)
        changed = before != {"priority": wanted.priority, "votes": wanted.votes, "hidden": wanted.hidden}
        if changed and not check:
            if there is None:
                identifier = max(int(one["_id"]) for one in found.configuration["members"]) + 1
                fresh = {"_id": identifier, "host": address, "priority": 0, "votes": 0}
                reconfigure(client, found.configuration, [*found.configuration["members"], fresh])
            _wait_for_data(client, address, timeout=timeout, host=host)
            now = read_set(client)
            changes = {"priority": wanted.priority, "votes": wanted.votes, "hidden": wanted.hidden}
            reconfigure(client, now.configuration, [_changed(one, address, changes) for one in _members_of(now)])
        role = "" if check and there is None else read_set(client).named(address).role
    return MemberChanged(
        changed=changed,
        set_name=found.name,
        host=address,
        role=role,
        before=before,
        seconds=round(host.clock.monotonic() - began, 3),
    )


def reconfigure(
    client: Client,
    configuration: t.Mapping[str, t.Any],
    members: t.Sequence[t.Mapping[str, t.Any]],
    *,
    force: bool = False,
) -> None:
    """Give the set these members. Raises the named faults."""
    document = {
        **configuration,
        "members": [dict(one) for one in members],
        "version": int(configuration["version"]) + 1,
    }
    with named_faults("Changing the configuration of the replica set", role=ROLE):
        client.admin.command({"replSetReconfig": document, "force": force})


def above(configuration: t.Mapping[str, t.Any]) -> float:
    """A priority above all others."""
    return min(_LARGEST_PRIORITY, max(float(one.get("priority", 1)) for one in configuration["members"]) + 1)


def _member(configured: t.Mapping[str, t.Any], said: t.Mapping[str, t.Any]) -> SetMember:
    newest = said.get("optimeDate") if said.get("health") else None
    return SetMember(
        host=str(configured["host"]),
        role=str(said.get("stateStr", "")),
        healthy=bool(said.get("health", 0)),
        votes=int(configured.get("votes", 1)),
        priority=float(configured.get("priority", 1)),
        hidden=bool(configured.get("hidden", False)),
        delayed=bool(configured.get("secondaryDelaySecs", configured.get("slaveDelay", 0))),
        arbiter=bool(configured.get("arbiterOnly", False)),
        newest=newest.replace(tzinfo=datetime.timezone.utc) if isinstance(newest, datetime.datetime) else None,
        optime=_optime(said.get("optime")) if said.get("health") else None,
    )


def _optime(said: t.Any) -> str | None:
    stamp = said.get("ts") if isinstance(said, dict) else None
    return None if stamp is None else f"{stamp.time}:{stamp.inc}:{said.get('t', -1)}"


def _members_of(found: ReplicaSet) -> t.Sequence[t.Mapping[str, t.Any]]:
    return t.cast("t.Sequence[t.Mapping[str, t.Any]]", found.configuration["members"])


def _rights(member: SetMember) -> dict[str, t.Any]:
    return {"priority": member.priority, "votes": member.votes, "hidden": member.hidden}


def _changed(member: t.Mapping[str, t.Any], address: str, changes: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {**member, **changes} if member["host"] == address else dict(member)


def _refuse(wanted: WantedMember) -> None:
    problem = ""
    if wanted.votes not in (0, 1):
        problem = f"a member has 0 or 1 votes, not {wanted.votes}"
    elif not 0 <= wanted.priority <= _LARGEST_PRIORITY:
        problem = f"a priority is 0 to {_LARGEST_PRIORITY}, not {wanted.priority:g}"
    elif wanted.priority and not wanted.votes:
        problem = "a member without a vote has priority 0"
    elif wanted.priority and wanted.hidden:
        problem = "a hidden member has priority 0"
    if problem:
        raise MongoMemberRefused(
            f"{with_port(wanted.host)} can't be that: {problem}.", hint="Change priority, votes or hidden."
        )


def _wait_for_data(client: Client, address: str, *, timeout: float, host: Host) -> None:
    deadline = host.clock.monotonic() + timeout
    while True:
        member = read_set(client).named(address)
        if member.role in (PRIMARY, SECONDARY) and member.healthy:
            return
        if host.clock.monotonic() >= deadline:
            raise MongoPromotionNotReached(
                f"{address} is {member.role or 'silent'} after {timeout:g} seconds; it has no vote yet.",
                hint="It goes on copying. Do the same again; its log says how far it is, or why it can't.",
                details=member.as_dict(),
            )
        host.clock.sleep(_POLL)
