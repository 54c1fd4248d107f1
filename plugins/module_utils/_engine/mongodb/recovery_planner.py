# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a moment to a full dump and the slices of the oplog behind it. Pure: from manifests and records alone.

Inside, a target is the position before which everything is replayed and from which on nothing is: that of an operation
itself when it is to be left out, the next one possible when it is to be in, the beginning of the next second for a
second. It can be reached when everything before it is known: a second counts only when something later is stored.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..core.clock import format_time
from ..core.errors import RecoveryTargetUnreachable, RequestInvalid
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import RecoveryTarget
from ..streams.stream import Stream
from .oplog_skips import Skip, parse_position, parse_skip
from .recovery_bases import RecoveryBase, Unfit, recovery_base, shown
from .recovery_chains import Reach, StoredSlice, needed_slices, reach, read_slices
from .timestamps import Position, moment_of, position_text

TIME, OPTIME, BEFORE, LATEST = "time", "optime", "before_operation", "latest"
_LAST_NUMBER = 2**32 - 1
_SHOWN = 20


class MongoRecoveryPlanner:
    """See :class:`recovery.recovery_planner.RecoveryPlanner`.

    The plan's facts: ``stop`` is the position before which the replay ends, ``base`` the one that the dump holds,
    ``last`` that of the last entry of the last slice, ``database`` the only database of the dump (None: all),
    ``outside`` collections that are not of the moment ``base``, ``before_operation`` that an operation must be at
    ``stop``.
    """

    def plan(
        self,
        *,
        bases: t.Sequence[Backup],
        streams: t.Sequence[Stream],
        target: RecoveryTarget,
        now: datetime.datetime,
    ) -> RecoveryPlan:
        """Choose the newest dump from which the target can be reached.

        Raises RecoveryTargetUnreachable, and RequestInvalid for targets of other engines and skips outside the replay.
        """
        del now
        stop = stop_position(target)
        skips = [parse_skip(text) for text in target.skip]
        good, unfit = _sorted_bases(bases)
        reaches, warnings = _reaches(good, streams)
        if stop is None:
            stop = max((one.end for one in reaches), default=None)
        # An operation that is named must be there itself, so that it can be looked at.
        known = _after(stop) if stop is not None and target.kind == BEFORE else stop
        candidates = [
            one for one in reaches if stop is not None and known is not None and one.contains(stop) and known <= one.end
        ]
        if stop is None or known is None or not candidates:
            raise _unreachable(target, stop, reaches, unfit)
        chosen = _newest(candidates, skips, stop=stop)
        slices = needed_slices(chosen, stop=known)
        return RecoveryPlan(
            target=target,
            base=chosen.base.backup,
            lineage=chosen.lineage if slices else "",
            segments=tuple(one.stored for one in slices),
            why=tuple(_why(chosen, slices, stop=stop, good=good)),
            facts={
                "stop": position_text(stop),
                "base": position_text(chosen.base.position),
                "last": position_text(slices[-1].last if slices else chosen.base.position),
                "database": chosen.base.database,
                "outside": list(chosen.base.outside),
                "before_operation": target.kind == BEFORE,
            },
            warnings=(*chosen.base.warnings, *warnings),
        )


def stop_position(target: RecoveryTarget) -> Position | None:
    """The position before which everything is to be replayed; None for the latest. Raises RequestInvalid."""
    if target.kind == LATEST:
        return None
    if target.timeline not in ("", "latest"):
        raise RequestInvalid("A replica set of MongoDB has no timelines.", hint="Leave timeline out.")
    if target.kind == TIME and target.time is not None:
        # The oplog counts seconds, whatever is behind the point.
        second = int(target.time.timestamp())
        return (second + 1, 0) if target.inclusive else (second, 0)
    if target.kind == OPTIME:
        position = parse_position(target.value)
        return _after(position) if target.inclusive else position
    if target.kind == BEFORE:
        return parse_position(target.value)
    raise RequestInvalid(
        f"A replica set of MongoDB can't be recovered to a target of the kind {target.kind}.",
        hint="Give a time (--to-time), a position (--to-optime), an operation (--before-operation), or --latest.",
    )


def _after(position: Position) -> Position:
    seconds, number = position
    return (seconds, number + 1) if number < _LAST_NUMBER else (seconds + 1, 0)


def _sorted_bases(bases: t.Sequence[Backup]) -> tuple[list[RecoveryBase], list[Unfit]]:
    good: list[RecoveryBase] = []
    unfit: list[Unfit] = []
    for backup in bases:
        found = recovery_base(backup)
        if isinstance(found, Unfit):
            unfit.append(found)
        else:
            good.append(found)
    return sorted(good, key=lambda one: (one.position, one.backup_id)), unfit


def _reaches(bases: t.Sequence[RecoveryBase], streams: t.Sequence[Stream]) -> tuple[list[Reach], list[str]]:
    found: list[Reach] = []
    warnings: list[str] = []
    for stream in streams:
        slices, problems = read_slices(stream)
        warnings += problems
        found += [reach(base, lineage=stream.folder.lineage, slices=slices) for base in bases]
    if not streams:
        found = [reach(base, lineage="", slices=()) for base in bases]
    return found, warnings


def _newest(candidates: t.Sequence[Reach], skips: t.Sequence[Skip], *, stop: Position) -> Reach:
    """The one with the newest dump, which needs the fewest slices; operations left out must come after it."""

    def age(one: Reach) -> tuple[t.Any, ...]:
        return one.base.position, one.base.backup_id, len(one.run)

    for one in skips:
        before = [reached for reached in candidates if reached.base.usable_from < one.position < stop]
        if not before:
            oldest = position_text(min(candidates, key=age).base.position)
            raise RequestInvalid(
                f"The operation {one} is not replayed: that begins after {oldest} and ends "
                f"before {position_text(stop)}.",
                hint="Leave it out of skip; what is older than every backup can't be undone.",
                details={"skip": str(one)},
            )
        candidates = before
    return max(candidates, key=age)


def _why(
    chosen: Reach, slices: t.Sequence[StoredSlice], *, stop: Position, good: t.Sequence[RecoveryBase]
) -> list[str]:
    base = chosen.base
    state = "verified" if base.is_verified else "not verified yet"
    why = [f"{shown(base)} is the newest full backup from which the target can be reached ({state})."]
    earlier = [one for one in good if one.is_verified and one.position <= base.position]
    if not base.is_verified and earlier:
        why.append(f"The newest verified one before the target is {shown(earlier[-1])}; it needs more of the oplog.")
    if base.database is not None:
        why.append(f"It holds the database {base.database} alone, so that is all that is recovered.")
    if slices:
        first, last = position_text(slices[0].first), position_text(slices[-1].last)
        why.append(
            f"{len(slices)} slices of {chosen.lineage} from {first} to {last} follow it without a hole; what happened "
            f"before {position_text(stop)} is replayed."
        )
        if slices[0].last <= base.position:
            why.append("Reading begins before the backup, where a transaction began that ended after it.")
    else:
        why.append("It holds the target itself: nothing is replayed.")
    return why


def _unreachable(
    target: RecoveryTarget, stop: Position | None, reaches: t.Sequence[Reach], unfit: t.Sequence[Unfit]
) -> RecoveryTargetUnreachable:
    before, after = _nearest(stop, reaches, target=target)
    reasons = [f"{one.backup.manifest.backup_id}: {one.reason}" for one in unfit]
    for one in sorted(reaches, key=lambda one: one.base.position, reverse=True):
        if stop is not None and stop <= one.base.usable_from:
            reasons.append(f"{shown(one.base)}: it is not before the target")
        else:
            reasons.append(f"{shown(one.base)}: {one.why_no_further}")
    if not reaches:
        what = "There is no full backup that a recovery can begin with"
    else:
        what = f"{_shown_target(target)} can't be reached from what is stored"
    first = f" ({reasons[0]})" if reasons else ""
    # Where there is no whole second, a time has a position as its neighbour.
    nearest = " or ".join(f"--to-{'time' if 'T' in one else 'optime'} {one}" for one in (before, after) if one)
    return RecoveryTargetUnreachable(
        f"{what}{first}.",
        hint=f"The nearest that can be reached: {nearest}. All of it: lifeboat windows"
        if nearest
        else "Make a full backup, and see that the oplog is shipped: lifeboat windows; lifeboat ship JOB",
        details={"before": before, "after": after, "backups": reasons[:_SHOWN]},
    )


def _nearest(
    stop: Position | None, reaches: t.Sequence[Reach], *, target: RecoveryTarget
) -> tuple[str | None, str | None]:
    if stop is None:
        return None, None
    earlier = [one for one in reaches if one.end < stop]
    later = [one for one in reaches if one.base.usable_from >= stop]
    before = max(earlier, key=lambda one: one.last, default=None)
    after = min(later, key=lambda one: one.base.usable_from, default=None)
    return (
        None if before is None else _last_text(before, target),
        None if after is None else _first_text(after, target),
    )


def _last_text(found: Reach, target: RecoveryTarget) -> str:
    """The last that can be reached: a whole second when a time was asked for and there is one, else a position."""
    if target.kind == TIME and found.contains((found.last[0], 0)):
        return format_time(moment_of((found.last[0] - 1 if target.inclusive else found.last[0], 0)))
    return position_text(found.last)


def _first_text(found: Reach, target: RecoveryTarget) -> str:
    first = found.base.usable_from
    if target.kind == TIME and found.contains((first[0] + 1, 0)):
        return format_time(moment_of((first[0] if target.inclusive else first[0] + 1, 0)))
    return position_text(first)


def _shown_target(target: RecoveryTarget) -> str:
    if target.kind == TIME and target.time is not None:
        return format_time(target.time)
    return target.value or target.kind
