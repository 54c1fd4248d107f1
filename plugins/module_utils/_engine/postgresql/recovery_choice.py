# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which timeline a recovery follows: the newest that contains the target, or the one that was asked for. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.errors import RecoveryTargetInvalid
from .recovery_way import Run, Way
from .wal_names import format_lsn

Ways = t.Mapping[int, Way]
_NEVER = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


def way_asked_for(ways: Ways, timeline: str) -> tuple[Way, str]:
    """The way to the timeline of that number, and why it was chosen. Raises RecoveryTargetInvalid."""
    number = int(timeline)
    if number not in ways:
        raise RecoveryTargetInvalid(
            f"Nothing of timeline {number} is stored.",
            hint=f"Leave the timeline out, or use one of: {', '.join(map(str, ways))}.",
            details={"timelines": list(ways)},
        )
    return ways[number], f"Timeline {number} was asked for."


def newest_way(ways: Ways) -> tuple[Way, str]:
    """The way to the timeline that was written to last.

    That is the newest one, unless the server went back to an older one: a recovery that was rolled back leaves its
    timeline behind in the archive.
    """
    stored = [way for way in _newest_first(ways) if way.has_own] or _newest_first(ways)
    way = max(stored, key=lambda one: (_last_of(one) or _NEVER, one.timeline))
    newer = [str(one.timeline) for one in stored if one.timeline > way.timeline]
    but = f"; {', '.join(newer)} is newer, and was left before (to follow it use --timeline)" if newer else ""
    return way, f"Timeline {way.timeline} is the one that was written to last{_of(ways)}{but}."


def way_to_time(ways: Ways, moment: datetime.datetime) -> tuple[Way, list[str]] | None:
    """The way to the newest timeline that was written to at *moment*, and why; None when there is none."""
    lived = [way for way in _newest_first(ways) if _lived_at(way, moment)]
    if lived:
        way = lived[0]
        why = [f"Timeline {way.timeline} is the newest that contains the target{_of(ways)}."]
        others = [str(one.timeline) for one in lived[1:]]
        if others:
            why.append(f"At that time there was also timeline {', '.join(others)} (to follow it use --timeline).")
        return way, why
    for way in _newest_first(ways):
        created = _created(way)
        if created is not None and moment < created and way.archive.continues(way.timeline):
            # Nothing is stored that was lost with its parent's end, so what it began with is all that there is.
            words = "it goes on where the stored WAL of its parent ends"
            return way, [f"Timeline {way.timeline} is the newest that contains the target{_of(ways)}: {words}."]
    return None


def way_to_lsn(ways: Ways, position: int) -> tuple[Way, list[str]] | None:
    """The way to the newest timeline that wrote at *position*, and why; None when there is none."""
    for is_own in (True, False):
        for way in _newest_first(ways):
            last = way.last_number
            if last is None or position > (last + 1) * way.archive.segment_size:
                continue
            if is_own and way.history.owner_of(position) != way.timeline:
                continue
            words = "contains" if is_own else "leads through"
            return way, [f"Timeline {way.timeline} is the newest that {words} {format_lsn(position)}{_of(ways)}."]
    return None


def last_base_before(way: Way, *, moment: datetime.datetime | None = None, position: int | None = None) -> Run | None:
    """How far the last base reaches that ended before the target; of two that ended at one position the proved one."""
    fit = [
        base
        for base in way.bases
        if (moment is None or base.finished <= moment) and (position is None or base.end <= position)
    ]
    return way.run_of(max(fit, key=lambda one: one.preference)) if fit else None


def first_base_to_the_end(way: Way) -> Run | None:
    """The run of the first base from which nothing is missing up to the end of what is stored."""
    whole = [run for run in way.runs() if not run.goes_on]
    return min(whole, key=lambda run: run.base.end) if whole else None


def _newest_first(ways: Ways) -> list[Way]:
    return [ways[number] for number in sorted(ways, reverse=True)]


def _created(way: Way) -> datetime.datetime | None:
    """When its timeline began; None when nobody knows."""
    return way.archive.created.get(way.timeline)


def _lived_at(way: Way, moment: datetime.datetime) -> bool:
    """Whether *moment* is between the begin of its timeline and the last that is stored of it, holes or not."""
    begin = _created(way)
    if begin is None and way.timeline > 1:
        begin = min((base.finished for base in way.bases if base.timeline == way.timeline), default=None)
        if begin is None:
            return False
    if begin is not None and moment < begin:
        return False
    last = _last_of(way)
    return last is not None and moment <= last


def _last_of(way: Way) -> datetime.datetime | None:
    """The last moment of which anything of its timeline is stored."""
    until = way.archive.stored_until(way.timeline)
    own = [base.finished for base in way.bases if base.timeline == way.timeline]
    return max([*own, *([until] if until is not None else [])], default=None)


def _of(ways: Ways) -> str:
    return f" (stored are {', '.join(map(str, sorted(ways)))})" if len(ways) > 1 else ""
