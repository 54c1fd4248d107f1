# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each source of a service that leaves its region: promoted, restored, or nothing. Pure.

Whatever can't be is a refusal with the source's name in front; what is lost is stated for each.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from ..core.description.duration import parse_duration
from .fencing import fencing_ways
from .plan import Json
from .promotion_plan import ACCEPT_LOSS, Accepted, plan_promotion
from .ranking import rank
from .region_fate import (
    FOLLOWED,
    LEFT,
    PROMOTED,
    RESTORED,
    Fate,
    address_of,
    copy_warnings,
    limit_of,
    restored_until,
    unfenced,
    ways_of,
)
from .region_mongodb import fate_of_set


def fate_of(source: Json, looked: Json, *, region: str, accepted: Accepted, now: datetime.datetime) -> Fate:
    """*source* is one of what the filter ``movable`` says, *looked* what its servers and repositories said."""
    shared: dict[str, t.Any] = {"source": str(source["name"]), "engine": str(source["engine"])}
    way = source["way"]
    if way == LEFT:
        return Fate(**shared, way=LEFT, on="", told="nothing is done with it, as its description says")
    if way == PROMOTED:
        return _promoted(source, looked, shared, region=region, accepted=accepted, now=now)
    if way == FOLLOWED and source["engine"] == "mongodb":
        return fate_of_set(source, looked, shared, region=region, accepted=accepted, now=now)
    if way == FOLLOWED:
        return _followed(source, looked, shared, accepted=accepted)
    if way == RESTORED:
        return _restored(source, looked, shared, accepted=accepted, now=now)
    why = (
        f"it has no standby and no spare in {region}: nothing says how it gets there (describe one, or region_loss: "
        "leave when the service runs without it)"
    )
    return Fate(**shared, way="", on="", told="nobody knows", refusals=(why,))


def _promoted(
    source: Json, looked: Json, shared: Json, *, region: str, accepted: Accepted, now: datetime.datetime
) -> Fate:
    target = source["promotion"]
    states, problems = looked.get("states") or {}, looked.get("problems") or {}
    primary = looked.get("primary") or None
    ranking = rank(states, problems=problems, primary=primary, now=now)
    there = [one["name"] for one in target["standbys"] if one.get("region") == region]
    candidates = [one for one in ranking.candidates if one.name in there]
    if not candidates:
        whys = "; ".join(f"{name}: {ranking.refused.get(name, 'it does not answer')}" for name in there)
        refusals = [f"no standby in {region} can be promoted ({whys})"]
        refusals += [
            f"{name} is a primary already"
            for name, state in states.items()
            if state is not None and not state["in_recovery"]
        ]
        return Fate(**shared, way=PROMOTED, on="", told="no standby can be promoted", refusals=tuple(refusals))
    planned = plan_promotion(
        target, states=states, problems=problems, primary=primary, chosen=candidates[0].name, accepted=accepted, now=now
    )
    plan = planned.plan
    if plan is None:  # there is a candidate, so there is a plan
        return Fate(**shared, way=PROMOTED, on="", told="no standby can be promoted", refusals=planned.refusals)
    standby = next(one for one in target["standbys"] if one["name"] == plan.chosen)
    best = candidates[0]
    seconds = "nobody knows how much" if best.loss_seconds is None else f"at most {best.loss_seconds:.0f} s"
    lost = "nothing that its primary had when it last spoke" if best.loss_bytes == 0 else seconds
    return Fate(
        **shared,
        way=PROMOTED,
        on=str(standby["host"]),
        told=f"its standby {plan.chosen} on {standby['host']} is promoted; may lose {lost} ({best.statement})",
        statement=best.statement,
        loss_seconds=best.loss_seconds,
        loss_bytes=best.loss_bytes,
        ways=tuple(plan.step("fence").options["ways"]),
        promotion=plan,
        address=plan.facts["address"],
        facts={
            "standby": plan.chosen,
            "system_identifier": plan.facts["system_identifier"],
            "timeline": plan.facts["timeline"],
            "limit_seconds": plan.facts["limit_seconds"],
        },
        refusals=planned.refusals,
    )


def _followed(source: Json, looked: Json, shared: Json, *, accepted: Accepted) -> Fate:
    """A replica of Redis."""
    standby = source["standby"]
    state, problem = looked.get("state"), looked.get("problem") or "it does not answer"
    # It is fenced over its connection; nothing has to be known of its unit.
    ways = fencing_ways(source["fencing"], on_host=True)
    refusals = list(unfenced(ways, accepted=accepted))
    on = str(standby["host"])
    if not state:
        refusals.append(f"its standby {standby['name']} can't be asked: {problem}")
    elif state["role"] == "primary":
        refusals.append(f"{standby['name']} is a primary already")
    elif state["first_copy_running"]:
        refusals.append(f"{standby['name']} is in the middle of its first copy, so it does not have the data")
    silent = state.get("silent_seconds") if state else None
    limit = limit_of(source, standby)
    if state and not refusals and limit is not None and not accepted.data_loss and (silent is None or silent > limit):
        known = "nobody knows for how long" if silent is None else f"for {silent} s"
        refusals.append(
            f"{standby['name']} has heard nothing from its primary {known}, and at most {limit:.0f} s may be lost "
            f"({ACCEPT_LOSS}: lose what was written since)"
        )
    heard = (
        "nobody knows when it heard from its primary" if silent is None else f"heard from its primary {silent} s ago"
    )
    return Fate(
        **shared,
        way=FOLLOWED,
        on=on,
        told=f"its replica {standby['name']} on {on} is promoted; it {heard}, and what was written since is lost",
        statement=f"the replica {heard}; what was written since is lost",
        loss_seconds=None if silent is None else float(silent),
        ways=tuple(ways),
        address=address_of(source, standby),
        facts={"standby": standby["name"], "history": state["history"] if state else None},
        refusals=tuple(refusals),
    )


def _restored(source: Json, looked: Json, shared: Json, *, accepted: Accepted, now: datetime.datetime) -> Fate:
    spare = source["spare"]
    place = f"{spare['name']} on {spare['host']}"
    plan = looked.get("plan")
    ways = ways_of(source)
    refusals = list(unfenced(ways, accepted=accepted)) if source["engine"] != "files" else []
    if not plan:
        why = looked.get("problem") or "it was not asked"
        refusals.insert(0, f"it has no standby there, and no verified backup can be restored to {place}: {why}")
        return Fate(**shared, way=RESTORED, on=str(spare["host"]), told="can't be restored", refusals=tuple(refusals))
    backup, until = plan["backup"], restored_until(plan)
    lost = max(0.0, (now - parse_time(until)).total_seconds())
    limit = source["objectives"].get("rpo")
    if limit and lost > parse_duration(limit).total_seconds() and not accepted.data_loss:
        refusals.append(
            f"what is restored ends at {until}: {lost:.0f} s are lost, and at most "
            f"{parse_duration(limit).total_seconds():.0f} s may be ({ACCEPT_LOSS}: lose them)"
        )
    return Fate(
        **shared,
        way=RESTORED,
        on=str(spare["host"]),
        told=f"{backup['id']} of {backup['repository']} is restored to {place}; all after {until} is lost",
        statement=f"everything that was written after {until} is lost",
        loss_seconds=lost,
        ways=tuple(ways),
        address=address_of(source, spare),
        facts={
            "spare": spare["name"],
            "backup": backup["id"],
            "state": backup["state"],
            "replaces": plan["replaces"],
            "point": spare.get("point") or "backup",
        },
        refusals=tuple(refusals),
        warnings=copy_warnings(source),
    )
