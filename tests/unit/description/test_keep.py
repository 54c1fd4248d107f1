# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention as data: what would keep nothing is refused, and the rest is told in words."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import (
    KeepPolicy,
    keep_policy_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DurationInvalid,
    KeepPolicyInvalid,
)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"within": "30d"}, "all of the last 30 days; the newest 2 that were proved to restore"),
        ({"count": 1, "minimum_verified": 0}, "the newest one"),
        ({"daily": 7, "minimum_verified": 1}, "one a day for 7 days; the newest one that was proved to restore"),
        (
            {"count": 3, "hourly": 1, "daily": 7, "minimum_verified": 3},
            "the newest 3; one an hour for 1 hour; one a day for 7 days; the newest 3 that were proved to restore",
        ),
        ({"forever": True}, "all, for ever"),
    ],
)
def test_a_policy_is_told_in_words_and_goes_through_json_unchanged(keep: dict[str, t.Any], words: str) -> None:
    policy = keep_policy_from(keep)
    assert policy.describe() == words
    assert keep_policy_from(policy.as_dict()) == policy


def test_the_values_arrive() -> None:
    assert keep_policy_from({"within": "12w", "monthly": 6, "yearly": 2.0}) == KeepPolicy(
        within=datetime.timedelta(weeks=12), monthly=6, yearly=2
    )


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        ({}, "names nothing to keep"),
        ({"minimum_verified": 3}, "names nothing to keep"),
        ({"forever": False}, "names nothing to keep"),
        ({"forever": True, "within": "30d"}, "forever contradicts within"),
        ({"forever": True, "daily": 7}, "forever contradicts daily"),
        ({"dayly": 7}, "unknown key dayly"),
        ({"daily": 0}, "daily must be a whole number of at least 1"),
        ({"daily": -1}, "daily must be a whole number of at least 1"),
        ({"daily": 1.5}, "daily must be a whole number of at least 1"),
        ({"daily": float("inf")}, "daily must be a whole number of at least 1"),
        ({"daily": True}, "daily must be a whole number of at least 1"),
        ({"count": "7"}, "count must be a whole number of at least 1"),
        ({"within": "30d", "minimum_verified": -1}, "minimum_verified must be a whole number of at least 0"),
    ],
)
def test_what_keeps_nothing_or_contradicts_itself_is_refused(keep: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(KeepPolicyInvalid) as caught:
        keep_policy_from(keep)
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_length_of_time_that_is_none_is_refused() -> None:
    with pytest.raises(DurationInvalid):
        keep_policy_from({"within": "a month"})
