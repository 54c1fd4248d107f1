# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogs of three years without any chance in them, from which golden plans are made: the same on every machine."""

from __future__ import annotations

import datetime
import typing as t
import zoneinfo

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    Entry,
    RecoverySpan,
    StreamEntry,
    StreamHour,
)
from tests.unit.retention.samples import DAY, FULL, HOUR, INCREMENTAL, NOW, OPLOG, entry

YEARS = 3
BEGINS = NOW - DAY * 365 * YEARS
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
LOGICAL = Series("family", "main", "logical")

Catalog = tuple[list[Entry], list[StreamEntry]]


def _state(number: int, *, failed: int = 17, unproved: int = 5) -> str:
    """Every 17th failed, every 5th was not proved, the others were."""
    if failed and number % failed == failed - 1:
        return "failed"
    return "complete" if unproved and number % unproved == unproved - 1 else "verified"


def _every(
    step: datetime.timedelta, *, series: Series = FULL, begins: datetime.datetime = BEGINS, **more: t.Any
) -> list[Entry]:
    made: list[Entry] = []
    moment = begins
    while moment < NOW - datetime.timedelta(minutes=10):
        number = len(made)
        made.append(entry(moment, _state(number), series=series, stored_bytes=1_000_000 + number, **more))
        moment += step
    return made


def daily() -> Catalog:
    """Each night at 02:30 by the clocks of Berlin, also in the nights in which there is no or a second 02:30."""
    nights = (BEGINS.date() + DAY * number for number in range(365 * YEARS + 1))
    moments = (datetime.datetime(day.year, day.month, day.day, 2, 30, tzinfo=BERLIN) for day in nights)
    utc = (moment.astimezone(datetime.timezone.utc) for moment in moments)
    return [entry(moment, _state(number)) for number, moment in enumerate(utc) if moment < NOW], []


def four_hourly() -> Catalog:
    """Every four hours."""
    return _every(4 * HOUR), []


def hourly() -> Catalog:
    """Every hour: 26,280."""
    return _every(HOUR), []


def weekly() -> Catalog:
    """Each Saturday at 01:00, never proved before last year."""
    first = BEGINS.replace(hour=1) + DAY * ((5 - BEGINS.weekday()) % 7)
    made = _every(7 * DAY, begins=first)
    return [one if number > 104 else entry(one.started, "complete") for number, one in enumerate(made)], []


def on_change() -> Catalog:
    """Bursts of changes with weeks of silence between them, and none in the last month."""
    made = []
    for burst in range(60):
        begins = BEGINS + DAY * (burst * 17 + burst * burst % 11)
        made += [entry(begins + HOUR * (step * step), _state(burst + step)) for step in range(burst % 7 + 1)]
    return [one for one in made if one.started < NOW - 30 * DAY], []


def chained() -> Catalog:
    """A full each Sunday, and an increment of the day before on each other day."""
    made: list[Entry] = []
    for number in range(365 * YEARS):
        moment = BEGINS.replace(hour=1) + DAY * number
        if not made or moment.weekday() == 6:
            made.append(entry(moment, _state(number)))
        else:
            made.append(entry(moment, _state(number), series=INCREMENTAL, parent=made[-1].backup_id))
    return made, []


def by_day() -> Catalog:
    """A full at 01:00, and from 09:00 to 18:00 hourly increments of it."""
    made: list[Entry] = []
    for number in range(365 * YEARS):
        midnight = BEGINS.replace(hour=0) + DAY * number
        base = entry(midnight + HOUR, _state(number, unproved=0))
        made.append(base)
        for hour in range(9, 19):
            state = _state(number * 10 + hour, unproved=2)
            one = entry(midnight + HOUR * hour, state, series=INCREMENTAL, parent=base.backup_id)
            made += [one] if one.finished < NOW else []
    return made, []


def troubled() -> Catalog:
    """Twice a day; nothing for a month in spring, only failures in the last 31 days, nothing proved for 90 days."""
    made = []
    for number, one in enumerate(_every(12 * HOUR)):
        age = NOW - one.started
        if DAY * 200 < age < DAY * 230:
            continue
        state = "failed" if age < DAY * 31 else "complete" if age < DAY * 90 else _state(number)
        made.append(entry(one.started, state))
    return made, []


def with_oplog() -> Catalog:
    """A full each night and an oplog all the time, torn in the night of 100 days ago."""
    made, _none = daily()
    torn = NOW - 100 * DAY
    hours = []
    moment = BEGINS.replace(minute=0)
    while moment < NOW:
        hours.append(StreamHour(f"{moment:%Y%m%d%H}", segments=4, stored_bytes=4_000, ends=moment + HOUR))
        moment += HOUR
    windows = tuple(
        RecoverySpan("rs0", one.backup_id, one.finished, torn if one.finished < torn else NOW)
        for one in made
        if one.state != "failed"
    )
    needed = {one.backup_id: f"{one.finished:%Y%m%d%H}" for one in made}
    return made, [StreamEntry(OPLOG, "rs0", "mongodb", tuple(hours), needed_from=needed, windows=windows)]


CATALOGS: t.Mapping[str, t.Callable[[], Catalog]] = {
    "daily": daily,
    "four-hourly": four_hourly,
    "hourly": hourly,
    "weekly": weekly,
    "on-change": on_change,
    "chained": chained,
    "by-day": by_day,
    "troubled": troubled,
    "with-oplog": with_oplog,
}
