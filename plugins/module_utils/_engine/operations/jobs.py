# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job of the description to a backup request."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..catalog.layout import Series
from ..catalog.set_members import SET_ENGINE
from ..core.description.kinds import SET_KIND, STREAMED_KINDS
from ..core.description.model import Job, RepositoryUse
from ..core.errors import KindNotRunnable, RequestInvalid
from ..pipeline.transforms import transforms_from
from ..recovery.questions import question_from
from ..retention.rules import JOB_LABEL
from .backup_values import ON_CHANGE, ON_DEPLOYMENT, BackupRequest, RepositoryRequest, SetRequest
from .kinds import KINDS
from .set_options import set_options_from


def backup_request(
    job: Job,
    *,
    lock_timeout: float = 0.0,
    labels: t.Mapping[str, str] | None = None,
    trigger: str | None = None,
    whole: bool = False,
) -> BackupRequest:
    """What running *job* now means; *labels* are noted in the manifest beside the job's own.

    With the *trigger* ``change`` nothing is made when nothing has changed; with ``deployment`` neither, where that can
    be told. With *whole* it builds on no earlier backup.

    Raises KindNotRunnable for kinds that this version only reads and shows, and RequestInvalid for options that the
    engine's room does not know.
    """
    request = _request(job, job.repositories, labels=labels, lock_timeout=lock_timeout, trigger=trigger, whole=whole)
    if (job.engine, job.kind) != (SET_ENGINE, SET_KIND):
        return request
    return replace(request, set_of=SetRequest(members=_members(job, request), left_out=job.left_out))


def _members(system: Job, request: BackupRequest) -> tuple[BackupRequest, ...]:
    """The backups of a set: each as its own job makes it, but for the set, to its repositories and for its readers."""
    wait = set_options_from(system.options).wait
    members = []
    for job in system.members:
        # A set builds on nothing outside of it.
        member = _request(job, system.repositories, labels=request.labels, lock_timeout=wait, trigger=None, whole=True)
        transforms = transforms_from(compression=job.compression, encryption=system.encryption)
        members.append(replace(member, transforms=transforms, labels=dict(request.labels)))
    return tuple(members)


def _request(
    job: Job,
    repositories: t.Sequence[RepositoryUse],
    *,
    labels: t.Mapping[str, str] | None,
    lock_timeout: float,
    trigger: str | None,
    whole: bool,
) -> BackupRequest:
    if job.kind in STREAMED_KINDS.get(job.engine, ()):
        raise KindNotRunnable(
            f"{job.id} is a stream, which has no end at which a backup could be made.",
            hint=f"Run: lifeboat ship {job.id}",
            details={"job": job.id, "engine": job.engine, "kind": job.kind},
        )
    kind = KINDS.get((job.engine, job.kind))
    if kind is None:
        runnable = ", ".join(f"{engine} {name}" for engine, name in KINDS)
        raise KindNotRunnable(
            f"{job.id} is a {job.engine} backup of the kind {job.kind}, which this version can't make yet.",
            hint=f"This version makes: {runnable}. Select other jobs, or upgrade Lifeboat.",
            details={"job": job.id, "engine": job.engine, "kind": job.kind},
        )
    if trigger == ON_CHANGE and not kind.tells_changes:
        raise RequestInvalid(
            f"{job.id}: backups of the kind {job.engine} {job.kind} can't tell whether anything has changed.",
            hint=f"Leave the trigger out: lifeboat backup {job.id}",
        )
    if whole and kind.parent_kinds not in ((), (job.kind,)):
        raise RequestInvalid(
            f"{job.id}: backups of the kind {job.engine} {job.kind} always build on another one.",
            hint=f"Run a job of one of the kinds {', '.join(kind.parent_kinds)} instead.",
        )
    uses = [use for use in repositories if not use.is_version_control]
    if not uses:
        raise RequestInvalid(
            f"{job.id} goes to version control only, which this version doesn't write to.",
            hint="Name a repository of the type file or s3 as well.",
        )
    return BackupRequest(
        series=Series(service=job.service, source=job.source, kind=job.kind),
        engine=job.engine,
        repositories=tuple(RepositoryRequest(name=use.name, description=use.written) for use in uses),
        make_producer=kind.factory({**job.options, "connection": job.connection}),
        transforms=transforms_from(compression=job.compression, encryption=job.encryption),
        state_directory=job.state_directory,
        lock_timeout=lock_timeout,
        parent_kinds=kind.parent_kinds,
        whole=whole,
        # Two jobs of one kind share a folder; retention tells their backups apart by this.
        labels={**(labels or {}), JOB_LABEL: job.id},
        connection=job.connection,
        questions=tuple(question_from(question) for question in job.questions),
        only_if_changed=trigger == ON_CHANGE or (trigger == ON_DEPLOYMENT and kind.tells_changes),
        asking=kind.asking,
    )
