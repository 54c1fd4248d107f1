# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a service's way to another region, in their order. Pure."""

from __future__ import annotations

import typing as t

from ..core.description.duration import parse_duration
from .fencing import described_ways
from .plan import (
    ANNOUNCE,
    BACKUP,
    CUT,
    DNS,
    FENCE,
    FOLLOW,
    FREEZE,
    HEALTH,
    KUBERNETES,
    PROMOTE,
    PROMOTE_MONGODB,
    PROMOTE_REDIS,
    RESTORE,
    REWIRE,
    VERIFY,
    WATCH,
    Json,
    PlanStep,
)
from .region_fate import FOLLOWED, PROMOTED, RESTORED, Fate
from .role_hook import by_role, role_option

#: The controller, where names, messages and clusters are reached from.
CONTROLLER = "localhost"
_FOLLOWERS: t.Mapping[str, str] = {"redis": PROMOTE_REDIS, "mongodb": PROMOTE_MONGODB}


def steps_of(target: Json, fates: t.Sequence[Fate], *, answering: t.Collection[str]) -> t.Iterator[PlanStep]:
    """Freeze, fence, promote, restore, deploy, rewire, health, names, announcements, then what may take its time."""
    yield from _freeze(target, answering=answering)
    yield from announce_steps(
        target, name="announce-began", event="began", what="Tell them that the service is moving."
    )
    for fate in fates:
        yield from _fence(target, fate)
    for fate in fates:
        yield from _promote(fate)
    for fate in fates:
        if fate.way == RESTORED and fate.facts:
            yield PlanStep(
                name=f"restore-{fate.source}",
                kind=RESTORE,
                on=fate.on,
                what=f"Restore {fate.source} to {fate.facts['spare']}: backup {fate.facts['backup']}"
                + (f"; replaces {fate.facts['replaces']}." if fate.facts["replaces"] else "."),
                options={"source": fate.source, "backup": fate.facts["backup"], "replaces": fate.facts["replaces"]},
            )
    yield from application_steps(target)
    for record in target["dns"]:
        described = record.get("values") or {}
        yield dns_step(target, record, values=described.get(target["to"]), previous=described.get(target["from"]))
    yield from announce_steps(
        target, name="announce", event="moved", what="Tell those who are described that the service has moved."
    )
    for fate in fates:
        yield from _of_promotion(fate, FOLLOW)
    yield from watch_steps(target)
    for fate in fates:
        yield from _of_promotion(fate, BACKUP)


def dns_step(
    target: Json, record: Json, *, values: t.Sequence[str] | None, previous: t.Sequence[str] | None
) -> PlanStep:
    """The step that points the name of *record* to *values*."""
    # A name may have addresses of two types.
    several = [one["name"] for one in target["dns"]].count(record["name"]) > 1
    return PlanStep(
        name=f"dns-{record['name']}{'-' + record['type'] if several else ''}",
        kind=DNS,
        on=CONTROLLER,
        what=f"Point {record['name']} to {', '.join(values or ()) or 'nothing that is described'}.",
        options={
            "record": dict(record),
            "region": target["to"],
            "values": list(values or ()),
            "previous": list(previous or ()),
        },
    )


def announce_steps(target: Json, *, name: str, event: str, what: str) -> t.Iterator[PlanStep]:
    if target["announces"]:
        yield PlanStep(
            name=name,
            kind=ANNOUNCE,
            on=CONTROLLER,
            what=what,
            vital=False,
            options={"event": event, "from": target["from"], "to": target["to"]},
        )


def _freeze(target: Json, *, answering: t.Collection[str]) -> t.Iterator[PlanStep]:
    for host in target["left_hosts"]:
        if host in answering:
            names = sorted({one["name"] for one in target["left_applications"] if one["host"] == host})
            yield PlanStep(
                name=f"freeze-{host}",
                kind=FREEZE,
                on=host,
                what=f"Stop the schedules of backups on {host}{', and ' + ', '.join(names) if names else ''}.",
                vital=False,
                options={"applications": names},
            )


def _fence(target: Json, fate: Fate) -> t.Iterator[PlanStep]:
    if fate.way == PROMOTED:
        yield from _of_promotion(fate, FENCE)
    elif fate.way in (FOLLOWED, RESTORED) and fate.engine != "files" and fate.facts and _is_cut(fate):
        hosts = dict.fromkeys(one["host"] for one in fate.facts.get("fenced") or () if one["host"])
        on_host = f"stop it for good on {', '.join(hosts) or target['host']}"
        yield PlanStep(
            name=f"cut-{fate.source}",
            kind=CUT,
            on=str(target["host"]),
            what=f"Fence the old server of {fate.source}: {described_ways(fate.ways, on_host=on_host)}.",
            options={
                "source": fate.source,
                "ways": [dict(one) for one in fate.ways],
                **_of_history(fate),
                **({"members": fate.facts["fenced"]} if "fenced" in fate.facts else {}),
            },
        )


def _promote(fate: Fate) -> t.Iterator[PlanStep]:
    if fate.way == PROMOTED:
        yield from _of_promotion(fate, PROMOTE)
        yield from _of_promotion(fate, VERIFY)
    elif fate.way == FOLLOWED and fate.facts:
        kind = _FOLLOWERS[fate.engine]
        yield PlanStep(
            name=f"promote-{fate.source}",
            kind=kind,
            on=fate.on,
            what=f"Promote {fate.facts['standby']} of {fate.source}.",
            irreversible=True,
            options={
                "source": fate.source,
                "standby": fate.facts["standby"],
                **_of_history(fate),
                **{key: fate.facts[key] for key in ("members", "others", "by") if key in fate.facts},
            },
        )


def _is_cut(fate: Fate) -> bool:
    """Of a replica set nobody is cut off while a majority elects: it has one primary at most."""
    return bool(fate.facts["fenced"]) if "fenced" in fate.facts else True


def _of_history(fate: Fate) -> dict[str, t.Any]:
    """Of Redis: by what its primary and replicas are known to belong together."""
    return {"history": fate.facts["history"]} if "history" in fate.facts else {}


def _of_promotion(fate: Fate, kind: str) -> t.Iterator[PlanStep]:
    """The steps of that kind in the source's own plan, with the source in their names."""
    for step in fate.promotion.steps if fate.promotion else ():
        if step.kind == kind:
            name, _dash, rest = step.name.partition("-")
            yield PlanStep(
                name="-".join(part for part in (name, fate.source, rest) if part),
                kind=kind,
                on=step.on,
                what=f"{fate.source}: {step.what}",
                irreversible=step.irreversible,
                vital=step.vital,
                options={**step.options, "source": fate.source, "part": step.name},
            )


def application_steps(target: Json) -> t.Iterator[PlanStep]:
    places = target["applications"]
    for place in places:
        if place["outside"]:
            yield PlanStep(
                name=f"deploy-{place['name']}",
                kind=KUBERNETES,
                on=CONTROLLER,
                what=f"Roll {place['name']} out on the cluster of {target['to']}, pointed at what was moved.",
                options={"application": place["name"]},
            )
    for place in places:
        if not place["outside"]:
            verb = "Point at what was moved, and restart," if place.get("wiring") or place.get("role") else "Restart"
            yield PlanStep(
                name=f"rewire-{place['name']}-{place['host']}",
                kind=REWIRE,
                on=str(place["host"]),
                what=f"{verb} {place['name']} on {place['host']}{by_role(place)}.",
                options={"application": place["name"], "restart": True, "ask": False, **role_option(place)},
            )
    for place in places:
        if place.get("health") or place.get("unit"):
            yield PlanStep(
                name=f"health-{place['name']}-{place['host']}",
                kind=HEALTH,
                on=str(place["host"]),
                what=f"Wait until {place['name']} on {place['host']} is well.",
                options={"application": place["name"]},
            )


def watch_steps(target: Json) -> t.Iterator[PlanStep]:
    watch = (target.get("failover") or {}).get("watch") or {}
    checks, every = int(watch.get("checks", 3)), int(parse_duration(watch.get("every", "10s")).total_seconds())
    if any(place.get("health") or place.get("unit") for place in target["applications"]):
        yield PlanStep(
            name="watch",
            kind=WATCH,
            on=CONTROLLER,
            what=f"Ask all applications {checks} times, every {every} s, whether they stay well.",
            vital=False,
            options={"checks": checks, "every": every},
        )
