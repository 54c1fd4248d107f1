# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guards: each stops what it is about and nothing else, and each has its own code and its own word that lifts it."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import KeepPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ClockDisagrees,
    ElsewhereUnreadable,
    EntriesUnreadable,
    NewestBackupFailed,
    NewestBackupOverdue,
    NumberTooLarge,
    PolicyEmpty,
    RetentionRefused,
    ShareTooLarge,
    WindowTooShort,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.guards import GUARDS, as_error
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    Elsewhere,
    Limits,
    RepositoryContent,
    RetentionPlan,
    SeriesPolicy,
)
from tests.unit.retention.samples import (
    DAY,
    EVERYTHING,
    FULL,
    HOUR,
    INCREMENTAL,
    NOW,
    OPLOG,
    codes,
    content,
    daily,
    entry,
    policy,
    stream,
)

OTHER = Series("adhd", "main", "logical")
LOG = policy(OPLOG, keep={"within": "2d"}, is_stream=True)


class Case(t.NamedTuple):
    """A repository of two series of which something would go, and what is wrong with it."""

    whole: RepositoryContent
    policies: tuple[SeriesPolicy, ...]
    about: str  # a series, or nothing: it is about everything
    guard: type[RetentionRefused]
    message: str
    limits: Limits = Limits()
    elsewhere: tuple[Elsewhere, ...] = ()


#: Five of forty go, of either series.
HEALTHY = (*daily(35), *daily(35, series=OTHER))
THIRTY = (policy(), policy(OTHER))
BASES = tuple(daily(9))

CASES = {
    "the newest failed": Case(
        content([*HEALTHY, entry(NOW - HOUR, "failed")]),
        THIRTY,
        "family/main/full",
        NewestBackupFailed,
        "The newest backup of family/main/full, 20261121T110000Z-000000, failed its verification.",
    ),
    "one is overdue": Case(
        content(HEALTHY),
        (policy(overdue_since=NOW - 6 * HOUR), THIRTY[1]),
        "family/main/full",
        NewestBackupOverdue,
        "No backup of family/main/full has come that was due at 2026-11-21 06:00Z, 6 hours ago.",
    ),
    "the storage's clock is ahead": Case(
        content(HEALTHY, clock_skew=301.4),
        THIRTY,
        "",
        ClockDisagrees,
        "The clock of local is 301 s ahead of this host's; ages are believed up to 300 s.",
    ),
    "the storage's clock is behind": Case(
        content(HEALTHY, clock_skew=-86400.0),
        THIRTY,
        "",
        ClockDisagrees,
        "The clock of local is 86400 s behind this host's; ages are believed up to 300 s.",
    ),
    "too large a share": Case(
        content(HEALTHY),
        (policy(keep={"within": "10d"}), THIRTY[1]),
        "family/main/full",
        ShareTooLarge,
        "25 of 35 backups of family/main/full would go at once, and the limit is 50%.",
    ),
    "too many": Case(
        content(HEALTHY),
        THIRTY,
        "",
        NumberTooLarge,
        "10 backups of local would go at once, and the limit is 9.",
        Limits(number=9),
    ),
    "an empty policy": Case(
        content(HEALTHY),
        (SeriesPolicy(series=FULL, keeps=(KeepPolicy(),)), THIRTY[1]),
        "family/main/full",
        PolicyEmpty,
        "The policy of family/main/full keeps nothing.",
        Limits(share=1.0),
    ),
    "no policy among its policies": Case(
        content(HEALTHY),
        (SeriesPolicy(series=FULL, keeps=()), THIRTY[1]),
        "family/main/full",
        PolicyEmpty,
        "The policy of family/main/full keeps nothing.",
        Limits(share=1.0),
    ),
    "entries that can't be read": Case(
        content(HEALTHY, problems=("a", "b", "c", "d", "e")),
        THIRTY,
        "",
        EntriesUnreadable,
        "5 entries of local can't be read: a; b; c; and 2 more",
    ),
    "another repository that can't be read": Case(
        content(HEALTHY),
        THIRTY,
        "family/main/full",
        ElsewhereUnreadable,
        "dr can't be read whole, and what builds on family/main/full may be there.",
        elsewhere=(Elsewhere(content([], name="dr", problems=("no route",)), (policy(INCREMENTAL),)),),
    ),
    "a stream's policy that counts": Case(
        content(BASES, stream(NOW - 9 * DAY, NOW, bases=BASES)),
        (policy(keep={"forever": True}), policy(OPLOG, keep={"daily": 7}, is_stream=True)),
        "family/main/oplog",
        PolicyEmpty,
        "The policy of family/main/oplog counts backups, and a stream has none to count.",
    ),
    "a stream that is overdue": Case(
        content(BASES, stream(NOW - 9 * DAY, NOW, bases=BASES)),
        (policy(keep={"forever": True}), dataclasses.replace(LOG, overdue_since=NOW - HOUR)),
        "family/main/oplog",
        NewestBackupOverdue,
        "Nothing new of the stream family/main/oplog has come that was due at 2026-11-21 11:00Z, 1 hour ago.",
    ),
    "a window below its objective": Case(
        content(BASES, stream(NOW - 9 * DAY, NOW, bases=BASES)),
        (policy(keep={"forever": True}), dataclasses.replace(LOG, objective=7 * DAY)),
        "family/main/oplog",
        WindowTooShort,
        "By what would go of family/main/oplog, family/main/oplog could be recovered to any moment of 2 days 9 hours "
        "50 minutes instead of 7 days; the objective is 7 days.",
    ),
}


def made_of(case: Case, *allow: str) -> RetentionPlan:
    return plan(
        case.whole, case.policies, now=NOW, limits=case.limits, allow=frozenset(allow), elsewhere=case.elsewhere
    )


def folder(series: Series) -> str:
    name: str = series.folder.rstrip("/")
    return name


def stopped(made: RetentionPlan) -> set[str]:
    """The series of which nothing goes for a guard alone."""
    held = {folder(one.entry.series) for one in made.decisions if one.held_back}
    return held | {folder(one.entry.series) for one in made.streams if one.held_back}


def gone(made: RetentionPlan) -> set[str]:
    cut = {folder(one.entry.series) for one in made.streams if one.keep_from}
    return {folder(one.entry.series) for one in made.removals} | cut


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_stops_what_it_is_about_and_nothing_else(case: Case) -> None:
    without = made_of(case, *EVERYTHING)
    assert gone(without), "nothing would go anyway, so this case shows nothing"
    made = made_of(case)
    (refusal,) = made.refusals
    assert (refusal.code, refusal.message) == (case.guard.code, case.message)
    assert refusal.hint.endswith(f" To remove all the same: --allow {refusal.override}")
    expected = {case.about} if case.about else gone(without)
    assert stopped(made) == expected
    assert gone(made) == gone(without) - expected
    error = as_error(refusal)
    assert isinstance(error, case.guard)
    assert error.details == {"series": case.about or None, "override": refusal.override}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_its_own_word_lifts_it_and_no_other_does(case: Case) -> None:
    (refusal,) = made_of(case).refusals
    word = case.guard.override
    for allow in dict.fromkeys((word, refusal.override)):
        made = made_of(case, allow)
        assert (made.refusals, made.overridden, made.allow) == ((), (refusal,), frozenset({allow}))
        assert not stopped(made)
        assert gone(made) == gone(made_of(case, *EVERYTHING))
    assert made_of(case, *(EVERYTHING - {word})).refusals == (refusal,)
    if case.about:
        assert made_of(case, f"{word}:family/other/full").refusals == (refusal,)


def test_there_is_a_case_for_every_guard() -> None:
    assert {case.guard for case in CASES.values()} == set(GUARDS)


def test_codes_and_words_are_told_apart() -> None:
    assert len({guard.code for guard in GUARDS}) == len({guard.override for guard in GUARDS}) == len(GUARDS)
    assert all(f"({guard.override})" in (guard.__doc__ or "") for guard in GUARDS), "the page of errors names the word"


def test_of_a_series_of_which_nothing_would_go_its_backups_are_not_judged() -> None:
    made = plan(content([*daily(3, last=1), *daily(1, "failed")]), (policy(overdue_since=NOW - 9 * HOUR),), now=NOW)
    assert made.refusals == ()


def test_of_two_jobs_neither_may_have_failed_last() -> None:
    first = [dataclasses.replace(one, labels={"job": "first"}) for one in daily(35, last=1)]
    second = [dataclasses.replace(one, labels={"job": "second"}) for one in daily(3, hour=4)]
    first[-1] = dataclasses.replace(first[-1], state="failed")
    both = SeriesPolicy(FULL, (*policy().keeps, *policy().keeps), jobs=("first", "second"))
    made = plan(content([*first, *second]), (both,), now=NOW)
    (refusal,) = made.refusals
    assert first[-1].backup_id in refusal.message
    assert made.removals == ()
    # A job that there is no longer will never make a better one.
    former = dataclasses.replace(both, keeps=policy().keeps, jobs=("second",))
    assert codes(plan(content([*first, *second]), (former,), now=NOW)) == []


def test_a_share_counts_from_ten_backups_on() -> None:
    keep = {"count": 2, "minimum_verified": 1}
    assert codes(plan(content(daily(9)), (policy(keep=keep),), now=NOW)) == []
    assert codes(plan(content(daily(10)), (policy(keep=keep),), now=NOW)) == ["retention.share"]
    half = policy(keep={"count": 5})
    assert codes(plan(content(daily(10)), (half,), now=NOW)) == []


def test_what_came_later_makes_no_share_smaller() -> None:
    later = [entry(NOW + HOUR * hour) for hour in range(1, 20)]
    made = plan(content([*daily(10), *later]), (policy(keep={"count": 2}),), now=NOW)
    assert codes(made) == ["retention.share"]


def test_what_is_held_back_is_not_among_the_many() -> None:
    entries = [*HEALTHY, entry(NOW - HOUR, "failed")]
    assert codes(plan(content(entries), THIRTY, now=NOW, limits=Limits(number=5))) == ["retention.newest_failed"]
    made = plan(content(entries), THIRTY, now=NOW, limits=Limits(number=4))
    assert codes(made) == ["retention.newest_failed", "retention.number"]
    assert made.removals == ()


@pytest.mark.parametrize(
    ("here", "there", "is_stream", "stops"),
    [
        ("full", "incremental", False, True),
        ("full", "oplog", True, True),
        ("full", "logical", False, False),
        ("full", "full", False, False),
        ("incremental", "full", False, False),
    ],
)
def test_another_repository_matters_where_something_may_build_on_what_is_here(
    here: str, there: str, *, is_stream: bool, stops: bool
) -> None:
    series = Series("family", "main", here)
    other = policy(Series("family", "main", there), is_stream=is_stream)
    elsewhere = [Elsewhere(content([], name="dr", problems=("no route",)), (other,))]
    made = plan(content(daily(35, series=series)), (policy(series),), now=NOW, elsewhere=elsewhere)
    assert codes(made) == (["retention.elsewhere"] if stops else [])
    made = plan(content(daily(35, series=OTHER)), (policy(OTHER),), now=NOW, elsewhere=elsewhere)
    assert codes(made) == []


def test_a_stream_may_begin_from_any_backup_of_another_repository() -> None:
    elsewhere = [Elsewhere(content([], name="dr", problems=("no route",)), (policy(),))]
    made = plan(content([], stream(NOW - 9 * DAY, NOW)), (LOG,), now=NOW, elsewhere=elsewhere)
    assert codes(made) == ["retention.elsewhere"]
    assert made.streams[0].held_back


def test_a_base_that_a_window_elsewhere_needs_is_refused_by_its_own_series() -> None:
    # The stream elsewhere keeps 2 days, and its objective says 7.
    log = stream(NOW - 9 * DAY, NOW, bases=BASES)
    there = Elsewhere(content([], log, name="wal"), (dataclasses.replace(LOG, objective=7 * DAY),))
    least = policy(keep={"count": 1, "minimum_verified": 0})
    made = plan(content(BASES, name="dr"), (least,), now=NOW, elsewhere=[there])
    (refusal,) = made.refusals
    assert (refusal.code, refusal.series) == ("retention.window", FULL)
    assert made.removals == ()
    assert made.windows_after == made.windows_before
    made = plan(content(BASES, name="dr"), (least,), now=NOW, elsewhere=[there], allow=frozenset({"window"}))
    assert len(made.removals) == 7


def test_a_window_that_is_below_its_objective_already_is_no_reason_to_keep_more() -> None:
    bases = daily(2)
    log = stream(NOW - 3 * DAY, NOW, bases=bases)
    made = plan(content(bases, log), (policy(), dataclasses.replace(LOG, objective=30 * DAY)), now=NOW)
    assert made.refusals == ()
    assert made.streams[0].keep_from


def test_every_refusal_says_which_series_it_is_about_in_its_override() -> None:
    entries = [*HEALTHY, entry(NOW - HOUR, "failed"), entry(NOW - HOUR, "failed", series=OTHER)]
    both = plan(content(entries), THIRTY, now=NOW)
    assert [one.override for one in both.refusals] == [
        "newest-failed:adhd/main/logical",
        "newest-failed:family/main/full",
    ]
    one = plan(content(entries), THIRTY, now=NOW, allow=frozenset({"newest-failed:adhd/main/logical"}))
    assert gone(one) == {"adhd/main/logical"}
