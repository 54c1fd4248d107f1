# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving backups, start to end: which ones are asked for, each through the levels, a document for each."""

from __future__ import annotations

import random
from dataclasses import replace

from ..catalog.catalog import Backup, Reading, find_backup, read_catalog
from ..catalog.layout import Series
from ..catalog.verification import Verification, in_order
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.journal import RecordingJournal
from ..core.progress import ProgressSink
from ..core.state import SourceLock, StateDirectory
from .choosing import Sources, require_one_readable
from .verify_run import VerificationRun
from .verify_values import DUE, SAMPLE, UNVERIFIED, Outcome, VerifyRequest, VerifyResult


def plan_verifications(request: VerifyRequest, *, host: Host) -> tuple[Backup, ...]:
    """The backups that would be verified, oldest first. Changes nothing."""
    sources = Sources.open(request.repositories, host=host, identity=request.identity)
    reading = _read(sources, request)
    for problem in reading.problems:
        host.journal.warning(str(problem))
    return _chosen(reading, request)


def run_verifications(request: VerifyRequest, *, host: Host, show: ProgressSink | None = None) -> VerifyResult:
    """Verify one backup after the other; one that fails does not stop the next. Nothing is ever deleted.

    Raises LockHeld when another verification of the same source runs on this host, and StorageAllFailed.
    """
    sources = Sources.open(request.repositories, host=host, identity=request.identity)
    reading = _read(sources, request)
    outcomes = []
    for backup in _chosen(reading, request):
        journal = RecordingJournal(target=host.journal)
        run_host = Host(clock=host.clock, runner=host.runner, journal=journal, name=host.name)
        manifest = backup.manifest
        lock = SourceLock(
            state=StateDirectory(path=request.state_directory),
            name=f"verify.{manifest.service}.{manifest.source}",
            clock=host.clock,
        )
        lock.acquire(
            holder={"job": f"verify {manifest.service}/{manifest.source}/{manifest.kind}", "id": manifest.backup_id},
            timeout=request.lock_timeout,
        )
        try:
            run = VerificationRun(
                backup=backup,
                request=request,
                sources=Sources(storages=sources.storages, host=run_host, identity=sources.identity),
                previous=_previous(reading, backup),
                lock=lock,
                show=show,
            )
            outcomes.append(Outcome(backup=backup, verification=run.run()))
        except LifeboatError as error:
            host.journal.warning(f"{manifest.backup_id} could not be verified: {error.message}")
            outcomes.append(Outcome(backup=backup, verification=None, error=error))
        finally:
            lock.release()
    return VerifyResult(outcomes=tuple(outcomes), problems=reading.problems)


def _read(sources: Sources, request: VerifyRequest) -> Reading:
    # The others of the series are what an answer is compared with, and what says whether this one is due.
    selection = replace(request.selection, backup_id=None, newest=None, before=None, state=None)
    reading = read_catalog(sources.storages, selection=selection)
    require_one_readable(reading, sources.storages)
    return reading


def _chosen(reading: Reading, request: VerifyRequest) -> tuple[Backup, ...]:
    if request.selection.backup_id is not None:
        return (find_backup(reading, request.selection.backup_id),)
    by_series: dict[Series, list[Backup]] = {}
    for backup in reading.backups:
        if request.selection.takes_id(backup.manifest.backup_id):
            by_series.setdefault(backup.manifest.folder.series, []).append(backup)
    chosen: list[Backup] = []
    for backups in by_series.values():
        if request.which == UNVERIFIED:
            chosen += [backup for backup in backups if not _has_passed(backup, request)]
        elif request.which == SAMPLE:
            chosen += random.sample(backups, min(request.count, len(backups)))
        elif request.which == DUE:
            chosen += [backup for backup in backups[-request.count :] if not _has_passed(backup, request)]
        else:
            chosen += backups[-request.count :]
    return tuple(sorted(chosen, key=lambda backup: (backup.manifest.started, backup.manifest.backup_id)))


def _has_passed(backup: Backup, request: VerifyRequest) -> bool:
    return any(
        one.passed
        and one.reached >= request.proof.level
        and (request.which != DUE or request.since is None or one.finished >= request.since)
        for one in backup.verifications
    )


def _previous(reading: Reading, backup: Backup) -> tuple[Verification, ...]:
    """The passed verifications of earlier backups of the series, newest first."""
    earlier = [
        one
        for other in reading.backups
        if other.manifest.folder.series == backup.manifest.folder.series
        and other.manifest.started < backup.manifest.started
        for one in other.verifications
        if one.passed
    ]
    return tuple(sorted(earlier, key=in_order, reverse=True))
