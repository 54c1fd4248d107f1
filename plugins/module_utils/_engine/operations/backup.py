# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a backup, start to end. Reads like its runbook: plan, then lock, sweep, begin, produce, finish, record."""

from __future__ import annotations

import functools
import os
import typing as t

from ..catalog.catalog import Selection, read_catalog
from ..catalog.leftovers import sweep_leftovers
from ..catalog.manifest import Manifest
from ..catalog.restore_notes import restore_notes
from ..catalog.writer import BackupWriter, RepositoryState, require_working
from ..core.clock import format_time
from ..core.errors import (
    LifeboatError,
    ParentRemoved,
    StateDirectoryUnusable,
    StorageForbidden,
    StorageNoSpace,
)
from ..core.host import Host
from ..core.ids import new_backup_id
from ..core.journal import RecordingJournal
from ..core.parallel import at_the_same_time
from ..core.progress import Progress, ProgressSink
from ..core.signals import Stop, interrupted
from ..core.state import SourceLock, StateDirectory
from ..core.version import VERSION
from ..pipeline.producer import FINGERPRINT, ChangeAwareProducer, Inspection, Producer
from ..recovery.questions import Answer
from ..retention.rules import JOB_LABEL
from ..storage.registry import open_storage
from .asking import ask_source, noted
from .backup_values import BackupPlan, BackupRequest, BackupResult, ProducerContext
from .due import DESCRIBED_AS
from .own_backups import newest_own
from .parents import find_parent, require_parent


def plan_backup(request: BackupRequest, *, host: Host) -> BackupPlan:
    """Look at the source and at the repositories without changing anything; refuse what can't become a backup.

    Raises what the producer's inspect() raises, and StorageAllFailed when no repository can be read.
    """
    return _Run(request, host=host, show=None).plan()


def run_backup(request: BackupRequest, *, host: Host, show: ProgressSink | None = None) -> BackupResult:
    """Make the backup and return what became of it; a *partial* result carries its error.

    *show* is given the progress about once a second. Whatever is raised, the lock is free, and in every repository
    that was not yet asked to take the manifest no backup exists and what was written is removed as far as it allows.
    """
    return _Run(request, host=host, show=show).run()


class _Run:
    def __init__(self, request: BackupRequest, *, host: Host, show: ProgressSink | None) -> None:
        self._request = request
        self._journal = RecordingJournal(target=host.journal)
        self._host = Host(clock=host.clock, runner=host.runner, journal=self._journal, name=host.name)
        self._show = show
        self._state = StateDirectory(path=request.state_directory)
        self._begin()
        self._repositories = [
            self._open(repository.name, repository.description) for repository in request.repositories
        ]
        self._parent: Manifest | None = None
        self._free_bytes: dict[str, int | None] = {}  # of the repositories that could be looked at
        self._can_show = True

    def plan(self) -> BackupPlan:
        """Read only."""
        request = self._request
        request.transforms.check(runner=self._host.runner)
        inspection = self._inspected(self._producer())
        self._each_repository(self._look)
        self._each_repository(lambda repository: self._require_space(repository, inspection))
        require_working(self._repositories)
        return BackupPlan(
            job=request.job,
            engine=request.engine,
            inspection=inspection,
            repositories=tuple(self._planned(repository) for repository in self._repositories),
            compression=request.transforms.compression.as_dict() if request.transforms.compression else None,
            encryption=request.transforms.encryption.as_dict() if request.transforms.encryption else None,
            parent=self._parent.backup_id if self._parent else None,
        )

    def run(self) -> BackupResult:
        """Under the lock of the source, and with a record of how it ended."""
        request = self._request
        lock = SourceLock(state=self._state, name=request.lock_name, clock=self._host.clock)
        lock.acquire(holder={"job": request.job}, timeout=request.lock_timeout)
        try:
            self._begin()
            lock.add(id=self._backup_id)
            result = self._run_locked(lock)
        except BaseException as error:
            self._record_failure(error)
            raise
        finally:
            lock.release()
        self._record(result.as_dict(), error=result.error)
        return result

    def _begin(self) -> None:
        """The run begins now: after the wait for the lock, for what it reads of the source is of a later time."""
        self._started = self._host.clock.now()
        self._backup_id = new_backup_id(now=self._started)
        self._folder = self._request.series.backup(self._backup_id)

    def _run_locked(self, lock: SourceLock) -> BackupResult:
        request = self._request
        progress = Progress(clock=self._host.clock, sink=self._progress_sink(lock))
        progress.stage("inspecting")
        request.transforms.check(runner=self._host.runner)
        producer = self._producer()
        inspection = self._inspected(producer)
        progress.stage("checking repositories", bytes_expected=inspection.expected_bytes)
        self._each_repository(self._prepare)
        self._each_repository(lambda repository: self._require_space(repository, inspection))
        require_working(self._repositories)
        unchanged = self._unchanged(producer, progress) if request.only_if_changed else None
        if unchanged is not None:
            return unchanged
        writer = BackupWriter(
            folder=self._folder,
            repositories=self._repositories,
            transforms=request.transforms,
            progress=progress,
            journal=self._journal,
        )
        try:
            writer.begin(self._started_document())
            if self._parent is not None:
                self._each_repository(functools.partial(self._require_parent, writer, self._parent))
                require_working(self._repositories)
            before = self._answers()
            progress.stage("backing up")
            production = producer.produce(sink=writer, progress=progress)
            progress.stage("finishing")
            content = {**production.content, **noted(before, self._answers())}
            manifest = self._manifest(writer, inspection, content, progress)
            writer.finish(manifest, notes=restore_notes(manifest, commands=production.restore_commands))
        except BaseException:
            writer.abandon()
            raise
        return BackupResult(
            manifest=manifest,
            repositories=tuple(repository.as_dict() for repository in self._repositories),
            progress=progress.snapshot(),
        )

    def _unchanged(self, producer: Producer, progress: Progress) -> BackupResult | None:
        """The newest backup, when every repository has it and it holds what the source is now."""
        if any(repository.error for repository in self._repositories):
            return None  # what is there can't be told: better one backup too many
        storages = {repository.name: repository.storage for repository in self._repositories}
        newest = newest_own(storages, self._request.series)
        if newest is None or newest.missing or newest.state == "failed":
            return None
        if not set(storages) <= set(newest.repositories):
            return None
        noted = newest.manifest.content.get(FINGERPRINT)
        if noted is None or newest.manifest.content.get("doubts"):
            return None
        aware: ChangeAwareProducer = t.cast("ChangeAwareProducer", producer)
        if noted != aware.fingerprint(progress=progress):
            return None
        return BackupResult(
            manifest=newest.manifest,
            repositories=tuple(repository.as_dict() for repository in self._repositories),
            progress=progress.snapshot(),
            is_unchanged=True,
        )

    def _answers(self) -> dict[str, Answer]:
        request = self._request
        return ask_source(
            request.questions,
            asking=request.asking,
            connection=request.connection,
            runner=self._host.runner,
            journal=self._journal,
        )

    def _producer(self) -> Producer:
        request = self._request
        if request.parent_kinds and not request.whole:
            storages = {one.name: one.storage for one in self._repositories if not one.error}
            self._parent = find_parent(storages, request.series, kinds=request.parent_kinds)
        return request.make_producer(
            ProducerContext(
                backup_id=self._backup_id,
                state=self._state,
                host=self._host,
                series=request.series,
                parent=self._parent,
                is_whole_wanted=request.whole,
                folder=self._folder,
                set_of=request.set_of,
            )
        )

    def _inspected(self, producer: Producer) -> Inspection:
        inspection = producer.inspect()
        if inspection.whole_because:
            self._parent = None
        return inspection

    def _open(self, name: str, description: t.Mapping[str, t.Any]) -> RepositoryState:
        storage = open_storage(description, name=name, clock=self._host.clock, runner=self._host.runner)
        return RepositoryState(name=name, storage=storage)

    def _each_repository(self, step: t.Callable[[RepositoryState], None]) -> None:
        """Do *step* for every repository that still works, at the same time; who fails is left out from here on."""
        working = [repository for repository in self._repositories if repository.error is None]
        outcomes = at_the_same_time([functools.partial(step, repository) for repository in working])
        for repository, future in zip(working, outcomes):
            try:
                future.result()
            except LifeboatError as error:
                repository.error = error
                self._journal.warning(f"{repository.name}: can't take this backup: {error.message} [{error.code}]")

    def _look(self, repository: RepositoryState) -> None:
        try:
            next(iter(repository.storage.list_folders(self._request.series.folder)), None)
        except StorageForbidden as error:
            # Credentials that may write and nothing else are the best there are; only a write can prove them.
            self._journal.warning(
                f"{repository.name}: can't be looked at, so it is tried when it is written: {error.message}"
            )
        self._free_bytes[repository.name] = repository.storage.free_bytes()

    def _prepare(self, repository: RepositoryState) -> None:
        repository.storage.check()
        try:
            sweep = sweep_leftovers(
                repository.storage, series=self._request.series, host=self._host.name, now=self._host.clock.now()
            )
        except StorageForbidden as error:
            # Credentials that may write and nothing else: somebody else cleans up there.
            self._journal.warning(f"{repository.name}: can't look for leftovers of runs that died: {error.message}")
            return
        if sweep.removed:
            self._journal.info(f"{repository.name}: removed {len(sweep.removed)} leftovers of runs that died.")
        for key, reason in sweep.kept.items():
            self._journal.warning(f"{repository.name}: the leftover {key} can't be removed: {reason}")

    def _require_parent(self, writer: BackupWriter, parent: Manifest, repository: RepositoryState) -> None:
        try:
            require_parent(repository.storage, parent, repository=repository.name)
        except ParentRemoved:
            writer.withdraw(repository)
            raise

    def _require_space(self, repository: RepositoryState, inspection: Inspection) -> None:
        free = repository.storage.free_bytes()
        if free is None:
            return
        needed = self._space_needed(repository, inspection)
        if free < needed:
            raise StorageNoSpace(
                f"{repository.storage.properties.url} has {free} bytes free, and about {needed} are needed.",
                hint="Make room there, or give the repository a larger disk.",
                details={"free_bytes": free, "needed_bytes": needed},
            )

    def _space_needed(self, repository: RepositoryState, inspection: Inspection) -> int:
        """Stored bytes to expect: as the newest backup of the series and a fifth more, else by a careful ratio."""
        series = self._request.series
        selection = Selection(service=series.service, source=series.source, kind=series.kind, newest=1)
        backups = read_catalog({repository.name: repository.storage}, selection=selection).backups
        if backups and self._request.parent_kinds == (series.kind,):
            # Whole ones and increments take turns: the newest says how well it is compressed, and not how much it is.
            newest = backups[-1].manifest
            ratio = newest.stored_bytes / (newest.plain_bytes or newest.stored_bytes or 1)
            return int(inspection.expected_bytes * min(max(ratio, 1 / 6), 1.0) * 6 / 5)
        if backups:
            return backups[-1].manifest.stored_bytes * 6 // 5
        # zstd makes dumps of real data three to six times smaller.
        return inspection.expected_bytes // 6 if self._request.transforms.compression else inspection.expected_bytes

    def _planned(self, repository: RepositoryState) -> dict[str, t.Any]:
        return {
            "name": repository.name,
            "url": repository.storage.properties.url,
            "state": "unusable" if repository.error else "ready",
            "error": repository.error.as_dict() if repository.error else None,
            "free_bytes": self._free_bytes.get(repository.name),
        }

    def _started_document(self) -> dict[str, t.Any]:
        return {
            "id": self._backup_id,
            "job": self._request.job,
            "host": self._host.name,
            "pid": os.getpid(),
            "started": format_time(self._started),
            "lifeboat_version": VERSION,
            "parent": self._parent.backup_id if self._parent else None,
        }

    def _manifest(
        self, writer: BackupWriter, inspection: Inspection, content: t.Mapping[str, t.Any], progress: Progress
    ) -> Manifest:
        request = self._request
        return Manifest(
            backup_id=self._backup_id,
            service=request.series.service,
            source=request.series.source,
            engine=request.engine,
            kind=request.series.kind,
            parent=self._parent.backup_id if self._parent else None,
            labels=dict(request.labels),
            started=self._started,
            finished=self._host.clock.now(),
            host=self._host.name,
            lifeboat_version=VERSION,
            repositories=tuple(repository.name for repository in request.repositories),
            compression=request.transforms.compression.as_dict() if request.transforms.compression else None,
            encryption=request.transforms.encryption.as_dict() if request.transforms.encryption else None,
            payloads=tuple(writer.payloads),
            facts=inspection.facts,
            content=content,
            stages=progress.stage_seconds(),
            warnings=tuple(self._journal.warnings),
        )

    def _progress_sink(self, lock: SourceLock) -> ProgressSink:
        def sink(snapshot: t.Mapping[str, t.Any]) -> None:
            try:
                if self._can_show:
                    lock.show(snapshot)
            except StateDirectoryUnusable as error:
                # The backup matters more than being seen.
                self._can_show = False
                self._journal.warning(f"The progress is not shown any more: {error.message}")
            if self._show is not None:
                self._show(snapshot)

        return sink

    def _record_failure(self, error: BaseException) -> None:
        if isinstance(error, Stop):
            error = interrupted(error)
        elif not isinstance(error, LifeboatError):
            error = LifeboatError(f"{type(error).__name__}: {error}")
        self._record({"id": self._backup_id, "job": self._request.job, "state": "failed"}, error=error)

    def _record(self, result: t.Mapping[str, t.Any], *, error: LifeboatError | None) -> None:
        kept = ("id", "job", "state", "stored_bytes", "plain_bytes", "seconds", "repositories", "warnings")
        record = {key: result[key] for key in kept if key in result}
        record["started"] = format_time(self._started)
        if JOB_LABEL in self._request.labels:
            record[DESCRIBED_AS] = self._request.labels[JOB_LABEL]
        record["finished"] = format_time(self._host.clock.now())
        record["error"] = error.as_dict() if error else None
        try:
            self._state.append_record(self._request.record_name, record)
        except StateDirectoryUnusable as problem:
            # What became of the backup must not hang on it, nor be hidden by it.
            self._journal.warning(f"The run could not be recorded: {problem.message}")


__all__ = ("plan_backup", "run_backup")
