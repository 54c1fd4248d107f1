# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one repository lacks of one lineage, from those that have it: segments first, then records that name them.

Each segment is hashed on its way and stored under its own name, or beside it where other bytes lie under that (two
encryptions of the same WAL differ). Then a record is written as a shipper would write it that had been cut off for a
while. Whatever dies in between leaves objects without a record, which the next copy finds, reads and records.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import secrets
import typing as t
from dataclasses import dataclass

from ..core.errors import (
    Interrupted,
    LifeboatError,
    StorageError,
    StorageExists,
    StorageForbidden,
    StorageNotFound,
    StreamConflict,
    StreamError,
)
from ..core.host import Host
from ..storage.base import ObjectInfo
from ..streams.by_hour import HourOfRecords
from ..streams.floors import floor_hour, floor_hours, read_floor
from ..streams.index_writer import write_indexes
from ..streams.layout import StreamFolder, plain_sha256_in
from ..streams.record_writer import MOST_SEGMENTS
from ..streams.segment import Segment, StreamEvent
from ..streams.unrecorded import may_be_taken, time_of_storage
from .ahead import Stopping, in_order, workers
from .copy_lacking import LackingSegments
from .copy_object import Expected, ObjectCopier, Place, SourceFailed
from .copy_records import CopiedRecords
from .copy_results import StreamOutcome
from .copy_values import PlannedStream
from .recorded_hours import read_hours

_BEGINNING = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@dataclass(frozen=True)
class _Stored:
    """A segment as it lies in the target; *kept*: it lay there already."""

    segment: Segment
    kept: bool


class StreamCopy:
    """One planned lineage; *sources* by name, in the order in which they are tried."""

    def __init__(
        self,
        planned: PlannedStream,
        *,
        lacking: LackingSegments,
        copier: ObjectCopier,
        sources: t.Sequence[Place],
        wanted_hour: t.Callable[[str], bool],
        host: Host,
        parallel: int,
        stopping: Stopping,
    ) -> None:
        self._planned = planned
        self._folder: StreamFolder = planned.folder
        self._lacking = lacking
        self._copier = copier
        self._target = copier.target
        self._sources = sources
        self._wanted_hour = wanted_hour
        self._host = host
        self._parallel = parallel
        self._stopping = stopping
        self._records: CopiedRecords | None = None
        self._kept_since = _BEGINNING
        self._skew: datetime.timedelta | None = None
        self._outcome = StreamOutcome(planned=planned)
        self._failed: set[str] = set()  # names that a source could not give
        self._gone: set[str] = set()  # names that a source removed meanwhile
        self._lost_source = False  # one of them ended in the middle
        self._hours_removed = False  # a source removed hours before they were read

    def run(self) -> StreamOutcome:
        """Do it; whatever goes wrong is in the outcome. Only being told to stop comes out of it."""
        try:
            self._skew = self._ask_for_skew()
            self._respect_floor()
            for source in self._sources:
                self._copy_from(source)
            self._write_indexes()
        except Interrupted:
            raise
        except LifeboatError as error:
            error.details.setdefault("repository", self._target.name)
            self._count(error=error)
        return self._with_what_is_lacking()

    def _with_what_is_lacking(self) -> StreamOutcome:
        gone = len(self._gone - self._failed)
        lacking = max(self._planned.segments - self._outcome.segments - gone, len(self._failed))
        if self._hours_removed and self._outcome.error is None:
            # Whole hours that the source's retention removed meanwhile, and nothing else went wrong.
            gone, lacking = gone + lacking - len(self._failed), len(self._failed)
        return dataclasses.replace(self._outcome, lacking=lacking, gone=gone)

    def _ask_for_skew(self) -> datetime.timedelta | None:
        """By how much the target's clock is ahead of ours; None where it does not say."""
        clock = self._host.clock
        now = time_of_storage(self._target.storage, clock=clock)
        return None if now is None else now - clock.now()

    def _respect_floor(self) -> None:
        """What was stored before retention moved the floor may be on retention's list: it is not counted on."""
        hours = floor_hours(self._target.storage, self._folder)
        if not hours:
            return
        try:
            made = read_floor(self._target.storage, self._folder, hours[-1]).made
        except StreamError:
            made = self._host.clock.now()
        self._kept_since = max(self._kept_since, made)

    def _copy_from(self, source: Place) -> None:
        planned = frozenset(self._planned.hours.get(source.name, ()))
        # What an earlier source could not give is looked for in all hours of this one.
        retried = frozenset(self._failed | self._gone)
        all_hours = bool(retried) or self._lost_source
        if not planned and not all_hours:
            return
        seen: set[str] = set()
        try:
            for hour in self._hours(source, lambda hour: hour in planned or (all_hours and self._wanted_hour(hour))):
                self._stopping.check()
                seen.add(hour.hour)
                for problem in hour.problems:
                    self._lost_source = True
                    self._host.journal.warning(f"{source.name}: {problem.message}")
                    self._count(error=problem)
                is_whole = self._lost_source or hour.hour in planned or not hour.hour
                self._copy_hour(source, hour, only=None if is_whole else retried)
            unseen = planned - seen
            self._hours_removed = self._hours_removed or bool(unseen and self._was_removed(source, min(unseen)))
        except SourceFailed as failed:
            self._lost_source = True
            self._host.journal.warning(f"{self._folder.prefix} can't be copied from {source.name}: {failed.error}")
            self._count(error=failed.error)

    def _hours(self, source: Place, wanted: t.Callable[[str], bool]) -> t.Iterator[HourOfRecords]:
        try:
            yield from read_hours(source.storage, self._folder, clock=self._host.clock, wanted=wanted)
        except StorageError as error:
            raise SourceFailed(error, source=source.name) from error

    def _copy_hour(self, source: Place, hour: HourOfRecords, *, only: t.Collection[str] | None) -> None:
        named = [segment for record in hour.records for segment in record.segments]
        lacking = [one for one in self._lacking.is_lacking(named) if only is None or one.name in only]
        events = [event for record in hour.records for event in record.events if self._lacking.lacks_event(event)]
        if not lacking and not events:
            return
        if self._records is None:
            engine = self._lacking.engine or hour.records[0].engine
            self._records = CopiedRecords(
                storage=self._target.storage, folder=self._folder, engine=engine, host=self._host
            )
        ready: list[_Stored] = []
        with workers(self._parallel, stopping=self._stopping) as pool:
            work = functools.partial(self._store, source=source)
            for segment, future in in_order(pool, work, lacking, ahead=2 * self._parallel):
                try:
                    ready.append(future.result())
                except SourceFailed as failed:
                    self._note_failure(segment, failed, source=source, hour=hour.hour)
                except StreamConflict as error:
                    self._failed.add(segment.name)
                    self._count(error=error)
                if len(ready) >= MOST_SEGMENTS:
                    self._record(ready, events)
                    ready, events = [], []
        if ready or events:
            self._record(ready, events)

    def _record(self, ready: t.Sequence[_Stored], events: t.Sequence[StreamEvent]) -> None:
        if self._records is None:
            return
        record = self._records.write([one.segment for one in ready], events)
        self._lacking.note_recorded(record)
        names = {segment.name for segment in record.segments}
        self._failed -= names
        self._gone -= names
        self._count(
            segments=len(ready),
            kept=sum(1 for one in ready if one.kept),
            bytes=sum(one.segment.payload.size for one in ready if not one.kept),
            events=len(events),
        )

    def _store(self, segment: Segment, *, source: Place) -> _Stored:
        """The segment in the target. Raises SourceFailed, StreamConflict, and what the target raises."""
        self._stopping.check()
        payload, group = segment.payload, segment.description.group
        expected = Expected(self._folder.segment_key(group, payload.name), payload.size, payload.sha256)
        kept = self._kept(segment, expected)
        if kept is not None:
            return kept
        key = expected.key
        try:
            self._copier.copy(expected, source=source, key=key)
        except StorageExists:
            # Another copy was faster; or other bytes lie there, or old ones that somebody may be about to sweep.
            kept = self._kept(segment, expected)
            if kept is not None:
                return kept
            key = self._folder.segment_key(group, _name_beside(segment))
            self._copier.copy(expected, source=source, key=key)
        # Of two who store different bytes at the same time, one sees the other.
        self._stored_under(segment)
        return _Stored(_called(segment, key), kept=False)

    def _kept(self, segment: Segment, expected: Expected) -> _Stored | None:
        """The segment as it lies there already, byte for byte; None when it doesn't. Raises StreamConflict."""
        for info in self._stored_under(segment):
            is_whole = info.size == expected.size and self._may_be_taken(info)
            if is_whole and self._copier.has(expected, key=info.key):
                return _Stored(_called(segment, info.key), kept=True)
        return None

    def _may_be_taken(self, info: ObjectInfo) -> bool:
        """Whether nobody sweeps it yet, and no retention knows it."""
        if self._skew is None or info.modified <= self._kept_since:
            return False
        return may_be_taken(info, now=self._host.clock.now() + self._skew)

    def _stored_under(self, segment: Segment) -> list[ObjectInfo]:
        """The objects of that segment in the target. Raises StreamConflict when one has other bytes."""
        prefix = self._folder.group_prefix(segment.description.group)
        found = []
        for info in self._target.storage.list(f"{prefix}{segment.name}."):
            plain = plain_sha256_in(info.key[len(prefix) :], segment.name)
            if plain == segment.plain_sha256:
                found.append(info)
            elif plain is not None:
                raise StreamConflict(
                    f"{info.key} holds other bytes in {self._target.name} than {segment.name} in the other "
                    "repositories; neither was replaced.",
                    hint="Two servers write into one archive, or one was set back. Find out which bytes are right "
                    "before anything is removed.",
                    details={"segment": segment.name, "key": info.key},
                )
        return found

    def _note_failure(self, segment: Segment, failed: SourceFailed, *, source: Place, hour: str) -> None:
        if isinstance(failed.error, StorageNotFound) and self._was_removed(source, hour):
            self._gone.add(segment.name)
            return
        self._failed.add(segment.name)
        self._host.journal.warning(f"{segment.name} can't be copied from {source.name}: {failed.error.message}")
        self._count(error=failed.error)
        if not isinstance(failed.error, StorageNotFound) and isinstance(failed.error, StorageError):
            raise failed  # it does not answer: nor will it for the others

    def _was_removed(self, source: Place, hour: str) -> bool:
        """Whether the source's retention has moved its floor above the hour meanwhile."""
        try:
            return bool(hour) and floor_hour(source.storage, self._folder) > hour
        except StorageError:
            return False

    def _write_indexes(self) -> None:
        """As a shipper does for its own: repositories that only copies reach have nobody else to do it."""
        try:
            indexed = write_indexes(self._target.storage, self._folder, now=self._host.clock.now())
        except StorageForbidden:
            return
        for problem in indexed.problems:
            self._host.journal.warning(f"{self._target.name}: {problem.message}")

    def _count(
        self,
        *,
        segments: int = 0,
        kept: int = 0,
        bytes: int = 0,  # noqa: A002 - as it is called in the outcome
        events: int = 0,
        error: LifeboatError | None = None,
    ) -> None:
        before = self._outcome
        self._outcome = dataclasses.replace(
            before,
            segments=before.segments + segments,
            kept=before.kept + kept,
            bytes=before.bytes + bytes,
            events=before.events + events,
            error=before.error or error,
        )


def _called(segment: Segment, key: str) -> Segment:
    """The same under the name that it has in the target; stored when it was first, for some have no better time."""
    return dataclasses.replace(segment, payload=dataclasses.replace(segment.payload, name=key.rpartition("/")[2]))


def _name_beside(segment: Segment) -> str:
    """Another name for the same bytes, that nobody has."""
    stem = f"{segment.name}.{segment.plain_sha256}"
    return f"{stem}.{secrets.token_hex(3)}{_suffixes(segment)}"


def _suffixes(segment: Segment) -> str:
    payload = segment.payload
    return (".zst" if payload.compression else "") + (".age" if payload.encryption else "")
