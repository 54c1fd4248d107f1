# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the roles that set hosts up: what belongs on a host, and what it does by its clock."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import read

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.description.description import Description
    from ..module_utils._engine.core.description.model import Job

Json = dict[str, t.Any]
#: Levels of verification: what needs no key, and what is done where nothing is said.
_BYTES, _RESTORED = 1, 3


def host_configuration(services: t.Any, repositories: t.Any, settings: t.Any = None) -> Json:
    """What a host is to know: ``description`` (for its file), and what follows from it.

    Repositories that no job of the host uses are left out, with their credentials. ``extras`` are the parts of the
    package that it needs, ``spools`` the jobs whose spool a server fills, ``folders`` those of its own disks that hold
    backups, ``has_secrets`` whether a secret stands in the description by value, ``unmet`` the objectives that its
    schedules can't meet, each with what to change, ``files`` those that the description names (for the module
    described_files), ``unreadable`` the sources that are to be proved by restoring what only a private key opens, where
    the settings name none.
    """
    from ..module_utils._engine.core.description.doubts import secrets_by_value
    from ..module_utils._engine.core.description.named_files import named_files
    from ..module_utils._engine.core.description.objectives import unmet_objectives

    description = read(services, repositories, settings)
    used = {use.name for job in description.jobs() for use in job.repositories}
    mapping: Json = {
        **({"lifeboat_settings": settings} if settings else {}),
        "lifeboat_repositories": {name: one for name, one in repositories.items() if name in used},
        "lifeboat_services": services,
    }
    kept = [one for one in description.repositories if one.name in used]
    engines = {source.engine for service in description.services for source in service.sources}
    return {
        "description": mapping,
        "extras": sorted(engines & {"mongodb", "postgresql"} | {one.type for one in kept} & {"s3"}),
        "spools": _spools(description),
        "folders": [str(one.description["path"]) for one in kept if one.type == "file"],
        "state_directory": description.settings.state_directory,
        "has_secrets": any(True for _text in secrets_by_value(mapping, "description")),
        "jobs": [job.id for job in description.jobs()],
        "unmet": [f"{one} {one.change}" for one in unmet_objectives(description.services)],
        "files": [file.as_dict() for file in named_files(description)],
        "unreadable": _unreadable(description),
    }


def _unreadable(description: Description) -> list[str]:
    from ..module_utils._engine.operations.ship_requests import is_stream

    if description.settings.decryption:
        return []
    return [
        f"{service.name}/{source.name}"
        for service in description.services
        for source in service.sources
        if source.verify.get("schedule") and source.verify.get("level", _RESTORED) > _BYTES
        if any(job.encryption for job in source.jobs if not is_stream(job))
    ]


def host_channels(services: t.Any, repositories: t.Any, settings: t.Any = None) -> Json:
    """Who is told of a host's services: ``names`` (service/channel), and ``channels`` with ``name`` and ``kind``."""
    from ..module_utils._engine.notify.channels import channels_of

    description = read(services, repositories, settings)
    channels = [one for service in description.services for one in channels_of(service)]
    names = [f"{one.service}/{one.name}" for one in channels]
    return {"names": names, "channels": [{"name": name, "kind": one.kind} for name, one in zip(names, channels)]}


def _spools(description: Description) -> list[str]:
    from ..module_utils._engine.operations.ship_requests import is_stream
    from ..module_utils._engine.operations.stream_sources.registry import STREAM_KINDS

    if not description.settings.makes_backups:
        return []
    kinds = ((job, STREAM_KINDS.get((job.engine, job.kind))) for job in description.jobs() if is_stream(job))
    return [job.id for job, kind in kinds if kind is not None and kind.filled_by_server]


def host_servers(services: t.Any, repositories: t.Any, settings: t.Any = None, engine: str = "") -> list[Json]:
    """The sources of *engine* that a host backs up by its own clock, and what preparing their servers takes.

    ``id`` and ``kinds``, ``connection``, ``jobs`` (the ids of those that this version makes), ``is_local`` (PostgreSQL:
    reached without leaving the host), ``spool`` and ``archive_timeout`` of the kind wal, ``walg`` (WAL-G makes backups
    of it), ``manages`` (MongoDB: jobs set parameters themselves). A source whose jobs nothing starts belongs to another
    host: this one only verifies it. So do all sources of a host that makes no backups.
    """
    description = read(services, repositories, settings)
    found: list[Json] = []
    if not description.settings.makes_backups:
        return found
    for service in description.services:
        for source in service.sources:
            jobs = [job for job in source.jobs if job.schedule is not None or job.triggers]
            # A set takes what the databases' roles prepare; of itself it reads nothing.
            if source.engine == engine and jobs and not source.has_only_sets:
                found.append({"service": service.name, "source": source.name, **_server(jobs)})
    return found


def _server(jobs: t.Sequence[Job]) -> Json:
    from ..module_utils._engine.operations.ship_requests import can_ship, spool_of
    from ..module_utils._engine.postgresql.prepare_rules import is_on_this_host

    one = jobs[0]
    made = [job for job in jobs if (job.runnable or can_ship(job)) and job.options.get("tool") != "walg"]
    wal = next((job for job in made if job.kind == "wal"), None)
    return {
        "id": f"{one.service}/{one.source}",
        "connection": dict(one.connection),
        "jobs": [job.id for job in made],
        "kinds": list(dict.fromkeys(job.kind for job in made)),
        "is_local": is_on_this_host(str(one.connection.get("host") or "")) and not one.connection.get("service"),
        "spool": spool_of(wal, filled_by_server=True) if wal is not None else None,
        "archive_timeout": wal.options.get("archive_timeout") if wal is not None else None,
        "walg": any(job.options.get("tool") == "walg" for job in jobs),
        "manages": any(job.options.get("keep_oplog_hours") or job.options.get("raise_history_window") for job in made),
    }


def host_timetable(
    services: t.Any, repositories: t.Any, settings: t.Any = None, choices: t.Any = None, run: t.Any = None
) -> Json:
    """What a host does by its clock: ``cron`` and ``systemd`` (texts by file name), ``follow`` and ``timers`` (units).

    *choices* and *run* are the fields of ScheduleChoices and HostRun; lengths of time may be texts such as ``5m``.
    """
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.core.errors import LifeboatError
    from ..module_utils._engine.operations.host_schedule import ScheduleChoices, host_schedule
    from ..module_utils._engine.report.cron_table import cron_tables
    from ..module_utils._engine.report.host_run import HostRun
    from ..module_utils._engine.report.systemd_units import systemd_units

    description = read(services, repositories, settings)
    chosen, given = dict(choices or {}), dict(run or {})
    try:
        chosen["wait"] = _seconds(chosen.get("wait", 3600))
        chosen["retention_repositories"] = _known(chosen.get("retention_repositories", ()), description)
        given["splay"] = _seconds(given.get("splay", 0))
        given["boot_delay"] = _seconds(given.get("boot_delay", 60))
        schedule = host_schedule(description, ScheduleChoices(**chosen))
        surroundings = HostRun(year=SystemClock().now().year, **given)
        cron, systemd = cron_tables(schedule, surroundings), systemd_units(schedule, surroundings)
    except (LifeboatError, TypeError) as error:
        raise AnsibleFilterError(f"lifeboat.recovery.host_timetable: {error}") from None
    timers = [name for name in systemd if name.endswith(".timer")]
    return {
        "cron": cron,
        "systemd": systemd,
        "timers": timers,
        "follow": [name for name in systemd if name.replace(".service", ".timer") not in systemd],
        "titles": [call.title for service in schedule.services for call in service.calls],
        "not_yet": list(schedule.left_out),
    }


def host_zone(listing: str) -> str:
    """The time zone from what ``/etc/localtime`` leads to; UTC where there is none, empty when nobody can tell."""
    path = listing.strip()
    if not path:
        return "UTC"
    _before, found, name = path.partition("/zoneinfo/")
    return name if found else ""


def _known(names: t.Any, description: Description) -> tuple[str, ...]:
    there = [one.name for one in description.repositories]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise AnsibleFilterError(f"There is no repository {unknown[0]}. Repositories: {', '.join(there)}.")
    return tuple(str(name) for name in names)


def _seconds(value: t.Any) -> int:
    from ..module_utils._engine.core.description.duration import parse_duration

    if isinstance(value, int) or str(value).isdigit():
        return int(value)
    return int(parse_duration(str(value)).total_seconds())


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "host_channels": host_channels,
            "host_configuration": host_configuration,
            "host_servers": host_servers,
            "host_timetable": host_timetable,
            "host_zone": host_zone,
        }
