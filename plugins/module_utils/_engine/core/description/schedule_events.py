# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cron expression as systemd writes times (systemd.time(7), calendar events)."""

from __future__ import annotations

from .schedule import Schedule

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def calendar_events(schedule: Schedule) -> tuple[str, ...]:
    """What ``OnCalendar=`` takes, zone included. Two where cron means "that day of the month, or that weekday"."""
    _minute, _hour, day_text, _month, weekday_text = schedule.expression.split()
    days, weekdays = len(schedule.days) < 31, len(schedule.weekdays) < 7
    both = day_text.startswith("*") or weekday_text.startswith("*")
    if days and weekdays and not both:
        return (_event(schedule, days=True, weekdays=False), _event(schedule, days=False, weekdays=True))
    # A field that says every day beside one that does not: either of them is enough, so it is every day.
    if not both and days != weekdays:
        return (_event(schedule, days=False, weekdays=False),)
    return (_event(schedule, days=days, weekdays=weekdays),)


def _event(schedule: Schedule, *, days: bool, weekdays: bool) -> str:
    names = ",".join(_WEEKDAYS[number] for number in sorted(schedule.weekdays))
    on = f"{names} " if weekdays else ""
    months = _field(schedule.months, every=12)
    date = f"*-{months}-{_field(schedule.days, every=31) if days else '*'}"
    time = f"{_field(schedule.hours, every=24)}:{_field(schedule.minutes, every=60)}:00"
    return f"{on}{date} {time} {schedule.timezone}"


def _field(values: frozenset[int], *, every: int) -> str:
    return "*" if len(values) == every else ",".join(f"{value:02}" for value in sorted(values))
