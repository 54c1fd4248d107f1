# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository's lane: it ships in a thread of its own, and comes back by itself when it failed."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ..core.errors import LifeboatError, StateDirectoryUnusable
from ..core.host import Host
from ..streams.index_writer import Indexed, last_due_hour, sweep_uploads, write_indexes
from ..streams.layout import StreamFolder, hour_end
from ..streams.notes import StreamNotes
from ..streams.record_writer import RecordWriter
from ..streams.segment import Segment
from ..streams.spool import SpoolEntry
from ..streams.waiting import SpoolView, WaitingSegment

_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0


class Lane:
    """*error* is why the last attempt ended early; None when all that it was given is recorded."""

    def __init__(self, *, writer: RecordWriter, notes: StreamNotes, host: Host) -> None:
        self.name = writer.name
        self.writer = writer
        self.error: LifeboatError | None = None
        self.segments = 0
        self.stored_bytes = 0
        self.events = 0
        self.newest: Segment | None = None
        self.holes: list[tuple[str, str]] = []
        self.unread: tuple[LifeboatError, ...] = ()
        self._notes = notes
        self._host = host
        self._folders: dict[str, StreamFolder] = {}
        self._work: concurrent.futures.Future[None] | None = None
        self._failures = 0
        self._next_try = float("-inf")

    @property
    def work(self) -> concurrent.futures.Future[None] | None:
        """What runs now."""
        return self._work

    @property
    def url(self) -> str:
        """For people."""
        return self.writer.storage.properties.url

    def waiting(self, view: SpoolView) -> list[WaitingSegment]:
        """What has no record here."""
        return [each for each in view.segments if not self.writer.has(each.entry)]

    def know(self, folder: StreamFolder) -> None:
        """A lineage that is looked after: its events are recorded, its hours get their index."""
        self._folders[folder.lineage] = folder

    def start(
        self, view: SpoolView, *, pool: concurrent.futures.Executor, stopping: t.Callable[[], bool], again: bool
    ) -> bool:
        """Begin to work, when there is anything to do and it is time. Without *again* not after a failure."""
        if self._work is not None or self._host.clock.monotonic() < self._next_try or (self.error and not again):
            return False
        waiting = self.waiting(view)
        for each in waiting:
            self.know(each.folder)
        if not waiting and not self._has_duties():
            self.error = None
            return False
        self._work = pool.submit(self._run, waiting, stopping)
        return True

    def collect(self) -> bool:
        """Take note of what the thread has done, when it has ended; whether it has."""
        if self._work is None or not self._work.done():
            return False
        work, self._work = self._work, None
        try:
            work.result()
            self.error = None
            self._failures = 0
        except LifeboatError as error:
            self.error = error
            self._failures += 1
            delay = min(_FIRST_DELAY * 2 ** (self._failures - 1), _LONGEST_DELAY)
            self._next_try = self._host.clock.monotonic() + delay
        done = self.writer.done
        recorded = [segment for segments in done.segments.values() for segment in segments]
        self.segments += len(recorded)
        self.stored_bytes += sum(segment.payload.size for segment in recorded)
        self.events += done.events
        self.holes = self.writer.holes
        self.newest = recorded[-1] if recorded else self.newest
        return True

    def keep(self, entries: t.Collection[SpoolEntry]) -> None:
        """Forget files that left the spool; only while nothing runs."""
        if self._work is None:
            self.writer.keep(entries)

    def _has_duties(self) -> bool:
        return bool(set(self._notes.lineages_with_events(self.name)) & set(self._folders)) or any(
            self._is_index_due(folder) for folder in self._folders.values()
        )

    def _is_index_due(self, folder: StreamFolder) -> bool:
        if not self.writer.may_read:
            return False
        return self._notes.indexed_to(self.name, folder.lineage) < last_due_hour(self._host.clock.now())

    def _run(self, waiting: t.Sequence[WaitingSegment], stopping: t.Callable[[], bool]) -> None:
        self.writer.write(waiting, stopping=stopping)
        for lineage in self._notes.lineages_with_events(self.name):
            if lineage in self._folders:
                self.writer.write_events(self._folders[lineage])
        for folder in list(self._folders.values()):
            if not stopping() and self._is_index_due(folder):
                self._index(folder)

    def _index(self, folder: StreamFolder) -> None:
        """Once an hour: the index of the hour that is over, and an end to uploads of runs that died."""
        now = self._host.clock.now()
        found: Indexed = write_indexes(self.writer.storage, folder, now=now)
        self.unread = found.problems
        if found.to is None:
            self.writer.may_read = False
            return
        if found.written:
            self._host.journal.info(f"{self.name}: {folder.lineage}: {len(found.written)} hours indexed.")
        self.writer.never_before(folder.lineage, hour_end(found.to))
        sweep_uploads(self.writer.storage, folder.prefix, now=now)
        try:
            self._notes.note_indexed(self.name, folder.lineage, found.to)
        except StateDirectoryUnusable as error:
            self._host.journal.warning(f"What was indexed in {self.name} is not noted: {error.message}")
