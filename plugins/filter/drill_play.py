# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/dr_drill.yml``: what is practised where, what it keeps away from, its plan."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .failover_play import movable, preferred_kind
from .recovery_play import Json, read, readable_elsewhere
from .restore_play import restorable, restore_options
from .restore_questions import _ASK, judged
from .verify_play import verifications

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock
    from ..module_utils._engine.core.description.model import Service, Source

#: What nobody does by hand is a question, too: whether the restored server takes writes. No standby takes a temporary
#: table, and an account that may make no other is let make one.
_TAKES_WRITES: Json = {
    "name": "takes-writes",
    "database": "postgres",
    "sql": (
        "set transaction read write; create temporary table lifeboat_drill (n int); "
        "insert into lifeboat_drill values (1); select count(*) from lifeboat_drill"
    ),
    "equals": 1,
}
_ANSWERS: Json = {"name": "answers", "redis": ["DBSIZE"], "min": 0}
_MET: t.Mapping[t.Any, str] = {None: "nobody knows", True: "met", False: "MISSED"}
_PRACTISED = ("drill", "disaster_recovery_test")


def drillable(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    wanted: t.Any,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    region: str = "",
    left: str = "",
    mounted: t.Any = None,
) -> list[dict[str, t.Any]]:
    """What the filter ``movable`` says, and of each source under ``drill`` how it is practised on which host.

    ``production`` is what a drill keeps away from. *mounted* are folders that are repositories on that host, too.
    """
    shared = (services, repositories, settings)
    targets = movable(*shared, wanted, host=host, groups=groups, region=region, left=left)
    for target in targets:
        description = read(*shared)
        service = next(one for one in description.services if one.name == target["service"])
        sources = {one.name: one for one in service.sources}
        proofs = verifications(*shared)
        for one in target["sources"]:
            one["address"] = _address(one, target["to"])
            one["drill"] = _practised(target, one, sources[one["name"]], shared, proofs, mounted=mounted)
        target["production"] = _production(service, target["repositories"])
        exercises = service.surroundings.get("exercises") or ()
        target["exercises"] = [dict(one) for one in exercises if one["kind"] in _PRACTISED]
    return targets


def drill_plan(
    target: Json, looked: t.Mapping[str, Json], places: t.Mapping[str, Json], *, clock: Clock | None = None
) -> dict[str, t.Any]:
    """The ``plan``, the ``refusals``, and the ``text`` that people read."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.failover.drill_plan import plan_drill

    planned = plan_drill(target, looked=looked, places=places, now=(clock or SystemClock()).now())
    plan = planned.plan
    lines = [f"A drill of {target['service']}: from {target['from']} to {target['to']}, without touching either.", ""]
    lines += [f"{number}. [{step.kind}] {step.what}" for number, step in enumerate(plan.steps, start=1)]
    lines += [f"WARNING: {one}" for one in planned.warnings]
    lines += [f"REFUSED: {one}" for one in planned.refusals]
    return {"plan": plan.as_dict(), "refusals": list(planned.refusals), "text": lines}


def drill_planned(made: Json, how: str) -> Json:
    """The plan of a restore that was made in check mode; one of a verification in the same form."""
    if how == "server":
        plan: Json = made["plan"]
        return plan
    backup = str(made["plan"][0]["backup"])
    day, _letter, rest = backup.partition("T")
    started = f"{day[:4]}-{day[4:6]}-{day[6:8]}T{rest[:2]}:{rest[2:4]}:{rest[4:6]}Z"
    return {"backup": {"id": backup, "started": started}}


def drill_objections(step: Json, target: Json) -> list[str]:
    """Why a step must not be taken in a drill; none: it touches nothing that people use."""
    from ..module_utils._engine.failover.drill_guard import drill_objections as objections

    return objections(step, target.get("production") or _nothing())


def drill_places(said: t.Sequence[Json], sources: t.Sequence[Json]) -> dict[str, dict[str, t.Any]]:
    """The folder and the port of each source that becomes a server, out of what each host has free."""
    free = {str(one["lifeboat_place"]): one["place"] for one in said if one.get("place")}
    ports = {host: iter(place["ports"]) for host, place in free.items()}
    found = {}
    for one in sources:
        host = one["drill"].get("host")
        if one["drill"]["how"] == "server" and host in free:
            path = free[host]["path"]
            found[one["name"]] = {
                "path": path,
                "data_directory": f"{path}/{one['name']}",
                "port": next(ports[host], None),
            }
    return found


def drill_restoring(
    source: Json, target: Json, place: Json, backup: str = "", identity_file: str = ""
) -> dict[str, t.Any]:
    """What the task file of a restore wants to know to bring a *source* back to the *place* of the drill.

    *backup* is the one that was planned; a recovery to the latest point chooses its base by itself.
    """
    drill = source["drill"]
    restore = {**drill["restore"], "service_control": {}}
    given = {"data_directory": place["data_directory"], "port": place["port"], "start": True}
    return {
        "target": restore,
        "on": drill["host"],
        "options": restore_options(restore, given),
        "repositories": drill["repositories"],
        "key": {"identity_file": identity_file} if identity_file else target["decryption"],
        "choice": {
            "id": "" if drill["latest"] else backup,
            "before": "",
            "point": "",
            "confirm": "",
            "allow_failed": False,
        },
        "recover_to": {"latest": True} if drill["latest"] else {},
    }


def drill_asked(source: Json, check: Json | None = None) -> dict[str, t.Any]:
    """The target of ``recovery_questions``: those of the source and whether it works at all, or that of a *check*."""
    restore = source["drill"]["restore"]
    if check is not None:
        return {**restore, "questions": [check["question"]]}
    own = {"postgresql": [_TAKES_WRITES], "redis": [_ANSWERS]}.get(source["engine"], [])
    return {**restore, "questions": [*own, *restore["questions"]]}


def drill_compared(source: Json, check: Json) -> list[str]:
    """The command that asks production's primary the same, reading only; empty where nothing is compared."""
    question = check["question"]
    rules = (question.get("within_count_of"), question.get("within_percent_of"))
    if "sql" not in question or not any(rule and rule["reference"] == "primary" for rule in rules):
        return []
    connection = source["connection"]
    folder = str(connection.get("bin_directory") or "")
    places = {"-h": connection.get("host"), "-p": connection.get("port"), "-U": connection.get("user")}
    words = [f"{folder}/psql" if folder else "psql", "-XAtqw"]
    words += [word for flag, value in places.items() if value for word in (flag, str(value))]
    words += ["-d", str(question.get("database") or "postgres"), "-c", str(question["sql"])]
    secrets = [str(connection.get("password_file") or ""), str(connection.get("passfile") or "")]
    return ["/bin/sh", "-c", _ASK, "lifeboat", "", *secrets, *words]


def drill_judged(asked: t.Sequence[Json], compared: Json | None = None) -> list[dict[str, t.Any]]:
    """What came of the questions; *compared* is what the primary said."""
    primary = str((compared or {}).get("stdout") or "").strip()
    references = {"primary": float(primary)} if primary.replace(".", "", 1).isdigit() else {}
    return judged(asked, references)


def drill_standby(target: Json, name: str) -> dict[str, t.Any]:
    """Engine, host and connection of the standby of that name."""
    for source in target["sources"]:
        if source["engine"] == "postgresql" and "promotion" in source:
            known = source["promotion"]["standbys"]
        else:
            known = [*source.get("members", ()), *([source["standby"]] if "standby" in source else ())]
        for one in known:
            if one["name"] == name:
                return {**one, "engine": source["engine"]}
    raise AnsibleFilterError(f"{name} is no standby of the region {target['to']}, and can't be asked.")


def drill_stale(recorded: Json, hours: float = 6, *, clock: Clock | None = None) -> bool:
    """Whether nobody can be at an open drill any more: its last word is that old."""
    from ..module_utils._engine.core.clock import SystemClock, parse_time

    ledger = recorded.get("ledger") or {}
    if not ledger.get("open"):
        return False
    age = (clock or SystemClock()).now() - parse_time(str(ledger["entries"][-1]["at"]))
    return bool(age.total_seconds() > float(hours) * 3600)


def drill_report(evidence: Json) -> list[str]:
    """What a drill has come to, for people."""
    asked = evidence["objectives"]
    took = evidence["recovery_seconds"]
    told = [
        f"{evidence['run']}: {evidence['service']} could run in {evidence['to']} after {took} s of work."
        if took is not None
        else f"{evidence['run']}: {evidence['service']} could not run in {evidence['to']} as things are.",
        "; ".join(f"{key.upper()} {asked[key] or 'not set'}: {_MET[asked[f'{key}_met']]}" for key in ("rto", "rpo")),
    ]
    for name, one in evidence["sources"].items():
        state = f"restored in {one['seconds']} s" if one["restored"] else "NOT restored"
        told.append(f"{name}: {state}; {one['stated'].get('statement', 'nobody knows what would be lost')}")
    told += [f"{name}: {'passed' if passed else 'FAILED'}" for name, passed in evidence["checks"].items()]
    return told


def _practised(
    target: Json,
    one: Json,
    source: Source,
    shared: tuple[t.Any, t.Any, t.Any],
    proofs: t.Sequence[Json],
    *,
    mounted: t.Any,
) -> dict[str, t.Any]:
    if one["way"] == "leave":
        return {"how": "left"}
    host = one.get("there") or target["keeper"]
    kinds = [job.kind for job in source.jobs]
    latest = source.engine == "postgresql" and {"base", "wal"} <= set(kinds)
    wanted = f"{target['service']}/{source.name}"
    names = (one.get("spare") or {}).get("repositories") or mounted
    try:
        if source.engine == "redis" or (source.engine == "postgresql" and "base" in kinds):
            (restore,) = restorable(
                *shared, wanted if latest else f"{wanted}/{preferred_kind(source)}", {"latest": 1} if latest else None
            )
            readable = readable_elsewhere(restore["repositories"], names)
            return {"how": "server", "host": host, "restore": restore, "repositories": readable, "latest": latest}
        kind = preferred_kind(source)
        series = [p for p in proofs if (p["service"], p["source"], p["kind"]) == (target["service"], source.name, kind)]
        if not series:
            return {"how": "", "why": f"this version can't try backups of the kind {kind}"}
        readable = readable_elsewhere(series[0]["repositories"], names)
        return {"how": "scratch", "host": host, "backups": {**series[0], "repositories": readable}}
    except AnsibleFilterError as error:
        return {"how": "", "why": str(error)}


def _address(one: Json, region: str) -> dict[str, t.Any] | None:
    """Where applications would be pointed to in that region, as far as the description says it."""
    from ..module_utils._engine.failover.region_fate import address_of

    servers = [each for each in (one.get("promotion") or {}).get("standbys") or () if each.get("region") == region]
    servers += [each for each in one.get("members") or () if each["entered"]]
    place = next((each for each in (one.get("standby"), one.get("spare"), *servers) if each), None)
    return None if place is None else address_of(one, place)


def _production(service: Service, repositories: t.Sequence[Json]) -> dict[str, t.Any]:
    servers = [(source.engine, one) for source in service.sources for one in _servers(source)]
    applications = service.surroundings.get("applications") or ()
    folders = [folder for source in service.sources for folder in _folders(source)]
    folders += [one.get("path") for one in repositories]
    folders += [(one.get("code") or {}).get("path") for one in applications]
    ports = [port for engine, one in servers for port in _ports(engine, one)]
    units = [(one.get("service_control") or {}).get("unit") for _engine, one in servers]
    found: dict[str, list[t.Any]] = {
        "ports": [*ports, *(one.get("port") for one in applications)],
        "folders": folders,
        "names": [record["name"] for record in service.surroundings.get("dns") or ()],
        "units": [*units, *(one.get("unit") for one in applications)],
    }
    return {key: list(dict.fromkeys(one for one in values if one)) for key, values in found.items()}


def _servers(source: Source) -> list[dict[str, t.Any]]:
    own = {"connection": dict(source.connection), "service_control": dict(source.service_control)}
    return [own, *map(dict, source.standbys), *map(dict, source.spares)]


def _folders(source: Source) -> list[t.Any]:
    found = [source.fencing.get("data_directory")]
    found += [one.get("data_directory") for one in _servers(source)]
    found += [(one.get("options") or {}).get("data_directory") for one in _servers(source)]
    return [*found, *(source.connection.get("paths") or () if source.engine == "files" else ())]


def _ports(engine: str, server: Json) -> list[int]:
    from ..module_utils._engine.failover.region_fate import PORTS

    if engine not in PORTS:
        return []
    member = str(server.get("member") or "").rpartition(":")[2]
    own = int((server.get("connection") or {}).get("port") or PORTS[engine])
    return [own, int(member)] if member.isdigit() else [own]


def _nothing() -> dict[str, list[t.Any]]:
    return {"ports": [], "folders": [], "names": [], "units": []}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "drill_asked": drill_asked,
            "drill_compared": drill_compared,
            "drill_judged": drill_judged,
            "drill_objections": drill_objections,
            "drill_places": drill_places,
            "drill_plan": drill_plan,
            "drill_planned": drill_planned,
            "drill_report": drill_report,
            "drill_restoring": drill_restoring,
            "drill_stale": drill_stale,
            "drill_standby": drill_standby,
            "drillable": drillable,
        }
