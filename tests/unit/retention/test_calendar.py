# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Periods: weeks from Monday, days on the clocks of a time zone, hours that come twice; few looks at many backups."""

from __future__ import annotations

import datetime
import typing as t
import zoneinfo

import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention import calendar
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.calendar import (
    PERIOD_OF,
    PERIODS,
    newest_of_each,
)
from tests.unit.retention.samples import HOUR, at

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
UTC = datetime.timezone.utc
YEARS = 110 * 365 * 24 * 60
MOMENTS = st.integers(min_value=0, max_value=YEARS).map(
    lambda minutes: at("1990-01-01 00:00") + datetime.timedelta(minutes=minutes)
)


@given(day=st.dates(min_value=datetime.date(1900, 1, 1), max_value=datetime.date(2200, 1, 1)))
@settings(max_examples=200, deadline=None)
def test_weeks_are_those_of_iso_8601(day: datetime.date) -> None:
    moment = datetime.datetime.combine(day, datetime.time(), tzinfo=UTC)
    week = PERIOD_OF["weekly"]
    for days in (1, 6, 7):
        later = moment + datetime.timedelta(days=days)
        assert (week(moment) == week(later)) is (moment.isocalendar()[:2] == later.isocalendar()[:2])


@pytest.mark.parametrize(
    ("period", "first", "second", "same"),
    [
        # 29 December 2025 was a Monday: its week is the first one of 2026.
        ("weekly", "2025-12-29 00:00", "2026-01-04 23:59", True),
        ("weekly", "2025-12-28 23:59", "2025-12-29 00:00", False),
        # 2026 has 53 weeks.
        ("weekly", "2026-12-28 00:00", "2027-01-03 23:59", True),
        ("yearly", "2025-12-31 23:59", "2026-01-01 00:00", False),
        ("monthly", "2026-01-31 23:59", "2026-02-01 00:00", False),
        ("monthly", "2025-12-31 23:59", "2026-12-31 23:59", False),
        ("hourly", "2026-11-20 23:59", "2026-11-21 23:59", False),
    ],
)
def test_where_one_period_ends_and_the_next_begins(period: str, first: str, second: str, *, same: bool) -> None:
    assert (PERIOD_OF[period](at(first)) == PERIOD_OF[period](at(second))) is same


def places(period: str, moments: t.Sequence[datetime.datetime], zone: datetime.tzinfo, count: int = 100) -> list[int]:
    return list(newest_of_each(period, moments, zone=zone, count=count))


def test_a_day_begins_where_the_clocks_of_the_time_zone_say_so() -> None:
    # 23:30 UTC is the next day in Berlin.
    moments = [at("2026-11-21 23:30"), at("2026-11-21 22:30"), at("2026-11-21 01:00")]
    assert places("daily", moments, UTC) == [0]
    assert places("daily", moments, BERLIN) == [0, 1]


def test_the_hour_that_the_clocks_go_through_twice_is_two_hours() -> None:
    # On 25 October 2026 the clocks of Berlin go from 03:00 back to 02:00, which is 01:00 in UTC.
    moments = [at("2026-10-25 01:30"), at("2026-10-25 00:30"), at("2026-10-24 23:30")]
    assert [moment.astimezone(BERLIN).hour for moment in moments] == [2, 2, 1]
    assert places("hourly", moments, BERLIN) == [0, 1, 2]


def test_a_day_of_25_hours_is_one_day_and_one_of_23_too() -> None:
    for midnight in ("2026-10-24 22:00", "2026-03-28 23:00"):
        hours = [at(midnight) + HOUR * hour for hour in range(-1, 26)]
        days = [moment.astimezone(BERLIN).date() for moment in hours]
        found = places("daily", hours[::-1], BERLIN)
        assert [days[::-1][place] for place in found] == sorted(set(days), reverse=True)


def test_a_day_that_comes_again_after_midnight_is_one_day() -> None:
    # In St. John's clocks went from 00:01 on 7 November 2010 back to 23:01 on the 6th.
    zone = zoneinfo.ZoneInfo("America/St_Johns")
    every = [at("2010-11-07 00:00") + datetime.timedelta(seconds=30) * step for step in range(1000)][::-1]
    days = [moment.astimezone(zone).day for moment in every]
    changes = [day for day, next_day in zip(days, [*days[1:], 0]) if day != next_day]
    assert changes == [7, 6, 7, 6], "the clocks of this zone are not what this test is about"
    assert sorted(days[place] for place in places("daily", every, zone)) == [6, 7]


def one_by_one(
    period: str, moments: t.Sequence[datetime.datetime], zone: datetime.tzinfo, count: int
) -> t.Iterator[int]:
    seen: set[int] = set()
    for place, moment in enumerate(moments):
        key = PERIOD_OF[period](moment.astimezone(zone))
        if key not in seen and len(seen) < count:
            seen.add(key)
            yield place


@given(
    moments=st.lists(MOMENTS, max_size=60),
    period=st.sampled_from(PERIODS),
    count=st.integers(min_value=0, max_value=70),
    zone=st.sampled_from(("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")),
)
@settings(max_examples=200, deadline=None)
def test_halving_finds_what_looking_at_every_one_finds(
    moments: list[datetime.datetime], period: str, count: int, zone: str
) -> None:
    newest_first = sorted(moments, reverse=True)
    there = zoneinfo.ZoneInfo(zone)
    assert places(period, newest_first, there, count) == list(one_by_one(period, newest_first, there, count))


def test_few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def year(local: datetime.datetime) -> int:
        looks.append(local)
        return local.year

    monkeypatch.setattr(calendar, "PERIOD_OF", {"yearly": year})
    moments = [at("2026-11-21 12:00") - HOUR * ago for ago in range(26_000)]
    assert len(places("yearly", moments, UTC)) == 4
    assert len(looks) < 150
