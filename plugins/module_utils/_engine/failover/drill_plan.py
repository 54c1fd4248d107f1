# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning a drill: a service's failover as far as it can be tried without touching what people use. Pure.

Backups are restored to a place of the drill's own and promoted there, applications are looked at or rolled out dry,
names of the drill's own move, and the checks of the description's exercises are made. Every step may fail, so that one
drill says all that is wrong.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time, parse_time
from .drill_guard import drill_objections
from .plan import (
    ANNOUNCE,
    DNS,
    DRILL,
    DRILL_APPLICATION,
    DRILL_ASK,
    DRILL_CHECK,
    DRILL_RESTORE,
    KUBERNETES,
    FailoverPlan,
    Json,
    PlanStep,
)
from .region_fate import restored_until
from .region_steps import CONTROLLER

#: How a source is brought back: as a server of the drill's own, or by what verifies backups.
SERVER, SCRATCH, LEFT = "server", "scratch", "left"
_SEEN = {"postgresql": "takes writes"}


@dataclass(frozen=True)
class PlannedDrill:
    """The plan with every reason not to run it; *warnings* say what the drill does not try."""

    plan: FailoverPlan
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_drill(target: Json, *, looked: t.Mapping[str, Json], places: Json, now: datetime.datetime) -> PlannedDrill:
    """*target* is what the filter ``drillable`` says, *looked* the planned restore of each source or its ``problem``.

    *places* are the folder and the free port of each source, by its name.
    """
    sources = [one for one in target["sources"] if one["drill"]["how"] != LEFT]
    steps = tuple(_steps(target, sources, looked=looked, places=places))
    refusals = [f"{one['name']}: {one['drill']['why']}" for one in sources if not one["drill"]["how"]]
    refusals += [
        f"{one['name']}: its backup can't be restored: {problem}"
        for one in sources
        if one["drill"]["how"] and (problem := (looked.get(one["name"]) or {}).get("problem"))
    ]
    refusals += [why for step in steps for why in drill_objections(step.as_dict(), target["production"])]
    if not any(step.kind == DRILL_RESTORE for step in steps):
        refusals.append("nothing would be restored, so nothing would be tried")
    plans = {one["name"]: (looked.get(one["name"]) or {}).get("plan") or {} for one in sources}
    plan = FailoverPlan(
        kind=DRILL,
        service=str(target["service"]),
        source="",
        chosen=str(target["to"]),
        made=format_time(now),
        facts={
            "from": target["from"],
            "to": target["to"],
            "sources": {
                one["name"]: {
                    "engine": one["engine"],
                    "way": one["drill"]["how"],
                    "on": one["drill"].get("host") or "",
                    "backup": (plans[one["name"]].get("backup") or {}).get("id"),
                }
                for one in sources
            },
            # Where applications would be pointed to; a dry run says whether that is accepted.
            "addresses": {one["name"]: dict(one["address"]) for one in sources if one.get("address")},
            "objectives": dict(target["objectives"]),
            "limits": {one["name"]: one["objectives"].get("rpo") for one in sources},
        },
        steps=steps,
        measured={"stated": {name: _stated(found, now) for name, found in plans.items() if found}},
    )
    return PlannedDrill(plan=plan, refusals=tuple(refusals), warnings=tuple(_warnings(target)))


def _steps(
    target: Json, sources: t.Sequence[Json], *, looked: t.Mapping[str, Json], places: Json
) -> t.Iterator[PlanStep]:
    yield from _announce(target, "announce-began", "began", "Tell those who hear of drills that one begins.")
    for one in sources:
        yield from _restore(one, looked.get(one["name"]) or {}, places.get(one["name"]) or {})
    for place in target["applications"]:
        yield _application(target, place)
    for record in target["dns"]:
        yield from _name(target, record)
    for exercise in target["exercises"]:
        for check in exercise.get("checks") or ():
            yield PlanStep(
                name=f"check-{exercise['name']}-{check['name']}",
                kind=DRILL_CHECK,
                on=CONTROLLER,
                what=f"Check {check['name']} of {exercise['name']}.",
                vital=False,
                options={"exercise": exercise["name"], "check": dict(check)},
            )
    yield from _announce(target, "announce", "moved", "Tell those who hear of drills that it is over.")


def _restore(source: Json, looked: Json, place: Json) -> t.Iterator[PlanStep]:
    drill, name = source["drill"], source["name"]
    if not drill["how"]:
        return
    backup = ((looked.get("plan") or {}).get("backup") or {}).get("id") or ""
    where: dict[str, t.Any] = {}
    told = f"Restore {backup or 'the newest verified backup'} of {name} on {drill['host']}"
    if drill["how"] == SERVER:
        where = {"data_directory": place.get("data_directory"), "port": place.get("port")}
        told += f" to {where['data_directory']}, port {where['port']}, reached from there alone, and promote it."
    else:
        told += ", as its verification does, and ask its questions."
    yield PlanStep(
        name=f"restore-{name}",
        kind=DRILL_RESTORE,
        on=str(drill["host"]),
        what=told,
        vital=False,
        options={"source": name, "how": drill["how"], "backup": backup, **where},
    )
    if drill["how"] == SERVER:
        count = len(drill["restore"]["questions"])
        yield PlanStep(
            name=f"ask-{name}",
            kind=DRILL_ASK,
            on=str(drill["host"]),
            what=f"See that {name} {_SEEN.get(source['engine'], 'answers')} there, and ask its questions ({count}).",
            vital=False,
            options={"source": name},
        )


def _application(target: Json, place: Json) -> PlanStep:
    if place["outside"]:
        return PlanStep(
            name=f"deploy-{place['name']}",
            kind=KUBERNETES,
            on=CONTROLLER,
            what=f"Have the cluster of {target['to']} judge {place['name']} in a server-side dry run.",
            vital=False,
            options={"application": place["name"]},
        )
    return PlanStep(
        name=f"look-{place['name']}-{place['host']}",
        kind=DRILL_APPLICATION,
        on=str(place["host"]),
        what=f"Look whether {place['name']} could be pointed elsewhere and started on {place['host']}.",
        vital=False,
        options={"application": place["name"]},
    )


def _name(target: Json, record: Json) -> t.Iterator[PlanStep]:
    own = record.get("drill")
    shown = f"{own['name']}, the drill's name for {record['name']}," if own else record["name"]
    for name, region, previous in (
        (f"dns-{record['name']}-{record['type']}", target["to"], target["from"]),
        *([(f"dns-back-{record['name']}-{record['type']}", target["from"], target["to"])] if own else ()),
    ):
        values = list((record.get("values") or {}).get(region) or ())
        if values:
            yield PlanStep(
                name=name,
                kind=DNS,
                on=CONTROLLER,
                what=f"Point {shown} to {', '.join(values)}."
                if own
                else f"Try the right to change {shown}; nothing moves.",
                vital=False,
                options={
                    "record": dict(record),
                    "region": region,
                    "values": values,
                    "previous": list((record.get("values") or {}).get(previous) or ()),
                },
            )


def _announce(target: Json, name: str, event: str, what: str) -> t.Iterator[PlanStep]:
    described = (target.get("communication") or {}).get("announcements") or ()
    if any(one.get("in_drills") for one in described):
        options = {"event": event, "from": target["from"], "to": target["to"]}
        yield PlanStep(name=name, kind=ANNOUNCE, on=CONTROLLER, what=what, vital=False, options=options)


def _stated(plan: Json, now: datetime.datetime) -> dict[str, t.Any]:
    until = restored_until(plan)
    seconds = int(-(-max(0.0, (now - parse_time(until)).total_seconds()) // 1))
    return {
        "loss_seconds": seconds,
        "until": until,
        "statement": f"what is restored ends at {until}, {seconds} s before",
    }


def _warnings(target: Json) -> t.Iterator[str]:
    left = [one["name"] for one in target["sources"] if one["drill"]["how"] == LEFT]
    if left:
        yield f"{', '.join(left)} stay where they are in a failover, and are not tried"
    for record in target["dns"]:
        if not record.get("drill"):
            yield f"{record['name']} has no name for drills (dns: drill: name): only the right to move it is tried"
    if not any(one.get("checks") for one in target["exercises"]):
        yield "no exercise of the kinds drill and disaster_recovery_test has checks"
