# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on while a stream is shipped: the source, the spool, and one lane for each repository."""

from __future__ import annotations

import concurrent.futures
import functools
import os
import threading
import typing as t
from dataclasses import replace

from ..core.clock import format_time
from ..core.errors import LifeboatError, StateDirectoryUnusable, StreamSpoolFull, StreamSpoolUnusable
from ..core.host import Host
from ..core.parallel import wait_for
from ..core.progress import Progress
from ..core.signals import undisturbed
from ..core.state import StateDirectory
from ..storage.base import Storage
from ..storage.registry import open_storage
from ..streams.encoder import SegmentEncoder
from ..streams.layout import StreamFolder
from ..streams.notes import StreamNotes
from ..streams.reader import Seen as Records, read_newest
from ..streams.record_writer import RecordWriter
from ..streams.segment import StreamEvent
from ..streams.segment_writer import SegmentWriter
from ..streams.source import StreamInspection, StreamSource
from ..streams.spool import Spool, SpoolEntry
from ..streams.stream import StoredSegment, Stream
from ..streams.waiting import SpoolView, SpoolWatch
from .ship_alarms import NEARLY_FULL, Seen, alarms, state_of
from .ship_lane import Lane
from .ship_values import ShipRequest, ShipResult, SpoolState
from .stream_sources.context import StreamContext
from .wanted import FULL_KINDS, want_full_backup

_MOST_PROCESSES = 4
#: So much of the stored stream is kept in memory for the source to go on from.
_MOST_REMEMBERED = 2000
_REFRESH_SECONDS = 3600.0
_RETRY_SECONDS = 60.0


class Shipping:
    """One shipper of one stream; the caller holds the lock. Ended by :meth:`close`."""

    def __init__(self, request: ShipRequest, *, host: Host, progress: Progress) -> None:
        self.request = request
        self.host = host
        self.progress = progress
        self.started = host.clock.now()
        self.inspection = StreamInspection(lineage=None)
        self._inspected = self.started
        self.view = SpoolView()
        self._state = StateDirectory(path=request.state_directory)
        self._spool = Spool(path=request.spool_directory, budget=request.spool_budget)
        self.source = make_source(request, host=host, state=self._state, spool=self._spool)
        self.watch = SpoolWatch(spool=self._spool, source=self.source, series=request.series)
        self.storages: dict[str, Storage] = open_storages(request, host=host)
        self._notes = StreamNotes(state=self._state, name=request.record_name)
        self._notes.keep_repositories(list(self.storages))
        self._encoder = SegmentEncoder(
            transforms=request.transforms,
            progress=progress,
            parallel=min(os.cpu_count() or 1, _MOST_PROCESSES),
            repositories=len(self.storages),
        )
        self._seen: dict[str, Records] = {name: {} for name in self.storages}
        self.lanes = [self._lane(name, storage) for name, storage in self.storages.items()]
        for lane in self.lanes:
            for lineage in self._notes.lineages_with_events(lane.name):
                lane.know(StreamFolder(series=request.series, lineage=lineage))
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=len(self.lanes), thread_name_prefix="ship")
        self._stopping = threading.Event()
        self._stored: Stream | None = None
        self._read_again = float("-inf")
        self._is_unread = False
        self._captured = 0
        self._capture_problem: LifeboatError | None = None
        self._said: tuple[str, ...] = ()
        self._missing: dict[str, int] = {}
        self._only: frozenset[SpoolEntry] | None = None

    def prepare(self) -> None:
        """Before anything else: programs and keys, and the spool. Raises what says that the request is wrong."""
        self.request.transforms.check(runner=self.host.runner)
        if not self.request.kind.filled_by_server:
            try:
                os.makedirs(self._spool.path, mode=0o700, exist_ok=True)
            except OSError as error:
                raise StreamSpoolUnusable(
                    f"The spool {self._spool.path} can't be made: {error.strerror}.",
                    hint=f"Run: ls -ld {os.path.dirname(self._spool.path)}",
                ) from error
        self._spool.entries()

    def inspect(self) -> None:
        """Look at the source. Raises what says that the request is wrong; a silent server is no error."""
        self._inspected = self.host.clock.now()
        self.inspection = self.source.inspect()

    def capture(self) -> None:
        """Let the source put into the spool what nobody has stored. What goes wrong is an alarm: what waits goes on."""
        if not self.inspection.reachable:
            return
        self._remember(self.inspection.lineage)
        lineage = self.inspection.lineage or (self._stored.folder.lineage if self._stored is not None else None)
        if lineage is not None:
            folder = StreamFolder(series=self.request.series, lineage=lineage)
            for lane in self.lanes:
                lane.know(folder)
        try:
            capture = self.source.capture(spool=self._spool, stored=self._stored, progress=self.progress)
            self._note_events(lineage, capture.events)
            self._want(capture.events)
        except LifeboatError as error:
            self._capture_problem = error
            return
        self._capture_problem = None
        self._captured += capture.files
        self._said = capture.warnings

    def _note_events(self, lineage: str | None, events: t.Sequence[StreamEvent]) -> None:
        if events and lineage is None:
            # The first capture of all: the lineage is that of what it has put there.
            self._look()
            lineage = next((each.folder.lineage for each in self.view.segments), None)
        if lineage is not None:
            self._notes.add_events(lineage, events, repositories=list(self.storages))
        elif events:
            reasons = " ".join(event.reason for event in events)
            self.host.journal.warning(f"Nothing was captured that this could be recorded with: {reasons}")

    def _want(self, events: t.Sequence[StreamEvent]) -> None:
        """The status asks for the full backup that a torn stream needs, until there is one."""
        series = self.request.series
        for event in events:
            if event.what == "full-backup-needed" and self.request.engine in FULL_KINDS:
                want_full_backup(
                    self._state, service=series.service, source=series.source, reason=event.reason, host=self.host
                )

    @property
    def is_spool_full(self) -> bool:
        """Whether the last capture was cut short because too much waits."""
        return isinstance(self._capture_problem, StreamSpoolFull)

    def only_what_waits(self) -> None:
        """From now on, nothing is shipped but what waits now: a run that is to end must not go after a busy server."""
        self._look()
        self._only = frozenset(self.view.entries)

    def turn(self, *, again: bool) -> bool:
        """Look, give each idle lane its work, remove what is stored; whether anything was begun or has ended."""
        self._look()
        ended = self._collect()
        begun = [
            lane.start(self.view, pool=self._pool, stopping=self._stopping.is_set, again=again) for lane in self.lanes
        ]
        self._remove()
        return any(begun) or ended

    def wait(self, seconds: float) -> None:
        """Until a lane has ended, at most so long."""
        works = [lane.work for lane in self.lanes if lane.work is not None]
        if works:
            wait_for(works, timeout=seconds, first=True)

    @property
    def is_busy(self) -> bool:
        """Whether a lane works."""
        return any(lane.work is not None for lane in self.lanes)

    def stop(self) -> None:
        """Let the lanes end after the segments on their way, record those, and tidy up."""
        self._stopping.set()
        while self.is_busy:
            self.wait(1.0)
            self._collect()
        self._look()
        self._remove()

    def close(self) -> None:
        """Nothing runs on afterwards."""
        self._stopping.set()
        with undisturbed():
            self._pool.shutdown(wait=True)

    def result(self, *, goes_on: bool = False) -> ShipResult:
        """How far it is; for a run that *goes_on*, what is only on its way is no reason to call it partial."""
        now = self.host.clock.now()
        entries = [entry for entry in self.view.entries if self._only is None or entry in self._only]
        spool = SpoolState.of(self._spool.path, self._spool.budget, entries)
        failed = {lane.name: lane.error for lane in self.lanes if lane.error is not None}
        seen = Seen(
            inspection=self.inspection,
            spool=spool,
            refused=self.view.refused,
            held=len(self.view.held),
            failed=failed,
            capture_problem=self._capture_problem,
            said=self._said,
            holes=list(dict.fromkeys(hole for lane in self.lanes for hole in lane.holes)),
            missing=self._missing,
            unread=[problem for lane in self.lanes for problem in lane.unread],
        )
        warnings = alarms(self.request, seen, now=now)
        newest = max((lane.newest for lane in self.lanes if lane.newest), key=lambda one: one.stored, default=None)
        return ShipResult(
            job=self.request.job,
            engine=self.request.engine,
            state=state_of(warnings, waiting=0 if goes_on else spool.segments),
            lineage=self.inspection.lineage,
            captured=self._captured,
            segments=max(lane.segments for lane in self.lanes),
            stored_bytes=sum(lane.stored_bytes for lane in self.lanes),
            events=max(lane.events for lane in self.lanes),
            spool=spool,
            repositories=tuple(self._repository(lane) for lane in self.lanes),
            warnings=warnings,
            facts=self.inspection.facts,
            newest={
                "name": newest.name,
                "ends": format_time(newest.description.ends) if newest.description.ends else None,
                "stored": format_time(newest.stored),
            }
            if newest
            else None,
            started=self.started,
            inspected=self._inspected,
            finished=now,
        )

    def _repository(self, lane: Lane) -> dict[str, t.Any]:
        waiting = len(lane.waiting(self._limited(self.view)))
        failed = "blocked" if lane.error is not None and lane.error.code.startswith("stream.") else "failed"
        return {
            "name": lane.name,
            "url": lane.url,
            "state": failed if lane.error else ("behind" if waiting else "complete"),
            "error": lane.error.as_dict() if lane.error else None,
            "segments": lane.segments,
            "waiting": waiting,
            "write_only": not lane.writer.may_read,
        }

    def _lane(self, name: str, storage: Storage) -> Lane:
        writer = RecordWriter(
            name=name,
            storage=storage,
            engine=self.request.engine,
            segments=SegmentWriter(storage=storage, encoder=self._encoder, clock=self.host.clock),
            order=self.source.order,
            follows=self.source.follows,
            notes=self._notes,
            host=self.host,
            parallel=self.request.parallel,
            seen=self._seen[name],
        )
        return Lane(writer=writer, notes=self._notes, host=self.host)

    def _look(self) -> None:
        self.view = self._limited(self.watch.look())

    def _limited(self, view: SpoolView) -> SpoolView:
        if self._only is None:
            return view
        return replace(view, segments=tuple(each for each in view.segments if each.entry in self._only))

    def _collect(self) -> bool:
        """Take note of what lanes have done, also for the source to go on from."""
        ended = False
        for lane in self.lanes:
            if lane.collect():
                ended = True
                self._add_stored(lane)
        return ended

    def _remove(self) -> None:
        """Take out of the spool what is recorded in enough repositories; those that still work on it are waited for.

        Only when the spool is nearly full, or a repository has failed, do as many copies do as the job requires.
        """
        gone: list[tuple[str, str]] = []
        names: list[str] = []
        is_tight = self.view.used * 100 >= self._spool.budget * NEARLY_FULL
        for each in self.view.segments:
            without = [lane for lane in self.lanes if not lane.writer.has(each.entry)]
            if without and len(self.lanes) - len(without) < self.request.copies:
                continue
            if without and not is_tight and any(lane.error is None for lane in without):
                continue
            for lane in without:
                self._missing[lane.name] = self._missing.get(lane.name, 0) + 1
            names.append(each.entry.name)
            gone.append((each.folder.lineage, each.name))
            self._encoder.forget(each.entry)
        if names:
            self._spool.remove(names)
            self._forget(gone)
            self._look()
        for lane in self.lanes:
            lane.keep(set(self.view.entries))

    def _forget(self, gone: t.Sequence[tuple[str, str]]) -> None:
        try:
            self._notes.forget(gone)
        except StateDirectoryUnusable as error:
            self.host.journal.warning(error.message)

    def _remember(self, lineage: str | None) -> None:
        """What is stored already, for the source: read once an hour, and kept up to date by what is recorded here.

        Without *lineage* the source has no notes of its own: then it is the lineage that was recorded last, if any.
        """
        now = self.host.clock.monotonic()
        is_known = self._stored is not None and self._stored.folder.lineage == lineage
        if now < self._read_again and (is_known or self._is_unread):
            return
        self._read_again = now + _REFRESH_SECONDS
        self._is_unread = False
        # One that does not answer is not waited for while the database writes on.
        asked = {lane.name: lane.writer.storage for lane in self.lanes if lane.error is None} or self.storages
        for seen in self._seen.values():
            seen.clear()
        try:
            found = read_newest(asked, self.request.series, lineage=lineage, clock=self.host.clock, seen=self._seen)
        except LifeboatError as error:
            self.host.journal.warning(f"No repository says what is stored: {error.message}")
            self._read_again = now + _RETRY_SECONDS
            # What this process knows is as good as ever, as long as the history is the same.
            self._stored = self._stored if is_known else None
            self._is_unread = not is_known
            return
        if lineage is None:
            recorded = [one for one in found if one.segments]
            self._stored = max(recorded, key=lambda one: one.segments[-1].segment.stored, default=None)
        else:
            empty = Stream(folder=StreamFolder(series=self.request.series, lineage=lineage), segments=())
            self._stored = found[0] if found else empty
        if self._stored is not None:
            # What those have that were not asked is missing here: nobody may take it for lost.
            not_asked = [lane.error for lane in self.lanes if lane.name not in asked and lane.error is not None]
            self._stored = replace(self._stored, problems=(*self._stored.problems, *not_asked))
            self._tell_ends(self._stored)

    def _tell_ends(self, stored: Stream) -> None:
        """The last segment of each repository: what comes next must follow it."""
        for lane in self.lanes:
            here = [each.copies[lane.name] for each in stored.segments if lane.name in each.copies]
            lane.writer.begin_after(stored.folder.lineage, here)

    def _add_stored(self, lane: Lane) -> None:
        stored = self._stored
        if stored is None:
            return
        segments = {each.segment.name: each for each in stored.segments}
        for segment in lane.writer.done.segments.get(stored.folder.lineage, ()):
            known = segments.get(segment.name)
            copies = {**(known.copies if known else {}), lane.name: segment}
            segments[segment.name] = StoredSegment(known.segment if known else segment, copies)
        self._stored = replace(stored, segments=tuple(segments.values())[-_MOST_REMEMBERED:])


def make_source(request: ShipRequest, *, host: Host, state: StateDirectory, spool: Spool) -> StreamSource:
    """The source of the request; connects to nothing. Raises RequestInvalid."""
    context = StreamContext(
        series=request.series,
        host=host,
        state=state,
        spool=spool,
        connection=request.connection,
        options=request.options,
    )
    return request.kind.factory(context)


def open_storages(request: ShipRequest, *, host: Host) -> dict[str, Storage]:
    """The repositories of the request, by name. Raises RequestInvalid."""
    opened = functools.partial(open_storage, clock=host.clock, runner=host.runner)
    return {
        repository.name: opened(repository.description, name=repository.name) for repository in request.repositories
    }
