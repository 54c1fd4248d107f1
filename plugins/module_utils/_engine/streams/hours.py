# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hours of a lineage have an index, and which must be read record by record.

The newest index names the hours before it that have records and no index, so that nobody has to ask for each of the
thousands of folders below ``records/``. Hours before the floor are not there, whatever is left of them.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, StreamError
from ..storage.base import Storage
from .floors import floor_hour
from .index import Index, parse_index
from .layout import StreamFolder, hour_end, hour_of, is_hour

_HOUR = datetime.timedelta(hours=1)
#: Hours at the end of the index whose records are looked for all the same: of a host whose clock was behind.
_READ_AGAIN = 1
#: Records of hosts whose clocks are ahead.
_AHEAD = datetime.timedelta(hours=2)
#: Asking for more hours than so many, one by one, takes longer than listing the folders.
_MOST_ASKED = 72


@dataclass(frozen=True)
class Hours:
    """Of one lineage in one repository, each in order. *loose* hours may also have no record at all, or an index that
    lacks some of them.

    *newest* is the index of the last of *indexed*; None when there is none, or it
    can't be read (*problem*); then that hour is not among *indexed*, and every folder is asked for.

    *floor* is the first hour that counts; empty where nothing was ever removed.
    """

    indexed: tuple[str, ...]
    loose: tuple[str, ...]
    newest: Index | None = None
    problem: LifeboatError | None = None
    floor: str = ""


def find_hours(storage: Storage, folder: StreamFolder, *, now: datetime.datetime, below_floor: bool = False) -> Hours:
    """Look what there is; with *below_floor* also what counts no longer. Raises what the storage raises."""
    floor = "" if below_floor else floor_hour(storage, folder)
    return _hours(storage, folder, _indexed(storage, folder, "", floor=floor), now=now, floor=floor)


def find_newest_hours(storage: Storage, folder: StreamFolder, *, now: datetime.datetime) -> Hours:
    """The same, with no more than the newest indexes among *indexed*: a few requests instead of one for each 1,000."""
    floor = floor_hour(storage, folder)
    for prefix in _narrow_prefixes(now):
        found = _indexed(storage, folder, prefix, floor=floor)
        if found:
            return _hours(storage, folder, found, now=now, floor=floor)
    return _hours(storage, folder, [], now=now, floor=floor)


def read_index(storage: Storage, folder: StreamFolder, hour: str) -> Index:
    """Read and check one. Raises StreamRecordInvalid, StreamRecordTooNew and what the storage raises."""
    return index_from(get_index(storage, folder, hour), folder, hour)


def get_index(storage: Storage, folder: StreamFolder, hour: str) -> bytes:
    """Its bytes. Raises what the storage raises."""
    return storage.get(folder.index_key(hour), limit=_LARGEST_INDEX)


def index_from(data: bytes, folder: StreamFolder, hour: str) -> Index:
    """What they say. Raises StreamRecordInvalid, StreamRecordTooNew."""
    return parse_index(data, folder=folder, hour=hour, key=folder.index_key(hour))


#: A busy hour: a hundred thousand segments.
_LARGEST_INDEX = 256 * 1024 * 1024


def _indexed(storage: Storage, folder: StreamFolder, prefix: str, *, floor: str) -> list[str]:
    suffix = ".json"
    names = [found.key[len(folder.index_prefix) :] for found in storage.list(f"{folder.index_prefix}{prefix}")]
    hours = [name[: -len(suffix)] for name in names if name.endswith(suffix)]
    return sorted(hour for hour in hours if is_hour(hour) and hour >= floor)


def _hours(storage: Storage, folder: StreamFolder, indexed: list[str], *, now: datetime.datetime, floor: str) -> Hours:
    newest: Index | None = None
    problem: LifeboatError | None = None
    if indexed:
        try:
            newest = read_index(storage, folder, indexed[-1])
        except StreamError as error:
            problem = error
    if newest is None:
        loose = tuple(_folders(storage, folder, since=floor))
        return Hours(indexed=tuple(indexed[:-1]), loose=loose, problem=problem, floor=floor)
    first = hour_end(newest.hour) - _HOUR * _READ_AGAIN
    count = max(int((now + _AHEAD - first) / _HOUR), 0) + 1
    if hour_end(newest.hour) <= now and count <= _MOST_ASKED:
        since = [hour_of(first + _HOUR * number) for number in range(count)]
    else:
        since = _folders(storage, folder, since=hour_of(first))
    counting = sorted(hour for hour in {*since, *newest.unindexed} if hour >= floor)
    return Hours(indexed=tuple(indexed), loose=tuple(counting), newest=newest, floor=floor)


def _folders(storage: Storage, folder: StreamFolder, *, since: str) -> list[str]:
    return [name for name in storage.list_folders(folder.records_prefix) if is_hour(name) and name >= since]


def _narrow_prefixes(now: datetime.datetime) -> t.Iterator[str]:
    """Today, yesterday, this month, the last one, ever."""
    today = hour_of(now)
    yield today[:8]
    yield hour_of(now - datetime.timedelta(days=1))[:8]
    yield today[:6]
    yield hour_of(now.replace(day=1) - datetime.timedelta(days=1))[:6]
    yield ""
