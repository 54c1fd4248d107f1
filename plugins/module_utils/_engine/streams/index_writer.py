# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the indexes of hours that are over, from the records as they are read back; and sweeping dead uploads."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from ..core.errors import LifeboatError, StorageExists, StorageForbidden, StreamError
from ..storage.base import Storage
from .hours import Hours, find_hours, read_index
from .index import make_index
from .layout import StreamFolder, hour_of
from .reader import Found, read_hour

#: How long after the end of an hour its index is made: later than any record of it can still come
#: (``record_writer.SETTLED_WITHIN``), also by clocks that differ by some minutes.
INDEX_AFTER = datetime.timedelta(minutes=10)
_HOUR = datetime.timedelta(hours=1)
#: At most so many are written at a time; the rest comes the next time.
_MOST_INDEXES = 200
#: No upload of a segment lasts as long.
_DEAD_AFTER = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Indexed:
    """*to* is the last hour that needs no further look; None when the repository may only be written."""

    to: str | None
    written: tuple[str, ...] = ()
    problems: tuple[LifeboatError, ...] = ()


def last_due_hour(now: datetime.datetime) -> str:
    """The newest hour whose index may be made."""
    return hour_of(now - INDEX_AFTER - _HOUR)


def write_indexes(storage: Storage, folder: StreamFolder, *, now: datetime.datetime) -> Indexed:
    """Write what is due. An hour with a record that can't be read gets none, and the next index says so.

    Raises what the storage raises, but for StorageForbidden.
    """
    last = last_due_hour(now)
    try:
        hours = find_hours(storage, folder, now=now)
        due = [hour for hour in hours.loose if hour <= last]
        unindexed: list[str] = []
        written: list[str] = []
        problems: list[LifeboatError] = [hours.problem] if hours.problem else []
        for hour in due[:_MOST_INDEXES]:
            found = read_hour(storage, folder, hour)
            problems += found.problems
            if not found.records and not found.problems:
                continue
            if hour in hours.indexed:
                if not _covers(storage, folder, hours, hour, found):
                    unindexed.append(hour)
                continue
            if found.problems or any(hour_of(record.made) != hour for record in found.records):
                unindexed.append(hour)
                continue
            index = make_index(found.records, hour=hour, made=now, unindexed=unindexed)
            try:
                storage.put(folder.index_key(hour), index.as_bytes())
                written.append(hour)
            except StorageExists:
                continue  # another host was faster
        to = due[_MOST_INDEXES - 1] if len(due) > _MOST_INDEXES else last
        return Indexed(to=to, written=tuple(written), problems=tuple(problems))
    except StorageForbidden:
        return Indexed(to=None)


def sweep_uploads(storage: Storage, prefix: str, *, now: datetime.datetime) -> int:
    """End the uploads below *prefix* that began so long ago that their run is dead; how many. Raises StorageError."""
    count = 0
    try:
        for upload in list(storage.unfinished(prefix)):
            if now - upload.started > _DEAD_AFTER:
                storage.abort_unfinished(upload)
                count += 1
    except StorageForbidden:
        return count
    return count


def _covers(storage: Storage, folder: StreamFolder, hours: Hours, hour: str, found: Found) -> bool:
    """Whether the index of the hour has every record that is there now."""
    newest = hours.newest
    try:
        index = newest if newest is not None and newest.hour == hour else read_index(storage, folder, hour)
    except StreamError:
        return False
    known = {record.record_id for record in index.records}
    return not found.problems and all(record.record_id in known for record in found.records)
