# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the roles ``verify`` and ``retention``: what a host is told of the backups that other hosts make."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import entries, read

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.description.description import Description

Json = dict[str, t.Any]

_SERVICE = ("name", "description", "alerts", "notifications")
_SOURCE = ("name", "description", "engine", "verify")
_BACKUP = ("kind", "schedule", "triggers", "timezone", "keep", "options")
_SECRETS = frozenset({"password", "token", "uri"})
_HIDDEN = "mongodb://left-out"
_SERVERS = ("mongodb", "postgresql", "redis")
_PROGRAMS = ("mongod", "bin_directory", "server_program")


def others_description(hosts: t.Any, own: t.Any = None, only: t.Any = None, *, verifies: bool = True) -> Json:
    """One description out of those of *hosts* (their variables), for a host that proves or removes their backups.

    *own* are the ``repositories`` and ``settings`` of that host, which stand before those of the others; *only* names
    the repositories that it uses, else all but folders of the other hosts. Secrets that stand in the connections by
    value are left out, because nothing connects from there.

    The answer has ``services``, ``repositories`` and ``settings``; ``repository_names``; ``left_out``, the jobs of
    whose backups it sees none; ``encrypted``, whether a private key is needed; ``servers``, the engines whose servers
    are started to prove a backup.
    """
    given = own or {}
    wanted = entries(only)
    services: dict[str, Json] = {}
    repositories: Json = {}
    answer: Json = {"left_out": [], "encrypted": False}
    for host in hosts:
        name = str(host["inventory_hostname"])
        if not host.get("lifeboat_services"):
            raise AnsibleFilterError(f"{name} has no lifeboat_services, so it makes no backups. Name another host.")
        raw, places = _plain(host["lifeboat_services"]), _plain(host.get("lifeboat_repositories") or {})
        description = read(raw, places, host.get("lifeboat_settings"))
        places.update(given.get("repositories") or {})
        readable = _readable(places, wanted)
        answer["encrypted"] = answer["encrypted"] or any(job.encryption for job in description.jobs())
        for service in raw:
            seen = _service(service, description, readable=readable, verifies=verifies, left_out=answer["left_out"])
            _merge(services, seen, host=name)
        for one in sorted(readable):
            if repositories.setdefault(one, places[one]) != places[one]:
                raise AnsibleFilterError(
                    f"The repository {one} of {name} is another than that of the hosts before. Give them names of "
                    "their own, or say in the lifeboat_repositories of this host which one is meant."
                )
    unknown = [one for one in wanted if one not in repositories]
    if unknown:
        raise AnsibleFilterError(f"None of these hosts has a repository {' or '.join(unknown)}.")
    used = _used(services.values())
    answer["services"] = list(services.values())
    answer["repositories"] = {name: one for name, one in repositories.items() if name in used}
    answer["repository_names"] = sorted(answer["repositories"])
    answer["settings"] = {**(given.get("settings") or {}), "makes_backups": False}
    every = [source for service in services.values() for source in service["sources"]]
    answer["servers"] = sorted({source["engine"] for source in every if _starts_a_server(source)})
    if not answer["repositories"]:
        raise AnsibleFilterError(
            "None of the backups can be read from another host: they are in folders of the hosts that make them. Store "
            "them in S3 as well, or name folders that are mounted here: verify_repositories, retention_repositories."
        )
    read(answer["services"], answer["repositories"], answer["settings"])
    return answer


def _starts_a_server(source: Json) -> bool:
    """Of those that are looked for; a program that the description names is somebody's own care."""
    verify = source.get("verify", {})
    named = any(key in verify.get("options", {}) for key in _PROGRAMS)
    return source["engine"] in _SERVERS and verify.get("level", 0) >= 3 and not named


def _readable(repositories: Json, wanted: t.Sequence[str]) -> set[str]:
    if wanted:
        return {name for name in repositories if name in wanted}
    return {name for name, one in repositories.items() if one.get("type") not in ("file", "git")}


def _service(
    raw: Json, description: Description, *, readable: set[str], verifies: bool, left_out: list[str]
) -> Json | None:
    from ..module_utils._engine.operations.ship_requests import is_stream

    sources = []
    kept: set[str] = set()
    for source in raw["sources"]:
        jobs = [job for job in description.jobs() if (job.service, job.source) == (raw["name"], source["name"])]
        backups = []
        for backup, job in zip(source["backups"], jobs):
            uses = [use for use in backup["repositories"] if _name_of(use) in readable]
            if not uses:
                left_out.append(job.id)
                continue
            kept.add(job.id)
            last = job.id.rpartition("/")[2]
            named = {"name": last} if last != job.kind else {}
            told = {key: backup[key] for key in _BACKUP if key in backup}
            if is_stream(job) or job.members:
                told.pop("options", None)  # nothing is captured there, and sets say which members they have
            backups.append({**told, **named, **_lasting(backup), "timezone": job.timezone, "repositories": uses})
        if backups:
            seen = {key: source[key] for key in _SOURCE if key in source and (verifies or key != "verify")}
            if "verify" in seen:
                zone = {"timezone": description.settings.timezone}
                seen["verify"] = {**zone, **seen["verify"]}
            if "connection" in source:  # a set has none
                seen["connection"] = _without_secrets(source["connection"])
            sources.append({**seen, **_lasting(source), "backups": backups})
    if not sources:
        return None
    told = {key: raw[key] for key in _SERVICE if key in raw}
    return {**_with_known_jobs(told, str(raw["name"]), kept), **_lasting(raw), "sources": sources}


def _lasting(raw: Json) -> Json:
    """Of objectives what the stored backups are held against; whether they come often enough is their maker's care."""
    kept = {key: value for key, value in (raw.get("objectives") or {}).items() if key in ("rto", "window")}
    return {"objectives": kept} if kept else {}


def _with_known_jobs(service: Json, name: str, kept: set[str]) -> Json:
    """*service* without alerts and channels for jobs that are not seen from there; they are told where they run."""

    def known(told: Json) -> list[str]:
        whole = {job: job if f"{job}/".startswith(f"{name}/") else f"{name}/{job}" for job in told.get("jobs", ())}
        return [job for job, full in whole.items() if any(f"{one}/".startswith(f"{full}/") for one in kept)]

    def sift(told: t.Iterable[Json]) -> list[Json]:
        found = [(one, known(one)) for one in told]
        return [{**one, "jobs": jobs} if jobs else one for one, jobs in found if jobs or "jobs" not in one]

    notifications = dict(service.pop("notifications", {}))
    if "mail" in notifications:
        notifications["mail"] = next(iter(sift([notifications["mail"]])), None)
    if "channels" in notifications:
        notifications["channels"] = sift(notifications["channels"])
    notifications = {key: value for key, value in notifications.items() if value}
    channels = {str(one["name"]) for one in notifications.get("channels", ())} | set(notifications)
    alerts = []
    for alert in sift(service.pop("alerts", ())):
        notify = [one for one in alert.get("notify", ()) if one in channels]
        if notify or "notify" not in alert:
            alerts.append({**alert, "notify": notify} if notify else alert)
    answer = {**service, "alerts": alerts, "notifications": notifications}
    return {key: value for key, value in answer.items() if value}


def _merge(services: dict[str, Json], seen: Json | None, *, host: str) -> None:
    """Sources of one service that several hosts back up come together."""
    if seen is None:
        return
    there = services.setdefault(str(seen["name"]), seen)
    if there is seen:
        return
    known = {source["name"]: source for source in there["sources"]}
    for source in seen["sources"]:
        if known.setdefault(source["name"], source) != source:
            raise AnsibleFilterError(
                f"{host} and a host before describe {seen['name']}/{source['name']} in two ways. Give one of them "
                "another name."
            )
    there["sources"] = list(known.values())


def _used(services: t.Iterable[Json]) -> set[str]:
    return {
        _name_of(use)
        for service in services
        for source in service["sources"]
        for backup in source["backups"]
        for use in backup["repositories"]
    }


def _name_of(use: t.Any) -> str:
    return str(use["name"]) if isinstance(use, t.Mapping) else str(use)


def _without_secrets(connection: Json) -> Json:
    found = {key: value for key, value in connection.items() if key not in _SECRETS}
    return {**found, "uri": _HIDDEN} if "uri" in connection else found


def _plain(value: t.Any) -> t.Any:
    """A copy that is nobody else's, of plain dictionaries and lists."""
    if isinstance(value, t.Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"others_description": others_description}
