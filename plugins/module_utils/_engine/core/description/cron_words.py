# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cron fields in words, for people who read a plan or a status."""

from __future__ import annotations

import typing as t

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_FEW = 6


def describe_cron(
    fields: t.Sequence[str],
    *,
    minutes: t.AbstractSet[int],
    hours: t.AbstractSet[int],
    days: t.AbstractSet[int],
    months: t.AbstractSet[int],
    weekdays: t.AbstractSet[int],
) -> str:
    """The five *fields*, whose values are given as numbers, in words: ``Saturday at 01:00``."""
    times = _times(minutes, hours)
    which = _days(fields, days=days, months=months, weekdays=weekdays)
    if which:
        return f"{which} {times}"
    return f"daily {times}" if times.startswith("at ") else times


def _times(minutes: t.AbstractSet[int], hours: t.AbstractSet[int]) -> str:
    step = _step(minutes, 60)
    hour_step = _step(hours, 24)
    if len(minutes) == 1 and len(hours) > 2 and hour_step is not None and hour_step > 1:
        return f"every {hour_step} hours{_past(min(minutes))}"
    if len(minutes) * len(hours) <= _FEW:
        return "at " + _and([f"{hour:02}:{minute:02}" for hour in sorted(hours) for minute in sorted(minutes)])
    if step is not None:
        often = "every minute" if step == 1 else f"every {step} minutes"
    elif len(minutes) == 1:
        often = f"every hour{_past(min(minutes))}"
    else:
        often = f"every hour at the minutes {_and([str(minute) for minute in sorted(minutes)])}"
    if len(hours) == 24:
        return often
    first, last = min(hours), max(hours)
    if len(hours) == last - first + 1:
        return f"{often} from {first:02}:{min(minutes):02} to {last:02}:{max(minutes):02}"
    return f"{often} in the hours {_and([str(hour) for hour in sorted(hours)])}"


def _days(
    fields: t.Sequence[str], *, days: t.AbstractSet[int], months: t.AbstractSet[int], weekdays: t.AbstractSet[int]
) -> str:
    parts = []
    if len(weekdays) < 7:
        parts.append(_and([_WEEKDAYS[day] for day in sorted(weekdays, key=lambda day: (day - 1) % 7)]))
    if len(days) < 31:
        parts.append(f"day {_and([str(day) for day in sorted(days)])} of the month")
    # Cron's rule: both must match when one of the fields begins with a star, else either.
    both = fields[2].startswith("*") or fields[4].startswith("*")
    words = (" that is " if both else " and ").join(parts)
    if len(months) < 12:
        names = _and([_MONTHS[month - 1] for month in sorted(months)])
        return f"{words} in {names}" if words else f"daily in {names}"
    return words


def _step(values: t.AbstractSet[int], size: int) -> int | None:
    """The step of values that go evenly round a clock of *size* from 0, else None."""
    if len(values) < 2 or size % len(values):
        return None
    step = size // len(values)
    return step if set(values) == set(range(0, size, step)) else None


def _past(minute: int) -> str:
    return "" if minute == 0 else f" at minute {minute}"


def _and(words: t.Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
