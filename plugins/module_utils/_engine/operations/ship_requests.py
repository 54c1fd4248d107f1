# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a stream job of the description to a request to ship it."""

from __future__ import annotations

import datetime
import os
import typing as t

from ..catalog.layout import Series
from ..core.description.duration import parse_duration
from ..core.description.kinds import STREAMED_KINDS
from ..core.description.model import Job
from ..core.description.objectives import longest_wait
from ..core.errors import KindNotRunnable
from ..pipeline.transforms import transforms_from
from .backup_values import RepositoryRequest
from .ship_values import MIB, ShipRequest
from .stream_sources.registry import STREAM_KINDS

#: Options of a stream job that shipping reads itself; the others are for the database's room.
SHIPPING_OPTIONS = ("spool_directory", "spool_budget_mib", "required_copies", "alarm_age")
_SERVERS_SPOOLS = "/var/spool/lifeboat"
_DEFAULT_BUDGET_MIB = 8192


def is_stream(job: Job) -> bool:
    """Whether the job is shipped, and not backed up."""
    return job.kind in STREAMED_KINDS.get(job.engine, ())


def can_ship(job: Job) -> bool:
    """Whether the job is a stream that this version ships."""
    return is_stream(job) and (job.engine, job.kind) in STREAM_KINDS


def shipping_jobs(jobs: t.Iterable[Job]) -> list[Job]:
    """Of each stream among *jobs* the one that ships it, which is the most frequent: others only keep it longer."""
    chosen: dict[Series, Job] = {}
    for job in jobs:
        if is_stream(job):
            series = Series(service=job.service, source=job.source, kind=job.kind)
            other = chosen.get(series)
            if other is None or _wait_of(job) < _wait_of(other):
                chosen[series] = job
    return list(chosen.values())


def _wait_of(job: Job) -> datetime.timedelta:
    wait = longest_wait(job)
    return datetime.timedelta.max if wait is None else wait


def ship_request(job: Job, *, lock_timeout: float = 0.0) -> ShipRequest:
    """What shipping *job* now means.

    Raises KindNotRunnable for jobs that are no streams or that this version can't ship, RequestInvalid for others.
    """
    kind = STREAM_KINDS.get((job.engine, job.kind))
    if not is_stream(job):
        raise KindNotRunnable(
            f"{job.id} is no stream: {job.engine} {job.kind} is backed up at its times.",
            hint=f"Run: lifeboat backup {job.id}",
            details={"job": job.id, "engine": job.engine, "kind": job.kind},
        )
    if kind is None:
        raise KindNotRunnable(
            f"{job.id} is a stream of the kind {job.engine} {job.kind}, which this version can't ship yet.",
            hint="Select other jobs, or upgrade Lifeboat.",
            details={"job": job.id, "engine": job.engine, "kind": job.kind},
        )
    options: dict[str, t.Any] = dict(job.options)
    shipping = {key: options.pop(key, None) for key in SHIPPING_OPTIONS}
    copies = shipping["required_copies"]
    age = shipping["alarm_age"]
    given: dict[str, t.Any] = {} if age is None else {"alarm_age": parse_duration(age)}
    return ShipRequest(
        series=Series(service=job.service, source=job.source, kind=job.kind),
        engine=job.engine,
        kind=kind,
        repositories=tuple(RepositoryRequest(name=use.name, description=use.written) for use in job.repositories),
        spool_directory=spool_of(job, filled_by_server=kind.filled_by_server),
        spool_budget=int(shipping["spool_budget_mib"] or _DEFAULT_BUDGET_MIB) * MIB,
        required_copies=None if copies is None else int(copies),
        connection=job.connection,
        options=options,
        transforms=transforms_from(compression=job.compression, encryption=job.encryption),
        state_directory=job.state_directory,
        lock_timeout=lock_timeout,
        **given,
    )


def spool_of(job: Job, *, filled_by_server: bool) -> str:
    """Where segments wait on the host; nothing of the host is looked at for it."""
    return str(job.options.get("spool_directory") or default_spool(job, filled_by_server=filled_by_server))


def default_spool(job: Job, *, filled_by_server: bool) -> str:
    """Where segments wait when the description does not say: where the one who fills the spool may write."""
    name = f"{job.service}.{job.source}.{job.kind}"
    return os.path.join(_SERVERS_SPOOLS if filled_by_server else os.path.join(job.state_directory, "spool"), name)
