# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving backups, start to end: which ones are asked for, each through the levels, a document for each."""

from __future__ import annotations

import contextlib
import random
import typing as t
from dataclasses import replace

from ..catalog.catalog import Backup, Reading, Selection, find_backup, read_catalog
from ..catalog.layout import Series
from ..catalog.set_members import is_set, members_of
from ..catalog.verification import Verification, in_order
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.journal import RecordingJournal
from ..core.progress import ProgressSink
from ..core.state import SourceLock, StateDirectory
from .choosing import Sources, require_one_readable
from .verify_sets import MemberProof, SetVerificationRun
from .verify_values import DUE, SAMPLE, UNVERIFIED, Outcome, VerifyRequest, VerifyResult


def plan_verifications(request: VerifyRequest, *, host: Host) -> tuple[Backup, ...]:
    """The backups that would be verified, oldest first. Changes nothing."""
    sources = Sources.open(request.repositories, host=host, identity=request.identity)
    reading = _read(sources, request)
    for problem in reading.problems:
        host.journal.warning(str(problem))
    return _chosen(reading, request)


def run_verifications(
    request: VerifyRequest, *, host: Host, show: ProgressSink | None = None, earlier: t.Sequence[Outcome] = ()
) -> VerifyResult:
    """Verify one backup after the other; one that fails does not stop the next. Nothing is ever deleted.

    *earlier* is what was proved in the same go: a set takes the proofs of its members from there.

    Raises LockHeld when another verification of the same source runs on this host, and StorageAllFailed.
    """
    sources = Sources.open(request.repositories, host=host, identity=request.identity)
    reading = _read(sources, request)
    outcomes: list[Outcome] = []
    for backup in _chosen(reading, request):
        if is_set(backup.manifest):
            proved = [*earlier, *outcomes]
            outcomes += _verify_set(backup, request, sources=sources, host=host, show=show, earlier=proved)
        else:
            previous = _previous(reading, backup, outcomes)
            outcomes.append(_verify_one(backup, request, sources=sources, previous=previous, host=host, show=show))
    return VerifyResult(outcomes=tuple(outcomes), problems=reading.problems)


def _verify_set(
    backup: Backup,
    request: VerifyRequest,
    *,
    sources: Sources,
    host: Host,
    show: ProgressSink | None,
    earlier: t.Sequence[Outcome],
) -> list[Outcome]:
    """The outcomes of the members that were not proved *earlier*, and last that of the set."""
    level = request.proof.level
    outcomes: list[Outcome] = []
    proofs: list[MemberProof] = []
    try:
        members = members_of(backup.manifest)
    except LifeboatError as error:
        return [Outcome(backup=backup, verification=None, error=error)]
    for member in members:
        series = member.folder.series
        selection = Selection(service=series.service, source=series.source, kind=series.kind)
        reading = read_catalog(sources.storages, selection=selection)
        found = next((one for one in reading.backups if one.manifest.folder == member.folder), None)
        if found is None:
            if reading.problems:
                return [*outcomes, Outcome(backup=backup, verification=None, error=reading.problems[0])]
            proofs.append(MemberProof(member=member, backup=None, verification=None))
            continue
        asked = replace(request, proof=replace(request.proofs.get(series.source, request.proof), level=level))
        known = next((one.verification for one in earlier if _stands_for(one, found, level=level)), None)
        if known is not None:
            proofs.append(MemberProof(member=member, backup=found, verification=known))
            continue
        outcome = _verify_member(found, asked, sources=sources, reading=reading, host=host, show=show)
        if outcome.error is not None:
            return [*outcomes, outcome, Outcome(backup=backup, verification=None, error=outcome.error)]
        outcomes.append(outcome)
        proofs.append(MemberProof(member=member, backup=found, verification=outcome.verification))
    with _running(backup, request, sources=sources, previous=(), host=host, show=show) as run:
        return [*outcomes, _outcome(backup, lambda: run.run_with(proofs), host=host)]


def _stands_for(earlier: Outcome, member: Backup, *, level: int) -> bool:
    """Whether it says of every copy of *member* what a proof at *level* would say."""
    found = earlier.verification
    if found is None or earlier.backup.manifest.folder != member.manifest.folder:
        return False
    is_enough = found.level == level or (found.passed and found.reached >= level)
    return is_enough and set(member.repositories) <= set(found.copies)


def _verify_member(
    backup: Backup,
    request: VerifyRequest,
    *,
    sources: Sources,
    reading: Reading,
    host: Host,
    show: ProgressSink | None,
) -> Outcome:
    """What is due or unverified is not proved twice."""
    if request.which in (DUE, UNVERIFIED):
        passed = [one for one in backup.verifications if _counts(one, request)]
        if passed and set(backup.repositories) <= set(passed[-1].copies):
            return Outcome(backup=backup, verification=passed[-1])
    previous = _previous(reading, backup)
    return _verify_one(backup, request, sources=sources, previous=previous, host=host, show=show)


def _verify_one(
    backup: Backup,
    request: VerifyRequest,
    *,
    sources: Sources,
    previous: tuple[Verification, ...],
    host: Host,
    show: ProgressSink | None,
) -> Outcome:
    with _running(backup, request, sources=sources, previous=previous, host=host, show=show) as run:
        return _outcome(backup, run.run, host=host)


def _outcome(backup: Backup, verify: t.Callable[[], Verification], *, host: Host) -> Outcome:
    """What *verify* finds, or why nobody could tell."""
    try:
        return Outcome(backup=backup, verification=verify())
    except LifeboatError as error:
        host.journal.warning(f"{backup.manifest.backup_id} could not be verified: {error.message}")
        return Outcome(backup=backup, verification=None, error=error)


@contextlib.contextmanager
def _running(
    backup: Backup,
    request: VerifyRequest,
    *,
    sources: Sources,
    previous: tuple[Verification, ...],
    host: Host,
    show: ProgressSink | None,
) -> t.Iterator[SetVerificationRun]:
    """The run, under the lock of its source. Raises LockHeld."""
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
        yield SetVerificationRun(
            backup=backup,
            request=request,
            sources=Sources(storages=sources.storages, host=run_host, identity=sources.identity),
            previous=previous,
            lock=lock,
            show=show,
        )
    finally:
        lock.release()


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
    return any(_counts(one, request) for one in backup.verifications)


def _counts(one: Verification, request: VerifyRequest) -> bool:
    is_in_time = request.which != DUE or request.since is None or one.finished >= request.since
    return one.passed and one.reached >= request.proof.level and is_in_time


def _previous(reading: Reading, backup: Backup, outcomes: t.Sequence[Outcome] = ()) -> tuple[Verification, ...]:
    """The passed verifications of earlier backups of the series, those of the newest backup first.

    Not by when they were verified: a sample of last month's would stand for yesterday. *outcomes* are those of this
    run, which *reading* doesn't know yet.
    """
    made_now = {outcome.backup.manifest.folder: outcome.verification for outcome in outcomes}
    earlier = [
        other
        for other in reading.backups
        if other.manifest.folder.series == backup.manifest.folder.series
        and other.manifest.started < backup.manifest.started
    ]
    found: list[Verification] = []
    for other in sorted(earlier, key=lambda one: one.manifest.started, reverse=True):
        fresh = made_now.get(other.manifest.folder)
        every = [*other.verifications, *([fresh] if fresh is not None else [])]
        found += sorted((one for one in every if one.passed), key=in_order, reverse=True)
    return tuple(found)
