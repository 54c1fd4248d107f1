# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository's way through a stream: segments in parallel, records in order, at its own pace.

A record names a segment only when all that waited before it in its lineage is stored in this repository. Order of
writes, which is the promise: the segment, a look for other bytes of its name, the record, the host's own note. Whatever
dies in between leaves an object without a record; the next run finds it under the same name, reads it and records it.
What waits for its record for too long is stored anew, since retention may sweep it (:mod:`unrecorded`).
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.errors import (
    LifeboatError,
    StateDirectoryUnusable,
    StorageExists,
    StorageForbidden,
    StreamConflict,
    StreamError,
    StreamSegmentRefused,
)
from ..core.host import Host
from ..core.ids import new_backup_id
from ..core.version import VERSION
from ..storage.base import Storage
from .layout import StreamFolder, hour_end, hour_of
from .notes import StreamNotes
from .reader import Seen, read_records
from .record import Record, parse_record
from .segment import Segment
from .segment_writer import SegmentWriter
from .spool import SpoolEntry
from .unrecorded import may_be_recorded
from .waiting import WaitingSegment

#: A record names at most so many segments, and is written after so many seconds even when more are on their way.
MOST_SEGMENTS = 64
_RECORD_SECONDS = 2.0
#: A record that was not durable so long after its hour ended is written again in the hour that it is: indexes of an
#: hour are made later than that (``index_writer.INDEX_AFTER``), and nobody looks for its records then.
SETTLED_WITHIN = datetime.timedelta(minutes=5)
# A file waits in the spool before it is recorded; clocks of file systems and hosts differ a little.
_CLOCKS_DIFFER = datetime.timedelta(hours=1)
_BEGINNING = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
# A clock may be set back so far, and records are still made one after the other.
_SMALL_STEP = datetime.timedelta(minutes=1)
_MOST_HOLES = 20


@dataclass(frozen=True)
class _Sent:
    """A record whose answer is not there yet: it may be stored, or not."""

    key: str
    data: bytes
    record: Record
    waiting: tuple[WaitingSegment, ...]


@dataclass
class Progressed:
    """What one turn of a repository has done; *segments* are those recorded, in order, by lineage."""

    segments: dict[str, list[Segment]] = field(default_factory=dict)
    events: int = 0


class _Place(t.NamedTuple):
    """A segment and its place in the order of commitment."""

    order: tuple[t.Any, ...]
    segment: Segment


class RecordWriter:
    """Ships one stream into one repository; one thread at a time calls :meth:`write`.

    *order* and *follows* are the source's judgement of names and of neighbours. *parallel* segments are on their way at
    the same time. *seen* are records of this repository that somebody has read just now.
    """

    def __init__(
        self,
        *,
        name: str,
        storage: Storage,
        engine: str,
        segments: SegmentWriter,
        order: t.Callable[[str], tuple[t.Any, ...]],
        follows: t.Callable[[Segment, Segment], bool],
        notes: StreamNotes,
        host: Host,
        parallel: int,
        seen: Seen | None = None,
    ) -> None:
        self.name = name
        self.storage = storage
        self.may_read = True
        self._engine = engine
        self._segments = segments
        self._order = order
        self._follows = follows
        self._notes = notes
        self._host = host
        self._parallel = parallel
        self._seen: Seen = {} if seen is None else seen
        self._recorded: dict[SpoolEntry, Segment | None] = {}  # None: recorded by an earlier run
        self._stored: dict[SpoolEntry, Segment] = {}  # and not recorded yet
        self._known: dict[str, dict[str, str]] = {}  # lineage: name: plain SHA-256, as records say
        self._last: dict[str, _Place] = {}
        self._holes: dict[str, list[tuple[_Place, _Place]]] = {}
        self._made = _BEGINNING
        self._sent: _Sent | None = None
        self._not_before: dict[str, datetime.datetime] = {}
        self.done = Progressed()

    def has(self, entry: SpoolEntry) -> bool:
        """Whether a record in this repository names that very file of the spool."""
        return entry in self._recorded

    @property
    def holes(self) -> list[tuple[str, str]]:
        """Neighbours that do not follow each other, as far as they were recorded by this process and not mended yet."""
        return [(before.segment.name, after.segment.name) for holes in self._holes.values() for before, after in holes]

    def begin_after(self, lineage: str, segments: t.Iterable[Segment]) -> None:
        """What the repository's records end with, so that a hole behind it is seen."""
        places: list[_Place] = []
        for segment in segments:
            with contextlib.suppress(StreamSegmentRefused):  # a room may call the file otherwise than the segment
                places.append(_Place(self._order(segment.name), segment))
        if places:
            self._last.setdefault(lineage, max(places, key=lambda place: place.order))

    def keep(self, entries: t.Collection[SpoolEntry]) -> None:
        """Forget everything about files that are no longer in the spool."""
        self._recorded = {entry: segment for entry, segment in self._recorded.items() if entry in entries}
        self._stored = {entry: segment for entry, segment in self._stored.items() if entry in entries}

    def never_before(self, lineage: str, moment: datetime.datetime) -> None:
        """No record of the lineage is made for an earlier time from now on: the hours before have their index."""
        self._not_before[lineage] = max(moment, self._not_before.get(lineage, moment))

    def write(self, waiting: t.Sequence[WaitingSegment], *, stopping: t.Callable[[], bool]) -> None:
        """Store and record *waiting*, which is in order of commitment, and the events that nobody recorded here yet.

        Ends after the segments on their way when *stopping* says so. Raises LifeboatError; what was done before it is
        done, and :attr:`done` says what.
        """
        self.done = Progressed()
        if self._sent is not None:
            self._settle(self._sent)
        by_lineage: dict[str, list[WaitingSegment]] = {}
        for each in waiting:
            if not self.has(each.entry):
                by_lineage.setdefault(each.folder.lineage, []).append(each)
        problem: StreamError | None = None
        for lineage, segments in by_lineage.items():
            try:
                self._write_lineage(lineage, segments, stopping=stopping)
            except StreamError as error:
                # What is wrong with one lineage says nothing about the others.
                problem = problem or error
        if problem is not None:
            raise problem

    def write_events(self, folder: StreamFolder) -> None:
        """Record events for which no segment came along. Raises LifeboatError."""
        if self._notes.events_for(self.name, folder.lineage):
            self._record(folder, [])

    def _write_lineage(
        self, lineage: str, waiting: t.Sequence[WaitingSegment], *, stopping: t.Callable[[], bool]
    ) -> None:
        folder = waiting[0].folder
        known = self._learn(folder, waiting)
        left: list[WaitingSegment] = []
        for each in waiting:
            if each.name in known:
                self._accept(each, known[each.name])
            else:
                left.append(each)
        self._known[lineage] = {}  # what comes from now on under an old name is looked at in the repository
        if left:
            self._store_in_order(folder, left, stopping=stopping)

    def _learn(self, folder: StreamFolder, waiting: t.Sequence[WaitingSegment]) -> dict[str, str]:
        """Which of the names were recorded before this process began: asked once for each lineage."""
        known = self._known.get(folder.lineage)
        if known is not None:
            return known
        known = self._notes.recorded(self.name, folder.lineage)
        names = {each.name for each in waiting}
        since = hour_of(min(each.entry.modified for each in waiting) - _CLOCKS_DIFFER)
        try:
            # Also what retention is removing: a segment that is recorded anew could be gone the moment after.
            now = self._host.clock.now()
            found = read_records(self.storage, folder, since=since, now=now, seen=self._seen, below_floor=True)
        except StorageForbidden:
            self.may_read = False
        else:
            # The records are the truth; the notes are of a repository that may have lost something since.
            known = {}
            for record in found.records:
                known.update((each.name, each.plain_sha256) for each in record.segments if each.name in names)
            for problem in found.problems:
                self._host.journal.warning(f"{self.name}: {problem.message} [{problem.code}]")
        return {name: plain for name, plain in known.items() if name in names}

    def _accept(self, waiting: WaitingSegment, plain_sha256: str) -> None:
        """It was recorded by an earlier run, if it is the same; only then may it leave the spool."""
        if self._segments.plain_sha256(waiting.entry) != plain_sha256:
            raise StreamConflict(
                f"{waiting.entry.path} holds other bytes than those recorded as {waiting.name} in {self.name}.",
                hint="Two servers write into one archive, or this one was set back without a new timeline. "
                "Find out which bytes are right before anything is removed.",
                details={"segment": waiting.name, "path": waiting.entry.path},
            )
        self._recorded[waiting.entry] = None

    def _store_in_order(
        self, folder: StreamFolder, waiting: t.Sequence[WaitingSegment], *, stopping: t.Callable[[], bool]
    ) -> None:
        queue = collections.deque(waiting)
        running: collections.deque[tuple[WaitingSegment, concurrent.futures.Future[Segment]]] = collections.deque()
        ready: list[WaitingSegment] = []
        problem: LifeboatError | None = None
        clock = self._host.clock
        last = clock.monotonic()
        with concurrent.futures.ThreadPoolExecutor(max_workers=self._parallel) as pool:
            while queue or running:
                if stopping() or problem is not None:
                    queue.clear()
                while queue and len(running) < self._parallel:
                    each = queue.popleft()
                    running.append((each, pool.submit(self._store, each)))
                if not running:
                    break
                each, future = running.popleft()
                try:
                    self._stored[each.entry] = future.result()
                except LifeboatError as error:
                    problem = problem or error
                if problem is not None:
                    continue  # what is stored behind it stays without a record until it is there, too
                ready.append(each)
                is_time = clock.monotonic() - last >= _RECORD_SECONDS or not (queue or running)
                if len(ready) >= MOST_SEGMENTS or is_time:
                    self._record(folder, ready)
                    ready = []
                    last = clock.monotonic()
        if ready:
            self._record(folder, ready)
        if problem is not None:
            raise problem

    def _store(self, waiting: WaitingSegment) -> Segment:
        known = self._stored.get(waiting.entry)
        if known is not None and not may_be_recorded(known.stored, now=self._host.clock.now()):
            known = None
        segment = known or self._segments.store(waiting.folder, waiting.entry, waiting.description)
        if known is None:
            self._stored[waiting.entry] = segment
        self._segments.require_alone(waiting.folder, segment)
        return segment

    def _record(self, folder: StreamFolder, waiting: t.Sequence[WaitingSegment]) -> None:
        """Write the record of what is stored; each segment was looked at for another of its name."""
        made = max(self._host.clock.now(), self._not_before.get(folder.lineage, _BEGINNING))
        if made <= self._made < made + _SMALL_STEP:
            made = self._made + datetime.timedelta(microseconds=1)
        self._made = made
        record = Record(
            record_id=new_backup_id(now=made),
            folder=folder,
            engine=self._engine,
            made=made,
            host=self._host.name,
            lifeboat_version=VERSION,
            segments=tuple(self._stored[each.entry] for each in waiting),
            events=self._notes.events_for(self.name, folder.lineage),
        )
        key = folder.record_key(hour_of(made), record.record_id)
        self._sent = _Sent(key=key, data=_bytes_of(record, key), record=record, waiting=tuple(waiting))
        self._settle(self._sent)

    def _settle(self, sent: _Sent) -> None:
        """Have the record stored for certain, in an hour of which no index can exist yet."""
        clock = self._host.clock
        latest = hour_end(hour_of(sent.record.made)) + SETTLED_WITHIN
        if clock.now() <= latest:
            try:
                self.storage.put(sent.key, sent.data)
            except StorageExists:
                self._require_same(sent)
        if clock.now() > latest:
            # It came so late that an index of its hour may have been made without it. Twice recorded is recorded.
            self._sent = None
            for each, segment in zip(sent.waiting, sent.record.segments):
                self._stored.setdefault(each.entry, segment)
            now = clock.now()
            if all(may_be_recorded(self._stored[each.entry].stored, now=now) for each in sent.waiting):
                self._record(sent.record.folder, sent.waiting)
            return  # else they wait to be stored anew, like what nobody stored yet
        self._sent = None
        self._done(sent)

    def _require_same(self, sent: _Sent) -> None:
        """An earlier try whose answer was lost has stored it: its name is random, and nobody else's."""
        try:
            if self.storage.get(sent.key) != sent.data:
                raise StreamConflict(
                    f"{sent.key} is there already, with another content.",
                    hint="Somebody copied or changed records by hand; compare it with the other repositories.",
                    details={"key": sent.key},
                )
        except StorageForbidden:
            return

    def _done(self, sent: _Sent) -> None:
        record, lineage = sent.record, sent.record.folder.lineage
        for each, segment in zip(sent.waiting, record.segments):
            self._recorded[each.entry] = segment
            self._stored.pop(each.entry, None)
            self._watch_for_holes(lineage, _Place(self._order(each.entry.name), segment))
        self.done.segments.setdefault(lineage, []).extend(record.segments)
        self.done.events += len(record.events)
        try:
            self._notes.note_events(self.name, lineage, record.events)
            self._notes.note_recorded(self.name, lineage, record.segments)
        except StateDirectoryUnusable as error:
            # The records are the truth, and shipping is what makes room on a full disk.
            self._host.journal.warning(f"What was recorded in {self.name} is not noted: {error.message}")

    def _watch_for_holes(self, lineage: str, place: _Place) -> None:
        holes = self._holes.setdefault(lineage, [])
        last = self._last.get(lineage)
        if last is None or place.order > last.order:
            self._last[lineage] = place
            if last is not None and not self._follows(last.segment, place.segment):
                holes.append((last, place))
                del holes[:-_MOST_HOLES]
            return
        # It came later than what is behind it: a hole that the source has mended, or a part of it.
        for hole in list(holes):
            before, after = hole
            if before.order < place.order < after.order:
                holes.remove(hole)
                parts = ((before, place), (place, after))
                holes += [part for part in parts if not self._follows(part[0].segment, part[1].segment)]


def _bytes_of(record: Record, key: str) -> bytes:
    """Prove, before anything depends on it, that readers will take the record for what it is."""
    try:
        data = record.as_bytes()
    except (TypeError, ValueError, RecursionError) as error:
        raise StreamSegmentRefused(
            f"{key} can't be written: {type(error).__name__}: {error}.",
            hint="Please report this with the versions of the server and of Lifeboat.",
            details={"lineage": record.folder.lineage},
        ) from error
    parse_record(data, folder=record.folder, key=key)
    return data
