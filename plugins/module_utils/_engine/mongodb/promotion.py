# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having the members of one region elect the primary among themselves.

As long as the set has a majority, that is an election, and nothing is lost that a majority has acknowledged. Without
one nobody can be elected, and the set is cut down by force to the members that are left. That is two sets, and two
primaries, when the lost members only can't be seen: so each of them must be fenced before. Sources: the manual of
MongoDB, "Reconfigure a Replica Set with Unavailable Members" and "Replica Set Elections".
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import LifeboatError, MongoNoSuitableMember, MongoPromotionNotReached, MongoPromotionRefused
from ..core.host import Host
from .connection import MongoConnection
from .faults import named_faults
from .set_member import ROLE, ReplicaSet, SetMember, above, read_set, reconfigure, with_port
from .topology import SECONDARY

if t.TYPE_CHECKING:
    from .connection import Client

NOTHING, ELECTION, FORCE = "nothing", "election", "force"
_POLL = 0.2
_CATCH_UP_SECONDS = 10
_MOST_VOTES = 7
_NOT_SECONDARY = 95


@dataclass(frozen=True)
class MongoPromotion:
    """Among whom: the addresses of the *members* that stay. *fenced* are those that can't take writes any more.

    *split_brain_risk* is the operator's word for the others. *timeout* is in seconds, for each thing that is waited
    for.
    """

    members: tuple[str, ...]
    fenced: tuple[str, ...] = ()
    split_brain_risk: bool = False
    timeout: float = 60.0


@dataclass(frozen=True)
class MongoPromoted:
    """What came of it. *way* is nothing, election or force; *removed* are the members that left the set.

    *newest* is the time of the last entry that the best of the members had before a set was cut down by force: what the
    lost ones have beyond it is lost. None where nothing can be.
    """

    changed: bool
    way: str
    set_name: str
    primary: str
    term: int
    removed: tuple[str, ...]
    before: tuple[t.Mapping[str, t.Any], ...]
    newest: str | None
    newest_age_seconds: float | None
    seconds: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            **dataclasses.asdict(self),
            "removed": list(self.removed),
            "before": [dict(one) for one in self.before],
            "warnings": list(self.warnings),
        }


def promote_members(
    connection: MongoConnection, promotion: MongoPromotion, *, host: Host, check: bool = False
) -> MongoPromoted:
    """Make one of the members the primary and prove that a majority takes a write. With *check* nothing is changed.

    Raises MongoPromotionRefused, MongoPromotionNotReached, MongoNoSuitableMember, and what connecting and asking raise.
    """
    return _Promotion(connection, promotion, host=host).run(check=check)


class _Promotion:
    def __init__(self, connection: MongoConnection, promotion: MongoPromotion, *, host: Host) -> None:
        self._connection = connection
        self._wanted = promotion
        self._host = host
        self._names = tuple(with_port(one) for one in promotion.members)
        self._fenced = frozenset(with_port(one) for one in promotion.fenced)
        if not self._names:
            raise MongoPromotionRefused("Nobody is named who could be primary.", hint="Name the members that stay.")

    def run(self, *, check: bool) -> MongoPromoted:
        began = self._host.clock.monotonic()
        with self._first_that_answers() as client:
            found = self._settled(client)
            for name in self._names:
                found.named(name)
            way = self._way(found)
            if way == FORCE:
                self._refuse_force(found)
            if not check and way == ELECTION:
                self._elect(found)
            if not check and way == FORCE:
                self._force(client, found)
            after = found if check else self._proven(client)
        primary = after.primary
        newest = self._newest(found) if way == FORCE else None
        age = None if newest is None else round((self._host.clock.now() - newest).total_seconds(), 3)
        return MongoPromoted(
            changed=way != NOTHING,
            way=way,
            set_name=found.name,
            primary="" if primary is None else primary.host,
            term=after.term,
            removed=tuple(one.host for one in self._others(found)) if way == FORCE else (),
            before=tuple(_rights(one) for one in found.members),
            newest=format_time(newest) if newest else None,
            newest_age_seconds=age,
            seconds=round(self._host.clock.monotonic() - began, 3),
        )

    def _first_that_answers(self) -> Client:
        first: LifeboatError | None = None
        for name in self._names:
            try:
                return self._connection.open(runner=self._host.runner, host=name)
            except LifeboatError as error:
                first = first or error
        raise first or MongoNoSuitableMember("No member answers.")

    def _settled(self, client: Client) -> ReplicaSet:
        """The set; while a majority is there without a primary its own election is waited for."""
        deadline = self._host.clock.monotonic() + self._wanted.timeout
        while True:
            found = read_set(client)
            able = [one for one in found.members if one.healthy and one.priority > 0 and not one.arbiter]
            if found.primary is not None or not found.has_majority or not able:
                return found
            if self._host.clock.monotonic() >= deadline:
                raise MongoPromotionNotReached(
                    f"The replica set {found.name} has a majority and elected nobody within {self._wanted.timeout:g} "
                    "seconds.",
                    hint="The members' logs say why. Do the same again.",
                    details={"members": [one.as_dict() for one in found.members]},
                )
            self._host.clock.sleep(_POLL)

    def _way(self, found: ReplicaSet) -> str:
        primary = found.primary
        if primary is None:
            return FORCE
        return NOTHING if primary.host in self._names else ELECTION

    def _others(self, found: ReplicaSet) -> list[SetMember]:
        """Who leaves a set that is cut down: all but the members that stay and answer."""
        return [one for one in found.members if one.host not in self._names or not one.healthy]

    def _refuse_force(self, found: ReplicaSet) -> None:
        able = [one for one in self._staying(found) if not one.arbiter and not one.delayed and one.role == SECONDARY]
        if not able:
            raise MongoPromotionRefused(
                f"None of {', '.join(self._names)} has the data of {found.name} and could be primary.",
                hint="Restore a backup there instead.",
                details={"members": [one.as_dict() for one in found.members]},
            )
        loose = [one.host for one in self._others(found) if one.votes and one.host not in self._fenced]
        if loose and not self._wanted.split_brain_risk:
            raise MongoPromotionRefused(
                f"{', '.join(loose)} may still elect a primary of {found.name}: nothing proves that they can't.",
                hint="Fence them first (module mongo_fence), or take it upon yourself with split_brain_risk.",
                details={"not_fenced": loose},
            )

    def _staying(self, found: ReplicaSet) -> list[SetMember]:
        return [one for one in found.members if one.host in self._names and one.healthy]

    def _elect(self, found: ReplicaSet) -> None:
        primary = t.cast("SetMember", found.primary)
        raised = above(found.configuration)
        eligible = {one.host for one in self._staying(found) if not one.arbiter and not one.delayed}
        if not eligible:
            raise MongoPromotionRefused(
                f"None of {', '.join(self._names)} answers and has the data of {found.name}.",
                hint="Look at their logs, or name others.",
            )
        members = [
            {**one, "priority": raised, "votes": 1, "hidden": False} if one["host"] in eligible else dict(one)
            for one in found.configuration["members"]
        ]
        with self._connection.open(runner=self._host.runner, host=primary.host) as leader:
            reconfigure(leader, found.configuration, members)
            self._step_down(leader)

    def _step_down(self, leader: Client) -> None:
        """It hands over when a secondary has everything; whether one did is looked at afterwards."""
        from pymongo import errors

        # For no longer than it takes: whoever stepped down may be the only one left a minute later.
        catch_up = max(1, int(min(self._wanted.timeout, _CATCH_UP_SECONDS)))
        command = {"replSetStepDown": catch_up + 1, "secondaryCatchUpPeriodSecs": catch_up}
        try:
            with named_faults("Handing over", role=ROLE):
                leader.admin.command(command)
        except LifeboatError as error:
            # Older servers close the connection, and a member of higher priority may have taken over already.
            if isinstance(error.__cause__, (errors.AutoReconnect, errors.NotPrimaryError)):
                return
            raise

    def _force(self, client: Client, found: ReplicaSet) -> None:
        staying = {one.host: one for one in self._staying(found)}
        members = []
        for one in found.configuration["members"]:
            member = staying.get(str(one["host"]))
            if member is None:
                continue
            able = not member.arbiter and not member.delayed
            priority = max(1.0, member.priority) if able else 0
            votes = 1 if len(staying) <= _MOST_VOTES else member.votes
            members.append({**one, "votes": votes, "priority": priority, "hidden": member.hidden and not able})
        reconfigure(client, found.configuration, members, force=True)
        self._unfreeze(client)

    def _unfreeze(self, client: Client) -> None:
        """Let it be elected though it stepped down a moment ago; one that runs for election already needs no leave."""
        try:
            with named_faults("Letting the member be elected", role=ROLE):
                client.admin.command({"replSetFreeze": 0})
        except LifeboatError as error:
            if getattr(error.__cause__, "code", None) != _NOT_SECONDARY:
                raise

    def _proven(self, client: Client) -> ReplicaSet:
        """The set with a primary among the members that took a write, which a majority has."""
        deadline = self._host.clock.monotonic() + self._wanted.timeout
        while True:
            found = read_set(client)
            primary = found.primary
            if primary is not None and primary.host in self._names and self._takes_writes(primary):
                return found
            if self._host.clock.monotonic() >= deadline:
                raise MongoPromotionNotReached(
                    f"None of {', '.join(self._names)} is primary of {found.name} after {self._wanted.timeout:g} s.",
                    hint="The members' logs say why. Do the same again.",
                    details={"members": [one.as_dict() for one in found.members]},
                )
            self._host.clock.sleep(_POLL)

    def _takes_writes(self, primary: SetMember) -> bool:
        """Put an entry into the oplog, which changes no data. False of one that is elected and not ready yet."""
        from pymongo import errors

        concern = {"w": "majority", "wtimeout": int(self._wanted.timeout * 1000)}
        note = {"appendOplogNote": 1, "data": {"lifeboat": "promoted"}, "writeConcern": concern}
        try:
            writing = named_faults("Writing to the new primary", role=ROLE)
            with writing, self._connection.open(runner=self._host.runner, host=primary.host) as client:
                client.admin.command(note)
        except LifeboatError as error:
            if isinstance(error.__cause__, errors.AutoReconnect):  # of which NotPrimaryError is one
                return False
            raise
        return True

    def _newest(self, found: ReplicaSet) -> datetime.datetime | None:
        return max((one.newest for one in self._staying(found) if one.newest is not None), default=None)


def _rights(member: SetMember) -> dict[str, t.Any]:
    return {"host": member.host, "priority": member.priority, "votes": member.votes, "hidden": member.hidden}
