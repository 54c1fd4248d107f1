# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a host knows of its jobs, in one document: for the command line, the module, the page and the metrics.

Every object of a repository is read once, by source; no database is asked, and nothing is changed.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, replace

from ..catalog.catalog import Selection
from ..core.clock import format_time
from ..core.description.description import Description
from ..core.description.model import Job, Source
from ..core.errors import LifeboatError, StorageError
from ..core.host import Host
from ..core.state import StateDirectory
from ..core.version import VERSION
from ..notify.channels import channels_of
from ..notify.spool import read_standing, waiting_for
from ..storage.base import Storage
from ..storage.registry import open_storage
from .backup_values import ON_DEPLOYMENT
from .description_requests import recovery_objectives, repositories_of
from .recovery_times import read_forecasts
from .ship_requests import can_ship, is_stream, ship_request, shipping_jobs
from .status import JobStatus, JobToLookAt, read_status
from .status_attention import attention_of, exit_status
from .status_due import due_of
from .status_facts import job_facts, seconds_since, verifications_of
from .status_objectives import Point, rpo_fact, rto_fact, window_fact
from .status_points import job_point, newest_point, stream_point
from .status_schema import FORMAT, FORMAT_VERSION
from .status_stored import Stored, read_stored
from .stream_status import StreamStatus, read_stream_status


@dataclass(frozen=True)
class StatusReport:
    """The document (see :mod:`status_schema`), and the errors behind what it says could not be read."""

    document: dict[str, t.Any]
    problems: tuple[LifeboatError, ...]

    @property
    def exit_status(self) -> int:
        """0 when all is well, 1 when something critical is to be looked at, 3 when there are warnings only."""
        return exit_status(self.document["attention"])


def read_report(
    description: Description,
    *,
    host: Host,
    select: t.Sequence[str] = (),
    known_since: datetime.datetime | None = None,
) -> StatusReport:
    """Look at the jobs that *select* names (all without), and at the sources that they belong to.

    *known_since* is since when the jobs are described: before its first run was due, a job is not overdue. Raises
    JobUnknown, RequestInvalid, and LibraryMissing.
    """
    storages = {
        repository.name: open_storage(
            repository.description, name=repository.name, clock=host.clock, runner=host.runner
        )
        for repository in repositories_of(description)
    }
    return _Look(description, host=host, storages=storages, known_since=known_since).report(select)


class _Seen(t.NamedTuple):
    jobs: t.Sequence[JobStatus]
    streams: t.Sequence[StreamStatus]
    there: Stored


class _Look:
    def __init__(
        self,
        description: Description,
        *,
        host: Host,
        storages: t.Mapping[str, Storage],
        known_since: datetime.datetime | None,
    ) -> None:
        self._description = description
        self._host = host
        self._storages = storages
        self._known_since = known_since
        self._now = host.clock.now()
        self._state = StateDirectory(path=description.settings.state_directory)
        self._objective_of = recovery_objectives(description)
        self._known_forecasts: dict[str, dict[str, dict[str, t.Any]]] = {}
        self._ids = frozenset(job.id for job in description.jobs())

    def report(self, select: t.Sequence[str]) -> StatusReport:
        asked = self._description.jobs(select)
        selected = {job.id for job in asked}
        # By what they make: a stream is that of all of its jobs.
        series = {f"{job.service}/{job.source}/{job.kind}" for job in asked}
        sources = [
            (service.name, source)
            for service in self._description.services
            for source in service.sources
            if any(job.id in selected for job in source.jobs)
        ]
        every = [job for _service, source in sources for job in source.jobs]
        requests = [ship_request(job) for job in shipping_jobs(every) if can_ship(job)]
        there = read_stored(sources, requests, storages=self._storages, host=self._host)
        found = read_status(
            [self._look_at(job) for job in every if job.runnable],
            storages=self._storages,
            state=self._state,
            readings=there.readings,
            now=self._now,
        )
        streams, silent = read_stream_status(
            requests, storages=self._storages, state=self._state, clock=self._host.clock, known=there.streams
        )
        by_id = {job.id: job for job in every}
        shared = _shared(every)
        streams = [self._with_due(stream, shared) for stream in streams]
        # A repository that is down says so once, and not once more for its streams.
        told = {_same(problem) for problem in found.problems}
        problems = (*found.problems, *(problem for problem in silent if _same(problem) not in told))
        jobs = [self._job(one, by_id, there) for one in found.jobs if one.job.job_id in selected]
        flows = [self._stream(one, shared) for one in streams if one.job in series]
        facts = [
            self._source(f"{service}/{source.name}", source, _Seen(found.jobs, streams, there))
            for service, source in sources
            if f"{service}/{source.name}" in there.readings
        ]
        told_problems = [problem.as_dict() for problem in problems]
        channels = self._channels({service for service, _source in sources})
        attention = attention_of(jobs, flows, facts, told_problems, channels)
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "host": self._host.name,
            "at": format_time(self._now),
            "lifeboat_version": VERSION,
            "well": exit_status(attention) == 0,
            "attention": attention,
            "jobs": jobs,
            "streams": flows,
            "sources": facts,
            "windows": {name: one.as_dict() for name, one in there.windows.items()},
            "repositories": self._repositories(every, problems),
            "channels": channels,
            "left_out": [self._left_out(job) for job in every if job.id in selected and not self._is_known(job)],
            "problems": told_problems,
        }
        return StatusReport(document=document, problems=problems)

    def _look_at(self, job: Job) -> JobToLookAt:
        return JobToLookAt(
            job_id=job.id,
            service=job.service,
            source=job.source,
            kind=job.kind,
            repositories=tuple(use.name for use in job.repositories),
            next_run=job.schedule.next_run(self._now) if job.schedule else None,
            schedule=job.describe_schedule(),
            keep=job.keep.describe() if job.keep else None,
            cron=job.schedule,
            others=self._ids - {job.id},
            known_since=self._known_since,
        )

    def _with_due(self, stream: StreamStatus, shared: t.Mapping[str, t.Sequence[Job]]) -> StreamStatus:
        due = due_of(
            shared[stream.job][0].schedule,
            now=self._now,
            success=stream.last_success,
            known_since=self._known_since,
        )
        return replace(stream, due=due)

    def _job(self, found: JobStatus, by_id: t.Mapping[str, Job], there: Stored) -> dict[str, t.Any]:
        job = by_id[found.job.job_id]
        forecasts = self._forecasts(f"{job.service}/{job.source}", there)
        source = self._source_objectives(job)
        point = job_point(found)
        rpo, rto = job.objectives.rpo, job.objectives.rto
        return {
            **found.as_dict(),
            "service": job.service,
            "source": job.source,
            "kind": job.kind,
            "engine": job.engine,
            **job_facts(found.history, now=self._now),
            "recovery": forecasts.get(job.kind),
            "rpo": rpo_fact(point, _aging(rpo, [job], point), now=self._now) if rpo != source.objectives.rpo else None,
            "rto": rto_fact(forecasts, point, rto) if rto != source.objectives.rto else None,
        }

    def _stream(self, stream: StreamStatus, shared: t.Mapping[str, t.Sequence[Job]]) -> dict[str, t.Any]:
        job = shared[stream.job][0]
        service, source, kind = stream.job.split("/")
        next_run = job.schedule.next_run(self._now) if job.schedule else None
        return {
            **stream.as_dict(),
            "job": job.id,
            "jobs": [one.id for one in shared[stream.job]],
            "service": service,
            "source": source,
            "kind": kind,
            "schedule": job.describe_schedule(),
            "next_run": format_time(next_run) if next_run else None,
            "age_seconds": seconds_since(stream.proven, now=self._now) if stream.proven else None,
        }

    def _source(self, name: str, source: Source, seen: _Seen) -> dict[str, t.Any]:
        """The facts of a source."""
        backups, windows = seen.there.readings[name].backups, seen.there.windows.get(name)
        point = newest_point(
            [
                *(job_point(one) for one in seen.jobs if f"{one.job.service}/{one.job.source}" == name),
                *(stream_point(one, windows, backups) for one in seen.streams if one.job.startswith(f"{name}/")),
            ]
        )
        objectives = source.objectives
        return {
            "source": name,
            "engine": source.engine,
            "rpo": rpo_fact(point, _aging(objectives.rpo, source.jobs, point), now=self._now),
            "rto": rto_fact(self._forecasts(name, seen.there), point, objectives.rto),
            "window": window_fact(windows, objectives.window, now=self._now),
            "verifications": verifications_of(backups),
        }

    def _forecasts(self, name: str, there: Stored) -> dict[str, dict[str, t.Any]]:
        if name not in self._known_forecasts:
            service, _slash, source = name.partition("/")
            found = read_forecasts(
                there.readings[name],
                storages=self._storages,
                selection=Selection(service=service, source=source),
                state=self._state,
                objective_of=self._objective_of,
            )
            self._known_forecasts[name] = {one.series.kind: one.as_dict() for one in found}
        return self._known_forecasts[name]

    def _source_objectives(self, job: Job) -> Source:
        return next(
            source
            for service in self._description.services
            if service.name == job.service
            for source in service.sources
            if source.name == job.source
        )

    def _channels(self, services: t.Collection[str]) -> list[dict[str, t.Any]]:
        """How those who are told of these services can be reached."""
        described = [
            one for service in self._description.services if service.name in services for one in channels_of(service)
        ]
        waits = waiting_for(self._state) if described else {}
        return [
            {
                **read_standing(self._state, one.key).as_dict(),
                "channel": f"{one.service}/{one.name}",
                "waiting": waits.get(one.key, 0),
            }
            for one in described
        ]

    def _repositories(self, jobs: t.Sequence[Job], problems: t.Sequence[LifeboatError]) -> list[dict[str, t.Any]]:
        used = {use.name for job in jobs if self._is_known(job) for use in job.repositories}
        errors: dict[str, LifeboatError] = {}
        for problem in problems:
            if isinstance(problem, StorageError):
                errors.setdefault(str(problem.details.get("repository")), problem)
        return [
            {
                "name": name,
                "url": storage.properties.url,
                "reachable": name not in errors,
                "error": errors[name].as_dict() if name in errors else None,
            }
            for name, storage in self._storages.items()
            if name in used
        ]

    def _is_known(self, job: Job) -> bool:
        return job.runnable or can_ship(job)

    @staticmethod
    def _left_out(job: Job) -> dict[str, str]:
        return {"job": job.id, "reason": f"This version can't make backups of the kind {job.engine} {job.kind} yet."}


def _shared(jobs: t.Sequence[Job]) -> dict[str, list[Job]]:
    """The jobs of each stream by what it makes: the one that ships it first, whose name the stream has."""
    found: dict[str, list[Job]] = {}
    shipping = shipping_jobs(jobs)
    for job in (*shipping, *(one for one in jobs if is_stream(one) and one not in shipping)):
        found.setdefault(f"{job.service}/{job.source}/{job.kind}", []).append(job)
    return found


def _aging(
    objective: datetime.timedelta | None, jobs: t.Sequence[Job], point: Point | None
) -> datetime.timedelta | None:
    """The objective, where a backup grows old: what only deployments change and keep is as good as on its day."""
    is_kept_so = all(job.schedule is None and job.triggers == (ON_DEPLOYMENT,) for job in jobs)
    return None if is_kept_so and point is not None else objective


def _same(problem: LifeboatError) -> tuple[str, t.Any]:
    return problem.code, problem.details.get("repository")
