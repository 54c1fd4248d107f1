# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the oplog lasts is reckoned from what it holds, what fits, how fast it fills, and what it keeps anyway."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_engines import OPTIONS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_options import (
    oplog_options_from_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_window_guard import (
    CRITICAL,
    OK,
    SHORT,
    OplogWindow,
    level_of,
)

HOUR = 3600


def window(*, hours: float = 10, full: float = 1.0, minimum: float = 0.0) -> OplogWindow:
    """An oplog of *hours*, that fills *full* of its limit."""
    return OplogWindow(
        first=(1_000_000, 1),
        last=(1_000_000 + int(hours * HOUR), 1),
        size=int(1_000_000 * full),
        limit=1_000_000,
        minimum_hours=minimum,
    )


def test_a_full_oplog_lasts_as_long_as_it_reaches_back() -> None:
    one = window()
    assert one.hours == 10
    assert one.hours_left(one.last) == pytest.approx(10)
    assert one.hours_left((1_000_000 + 4 * HOUR, 1)) == pytest.approx(4)


def test_room_that_is_left_counts() -> None:
    one = window(full=0.5)
    assert one.hours_left(one.last) == pytest.approx(20)


def test_what_fills_it_faster_now_shortens_it() -> None:
    one = window()
    assert one.hours_left(one.last, rate=one.rate * 10) == pytest.approx(1)
    assert one.hours_left(one.last, rate=one.rate / 10) == pytest.approx(10)


def test_what_is_gone_is_gone() -> None:
    assert window().hours_left((999_999, 1)) == 0


def test_hours_that_the_server_keeps_count_whatever_is_written() -> None:
    one = window(minimum=48)
    assert one.hours_left(one.last) == pytest.approx(48)
    assert one.hours_left((1_000_000 + 4 * HOUR, 1)) == pytest.approx(42)
    assert window(minimum=2).hours_left(one.last) == pytest.approx(10)


@pytest.mark.parametrize(
    ("left", "wanted", "seconds", "level"),
    [
        (24, 24, 10, OK),
        (23.9, 24, 10, SHORT),
        (1, 24, 10, SHORT),
        (0.9, 24, 10, CRITICAL),
        (9, 24, 3600, CRITICAL),
        (10, 24, 3600, SHORT),
        (0.4, 0.5, 10, CRITICAL),
        (0.6, 0.5, 10, OK),
    ],
)
def test_levels(left: float, wanted: float, seconds: float, level: str) -> None:
    assert level_of(left, wanted=wanted, capture_seconds=seconds) == level


def test_the_schema_has_the_options_that_are_read() -> None:
    with pytest.raises(RequestInvalid) as caught:
        oplog_options_from_description({"no-such-key": 1})
    known = {word.strip(" .") for word in caught.value.hint.partition(":")[2].split(",")} - {"connection"}
    shipping = {"spool_directory", "spool_budget_mib", "required_copies", "alarm_age"}
    assert known == set(OPTIONS["mongodb"]["oplog"]) - shipping
    defaults = {key: schema["default"] for key, schema in OPTIONS["mongodb"]["oplog"].items() if "default" in schema}
    given = oplog_options_from_description({key: value for key, value in defaults.items() if key in known})
    assert given == oplog_options_from_description({})


def test_options_have_the_defaults_that_the_schema_names() -> None:
    options = oplog_options_from_description({})
    assert (options.slice_bytes, options.slice_entries) == (64 * 1024 * 1024, 1_000_000)
    assert (options.capture_seconds, options.idle_seconds, options.hours_wanted) == (10, 60, 24)
    assert options.keep_oplog_hours is None
    assert oplog_options_from_description({"keep_oplog_hours": "36"}).keep_oplog_hours == 36


@pytest.mark.parametrize(
    "description",
    [
        {"slice_mib": 0},
        {"slice_mib": 1.5},
        {"slice_entries": 0.5},
        {"idle_seconds": 0},
        {"capture_seconds": "soon"},
        {"keep_oplog_hours": -1},
        {"keep_oplog_hours": 1e9},
        {"read_preference": "nearest"},
        {"database": "shop"},
        {"connection": {"url": "x"}},
    ],
)
def test_options_that_can_not_be_are_refused(description: dict[str, object]) -> None:
    with pytest.raises(RequestInvalid):
        oplog_options_from_description(description)
