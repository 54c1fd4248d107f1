# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd comes at the very times that cron does, asked of the genuine systemd-analyze."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time, parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule import parse_schedule
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule_events import (
    calendar_events,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.host_run import HostRun
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.systemd_units import timer_schedule

# Some hours before Europe's clocks change; and Berlin's are changed at two, which many backups are made at.
SPRING, AUTUMN = "2026-03-28T22:07:31Z", "2026-10-24T21:07:31Z"
RUN = HostRun(host_name="one", year=2026)


def times_of_systemd(events: tuple[str, ...], count: int, *, base_time: str) -> list[str]:
    """The first *count* times after *base_time*, of all *events* together, in UTC."""
    found = set()
    for event in events:
        base = base_time.replace("T", " ").replace("Z", " UTC")
        command = ["systemd-analyze", "calendar", f"--base-time={base}", f"--iterations={count}", event]
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin"}
        )
        found |= set(re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", said.stdout))
    return [time.replace(" ", "T") + "Z" for time in sorted(found)][:count]


@pytest.mark.parametrize("base_time", [SPRING, AUTUMN])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "*/15 * * * *",
        "0 2 * * *",
        "0 9-18 * * 1-5",
        "30 4 1,15 * *",
        "0 1 * * 6",
        "0 1 * * 7",
        "0 5 1 * 1",  # the first of the month, or a Monday
        "0 5 */2 * 1",  # an odd day that is a Monday
        "0 5 1-31 * 1",  # every day, since every one is a day of the month
        "17 3 29 feb *",
        "0 0 1 jan,jul *",
    ],
)
def test_the_times_are_those_of_cron(expression: str, zone: str, base_time: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("SKIPPED LOUDLY: systemd-analyze is not here: apt-get install systemd")
    schedule = parse_schedule(expression, timezone=zone)
    expected, moment = [], parse_time(base_time)
    for _number in range(4):
        moment = schedule.next_run(moment)
        expected.append(format_time(moment))
    timer = timer_schedule(schedule, RUN)
    found = times_of_systemd(calendar_events(timer), 4 if timer == schedule else 400, base_time=base_time)
    if timer == schedule:
        assert found == expected
    else:  # it comes at others, too, and --due knows which is the right one
        assert set(expected) <= set(found)


def test_a_time_that_the_clocks_leave_out_is_not_left_out() -> None:
    at_two = parse_schedule("0 2 * * *", timezone="Europe/Berlin")
    assert calendar_events(timer_schedule(at_two, RUN)) == ("*-*-* 00,01:00:00 UTC",)
    at_four = parse_schedule("0 4 * * *", timezone="Europe/Berlin")
    assert timer_schedule(at_four, RUN) == at_four


def test_the_zone_is_named() -> None:
    assert calendar_events(parse_schedule("0 2 * * 6", timezone="Europe/Berlin")) == (
        "Sat *-*-* 02:00:00 Europe/Berlin",
    )
