# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one repository lacks of one lineage, found by one pass over the records of each, in constant memory."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock, format_time
from ..core.errors import LifeboatError, StreamConflict
from ..streams.layout import StreamFolder
from ..streams.record import Record
from ..streams.segment import Segment, StreamEvent
from .copy_object import Place
from .copy_values import PlannedStream, TargetPolicy
from .name_table import NameTable, number_of
from .recorded_hours import read_hours

# The second number of a name: recorded in the target, or found to be lacking there.
_RECORDED, _LACKING = 0, 1
_MOST_PROBLEMS = 50


@dataclass
class _Count:
    segments: int = 0
    bytes: int = 0
    events: int = 0
    passed_over: int = 0


@dataclass
class LackingSegments:
    """One lineage in one target. *names* holds what its records name; close it when done.

    *problems* are records that could not be read, and names that hold other bytes here than there.
    """

    folder: StreamFolder
    target: Place
    names: NameTable
    engine: str = ""
    events: set[tuple[str, str, str]] = field(default_factory=set)
    problems: list[LifeboatError] = field(default_factory=list)

    def is_lacking(self, segments: t.Sequence[Segment]) -> list[Segment]:
        """Those of *segments* that the target has no record of; names that mean other bytes there are left out."""
        known = self.names.find([segment.name for segment in segments])
        lacking: dict[str, Segment] = {}
        for segment in segments:
            numbers = known.get(segment.name)
            if numbers is None or numbers[1] == _LACKING:
                lacking.setdefault(segment.name, segment)
        return list(lacking.values())

    def lacks_event(self, event: StreamEvent) -> bool:
        """Whether no record of the target tells of it."""
        return event_key(event) not in self.events

    def note_recorded(self, record: Record) -> None:
        """The target has this record now."""
        self.names.replace((one.name, number_of(one.plain_sha256), _RECORDED) for one in record.segments)
        self.events.update(event_key(event) for event in record.events)
        self.engine = self.engine or record.engine

    def note_problem(self, problem: LifeboatError, *, repository: str) -> None:
        """Keep the first ones."""
        problem.details.setdefault("repository", repository)
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def event_key(event: StreamEvent) -> tuple[str, str, str]:
    """What makes two records' events the same one."""
    return event.what, format_time(event.at), event.reason


def read_target(target: Place, folder: StreamFolder, *, clock: Clock, check_objects: bool) -> LackingSegments:
    """What the target's records name. With *check_objects*, what they name and is not there, sized so, does not count.

    Raises StorageError when the target can't be read: then nobody knows what it lacks.
    """
    found = LackingSegments(folder=folder, target=target, names=NameTable())
    try:
        for hour in read_hours(target.storage, folder, clock=clock):
            for problem in hour.problems:
                found.note_problem(problem, repository=target.name)
            for record in hour.records:
                found.note_recorded(record)
        if check_objects:
            _forget_missing(found, clock=clock)
    except BaseException:
        found.names.close()
        raise
    return found


def find_lacking(
    found: LackingSegments,
    sources: t.Sequence[Place],
    *,
    policy: TargetPolicy,
    floor: str,
    clock: Clock,
) -> PlannedStream:
    """What the target is to get from which hours of *sources*, which are tried in that order.

    What a source recorded before the hour *floor* was removed from the target by its retention, or would have been.
    A source that can't be read is a problem of *found*.
    """
    count = _Count()
    hours: dict[str, tuple[str, ...]] = {}
    for source in sources:
        try:
            named = tuple(_lacking_hours(found, source, policy=policy, floor=floor, clock=clock, count=count))
        except LifeboatError as error:
            found.note_problem(error, repository=source.name)
            continue
        if named:
            hours[source.name] = named
    return PlannedStream(
        folder=found.folder,
        target=found.target.name,
        hours=hours,
        segments=count.segments,
        bytes=count.bytes,
        events=count.events,
        passed_over=count.passed_over,
    )


def _lacking_hours(
    found: LackingSegments, source: Place, *, policy: TargetPolicy, floor: str, clock: Clock, count: _Count
) -> t.Iterator[str]:
    planned_events: set[tuple[str, str, str]] = set()
    for hour in read_hours(source.storage, found.folder, clock=clock):
        for problem in hour.problems:
            found.note_problem(problem, repository=source.name)
        segments = [segment for record in hour.records for segment in record.segments]
        known = found.names.find([segment.name for segment in segments])
        lacking: dict[str, Segment] = {}
        for segment in segments:
            numbers = known.get(segment.name)
            if numbers is None:
                lacking.setdefault(segment.name, segment)
            elif numbers[0] != number_of(segment.plain_sha256):
                found.note_problem(_conflict(found, source, segment), repository=found.target.name)
        events = {
            event_key(event) for record in hour.records for event in record.events if found.lacks_event(event)
        } - planned_events
        if hour.hour and (hour.hour < floor or not policy.wanted_hour(found.folder, hour.hour)):
            count.passed_over += len(lacking)
            continue
        found.names.add((one.name, number_of(one.plain_sha256), _LACKING) for one in lacking.values())
        planned_events |= events
        count.segments += len(lacking)
        count.bytes += sum(one.payload.size for one in lacking.values())
        count.events += len(events)
        if lacking or events:
            yield hour.hour


def _forget_missing(found: LackingSegments, *, clock: Clock) -> None:
    """Let what is recorded and not stored count as lacking, so that it is stored and recorded once more."""
    objects = NameTable()
    try:
        prefix = f"{found.folder.prefix}segments/"
        objects.add((info.key, info.size, 0) for info in found.target.storage.list(prefix))
        for hour in read_hours(found.target.storage, found.folder, clock=clock):
            keys = {
                found.folder.segment_key(one.description.group, one.payload.name): one
                for record in hour.records
                for one in record.segments
            }
            sizes = objects.find(list(keys))
            # Marked as seen is what must stay; of a name that is recorded twice, one whole object is enough.
            found.names.see(one.name for key, one in keys.items() if key in sizes and sizes[key][0] == one.payload.size)
        found.names.forget_unseen()
    finally:
        objects.close()


def _conflict(found: LackingSegments, source: Place, segment: Segment) -> StreamConflict:
    return StreamConflict(
        f"{found.folder.prefix}: {segment.name} holds other bytes in {found.target.name} than in {source.name}; "
        "neither was replaced.",
        hint="Two servers write into one archive, or one was set back. Find out which bytes are right: "
        f"lifeboat windows --repository {source.name}",
        details={"segment": segment.name, "source": source.name},
    )
