# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a second to the base and the pieces of append-only files that bring Redis there. Pure.

A target is a whole second: everything of it is in, and nothing later; exclusive, everything before it. Where no
append-only files are archived the newest backup before the target is the answer, and how far off that is, is said.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import asdict

from ..catalog.catalog import Backup
from ..core.clock import format_time
from ..core.errors import RecoveryTargetInvalid, RecoveryTargetUnreachable
from ..recovery.recovery_planner import RecoveryPlan
from ..recovery.recovery_target import RecoveryTarget
from ..streams.stream import StoredSegment, Stream
from .aof_log_chain import Chain, Way, read_chain
from .aof_log_seconds import Seconds, seconds_of
from .snapshot_points import SnapshotPoint, second_text, snapshot_points

_WINDOWS = "See what can be reached: lifeboat windows"


class AofLogPlanner:
    """See :class:`recovery.recovery_planner.RecoveryPlanner`."""

    def plan(
        self,
        *,
        bases: t.Sequence[Backup],
        streams: t.Sequence[Stream],
        target: RecoveryTarget,
        now: datetime.datetime,
    ) -> RecoveryPlan:
        """Choose the last base that holds nothing later than the target, and what follows it up to the target.

        Raises RecoveryTargetInvalid for what Redis has no notion of, and RecoveryTargetUnreachable, whose details name
        the nearest seconds ``before`` and ``after``.
        """
        through, warnings = _through(target, now=now)
        chains = sorted((read_chain(stream) for stream in streams), key=lambda chain: chain.begun)
        points = snapshot_points(bases)
        if through is None:
            return _latest(target, chains, points)
        found = _best(chains, through)
        if found is not None:
            chain, way = found
            return _from_stream(target, chain, way, through=through, warnings=warnings)
        reachable = [point for point in points if point.second <= through]
        if reachable and (not any(chain.ways for chain in chains) or reachable[-1].second == through):
            return _from_backup(target, reachable[-1], through=through, warnings=warnings)
        raise _unreachable(target, chains, points, through=through)


def _through(target: RecoveryTarget, *, now: datetime.datetime) -> tuple[int | None, list[str]]:
    """The last second that is wanted, None for everything; and what to say about it."""
    if target.kind not in ("time", "latest"):
        raise RecoveryTargetInvalid(
            f"Redis knows no {target.kind}: its append-only files note whole seconds.",
            hint="Give a time (--to-time 2026-11-21T14:03:00Z), or --latest.",
        )
    if target.skip or target.timeline not in ("", "latest") or target.action != "promote":
        raise RecoveryTargetInvalid(
            "Redis has no operations to skip, no timelines and nothing to promote.",
            hint="Leave skip, timeline and action out.",
        )
    if target.kind == "latest":
        return None, []
    if target.time is None or target.time.tzinfo is None:
        raise RecoveryTargetInvalid(
            "The target has no time, or one without a zone.", hint="Write it as 2026-11-21T14:03:00Z."
        )
    if target.time > now:
        raise RecoveryTargetInvalid(
            f"{format_time(target.time)} is in the future: it is {format_time(now)}.", hint="For all there is: --latest"
        )
    second = int((target.time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)).total_seconds())
    if target.time.microsecond:
        # Neither can all of the second be in nor any of it be left out as asked; what came later must not be in.
        earlier = target.time.microsecond / 1e6
        said = f"Redis notes whole seconds: this goes to the end of {second_text(second - 1)}, {earlier:g} s earlier."
        return second - 1, [said]
    return (second if target.inclusive else second - 1), []


# --- by the stream ---------------------------------------------------------------------------------------------------


def _best(chains: t.Sequence[Chain], through: int) -> tuple[Chain, Way] | None:
    """The newest lineage that reaches the second, and its last base from which it is reached."""
    for chain in reversed(chains):
        for way in sorted(chain.ways, key=lambda way: (way.base.holds, way.base.increment), reverse=True):
            if through in seconds_of(way):
                return chain, way
    return None


def _latest(target: RecoveryTarget, chains: t.Sequence[Chain], points: t.Sequence[SnapshotPoint]) -> RecoveryPlan:
    for chain in reversed(chains):
        if not chain.ways:
            continue
        furthest = max(way.position for way in chain.ways)
        way = [one for one in chain.ways if one.position == furthest][-1]
        seconds = seconds_of(way)
        if points and points[-1].second > max(seconds.last, seconds.first):
            break  # nothing was archived for a while, but backups were taken
        warnings = []
        if furthest < chain.newest:
            warnings.append(f"There are newer pieces that can't be joined to these: {way.end}.")
        return _from_stream(target, chain, way, through=None, warnings=warnings)
    if points:
        return _from_backup(target, points[-1], through=None, warnings=[])
    raise RecoveryTargetUnreachable(
        "There is neither a base of append-only files nor a backup.",
        hint="Make a backup: lifeboat run SERVICE/SOURCE/rdb",
        details={"before": None, "after": None},
    )


def _from_stream(
    target: RecoveryTarget, chain: Chain, way: Way, *, through: int | None, warnings: t.Sequence[str]
) -> RecoveryPlan:
    base = way.base.head
    segments: list[StoredSegment] = [one.stored for one in way.base.pieces]
    lengths = {way.base.increment: 0}
    last = way.base.head
    for one in way.pieces:
        name, after = one.piece.name, one.piece.after
        if through is not None and after is not None and after >= through and one.piece.commands:
            break  # all of it was written later
        lengths.setdefault(name.increment, 0)
        if name.end > lengths[name.increment]:
            segments.append(one.stored)
            lengths[name.increment] = name.end
            last = one.piece
        if through is not None and one.piece.highest is not None and one.piece.highest > through:
            break
    why = [
        f"Base {base.file} of lineage {chain.lineage} is the last one that holds nothing later than the target."
        if through is not None
        else f"Base {base.file} of lineage {chain.lineage} is the last one.",
    ]
    if len(lengths) > 1:
        why.append(f"{len(lengths)} increments follow it without a hole; the last one is {last.file}.")
    if through is not None:
        why.append(f"It is replayed to the end of the second {second_text(through)}.")
    return RecoveryPlan(
        target=target,
        base=None,
        lineage=chain.lineage,
        segments=tuple(segments),
        why=tuple(why),
        facts={
            "through": through,
            "base": {"increment": way.base.increment, "size": base.size, "rdb": base.rdb, "holds": base.holds},
            "increments": [[number, length] for number, length in sorted(lengths.items())],
            "server": {**asdict(last.server), "modules": list(last.server.modules)},
            "databases": max(one.piece.server.databases for one in (*way.base.pieces, *way.pieces)),
            "complete_through": _complete(seconds_of(way), through),
        },
        warnings=(*warnings, "Keys whose time to live has ended since then are gone as soon as a server loads them."),
    )


def _complete(seconds: Seconds, through: int | None) -> int | None:
    if through is not None:
        return through
    spans = seconds.spans()
    return spans[-1][1] if spans else None


# --- by backups alone ------------------------------------------------------------------------------------------------


def _from_backup(
    target: RecoveryTarget, point: SnapshotPoint, *, through: int | None, warnings: t.Sequence[str]
) -> RecoveryPlan:
    off = None if through is None else through - point.second
    backup_id = point.backup.manifest.backup_id
    said = (
        f"It is of {second_text(point.second)}, {off} seconds before the target: what was written since is not in it."
        if off
        else f"It is of {second_text(point.second)}; what was written later, even in that second, may not be in it."
    )
    return RecoveryPlan(
        target=target,
        base=point.backup,
        lineage="",
        segments=(),
        why=(f"The backup {backup_id} is the newest one before the target, and no append-only files lead on.", said),
        facts={"off_seconds": off, "point": second_text(point.second)},
        warnings=(*warnings, f"A backup alone is a point in time, and nothing in between can be reached. {said}"),
    )


# --- not at all ------------------------------------------------------------------------------------------------------


def _unreachable(
    target: RecoveryTarget, chains: t.Sequence[Chain], points: t.Sequence[SnapshotPoint], *, through: int
) -> RecoveryTargetUnreachable:
    spans = [span for chain in chains for way in chain.ways for span in seconds_of(way).spans()]
    spans += [(point.second, point.second) for point in points]
    before = max((min(high, through) for low, high in spans if low <= through), default=None)
    after = min((low for low, _high in spans if low > through), default=None)
    shown = [None if one is None else second_text(one) for one in (before, after)]
    named = " and ".join(one for one in shown if one) or "none"
    return RecoveryTargetUnreachable(
        f"{target.text} can't be reached: {_why_not(chains, through)}. The nearest seconds that can: {named}.",
        hint=f"Give one of them: --to-time {shown[0] or shown[1]}" if named != "none" else _WINDOWS,
        details={"before": shown[0], "after": shown[1]},
    )


def _why_not(chains: t.Sequence[Chain], through: int) -> str:
    ways = [(way, seconds_of(way)) for chain in chains for way in chain.ways]
    for _way, seconds in ways:
        for one in seconds.blocked:
            if one.first <= through <= one.last:
                return one.reason
    begun = [(way, seconds) for way, seconds in ways if seconds.first <= through]
    if not begun:
        return "it is before the first base of append-only files that is stored whole"
    way, _seconds = max(begun, key=lambda pair: pair[1].last)
    return way.end or "nothing is archived yet that proves what was written until then"
