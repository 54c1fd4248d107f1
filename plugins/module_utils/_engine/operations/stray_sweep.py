# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing segments that no record names. What was planned is looked at once more before it goes.

Nobody records such an object any more (:mod:`streams.unrecorded`), so it needs no mark, and whoever dies in between
leaves what the next run finds. Looked at again are the object itself, which another run may have removed and a shipper
stored anew, and the records of the last day.
"""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import replace

from ..catalog.kept_reasons import kept_reasons
from ..core.errors import LifeboatError
from ..core.host import Host
from ..storage.base import Storage
from ..streams.layout import StreamFolder, hour_of
from .deleting import delete_objects
from .prune_lease import Lease
from .recorded_hours import read_hours
from .removing import ALL, CURRENT
from .stray_segments import SEGMENT, Strays, StraySegment
from .sweep import Orphan, Swept

_BATCH = 1000
# Hosts whose clocks are behind write records into hours that are over.
_READ_AGAIN = datetime.timedelta(days=1)


def planned_strays(strays: Strays) -> Swept:
    """What would be removed."""
    return Swept(orphans=tuple(_orphan(one) for one in strays.found), more=strays.more, error=strays.error)


def sweep_strays(
    storage: Storage, strays: Strays, *, host: Host, versions: str = CURRENT, lease: Lease | None = None
) -> Swept:
    """Remove them, but for those that are to be kept. Nothing more is begun when *lease* is over, or not ours any more.

    Raises nothing that a repository does: it is the result's *error*.
    """
    run = _Sweeping(storage, host=host, everything=versions == ALL, lease=lease)
    error = strays.error
    try:
        for folder, found in itertools.groupby(strays.found, key=lambda one: one.folder):
            run.remove(folder, list(found))
    except LifeboatError as problem:
        error = error or problem
    return Swept(orphans=tuple(run.orphans), more=strays.more, error=error)


class _Sweeping:
    def __init__(self, storage: Storage, *, host: Host, everything: bool, lease: Lease | None) -> None:
        self._storage = storage
        self._host = host
        self._everything = everything
        self._lease = lease
        self.orphans: list[Orphan] = []

    def remove(self, folder: StreamFolder, found: t.Sequence[StraySegment]) -> None:
        """Those of one lineage."""
        self.orphans += [_orphan(one) for one in found if one.kept]
        going = [one for one in found if not one.kept]
        for start in range(0, len(going), _BATCH):
            batch = going[start : start + _BATCH]
            if self._must_stop():
                self.orphans += [replace(_orphan(one), kept="left for the next run") for one in batch]
                continue
            strays = self._still_strays(folder, batch)
            report = delete_objects(self._storage, [one.key for one in strays], everything=self._everything)
            kept = kept_reasons(report)
            self.orphans += [
                replace(_orphan(one), is_removed=one.key not in kept, kept=kept.get(one.key, "")) for one in strays
            ]

    def _still_strays(self, folder: StreamFolder, batch: t.Sequence[StraySegment]) -> list[StraySegment]:
        """Those that are what they were, and that no record has named since."""
        there = {}
        for prefix in sorted({f"{one.key.rpartition('/')[0]}/" for one in batch}):
            there.update({found.key: found.modified for found in self._storage.list(prefix)})
        left = {one.key: one for one in batch if there.get(one.key) == one.modified}
        if not left:
            return []
        since = hour_of(self._host.clock.now() - _READ_AGAIN)
        clock = self._host.clock
        for hour in read_hours(self._storage, folder, clock=clock, wanted=lambda hour: hour >= since):
            if hour.problems:
                raise hour.problems[0]
            for record in hour.records:
                for one in record.segments:
                    left.pop(folder.segment_key(one.description.group, one.payload.name), None)
        return list(left.values())

    def _must_stop(self) -> bool:
        lease = self._lease
        return lease is not None and (self._host.clock.now() >= lease.deadline or not lease.is_ours())


def _orphan(stray: StraySegment) -> Orphan:
    return Orphan(place=stray.key, what=SEGMENT, objects=1, bytes=stray.size, newest=stray.modified, kept=stray.kept)
