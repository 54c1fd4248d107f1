# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a stream a plan reads: what was recorded since the base that it will begin with, where that is enough.

A year of WAL is not read to go back by an hour. It must make no difference to the plan, so less than everything is read
only where nothing older can have a say (see ``reads_since`` of each engine), and what comes of it counts only when it
is a plan, of segments that nobody else has stored under the same names. Otherwise everything is read: also for a
refusal, which names the nearest points of all that there is.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..catalog.layout import Series
from ..core.errors import LifeboatError
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import RecoveryTarget
from ..storage.base import Storage
from ..streams.layout import StreamFolder, hour_of, plain_sha256_in
from ..streams.reader import find_lineages, read_streams
from ..streams.stream import Stream
from .recovery_kinds import EngineRecovery

#: What a base needs was recorded after it was begun, but for what its server went back to (the last restart point of a
#: standby, the beginning of a transaction that was open) and for hosts whose clocks differ.
_BEFORE_THE_BASE = datetime.timedelta(days=1)


def plan_with_streams(
    way: EngineRecovery,
    *,
    bases: t.Sequence[Backup],
    series: Series,
    target: RecoveryTarget,
    storages: t.Mapping[str, Storage],
    now: datetime.datetime,
    tell: t.Callable[[t.Sequence[Stream]], None],
    others: t.Sequence[Stream] = (),
) -> RecoveryPlan:
    """Read what the plan needs of *series*, and plan. Raises what the planner and reading raise.

    *tell* is given the streams that the plan, or the refusal, is made of. *others* are streams of the same source that
    lie elsewhere; with them everything is read.
    """
    began = way.reads_since(bases, target) if way.reads_since is not None and not others else None
    if began is not None and _has_one_history(way, series, storages):
        streams = read_streams(storages, series, since=hour_of(began - _BEFORE_THE_BASE))
        try:
            plan = way.planner.plan(bases=bases, streams=streams, target=target, now=now)
        except LifeboatError:
            pass  # what is older may help, and a refusal names the nearest points of all that there is
        else:
            if _is_alone(plan, series, storages):
                tell(streams)
                return plan
    streams = (*read_streams(storages, series), *others)
    tell(streams)
    return way.planner.plan(bases=bases, streams=streams, target=target, now=now)


def _has_one_history(way: EngineRecovery, series: Series, storages: t.Mapping[str, Storage]) -> bool:
    """Whether no lineage has a group of segments that a plan must know of whenever it was recorded."""
    if way.needs_all is None:
        return True
    needs_all = way.needs_all
    try:
        return not any(
            needs_all(group)
            for storage in storages.values()
            for lineage in find_lineages(storage, series)
            for group in storage.list_folders(StreamFolder(series=series, lineage=lineage).segments_prefix)
        )
    except LifeboatError:
        return False  # nobody can tell


def _is_alone(plan: RecoveryPlan, series: Series, storages: t.Mapping[str, Storage]) -> bool:
    """Whether only the planned bytes are stored under the planned names: an older record may name others."""
    if not plan.segments:
        return True
    folder = StreamFolder(series=series, lineage=plan.lineage)
    planned = {one.segment.name: one.segment.plain_sha256 for one in plan.segments}
    groups = {one.segment.description.group for one in plan.segments}
    try:
        for storage in storages.values():
            for group in sorted(groups):
                prefix = folder.group_prefix(group)
                for found in storage.list(prefix):
                    if _is_other(found.key[len(prefix) :], planned):
                        return False
    except LifeboatError:
        return False
    return True


def _is_other(stored_name: str, planned: t.Mapping[str, str]) -> bool:
    # The names of slices have dots of their own: whatever stands before a dot may be one.
    parts = stored_name.split(".")
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        if name in planned:
            return plain_sha256_in(stored_name, name) not in (None, planned[name])
    return False
