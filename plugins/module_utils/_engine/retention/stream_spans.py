# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which base a stream begins from, and how much of it stays. Pure.

Every moment of the span that a policy keeps, and that can be recovered to now, stays so. A moment is reached by one
*window* of one base: an unbroken span of what was recorded. So the span is gone through from its beginning, and
wherever it is not covered yet a base is chosen that reaches there: the newest verified one, else the newest usable one,
else the first that begins later. Everything that these bases read stays. The newest moment of all that can be
recovered to counts as lasting until now: a source that is idle, or whose stream has stopped, has nothing newer.
"""

from __future__ import annotations

import datetime
import operator
import typing as t
from dataclasses import dataclass

from ..catalog.standing import FAILED, VERIFIED, best
from ..core.description.duration import format_duration
from ..streams.layout import hour_end, hour_of
from .rules import merged
from .values import Entry, RecoverySpan, SeriesPolicy, StreamDecision, StreamEntry

_EARLIEST = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
_LATEST = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
# From worst to best. A failed base is better than none: its failure may be lifted, what was recorded never comes back.
_FAILED, _UNKNOWN, _USABLE, _PROVED = range(4)
_QUALITY = {FAILED: _FAILED, VERIFIED: _PROVED}

#: A backup as the beginning of recoveries, wherever it is held: when it finished, and the best state that it has. A
#: plain tuple, as there may be very many.
Base = tuple[datetime.datetime, str]
#: How far one base gets; the best one is the greatest: quality, when it finished, first moment, id, last moment.
Reach = tuple[int, datetime.datetime, datetime.datetime, str, datetime.datetime]


@dataclass(frozen=True)
class Span:
    """What a policy keeps of a stream: all from *since* on (None: everything), and why."""

    since: datetime.datetime | None
    words: str


def span_of(policy: SeriesPolicy | None, *, now: datetime.datetime) -> Span:
    """What a stream's policy keeps. Without any policy, everything stays."""
    if policy is None:
        return Span(since=None, words="no job keeps this stream here")
    keep = merged(policy.keeps)
    if keep.forever:
        return Span(since=None, words="forever")
    if keep.within is None:
        # Such a policy is refused. Who overrides that keeps what the newest good base needs.
        span = Span(since=now, words="the policy says nothing of streams")
    else:
        span = Span(since=now - keep.within, words=f"within {format_duration(keep.within)}")
    for point in policy.points:
        is_active = point.until is None or point.until > now
        if is_active and span.since is not None and point.moment < span.since:
            span = Span(since=point.moment, words=f"pinned point {moment_text(point.moment)}: {point.reason}")
    return span


def bases_of(entries: t.Iterable[Entry]) -> dict[str, Base]:
    """Backups of one source in any repositories, by id, each with the best state that it has anywhere."""
    found: dict[str, Base] = {}
    for entry in entries:
        known = found.get(entry.backup_id)
        found[entry.backup_id] = (entry.finished, best((entry.state, known[1])) if known else entry.state)
    return found


def first_hours(stream: StreamEntry) -> dict[str, str]:
    """From which hour on a recovery reads, by its base: the id of a backup, or the hour of an own one."""
    return {**{hour: hour for hour in stream.own_bases}, **stream.needed_from}


def newest_moment(stream: StreamEntry) -> datetime.datetime:
    """The newest moment that a lineage can be recovered to, as far as it says; the beginning of time without any."""
    if stream.windows:
        return max(window.ends for window in stream.windows)
    return max((hour.ends or hour_end(hour.key) for hour in stream.hours), default=_EARLIEST)


def chosen_bases(
    stream: StreamEntry, span: Span, bases: t.Mapping[str, Base], *, newest: datetime.datetime
) -> dict[str, datetime.datetime]:
    """The bases that reach every moment of the span that can be reached, and from when on each of them does.

    *newest* is the newest moment that any lineage of the stream can be recovered to.
    """
    moment = _EARLIEST if span.since is None else span.since
    left = _reaches(stream, bases, since=moment, newest=newest)
    chosen: dict[str, datetime.datetime] = {}
    while left:
        there = max((one for one in left if one[2] <= moment), default=None)
        if there is None:
            moment = min(one[2] for one in left)
            continue
        _quality, _finished, begins, name, moment = there
        chosen.setdefault(name, begins)
        left = [one for one in left if one[4] > moment]
    return chosen


def bases_inside(
    stream: StreamEntry, span: Span, bases: t.Mapping[str, Base], *, staying: t.Container[str]
) -> frozenset[str]:
    """The bases that finished within the span and stay somewhere: what recoveries from them read stays, too."""
    return frozenset(
        name
        for name in stream.needed_from
        if name in staying
        and name in bases
        and bases[name][1] != FAILED
        and (span.since is None or bases[name][0] >= span.since)
    )


def cut(stream: StreamEntry, span: Span, *, needed: t.Collection[str]) -> StreamDecision:
    """What stays of a lineage: all hours of the span, and what recoveries from *needed* bases read."""
    if span.since is None:
        return uncut(stream, (span.words,))
    read = {name: hour for name, hour in first_hours(stream).items() if name in needed}
    keep_from = min([_first_hour(stream, span.since), *read.values()])
    reasons = [span.words]
    if read:
        earliest = min(read.values())
        name = max(name for name, hour in read.items() if hour == earliest)
        reasons.append(f"recoveries into it begin from {name}, which reads from {hour_text(earliest)} on")
    else:
        reasons.append("no base reaches into it")
    going = [hour for hour in stream.hours if hour.key < keep_from]
    if not going:
        return uncut(stream, tuple(reasons))
    reasons.append(f"nothing that stays reads what was recorded before {hour_text(keep_from)}")
    return StreamDecision(
        entry=stream,
        keep_from=keep_from,
        removed_hours=len(going),
        removed_segments=sum(hour.segments for hour in going),
        removed_bytes=sum(hour.stored_bytes for hour in going),
        reasons=tuple(reasons),
    )


def uncut(stream: StreamEntry, reasons: tuple[str, ...], *, held_back: bool = False) -> StreamDecision:
    """Nothing of it goes."""
    return StreamDecision(
        entry=stream,
        keep_from="",
        removed_hours=0,
        removed_segments=0,
        removed_bytes=0,
        reasons=reasons,
        held_back=held_back,
    )


def moment_text(moment: datetime.datetime) -> str:
    """To the minute, in UTC: ``2026-11-19 14:00Z``."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%MZ")


def hour_text(hour: str) -> str:
    """An hour's name as people read it: ``2026-11-19 14:00Z``."""
    return f"{hour[:4]}-{hour[4:6]}-{hour[6:8]} {hour[8:]}:00Z"


def _first_hour(stream: StreamEntry, since: datetime.datetime) -> str:
    """The first hour with a moment of the span: what is recorded in an hour happened in it or before, unless the
    source's clock is ahead.
    """
    inside = (hour.key for hour in stream.hours if hour.ends is not None and hour.ends >= since)
    return min([hour_of(since), *inside])


def _reaches(
    stream: StreamEntry, bases: t.Mapping[str, Base], *, since: datetime.datetime, newest: datetime.datetime
) -> list[Reach]:
    """Those that get beyond *since*. What gets as far as the newest moment of all gets as far as there will be any."""
    own = frozenset(stream.own_bases)
    found: list[Reach] = []

    def add(name: str, begins: datetime.datetime, ends: datetime.datetime) -> None:
        ends = _LATEST if ends >= newest else ends
        if ends <= since:
            return
        base = bases.get(name)
        if base is not None:
            found.append((_QUALITY.get(base[1], _USABLE), base[0], begins, name, ends))
        else:
            found.append((_USABLE if name in own else _UNKNOWN, begins, begins, name, ends))

    for window in stream.windows:
        add(window.base, window.begins, window.ends)
    if not stream.windows:
        # Nobody said how far they get: then as far as there is anything.
        for name, hour in first_hours(stream).items():
            add(name, bases[name][0] if name in bases else hour_end(hour), newest_moment(stream))
    return found


def seconds_covered(windows: t.Iterable[RecoverySpan], *, since: datetime.datetime | None) -> float:
    """How much time lies in any of *windows* and not before *since* (None: from the first one on)."""
    total, reached = 0.0, since
    for window in sorted(windows, key=operator.attrgetter("begins")):
        begins = window.begins if reached is None else max(window.begins, reached)
        if window.ends > begins:
            total += (window.ends - begins).total_seconds()
            reached = window.ends
    return total
