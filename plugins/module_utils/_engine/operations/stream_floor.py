# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raising the floor of a lineage: before anything goes it is known what stays, and the floor holds what must last."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, replace

from ..core.errors import StorageExists
from ..core.host import Host
from ..core.version import VERSION
from ..retention.stream_hours import StreamSummary
from ..storage.base import Storage
from ..streams.by_hour import each_hour
from ..streams.floors import Floor, read_floor
from ..streams.hours import find_hours
from ..streams.layout import hour_of
from ..streams.record import Record

# Hours so short before a summary was made may have been recorded into since.
_MAY_GROW = datetime.timedelta(hours=2)


@dataclass(frozen=True)
class Staying:
    """What hours from a floor on name, as far as an earlier hour may name it, too: hashes of the objects' names.

    *nothing*: there is no such hour, so the whole lineage goes.
    """

    objects: frozenset[int]
    nothing: bool

    def names(self, stored_name: str) -> bool:
        """Whether that object stays. Of two objects with one hash both do."""
        return hash(stored_name) in self.objects


def what_stays(storage: Storage, summary: StreamSummary, *, floor: str, now: datetime.datetime) -> Staying:
    """Read again what was recorded since *summary* was made, and the hours that may repeat earlier ones.

    Raises what can't be read of them: nobody would know what it names.
    """
    hours = find_hours(storage, summary.folder, now=now)
    known = {hour.key for hour in summary.entry.hours}
    grown = hour_of(summary.made - _MAY_GROW)
    counting = {hour for hour in (*hours.indexed, *hours.loose) if hour >= floor}
    doubtful = {hour for hour in counting if hour not in known or hour >= grown}
    doubtful |= counting.intersection(summary.doubtful_from(floor))
    looked_at = replace(
        hours,
        indexed=tuple(hour for hour in hours.indexed if hour in doubtful),
        loose=tuple(sorted(doubtful)),
    )
    objects: set[int] = set()
    nothing = not any(hour >= floor for hour in known)
    with each_hour(storage, summary.folder, looked_at) as found:
        for one in found:
            nothing = False
            if one.problems:
                raise one.problems[0]
            for record in one.records:
                objects.update(hash(segment.payload.name) for segment in record.segments)
    return Staying(objects=frozenset(objects), nothing=nothing)


def raise_floor(
    storage: Storage, summary: StreamSummary, *, hour: str, before: Floor | None, staying: Staying, host: Host
) -> Floor:
    """Write the floor at *hour*. What lasts is held by it before its own records count no longer."""
    lasting = joined(before.records if before else (), summary.lasting_before(hour))
    floor = Floor(
        folder=summary.folder,
        engine=summary.entry.engine,
        hour=hour,
        made=host.clock.now(),
        host=host.name,
        lifeboat_version=VERSION,
        ends=summary.ends_before(hour),
        records=() if staying.nothing else lasting,
    )
    try:
        storage.put(summary.folder.floor_key(hour), floor.as_bytes())
    except StorageExists:
        # Another run's, or our own whose answer was lost. What lasts and is not in it is found hour by hour.
        return read_floor(storage, summary.folder, hour)
    return floor


def hold_too(storage: Storage, floor: Floor, records: t.Sequence[Record]) -> Floor:
    """The floor as it is stored, which holds these records as well from now on."""
    current = read_floor(storage, floor.folder, floor.hour)
    larger = replace(current, records=joined(current.records, records))
    if larger.records != current.records:
        storage.put(floor.folder.floor_key(floor.hour), larger.as_bytes(), if_absent=False)
    return larger


def joined(records: t.Iterable[Record], others: t.Iterable[Record]) -> tuple[Record, ...]:
    """All of them, each once: of two parts of a record one with the segments of both."""
    found: dict[str, Record] = {}
    for record in (*records, *others):
        known = found.get(record.record_id)
        names = {segment.name for segment in known.segments} if known else set()
        segments = tuple(segment for segment in record.segments if segment.name not in names)
        found[record.record_id] = replace(known, segments=(*known.segments, *segments)) if known else record
    return tuple(sorted(found.values(), key=lambda one: (one.made, one.record_id)))
