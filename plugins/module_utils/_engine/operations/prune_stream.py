# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing what a stream no longer needs, from one repository, so that dying anywhere does no harm.

The order of things:

1. The floor: from now on nobody reads the hours before it. It holds the segments that stay as long as the lineage.
2. For some hours at a time: their segments, but for those that an hour which counts names, too (recorded twice).
3. Of the hours of which every segment is gone: records, then indexes. An hour of which a segment is under lock keeps
   both, so the next run knows what is left, and tries again.
4. Older floors; and the last one, when nothing else is left of the lineage.

Whoever comes after a death reads the newest floor, and goes on with whatever is below it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import typing as t
from dataclasses import replace

from ..core.clock import format_time
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.progress import Progress
from ..retention.stream_hours import StreamSummary
from ..retention.values import StreamDecision
from ..storage.base import DeleteReport, Storage
from ..streams.floors import Floor, floor_hours, newest_floor
from ..streams.hours import read_index
from ..streams.layout import StreamFolder
from ..streams.reader import read_hour
from ..streams.record import Record
from .ahead import Stopping, workers
from .deleting import delete_objects
from .marked_streams import STREAM_MARKS
from .prune_lease import Lease
from .removing import ALL, CURRENT
from .stream_floor import Staying, hold_too, raise_floor, what_stays
from .stream_leavings import Leavings, indexed_leavings, loose_leavings
from .stream_pruned import StreamPruned, StreamTally

# So many segments are on their way out at a time; a storage deletes them in requests of its own size.
_BATCH = 10_000


def prune_stream(
    storage: Storage,
    summary: StreamSummary,
    decision: StreamDecision,
    *,
    host: Host,
    progress: Progress,
    versions: str = CURRENT,
    lease: Lease | None = None,
) -> StreamPruned:
    """Remove from one lineage what *decision* says, and what an earlier run left of its own.

    *summary* is what the decision was made from. The end of the newest lineage of a series stays, whatever is decided:
    who goes on with the stream must know where that is. *versions* ``all``: older versions and delete markers go, too.
    Nothing more is begun at the deadline of *lease*, nor when that is not ours any more.

    Raises nothing that a repository does: it is the result's *stopped*, and what was done until then is in the result.
    """
    run = _Pruning(storage, summary, host=host, progress=progress, versions=versions, lease=lease)
    try:
        run.run(decision.keep_from)
    except LifeboatError as error:
        error.details.setdefault("stream", summary.folder.prefix)
        host.journal.warning(f"{summary.folder.prefix}: the removal ended early: {error.message} [{error.code}]")
        run.tally.stopped = error
    return run.tally.result(decision)


class _Pruning:
    def __init__(
        self,
        storage: Storage,
        summary: StreamSummary,
        *,
        host: Host,
        progress: Progress,
        versions: str,
        lease: Lease | None,
    ) -> None:
        self._storage = storage
        self._summary = summary
        self._folder: StreamFolder = summary.folder
        self._host = host
        self._progress = progress
        self._everything = versions == ALL
        self._lease = lease
        self._lasts = STREAM_MARKS[summary.entry.engine].lasts
        self._staying = Staying(objects=frozenset(), nothing=False)
        self._held: set[str] = set()  # names of segments that the floor holds
        self._gone_hours: set[str] = set()
        self.tally = StreamTally()

    def run(self, keep_from: str) -> None:
        """Remove what is below the floor, which is first raised to *keep_from*, where that is higher."""
        self._progress.stage(f"removing what nobody needs of {self._folder.prefix}")
        floor = newest_floor(self._storage, self._folder)
        wanted = max(self._allowed(keep_from), floor.hour if floor else "")
        if not wanted:
            return
        self._staying = what_stays(self._storage, self._summary, floor=wanted, now=self._host.clock.now())
        if floor is None or floor.hour < wanted:
            floor = raise_floor(
                self._storage, self._summary, hour=wanted, before=floor, staying=self._staying, host=self._host
            )
        self.tally.floor = floor.hour
        self._held = {segment.name for record in floor.records for segment in record.segments}
        self._remove(floor)
        self._remove_floors(floor)

    def _allowed(self, keep_from: str) -> str:
        """The newest hour with segments stays where nobody could else go on with the stream."""
        return min(keep_from, self._summary.newest) if self._summary.is_newest else keep_from

    # --- hour by hour ------------------------------------------------------------------------------------------------

    def _remove(self, floor: Floor) -> None:
        damaged: dict[str, Leavings] = {}  # by hour: indexes that nobody can read; their records may tell
        with contextlib.closing(indexed_leavings(self._storage, self._folder, floor=floor.hour)) as found:
            self._remove_all(floor, _without_damaged(found, damaged))
        if not self.tally.is_left:
            waiting = self.tally.waiting
            with contextlib.closing(
                loose_leavings(self._storage, self._folder, floor=floor.hour, without=waiting)
            ) as found:
                self._remove_all(floor, _with_indexes(found, damaged, self._folder))
        self.tally.problems += [problem for one in damaged.values() for problem in one.problems]
        self.tally.hours = len(self._gone_hours - self.tally.waiting)

    def _remove_all(self, floor: Floor, leavings: t.Iterator[Leavings]) -> None:
        """Batch after batch: one is being removed while the next one is read."""
        running: concurrent.futures.Future[None] | None = None
        with workers(1, stopping=Stopping()) as pool:
            for batch in _batches(leavings):
                wanted = [self._prepared(floor, one) for one in batch]
                if running is not None:
                    running.result()
                if self._must_stop():
                    self.tally.is_left = True
                    return
                running = pool.submit(self._remove_batch, batch, wanted)
            if running is not None:
                running.result()

    def _prepared(self, floor: Floor, one: Leavings) -> dict[str, int]:
        """The keys of the segments of an hour that go, with their sizes."""
        self.tally.problems += one.problems
        going: dict[str, int] = {}
        lasting = set()
        for named in one.objects:
            if not self._staying.nothing and self._lasts(named.name):
                lasting.add(named.name)
            elif not self._staying.names(named.object):
                going[self._folder.segment_key(named.group, named.object)] = named.size
        self.tally.spared += len({named.object for named in one.objects}) - len(going)
        if lasting - self._held:
            self._hold(floor, one)
        return going

    def _hold(self, floor: Floor, one: Leavings) -> None:
        """Have the floor hold what lasts of an hour that was not known when it was made."""
        records = list(read_hour(self._storage, self._folder, one.hour).records)
        if one.indexes:
            records += read_index(self._storage, self._folder, one.hour).records
        lasting = [_only(record, self._lasts) for record in records]
        larger = hold_too(self._storage, floor, [record for record in lasting if record.segments])
        self._held |= {segment.name for record in larger.records for segment in record.segments}

    def _remove_batch(self, batch: t.Sequence[Leavings], wanted: t.Sequence[t.Mapping[str, int]]) -> None:
        sizes = {key: size for one in wanted for key, size in one.items()}
        left = self.tally.note(self._delete(list(sizes)))
        gone = [key for key in sizes if key not in left]
        self.tally.segments += len(gone)
        self.tally.bytes += sum(sizes[key] for key in gone)
        self._progress.add(done=sum(sizes[key] for key in gone))
        emptied = [one for one, keys in zip(batch, wanted) if left.isdisjoint(keys)]
        self.tally.waiting |= {one.hour for one, keys in zip(batch, wanted) if not left.isdisjoint(keys)}
        # Who dies in between finds the index, which names the records that are left.
        for what in ("records", "indexes"):
            left = self.tally.note(self._delete([key for one in emptied for key in getattr(one, what)]))
            self.tally.waiting |= {one.hour for one in emptied if not left.isdisjoint(getattr(one, what))}
            emptied = [one for one in emptied if one.hour not in self.tally.waiting]
        self._gone_hours |= {one.hour for one in emptied}

    def _delete(self, keys: t.Sequence[str]) -> DeleteReport:
        return delete_objects(self._storage, keys, everything=self._everything)

    def _must_stop(self) -> bool:
        lease = self._lease
        if lease is None:
            return False
        if self._host.clock.now() >= lease.deadline:
            reason = f"no more is removed after {format_time(lease.deadline)}"
        elif not lease.is_ours():
            reason = "somebody took the right to prune away"
        else:
            return False
        self._host.journal.warning(f"{self._folder.prefix}: {reason}; the next run goes on.")
        return True

    # --- the end -----------------------------------------------------------------------------------------------------

    def _remove_floors(self, floor: Floor) -> None:
        keys = [self._folder.floor_key(hour) for hour in floor_hours(self._storage, self._folder) if hour < floor.hour]
        if keys:
            self.tally.note(self._delete(keys))
        if not self._staying.nothing:
            return
        others = (
            one for one in self._storage.list(self._folder.prefix) if not one.key.startswith(self._folder.floors_prefix)
        )
        if next(others, None) is None:
            self.tally.note(self._delete([self._folder.floor_key(floor.hour)]))


def _batches(leavings: t.Iterator[Leavings]) -> t.Iterator[list[Leavings]]:
    batch: list[Leavings] = []
    size = 0
    for one in leavings:
        batch.append(one)
        size += len(one.objects) + len(one.records)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _without_damaged(leavings: t.Iterator[Leavings], damaged: dict[str, Leavings]) -> t.Iterator[Leavings]:
    """Hours of which the index can be read; *damaged* gets the others."""
    for one in leavings:
        if one.problems:
            damaged[one.hour] = one
        else:
            yield one


def _with_indexes(
    leavings: t.Iterator[Leavings], damaged: dict[str, Leavings], folder: StreamFolder
) -> t.Iterator[Leavings]:
    """Records that are there one by one. With all of an hour its index goes as well, though nobody could read that."""
    for one in leavings:
        if one.hour in damaged and one.records and not one.problems:
            del damaged[one.hour]
            one.indexes.append(folder.index_key(one.hour))
        yield one


def _only(record: Record, wanted: t.Callable[[str], bool]) -> Record:
    return replace(record, segments=tuple(one for one in record.segments if wanted(one.name)), events=())
