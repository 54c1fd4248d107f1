# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does by its own clock: backups, shipping, verification and retention, as calls of ``lifeboat``.

From the description alone; how the calls get into cron or systemd is written by ``report/cron_table.py`` and
``report/systemd_units.py``, so that both mean the same.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.description.description import Description
from ..core.description.model import Job, Service, Source
from ..core.description.schedule import Schedule, parse_schedule
from .backup_values import ON_CHANGE
from .ship_requests import is_stream, shipping_jobs
from .stream_sources.registry import STREAM_KINDS

_EACH_MINUTE = "* * * * *"
_MINUTE = datetime.timedelta(minutes=1)


@dataclass(frozen=True)
class ScheduleChoices:
    """What an operator decides for a host beside the description.

    *retention* is a cron expression in the time zone of the settings, or empty: nothing is removed by this host. It
    removes from *retention_repositories*; without any named, from those on the host's own disks, which it could delete
    anyway. *wait* is how many seconds a run waits at most for another one of the same source.
    """

    verify: bool = True
    retention: str = ""
    retention_repositories: tuple[str, ...] = ()
    follow_streams: bool = False
    wait: int = 3600


@dataclass(frozen=True)
class ScheduledCall:
    """One call of ``lifeboat``. *words* are its arguments; without *schedule* it runs for ever.

    *by_due* are the arguments that make a call harmless when it comes at a time that is not its own; *catches_up* says
    that a missed one is made good after a boot.
    """

    name: str  # unique on the host; parts joined by a colon, which is in no name of a description
    title: str
    words: tuple[str, ...]
    schedule: Schedule | None
    by_due: tuple[str, ...] = ()
    catches_up: bool = True


@dataclass(frozen=True)
class ServiceSchedule:
    """The calls of one service, in the order of the description."""

    service: str
    calls: tuple[ScheduledCall, ...]


@dataclass(frozen=True)
class HostSchedule:
    """*left_out* says, job by job, what this version can't run."""

    services: tuple[ServiceSchedule, ...]
    left_out: tuple[str, ...]


def host_schedule(description: Description, choices: ScheduleChoices) -> HostSchedule:
    """All that *description* asks this host to do by the clock. Raises ScheduleInvalid for the retention's.

    A host that makes no backups still proves and removes those of others.
    """
    zone = description.settings.timezone
    retention = parse_schedule(choices.retention, timezone=zone) if choices.retention else None
    services = []
    left_out = []
    for service in description.services:
        here = service.sources if description.settings.makes_backups else ()
        jobs = [job for source in here for job in source.jobs]
        shipped = shipping_jobs(jobs)
        calls = [call for job in jobs if not is_stream(job) or job in shipped for call in _of_job(job, choices)]
        if choices.verify:
            calls += [call for source in service.sources for call in _verification(service, source, zone)]
        if retention is not None:
            calls += _retention(service, retention, description, choices)
        left_out += [f"{job.id} ({job.engine} {job.kind})" for job in jobs if not _is_made(job)]
        if calls:
            services.append(ServiceSchedule(service=service.name, calls=tuple(calls)))
    return HostSchedule(services=tuple(services), left_out=tuple(left_out))


def _of_job(job: Job, choices: ScheduleChoices) -> t.Iterator[ScheduledCall]:
    if not _is_made(job):
        return
    name = job.id.replace("/", ":")
    title = f"{job.id}: {job.describe_schedule()}"
    if not is_stream(job):
        if job.schedule is not None:
            words = ("backup", job.id, "--quiet", *_waiting(job.schedule, choices.wait))
            yield ScheduledCall(name=name, title=title, words=words, schedule=job.schedule, by_due=("--due",))
        if ON_CHANGE in job.triggers:
            yield ScheduledCall(
                name=f"{name}:on-change",
                title=f"{job.id}: when something has changed, looked at each minute",
                words=("backup", job.id, "--trigger", ON_CHANGE, "--quiet"),
                schedule=parse_schedule(_EACH_MINUTE, timezone=job.timezone),
                # Of a change while the host was down, the first minute after the boot tells.
                catches_up=False,
            )
    elif "continuous" in job.triggers and choices.follow_streams:
        yield ScheduledCall(name=name, title=title, words=("ship", job.id, "--follow", "--quiet"), schedule=None)
    elif "continuous" in job.triggers or job.schedule is not None:
        continuous = "continuous" in job.triggers or job.schedule is None
        schedule = parse_schedule(_EACH_MINUTE, timezone=job.timezone) if continuous else job.schedule
        yield ScheduledCall(
            name=name, title=title, words=("ship", job.id, "--once", "--quiet"), schedule=schedule, catches_up=False
        )


def _verification(service: Service, source: Source, default_timezone: str) -> t.Iterator[ScheduledCall]:
    expression = source.verify.get("schedule")
    if not expression or not any(_is_made(job) for job in source.jobs):
        return
    schedule = parse_schedule(expression, timezone=source.verify.get("timezone", default_timezone))
    what = f"{service.name}/{source.name}"
    yield ScheduledCall(
        name=f"{service.name}:{source.name}:verify-backups",
        title=f"{what}, verification: {schedule.describe()}",
        words=("verify", what, "--due", "--quiet"),
        schedule=schedule,
    )


def _retention(
    service: Service, schedule: Schedule, description: Description, choices: ScheduleChoices
) -> t.Iterator[ScheduledCall]:
    used = {use.name for source in service.sources for job in source.jobs if _is_made(job) for use in job.repositories}
    chosen = choices.retention_repositories
    names = [
        one.name
        for one in description.repositories
        if one.name in used and (one.name in chosen if chosen else one.type == "file")
    ]
    if names:
        where = [word for name in names for word in ("--repository", name)]
        yield ScheduledCall(
            name=f"{service.name}:retention",
            title=f"{service.name}, retention in {', '.join(names)}: {schedule.describe()}",
            words=("prune", service.name, "--yes", "--quiet", *where),
            schedule=schedule,
            catches_up=False,
        )


def _is_made(job: Job) -> bool:
    return (job.engine, job.kind) in STREAM_KINDS if is_stream(job) else job.runnable


def _waiting(schedule: Schedule, most: int) -> tuple[str, ...]:
    """Half the time to the next run at most, so that runs never queue up; and not where they follow each minute."""
    gap = schedule.longest_gap()
    seconds = min(most, int(gap.total_seconds()) // 2) if gap > _MINUTE else 0
    return ("--wait", str(seconds)) if seconds else ()
