# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lineage read hour by hour, in order and in constant memory: for who sums up a million segments and keeps none."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import functools
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, StorageNotFound
from ..storage.base import Storage
from .floors import floor_hour
from .hours import Hours, get_index, index_from
from .index import Index
from .layout import StreamFolder
from .reader import read_loose
from .record import Record

# Waiting for the network; a few at a time, so that small servers are not flooded.
_PARALLEL_READS = 8


@dataclass(frozen=True)
class HourOfRecords:
    """The records of one hour, in order of their making, and what could not be read of it."""

    hour: str
    records: tuple[Record, ...]
    problems: tuple[LifeboatError, ...] = ()


@contextlib.contextmanager
def each_hour(
    storage: Storage, folder: StreamFolder, hours: Hours
) -> t.Iterator[t.Generator[HourOfRecords, None, None]]:
    """Every hour of *hours* that has anything, one after the other, some of them fetched ahead.

    Iterating raises what the storage raises when it can't be listed; what can't be read is a problem of its hour.
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=_PARALLEL_READS) as pool:
        generator = _each(storage, folder, hours, pool)
        try:
            yield generator
        finally:
            generator.close()


_Fetched = t.Union[bytes, LifeboatError, None]


def _each(
    storage: Storage, folder: StreamFolder, hours: Hours, pool: concurrent.futures.ThreadPoolExecutor
) -> t.Generator[HourOfRecords, None, None]:
    indexed, loose = frozenset(hours.indexed), frozenset(hours.loose)
    newest = hours.newest
    for hour, fetched in _ahead(pool, functools.partial(_fetch, storage, folder, hours), sorted(indexed | loose)):
        records: list[Record] = []
        problems: list[LifeboatError] = []
        if hour in indexed:
            try:
                records += _index_of(fetched, folder, hour, newest).records
            except StorageNotFound as error:
                if hour < floor_hour(storage, folder):
                    continue  # removed by retention while we were on our way
                problems.append(error)
            except LifeboatError as error:
                problems.append(error)
        if hour in loose or problems:
            # An index only repeats what the records say; what it lacks, or all of it, may still be there.
            found = read_loose(storage, folder, hour, known={record.record_id for record in records}, pool=pool)
            records += found.records
            problems += found.problems
        if records or problems:
            in_order = sorted(records, key=lambda record: (record.made, record.record_id))
            yield HourOfRecords(hour=hour, records=tuple(in_order), problems=tuple(problems))


def _fetch(storage: Storage, folder: StreamFolder, hours: Hours, hour: str) -> _Fetched:
    if hour not in hours.indexed or (hours.newest is not None and hours.newest.hour == hour):
        return None
    try:
        return get_index(storage, folder, hour)
    except LifeboatError as error:
        return error


def _index_of(fetched: _Fetched, folder: StreamFolder, hour: str, newest: Index | None) -> Index:
    if isinstance(fetched, LifeboatError):
        raise fetched
    if fetched is not None:
        return index_from(fetched, folder, hour)
    if newest is None:
        raise ValueError(f"the index of {hour} was not fetched")
    return newest


def _ahead(
    pool: concurrent.futures.ThreadPoolExecutor, work: t.Callable[[str], _Fetched], items: t.Sequence[str]
) -> t.Iterator[tuple[str, _Fetched]]:
    running: collections.deque[tuple[str, concurrent.futures.Future[_Fetched]]] = collections.deque()
    for item in items:
        running.append((item, pool.submit(work, item)))
        if len(running) > _PARALLEL_READS:
            first, future = running.popleft()
            yield first, future.result()
    while running:
        first, future = running.popleft()
        yield first, future.result()
