# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is allowed and yet probably not meant."""

from __future__ import annotations

import datetime
import re
import typing as t

from .duration import describe_duration
from .model import Job, Json, Service, Source

_SECRETS = ("password", "token")
_SECRET_IN_ADDRESS = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def description_warnings(
    *, repositories: Json, services: t.Sequence[Service], raw_services: t.Sequence[Json]
) -> t.Iterator[str]:
    """One text for each thing that an operator should look at; none quotes a secret."""
    for name, repository in repositories.items():
        yield from _secrets(repository, f"repository {name}")
    for raw in raw_services:
        yield from _secrets(raw, str(raw["name"]))
    for service in services:
        for source in service.sources:
            yield from _objectives(service, source)
            for job in source.jobs:
                yield from _keep(job)


def _secrets(value: t.Any, place: str) -> t.Iterator[str]:
    """Secrets by value anywhere in *value*; *place* names where, in the words of ids."""
    if isinstance(value, list):
        for item in value:
            label = item.get("name") if isinstance(item, dict) else None
            yield from _secrets(item, f"{place}/{label}" if label else place)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _SECRETS and isinstance(item, str):
                yield f"{place}: {key} is given by value; {key}_file, {key}_env or {key}_command would hide it."
            elif isinstance(item, str) and _SECRET_IN_ADDRESS.search(item):
                yield f"{place}: {key} has a password in it by value; put it into a file (uri_file, password_file ...)."
            else:
                yield from _secrets(item, place)


def _objectives(service: Service, source: Source) -> t.Iterator[str]:
    place = f"{service.name}/{source.name}"
    rpo = source.objectives.rpo
    waits = [(longest_wait(job), job) for job in source.jobs]
    known = [(wait, job) for wait, job in waits if wait is not None]
    if rpo is not None and source.jobs and not known:
        yield f"{place}: nothing is scheduled, so an rpo of {describe_duration(rpo)} can't be met."
    elif rpo is not None and known:
        shortest, best = min(known, key=lambda pair: pair[0])
        if shortest > rpo:
            yield (
                f"{place}: an rpo of {describe_duration(rpo)} can't be met: the most frequent backup "
                f"({best.id.rpartition('/')[2]}) runs {best.describe_schedule()}, "
                f"up to {describe_duration(shortest)} apart."
            )
    for wait, job in known:
        own = job.objectives.rpo
        if own is not None and own != rpo and wait > own:
            yield (
                f"{job.id}: an rpo of {describe_duration(own)} can't be met: it runs {job.describe_schedule()}, "
                f"up to {describe_duration(wait)} apart."
            )


def longest_wait(job: Job) -> datetime.timedelta | None:
    """The longest time between two runs: zero for what runs on events or continuously, None when nothing starts it."""
    if job.triggers:
        return datetime.timedelta(0)
    return None if job.schedule is None else job.schedule.longest_gap()


def _keep(job: Job) -> t.Iterator[str]:
    if job.schedule is None:
        return
    gap = job.schedule.longest_gap()
    for repository in job.repositories:
        keep = repository.keep
        if keep.within is not None and keep.within < gap and set(keep.as_dict()) <= {"within", "minimum_verified"}:
            yield (
                f"{job.id}: {repository.name} keeps backups for {describe_duration(keep.within)}, but they are up to "
                f"{describe_duration(gap)} apart: only minimum_verified ({keep.minimum_verified}) holds the last one."
            )
