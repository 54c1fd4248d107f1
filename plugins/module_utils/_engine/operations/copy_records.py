# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of segments that were copied: made as a shipper makes them, in an hour of which no index can exist yet."""

from __future__ import annotations

import datetime
import typing as t

from ..core.errors import StorageExists, StreamConflict
from ..core.host import Host
from ..core.ids import new_backup_id
from ..core.version import VERSION
from ..storage.base import Storage
from ..streams.hours import find_newest_hours
from ..streams.layout import StreamFolder, hour_end, hour_of
from ..streams.record import Record
from ..streams.record_writer import SETTLED_WITHIN
from ..streams.segment import Segment, StreamEvent

_BEGINNING = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_STEP = datetime.timedelta(microseconds=1)


class CopiedRecords:
    """Writes the records of one lineage in one repository, one after the other."""

    def __init__(self, *, storage: Storage, folder: StreamFolder, engine: str, host: Host) -> None:
        """Raises what the storage raises."""
        self._storage = storage
        self._folder = folder
        self._engine = engine
        self._host = host
        newest = find_newest_hours(storage, folder, now=host.clock.now()).indexed
        # Whose clock is behind must not write into an hour that has its index.
        self._not_before = hour_end(newest[-1]) if newest else _BEGINNING

    def write(self, segments: t.Sequence[Segment], events: t.Sequence[StreamEvent]) -> Record:
        """Have a record of them stored, durably; the segments are there already. Raises what the storage raises."""
        clock = self._host.clock
        while True:
            made = max(clock.now(), self._not_before)
            self._not_before = made + _STEP
            record = self._record(made, segments, events)
            self._put(record)
            if clock.now() <= hour_end(hour_of(made)) + SETTLED_WITHIN:
                return record
            # It came so late that an index of its hour may have been made without it. Twice recorded is recorded.

    def _record(
        self, made: datetime.datetime, segments: t.Sequence[Segment], events: t.Sequence[StreamEvent]
    ) -> Record:
        return Record(
            record_id=new_backup_id(now=made),
            folder=self._folder,
            engine=self._engine,
            made=made,
            host=self._host.name,
            lifeboat_version=VERSION,
            segments=tuple(segments),
            events=tuple(events),
        )

    def _put(self, record: Record) -> None:
        key, data = self._folder.record_key(hour_of(record.made), record.record_id), record.as_bytes()
        try:
            self._storage.put(key, data)
        except StorageExists:
            # An earlier try whose answer was lost: its name is random, and nobody else's.
            if self._storage.get(key) != data:
                raise StreamConflict(
                    f"{key} is there already, with another content.",
                    hint="Somebody copied or changed records by hand; compare it with the other repositories.",
                    details={"key": key},
                ) from None
