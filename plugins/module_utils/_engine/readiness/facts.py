# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a service's description to what is looked at from where, and from what was seen to the facts that are scored."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time, parse_time
from ..core.description.duration import parse_duration
from ..core.description.model import Service
from ..core.description.schedule import parse_schedule
from ..core.description.spare_copies import lacks_of_copy

Json = t.Mapping[str, t.Any]
Places = t.Callable[[t.Sequence[str]], t.Sequence[str]]


def readiness_plan(service: Service, *, places: Places, host: str) -> dict[str, t.Any]:
    """What is looked at: the sources with their standbys, the hosts of the other region, repositories, names."""
    regions: t.Sequence[Json] = service.surroundings.get("regions") or ()
    away = [place for one in regions if one["role"] == "standby" for place in places(one.get("hosts") or ())]
    sources = [_source(one, places) for one in service.sources if not one.has_only_sets]
    standbys = [place["host"] for one in sources for place in one["standbys"]]
    uses = {use.name: use for one in service.sources for job in one.jobs for use in job.repositories}
    return {
        "service": service.name,
        "host": host,
        "objectives": service.objectives.as_dict(),
        "regions": {
            role: [str(one["name"]) for one in regions if one["role"] == role] for role in ("primary", "standby")
        },
        "places": list(dict.fromkeys([*away, *([] if away else standbys)])),
        "sources": sources,
        "repositories": [{"name": name, **use.description} for name, use in uses.items() if not use.is_version_control],
        "leases": [lease for one in sources for lease in _leases(one, host=host)],
        "dns": [dict(one) for one in service.surroundings.get("dns") or ()],
        "approvals": dict(service.surroundings.get("approvals") or {}),
        "exercises": [
            {key: one.get(key) for key in ("name", "kind", "schedule", "timezone")}
            for one in service.surroundings.get("exercises") or ()
        ],
    }


def readiness_facts(
    plan: Json, seen: Json, *, done: Json, given: t.Sequence[Json], now: datetime.datetime
) -> dict[str, t.Any]:
    """The facts. *seen* holds ``states`` by source and server, ``away`` by host, ``controller`` and ``ledger``; of the
    newest drill the ledger as ``drill`` and its evidence as ``drilled``.
    """
    ledger: Json = seen.get("ledger") or {}
    runs = [{"run": one["run"], "at": one["entries"][-1]["at"], "open": one["open"]} for one in _practised(seen)]
    last = max(runs, key=_moment, default=None)
    names = {(one["name"], one["type"]): one for one in (seen.get("controller") or {}).get("names") or ()}
    return {
        **{key: plan[key] for key in ("service", "objectives", "regions", "approvals")},
        "sources": [_facts_of(one, seen) for one in plan["sources"]],
        "places": [
            {
                "host": host,
                "repositories": one.get("repositories") or [],
                "backups": one.get("backups") or [],
            }
            for host, one in (seen.get("away") or {}).items()
        ],
        "ledger": [
            {
                "host": host,
                "repository": each["name"],
                "writable": bool(each["writable"]),
                "problem": each["problem"] or "nobody tried",
            }
            for host, one in {**(seen.get("away") or {}), **(seen.get("home") or {})}.items()
            for each in one.get("repositories") or ()
        ],
        "open_run": {
            "run": ledger["run"],
            "operator": ledger["operator"],
            "since": ledger["entries"][0]["at"],
        }
        if ledger.get("open")
        else None,
        "last_run": last,
        "last_drill": _drill(seen),
        "names_tried": list(seen.get("names_tried") or ()),
        "dns": [_name(one, names.get((one["name"], one["type"]))) for one in plan["dns"]],
        "exercises": [_exercise(one, done, last, now=now) for one in plan["exercises"]],
        "given": list(given),
    }


def _practised(seen: Json) -> t.Iterator[Json]:
    """The newest failover, and the newest drill that came to its end."""
    ledger, drill = seen.get("ledger") or {}, seen.get("drill") or {}
    if ledger.get("entries"):
        yield ledger
    if drill.get("entries") and drill["entries"][-1]["event"] == "closed":
        yield drill


def _moment(run: Json) -> datetime.datetime:
    return parse_time(str(run["at"]))


def _drill(seen: Json) -> dict[str, t.Any] | None:
    """What the newest drill came to."""
    drill, told = seen.get("drill") or {}, seen.get("drilled") or {}
    if not drill.get("entries") or drill["entries"][-1]["event"] != "closed":
        return None
    return {
        "run": drill["run"],
        "at": drill["entries"][-1]["at"],
        "state": told.get("state"),
        "exceptions": list(told.get("exceptions") or ()),
    }


def _source(source: t.Any, places: Places) -> dict[str, t.Any]:
    standbys = []
    for one in source.standbys:
        host = one.get("inventory_host") or (one.get("connection") or {}).get("host")
        found = places([str(host)]) if host else []
        standbys.append(
            {
                "name": one["name"],
                "region": one.get("region"),
                "max_lag": one.get("max_lag"),
                "connection": dict(one["connection"]),
                "host": found[0] if found else None,
            }
        )
    return {
        "name": source.name,
        "engine": source.engine,
        "objectives": source.objectives.as_dict(),
        "connection": dict(source.connection),
        "fencing": dict(source.fencing),
        "standbys": standbys,
        "spares": [
            {
                "name": one["name"],
                "region": one["region"],
                "lacks": [
                    {"code": lack.code, "what": lack.what, "fix": lack.fix}
                    for lack in lacks_of_copy(
                        source.engine, one, host=str(one.get("inventory_host") or one["connection"].get("host"))
                    )
                ],
            }
            for one in source.spares
        ],
        "backed_up": any(job.runnable for job in source.jobs) and source.engine != "files",
    }


def _leases(source: Json, *, host: str) -> t.Iterator[dict[str, t.Any]]:
    """The lease of its primary, as the module looks for it."""
    for method in source["fencing"].get("methods") or ():
        witness = method.get("witness")
        if witness:
            lease = int(parse_duration(str(witness.get("lease") or "30s")).total_seconds())
            yield {"source": source["name"], "host": host, "repository": witness["repository"], "lease": lease}


def _facts_of(source: Json, seen: Json) -> dict[str, t.Any]:
    states: Json = (seen.get("states") or {}).get(source["name"]) or {}
    database: Json = (seen.get("databases") or {}).get(source["name"]) or {}
    commands: Json = seen.get("commands") or {}
    fencing = {**source["fencing"], **(commands.get(source["name"]) or {})}
    standbys = [
        {
            **{key: one[key] for key in ("name", "region", "max_lag", "host")},
            **(states.get(one["name"]) or {"state": None, "problem": None}),
        }
        for one in source["standbys"]
    ]
    primary: Json = states.get("") or {}
    return {
        **{key: source[key] for key in ("name", "engine", "objectives", "backed_up", "spares")},
        "fencing": fencing,
        "leases": [
            lease
            for one in (seen.get("home") or {}).values()
            for lease in one.get("leases") or ()
            if lease["source"] == source["name"]
        ],
        "standbys": standbys,
        "primary": primary.get("state"),
        "problem": primary.get("problem"),
        "slots": database.get("slots"),
        "data_bytes": database.get("bytes"),
        "disks": [
            {
                "host": host,
                "path": disk["path"],
                "free_bytes": disk["free_bytes"],
                "problem": disk["problem"],
                "holds_data": any(one["host"] == host and one.get("state") for one in standbys),
            }
            for host, one in (seen.get("away") or {}).items()
            for disk in one.get("disks") or ()
            if source["engine"] == "postgresql" and source["name"] in disk.get("sources", [source["name"]])
        ],
    }


def _name(record: Json, found: Json | None) -> dict[str, t.Any]:
    told: Json = found or {}
    return {
        **record,
        "answers": list(told.get("answers") or ()),
        "ttl_found": told.get("ttl"),
        "problem": told.get("problem"),
    }


def _exercise(exercise: Json, done: Json, last: Json | None, *, now: datetime.datetime) -> dict[str, t.Any]:
    schedule = parse_schedule(str(exercise["schedule"]), timezone=str(exercise.get("timezone") or "UTC"))
    told = done.get(exercise["name"])
    if told is None and last is not None and exercise["kind"] in ("drill", "disaster_recovery_test"):
        told = last["at"]
    return {
        "name": exercise["name"],
        "kind": exercise["kind"],
        "due": format_time(schedule.previous_run(now)),
        "done": None if told is None else str(told),
    }
