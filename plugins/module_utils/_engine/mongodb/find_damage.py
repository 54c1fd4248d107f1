# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was destroyed around a time, by the slices of the oplog that are stored around it."""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
import typing as t

from ..core.errors import RecoveryEndedEarly
from ..streams.stream import StoredSegment, Stream
from .bson_bytes import MalformedBson
from .oplog_damage import Damage, DamageFinder, Thresholds
from .recovery_chains import StoredSlice, read_slices
from .recovery_slices import read_documents
from .reply import each_document
from .timestamps import Position

#: Writes a segment's plain bytes to a new file, as :meth:`recovery.recovery_planner.SegmentReader.fetch` does.
Fetch = t.Callable[[StoredSegment, str], None]


def find_damage(
    streams: t.Sequence[Stream],
    *,
    fetch: Fetch,
    around: datetime.datetime,
    span: datetime.timedelta = datetime.timedelta(minutes=30),
    thresholds: Thresholds | None = None,
    folder: str | None = None,
) -> tuple[Damage, ...]:
    """What happened at most *span* before or after *around* (aware), in order of time.

    Only the slices of that time are fetched, one after the other into *folder* (a temporary one by default). Raises
    RecoveryEndedEarly for a slice that is no oplog, and what fetching raises.
    """
    begins, ends = int((around - span).timestamp()), int((around + span).timestamp())
    first, last = (max(begins, 0), 0), (ends, 2**32 - 1)
    found: list[Damage] = []
    for stream in streams:
        slices, _problems = read_slices(stream)
        wanted = slices_around(slices, first=first, last=last)
        if not wanted:
            continue
        finder = DamageFinder(begins=first, ends=last, thresholds=thresholds)
        with contextlib.closing(finder), tempfile.TemporaryDirectory(dir=folder, prefix="lifeboat-damage-") as place:
            for one in wanted:
                _feed(finder, one, fetch=fetch, path=os.path.join(place, "slice.bson"))
            found += finder.finish()
    return tuple(sorted(found, key=lambda one: (one.before, one.last)))


def slices_around(slices: t.Sequence[StoredSlice], *, first: Position, last: Position) -> list[StoredSlice]:
    """Those with an entry between two positions, and those with the beginnings of transactions that end there."""
    inside = [one for one in slices if one.last >= first and one.first <= last]
    if not inside:
        return []
    needed = min(min(one.facts.needs_from, one.first) for one in inside)
    return [one for one in slices if one.last >= needed and one.first <= last]


def _feed(finder: DamageFinder, one: StoredSlice, *, fetch: Fetch, path: str) -> None:
    fetch(one.stored, path)
    try:
        with contextlib.closing(read_documents(path)) as pieces:
            for documents in pieces:
                for raw in each_document(documents):
                    finder.take(raw)
    except MalformedBson as error:
        raise RecoveryEndedEarly(
            f"The slice {one.facts.name} can't be read: {error}.",
            hint="See which copies there are: lifeboat windows",
            details={"slice": one.facts.name},
        ) from error
    finally:
        os.unlink(path)
