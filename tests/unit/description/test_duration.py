# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lengths of time: read exactly, refused with a reason."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.duration import (
    DURATION_PATTERN,
    describe_duration,
    format_duration,
    parse_duration,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import DurationInvalid


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("15m", 900), ("4h", 14400), ("30d", 2592000), ("12w", 7257600), ("1y", 31536000)],
)
def test_each_unit_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("15", "it has no unit"),
        (15, "a number without a unit"),
        (None, "it is not text"),
        (["15m"], "it is not text"),
        ("-4h", "it is negative"),
        ("0h", "no time at all"),
        ("1.5h", "only whole numbers"),
        ("1h30m", "only one unit"),
        ("3 months", "months differ in length"),
        ("3M", "months differ in length"),
        ("15 m", "there is a space in it"),
        ("15m\n", "that is not a number and a unit"),
        ("half an hour", "that is not a number and a unit"),
        ("2000y", "more than 1000 years"),
        ("99999999999999999999d", "that is not a number and a unit"),
        ("١٥m", "that is not a number and a unit"),
    ],
)
def test_what_is_no_length_of_time_is_refused_with_the_reason(text: t.Any, reason: str) -> None:
    with pytest.raises(DurationInvalid) as caught:
        parse_duration(text)
    assert reason in caught.value.message
    assert "30d" in caught.value.hint


@given(st.timedeltas(min_value=datetime.timedelta(seconds=1), max_value=datetime.timedelta(days=999 * 365)))
def test_what_is_written_is_read_back(duration: datetime.timedelta) -> None:
    whole = datetime.timedelta(seconds=int(duration.total_seconds()))
    if whole.total_seconds() < 1_000_000_000:
        assert parse_duration(format_duration(whole)) == whole


@given(st.from_regex(DURATION_PATTERN, fullmatch=True))
def test_the_pattern_of_the_schema_promises_no_more_than_the_reader_keeps(text: str) -> None:
    refused = ""
    try:
        parse_duration(text.rstrip("\n"))
    except DurationInvalid as error:
        refused = error.message
    assert not refused or "no time at all" in refused or "1000 years" in refused


@pytest.mark.parametrize(
    ("text", "short", "words"),
    [
        ("7d", "7d", "7 days"),
        ("84d", "12w", "12 weeks"),
        ("24h", "1d", "1 day"),
        ("5400s", "90m", "1 hour 30 minutes"),
        ("365d", "1y", "1 year"),
        ("90d", "90d", "90 days"),
        ("61s", "61s", "1 minute 1 second"),
    ],
)
def test_it_is_shown_as_people_say_it(text: str, short: str, words: str) -> None:
    assert format_duration(parse_duration(text)) == short
    assert describe_duration(parse_duration(text)) == words
