# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of a policy keep, in which words; and what stays whatever they say."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import (
    KeepPolicy,
    keep_policy_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    ScheduleInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.rules import keeps_nothing, merged
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import Pin, SeriesPolicy
from tests.unit.retention.samples import (
    DAY,
    EVERYTHING,
    FULL,
    HOUR,
    NOW,
    at,
    daily,
    decision_of,
    entry,
    going,
    kept_days,
    planned,
    policy,
    reasons_of,
)


def test_within_keeps_to_the_second() -> None:
    entries = [entry(NOW - 30 * DAY - datetime.timedelta(seconds=1)), entry(NOW - 30 * DAY), *daily(3)]
    made = planned(entries, policy(keep={"within": "30d"}))
    assert going(made) == ["10-22 11:59"]
    assert reasons_of(made, entries[0]) == ("older than 30d", "4 newer verified")
    assert reasons_of(made, entries[1]) == ("within 30d",)
    assert reasons_of(made, entries[-1]) == ("the newest", "within 30d", "verified 1 of 2 that always stay")


def test_the_newest_of_each_of_the_last_periods_stays() -> None:
    entries = [*daily(400), *daily(400, hour=14, last=1)]
    made = planned(entries, policy(keep={"count": 3, "daily": 2, "weekly": 2, "monthly": 3, "yearly": 5}))
    assert kept_days(made) == [
        "12-31 14:00",
        "09-30 14:00",
        "10-31 14:00",
        "11-15 14:00",
        "11-20 02:00",
        "11-20 14:00",
        "11-21 02:00",
    ]
    newest = reasons_of(made, entries[399])
    assert newest[:4] == ("the newest", "1 of the newest 3", "daily 1 of 2", "weekly 1 of 2")
    assert newest[4:] == ("monthly 1 of 3", "yearly 1 of 5", "verified 1 of 2 that always stay")
    oldest = next(one for one in entries if f"{one.started:%Y-%m-%d %H}" == "2025-12-31 14")
    assert reasons_of(made, oldest) == ("yearly 2 of 5",)
    gone = next(one for one in entries if f"{one.started:%Y-%m-%d %H}" == "2026-11-19 14")
    assert reasons_of(made, gone) == ("not in newest 3, daily 2, weekly 2, monthly 3, yearly 5", "3 newer verified")


def test_only_periods_that_have_a_backup_count() -> None:
    entries = [entry("2024-03-01 02:00"), entry("2025-07-01 02:00"), entry("2026-11-20 02:00"), *daily(1)]
    made = planned(entries, policy(keep={"monthly": 3, "minimum_verified": 0}))
    assert kept_days(made) == ["03-01 02:00", "07-01 02:00", "11-21 02:00"]


def test_days_are_those_of_the_time_zone_of_the_job() -> None:
    entries = [entry("2026-11-20 22:30"), entry("2026-11-20 23:30"), entry("2026-11-21 03:00")]
    keep = {"daily": 5, "minimum_verified": 0}
    assert going(planned(entries, policy(keep=keep))) == ["11-20 22:30"]
    assert going(planned(entries, policy(keep=keep, timezone="Europe/Berlin"))) == ["11-20 23:30"]


def test_a_time_zone_that_is_not_known_here_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="Europe/Berlim"):
        planned(daily(3), policy(timezone="Europe/Berlim"))


def test_forever_keeps_all() -> None:
    entries = daily(500)
    made = planned(entries, policy(keep={"forever": True}))
    assert going(made) == []
    assert reasons_of(made, entries[7]) == ("forever",)


def test_failed_ones_take_no_place_and_go_when_enough_are_verified() -> None:
    entries = [*daily(2, last=3), *daily(2, "failed", last=1), *daily(1)]
    made = planned(entries, policy(keep={"count": 3, "daily": 3}))
    assert going(made) == ["11-19 02:00", "11-20 02:00"]
    assert reasons_of(made, entries[0]) == ("3 of the newest 3", "daily 3 of 3")
    assert reasons_of(made, entries[2]) == ("failed its verification", "not in newest 3, daily 3", "3 verified")


def test_a_failed_one_stays_as_long_as_there_are_too_few_verified_ones_of_any_age() -> None:
    entries = [entry("2025-01-01 02:00"), *daily(1, "failed", last=100), *daily(2, "complete")]
    made = planned(entries, policy())
    assert reasons_of(made, entries[1]) == ("only 1 verified of 2",)
    made = planned([entry("2024-01-01 02:00"), *entries], policy())
    assert going(made) == ["08-13 02:00"]


def test_nothing_goes_that_has_too_few_verified_ones_above_it() -> None:
    # Two years ago the last two were proved; since then nobody looked.
    entries = [*daily(3, last=800), *daily(100, "complete", last=300), *daily(1, "complete")]
    made = planned(entries, policy())
    assert going(made) == [f"{entries[0].started:%m-%d %H:%M}"]
    assert reasons_of(made, entries[1]) == ("verified 2 of 2 that always stay",)
    assert reasons_of(made, entries[3]) == ("only 0 newer verified of 2",)
    made = planned([*entries, *daily(1, last=200)], policy())
    assert reasons_of(made, entries[3]) == ("only 1 newer verified of 2",)
    assert reasons_of(made, entries[2]) == ("verified 2 of 2 that always stay",)


def test_unverified_ones_go_by_age_where_the_policy_says_that_none_need_be_verified() -> None:
    made = planned(daily(40, "complete"), policy(keep={"within": "30d", "minimum_verified": 0}))
    assert len(going(made)) == 10


def test_backups_of_one_second_are_told_apart_by_their_ids() -> None:
    same = [entry("2026-11-01 02:00", number=number) for number in (3, 1, 2)]
    made = planned(same, policy(keep={"count": 1, "minimum_verified": 2}))
    assert reasons_of(made, same[0])[0] == "the newest"
    assert decision_of(made, same[1]).verdict == "removed"
    assert reasons_of(made, same[2]) == ("verified 2 of 2 that always stay",)


def test_what_starts_in_the_future_stays_and_counts_for_nothing() -> None:
    entries = [*daily(2, last=60), entry(NOW + HOUR), entry(NOW + 300 * DAY)]
    made = planned(entries, policy(keep={"count": 1}))
    assert going(made) == []
    assert reasons_of(made, entries[2]) == ("starts in the future",)
    assert reasons_of(made, entries[1])[0] == "the newest"


@pytest.mark.parametrize(
    "later",
    [{"finished": NOW + HOUR}, {"stored": NOW + datetime.timedelta(seconds=1)}],
)
def test_what_came_after_the_plans_time_stays_and_counts_for_nothing(later: dict[str, t.Any]) -> None:
    late = entry(NOW - HOUR, **later)
    made = planned([*daily(4), late], policy(keep={"count": 1, "minimum_verified": 1}))
    assert reasons_of(made, late) == ("came after this plan's time",)
    assert kept_days(made) == ["11-21 02:00", "11-21 11:00"]


def test_a_series_without_a_policy_stays() -> None:
    entries = daily(3, last=900)
    made = planned(entries, policy(Series("family", "main", "rdb")))
    assert [one.reasons for one in made.decisions] == [("no job keeps this series here",)] * 3


def pin(**more: t.Any) -> Pin:
    return Pin("20260101T000000Z-aaaaaa", **{"reason": "before the migration", "made": at("2026-01-01 00:00"), **more})


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (pin(), "pinned: before the migration"),
        (pin(until=at("2027-01-01 00:00")), "pinned until 2027-01-01 00:00Z: before the migration"),
        (pin(hold=True, reason="case 12"), "legal hold: case 12"),
        (pin(hold=True, until=at("2026-02-01 00:00"), reason="case 12"), "legal hold: case 12"),
    ],
)
def test_pins_and_holds_keep_whatever_the_rules_say(one: Pin, reason: str) -> None:
    old = entry("2020-01-01 02:00", "failed", pins=(one,))
    made = planned([old, *daily(3)], policy())
    assert reasons_of(made, old) == (reason,)


def test_a_pin_that_is_over_keeps_no_more() -> None:
    old = entry("2020-01-01 02:00", pins=(pin(until=NOW),))
    assert going(planned([old, *daily(3)], policy())) == ["01-01 02:00"]


def two_jobs(weekly: dict[str, t.Any], nightly: dict[str, t.Any]) -> SeriesPolicy:
    return SeriesPolicy(
        series=FULL,
        keeps=(keep_policy_from(weekly), keep_policy_from(nightly)),
        jobs=("family/main/full", "family/main/full.2"),
    )


def labelled(entries: t.Iterable[t.Any], job: str) -> list[t.Any]:
    return [dataclasses.replace(one, labels={"job": job}) for one in entries]


def test_each_job_counts_its_own_backups() -> None:
    weekly = labelled([entry(NOW - HOUR - 7 * DAY * week) for week in range(10)], "family/main/full")
    nightly = labelled(daily(30), "family/main/full.2")
    made = planned([*weekly, *nightly], two_jobs({"count": 4}, {"count": 7}))
    stays = [one.entry for one in made.decisions if one.verdict == "kept"]
    assert sum(one.labels["job"] == "family/main/full" for one in stays) == 4
    assert sum(one.labels["job"] == "family/main/full.2" for one in stays) == 7
    assert reasons_of(made, weekly[3]) == ("4 of the newest 4 (family/main/full)",)
    assert reasons_of(made, weekly[4]) == ("not in newest 4", "4 newer verified")


def test_each_job_keeps_verified_ones_of_its_own() -> None:
    # What one job backs up may be another database than what the other does.
    first = labelled(daily(5, last=60), "family/main/full")
    second = labelled(daily(40), "family/main/full.2")
    made = planned([*first, *second], two_jobs({"within": "7d"}, {"within": "7d"}))
    assert kept_days(made)[:2] == ["09-21 02:00", "09-22 02:00"]
    assert reasons_of(made, first[-1])[0] == "the newest (family/main/full)"


def test_backups_of_former_jobs_stay_when_any_job_would_keep_them() -> None:
    former = [*labelled(daily(5, last=20), "family/main/full.3"), *daily(5, last=10, hour=3)]
    present = labelled(daily(3), "family/main/full")
    made = planned([*former, *present], two_jobs({"count": 2}, {"within": "12d"}))
    assert [one for one in former if decision_of(made, one).verdict == "kept"] == former[-2:]
    assert reasons_of(made, former[-1]) == ("within 12d (former jobs)", "1 of the newest 2 (former jobs)")
    # The job makes none any more: it is the newer ones of the others that count.
    assert reasons_of(made, former[0]) == ("older than 12d, not in newest 2", "4 newer verified")


def test_jobs_that_nothing_tells_apart_keep_what_either_keeps() -> None:
    one, other = keep_policy_from({"daily": 7, "minimum_verified": 1}), keep_policy_from({"within": "3d", "daily": 4})
    assert merged([one, other]) == KeepPolicy(within=3 * DAY, daily=7, minimum_verified=2)
    made = planned(daily(40), SeriesPolicy(series=FULL, keeps=(other, one)))
    assert len(kept_days(made)) == 7


def test_an_empty_policy_is_known_as_one() -> None:
    assert keeps_nothing(merged([]))
    assert keeps_nothing(KeepPolicy(minimum_verified=5))
    assert not keeps_nothing(KeepPolicy(forever=True))
    assert not keeps_nothing(KeepPolicy(yearly=1))


def test_two_policies_of_one_series_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="two policies"):
        planned(daily(3), policy(), policy(keep={"count": 1}))


@pytest.mark.parametrize("word", ["everything", "overdue:family", "shares", "overdue:family/main/full/x"])
def test_a_word_that_overrides_nothing_is_refused(word: str) -> None:
    with pytest.raises(RequestInvalid, match="overrides no guard") as caught:
        planned(daily(3), policy(), allow=frozenset({word}))
    assert all(known in caught.value.hint for known in EVERYTHING)
