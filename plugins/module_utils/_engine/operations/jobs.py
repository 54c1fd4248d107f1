# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job of the description to a backup request."""

from __future__ import annotations

from ..catalog.layout import Series
from ..core.description.model import Job
from ..core.errors import KindNotRunnable
from ..pipeline.transforms import transforms_from
from ..recovery.questions import question_from
from .backup_values import BackupRequest, RepositoryRequest
from .kinds import KINDS


def backup_request(job: Job, *, lock_timeout: float = 0.0) -> BackupRequest:
    """What running *job* now means.

    Raises KindNotRunnable for kinds that this version only reads and shows, and RequestInvalid for options that the
    engine's room does not know.
    """
    kind = KINDS.get((job.engine, job.kind))
    if kind is None:
        runnable = ", ".join(f"{engine} {name}" for engine, name in KINDS)
        raise KindNotRunnable(
            f"{job.id} is a {job.engine} backup of the kind {job.kind}, which this version can't make yet.",
            hint=f"This version makes: {runnable}. Select other jobs, or upgrade Lifeboat.",
            details={"job": job.id, "engine": job.engine, "kind": job.kind},
        )
    return BackupRequest(
        series=Series(service=job.service, source=job.source, kind=job.kind),
        engine=job.engine,
        repositories=tuple(RepositoryRequest(name=use.name, description=use.description) for use in job.repositories),
        make_producer=kind.factory({**job.options, "connection": job.connection}),
        transforms=transforms_from(compression=job.compression, encryption=job.encryption),
        state_directory=job.state_directory,
        lock_timeout=lock_timeout,
        parent_kinds=kind.parent_kinds,
        # Two jobs of one kind share a folder; retention tells their backups apart by this.
        labels={"job": job.id},
        connection=job.connection,
        questions=tuple(question_from(question) for question in job.questions),
    )
