# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Degraded mode as data: which measure is taken on which host with what, and what is asked before it ends. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time, parse_time
from ..core.description.duration import parse_duration
from ..core.description.model import Service, Source
from ..core.description.schema_degraded import CRITERION_KINDS, MEASURE_KINDS
from ..core.errors import DurationInvalid, RequestInvalid

Json = t.Mapping[str, t.Any]
#: From names of hosts and groups to hosts; none: the host that has the description.
Places = t.Callable[[t.Sequence[str]], t.Sequence[str]]

_LONGEST = datetime.timedelta(hours=4)


def degraded_plan(service: Service, *, places: Places) -> dict[str, t.Any]:
    """``measures`` in the order in which they are taken and ``criteria``, each once for each host, and what is said.

    Raises RequestInvalid where the description has no degraded mode, or one that switches nothing.
    """
    mode: Json = service.surroundings.get("degraded_mode") or {}
    if not mode.get("measures"):
        raise RequestInvalid(
            f"The degraded mode of {service.name} has no measures, so there is nothing to switch.",
            hint="Describe degraded_mode: measures; docs/degraded-mode.md has a worked example.",
        )
    told = {key: mode[key] for key in ("essential", "disabled", "message", "alternatives") if mode.get(key)}
    return {
        "service": service.name,
        "told": told,
        "max_duration": str(mode.get("max_duration") or "4h"),
        "measures": [
            {**one, "host": host} for each in mode["measures"] for one, host in _measures(service, each, told, places)
        ],
        "criteria": [
            {**one, "host": host} for each in mode.get("exit") or () for one, host in _criteria(service, each, places)
        ],
        "repositories": _repositories(service),
    }


def until_when(given: str | None, *, longest: str, now: datetime.datetime) -> str:
    """Until when the mode is meant to last: a time, or a length of time from now. Raises RequestInvalid."""
    text = str(given or longest)
    try:
        if text[:1].isdigit() and "T" not in text.upper().rstrip("Z")[:11]:
            moment = now + parse_duration(text)
        else:
            moment = parse_time(text)
    except (ValueError, DurationInvalid) as error:
        raise RequestInvalid(
            f"{text!r} is neither a time nor a length of time.", hint="Write 4h, or 2026-11-21T06:00:00Z."
        ) from error
    if moment <= now:
        raise RequestInvalid(f"{text} is over already.", hint="Write 4h, or a time that is to come.")
    return format_time(moment.replace(microsecond=0))


def plan_text(plan: Json) -> list[str]:
    """What would be switched, and what is asked before it ends."""
    lines = [f"What goes on: {', '.join(plan['told'].get('essential', ()))}."]
    lines += [
        f"{number}. {one['name']} on {one['host']}: {one['what']}" for number, one in enumerate(plan["measures"], 1)
    ]
    lines += [f"-  before it is left: {one['name']} from {one['host']}" for one in plan["criteria"]]
    return lines


def _measures(service: Service, measure: Json, told: Json, places: Places) -> t.Iterator[tuple[dict[str, t.Any], str]]:
    kind = _kind(measure, MEASURE_KINDS)
    options, what = _MEASURES[kind](service, measure[kind], told)
    for host in places(measure.get("hosts") or ()):
        yield {"name": str(measure["name"]), "kind": kind, "what": what, "options": options}, host


def _criteria(service: Service, criterion: Json, places: Places) -> t.Iterator[tuple[dict[str, t.Any], str]]:
    kind = _kind(criterion, CRITERION_KINDS)
    options = _CRITERIA[kind](service, criterion[kind])
    for host in places(criterion.get("hosts") or ()):
        yield {"name": str(criterion["name"]), "kind": kind, "options": options}, host


def _kind(given: Json, kinds: t.Sequence[str]) -> str:
    """The one of *kinds* that the schema found in it."""
    return next(one for one in kinds if one in given)


def _application(service: Service, name: str) -> Json:
    found: Json = next(one for one in service.surroundings.get("applications", ()) if one["name"] == name)
    return found


def _controlled(service: Service, name: str) -> dict[str, t.Any]:
    application = _application(service, name)
    if not (application.get("unit") or (application.get("stop_command") and application.get("start_command"))):
        raise RequestInvalid(
            f"The application {name} has neither a unit nor commands, so it can't be switched.",
            hint="Describe unit, or stop_command and start_command; or use a measure of the kind command.",
        )
    keys = ("unit", "stop_command", "start_command")
    return {key: application[key] for key in keys if application.get(key)}


def _application_measure(service: Service, given: Json, _told: Json) -> tuple[dict[str, t.Any], str]:
    options = _controlled(service, str(given["name"]))
    check = (_application(service, str(given["name"])).get("health") or {}).get("command")
    state = str(given.get("state") or "stopped")
    return {**options, "check": check, "state": state}, f"the application {given['name']} is {state}"


def _unit(_service: Service, given: Json, _told: Json) -> tuple[dict[str, t.Any], str]:
    state = str(given.get("state") or "stopped")
    return {"unit": given["name"], "state": state}, f"the unit {given['name']} is {state}"


def _command(_service: Service, given: Json, _told: Json) -> tuple[dict[str, t.Any], str]:
    return dict(given), " ".join(map(str, given["enter"]))


def _webhook(service: Service, given: Json, told: Json) -> tuple[dict[str, t.Any], str]:
    webhooks: Json = service.surroundings["notifications"]["webhooks"]
    event = str(given["event"])
    address = str(webhooks["base_url"]).rstrip("/") + str(webhooks["endpoints"][event])
    keys = ("token_file", "token_env", "token_command", "ca_file")
    options: dict[str, t.Any] = {key: webhooks[key] for key in keys if webhooks.get(key)}
    if webhooks.get("timeout"):
        options["timeout"] = parse_duration(str(webhooks["timeout"])).total_seconds()
    if webhooks.get("token"):
        raise _by_value("token")
    body = {"service": service.name, "event": event, **told}
    ways = {way: dict(given[way]) for way in ("enter", "leave") if given.get(way)}
    return {**options, "url": address, "body": body, **ways}, f"{webhooks['endpoints'][event]} is told"


def _redis(service: Service, given: Json, _told: Json) -> tuple[dict[str, t.Any], str]:
    own = {key: given[key] for key in ("key", "field", "value", "database") if key in given}
    place = f"{given['key']} {given['field']}" if "field" in given else str(given["key"])
    return {
        **own,
        "connection": _connection(_source(service, given).connection),
    }, f"{place} is {given['value']} in Redis"


def _env_file(service: Service, given: Json, _told: Json) -> tuple[dict[str, t.Any], str]:
    own = {key: given[key] for key in ("file", "key", "value")}
    restart = _controlled(service, str(given["restart"])) if given.get("restart") else None
    after = f", {given['restart']} restarted" if restart else ""
    return {**own, "restart": restart}, f"{given['key']}={given['value']} in {given['file']}{after}"


def _postgresql(service: Service, given: Json, _told: Json) -> tuple[dict[str, t.Any], str]:
    who = {key: given[key] for key in ("role", "database") if given.get(key)}
    settings = {key: str(value) for key, value in given["settings"].items()}
    words = ", ".join(f"{key} {value}" for key, value in settings.items())
    whom = " ".join(next(iter(who.items())))
    return {
        **who,
        "settings": settings,
        "connection": _connection(_source(service, given).connection),
    }, f"{words} for {whom}"


def _pause(_service: Service, given: t.Sequence[str], _told: Json) -> tuple[dict[str, t.Any], str]:
    return {"jobs": list(given)}, f"backups of {', '.join(given)} are not made by the clock"


def _connection(given: Json) -> dict[str, t.Any]:
    """As it goes to a host, among what is shown of a task: without secrets."""
    if given.get("password"):
        raise _by_value("password")
    return dict(given)


def _by_value(name: str) -> RequestInvalid:
    return RequestInvalid(
        f"The {name} is given by value, and measures are shown as they are.", hint=f"Use {name}_file or {name}_env."
    )


def _source(service: Service, given: Json) -> Source:
    return next(one for one in service.sources if one.name == given["source"])


def _health(_service: Service, given: Json) -> dict[str, t.Any]:
    return {"url": given["url"], "status": int(given.get("status") or 200), "timeout": _seconds(given.get("timeout"))}


def _health_of(service: Service, name: str) -> dict[str, t.Any]:
    application = _application(service, name)
    health: Json = application.get("health") or {}
    if health.get("command"):
        return {"command": health["command"]}
    if not (health.get("url") or health.get("path")):
        raise RequestInvalid(f"The application {name} has no health to ask for.", hint="Describe its health.")
    local = f"http://127.0.0.1:{application.get('port', 80)}/{str(health.get('path') or '').lstrip('/')}"
    return _health(service, {**health, "url": health.get("url") or local})


def _question(service: Service, given: Json) -> dict[str, t.Any]:
    source = _source(service, given)
    if source.engine not in ("postgresql", "redis"):
        raise RequestInvalid(
            f"{source.name} is {source.engine}; a criterion asks PostgreSQL or Redis.", hint="Use health instead."
        )
    return {"engine": source.engine, "connection": _connection(source.connection), "ask": dict(given["ask"])}


def _load(_service: Service, given: Json) -> dict[str, t.Any]:
    return {"per_processor": float(given["per_processor"])}


def _lag(service: Service, given: Json) -> dict[str, t.Any]:
    for source in service.sources:
        for standby in source.standbys:
            if standby["name"] == given["standby"]:
                return {
                    "standby": standby["name"],
                    "connection": _connection(standby["connection"]),
                    "primary": _connection(source.connection),
                    "max_lag": str(given.get("max_lag") or standby.get("max_lag") or "30s"),
                }
    raise RequestInvalid(f"There is no standby {given['standby']}.")


def _seconds(given: t.Any) -> float:
    return parse_duration(str(given)).total_seconds() if given else 10.0


def _repositories(service: Service) -> list[dict[str, t.Any]]:
    uses = [use for source in service.sources for job in source.jobs for use in job.repositories]
    found = {use.name: {"name": use.name, **use.description} for use in uses if not use.is_version_control}
    return list(found.values())


_MEASURES: t.Mapping[str, t.Callable[[Service, t.Any, Json], tuple[dict[str, t.Any], str]]] = {
    "application": _application_measure,
    "unit": _unit,
    "command": _command,
    "webhook": _webhook,
    "redis": _redis,
    "env_file": _env_file,
    "postgresql": _postgresql,
    "pause_jobs": _pause,
}
_CRITERIA: t.Mapping[str, t.Callable[[Service, t.Any], dict[str, t.Any]]] = {
    "health": _health,
    "application": _health_of,
    "question": _question,
    "load": _load,
    "lag": _lag,
}
