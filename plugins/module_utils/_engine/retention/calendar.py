# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hours, days, weeks, months and years of a time zone, and the newest backup of each of the last so many. Pure.

Weeks begin on Monday, as ISO 8601 has it, and may lie in two years. An hour that the clocks go through twice is two.
"""

from __future__ import annotations

import datetime
import typing as t

PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")


def _hour(local: datetime.datetime) -> int:
    # The second of two hours with one name has fold 1 (PEP 495).
    return (local.toordinal() * 24 + local.hour) * 2 + local.fold


def _day(local: datetime.datetime) -> int:
    return local.toordinal()


def _week(local: datetime.datetime) -> int:
    # Day 1 of the calendar was a Monday.
    return (local.toordinal() - 1) // 7


def _month(local: datetime.datetime) -> int:
    return local.year * 12 + local.month


def _year(local: datetime.datetime) -> int:
    return local.year


#: From a local time to a number: equal means the same period, and later ones have higher numbers.
PERIOD_OF: t.Mapping[str, t.Callable[[datetime.datetime], int]] = {
    "hourly": _hour,
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}


def newest_of_each(
    period: str, moments: t.Sequence[datetime.datetime], *, zone: datetime.tzinfo, count: int
) -> t.Iterator[int]:
    """The places in *moments* (newest first) of the newest of each of the last *count* periods that have one.

    Looks at few of them: what lies between two periods is found by halving.
    """
    period_of = PERIOD_OF[period]

    def key(place: int) -> int:
        return period_of(moments[place].astimezone(zone))

    seen: set[int] = set()
    place = 0
    while place < len(moments) and len(seen) < count:
        current = key(place)
        # Where clocks go back over midnight a day may come again.
        if current not in seen:
            seen.add(current)
            yield place
        place = _first_other(key, current, place, len(moments))


def _first_other(key: t.Callable[[int], int], current: int, place: int, end: int) -> int:
    """The first place behind *place* with another key, or *end*."""
    same, other, step = place, place + 1, 1
    while other < end and key(other) == current:
        same, other, step = other, other + step, step * 2
    other = min(other, end)
    while other - same > 1:
        middle = (same + other) // 2
        if key(middle) == current:
            same = middle
        else:
            other = middle
    return other
