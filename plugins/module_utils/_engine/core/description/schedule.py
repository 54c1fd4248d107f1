# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs run: five-field cron expressions in a time zone, exactly as a host's cron daemon reads them.

Extensions that a cron daemon does not know (seconds, ``L``, ``#``) are refused, because the same text is written into
the host's cron table.
"""

from __future__ import annotations

import datetime
import difflib
import re
import typing as t
import zoneinfo
from dataclasses import dataclass

from ..errors import LibraryMissing, ScheduleInvalid
from .cron_words import describe_cron

UTC = "UTC"
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Twice 28 years: within one of them every date falls on every weekday that it ever falls on, 29 February too.
_FIRST_DAY, _DAYS = datetime.date(2024, 1, 1), 2 * 28 * 1461 // 4


@dataclass(frozen=True)
class Field:
    """One of the five fields: what it may hold, and the names that stand for numbers."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> frozenset[int]:
        """The numbers that *text* names. Raises ScheduleInvalid saying which part of it is wrong and why."""
        return frozenset(value for part in text.split(",") for value in self._part(part, text))

    def _part(self, part: str, text: str) -> t.Sequence[int]:
        body, slash, step_text = part.partition("/")
        step = 1
        if slash:
            if not re.fullmatch(r"[0-9]{1,4}", step_text) or int(step_text) == 0:
                raise self._wrong(text, f"the step after / must be a number of at least 1, not {step_text!r}")
            step = int(step_text)
        if body == "*":
            first, last = self.lowest, self.highest
        elif "-" in body:
            first_text, _dash, last_text = body.partition("-")
            first, last = self._number(first_text, text), self._number(last_text, text)
            if last < first:
                raise self._wrong(text, f"the range {body} runs backwards; write two ranges with a comma")
        else:
            first = self._number(body, text)
            last = self.highest if slash else first
        return range(first, last + 1, step)

    def _number(self, word: str, text: str) -> int:
        if word.lower() in self.names:
            return self.names.index(word.lower()) + (1 if self.lowest == 1 else 0)
        if not re.fullmatch(r"[0-9]{1,4}", word):
            known = f" or one of {', '.join(self.names)}" if self.names else ""
            raise self._wrong(text, f"{word!r} is not a number{known}" if word else "a number is missing")
        if not self.lowest <= int(word) <= self.highest:
            raise self._wrong(text, f"{word} is not between {self.lowest} and {self.highest}")
        return int(word)

    def _wrong(self, text: str, why: str) -> ScheduleInvalid:
        return ScheduleInvalid(f"the {self.name} field {text!r}: {why}.", hint=_HINT)


_FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day-of-month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day-of-week", 0, 7, _WEEKDAYS),
)
_HINT = (
    'Write five fields in quotes: minute hour day-of-month month day-of-week, such as "0 2 * * *" (daily at 02:00), '
    '"*/15 * * * *" (every 15 minutes) or "0 1 * * 6" (Saturday at 01:00).'
)


@dataclass(frozen=True)
class Schedule:
    """A cron expression and the time zone in which it is read."""

    expression: str
    timezone: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday

    def next_run(self, after: datetime.datetime) -> datetime.datetime:
        """The first time to run later than *after* (aware), in UTC, clock changes treated as Debian's cron does.

        Raises LibraryMissing without the library ``cronsim``.
        """
        return self._nearest(after, reverse=False)

    def previous_run(self, before: datetime.datetime) -> datetime.datetime:
        """The last time to run earlier than *before* (aware), in UTC. Raises LibraryMissing as next_run() does."""
        return self._nearest(before, reverse=True)

    def _nearest(self, moment: datetime.datetime, *, reverse: bool) -> datetime.datetime:
        try:
            import cronsim
        except ImportError as error:
            raise LibraryMissing(
                "The Python library cronsim is needed to tell when a schedule comes next.",
                hint="Install it for the interpreter that runs Lifeboat: pip install cronsim",
            ) from error
        local = moment.astimezone(timezone_named(self.timezone))
        found = next(cronsim.CronSim(self.expression, local, reverse=reverse))
        return found.astimezone(datetime.timezone.utc)

    def longest_gap(self) -> datetime.timedelta:
        """The longest time between two runs, clock changes left aside."""
        times = sorted(hour * 60 + minute for hour in self.hours for minute in self.minutes)
        longest = max((later - earlier for earlier, later in zip(times, times[1:])), default=0)
        days = self.matching_days()
        overnight = max((later - earlier for earlier, later in zip(days, days[1:])), default=_DAYS)
        return datetime.timedelta(minutes=max(longest, overnight * 1440 - times[-1] + times[0]))

    def describe(self) -> str:
        """In words: ``daily at 02:00``, ``every 15 minutes``, ``Saturday at 01:00``."""
        words = describe_cron(
            self.expression.split(),
            minutes=self.minutes,
            hours=self.hours,
            days=self.days,
            months=self.months,
            weekdays=self.weekdays,
        )
        return words if self.timezone == UTC else f"{words} ({self.timezone})"

    def matching_days(self) -> list[int]:
        """The days on which it runs, as numbers within 56 years: dates fall on the same weekdays again after 28."""
        if len(self.days) == 31 and len(self.months) == 12 and len(self.weekdays) == 7:
            return [0, 1]
        _minute, _hour, day_text, _month, weekday_text = self.expression.split()
        # Cron runs when both match if one of the two begins with a star, else when either does.
        both = day_text.startswith("*") or weekday_text.startswith("*")
        matching = []
        for number in range(_DAYS):
            day = _FIRST_DAY + datetime.timedelta(days=number)
            is_day, is_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
            if day.month in self.months and ((is_day and is_weekday) if both else (is_day or is_weekday)):
                matching.append(number)
        return matching


def parse_schedule(expression: str, *, timezone: str = UTC) -> Schedule:
    """The schedule of a cron expression.

    Raises ScheduleInvalid saying in words what is wrong: the field, the value, a date that never comes, the time zone.
    """
    stripped = expression.strip()
    if stripped.startswith("@"):
        same = _ALIASES.get(stripped.lower())
        raise ScheduleInvalid(
            f"{stripped!r} is a short form that not every cron reads.", hint=f'Write "{same}".' if same else _HINT
        )
    fields = stripped.split()
    if len(fields) != len(_FIELDS):
        raise ScheduleInvalid(f"{_shortened(stripped)!r} has {len(fields)} fields and not 5.", hint=_HINT)
    minutes, hours, days, months, weekdays = (field.values(text) for field, text in zip(_FIELDS, fields))
    schedule = Schedule(
        expression=" ".join(fields),
        timezone=timezone,
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(value % 7 for value in weekdays),
    )
    if not schedule.matching_days():
        raise ScheduleInvalid(
            f"{stripped!r} never comes: no month that it names has day {min(days)}.", hint="Use a day that exists."
        )
    timezone_named(timezone)
    return schedule


def timezone_named(name: str) -> datetime.tzinfo:
    """The time zone of that IANA name. Raises ScheduleInvalid when this host doesn't know it."""
    if name == UTC:
        return datetime.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        near = difflib.get_close_matches(name, known, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        raise ScheduleInvalid(
            f"the time zone {_shortened(name)!r} is unknown here{guess}.",
            hint="Use a name such as UTC or Europe/Berlin"
            + ("." if known else "; this host has no time zones at all: install the package tzdata."),
        ) from error


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."
