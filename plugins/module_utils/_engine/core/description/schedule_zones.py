# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schedule of one time zone in the cron table of a host that lives in another.

Debian's cron reads every table in the zone of the host (crontab(5), LIMITATIONS; CRON_TZ is cronie's alone), and the
difference between two zones changes with the seasons. So the host's cron calls at every time that may be the right
one, and ``--due`` says on the spot which one is: what was made since the schedule last came round is left alone.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from .schedule import UTC, Schedule, timezone_named

_DAY = 1440  # minutes
_YEARS = 2


@dataclass(frozen=True)
class LocalTimes:
    """Five fields for the host's cron; *exact* when they call at the schedule's times and at no others."""

    expression: str
    exact: bool


def local_times(schedule: Schedule, *, host_timezone: str, year: int) -> LocalTimes:
    """When a cron in *host_timezone* must call, for every difference of the zones from *year* on, for two years.

    Raises ScheduleInvalid for a zone that is not known here.
    """
    shifts = _shifts(schedule.timezone, host_timezone, year=year)
    if shifts == {0}:
        return LocalTimes(expression=schedule.expression, exact=True)
    times = {hour * 60 + minute for hour in schedule.hours for minute in schedule.minutes}
    shifted = {(time + shift) % _DAY for time in times for shift in shifts}
    if shifted == times and _is_every_day(schedule):
        return LocalTimes(expression=schedule.expression, exact=True)
    minutes = _field({time % 60 for time in shifted}, every=60)
    hours = _field({time // 60 for time in shifted}, every=24)
    # Days are left to --due: a time may fall on the day before or after.
    return LocalTimes(expression=f"{minutes} {hours} * * *", exact=False)


def is_skipped_at_times(schedule: Schedule, *, year: int) -> bool:
    """Whether the clocks of its zone leave out a time of day of *schedule* on some day of two years from *year* on.

    cron runs then what would have been in the hour that is left out; systemd's timers come a day later.
    """
    if schedule.timezone == UTC or len(schedule.hours) == 24:
        return False
    times = {hour * 60 + minute for hour in schedule.hours for minute in schedule.minutes}
    return bool(times & _skipped(timezone_named(schedule.timezone), year=year))


def _skipped(zone: datetime.tzinfo, *, year: int) -> set[int]:
    """The minutes of the day that are left out when the clocks go forward."""
    skipped: set[int] = set()
    for earlier, later in zip(_hours(year), _hours(year, first=1)):
        ahead = int((_offset(later, zone) - _offset(earlier, zone)).total_seconds()) // 60
        if ahead > 0:
            local = earlier.astimezone(zone)
            start = local.hour * 60 + local.minute
            # The change comes within this hour; a minute too many only means one more look at what is due.
            skipped |= {(start + minute) % _DAY for minute in range(60 + ahead)}
    return skipped


def _hours(year: int, *, first: int = 0) -> t.Iterator[datetime.datetime]:
    begin = datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc)
    return (begin + datetime.timedelta(hours=number) for number in range(first, _YEARS * 366 * 24))


def _shifts(zone: str, host_zone: str, *, year: int) -> set[int]:
    """By how many minutes the clock of the host is ahead, at any hour of those years."""
    if zone == host_zone:
        return {0}
    here, there = timezone_named(host_zone), timezone_named(zone)
    ahead = {_offset(moment, here) - _offset(moment, there) for moment in _hours(year)}
    return {int(difference.total_seconds()) // 60 for difference in ahead}


def _offset(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.timedelta:
    return moment.astimezone(zone).utcoffset() or datetime.timedelta(0)


def _is_every_day(schedule: Schedule) -> bool:
    return len(schedule.days) == 31 and len(schedule.months) == 12 and len(schedule.weekdays) == 7


def _field(values: set[int], *, every: int) -> str:
    return "*" if len(values) == every else ",".join(str(value) for value in sorted(values))
