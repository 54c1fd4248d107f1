# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning how a lost system comes back on new hosts, and whether an interrupted run may go on. Pure.

Everything that can be known is asked before the first step: a plan that is accepted is one that can succeed.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from .full_config import named_among
from .full_sources import Comeback, comeback_of
from .full_steps import full_steps
from .plan import FULL_RESTORE, RESTORE, FailoverPlan, Json, parse_plan
from .promotion_plan import ACCEPT_SPLIT_BRAIN
from .region_fate import LEFT
from .region_plan import missing_step_refusals, wiring_refusals


@dataclass(frozen=True)
class AcceptedForRestore:
    """What was taken upon oneself, which belongs to the plan's hash. *replace*, *unverified*: sources, or ``all``."""

    unverified: tuple[str, ...] = ()
    split_brain_risk: bool = False
    replace: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "unverified": sorted(self.unverified),
            "split_brain_risk": self.split_brain_risk,
            "replace": sorted(self.replace),
        }


@dataclass(frozen=True)
class PlannedRestore:
    """The plan with every reason not to run it; *warnings* stop nobody. *comebacks* are in the order of their steps."""

    plan: FailoverPlan
    comebacks: tuple[Comeback, ...]
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_full_restore(
    target: Json,
    *,
    looked: t.Mapping[str, Json],
    answering: t.Collection[str],
    kinds: t.Collection[str],
    accepted: AcceptedForRestore,
    now: datetime.datetime,
) -> PlannedRestore:
    """*target* is what the filter ``comes_back`` says of the service, *looked* what was found out about each source.

    *answering* are the old hosts that answer, *kinds* the steps that this installation has a task file for.
    """
    comebacks = tuple(
        comeback_of(
            source,
            looked.get(source["name"]) or {},
            lost_at=str(target["lost_at"]),
            may_replace=named_among(source["name"], accepted.replace),
            accept_unverified=named_among(source["name"], accepted.unverified),
            now=now,
        )
        for source in target["sources"]
    )
    addresses = {one.source: dict(one.address) for one in comebacks if one.address}
    refusals = [f"{one.source}: {refusal}" for one in comebacks for refusal in one.refusals]
    refusals += [] if accepted.split_brain_risk else _of_old_hosts(target, answering)
    refusals += wiring_refusals(target, addresses)
    if all(one.way == LEFT for one in comebacks):
        refusals.append(f"nothing of {target['service']} comes back: every source is left out")
    steps = tuple(full_steps(target, comebacks))
    refusals += missing_step_refusals(target, steps, kinds)
    plan = FailoverPlan(
        kind=FULL_RESTORE,
        service=str(target["service"]),
        source="",
        chosen=str(target["new_host"]),
        made=format_time(now),
        facts={
            "host": target["host"],
            "new_hosts": list(target["new_hosts"]),
            "sources": {
                one.source: {"engine": one.engine, "way": one.way, "on": one.on, **one.facts}
                for one in comebacks
                if one.way != LEFT
            },
            "left": [one.source for one in comebacks if one.way == LEFT],
            "addresses": addresses,
            "repositories": [one["name"] for one in target["repositories"]],
            "lost_at": target["lost_at"],
            "accepted": accepted.as_dict(),
            "objectives": dict(target["objectives"]),
            "limits": {source["name"]: source["objectives"].get("rpo") for source in target["sources"]},
        },
        steps=steps,
        measured={
            "stated": {one.source: one.stated for one in comebacks if one.way != LEFT},
            "answering": sorted(answering),
        },
    )
    return PlannedRestore(
        plan=plan, comebacks=comebacks, refusals=tuple(refusals), warnings=tuple(_warnings(target, comebacks))
    )


def restore_objections(ledger: Json, looked: t.Mapping[str, Json], target: Json) -> list[str]:
    """Why the full restore of *ledger* can't go on with what was found out now, as sentences; none: it can."""
    plan = parse_plan(ledger["plan"])
    if plan.kind != FULL_RESTORE:
        return [f"{ledger['run']} is no full restore; go on with it by {plan.command}"]
    told = (target["service"], target["new_host"], list(target["new_hosts"]))
    if (plan.service, plan.chosen, list(plan.facts["new_hosts"])) != told:
        hosts = ", ".join(plan.facts["new_hosts"])
        return [f"{ledger['run']} brings {plan.service} back on {hosts}: go on with the recovery config of then"]
    found: list[str] = []
    for step in plan.steps:
        if step.kind != RESTORE or step.name in ledger["finished"]:
            continue
        source = str(step.options["source"])
        seen = looked.get(source) or {}
        now = seen.get("plan")
        if not now and step.name in ledger["intended"]:
            continue  # a run that died in it may have left the server stopped; the step puts that right itself
        if not now:
            found.append(f"{source} can't be restored any more: {seen.get('problem') or 'no answer'}")
        elif step.options["backup"] not in ("", now["backup"]["id"]):
            found.append(f"{source} would come from {now['backup']['id']} now, and not from {step.options['backup']}")
    return found


def _of_old_hosts(target: Json, answering: t.Collection[str]) -> t.Iterator[str]:
    for host in target["old_hosts"]:
        if host in answering:
            yield (
                f"{host}, which was lost, answers: two systems would take writes. Switch it off, or look whether it is "
                f"lost at all ({ACCEPT_SPLIT_BRAIN}: go on beside it)"
            )


def _warnings(target: Json, comebacks: t.Sequence[Comeback]) -> t.Iterator[str]:
    for one in comebacks:
        yield from (f"{one.source}: {warning}" for warning in one.warnings)
    if not target["applications"]:
        yield "no application is described there: nothing is started, nothing is asked"
    for place in target["applications"]:
        if not place.get("health"):
            yield f"{place['name']} on {place['host']} can't be asked for its health: describe that (health)"
    for record in target["dns"]:
        if not target["names"].get(record["name"], {}).get(record["type"]):
            yield (
                f"{record['name']} ({record['type']}) is pointed nowhere: name its new values in the recovery config "
                "(names), or move it by hand once the service is well"
            )
    if target["leaves_repositories"]:
        yield (
            f"not read, for they are folders of the lost host: {', '.join(target['leaves_repositories'])}. Where one "
            "is mounted on the new hosts, name it in the recovery config (repositories)"
        )
