# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times name one instant on every host, whichever Python reads them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import (
    SystemClock,
    format_time,
    parse_time,
)

UTC = datetime.timezone.utc


def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_a_time_is_written_in_utc_with_a_z() -> None:
    moment = datetime.datetime(2026, 11, 21, 3, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    assert format_time(moment) == "2026-11-21T02:00:00Z"


@given(strategies.datetimes(timezones=strategies.just(UTC)))
def test_every_time_survives_being_written_and_read(moment: datetime.datetime) -> None:
    assert parse_time(format_time(moment)) == moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T02:00:00Z", "2026-11-21T02:00:00Z"),
        ("2026-11-21t02:00:00z", "2026-11-21T02:00:00Z"),
        ("2026-11-21 02:00:00Z", "2026-11-21T02:00:00Z"),
        ("2026-11-21T03:30:00+01:30", "2026-11-21T02:00:00Z"),
        ("2026-11-20T19:00:00-07:00", "2026-11-21T02:00:00Z"),
        ("2026-11-21T02:00:00.5Z", "2026-11-21T02:00:00.500000Z"),
        ("2026-11-21T02:00:00.123456789Z", "2026-11-21T02:00:00.123456Z"),
    ],
)
def test_any_rfc_3339_time_with_a_zone_is_read(text: str, expected: str) -> None:
    assert format_time(parse_time(text)) == expected


@pytest.mark.parametrize("text", ["2026-11-21T02:00:00", "2026-11-21 02:00:00.5"])
def test_a_time_without_a_zone_is_refused_with_a_better_one(text: str) -> None:
    with pytest.raises(ValueError, match="no time zone: write 2026-11-21T02:00:00Z"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "yesterday",
        "2026-11-21",
        "20261121T020000Z",
        "2026-W47-6T02:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-21T24:00:01Z",
        "2026-11-21T02:00:00Z\n",
        "٢٠٢٦-11-21T02:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_what_is_no_time_is_a_value_error_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own messages, where it looks at the calendar
        parse_time(text)
