# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules: the same expressions as cron, every mistake named, clock changes as Debian's cron treats them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import example, given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule import parse_schedule
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ScheduleInvalid

UTC = datetime.timezone.utc


def at(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "every hour"),
        ("5 * * * *", "every hour at minute 5"),
        ("5,35 * * * *", "every hour at the minutes 5 and 35"),
        ("0 */4 * * *", "every 4 hours"),
        ("10 */6 * * *", "every 6 hours at minute 10"),
        ("0 9-18 * * *", "every hour from 09:00 to 18:00"),
        ("0 2 * * *", "daily at 02:00"),
        ("0 6,18 * * *", "daily at 06:00 and 18:00"),
        ("0 1 * * 6", "Saturday at 01:00"),
        ("0 3 * * sun", "Sunday at 03:00"),
        ("0 3 * * 7", "Sunday at 03:00"),
        ("0 3 * * 1-3", "Monday, Tuesday and Wednesday at 03:00"),
        ("0 7 1 * *", "day 1 of the month at 07:00"),
        ("0 9 1 1,4,7,10 *", "day 1 of the month in January, April, July and October at 09:00"),
        ("0 0 1 * 1", "Monday and day 1 of the month at 00:00"),
        ("0 0 * 2 *", "daily in February at 00:00"),
        ("1,2,7,9 1-9/4 * * *", "every hour at the minutes 1, 2, 7 and 9 in the hours 1, 5 and 9"),
    ],
)
def test_it_is_told_in_words(expression: str, words: str) -> None:
    assert parse_schedule(expression).describe() == words
    assert parse_schedule(expression, timezone="Europe/Berlin").describe() == f"{words} (Europe/Berlin)"


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "has 0 fields and not 5"),
        ("0 2 * *", "has 4 fields and not 5"),
        ("0 0 2 * * *", "has 6 fields and not 5"),
        ("61 * * * *", "the minute field '61': 61 is not between 0 and 59"),
        ("0 24 * * *", "the hour field '24': 24 is not between 0 and 23"),
        ("0 0 0 * *", "the day-of-month field '0': 0 is not between 1 and 31"),
        ("0 0 * 13 *", "the month field '13': 13 is not between 1 and 12"),
        ("0 0 * * 8", "the day-of-week field '8': 8 is not between 0 and 7"),
        ("0 0 * * friday", "'friday' is not a number or one of sun, mon"),
        ("0 0 L * *", "'L' is not a number"),
        ("0 0 * * 5#2", "'5#2' is not a number"),
        ("0 18-9 * * *", "the range 18-9 runs backwards"),
        ("*/0 * * * *", "the step after / must be a number of at least 1, not '0'"),
        ("*/x * * * *", "the step after / must be a number of at least 1, not 'x'"),
        ("0,,5 * * * *", "a number is missing"),
        ("-5 * * * *", "a number is missing"),
        ("0 0 30 2 *", "never comes: no month that it names has day 30"),
        ("0 0 31 4,6,9,11 *", "never comes: no month that it names has day 31"),
        ("@daily", "a short form that not every cron reads"),
        ("@reboot", "a short form that not every cron reads"),
    ],
)
def test_what_is_wrong_is_said_in_words(expression: str, reason: str) -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_schedule(expression)
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_short_form_is_translated() -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_schedule("@daily")
    assert '"0 0 * * *"' in caught.value.hint


@pytest.mark.parametrize("timezone", ["Europe/Berln", "", "../../etc/passwd", "America", "CET+1", "a\0b"])
def test_a_time_zone_that_does_not_exist_is_refused(timezone: str) -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_schedule("0 2 * * *", timezone=timezone)
    assert "time zone" in caught.value.message


def test_the_nearest_time_zone_is_offered() -> None:
    with pytest.raises(ScheduleInvalid, match="did you mean 'Europe/Berlin'"):
        parse_schedule("0 2 * * *", timezone="Europe/Berln")


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        ("0 2 * * *", "UTC", "2026-11-21 01:59", "2026-11-21 02:00"),
        ("0 2 * * *", "UTC", "2026-11-21 02:00", "2026-11-22 02:00"),
        ("0 1 * * 6", "UTC", "2026-11-21 09:00", "2026-11-28 01:00"),
        ("0 2 * * *", "Europe/Berlin", "2026-07-01 12:00", "2026-07-02 00:00"),
        # The night in which 02:30 doesn't exist: Debian's cron runs the job right after the change, at 03:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-29 00:00", "2026-03-29 01:00"),
        # The night in which 02:30 comes twice: once only.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 00:00", "2026-10-25 00:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30", "2026-10-26 01:30"),
        # What runs every 15 minutes goes on through it.
        ("*/15 * * * *", "Europe/Berlin", "2026-10-25 00:45", "2026-10-25 01:00"),
        ("*/15 * * * *", "Europe/Berlin", "2026-10-25 01:00", "2026-10-25 01:15"),
    ],
)
def test_the_next_run(expression: str, timezone: str, after: str, expected: str) -> None:
    found = parse_schedule(expression, timezone=timezone).next_run(at(after))
    assert found == at(expected)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("* * * * *", datetime.timedelta(minutes=1)),
        ("*/15 * * * *", datetime.timedelta(minutes=15)),
        ("*/40 * * * *", datetime.timedelta(minutes=40)),
        ("0 2 * * *", datetime.timedelta(days=1)),
        ("0 9-18 * * *", datetime.timedelta(hours=15)),
        ("0 1 * * 6", datetime.timedelta(days=7)),
        ("0 6,18 * * 1-5", datetime.timedelta(days=2, hours=12)),
        ("0 0 1 * *", datetime.timedelta(days=31)),
        ("0 0 29 2 *", datetime.timedelta(days=1461)),
        ("0 0 1 1 *", datetime.timedelta(days=366)),
    ],
)
def test_the_longest_time_between_two_runs(expression: str, gap: datetime.timedelta) -> None:
    assert parse_schedule(expression).longest_gap() == gap


def _field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest).map(str)
    steps = st.integers(1, highest).map(lambda step: f"*/{step}")
    spans = st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)).map(
        lambda pair: f"{min(pair)}-{max(pair)}"
    )
    return st.one_of(st.just("*"), number, steps, spans, st.lists(number, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 7)).map(" ".join)


@settings(max_examples=50, deadline=None)
@given(EXPRESSIONS, st.integers(0, 3 * 365 * 1440))
@example("* * 9 9 */5", 0)  # both must match, which no year from 2024 to 2028 has
def test_no_two_runs_are_further_apart_than_the_longest_gap(expression: str, minute: int) -> None:
    """cronsim, which has been written by others, is the judge of the sets of days and times that are computed here."""
    schedule = parse_schedule(expression)
    first = schedule.next_run(at("2024-01-01 00:00") + datetime.timedelta(minutes=minute))
    second = schedule.next_run(first)
    assert first < second <= first + schedule.longest_gap()
