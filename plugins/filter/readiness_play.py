# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/dr_readiness.yml``: what is looked at from where, and the score of what was seen."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .dns_play import tried_names
from .recovery_play import Json, entries, read

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock


def assessable(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    wanted: t.Any,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    mounted: t.Any = None,
) -> list[dict[str, t.Any]]:
    """What is looked at for the service *wanted*, as *host* describes it; an empty list when it does not.

    ``servers`` are those of PostgreSQL with the host that asks each. ``away`` are the repositories that others can
    read: not the folders of this host, but for those that are *mounted* there as well.
    """
    from ..module_utils._engine.readiness.facts import readiness_plan

    asked = entries(wanted)
    if len(asked) != 1 or "/" in asked[0]:
        raise AnsibleFilterError(f"{wanted!r} is no service. Name it as -e lifeboat_service=SERVICE")
    known = set(groups.get("all", ()))

    def places(listed: t.Sequence[str]) -> list[str]:
        found = dict.fromkeys(one for name in listed for one in groups.get(name, [name]))
        return [one for one in found if one in known]

    for service in read(services, repositories, settings).services:
        if service.name == asked[0]:
            plan = readiness_plan(service, places=places, host=host)
            entered = next(iter(plan["regions"]["standby"]), "")
            steps = tried_names(plan["dns"], entered, rto=service.objectives.as_dict().get("rto"))
            names = [{key: one[key] for key in ("name", "type")} for one in plan["dns"]]
            there = entries(mounted)
            away = [one for one in plan["repositories"] if one["type"] != "file" or one["name"] in there]
            return [{**plan, "servers": _servers(plan, host), "names": names, "away": away, "name_steps": steps}]
    return []


def readiness_states(results: t.Sequence[Json]) -> dict[str, dict[str, t.Any]]:
    """By source and server (the primary's name is empty) its ``state``, or the ``problem`` of one that is silent."""
    states: dict[str, dict[str, t.Any]] = {}
    for one in results:
        server = one["lifeboat_server"]
        state = one.get("state") or None
        states.setdefault(str(server["source"]), {})[str(server["name"])] = {
            "state": state,
            "problem": None if state else _why(one),
        }
    return states


def readiness_seen(results: t.Sequence[Json], key: str) -> dict[str, t.Any]:
    """What each host saw, by the name of its loop's item; of one that is silent no repository could be read."""
    found: dict[str, t.Any] = {}
    for one in results:
        item = one[key]
        name = str(item.get("source") or item["name"]) if isinstance(item, dict) else str(item)
        found[name] = one.get("seen") or {"silent": _why(one)}
    return found


def readiness_paths(target: Json, states: Json, host: str) -> list[str]:
    """The folders whose disks are looked at on *host*: those of its standbys, and where the primary's would come."""
    paths: list[str] = []
    for source in target["sources"]:
        own: Json = states.get(source["name"]) or {}
        here = [(own.get(one["name"]) or {}).get("state") for one in source["standbys"] if one["host"] == host]
        primary: Json = (own.get("") or {}).get("state") or {}
        paths += [one["data_directory"] for one in [*here, primary] if one and one.get("data_directory")][:1]
    return list(dict.fromkeys(paths))


def readiness_score(
    target: Json, seen: Json, *, done: Json | None = None, given: t.Any = None, clock: Clock | None = None
) -> dict[str, t.Any]:
    """The ``readiness`` as JSON values, and its ``text``."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.readiness.assessing import assess
    from ..module_utils._engine.readiness.facts import readiness_facts
    from ..module_utils._engine.report.readiness_text import readiness_text

    now = (clock or SystemClock()).now()
    databases = {name: one.get("database") for name, one in (seen.get("databases") or {}).items()}
    commands = {name: one.get("command") for name, one in (seen.get("commands") or {}).items()}
    facts = readiness_facts(
        target,
        {
            **seen,
            "away": {host: _loud(one, target["away"]) for host, one in (seen.get("away") or {}).items()},
            "home": {host: _loud(one, target["repositories"]) for host, one in (seen.get("home") or {}).items()},
            "databases": databases,
            "commands": commands,
        },
        done=done or {},
        given=given or [],
        now=now,
    )
    readiness = assess(facts, now=now).as_dict()
    return {"readiness": readiness, "text": readiness_text(readiness), "facts": facts}


def _servers(plan: Json, host: str) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = []
    for source in plan["sources"]:
        if source["engine"] != "postgresql":
            continue
        found.append({"source": source["name"], "name": "", "host": host, "connection": source["connection"]})
        found += [
            {
                "source": source["name"],
                "name": one["name"],
                "host": one["host"] or host,
                "connection": one["connection"],
            }
            for one in source["standbys"]
        ]
    return found


def _loud(seen: Json, repositories: t.Sequence[Json]) -> dict[str, t.Any]:
    """A host that did not answer has read nothing, and its disk is not known."""
    if "silent" not in seen:
        return dict(seen)
    problem = seen["silent"]
    told = {"readable": False, "writable": False, "problem": problem}
    return {
        "repositories": [{"name": one["name"], **told} for one in repositories],
        "disks": [{"path": "?", "free_bytes": None, "problem": problem}],
    }


def _why(result: Json) -> str:
    return str(result.get("msg") or "it does not answer").split("\n", maxsplit=1)[0]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "assessable": assessable,
            "readiness_paths": readiness_paths,
            "readiness_score": readiness_score,
            "readiness_seen": readiness_seen,
            "readiness_states": readiness_states,
        }
