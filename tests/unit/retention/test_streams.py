# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams: what can be recovered within the span that is kept stays so, from a base that is worth most."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    REMOVED,
    Elsewhere,
    Entry,
    PinnedPoint,
    RecoverySpan,
    RetentionPlan,
    StreamDecision,
    StreamEntry,
    StreamHour,
)
from tests.unit.retention.samples import (
    DAY,
    EVERYTHING,
    HOUR,
    NOW,
    OPLOG,
    at,
    content,
    daily,
    decision_of,
    entry,
    going,
    policy,
    pruned,
    reasons_of,
    stream,
)

#: One base of each day is not enough for a policy of one: the rest stays for the stream alone.
LEAST = policy(keep={"count": 1, "minimum_verified": 0})
TWO_DAYS = policy(OPLOG, keep={"within": "2d"}, is_stream=True)

#: The hour whose last moment is the first one of these two days.
SPAN = "2026111911"


def made_of(entries: t.Iterable[Entry], *streams: StreamEntry, **more: t.Any) -> RetentionPlan:
    policies = more.pop("policies", (LEAST, TWO_DAYS))
    return plan(content(entries, *streams), policies, now=NOW, allow=EVERYTHING, **more)


def only(made: RetentionPlan) -> StreamDecision:
    (decision,) = made.streams
    return decision


def hour(moment: datetime.datetime) -> str:
    return f"{moment:%Y%m%d%H}"


def test_the_newest_verified_base_before_the_span_stays_with_all_that_it_reads() -> None:
    bases = [*daily(6, last=3), *daily(3, "complete")]
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases))
    anchor = bases[5]
    assert reasons_of(made, anchor) == ("base of oplog 2026-11-18 02:10Z and later",)
    assert [one.entry for one in made.decisions if one.verdict == "kept"] == [anchor, bases[-1]]
    decision = only(made)
    assert decision.keep_from == "2026111802"
    assert (decision.removed_hours, decision.removed_segments, decision.removed_bytes) == (134, 1340, 1_340_000)
    assert decision.reasons == (
        "within 2d",
        f"recoveries into it begin from {anchor.backup_id}, which reads from 2026-11-18 02:00Z on",
        "nothing that stays reads what was recorded before 2026-11-18 02:00Z",
    )


def test_what_can_be_recovered_of_the_span_is_the_same_afterwards() -> None:
    bases = daily(9)
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases))
    assert made.windows_before[0].begins == bases[0].finished
    assert {(window.base, window.begins) for window in made.windows_after} == {
        (bases[6].backup_id, bases[6].finished),
        (bases[8].backup_id, bases[8].finished),
    }
    assert all(window.ends == NOW for window in made.windows_after)


def test_where_none_is_verified_the_newest_usable_base_stays() -> None:
    bases = [*daily(4, "complete", last=5), *daily(3, "failed", last=2), *daily(2, "complete")]
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases))
    assert reasons_of(made, bases[3]) == ("base of oplog 2026-11-16 02:10Z and later",)


def test_where_all_failed_the_newest_of_them_is_better_than_none() -> None:
    bases = daily(9, "failed")
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases))
    assert reasons_of(made, bases[6]) == ("base of oplog 2026-11-19 02:10Z and later",)


def test_where_none_is_older_than_the_span_the_oldest_inside_stays() -> None:
    bases = daily(2)
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases))
    assert reasons_of(made, bases[0]) == ("base of oplog 2026-11-20 02:10Z and later",)
    # What lies between the span's beginning and that base can't be recovered, but it is within what the policy says.
    assert only(made).keep_from == SPAN


def test_a_stream_without_any_base_keeps_its_span_alone() -> None:
    made = made_of([], stream(NOW - 9 * DAY, NOW))
    assert only(made).keep_from == SPAN
    assert only(made).reasons[1] == "no base reaches into it"


def test_a_base_that_is_being_made_finds_what_it_needs() -> None:
    # It began within the span: a dump of ten hours reads from its own beginning on.
    bases = daily(1, last=30)
    made = made_of(bases, stream(NOW - 9 * DAY, NOW))
    assert only(made).keep_from <= SPAN


def test_of_a_stream_that_is_torn_each_part_keeps_its_base() -> None:
    bases = daily(9)
    whole = stream(NOW - 9 * DAY, NOW, bases=bases)
    torn = NOW - HOUR * 20  # within the span
    windows = tuple(dataclasses.replace(one, ends=torn) if one.begins < torn else one for one in whole.windows)
    made = made_of(bases, dataclasses.replace(whole, windows=windows))
    assert [one.entry for one in made.decisions if one.verdict == "kept"] == [bases[6], bases[8]]
    assert reasons_of(made, bases[6]) == ("base of oplog 2026-11-19 02:10Z and later",)
    assert reasons_of(made, bases[8])[-1] == "base of oplog 2026-11-21 02:10Z and later"


def test_a_base_whose_window_ends_before_the_span_is_none() -> None:
    bases = daily(9)
    whole = stream(NOW - 9 * DAY, NOW, bases=bases)
    torn = NOW - HOUR * 50  # before the span, and after the base of the day before
    windows = tuple(dataclasses.replace(one, ends=torn) if one.begins < torn else one for one in whole.windows)
    made = made_of(bases, dataclasses.replace(whole, windows=windows))
    assert [one.entry for one in made.decisions if one.verdict == "kept"] == [bases[7], bases[8]]
    assert only(made).keep_from == SPAN


def test_what_was_recorded_late_counts_by_its_moments() -> None:
    # The spool waited for ten hours: in one hour there is what was written during all of them, and before the span.
    bases = daily(1, last=20)
    late = StreamHour(hour(NOW - DAY * 2 - HOUR), segments=3, stored_bytes=5, ends=NOW - DAY * 2)
    early = StreamHour(hour(NOW - DAY * 2 - HOUR * 2), segments=1, stored_bytes=7, ends=NOW - DAY * 2 - HOUR * 2)
    whole = stream(NOW - 2 * DAY, NOW)
    made = made_of(bases, dataclasses.replace(whole, hours=(early, late, *whole.hours)))
    assert only(made).keep_from == late.key
    assert only(made).removed_bytes == 7


def test_an_hour_of_which_nobody_knows_how_far_it_reaches_is_judged_by_the_rest() -> None:
    unknown = StreamHour(hour(NOW - DAY * 3), segments=3, stored_bytes=5, ends=None)
    whole = stream(NOW - 2 * DAY, NOW)
    made = made_of([], dataclasses.replace(whole, hours=(unknown, *whole.hours)))
    assert only(made).keep_from == hour(NOW - DAY * 2)
    assert only(made).removed_hours == 1


def test_an_own_base_is_a_base() -> None:
    whole = stream(NOW - 9 * DAY, NOW)
    own = tuple(hour(NOW - DAY * day) for day in (8, 4, 3, 1))
    windows = tuple(
        RecoverySpan("rs0", name, at(f"{name[:4]}-{name[4:6]}-{name[6:8]} {name[8:]}:00"), NOW) for name in own
    )
    made = made_of([], dataclasses.replace(whole, own_bases=own, windows=windows))
    assert only(made).keep_from == own[2]
    assert {window.base for window in made.windows_after} == {own[2], own[3]}


def test_forever_keeps_all_hours_and_the_base_that_they_begin_from() -> None:
    bases = daily(9)
    forever = policy(OPLOG, keep={"forever": True}, is_stream=True)
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases), policies=(LEAST, forever))
    assert only(made).keep_from == ""
    assert reasons_of(made, bases[0]) == ("base of oplog 2026-11-13 02:10Z and later",)


def test_a_stream_without_a_policy_stays_whole_and_keeps_its_base() -> None:
    bases = daily(9)
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases), policies=(LEAST,))
    assert only(made).keep_from == ""
    assert only(made).reasons == ("no job keeps this stream here",)
    assert decision_of(made, bases[0]).verdict == "kept"


def test_the_newest_moment_stays_however_long_nothing_came() -> None:
    # An idle server writes nothing, and what it held a month ago is what it holds today.
    bases = [entry(NOW - 33 * DAY), entry(NOW - 31 * DAY)]
    newest = daily(1, series=dataclasses.replace(OPLOG, kind="full"))
    made = made_of([*bases, *newest], stream(NOW - 34 * DAY, NOW - 30 * DAY, bases=bases))
    assert decision_of(made, bases[1]).verdict == "kept"
    assert only(made).keep_from == hour(bases[1].finished)
    assert made.windows_after[-1].ends == NOW - 30 * DAY


def test_a_former_lineage_goes_whole_when_its_last_moment_leaves_the_span() -> None:
    # The replica set was begun anew.
    old, new = daily(4, last=20), daily(9)
    former = stream(NOW - 30 * DAY, NOW - 10 * DAY, bases=old, lineage="rs0-old")
    made = made_of([*old, *new], former, stream(NOW - 9 * DAY, NOW, bases=new))
    decisions = {one.entry.lineage: one for one in made.streams}
    assert decisions["rs0-old"].removed_hours == len(former.hours)
    assert all(decision_of(made, one).verdict == REMOVED for one in old)
    assert decisions["rs0"].keep_from == "2026111902"


def test_a_base_of_one_lineage_may_be_needed_for_the_next() -> None:
    # After a promotion nobody made a new base: recoveries read the old timeline, then the new one.
    base = entry(NOW - 6 * DAY)
    first = stream(NOW - 8 * DAY, NOW - 4 * DAY, bases=[base], lineage="first")
    second = stream(NOW - 4 * DAY, NOW, lineage="second", needed_from={base.backup_id: hour(NOW - 4 * DAY)})
    second = dataclasses.replace(second, windows=(RecoverySpan("second", base.backup_id, NOW - 4 * DAY, NOW),))
    newest = daily(1)
    made = made_of([base, *newest], first, second)
    decisions = {one.entry.lineage: one for one in made.streams}
    assert decisions["first"].keep_from == hour(base.finished)
    assert decisions["second"].keep_from == ""
    assert decision_of(made, base).verdict == "kept"


def test_what_a_base_inside_of_the_span_reads_stays_though_it_is_older_than_the_span() -> None:
    # It took three days and ended an hour ago.
    slow = entry(NOW - 3 * DAY - HOUR, "complete", finished=NOW - HOUR)
    before = entry(NOW - 4 * DAY, number=1)
    whole = stream(NOW - 9 * DAY, NOW, bases=[before])
    whole = dataclasses.replace(whole, needed_from={slow.backup_id: hour(slow.started)}, windows=())
    made = made_of([slow], whole)
    assert only(made).keep_from == hour(slow.started)


@pytest.mark.parametrize("until", [None, NOW + DAY])
def test_a_pinned_point_keeps_all_from_it_on(until: datetime.datetime | None) -> None:
    bases = daily(9)
    point = PinnedPoint(NOW - 6 * DAY, "before the migration", until)
    pinned = dataclasses.replace(TWO_DAYS, points=(point,))
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases), policies=(LEAST, pinned))
    assert only(made).keep_from == "2026111502"
    assert only(made).reasons[0] == "pinned point 2026-11-15 12:00Z: before the migration"
    assert decision_of(made, bases[2]).verdict == "kept"


def test_a_pinned_point_that_is_over_keeps_no_more() -> None:
    bases = daily(9)
    pinned = dataclasses.replace(TWO_DAYS, points=(PinnedPoint(NOW - 6 * DAY, "before", NOW),))
    made = made_of(bases, stream(NOW - 9 * DAY, NOW, bases=bases), policies=(LEAST, pinned))
    assert only(made).keep_from == "2026111902"


def test_bases_may_lie_in_another_repository_than_the_stream() -> None:
    bases = daily(9)
    log = stream(NOW - 9 * DAY, NOW, bases=bases)
    # Where the stream is: the bases elsewhere are as good.
    there = Elsewhere(content(bases, name="dr"), (LEAST,))
    made = plan(content([], log, name="wal"), (TWO_DAYS,), now=NOW, allow=EVERYTHING, elsewhere=[there])
    assert only(made).keep_from == "2026111902"
    assert made.windows_after[0].base == bases[6].backup_id
    # Where the bases are: what the stream begins from stays.
    there = Elsewhere(content([], log, name="wal"), (TWO_DAYS,))
    made = plan(content(bases, name="dr"), (LEAST,), now=NOW, allow=EVERYTHING, elsewhere=[there])
    assert reasons_of(made, bases[6]) == ("base of oplog in wal 2026-11-19 02:10Z and later",)
    assert len(made.removals) == 7
    assert {window.base for window in made.windows_after} == {bases[6].backup_id, bases[8].backup_id}


def test_both_repositories_choose_the_same_base() -> None:
    # The copy here was proved, the one there was not: it counts as proved in both plans.
    bases = daily(9, "complete")
    proved = [dataclasses.replace(one, state="verified") if number == 4 else one for number, one in enumerate(bases)]
    log = stream(NOW - 9 * DAY, NOW, bases=bases)
    for here, there in ((bases, proved), (proved, bases)):
        other = Elsewhere(content(there, name="dr"), (LEAST,))
        made = made_of(here, log, elsewhere=[other])
        assert decision_of(made, here[4]).verdict == "kept"
        assert only(made).keep_from == "2026111702"


def test_a_bad_copy_is_no_base_where_another_repository_has_a_good_one() -> None:
    bases = daily(9)
    here = [dataclasses.replace(one, state="failed") if number == 6 else one for number, one in enumerate(bases)]
    other = Elsewhere(content(bases, name="dr"), (LEAST,))
    made = made_of(here, stream(NOW - 9 * DAY, NOW, bases=bases), elsewhere=[other])
    assert decision_of(made, here[6]).verdict == REMOVED
    assert only(made).keep_from == "2026111902"


def test_a_base_that_no_catalog_shows_is_worth_least() -> None:
    bases = daily(9, "complete")
    whole = stream(NOW - 9 * DAY, NOW, bases=bases)
    made = made_of([one for one in bases if one is not bases[6]], whole)
    assert decision_of(made, bases[5]).verdict == "kept"
    assert only(made).keep_from == "2026111802"
    assert only(made_of([], whole)).keep_from == "2026111902"


def test_where_nobody_says_how_far_bases_reach_they_reach_to_the_end() -> None:
    bases = daily(9)
    made = made_of(bases, dataclasses.replace(stream(NOW - 9 * DAY, NOW, bases=bases), windows=()))
    assert decision_of(made, bases[6]).verdict == "kept"
    assert only(made).keep_from == "2026111902"


def test_the_plan_of_a_pruned_repository_is_empty() -> None:
    bases = daily(9)
    before = content(bases, stream(NOW - 9 * DAY, NOW, bases=bases))
    made = plan(before, (LEAST, TWO_DAYS), now=NOW, allow=EVERYTHING)
    again = plan(pruned(before, made), (LEAST, TWO_DAYS), now=NOW)
    assert (going(again), [one.keep_from for one in again.streams], again.refusals) == ([], [""], ())


def test_each_repository_keeps_of_a_stream_what_its_own_policy_says() -> None:
    # Two days here, and all of it in the other one: what is cut here is no loss there.
    bases = daily(9)
    log = stream(NOW - 9 * DAY, NOW, bases=bases)
    there = Elsewhere(content(bases, log, name="dr"), (LEAST, policy(OPLOG, keep={"forever": True}, is_stream=True)))
    made = plan(content(bases, log), (LEAST, TWO_DAYS), now=NOW, elsewhere=[there], allow=frozenset({"share"}))
    assert made.refusals == ()
    assert only(made).keep_from == "2026111902"
    assert reasons_of(made, bases[0]) == ("base of oplog in dr 2026-11-13 02:10Z and later",)
    assert reasons_of(made, bases[6]) == ("base of oplog 2026-11-19 02:10Z and later",)
    assert decision_of(made, bases[3]).verdict == REMOVED


def test_what_a_base_elsewhere_reaches_is_no_loss_when_one_here_goes() -> None:
    # Here is an unproved copy of a later base, there a proved one of an earlier base: the span begins from that.
    proved, unproved = entry(NOW - 4 * DAY), entry(NOW - 3 * DAY, "complete")
    newest = daily(1)
    log = stream(NOW - 9 * DAY, NOW, bases=[proved, unproved])
    there = Elsewhere(content([proved], log, name="dr"), (policy(), TWO_DAYS))
    made = plan(content([unproved, *newest], name="local"), (LEAST,), now=NOW, elsewhere=[there])
    assert [one.entry for one in made.removals] == [unproved]
    assert made.refusals == ()
    assert {window.base for window in made.windows_before} == {proved.backup_id, unproved.backup_id}
    assert {window.base for window in made.windows_after} == {proved.backup_id}
    assert {window.series for window in made.windows_before} == {OPLOG}
