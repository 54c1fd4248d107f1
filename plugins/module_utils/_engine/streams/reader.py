# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading streams back: from indexes, and record by record where an hour has none yet; several repositories as one.

What can't be read becomes a problem of the stream: it is never left out silently.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import datetime
import functools
import gc
import typing as t
from dataclasses import dataclass, field

from ..catalog.layout import Series
from ..core.clock import Clock, SystemClock
from ..core.errors import LifeboatError, StorageError, StorageNotFound, StreamConflict, StreamError
from ..core.ids import is_backup_id, is_name
from ..core.parallel import at_the_same_time
from ..storage.base import Storage
from .floors import floor_hour, newest_floor
from .hours import Hours, find_hours, find_newest_hours, get_index, index_from
from .layout import StreamFolder
from .record import Record, parse_record
from .segment import Segment, StreamEvent
from .stream import StoredSegment, Stream

# Reading records is waiting for the network; a few at a time, so that small servers are not flooded.
_PARALLEL_READS = 8
_AHEAD = 2 * _PARALLEL_READS
# So many indexes are looked through for the newest segment.
_MOST_INDEXES = 10


#: Records by their keys, which never change: for who reads the same ones again soon.
Seen = dict[str, Record]


@dataclass
class Found:
    """What one repository holds of one lineage, in order of writing. *floor* is the first hour that counts, if any."""

    records: list[Record] = field(default_factory=list)
    problems: list[LifeboatError] = field(default_factory=list)
    floor: str = ""


def read_streams(
    storages: t.Mapping[str, Storage],
    series: Series,
    *,
    since: str | None = None,
    until: str | None = None,
    lineage: str | None = None,
    clock: Clock | None = None,
) -> tuple[Stream, ...]:
    """Every lineage of *series* that a repository of *storages* (name to storage) holds, in order of its name.

    *since* and *until* are hours (``2026112119``): only what was recorded in them and between is read; with *lineage*
    no other one is. Raises the first problem when nothing at all was found and something could not be read.
    """
    now = (clock or SystemClock()).now()
    wanted = _Wanted(since=since or "", until=until or "9999999999", now=now)
    return _read(storages, series, lineage=lineage, read=functools.partial(_read_all, wanted=wanted))


def read_newest(
    storages: t.Mapping[str, Storage],
    series: Series,
    *,
    lineage: str | None = None,
    clock: Clock | None = None,
    seen: t.Mapping[str, Seen] | None = None,
) -> tuple[Stream, ...]:
    """The end of each lineage: what was recorded since the newest index, and back to the newest segment.

    As :func:`read_streams` otherwise. *seen* keeps the records of each repository by its name.
    """
    now = (clock or SystemClock()).now()
    return _read(storages, series, lineage=lineage, read=functools.partial(_read_newest, now=now), seen=seen)


def read_records(
    storage: Storage,
    folder: StreamFolder,
    *,
    since: str = "",
    until: str = "9999999999",
    now: datetime.datetime,
    seen: Seen | None = None,
    below_floor: bool = False,
) -> Found:
    """What one repository holds of one lineage. Raises what the storage raises when it can't be listed.

    With *below_floor* also what counts no longer, as far as it is still there.
    """
    wanted = _Wanted(since=since, until=until, now=now, below_floor=below_floor)
    return _read_all(storage, folder, {} if seen is None else seen, wanted=wanted)


def read_hour(storage: Storage, folder: StreamFolder, hour: str) -> Found:
    """The records of one hour, read one by one. Raises what the storage raises."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=_PARALLEL_READS) as pool:
        return read_loose(storage, folder, hour, known=(), pool=pool)


def read_loose(
    storage: Storage,
    folder: StreamFolder,
    hour: str,
    *,
    known: t.Collection[str],
    pool: concurrent.futures.ThreadPoolExecutor,
) -> Found:
    """The same, without those whose ids are *known*."""
    found = Found()
    _read_loose(storage, folder, [hour], found, pool=pool, seen={}, known=known)
    return found


def find_lineages(storage: Storage, series: Series) -> tuple[str, ...]:
    """The lineages of a series that a repository holds something of, in order of name. Raises what the storage raises.

    One that retention removes counts as long as anything of it is there.
    """
    names = storage.list_folders(series.folder)
    return tuple(sorted(name for name in names if is_name(name) and not is_backup_id(name)))


class _Wanted(t.NamedTuple):
    since: str
    until: str
    now: datetime.datetime
    below_floor: bool = False

    def takes(self, hour: str) -> bool:
        return self.since <= hour <= self.until


_T = t.TypeVar("_T")
_Read = t.Callable[[Storage, StreamFolder, Seen], Found]


def _read(
    storages: t.Mapping[str, Storage],
    series: Series,
    *,
    lineage: str | None,
    read: _Read,
    seen: t.Mapping[str, Seen] | None = None,
) -> tuple[Stream, ...]:
    seen = seen or {}
    with _no_collector():
        answers = at_the_same_time(
            [
                functools.partial(_read_repository, storage, series, lineage, read, seen.get(name, {}))
                for name, storage in storages.items()
            ]
        )
        return _join(series, dict(zip(storages, answers)))


def _join(series: Series, answers: t.Mapping[str, concurrent.futures.Future[dict[str, Found]]]) -> tuple[Stream, ...]:
    by_lineage: dict[str, dict[str, Found]] = {}
    silent: list[LifeboatError] = []
    for name, answer in answers.items():
        try:
            found = answer.result()
        except LifeboatError as error:
            error.details["repository"] = name
            silent.append(error)
            continue
        for each, content in found.items():
            for problem in content.problems:
                problem.details["repository"] = name
            by_lineage.setdefault(each, {})[name] = content
    if silent and not by_lineage:
        raise silent[0]
    return tuple(
        _merge(StreamFolder(series=series, lineage=each), by_lineage[each], problems=silent)
        for each in sorted(by_lineage)
    )


@contextlib.contextmanager
def _no_collector() -> t.Iterator[None]:
    """Without looks for cycles among millions of values, none of which is in one: a third of the time goes there."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def _read_repository(
    storage: Storage, series: Series, lineage: str | None, read: _Read, seen: Seen
) -> dict[str, Found]:
    found = {
        name: read(storage, StreamFolder(series=series, lineage=name), seen)
        for name in find_lineages(storage, series)
        if lineage in (None, name)
    }
    # Of a lineage that was removed whole the floor may be left for a while.
    return {name: one for name, one in found.items() if one.records or one.problems or not one.floor}


def _read_all(storage: Storage, folder: StreamFolder, seen: Seen, *, wanted: _Wanted) -> Found:
    hours = find_hours(storage, folder, now=wanted.now, below_floor=wanted.below_floor)
    found = Found(problems=[hours.problem] if hours.problem else [], floor=hours.floor)
    if hours.floor:
        try:
            floor = newest_floor(storage, folder)
            found.records.extend(floor.records if floor else ())
        except LifeboatError as error:
            found.problems.append(error)
    indexed = [hour for hour in hours.indexed if wanted.takes(hour)]
    loose = [hour for hour in hours.loose if wanted.takes(hour)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=_PARALLEL_READS) as pool:
        _read_indexes(storage, folder, hours, indexed, found, pool=pool)
        _read_loose(storage, folder, loose, found, pool=pool, seen=seen)
    return _in_order(found)


def _read_newest(storage: Storage, folder: StreamFolder, seen: Seen, *, now: datetime.datetime) -> Found:
    hours = find_newest_hours(storage, folder, now=now)
    found = Found(problems=[hours.problem] if hours.problem else [], floor=hours.floor)
    with concurrent.futures.ThreadPoolExecutor(max_workers=_PARALLEL_READS) as pool:
        _read_indexes(storage, folder, hours, hours.indexed[-1:], found, pool=pool)
        _read_loose(storage, folder, hours.loose, found, pool=pool, seen=seen)
        for hour in reversed(hours.indexed[-_MOST_INDEXES:-1]):
            if any(record.segments for record in found.records):
                break
            _read_indexes(storage, folder, hours, [hour], found, pool=pool)
    return _in_order(found)


def _read_indexes(
    storage: Storage,
    folder: StreamFolder,
    hours: Hours,
    wanted: t.Sequence[str],
    found: Found,
    *,
    pool: concurrent.futures.ThreadPoolExecutor,
) -> None:
    def get(hour: str) -> bytes | LifeboatError:
        try:
            return b"" if newest is not None and newest.hour == hour else get_index(storage, folder, hour)
        except LifeboatError as error:
            return error

    newest = hours.newest
    damaged: list[str] = []
    # Fetched by several, taken apart by one: threads that compute only get into each other's way.
    for hour, outcome in _ahead(pool, get, wanted):
        try:
            if isinstance(outcome, LifeboatError):
                raise outcome
            is_newest = newest is not None and newest.hour == hour
            index = newest if is_newest and newest is not None else index_from(outcome, folder, hour)
            found.records.extend(index.records)
        except StorageNotFound as error:
            if hour >= floor_hour(storage, folder):  # else retention removed it meanwhile
                found.problems.append(error)
                damaged.append(hour)
        except LifeboatError as error:
            found.problems.append(error)
            damaged.append(hour)
    # An index only repeats what the records say, and they are still there.
    _read_loose(storage, folder, damaged, found, pool=pool, seen={})


def _ahead(
    pool: concurrent.futures.ThreadPoolExecutor, work: t.Callable[[str], _T], items: t.Sequence[str]
) -> t.Iterator[tuple[str, _T]]:
    """As map(), with a few answers at a time in memory and not all of them."""
    running: collections.deque[tuple[str, concurrent.futures.Future[_T]]] = collections.deque()
    for item in items:
        running.append((item, pool.submit(work, item)))
        if len(running) > _AHEAD:
            first, future = running.popleft()
            yield first, future.result()
    for item, future in running:
        yield item, future.result()


def _read_loose(
    storage: Storage,
    folder: StreamFolder,
    hours: t.Sequence[str],
    found: Found,
    *,
    pool: concurrent.futures.ThreadPoolExecutor,
    seen: Seen,
    known: t.Collection[str] = (),
) -> None:
    known = {*known, *(record.record_id for record in found.records)}

    def listed(hour: str) -> list[str]:
        return [item.key for item in storage.list(folder.hour_prefix(hour))]

    keys = [key for names in pool.map(listed, hours) for key in names if key.endswith(".json")]
    unknown = [key for key in keys if key.rpartition("/")[2][: -len(".json")] not in known]
    for outcome in pool.map(functools.partial(_read_record, storage, folder, seen), unknown):
        if isinstance(outcome, LifeboatError):
            found.problems.append(outcome)
        elif outcome is not None:
            found.records.append(outcome)


def _read_record(storage: Storage, folder: StreamFolder, seen: Seen, key: str) -> Record | LifeboatError | None:
    known = seen.get(key)
    if known is not None:
        return known
    try:
        seen[key] = record = parse_record(storage.get(key), folder=folder, key=key)
        return record
    except StorageNotFound:
        return None  # removed by retention while it was listed
    except (StreamError, StorageError) as error:
        return error


def _in_order(found: Found) -> Found:
    found.records.sort(key=lambda record: (record.made, record.record_id))
    return found


def _merge(
    folder: StreamFolder, by_repository: t.Mapping[str, Found], *, problems: t.Sequence[LifeboatError]
) -> Stream:
    """One stream of all repositories: a segment is where its first record names it."""
    all_problems = [*problems, *(problem for found in by_repository.values() for problem in found.problems)]
    in_order = sorted(
        ((record, name) for name, found in by_repository.items() for record in found.records),
        key=lambda pair: (pair[0].made, pair[0].record_id),
    )
    first: dict[str, Segment] = {}
    copies: dict[str, dict[str, Segment]] = {}
    events: dict[tuple[str, datetime.datetime, str], StreamEvent] = {}
    for record, name in in_order:
        for segment in record.segments:
            known = first.setdefault(segment.name, segment)
            if known.plain_sha256 != segment.plain_sha256:
                all_problems.append(_conflict(folder, known, segment, name))
                continue
            copies.setdefault(segment.name, {})[name] = segment
        for event in record.events:
            events.setdefault((event.what, event.at, event.reason), event)
    return Stream(
        folder=folder,
        segments=tuple(StoredSegment(segment, copies[segment.name]) for segment in first.values()),
        events=tuple(sorted(events.values(), key=lambda event: event.at)),
        problems=tuple(all_problems),
    )


def _conflict(folder: StreamFolder, known: Segment, other: Segment, repository: str) -> StreamConflict:
    return StreamConflict(
        f"{folder.prefix}: {known.name} is recorded twice with different bytes: {known.payload.name} and "
        f"{other.payload.name} (in {repository}); the first one counts.",
        hint="Two servers write into one archive. Find the second one, and give it a source of its own.",
        details={"segment": known.name, "repository": repository},
    )
