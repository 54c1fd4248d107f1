# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the description to requests for restores and verifications."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Selection
from ..catalog.layout import Series
from ..core.description.description import Description
from ..core.description.model import Job, Source
from ..core.errors import RequestInvalid
from ..core.options import refuse_unknown
from ..core.secrets import Secret, secret_from
from ..postgresql.walg_options import walg_place
from .backup_values import RepositoryRequest
from .verify_values import Proof, proof_from

_MIB = 1024 * 1024


def repositories_of(description: Description, *, only: str | None = None) -> tuple[RepositoryRequest, ...]:
    """All repositories that hold backups, or one of them. Raises RequestInvalid for a name that there is not."""
    names = [repository.name for repository in description.repositories]
    if only is not None and only not in names:
        raise RequestInvalid(f"There is no repository {only}.", hint=f"Repositories: {', '.join(names)}.")
    return tuple(
        RepositoryRequest(name=repository.name, description=repository.description)
        for repository in description.repositories
        # Version control holds configuration and code; it is no place for a catalog.
        if not repository.is_version_control and only in (None, repository.name)
    )


def identity_from(decryption: t.Mapping[str, t.Any] | None) -> Secret:
    """The private key from ``identity_file``, ``identity_env`` or ``identity_command``. Raises RequestInvalid."""
    given = decryption or {}
    refuse_unknown(given, known=("identity_file", "identity_env", "identity_command"), of="decryption")
    return secret_from(given, "identity")


def source_of(description: Description, service: str, source: str) -> Source:
    """The source of that name. Raises RequestInvalid with those that there are."""
    there = [(one.name, each) for one in description.services for each in one.sources]
    for name, each in there:
        if (name, each.name) == (service, source):
            return each
    raise RequestInvalid(
        f"The description has no source {service}/{source}.",
        hint=f"Sources: {', '.join(f'{name}/{each.name}' for name, each in there) or 'none'}.",
    )


def recovery_objectives(description: Description) -> t.Callable[[Series], datetime.timedelta | None]:
    """The recovery time objective of each series: the tightest of its jobs, else that of its source."""
    by_series: dict[tuple[str, str, str], datetime.timedelta] = {}
    by_source: dict[tuple[str, str], datetime.timedelta | None] = {}
    for service in description.services:
        for source in service.sources:
            by_source[(service.name, source.name)] = source.objectives.rto
            for job in source.jobs:
                key, rto = (job.service, job.source, job.kind), job.objectives.rto
                if rto is not None:
                    by_series[key] = min(rto, by_series.get(key, rto))

    def objective(series: Series) -> datetime.timedelta | None:
        key = (series.service, series.source, series.kind)
        return by_series.get(key) or by_source.get((series.service, series.source))

    return objective


def proof_of(source: Source, *, level: int | None) -> Proof:
    """What the source's ``verify`` asks for; *level* instead of its own. Level 4 where it says nothing."""
    return proof_from(source.verify, level=level, options={source.engine: source.verify.get("options") or {}})


def last_due(source: Source, *, default_timezone: str, now: datetime.datetime) -> datetime.datetime | None:
    """The newest time at which the source's verification was due; None where it has no schedule."""
    from ..core.description.schedule import parse_schedule

    expression = source.verify.get("schedule")
    if not expression:
        return None
    schedule = parse_schedule(expression, timezone=source.verify.get("timezone", default_timezone))
    return schedule.previous_run(now)


def selection_of(job_path: str, *, backup_id: str | None = None, before: datetime.datetime | None = None) -> Selection:
    """The selection of ``service/source`` or ``service/source/kind``. Raises RequestInvalid for anything else."""
    parts = job_path.strip("/").split("/")
    if not 2 <= len(parts) <= 3:
        raise RequestInvalid(
            f"{job_path!r} names no source and no backup.",
            hint="Write SERVICE/SOURCE, or SERVICE/SOURCE/KIND of a backup, as lifeboat list shows them. "
            "A whole service comes back by a label only: lifeboat label SERVICE --list",
        )
    return Selection(
        service=parts[0],
        source=parts[1],
        kind=parts[2] if len(parts) == 3 else None,
        backup_id=backup_id,
        before=before,
    )


def kinds_of(jobs: t.Iterable[Job]) -> tuple[str, ...]:
    """The kinds of backups that the jobs make."""
    return tuple(dict.fromkeys(job.kind for job in jobs))


def memory_limit(mebibytes: int) -> int:
    """In bytes."""
    return mebibytes * _MIB


def with_vendor_options(source: Source, given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of a restore *given*, and beside them what the source's jobs say of where a vendor's tool is."""
    places = (walg_place(job.options.get("walg")) for job in source.jobs)
    place: t.Mapping[str, t.Any] = next((one for one in places if one), {})
    own = given.get("walg") or {}
    return {**given, "walg": {**place, **own}} if place and isinstance(own, t.Mapping) else dict(given)
