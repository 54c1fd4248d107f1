# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention must know of an oplog: which slices a dump needs to be brought forward, and how far that is. Pure.

A dump needs every slice that ends behind it, and what came before where a transaction began that ends behind it, or
that is still open. The windows are those of :mod:`.oplog_windows`, from unions of slices instead of all of them.
"""

from __future__ import annotations

import bisect
import datetime
import typing as t
from dataclasses import replace

from ..catalog.catalog import Backup
from ..catalog.standing import COMPLETE
from ..recovery.ranges import Range, Ranges
from ..recovery.stream_marks import Mark, Need, ReachedSpan, StreamMarks, nothing_lasts
from ..streams.segment import Segment
from .oplog_slice import OplogSlice, slice_from_facts
from .recovery_bases import RecoveryBase, Unfit, recovery_base
from .recovery_chains import not_of_this_set
from .timestamps import Position, moment_of, position_from_text

_TRACK = 0
_SECOND = datetime.timedelta(seconds=1)
_NEVER: Position = (1 << 62, 0)


class _Slice(t.NamedTuple):
    """Of a slice what this depends on; see :class:`.oplog_slice.OplogSlice`."""

    first: Position
    last: Position
    needs_from: Position
    open_first: Position | None


class OplogReading:
    """See :class:`recovery.stream_marks.StreamReading`."""

    def __init__(self, lineage: str, backups: t.Sequence[Backup]) -> None:
        del lineage
        found = []
        for backup in backups:
            # Which slices a dump needs does not depend on what became of its verification.
            base = recovery_base(replace(backup, repositories=dict.fromkeys(backup.repositories, COMPLETE)))
            if not isinstance(base, Unfit):
                found.append((base, not isinstance(recovery_base(backup), Unfit)))
        # Each with whether anything can be reached from it.
        self._dumps = sorted(found, key=lambda one: (one[0].position, one[0].backup_id))
        self._positions = [dump.position for dump, _is_good in self._dumps]
        # Where reading must begin for what ends behind the first so many dumps, or with the last of them.
        self._behind = [_NEVER] * (len(found) + 1)
        self._with = [_NEVER] * (len(found) + 1)
        self._ranges: Ranges[Segment] = Ranges()
        self._furthest: _Slice | None = None

    def take(self, segment: Segment) -> Mark | None:
        """See StreamReading. Positions are those of entries; of two slices that hang together both have one entry."""
        try:
            one = _slice_of(segment.facts)
        except (KeyError, TypeError, ValueError):
            return None
        self._ranges.add(one.first, one.last, segment)
        needs = min(one.needs_from, one.first)
        for places, place in (
            (self._behind, bisect.bisect_left(self._positions, one.last)),
            (self._with, bisect.bisect_right(self._positions, one.last)),
        ):
            places[place] = min(places[place], needs)
        if self._furthest is None or one.last > self._furthest.last:
            self._furthest = one
        return Mark(track=_TRACK, begins=one.first, ends=one.last)

    def needs(self) -> t.Sequence[Need]:
        """See StreamReading. A slice that ends with the last that a dump has counts, too: there may be no later one."""
        described = self._described()
        if described is None:
            return ()
        begins = _least_from_here_on([min(pair) for pair in zip(self._behind, self._with)])
        # Whoever ends a transaction later that is open still will need its beginning.
        open_still = self._furthest.open_first if self._furthest is not None else None
        return [
            Need(
                base=dump.backup_id,
                track=_TRACK,
                after=min(dump.position, begins[number + 1], open_still or _NEVER),
            )
            for number, (dump, _is_good) in enumerate(self._dumps)
            if not not_of_this_set(dump, described) and dump.position >= described.bases_from
        ]

    def spans(self) -> t.Sequence[ReachedSpan]:
        """See StreamReading. A second counts as known when something later is."""
        begins = _least_from_here_on(self._behind)
        found = []
        for number, (dump, is_good) in enumerate(self._dumps):
            within = self._ranges.holding(dump.position)
            if not is_good or within is None or not _joins(dump, within, min(dump.position, begins[number + 1])):
                continue
            first = moment_of(dump.usable_from)
            last = max(first, moment_of((within.ends[0], within.ends[1])) - _SECOND)
            found.append(ReachedSpan(base=dump.backup_id, begins=first, ends=last))
        return found

    def _described(self) -> OplogSlice | None:
        """Some slice of the lineage: what it says of set and lineage is the same in each."""
        for within in self._ranges:
            for segment in (within.first, within.last):
                try:
                    return slice_from_facts(segment.facts) if segment is not None else None
                except ValueError:
                    continue
        return None


def _joins(dump: RecoveryBase, within: Range[Segment], begins: Position) -> bool:
    """Whether a dump can be brought forward by the slices that hold its moment, when reading begins at *begins*."""
    try:
        described = None if within.first is None else slice_from_facts(within.first.facts)
    except ValueError:
        return False
    if described is None or not_of_this_set(dump, described):
        return False
    is_whole = begins >= within.begins and within.ends >= dump.usable_from
    return is_whole and dump.position >= described.bases_from


def _least_from_here_on(values: t.Sequence[Position]) -> list[Position]:
    found = list(values)
    for place in range(len(found) - 2, -1, -1):
        found[place] = min(found[place], found[place + 1])
    return found


def _slice_of(facts: t.Mapping[str, t.Any]) -> _Slice:
    """Raises KeyError, TypeError and ValueError."""
    opened = facts.get("open_txn_first_ts")
    found = _Slice(
        first=position_from_text(facts["first"]),
        last=position_from_text(facts["last"]),
        needs_from=position_from_text(facts["needs_from"]),
        open_first=None if opened is None else position_from_text(opened),
    )
    if found.last < found.first:
        raise ValueError("it ends before it begins")
    return found


OPLOG_MARKS = StreamMarks(reading=OplogReading, lasts=nothing_lasts)
