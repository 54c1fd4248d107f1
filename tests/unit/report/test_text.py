# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures and tables as people read them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.text import (
    format_age,
    format_bytes,
    format_seconds,
    format_table,
)
from tests.support.clocks import START


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (71_300_000, "71.3 MB"),
        (999_400, "999 kB"),
        (999_500, "1 MB"),
        (999_999, "1 MB"),
        (999_999_999, "1 GB"),
        (5_000_000_000_000, "5 TB"),
        (123_456_000_000_000_000_000, "123456 PB"),
    ],
)
def test_bytes_are_in_decimal_units_with_three_digits(count: int | None, expected: str) -> None:
    assert format_bytes(count) == expected


@given(strategies.integers(0, 10**21))
def test_bytes_are_never_shown_as_powers_nor_with_too_many_digits(count: int) -> None:
    shown = format_bytes(count)
    number, unit = shown.split(" ")
    assert "e" not in number
    assert len(number) <= 4 or unit == "PB"
    factor = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert abs(float(number) * factor - count) <= max(count * 0.0051, 1)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.97, "10 s"),
        (42.4, "42 s"),
        (119.9, "119 s"),
        (200, "3 min 20 s"),
        (7200, "2 h 0 min"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, expected: str) -> None:
    assert format_seconds(seconds) == expected


def test_ages_say_how_long_ago_or_when() -> None:
    assert format_age(START, now=START + datetime.timedelta(hours=3)) == "3 h 0 min ago"
    assert format_age(START, now=START - datetime.timedelta(minutes=5)) == "in 5 min 0 s"


def test_a_table_is_aligned_and_has_no_trailing_spaces() -> None:
    rows = [["family/main/full", "12 MB"], ["é", "1.5 GB"]]
    assert format_table(("JOB", "SIZE"), rows, right=("SIZE",)).splitlines() == [
        "JOB                 SIZE",
        "----------------  ------",
        "family/main/full   12 MB",
        "é                 1.5 GB",
    ]
    assert format_table(("JOB", "SIZE"), []).splitlines() == ["JOB  SIZE", "---  ----"]
