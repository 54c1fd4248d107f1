# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a target to a base backup, a timeline and every segment between. Pure: from manifests and records alone.

PostgreSQL itself passes over a target before the backup's end, and dies of one behind the last commit; so both are
decided here, before anything is touched.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..core.clock import format_time
from ..core.errors import RecoveryTargetInvalid, RecoveryTargetUnreachable
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import RecoveryTarget
from ..streams.stream import Stream
from .names import parse_lsn
from .recovery_bases import Bases, usable_bases
from .recovery_choice import (
    first_base_to_the_end,
    last_base_before,
    newest_way,
    way_asked_for,
    way_to_lsn,
    way_to_time,
)
from .recovery_points import unreachable
from .recovery_way import Run, Way
from .wal_names import format_lsn
from .wal_windows import Lineage, lineages_of, windows_of

_KINDS = ("time", "lsn", "xid", "name", "latest", "immediate")
# A record that begins in one segment may end in the next; one longer than a segment is not unheard of.
_SEGMENTS_BEHIND = 2


class PgRecoveryPlanner:
    """Plans recoveries of PostgreSQL."""

    def plan(
        self,
        *,
        bases: t.Sequence[Backup],
        streams: t.Sequence[Stream],
        target: RecoveryTarget,
        now: datetime.datetime,
    ) -> RecoveryPlan:
        """Choose. Raises RecoveryTargetUnreachable and RecoveryTargetInvalid."""
        del now  # whether the time is in the future was asked when the target was read
        if target.kind not in _KINDS or target.skip:
            raise RecoveryTargetInvalid(
                f"PostgreSQL can't be recovered to the target {target.text}"
                + (" without single operations." if target.skip else "."),
                hint=f"Use one of: {', '.join(_KINDS)}.",
            )
        usable = usable_bases(bases)
        lineages = lineages_of(usable, streams)
        if not any(lineage.bases for lineage in lineages):
            raise _nothing(target, usable, streams)
        lineage = _lineage_of(target, [one for one in lineages if one.bases])
        return _Planning(target=target, lineage=lineage, passed_over=usable.passed_over).plan()


class _Planning:
    """One plan along one lineage."""

    def __init__(self, *, target: RecoveryTarget, lineage: Lineage, passed_over: tuple[str, ...]) -> None:
        self._target = target
        self._lineage = lineage
        self._ways = lineage.ways
        self._passed_over = passed_over

    def plan(self) -> RecoveryPlan:
        return {
            "time": self._to_time,
            "lsn": self._to_lsn,
            "xid": self._by_replay,
            "name": self._by_replay,
            "latest": self._latest,
            "immediate": self._immediate,
        }[self._target.kind]()

    def _to_time(self) -> RecoveryPlan:
        moment = self._target.time
        if moment is None:
            raise RecoveryTargetInvalid("The target time names no time.", hint="Write 2026-11-21T14:03:00Z.")
        way, why = self._chosen(way_to_time(self._ways, moment))
        run = last_base_before(way, moment=moment)
        if run is None:
            raise self._before_the_first(way)
        last = run.number_complete_at(moment)
        if last is None:
            raise self._unreachable(self._why_short(run), way)
        why.append(f"The backup {run.base.backup_id} is the last one that ended before the target, {_ended(run)}.")
        return self._made(run, last=last, why=why, end_serves=True)

    def _to_lsn(self) -> RecoveryPlan:
        position = parse_lsn(self._target.value)
        way, why = self._chosen(way_to_lsn(self._ways, position))
        run = last_base_before(way, position=position)
        if run is None:
            raise self._before_the_first(way)
        if position > run.end:
            raise self._unreachable(self._why_short(run), way)
        why.append(
            f"The backup {run.base.backup_id} is the last one that ended before the target, at "
            f"{format_lsn(run.base.end)}."
        )
        last = min(run.last, position // run.base.segment_size + _SEGMENTS_BEHIND)
        return self._made(run, last=last, why=why, end_serves=last == run.last)

    def _by_replay(self) -> RecoveryPlan:
        """A transaction or a name: where it is only replaying tells, so everything that is stored must be there."""
        way, why = self._chosen(None, fallback=newest_way(self._ways))
        run = first_base_to_the_end(way)
        if run is None:
            newest = last_base_before(way)
            reason = self._why_short(newest) if newest else "no base backup leads there."
            raise self._unreachable(f"where it is is not known, and not all WAL is there: {reason}", way)
        why.append(
            f"The backup {run.base.backup_id} is the first one; where the {self._target.kind} is only replaying tells."
        )
        return self._made(run, last=run.last, why=why, end_serves=False)

    def _latest(self) -> RecoveryPlan:
        way, why = self._chosen(None, fallback=newest_way(self._ways))
        run = last_base_before(way)
        if run is None:
            raise self._unreachable(f"no base backup leads to timeline {way.timeline}.", way)
        if run.goes_on:
            raise self._unreachable(f"{run.hole}, and more is stored behind it.", way)
        why.append(f"The backup {run.base.backup_id} is the last one, {_ended(run)}.")
        return self._made(run, last=run.last, why=why, end_serves=True)

    def _immediate(self) -> RecoveryPlan:
        way, why = self._chosen(None, fallback=newest_way(self._ways))
        run = last_base_before(way)
        if run is None:
            raise self._unreachable(f"no base backup leads to timeline {way.timeline}.", way)
        last = (run.base.end - 1) // run.base.segment_size
        if last > run.last and not (run.base.carries_wal and run.first > last):
            raise self._unreachable(f"{run.hole}, and the backup {run.base.backup_id} needs it.", way)
        why.append(f"The backup {run.base.backup_id} is the last one, {_ended(run)}.")
        return self._made(run, last=last, why=why, end_serves=False)

    # --- what they share ----------------------------------------------------------------------------------------------

    def _chosen(
        self, found: tuple[Way, list[str]] | None, *, fallback: tuple[Way, str] | None = None
    ) -> tuple[Way, list[str]]:
        """The timeline that was asked for, else the one that was *found*, else *fallback*."""
        timeline = self._target.timeline
        if timeline not in ("", "latest"):
            way, sentence = way_asked_for(self._ways, timeline)
            return way, [sentence]
        if found is not None:
            return found
        if fallback is not None:
            return fallback[0], [fallback[1]]
        windows, gaps = windows_of(self._lineage)
        moment = self._target.time
        reasons = [
            gap.reason
            for gap in gaps
            if moment is not None and gap.begins and gap.begins <= moment and (gap.ends is None or moment < gap.ends)
        ]
        if reasons:
            raise unreachable(self._target, f"{reasons[0]}.", windows=windows)
        begins = min((window.begins for window in windows), default=None)
        if moment is not None and begins is not None and moment < begins:
            raise self._before_the_first(None)
        raise unreachable(self._target, "it is behind the end of what is stored.", windows=windows)

    def _before_the_first(self, way: Way | None) -> RecoveryTargetUnreachable:
        words = f" of timeline {way.timeline}" if way is not None and len(self._ways) > 1 else ""
        return self._unreachable(f"it lies before the end of the first base backup{words} that can be used.", way)

    def _why_short(self, run: Run) -> str:
        if run.goes_on:
            return f"{run.hole}."
        return (
            f"the stored WAL of timeline {run.way.timeline} ends at {format_lsn(run.end)}; what was committed after "
            f"{format_time(run.until)} may not be in it."
        )

    def _unreachable(self, reason: str, way: Way | None) -> RecoveryTargetUnreachable:
        windows, _gaps = windows_of(self._lineage)
        asked = self._target.timeline if way is not None else ""
        return unreachable(self._target, reason, windows=windows, timeline=asked)

    def _made(self, run: Run, *, last: int, why: t.Sequence[str], end_serves: bool) -> RecoveryPlan:
        base, way = run.base, run.way
        segments = run.segments(last=last)
        size = base.segment_size
        histories = self._lineage.archive.history_files
        facts = {
            "timeline": way.timeline,
            "base_timeline": base.timeline,
            "recovery_target_timeline": "current" if base.timeline == way.timeline else str(way.timeline),
            "system_identifier": self._lineage.archive.lineage,
            "segment_size": size,
            "first_segment": segments[0].segment.name if segments else None,
            "last_segment": segments[-1].segment.name if segments else None,
            "wal_segments": len(segments),
            "wal_bytes": len(segments) * size,
            "begins": format_lsn(base.end),
            "ends": format_lsn(max(base.end, (last + 1) * size)),
            "until": format_time(run.until_number(min(last, run.last))),
            # Whether the end of these segments is the target, when nothing in them lies behind it.
            "end_serves": end_serves,
        }
        return RecoveryPlan(
            target=self._target,
            base=base.backup,
            lineage=self._lineage.archive.lineage,
            segments=(*histories, *segments),
            why=tuple(why),
            facts=facts,
            warnings=(*self._passed_over, *self._doubts(way)),
        )

    def _doubts(self, way: Way) -> t.Iterator[str]:
        archive = self._lineage.archive
        for timeline in sorted(archive.numbers):
            if timeline not in archive.histories and timeline != way.timeline:
                yield (
                    f"WAL of timeline {timeline} is stored without its history; the recovered cluster could take its "
                    "number again. Keep them apart: archive to another source."
                )


def _lineage_of(target: RecoveryTarget, lineages: t.Sequence[Lineage]) -> Lineage:
    """The newest cluster that contains the target; the newest one when none does."""
    for lineage in lineages:
        if target.kind == "time" and target.time is not None:
            if any(base.finished <= target.time for base in lineage.bases):
                return lineage
        elif target.kind != "lsn" or way_to_lsn(lineage.ways, parse_lsn(target.value)) is not None:
            return lineage
    return lineages[0]


def _ended(run: Run) -> str:
    return f"{format_time(run.base.finished)} at {format_lsn(run.base.end)}"


def _nothing(target: RecoveryTarget, bases: Bases, streams: t.Sequence[Stream]) -> RecoveryTargetUnreachable:
    if not streams:
        reason, hint = "no WAL of this source is stored.", "Run: lifeboat ship JOB   and keep it running."
    else:
        reason, hint = "there is no base backup that can be used.", "Run: lifeboat backup JOB   (kind: base)"
    return RecoveryTargetUnreachable(
        f"The target {target.text} can't be reached: {reason}",
        hint=hint,
        details={"before": None, "after": None, "reason": reason, "passed_over": list(bases.passed_over)},
    )
