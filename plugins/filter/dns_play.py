# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/dns.yml`` and of the step that moves a name: which records, how, and what is doubtful."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, entries, read

_WHERE = "Name it as -e lifeboat_dns=SERVICE or -e lifeboat_dns=SERVICE/NAME."


def names_of_service(
    services: t.Any, repositories: t.Any, settings: t.Any, wanted: t.Any, region: t.Any
) -> list[dict[str, t.Any]]:
    """The steps that move the names of *wanted* (``service`` or ``service/name``) to *region*, in the form of a plan.

    An empty list when the description has no such service. Names without values for the region are refused.
    """
    found = entries(wanted)
    service_name, _slash, name = (found[0] if len(found) == 1 else "").partition("/")
    if not service_name:
        raise AnsibleFilterError(f"{wanted!r} does not say whose names are meant. {_WHERE}")
    description = read(services, repositories, settings)
    for service in description.services:
        if service.name == service_name:
            return _steps(service.name, service.surroundings, service.objectives.as_dict(), name, str(region))
    return []


def name_change(step: Json, *, drill: bool = False) -> dict[str, t.Any]:
    """What the step ``dns`` means: what the record is to say, what modules are told, and who is asked."""
    from ..module_utils._engine.core.errors import LifeboatError
    from ..module_utils._engine.dns.change import change_of

    options = step["options"]
    record, region = options["record"], str(options.get("region") or options.get("to") or "")
    values = options.get("values") or (record.get("values") or {}).get(region)
    if not values:
        raise AnsibleFilterError(f"{record['name']} has no values for {region or 'the region'}; nobody knows where to.")
    try:
        return change_of(record, values, region=region, previous=options.get("previous") or (), drill=drill)
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None


def name_wait(change: Json, before: Json | None) -> int:
    """For how many seconds servers are asked until they must agree."""
    from ..module_utils._engine.dns.change import seconds_to_wait

    return seconds_to_wait(change, (before or {}).get("ttl"))


def name_before(answers: t.Sequence[Json]) -> dict[str, t.Any] | None:
    """What the servers that know the zone say, the first that answers; none when nobody does or there is no record."""
    for one in answers:
        if one["role"] == "authoritative" and one["answer"]:
            return {"values": list(one["answer"]), "ttl": one["ttl"]}
    return None


def name_result(change: Json, moved: Json, proof: Json, *, changed: bool) -> dict[str, t.Any]:
    """What the ledger keeps of a name that was moved, or of a drill that only tried."""
    return {
        "name": change["name"],
        "type": change["type"],
        "zone": change["zone"],
        "provider": change["provider"],
        "before": moved.get("before"),
        "described_before": list(change["previous"]),
        "after": {"values": list(change["values"]), "ttl": change["ttl"]},
        "changed": changed,
        "only_tried": change["only_try"],
        "drill": change["drill"],
        "agreed": proof["agreed"],
        "proven": proof["proven"],
        "seconds": proof["seconds"],
        "lagging": list(proof["lagging"]),
        "answers": [
            {key: one[key] for key in ("server", "role", "said", "ttl", "agreed_after")} for one in proof["answers"]
        ],
    }


def name_told(result: Json) -> list[str]:
    """What came of a name that was moved, for people."""
    before = result["before"]
    said = f"{', '.join(before['values'])} (TTL {before['ttl']})" if before else "nothing that is known"
    now = f"{', '.join(result['after']['values'])} (TTL {result['after']['ttl']})"
    told = [
        f"{result['name']} {result['type']} says {now}; before, it said {said}.",
        f"The servers that know the zone said so {result['seconds']} s after the change.",
    ]
    return told + [f"Not yet, or never: {one}" for one in result["lagging"]]


def name_seen(step: Json, change: Json, tried: Json, asked: Json) -> dict[str, t.Any]:
    """What a look at one name has found: ``warnings`` for the plan, ``problems`` that would stop a move, ``text``."""
    from ..module_utils._engine.dns.change import ttl_doubts

    record = tried.get("record") or {}
    before = record.get("before") or name_before(asked.get("answers") or ())
    objective = step["options"].get("rto")
    warnings = ttl_doubts(change["name"], described=change["ttl"], found=(before or {}).get("ttl"), objective=objective)
    problems = [f"{change['name']}: {_first_line(tried)}"] if tried.get("code") or tried.get("rc", 0) else []
    if asked.get("code"):
        problems.append(f"{change['name']}: {_first_line(asked)}")
    text = [f"{change['name']} {change['type']}, to say {', '.join(change['values'])}:"]
    text += [f"  {one['server']} ({one['role']}): {one['said']}" for one in asked.get("answers") or ()]
    text += [f"  WARNING: {one}" for one in warnings] + [f"  PROBLEM: {one}" for one in problems]
    failed = next((one for one in (tried, asked) if one.get("code") or one.get("rc", 0)), None)
    moves = before is None or list(before["values"]) != list(_full(change))
    return {
        "name": change["name"],
        "type": change["type"],
        "before": before,
        "moves": moves,
        "provider": change["provider"],
        "refused": bool(tried.get("code") or tried.get("rc", 0)),
        "why": "" if failed is None else _first_line(failed),
        "fix": "" if failed is None else str(failed.get("hint") or ""),
        "answers": list(asked.get("answers") or ()),
        "warnings": warnings,
        "problems": problems,
        "text": text,
    }


def tried_names(records: t.Sequence[Json], region: str, *, rto: str | None) -> list[dict[str, t.Any]]:
    """The steps that would move *records* to *region*, those of them that have values for it."""
    return [_step(one, region, rto) for one in records if (one.get("values") or {}).get(region)]


def _full(change: Json) -> list[str]:
    dot = "." if change["type"] == "CNAME" else ""
    return [f"{value}{dot}" for value in change["values"]]


def _first_line(result: Json) -> str:
    said = str(result.get("msg") or "").split("\n", maxsplit=1)[0]
    return f"{said} (status {result['rc']})" if result.get("rc") else said or "no message"


def _steps(service: str, surroundings: Json, objectives: Json, name: str, region: str) -> list[dict[str, t.Any]]:
    records = [dict(one) for one in surroundings.get("dns") or () if name in ("", one["name"])]
    if not records:
        there = ", ".join(str(one["name"]) for one in surroundings.get("dns") or ()) or "none"
        raise AnsibleFilterError(f"{service} has no name {name}. It has: {there}.")
    regions = [one["name"] for one in surroundings.get("regions") or ()]
    if region not in regions:
        raise AnsibleFilterError(
            f"{service} has no region {region or 'that is named'}. Say which: -e lifeboat_region=REGION. It has: "
            f"{', '.join(regions) or 'none'}."
        )
    missing = [str(one["name"]) for one in records if not (one.get("values") or {}).get(region)]
    if missing:
        raise AnsibleFilterError(f"{' and '.join(missing)} of {service} has no values for {region}. Describe them.")
    return [_step(one, region, objectives.get("rto")) for one in records]


def _step(record: Json, region: str, rto: str | None) -> dict[str, t.Any]:
    values = list(record["values"][region])
    return {
        "name": f"dns-{record['name']}",
        "kind": "dns",
        "on": "localhost",
        "what": f"Point {record['name']} to {', '.join(values)}.",
        "options": {"record": dict(record), "values": values, "region": region, "rto": rto},
    }


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "name_before": name_before,
            "name_change": name_change,
            "name_result": name_result,
            "name_seen": name_seen,
            "name_told": name_told,
            "name_wait": name_wait,
            "names_of_service": names_of_service,
        }
