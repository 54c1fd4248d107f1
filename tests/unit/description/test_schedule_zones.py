# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schedule of one zone in the cron of another: no time is missed, whatever the season."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule import (
    parse_schedule,
    timezone_named,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule_zones import (
    local_times,
)


def calls_at(expression: str, zone: str, moment: datetime.datetime) -> bool:
    """Whether a cron of that zone calls at *moment*."""
    local = moment.astimezone(timezone_named(zone))
    cron = parse_schedule(expression)
    day = local.day in cron.days and local.isoweekday() % 7 in cron.weekdays and local.month in cron.months
    return day and local.hour in cron.hours and local.minute in cron.minutes


@pytest.mark.parametrize("host", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "America/St_Johns"])
@pytest.mark.parametrize("expression", ["0 2 * * *", "30 23 * * 6", "10 0 1 * *", "0 9-18 * * 1-5", "*/20 * * * *"])
def test_no_time_of_two_years_is_missed(expression: str, zone: str, host: str) -> None:
    schedule = parse_schedule(expression, timezone=zone)
    local = local_times(schedule, host_timezone=host, year=2026)
    moment = parse_time("2026-01-01T00:00:00Z")
    looked = 0
    while moment < parse_time("2028-01-01T00:00:00Z"):
        # Fewer of the frequent ones, so that it does not take minutes; clock changes are always looked at.
        moment = schedule.next_run(
            moment + datetime.timedelta(hours=5 if "*/" in expression or "-" in expression else 0)
        )
        assert calls_at(local.expression, host, moment), (local, moment)
        looked += 1
    assert looked > 20


def test_the_same_zone_is_copied() -> None:
    schedule = parse_schedule("0 2 * * 6", timezone="Europe/Berlin")
    assert local_times(schedule, host_timezone="Europe/Berlin", year=2026).expression == "0 2 * * 6"
    # Another name for it, too.
    same = local_times(parse_schedule("0 2 * * 6"), host_timezone="Etc/UTC", year=2026)
    assert (same.expression, same.exact) == ("0 2 * * 6", True)


def test_what_is_the_same_in_every_zone_of_whole_hours_needs_no_second_look() -> None:
    every = local_times(parse_schedule("*/15 * * * *"), host_timezone="Europe/Berlin", year=2026)
    assert (every.expression, every.exact) == ("*/15 * * * *", True)


def test_summer_and_winter_are_both_called() -> None:
    daily = local_times(parse_schedule("0 2 * * *"), host_timezone="Europe/Berlin", year=2026)
    assert (daily.expression, daily.exact) == ("0 3,4 * * *", False)
    odd = local_times(parse_schedule("*/20 * * * *"), host_timezone="Asia/Kolkata", year=2026)
    assert (odd.expression, odd.exact) == ("10,30,50 * * * *", False)
