# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the description, and from the options of ``s3_retention``, to what retention is asked to do."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.layout import Series
from ..core.description.duration import parse_duration
from ..core.description.keep import KeepPolicy, keep_policy_from
from ..core.description.model import Job
from ..core.description.schedule import parse_schedule
from ..core.errors import RequestInvalid
from ..postgresql.walg_options import walg_place
from ..retention.values import Limits
from .catalog_requests import repository_requests
from .prune_values import SWEEP_AGE, JobPolicy, PruneRequest


def policies_of(jobs: t.Iterable[Job]) -> tuple[JobPolicy, ...]:
    """The policies of jobs that this version makes or stores, one for each repository that is a place for a catalog."""
    return tuple(
        JobPolicy(
            repository=use.name,
            series=Series(service=job.service, source=job.source, kind=job.kind),
            engine=job.engine,
            job=job.id,
            keep=use.keep,
            timezone=job.timezone,
            schedule=job.schedule,
            objective=_objective(job, use.keep),
            walg=walg_place(job.options.get("walg")),
        )
        for job in jobs
        for use in job.repositories
        if not use.is_version_control
    )


def request_from_options(options: t.Mapping[str, t.Any]) -> PruneRequest:
    """From the options of ``s3_retention``. Raises RequestInvalid and its kin before anything is touched."""
    limits = {name: value for name, value in (options.get("limits") or {}).items() if value is not None}
    return PruneRequest(
        repositories=repository_requests(options["repositories"]),
        policies=tuple(policy_from(entry) for entry in options["policies"]),
        prune=tuple(options.get("prune") or ()),
        limits=Limits(**limits),
        allow=frozenset(options.get("allow") or ()),
        versions=options.get("versions", "current"),
        sweep_age=parse_duration(options["sweep_age"]) if options.get("sweep_age") else SWEEP_AGE,
        price_table=options.get("price_table"),
        state_directory=options["state_directory"],
    )


def policy_from(entry: t.Mapping[str, t.Any]) -> JobPolicy:
    """One policy as the modules are given it. Raises RequestInvalid and its kin."""
    given = {name: value for name, value in entry.items() if value is not None}
    series = Series(service=given["service"], source=given["source"], kind=given["kind"])
    keep = given.get("keep")
    if not isinstance(keep, dict):
        raise RequestInvalid(
            f"The policy of {series.folder.rstrip('/')} does not say what to keep.", hint="Add keep: {within: 30d}."
        )
    timezone = given.get("timezone", "UTC")
    schedule = given.get("schedule")
    return JobPolicy(
        repository=given["repository"],
        series=series,
        engine=given["engine"],
        job=given.get("job") or series.folder.rstrip("/"),
        keep=keep_policy_from({name: value for name, value in keep.items() if value is not None}),
        timezone=timezone,
        schedule=parse_schedule(schedule, timezone=timezone) if schedule else None,
        objective=parse_duration(given["window"]) if given.get("window") else None,
        walg=walg_place(given.get("walg")),
    )


def _objective(job: Job, keep: KeepPolicy) -> datetime.timedelta | None:
    """It is for the repository that keeps the stream longest: others may let go what that one holds."""
    longest = job.longest_kept
    return job.objectives.window if keep.forever or longest is None or keep.within == longest else None
