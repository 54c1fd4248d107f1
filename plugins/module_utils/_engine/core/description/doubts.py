# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is allowed and yet probably not meant."""

from __future__ import annotations

import re
import typing as t

from ..levels import RESTORED
from .duration import describe_duration
from .kinds import SET_KIND, STREAM_ALIASES, STREAM_BASES, STREAMED_KINDS
from .model import Job, Json, Service, Source
from .objectives import unmet_objectives
from .set_members import UNASKED

_SECRETS = ("password", "token")
_SECRET_IN_ADDRESS = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def description_warnings(
    *, repositories: Json, services: t.Sequence[Service], raw_services: t.Sequence[Json], makes_backups: bool = True
) -> t.Iterator[str]:
    """One text for each thing that an operator should look at; none quotes a secret."""
    for name, repository in repositories.items():
        yield from secrets_by_value(repository, f"repository {name}")
    for raw in raw_services:
        yield from secrets_by_value(raw, str(raw["name"]))
    yield from (str(unmet) for unmet in unmet_objectives(services))
    for service in services:
        for source in service.sources:
            if makes_backups:
                yield from _without_base(source)
            yield from _windows(source)
            yield from _sets(source)
            yield from _never_verified(source)
            for job in source.jobs:
                yield from _keep(job)


def secrets_by_value(value: t.Any, place: str) -> t.Iterator[str]:
    """Secrets by value anywhere in *value*; *place* names where, in the words of ids."""
    if isinstance(value, list):
        for item in value:
            label = item.get("name") if isinstance(item, dict) else None
            yield from secrets_by_value(item, f"{place}/{label}" if label else place)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _SECRETS and isinstance(item, str):
                yield f"{place}: {key} is given by value; {key}_file, {key}_env or {key}_command would hide it."
            elif key == "apprise" and isinstance(item, dict) and "url" in item:
                yield f"{place}: apprise has its addresses by value; url_file, url_env or url_command would hide them."
            elif isinstance(item, str) and _SECRET_IN_ADDRESS.search(item):
                yield f"{place}: {key} has a password in it by value; put it into a file (uri_file, password_file ...)."
            else:
                yield from secrets_by_value(item, place)


def _without_base(source: Source) -> t.Iterator[str]:
    streamed = STREAMED_KINDS.get(source.engine, ())
    kinds = {job.kind for job in source.jobs}
    for job in source.jobs:
        base = STREAM_BASES.get(job.kind) if job.kind in streamed else None
        if base is not None and base not in kinds:
            yield (
                f"{job.id}: it is restored behind a backup of the kind {base}, and this source makes none: add "
                f"{{kind: {base}, ...}} to its backups."
            )


def _windows(source: Source) -> t.Iterator[str]:
    streamed = STREAMED_KINDS.get(source.engine, ())
    for job in source.jobs:
        window = job.objectives.window
        # Several jobs of a stream keep it together.
        kept = [one.longest_kept for one in source.jobs if one.kind == job.kind]
        longest = None if None in kept else max(one for one in kept if one is not None)
        if job.kind in streamed and window is not None and longest is not None and longest < window:
            yield (
                f"{job.id}: any moment of the last {describe_duration(window)} is to be recoverable, but it is kept "
                f"for {describe_duration(longest)} at most, so retention will refuse to remove any of it."
            )


def _sets(source: Source) -> t.Iterator[str]:
    for job in source.jobs:
        if job.kind != SET_KIND or job.engine != "files":
            continue
        if not job.members:
            yield f"{job.id}: no job of {job.service} can be a part of this set, so it can't be made."
        for line in job.left_out:
            if line.endswith(UNASKED):
                yield f"{job.id}: not a part of the set: {line}."


def _never_verified(source: Source) -> t.Iterator[str]:
    """What retention waits for in vain: proofs from level 3 on, where the description asks for lower ones only."""
    level = source.verify.get("level", RESTORED)
    if level >= RESTORED:
        return
    # Streams are not verified by themselves.
    streamed = (*STREAMED_KINDS.get(source.engine, ()), *STREAM_ALIASES.get(source.engine, ()))
    for job in source.jobs:
        removing = [one for one in job.repositories if not (one.is_version_control or one.keep.forever)]
        waiting = [one.name for one in removing if one.keep.minimum_verified]
        if waiting and job.kind not in streamed:
            yield (
                f"{job.id}: verify goes to level {level}, and retention counts backups as verified from level "
                f"{RESTORED} on, so nothing will ever be removed from {', '.join(waiting)}: set verify: level to "
                f"{RESTORED} or 4, or keep: minimum_verified to 0."
            )


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
