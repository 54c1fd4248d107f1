# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a copy: what it reads and plans for each target, and what it does; the main thread coordinates."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup, Reading, Selection, find_series, read_catalog
from ..catalog.layout import Series, parse_key
from ..catalog.pin import pin_id_of
from ..catalog.set_members import is_set, member_folders, set_in
from ..core.errors import LifeboatError, StateDirectoryUnusable
from ..core.host import Host
from ..core.ids import is_name
from ..core.parallel import wait_for
from ..core.progress import Progress, ProgressSink
from ..core.signals import undisturbed
from ..core.state import SourceLock, StateDirectory
from ..storage.base import Storage
from ..storage.registry import open_storage
from ..streams.floors import floor_hour
from ..streams.layout import StreamFolder
from ..streams.reader import find_lineages
from .ahead import Stopping, workers
from .copy_backup import BackupCopy
from .copy_documents import contents_of, copy_documents, missing_labels, plan_documents
from .copy_keep import Keeping
from .copy_lacking import LackingSegments, find_lacking, read_target
from .copy_locks import LockedTargets
from .copy_object import ObjectCopier, Place
from .copy_plan import BackupPlan, plan_backups
from .copy_results import COPIED, WAITING, BackupOutcome, CopyResult, StreamOutcome
from .copy_stream import StreamCopy
from .copy_values import (
    CopyPlan,
    CopyRequest,
    LeftOutBackup,
    PlannedBackup,
    PlannedDocument,
    PlannedStream,
    TargetPolicy,
)

Storages = t.Mapping[str, Storage]


@dataclass
class _Plan:
    backups: list[PlannedBackup] = field(default_factory=list)
    left_out: list[LeftOutBackup] = field(default_factory=list)
    documents: list[PlannedDocument] = field(default_factory=list)
    streams: list[PlannedStream] = field(default_factory=list)
    problems: list[LifeboatError] = field(default_factory=list)


class CopyRun:
    """One run; others than the main thread copy. What goes wrong with one thing does not stop the next."""

    def __init__(
        self, request: CopyRequest, *, host: Host, show: ProgressSink | None, storages: Storages | None
    ) -> None:
        self._request = request
        self._host = host
        self._show = show
        opened = storages or {
            one.name: open_storage(one.description, name=one.name, clock=host.clock, runner=host.runner)
            for one in request.repositories
        }
        self._places = {name: Place(name=name, storage=storage) for name, storage in opened.items()}
        # Storages that were handed in are written as they are.
        self._targets = LockedTargets(() if storages else request.repositories, request.policies, host=host)
        self._locks: list[SourceLock] = []
        self._progress = Progress(clock=host.clock, sink=self._show_progress)
        self._stopping = Stopping()
        self._reading = Reading(backups=())
        self._policies: dict[str, TargetPolicy] = {}
        self.plan = _Plan()
        self._errors: dict[str, LifeboatError] = {}
        self._backups: list[BackupOutcome] = []
        self._documents: list[PlannedDocument] = []
        self._streams: list[StreamOutcome] = []

    @property
    def targets(self) -> list[Place]:
        """Those that can be worked on."""
        return [self._places[name] for name in self._request.targets if name not in self._errors]

    def read(self) -> None:
        """The catalogs of all repositories, of which one that does not answer is left out."""
        self._progress.stage("reading the catalogs")
        for name, place in list(self._places.items()):
            try:
                next(iter(place.storage.list_folders("")), None)
            except LifeboatError as error:
                error.details.setdefault("repository", name)
                if name in self._request.targets:
                    self._errors[name] = error
                else:
                    self.plan.problems.append(error)
                del self._places[name]
        selection = self._request.selection
        # An increment's parents are of other kinds.
        wide = Selection(service=selection.service, source=selection.source)
        self._reading = read_catalog({name: place.storage for name, place in self._places.items()}, selection=wide)
        if selection.source is not None and any(_is_bound(one) for one in self._reading.backups):
            wide = Selection(service=selection.service)
            self._reading = read_catalog({name: place.storage for name, place in self._places.items()}, selection=wide)
        self.plan.problems.extend(self._reading.problems)
        self._policies = {name: self._policy_of(name) for name in self._request.targets}

    def _policy_of(self, target: str) -> TargetPolicy:
        """What is wanted there, retention included."""
        given = self._request.policy(target)
        if not given.keeps:
            return given
        keeping = Keeping(self._reading.backups, given.keeps, repository=target, now=self._host.clock.now())
        return dataclasses.replace(
            given,
            wanted=lambda backup: given.wanted(backup) and keeping.keeps(backup),
            wanted_hour=lambda folder, hour: given.wanted_hour(folder, hour) and keeping.keeps_hour(folder, hour),
        )

    def plan_target(self, target: Place) -> BackupPlan:
        """What it lacks but streams. Raises what listing raises."""
        backups = [backup for backup in self._reading.backups if target.name in backup.repositories]
        contents = {target.name: contents_of(target.storage, backups)} if backups else {target.name: {}}
        plan = plan_backups(
            self._reading,
            self._request,
            target=target.name,
            policy=self._policies[target.name],
            contents=contents[target.name],
        )
        services = self._services(target, plan)
        labels: dict[str, PlannedDocument] = {}
        for source in self._sources(target):
            with self._readable(source):
                shared = [backup for backup in plan.present if source.name in backup.repositories]
                if shared:
                    contents[source.name] = contents_of(source.storage, shared)
                for label in missing_labels(target, source, services):
                    labels.setdefault(label.key, label)
        documents = plan_documents(plan.present, target=target.name, contents=contents)
        documents += labels.values()
        self.plan.backups += plan.backups
        self.plan.left_out += plan.left_out
        self.plan.documents += documents
        return plan

    def copy_backups(self, target: Place, plan: BackupPlan) -> None:
        """Several at a time; each chain in its order."""
        if not plan.backups:
            return
        count = len(plan.backups)
        self._progress.stage(
            f"copying {count} backup{'' if count == 1 else 's'} to {target.name}",
            bytes_expected=self._progress.bytes_done + sum(planned.bytes for planned in plan.backups),
        )
        sets = [planned for planned in plan.backups if is_set(planned.backup.manifest)]
        others = [planned for planned in plan.backups if not is_set(planned.backup.manifest)]
        with workers(self._request.parallel, stopping=self._stopping) as pool:
            with undisturbed():
                futures = [pool.submit(functools.partial(self._copy_chain, target, chain)) for chain in _chains(others)]
            wait_for(futures)
        outcomes = [outcome for future in futures for outcome in future.result()]
        # A set comes when all of its members are there, so that it is whole from its first moment.
        missing = {one.planned.backup.manifest.backup_id for one in outcomes if not one.is_settled}
        outcomes += [self._copy_set(target, planned, missing) for planned in sets]
        self._backups += outcomes

    def copy_documents(self, target: Place) -> None:
        """One by one: they are small and few. Raises what reading and storing raise."""
        planned = [document for document in self.plan.documents if document.target == target.name]
        copied = list(
            copy_documents(planned, copier=self._copier(target), sources=self._places, problem=self._note_problem)
        )
        self._documents.extend(copied)
        pinned = {parts.folder for one in copied if pin_id_of(one.key) and (parts := parse_key(one.key))}
        for backup in self._reading.backups:
            if backup.manifest.folder in pinned:
                self._targets.protect(target, backup, self._reading)

    def lineages(self, target: Place) -> list[StreamFolder]:
        """Those that the target should have of what any other repository has. Raises what listing raises."""
        selection = self._request.selection
        if selection.backup_id is not None:
            return []
        found: dict[StreamFolder, None] = {}
        for source in self._sources(target):
            with self._readable(source):
                for series in find_series(source.storage, selection):
                    if self._wants_stream(target, series):
                        for lineage in find_lineages(source.storage, series):
                            found[StreamFolder(series=series, lineage=lineage)] = None
        return sorted(found, key=lambda folder: folder.prefix)

    @contextlib.contextmanager
    def lacking(self, target: Place, folder: StreamFolder) -> t.Iterator[tuple[LackingSegments, PlannedStream]]:
        """What the target lacks of one lineage, for as long as the block lasts."""
        self._progress.stage(f"comparing {folder.prefix.rstrip('/')} in {target.name}")
        found = read_target(target, folder, clock=self._host.clock, check_objects=self._request.repair)
        try:
            planned = find_lacking(
                found,
                self._sources(target),
                policy=self._policies[target.name],
                floor=floor_hour(target.storage, folder),
                clock=self._host.clock,
            )
            self.plan.problems.extend(found.problems)
            yield found, planned
        finally:
            found.names.close()

    def copy_stream(self, target: Place, lacking: LackingSegments, planned: PlannedStream) -> None:
        """What was planned of one lineage."""
        if planned.is_empty:
            return
        self._progress.stage(
            f"copying {planned.segments} segments of {planned.folder.prefix.rstrip('/')}",
            bytes_expected=self._progress.bytes_done + planned.bytes,
        )
        policy = self._policies[target.name]
        copy = StreamCopy(
            planned,
            lacking=lacking,
            copier=self._copier(target, planned.folder.series),
            sources=self._sources(target),
            wanted_hour=functools.partial(policy.wanted_hour, planned.folder),
            host=self._host,
            parallel=self._request.parallel,
            stopping=self._stopping,
        )
        self._streams.append(copy.run())

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """One copy to each target on this host: two would do no harm, only work twice."""
        state = StateDirectory(path=self._request.state_directory)
        try:
            for name in self._request.targets:
                lock = SourceLock(state=state, name=f"copy.{name}", clock=self._host.clock)
                lock.acquire(holder={"job": f"copy to {name}"}, timeout=self._request.lock_timeout)
                self._locks.append(lock)
            yield
        finally:
            for lock in self._locks:
                lock.release()

    @contextlib.contextmanager
    def watched(self, target: Place) -> t.Iterator[None]:
        """What goes wrong inside is the target's error; the next one goes on."""
        try:
            yield
        except LifeboatError as error:
            if self._stopping:
                raise
            error.details.setdefault("repository", target.name)
            self._errors.setdefault(target.name, error)

    @contextlib.contextmanager
    def _readable(self, source: Place) -> t.Iterator[None]:
        """What goes wrong inside is a problem of the source; the others may have the same."""
        try:
            yield
        except LifeboatError as error:
            if self._stopping:
                raise
            self._note_problem(error, source)

    def _note_problem(self, error: LifeboatError, source: Place) -> None:
        error.details.setdefault("repository", source.name)
        self.plan.problems.append(error)

    def _services(self, target: Place, plan: BackupPlan) -> list[str]:
        """Those of which the target has something, or gets something now."""
        selection = self._request.selection
        if selection.backup_id is not None:
            return []
        there = {name for name in target.storage.list_folders("") if is_name(name)}
        coming = {planned.backup.manifest.service for planned in plan.backups}
        return sorted(name for name in there | coming if selection.service in (None, name))

    def finished_plan(self) -> CopyPlan:
        """As it is shown; what a target's error hides is a problem of it."""
        return CopyPlan(
            targets=self._request.targets,
            backups=tuple(self.plan.backups),
            left_out=tuple(self.plan.left_out),
            documents=tuple(self.plan.documents),
            streams=tuple(self.plan.streams),
            problems=(*self._errors.values(), *self.plan.problems),
        )

    def result(self, *, seconds: float) -> CopyResult:
        """What became of it."""
        return CopyResult(
            plan=dataclasses.replace(self.finished_plan(), problems=tuple(self.plan.problems)),
            backups=tuple(self._backups),
            streams=tuple(self._streams),
            documents=tuple(self._documents),
            errors=self._errors,
            seconds=seconds,
        )

    def _sources(self, target: Place) -> list[Place]:
        return [place for name, place in self._places.items() if name != target.name]

    def _copier(self, target: Place, series: Series | None = None) -> ObjectCopier:
        place = self._targets.open(target, series)
        return ObjectCopier(target=place, progress=self._progress, stopping=self._stopping)

    def _wants_stream(self, target: Place, series: Series) -> bool:
        named = self._policies[target.name].names(series)
        if self._request.everything or named:
            return True
        return named is None and bool(find_lineages(target.storage, series))

    def _copy_chain(self, target: Place, chain: t.Sequence[PlannedBackup]) -> list[BackupOutcome]:
        outcomes: list[BackupOutcome] = []
        missing: set[str] = set()
        for planned in chain:
            parent = planned.backup.manifest.parent
            if parent in missing:
                note = f"{parent}, which it builds on, did not come across"
                outcome = BackupOutcome(planned=planned, state=WAITING, note=note)
            else:
                self._stopping.check()
                copier = self._copier(target, planned.backup.manifest.folder.series)
                outcome = BackupCopy(planned, copier=copier, sources=self._places, host=self._host).run()
            if outcome.state == COPIED:
                self._targets.protect(target, planned.backup, self._reading)
            if not outcome.is_settled:
                missing.add(planned.backup.manifest.backup_id)
            outcomes.append(outcome)
        return outcomes

    def _copy_set(self, target: Place, planned: PlannedBackup, missing: t.AbstractSet[str]) -> BackupOutcome:
        absent = [one.backup_id for one in member_folders(planned.backup.manifest) if one.backup_id in missing]
        if absent:
            return BackupOutcome(planned=planned, state=WAITING, note=f"its member {absent[0]} did not come across")
        return self._copy_chain(target, [planned])[0]

    def _show_progress(self, snapshot: t.Mapping[str, t.Any]) -> None:
        for lock in self._locks:
            with contextlib.suppress(StateDirectoryUnusable):  # what is copied matters more than being seen
                lock.show(snapshot)
        if self._show is not None:
            self._show(snapshot)


def _is_bound(backup: Backup) -> bool:
    return is_set(backup.manifest) or set_in(backup.manifest.labels) is not None


def _chains(backups: t.Sequence[PlannedBackup]) -> list[list[PlannedBackup]]:
    """Backups that build on one another together, in their order; the others alone."""
    chains: dict[str, list[PlannedBackup]] = {}
    root_of: dict[str, str] = {}
    for planned in backups:
        manifest = planned.backup.manifest
        root = root_of.get(manifest.parent or "", manifest.backup_id)
        root_of[manifest.backup_id] = root
        chains.setdefault(root, []).append(planned)
    return list(chains.values())
