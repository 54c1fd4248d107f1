# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the jobs of a host are doing: newest backup, last run, what runs now, what is due next."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, replace

from ..catalog.catalog import Backup, Reading, Selection, read_catalog
from ..core.clock import format_time, parse_time
from ..core.description.schedule import Schedule
from ..core.errors import LifeboatError
from ..core.state import StateDirectory, running_jobs
from ..retention.rules import JOB_LABEL
from ..storage.base import Storage
from .due import DESCRIBED_AS
from .status_due import Due, due_of
from .wanted import FULL_KINDS, wanted_backup

#: How many of the newest runs say how long one takes.
_RUNS = 5


@dataclass(frozen=True)
class JobToLookAt:
    """What the status needs to know of a job. *next_run* is None for jobs that no clock starts.

    *cron* is the schedule that *schedule* tells in words; *others* are the ids of all other jobs, whose backups do not
    count though they may lie in the same folder. *known_since* is since when the job is described.
    """

    job_id: str
    service: str
    source: str
    kind: str
    repositories: tuple[str, ...]
    next_run: datetime.datetime | None = None
    schedule: str | None = None
    keep: str | None = None
    cron: Schedule | None = None
    others: frozenset[str] = frozenset()
    known_since: datetime.datetime | None = None


@dataclass(frozen=True)
class JobStatus:
    """One job as it stands. *history* are its backups, oldest first."""

    job: JobToLookAt
    newest: Backup | None
    backups: int
    last_run: t.Mapping[str, t.Any] | None
    running: t.Mapping[str, t.Any] | None
    wanted: str | None = None  # why a full backup is needed that has not been made yet
    due: Due | None = None
    history: tuple[Backup, ...] = ()

    @property
    def overdue(self) -> bool:
        """Whether the run that was due has no success (see :mod:`status_due`)."""
        return self.due is not None and self.due.overdue

    @property
    def state(self) -> str:
        """running, failed (the last run), never, overdue, wanted (a full backup is needed), partial or ok."""
        if self.running is not None:
            return "running"
        last = self.last_run
        if last is not None and last.get("state") == "failed" and not self._succeeded_since(last):
            return "failed"
        if self.newest is None:
            return "never"
        if self.overdue:
            return "overdue"
        if self.wanted is not None:
            return "wanted"
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
            "wanted": self.wanted,
            "schedule": job.schedule,
            "next_run": format_time(job.next_run) if job.next_run else None,
            "due": self.due.as_dict() if self.due else None,
            "overdue": self.overdue,
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


def read_status(
    jobs: t.Sequence[JobToLookAt],
    *,
    storages: t.Mapping[str, Storage],
    state: StateDirectory,
    readings: t.Mapping[str, Reading] | None = None,
    now: datetime.datetime | None = None,
) -> Status:
    """Look at every job: the repositories for what there is, this host's notes for what ran and runs.

    *readings* are what was read of whole sources already, by ``service/source``; those are not read again. Without
    *now* nobody is told what is due.
    """
    running = {str(document.get("job")): document for document in running_jobs(state)}
    problems: dict[tuple[str, str], LifeboatError] = {}
    statuses = []
    for job in jobs:
        reading = _reading(job, storages, (readings or {}).get(f"{job.service}/{job.source}"))
        for problem in reading.problems:
            # A repository that is down says so once, not once for each job.
            problems.setdefault((problem.code, str(problem.details.get("repository"))), problem)
        records = [
            record
            for record in state.records(f"{job.service}.{job.source}.{job.kind}")
            if record.get(DESCRIBED_AS) not in job.others
        ]
        history = tuple(one for one in reading.backups if one.manifest.labels.get(JOB_LABEL) not in job.others)
        newest = history[-1] if history else None
        runs = running.get(f"{job.service}/{job.source}/{job.kind}")
        statuses.append(
            JobStatus(
                job=job,
                newest=newest,
                wanted=_wanted(job, newest, state),
                backups=len(history),
                last_run=records[-1] if records else None,
                running=runs,
                due=_due(job, history, runs, now=now) if now is not None else None,
                history=history,
            )
        )
    return Status(jobs=tuple(statuses), problems=tuple(problems.values()))


def _due(
    job: JobToLookAt, history: t.Sequence[Backup], running: t.Mapping[str, t.Any] | None, *, now: datetime.datetime
) -> Due | None:
    return due_of(
        job.cron,
        now=now,
        success=history[-1].manifest.started if history else None,
        running=parse_time(str(running["since"])) if running and running.get("since") else None,
        known_since=job.known_since,
        longest_run=max((one.manifest.seconds for one in history[-_RUNS:]), default=0.0),
    )


def _reading(job: JobToLookAt, storages: t.Mapping[str, Storage], known: Reading | None) -> Reading:
    """What the job's own repositories hold of its series."""
    if known is None:
        asked = {name: storage for name, storage in storages.items() if name in job.repositories}
        return read_catalog(asked, selection=Selection(service=job.service, source=job.source, kind=job.kind))
    return Reading(
        backups=tuple(_in_repositories(known.backups, job)),
        problems=tuple(one for one in known.problems if one.details.get("repository") in job.repositories),
    )


def _in_repositories(backups: t.Sequence[Backup], job: JobToLookAt) -> t.Iterator[Backup]:
    for backup in backups:
        copies = {name: state for name, state in backup.repositories.items() if name in job.repositories}
        if backup.manifest.kind == job.kind and copies:
            missing = tuple(name for name in backup.missing if name in job.repositories)
            yield replace(backup, repositories=copies, missing=missing)


def _wanted(job: JobToLookAt, newest: Backup | None, state: StateDirectory) -> str | None:
    wish = wanted_backup(state, service=job.service, source=job.source)
    if wish is None or job.kind not in FULL_KINDS.values():
        return None
    return None if newest is not None and newest.manifest.started > wish.since else wish.reason
