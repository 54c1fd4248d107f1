# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job of the description to a backup request."""

from __future__ import annotations

import typing as t

from ..catalog.layout import Series
from ..core.description.kinds import STREAMED_KINDS
from ..core.description.model import Job
from ..core.errors import KindNotRunnable, RequestInvalid
from ..pipeline.transforms import transforms_from
from ..recovery.questions import question_from
from ..retention.rules import JOB_LABEL
from .backup_values import ON_CHANGE, ON_DEPLOYMENT, BackupRequest, RepositoryRequest
from .kinds import KINDS


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
    uses = [use for use in job.repositories if not use.is_version_control]
    if not uses:
        raise RequestInvalid(
            f"{job.id} goes to version control only, which this version doesn't write to.",
            hint="Name a repository of the type file or s3 as well.",
        )
    return BackupRequest(
        series=Series(service=job.service, source=job.source, kind=job.kind),
        engine=job.engine,
        repositories=tuple(RepositoryRequest(name=use.name, description=use.description) for use in uses),
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
