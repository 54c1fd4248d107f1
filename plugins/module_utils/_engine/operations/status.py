# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the jobs of a host are doing: newest backup, last run, what runs now, what is due next."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup, Selection, read_catalog
from ..core.clock import format_time, parse_time
from ..core.errors import LifeboatError
from ..core.state import StateDirectory, running_jobs
from ..storage.base import Storage


@dataclass(frozen=True)
class JobToLookAt:
    """What the status needs to know of a job. *next_run* is None for jobs that no clock starts."""

    job_id: str
    service: str
    source: str
    kind: str
    repositories: tuple[str, ...]
    next_run: datetime.datetime | None = None
    schedule: str | None = None
    keep: str | None = None


@dataclass(frozen=True)
class JobStatus:
    """One job as it stands."""

    job: JobToLookAt
    newest: Backup | None
    backups: int
    last_run: t.Mapping[str, t.Any] | None
    running: t.Mapping[str, t.Any] | None

    @property
    def state(self) -> str:
        """running, never, failed (the last run), partial or ok."""
        if self.running is not None:
            return "running"
        last = self.last_run
        if last is not None and last.get("state") == "failed" and not self._succeeded_since(last):
            return "failed"
        if self.newest is None:
            return "never"
        return "partial" if self.newest.is_partial else "ok"

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        job = self.job
        return {
            "job": job.job_id,
            "state": self.state,
            "newest": self.newest.as_dict() if self.newest else None,
            "backups": self.backups,
            "last_run": dict(self.last_run) if self.last_run else None,
            "running": dict(self.running) if self.running else None,
            "schedule": job.schedule,
            "next_run": format_time(job.next_run) if job.next_run else None,
            "keep": job.keep,
            "repositories": list(job.repositories),
        }

    def _succeeded_since(self, last: t.Mapping[str, t.Any]) -> bool:
        if self.newest is None:
            return False
        return self.newest.manifest.started > parse_time(str(last["started"]))


@dataclass(frozen=True)
class Status:
    """All jobs of the host, and what could not be read."""

    jobs: tuple[JobStatus, ...]
    problems: tuple[LifeboatError, ...]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "jobs": [job.as_dict() for job in self.jobs],
            "problems": [problem.as_dict() for problem in self.problems],
        }


def read_status(jobs: t.Sequence[JobToLookAt], *, storages: t.Mapping[str, Storage], state: StateDirectory) -> Status:
    """Look at every job: the repositories for what there is, this host's notes for what ran and runs."""
    running = {str(document.get("job")): document for document in running_jobs(state)}
    problems: dict[tuple[str, str], LifeboatError] = {}
    statuses = []
    for job in jobs:
        asked = {name: storage for name, storage in storages.items() if name in job.repositories}
        reading = read_catalog(asked, selection=Selection(service=job.service, source=job.source, kind=job.kind))
        for problem in reading.problems:
            # A repository that is down says so once, not once for each job.
            problems.setdefault((problem.code, str(problem.details.get("repository"))), problem)
        records = state.records(f"{job.service}.{job.source}.{job.kind}")
        statuses.append(
            JobStatus(
                job=job,
                newest=reading.backups[-1] if reading.backups else None,
                backups=len(reading.backups),
                last_run=records[-1] if records else None,
                running=running.get(f"{job.service}/{job.source}/{job.kind}"),
            )
        )
    return Status(jobs=tuple(statuses), problems=tuple(problems.values()))
