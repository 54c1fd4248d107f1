# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning how a service moves to another region: every step in order, what is lost, and why it may be refused. Pure.

The order is the promise: nothing is promoted beside a living primary, and names move after the new side is well.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.description.duration import parse_duration
from .plan import MOVE_REGION, FailoverPlan, Json, PlanStep
from .promotion_plan import Accepted
from .region_fate import LEFT, Fate
from .region_sources import fate_of
from .region_steps import steps_of

#: Not a step, for it is asked before the first one; it has a task file as they have.
APPROVE = "approve"


@dataclass(frozen=True)
class PlannedMove:
    """The plan with every reason not to run it; *warnings* stop nobody. *fates* are the sources' in their order."""

    plan: FailoverPlan
    fates: tuple[Fate, ...]
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_move(
    target: Json,
    *,
    looked: t.Mapping[str, Json],
    answering: t.Collection[str],
    kinds: t.Collection[str],
    accepted: Accepted,
    now: datetime.datetime,
) -> PlannedMove:
    """*target* is what the filter ``movable`` says of the service, *looked* what was found out about each source.

    *answering* are the hosts of the left region that answer, *kinds* those that this installation has a step for.
    """
    region = str(target["to"])
    fates = tuple(
        fate_of(source, looked.get(source["name"]) or {}, region=region, accepted=accepted, now=now)
        for source in target["sources"]
    )
    addresses = {one.source: dict(one.address) for one in fates if one.address}
    refusals = [f"{one.source}: {refusal}" for one in fates for refusal in one.refusals]
    refusals += wiring_refusals(target, addresses)
    refusals += _of_names(target)
    steps = tuple(steps_of(target, fates, answering=answering))
    refusals += missing_step_refusals(target, steps, kinds)
    plan = FailoverPlan(
        kind=MOVE_REGION,
        service=str(target["service"]),
        source="",
        chosen=region,
        made=format_time(now),
        facts={
            "from": target["from"],
            "to": region,
            "host": target["host"],
            "sources": {
                one.source: {"engine": one.engine, "way": one.way, "on": one.on, **one.facts}
                for one in fates
                if one.way != LEFT
            },
            "left": [one.source for one in fates if one.way == LEFT],
            "addresses": addresses,
            "accepted": {"data_loss": accepted.data_loss, "split_brain_risk": accepted.split_brain_risk},
            "objectives": dict(target["objectives"]),
            "limits": {source["name"]: source["objectives"].get("rpo") for source in target["sources"]},
        },
        steps=steps,
        measured={
            "promotions": {one.source: one.promotion.as_dict() for one in fates if one.promotion},
            "stated": {one.source: one.stated for one in fates if one.way != LEFT},
            "answering": sorted(answering),
        },
    )
    return PlannedMove(plan=plan, fates=fates, refusals=tuple(refusals), warnings=tuple(_warnings(target, fates)))


def missing_step_refusals(target: Json, steps: t.Sequence[PlanStep], kinds: t.Collection[str]) -> t.Iterator[str]:
    """What the plan takes and this installation has no task file for."""
    for step in steps:
        if step.kind not in kinds:
            yield (
                f"{step.name} needs a step {step.kind!r}, which this version does not have: there is no "
                f"playbooks/tasks/failover/{step.kind}.yml"
            )
    if (target.get("surroundings") or {}).get("approvals") and APPROVE not in kinds:
        yield f"the plan must be approved, and this version can't ask who has: there is no {APPROVE}.yml"


def wiring_refusals(target: Json, addresses: t.Mapping[str, Json]) -> t.Iterator[str]:
    """Lines of applications that don't say which of several sources they mean."""
    told = set()
    for place in target["applications"]:
        for wire in place.get("wiring") or ():
            if "source" not in wire and len(addresses) != 1 and place["name"] not in told:
                told.add(place["name"])
                yield (
                    f"the wiring of {place['name']} does not say which source it means, and {len(addresses)} move: "
                    f"add source to each line ({', '.join(addresses) or 'none has an address'})"
                )


def _of_names(target: Json) -> t.Iterator[str]:
    for record in target["dns"]:
        if not (record.get("values") or {}).get(target["to"]):
            yield f"{record['name']} has no values for {target['to']}, so nobody knows where it shall point to"
    if target["dns"] and not any(place.get("health") for place in target["applications"]):
        yield (
            f"no application of {target['to']} says how it is asked for its health, and names move only to what is "
            "well: describe health of one"
        )


def _warnings(target: Json, fates: t.Sequence[Fate]) -> t.Iterator[str]:
    for one in fates:
        yield from (f"{one.source}: {warning}" for warning in one.warnings)
    if not target["applications"]:
        yield f"no application runs in {target['to']} by its description: nothing is pointed anywhere, nothing is asked"
    objective = target["objectives"].get("rto")
    if objective:
        limit = parse_duration(objective).total_seconds()
        for record in target["dns"]:
            if record["ttl"] > limit:
                yield (
                    f"{record['name']} is remembered for {record['ttl']} s, longer than the service may be away "
                    f"({objective}): some will look for it where it was"
                )
