# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/dr_failover.yml``: what moves to which region, by which plan, and whether it may go on."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .promote_play import promotable, wired
from .recovery_play import Json, entries, read, readable_elsewhere
from .restore_play import MODULES, application_places, restorable, restore_options

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock
    from ..module_utils._engine.core.description.description import Description
    from ..module_utils._engine.core.description.model import Service, Source
    from ..module_utils._engine.failover.full_plan import PlannedRestore
    from ..module_utils._engine.failover.region_plan import PlannedMove

_WHERE = "Name it as -e lifeboat_failover=SERVICE."
#: The controller, as a host of the inventory.
_CONTROLLER = "localhost"


def movable(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    wanted: t.Any,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    region: str = "",
    left: str = "",
) -> list[dict[str, t.Any]]:
    """What it means to *host* that the service *wanted* moves to *region*; an empty list when it is not its own.

    Without *region* it is the only one with the role standby, without *left* the one with the role primary. A host that
    is described with the service, and is in another region than the one that is left, has no part in it.
    """
    names = entries(wanted)
    if len(names) != 1 or "/" in names[0]:
        raise AnsibleFilterError(f"{wanted!r} does not say which service moves. {_WHERE}")
    description = read(services, repositories, settings)
    service = next((one for one in description.services if one.name == names[0]), None)
    if service is None:
        return []
    regions = {one["name"]: one for one in service.surroundings.get("regions") or ()}
    entered = region_of(service.name, regions, str(region or ""), role="standby", option="-e lifeboat_failover_to")
    leaving = region_of(service.name, regions, str(left or ""), role="primary", option="-e lifeboat_failover_from")
    if entered == leaving:
        raise AnsibleFilterError(f"{service.name} can't move from {leaving} to {entered}: that is the same region.")
    hosts = {name: region_hosts(one, groups) for name, one in regions.items()}
    if hosts[leaving] and host not in hosts[leaving]:
        return []
    shared = (services, repositories, settings)
    surroundings = service.surroundings
    applications = [dict(one) for one in surroundings.get("applications") or ()]
    uses = {use.name: use for one in service.sources for job in one.jobs for use in job.repositories}
    sources = [
        _source(service, source, shared, region=entered, host=host, groups=groups)
        for source in service.sources
        if not source.has_only_sets
    ]
    return [
        {
            **told_of_service(description, service),
            "host": host,
            "keeper": next((one["there"] for one in sources if one.get("there")), _first(hosts[entered])),
            "from": leaving,
            "to": entered,
            "regions": hosts,
            "left_hosts": [one for one in dict.fromkeys([host, *hosts[leaving]]) if one in groups.get("all", ())],
            "sources": sources,
            "applications": application_hosts(applications, (entered,), regions, groups, host=_first(hosts[entered])),
            # One of no region runs where its source does.
            "left_applications": [
                one
                for one in application_hosts(applications, (None, leaving), regions, groups, host=host)
                if not one["outside"]
            ],
            "dns": [dict(one) for one in surroundings.get("dns") or ()],
            "repositories": [
                {"name": name, **use.description} for name, use in uses.items() if not use.is_version_control
            ],
        }
    ]


def told_of_service(description: Description, service: Service) -> dict[str, t.Any]:
    """What the steps of every plan of a whole *service* ask about it, wherever it goes."""
    surroundings = service.surroundings
    communication = surroundings.get("communication") or {}
    return {
        "service": service.name,
        "objectives": service.objectives.as_dict(),
        "announces": bool(communication.get("announcements")),
        "communication": communication,
        "failover": dict(surroundings.get("failover") or {}),
        "surroundings": dict(surroundings),
        "decryption": dict(description.settings.decryption),
        "state_directory": description.settings.state_directory,
    }


def move_plan(
    target: Json,
    looked: t.Mapping[str, Json],
    *,
    answering: t.Sequence[str] = (),
    kinds: t.Sequence[str] = (),
    accept_data_loss: bool = False,
    accept_split_brain_risk: bool = False,
    clock: Clock | None = None,
) -> dict[str, t.Any]:
    """The ``plan``, the ``refusals``, the ``warnings``, and the ``text`` that people read."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.failover.plan import PROMOTION_KINDS
    from ..module_utils._engine.failover.promotion_plan import Accepted
    from ..module_utils._engine.failover.region_plan import plan_move

    planned = plan_move(
        target,
        looked=looked,
        answering=answering,
        kinds=(*PROMOTION_KINDS, *kinds),
        accepted=Accepted(data_loss=accept_data_loss, split_brain_risk=accept_split_brain_risk),
        now=(clock or SystemClock()).now(),
    )
    plan = planned.plan
    lines = [f"{target['service']} leaves {target['from']} and enters {target['to']}.", ""]
    lines += [f"-  {one.source} ({one.engine}): {one.told}" for one in planned.fates]
    silent = [host for host in target["left_hosts"] if host not in answering]
    lines += [f"-  does not answer, so nothing is stopped there: {', '.join(silent)}"] if silent else []
    lines += ["", "In this order:"]
    for number, step in enumerate(plan.steps, start=1):
        marks = [word for word, holds in (("no way back", step.irreversible), ("may fail", not step.vital)) if holds]
        lines.append(f"{number}. [{step.kind}] {step.what}{' (' + ', '.join(marks) + ')' if marks else ''}")
    return told_plan(planned, lines)


def told_plan(
    planned: PlannedMove | PlannedRestore, lines: t.Sequence[str], *, warnings: t.Sequence[str] = ()
) -> dict[str, t.Any]:
    """What the filters that plan give; *warnings* are told before those of the plan."""
    ends = [f"WARNING: {one}" for one in (*warnings, *planned.warnings)]
    ends += [f"REFUSED: {one}" for one in planned.refusals]
    return {
        "plan": planned.plan.as_dict(),
        "refusals": list(planned.refusals),
        "warnings": list(planned.warnings),
        "text": [*lines, "", f"The plan's SHA-256: {planned.plan.fingerprint}", *ends],
    }


def move_objections(ledger: Json, looked: t.Mapping[str, Json], target: Json) -> list[str]:
    """Why the failover of *ledger* can't go on with what was found out now."""
    from ..module_utils._engine.failover.plan import MOVE_REGION, parse_plan
    from ..module_utils._engine.failover.region_world import move_objections as objections

    plan = parse_plan(ledger["plan"])
    if plan.kind != MOVE_REGION:
        return [f"{ledger['run']} is no move to another region; go on with it by {plan.command}"]
    if (plan.service, plan.facts["from"], plan.chosen) != (target["service"], target["from"], target["to"]):
        return [f"{ledger['run']} is about {plan.service}, from {plan.facts['from']} to {plan.chosen}"]
    return objections(ledger, looked)


def planned_backup(ledger: Json, source: str) -> str:
    """The backup that the failover of *ledger* restores of a source; empty where it restores none of it."""
    steps = [one for one in ledger["plan"]["steps"] if one["kind"] == "restore"]
    return next((str(one["options"]["backup"]) for one in steps if one["options"]["source"] == source), "")


def move_report(evidence: Json) -> list[str]:
    """What a finished move has come to, for people."""
    took, healthy = evidence["recovery_seconds"], evidence["healthy_seconds"]
    told = [
        f"{evidence['service']} runs in {evidence['to']}, {took} s after the confirmation (well after {healthy} s)."
    ]
    for name, one in evidence["sources"].items():
        lost = one["lost"] or {}
        counted = any(lost.get(unit) is not None for unit in ("commits", "bytes", "seconds"))
        lost = lost if counted or "seconds" in lost else one["stated"]
        told.append(f"{name}: {lost.get('statement')}")
    return [
        *told,
        "What was left must not be started as it is. Rebuild it -- docs/runbooks/dr.md, The way back.",
        f"Describe {evidence['to']} as the primary region now, or the next backup asks the old servers.",
    ]


def set_looked(results: t.Sequence[Json]) -> dict[str, t.Any]:
    """What each asked member of a replica set says of it, by its name, and why the others say nothing."""
    states = {str(one["lifeboat_member"]["name"]): one.get("state") or None for one in results}
    problems = {str(one["lifeboat_member"]["name"]): _why(one) for one in results if not one.get("state")}
    return {"states": states, "problems": problems}


def set_fenced(results: t.Sequence[Json], asked: t.Sequence[Json], members: t.Sequence[Json]) -> dict[str, t.Any]:
    """Which *members* were fenced on their hosts, up to where each had got, and why the others were not."""
    ends = {}
    for one in asked:
        state, name = one.get("state") or {}, str(one["lifeboat_member"]["member"])
        mine = next((each for each in state.get("members") or () if each["host"] == name), {})
        ends[name] = {key: mine.get(key) for key in ("newest", "optime")}
    fenced = {str(one["lifeboat_member"]["member"]): one for one in results if one.get("fenced")}
    loose = [str(one["member"]) for one in members if one["member"] not in fenced]
    failed = {str(one["lifeboat_member"]["member"]): _why(one) for one in results if not one.get("fenced")}
    return {
        "proven": not loose,
        "members": sorted(fenced),
        "ends": {name: end for name, end in ends.items() if end["newest"]},
        "whys": [f"{name}: {failed.get(name, 'its host is not described')}" for name in loose],
    }


def set_lost(promoted: Json, cut: Json | None) -> dict[str, t.Any]:
    """What was lost with the members of a replica set that left it."""
    from ..module_utils._engine.failover.region_mongodb import set_loss

    return set_loss(promoted, cut or {})


def step_file(step: Json) -> str:
    """The task file of a step, seen from ``playbooks/tasks/failover``."""
    from ..module_utils._engine.failover.plan import PROMOTION_KINDS

    return f"../promote/{step['kind']}.yml" if step["kind"] in PROMOTION_KINDS else f"{step['kind']}.yml"


def following_step(ledger: Json, step: str, *, backup: bool = True) -> str:
    """The step that is taken after *step*, or first where that is empty; empty when there is none.

    Without *backup* none of those is taken.
    """
    names = [one["name"] for one in ledger["plan"]["steps"] if backup or one["kind"] not in ("backup", "first_backup")]
    later = names[names.index(step) + 1 :] if step in names else [] if step else names
    return next((name for name in later if name not in ledger["finished"]), "")


def step_ledger(ledger: Json, step: Json) -> Json:
    """The ledger as the task file of *step* sees it: of one promotion among several only its own part.

    The intent that this run has just noted is not in it: what was begun was begun by a run that died.
    """
    known = {**ledger, "intended": begun_before(ledger)}
    if "part" not in step["options"]:
        return known
    from ..module_utils._engine.failover.region_world import part_of_ledger

    return part_of_ledger(known, step)


def begun_before(ledger: Json) -> list[str]:
    """The steps that were begun and not finished before this run took the failover over."""
    entries = ledger["entries"]
    taken = max((number for number, one in enumerate(entries) if one["event"] in ("opened", "resumed")), default=0)
    begun = dict.fromkeys(str(one["step"]) for one in entries[:taken] if one["event"] == "intended")
    return [name for name in begun if name not in ledger["finished"]]


def step_target(target: Json, step: Json) -> Json:
    """What the description says, as the task file of *step* sees it: of one promotion among several its source."""
    if "part" not in step["options"]:
        return target
    found: Json = source_of(target, step["options"]["source"])["promotion"]
    return found


def source_of(target: Json, name: str) -> Json:
    """The source of that name in what ``movable`` says."""
    return next(one for one in target["sources"] if one["name"] == name)


def restoring(
    source: Json, target: Json, backup: str = "", replaces: str | None = "", identity_file: str = ""
) -> dict[str, t.Any]:
    """What the task file of a restore wants to know to bring a *source* back to its spare.

    *backup* is the one that was planned; without it the newest verified one is chosen. A recovery to a point chooses
    its base by itself. *replaces* confirms.
    """
    spare = source["spare"]
    restore = {**source["restore"], "connection": dict(spare["connection"])}
    restore["service_control"] = dict(spare.get("service_control") or {})
    given = dict(spare.get("options") or {})
    in_place = bool(given.pop("in_place", True)) and "in_place" in restore["takes"]
    recover_to = spare.get("recover_to") or ({"latest": True} if spare.get("point") == "latest" else {})
    chooses = not backup and not recover_to
    return {
        "target": restore,
        "on": spare["host"],
        "options": restore_options(restore, given, in_place=in_place),
        "repositories": readable_elsewhere(restore["repositories"], spare.get("repositories")),
        "key": {"identity_file": identity_file} if identity_file else target["decryption"],
        "choice": {
            "id": "" if recover_to else backup,
            "before": str(spare.get("before") or "") if chooses else "",
            "point": str(spare.get("choose") or "") if chooses else "",
            "confirm": replaces or "",
            "allow_failed": False,
        },
        "recover_to": recover_to,
    }


def wires(application: Json, plan: Json) -> list[dict[str, t.Any]]:
    """The lines of *application* that a *plan* changes, each with its address in it."""
    found = []
    facts = plan["facts"]
    for wire in application.get("wiring") or ():
        source = wire.get("source")
        if "addresses" in facts:
            address = facts["addresses"].get(source) if source else next(iter(facts["addresses"].values()), None)
        else:
            address = facts["address"] if source in (None, plan["source"]) else None
        if address is not None:
            found.append({**wire, "line": wired(wire["line"], address)})
    return found


def _why(result: Json) -> str:
    return str(result.get("msg") or "it does not answer").split("\n", maxsplit=1)[0]


def region_of(service: str, regions: t.Mapping[str, Json], named: str, *, role: str, option: str) -> str:
    """The region that is *named*, else the only one of that *role*; *option* is what names one."""
    there = ", ".join(regions) or "none"
    if named:
        if named not in regions:
            raise AnsibleFilterError(f"{service} has no region {named}. It has: {there}.")
        return named
    found = [name for name, one in regions.items() if one["role"] == role]
    if len(found) != 1:
        raise AnsibleFilterError(
            f"{service} has {len(found) or 'no'} region{'s' if len(found) != 1 else ''} of the role {role}, so nobody "
            f"knows which is meant: {option}=REGION. It has: {there}."
        )
    return found[0]


def region_hosts(region: Json, groups: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """The hosts of a region: it names hosts or groups of the inventory."""
    return list(dict.fromkeys(host for name in region.get("hosts") or () for host in groups.get(name, [name])))


def _first(hosts: t.Sequence[str]) -> str:
    return hosts[0] if hosts else _CONTROLLER


def application_hosts(
    applications: t.Sequence[Json],
    where: t.Collection[str | None],
    regions: t.Mapping[str, Json],
    groups: t.Mapping[str, t.Sequence[str]],
    *,
    host: str,
) -> list[dict[str, t.Any]]:
    """The applications of those regions, once for each host; what is on Kubernetes is asked from the controller."""
    own = {one["name"]: one for one in applications if one.get("region") in where}
    known = {name: list(one.get("hosts") or ()) for name, one in regions.items()}
    return [
        {
            **one,
            "wiring": own[one["name"]].get("wiring") or [],
            "kubernetes": own[one["name"]].get("kubernetes"),
            "host": _CONTROLLER if one["outside"] else one["host"],
        }
        for one in application_places({"applications": list(own.values()), "regions": known}, host, groups)
    ]


def _source(
    service: Service,
    source: Source,
    shared: tuple[t.Any, t.Any, t.Any],
    *,
    region: str,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
) -> dict[str, t.Any]:
    known = groups.get("all", ())
    told: dict[str, t.Any] = {
        "name": source.name,
        "engine": source.engine,
        "host": host,
        "objectives": source.objectives.as_dict(),
        "fencing": dict(source.fencing),
        "service_control": dict(source.service_control),
        "connection": dict(source.connection),
        "way": None,
    }
    if source.region_loss == "leave":
        return {**told, "way": "leave"}
    standby = next((dict(one) for one in source.standbys if one.get("region") == region), None)
    if standby is not None and source.engine == "postgresql":
        (promotion,) = promotable(*shared, f"{service.name}/{source.name}", host=host, groups=groups)
        there = next(one["host"] for one in promotion["standbys"] if one["name"] == standby["name"])
        return {**told, "way": "promote", "there": there, "promotion": {**promotion, "applications": []}}
    if standby is not None and source.engine == "mongodb":
        members = [_member(source.name, dict(one), known, region=region) for one in source.standbys]
        there = next(one["host"] for one in members if one["name"] == standby["name"])
        return {**told, "way": "promote-elsewhere", "there": there, "members": members}
    if standby is not None:
        placed = _on_host(source.name, standby, known)
        return {**told, "way": "promote-elsewhere", "there": placed["host"], "standby": placed}
    spare = next((dict(one) for one in source.spares if one.get("region") == region), None)
    if spare is None:
        return told
    return {**told, **spared(service, source, spare, shared, known)}


def spared(
    service: Service,
    source: Source,
    spare: t.Mapping[str, t.Any],
    shared: tuple[t.Any, t.Any, t.Any],
    known: t.Collection[str],
) -> dict[str, t.Any]:
    """How a *source* comes to its *spare*: ``way``, ``there``, ``spare`` and ``restore``; *known* are all hosts."""
    wanted, latest = f"{service.name}/{source.name}", spare.get("point") == "latest"
    if not latest:
        wanted += f"/{spare.get('kind') or preferred_kind(source)}"
    restore = restorable(*shared, wanted, {"latest": True} if latest else None)
    if not restore:
        raise AnsibleFilterError(f"{spare['name']} of {source.name} wants backups of {wanted}, and there are none.")
    placed = _on_host(source.name, dict(spare), known)
    return {"way": "restore", "there": placed["host"], "spare": placed, "restore": restore[0]}


def preferred_kind(source: Source) -> str:
    """The kind of backup that a whole server is made of again."""
    kinds = [job.kind for job in source.jobs if (source.engine, job.kind) in MODULES]
    preferred = [kind for kind in ("base", "rdb", "full", "static", "config") if kind in kinds]
    if not kinds:
        raise AnsibleFilterError(f"{source.name} has no backups that can be restored by themselves.")
    return (preferred or kinds)[0]


def _member(source: str, one: dict[str, t.Any], known: t.Collection[str], *, region: str) -> dict[str, t.Any]:
    """One that is described as a standby of MongoDB; of those that are left the host may be unknown."""
    entered = one.get("region") == region
    named = one.get("inventory_host")
    placed = _on_host(source, one, known) if entered else {**one, "host": named if named in known else ""}
    return {**placed, "entered": entered}


def _on_host(source: str, place: dict[str, t.Any], known: t.Collection[str]) -> dict[str, t.Any]:
    host = place.get("inventory_host") or place["connection"].get("host")
    if host not in known:
        raise AnsibleFilterError(
            f"{place['name']} of {source} is on {host or 'a host that is not named'}, which the inventory does not "
            "have. Give it inventory_host in the description."
        )
    return {**place, "host": host}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "begun_before": begun_before,
            "following_step": following_step,
            "movable": movable,
            "move_objections": move_objections,
            "move_plan": move_plan,
            "move_report": move_report,
            "planned_backup": planned_backup,
            "restoring": restoring,
            "set_fenced": set_fenced,
            "set_looked": set_looked,
            "set_lost": set_lost,
            "source_of": source_of,
            "step_file": step_file,
            "step_ledger": step_ledger,
            "step_target": step_target,
            "wires": wires,
        }
