# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for what was destroyed around a time, in the stored oplog of a source."""

from __future__ import annotations

import datetime

from ..catalog.catalog import Selection
from ..catalog.layout import Series
from ..core.errors import KindNotRunnable
from ..mongodb.find_damage import find_damage
from ..mongodb.oplog_damage import Damage, Thresholds
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import RecoveryTarget
from ..recovery.segment_reader import StoredSegmentReader
from ..streams.layout import hour_of
from ..streams.reader import read_streams
from .choosing import Sources

# A slice is recorded soon after its last write; when the repositories were down, hours later.
_RECORDED_WITHIN = datetime.timedelta(days=2)


def source_damage(
    sources: Sources,
    selection: Selection,
    *,
    engine: str,
    around: datetime.datetime,
    span: datetime.timedelta,
    thresholds: Thresholds,
) -> tuple[Damage, ...]:
    """What happened at most *span* before or after *around*, in order of time; only slices of then are read.

    Raises KindNotRunnable for engines whose stream does not tell, and what reading raises.
    """
    if engine != "mongodb":
        raise KindNotRunnable(
            f"The stream of {engine} does not tell what was dropped or deleted.",
            hint="Recover beside production to a time shortly before, and look: lifeboat recover SOURCE --to-time TIME",
        )
    series = Series(service=str(selection.service), source=str(selection.source), kind="oplog")
    host = sources.host
    since, until = hour_of(around - span), hour_of(around + span + _RECORDED_WITHIN)
    streams = read_streams(sources.storages, series, since=since, until=until, clock=host.clock)
    for stream in streams:
        for problem in stream.problems:
            host.journal.warning(str(problem))
    found: list[Damage] = []
    for stream in streams:
        reader = StoredSegmentReader(
            plan=RecoveryPlan(
                target=RecoveryTarget(kind="latest"), base=None, lineage=stream.folder.lineage, segments=(), why=()
            ),
            series=series,
            storages=sources.storages,
            host=host,
            identity=sources.identity,
        )
        found += find_damage([stream], fetch=reader.fetch, around=around, span=span, thresholds=thresholds)
    return tuple(sorted(found, key=lambda one: (one.before, one.last)))
