# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets and their members: they stay together, go together, and no job's rules count what was made for a set."""

from __future__ import annotations

import dataclasses
import random

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.set_members import label_of_set
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    KEPT,
    REMOVED,
    Elsewhere,
    Entry,
    Pin,
    RetentionPlan,
)
from tests.unit.retention.samples import (
    DAY,
    EVERYTHING,
    FULL,
    HOUR,
    NOW,
    content,
    daily,
    decision_of,
    entry,
    planned,
    policy,
    reasons_of,
)

SETS = Series("family", "system", "system")
CACHE = Series("family", "cache", "rdb")
WEEKS = policy(SETS, keep={"within": "12w"}, jobs=("family/system/system",))
MONTH = policy(FULL, keep={"within": "30d"}, jobs=("family/main/full",))


def made_set(days_ago: float, *, state: str = "verified", **more: object) -> tuple[Entry, list[Entry]]:
    """A set of a dump and a snapshot, made that long ago; *more* are fields of the set."""
    began = NOW - DAY * days_ago
    whole = entry(began, state, series=SETS, number=1)
    labels = {"job": "family/system/system", "set": label_of_set(SETS.backup(whole.backup_id))}
    members = [
        entry(began + HOUR * number, state, series=series, number=10 + number, labels=labels)
        for number, series in enumerate((FULL, CACHE), start=1)
    ]
    folders = tuple(member.folder for member in members)
    return dataclasses.replace(whole, members=folders, engine="files", **more), members


def weekly(count: int, *, first: float = 1) -> list[tuple[Entry, list[Entry]]]:
    return [made_set(first + 7 * number) for number in range(count)]


def everything(sets: list[tuple[Entry, list[Entry]]]) -> list[Entry]:
    return [one for whole, members in sets for one in (whole, *members)]


def verdicts(made: RetentionPlan, sets: list[tuple[Entry, list[Entry]]]) -> list[set[str]]:
    return [{decision_of(made, one).verdict for one in (whole, *members)} for whole, members in sets]


def test_members_stay_as_long_as_their_set_and_go_with_it() -> None:
    sets = weekly(15)
    # The job of the dumps keeps a month; nobody keeps snapshots here but the sets.
    made = planned(everything(sets), WEEKS, MONTH)
    assert verdicts(made, sets) == [{KEPT}] * 12 + [{REMOVED}] * 3
    whole, members = sets[11]
    for member in members:
        assert reasons_of(made, member) == (f"member of set {whole.backup_id}",)
    gone, went = sets[13]
    for member in went:
        assert reasons_of(made, member)[0] == f"its set {gone.backup_id} goes"


def test_sets_go_before_their_members() -> None:
    sets = weekly(15)
    made = planned(everything(sets), WEEKS, MONTH)
    order = [one.entry.backup_id for one in made.removals]
    for whole, members in sets[12:]:
        assert all(order.index(whole.backup_id) < order.index(member.backup_id) for member in members)
    ranks = [[one.entry.series for one in rank] for rank in made.removal_ranks]
    assert [set(rank) for rank in ranks] == [{SETS}, {FULL, CACHE}]


def test_what_was_made_for_a_set_takes_no_place_of_a_job() -> None:
    dumps = daily(5)
    sets = weekly(3, first=0.1)
    three = policy(FULL, keep={"count": 3, "minimum_verified": 1}, jobs=("family/main/full",))
    labelled = [dataclasses.replace(one, labels={"job": "family/main/full"}) for one in dumps]
    made = planned([*labelled, *everything(sets)], WEEKS, three)
    kept = [one for one in labelled if decision_of(made, one).verdict == KEPT]
    assert kept == labelled[2:]


def test_a_pinned_set_keeps_its_members() -> None:
    pin = Pin(pin_id="p", reason="the audit", made=NOW - DAY)
    old = made_set(300, pins=(pin,))
    sets = [*weekly(4), old]
    made = planned(everything(sets), WEEKS, MONTH)
    assert verdicts(made, sets) == [{KEPT}] * 5


def test_a_pinned_member_stays_alone() -> None:
    whole, (dump, snapshot) = made_set(300)
    pinned = dataclasses.replace(dump, pins=(Pin(pin_id="p", reason="the audit", made=NOW - DAY),))
    made = planned([*everything(weekly(4)), whole, pinned, snapshot], WEEKS, MONTH)
    assert [decision_of(made, one).verdict for one in (whole, pinned, snapshot)] == [REMOVED, KEPT, REMOVED]


def test_members_of_a_set_that_failed_to_be_made_are_kept_as_it_would_be() -> None:
    _never, members = made_set(60)
    _older, old = made_set(100)
    _now, young = made_set(0.5)
    sets = weekly(4, first=2)
    made = planned([*everything(sets), *members, *old, *young], WEEKS, MONTH)
    assert {decision_of(made, one).verdict for one in (*members, *young)} == {KEPT}
    assert reasons_of(made, members[0]) == ("within 12w (former jobs)",)
    assert reasons_of(made, young[0]) == ("its set may still be made",)
    assert {decision_of(made, one).verdict for one in old} == {REMOVED}
    assert reasons_of(made, old[1])[0].startswith("its set is not here, older than 12w")


def test_without_its_sets_policy_nothing_of_it_goes() -> None:
    sets = weekly(40)
    made = planned(everything(sets), MONTH)
    assert verdicts(made, sets) == [{KEPT}] * 40


def test_members_whose_source_was_not_asked_about_stay() -> None:
    sets = [
        (whole, [dataclasses.replace(one, is_asked=one.series == FULL) for one in members])
        for whole, members in weekly(15)
    ]
    made = planned(everything(sets), WEEKS, MONTH)
    whole, (dump, snapshot) = sets[14]
    assert [decision_of(made, one).verdict for one in (whole, dump, snapshot)] == [REMOVED, REMOVED, KEPT]
    assert reasons_of(made, snapshot) == ("its source was not asked about",)


def test_an_unreadable_set_keeps_what_was_made_for_it() -> None:
    whole, members = made_set(300)
    sets = weekly(4)
    made = planned([*everything(sets), *members], WEEKS, MONTH)
    assert {decision_of(made, one).verdict for one in members} == {REMOVED}
    torn = content([*everything(sets), *members], unreadable=(whole.folder,))
    made = plan(torn, (WEEKS, MONTH), now=NOW, allow=EVERYTHING)
    assert {reasons_of(made, one) for one in members} == {("its set can't be read",)}


def test_a_member_that_a_set_elsewhere_lacks_stays_here() -> None:
    sets = weekly(15)
    whole, (dump, snapshot) = sets[14]
    other = content([whole, snapshot], name="cloud")
    made = plan(
        content(everything(sets)), (WEEKS, MONTH), now=NOW, allow=EVERYTHING, elsewhere=[Elsewhere(content=other)]
    )
    assert reasons_of(made, dump) == (f"member of set {whole.backup_id} in cloud",)
    assert decision_of(made, snapshot).verdict == REMOVED


def test_a_guard_of_the_sets_holds_their_members_back_too() -> None:
    sets = weekly(15)
    sets[0] = made_set(1, state="failed")
    made = planned(everything(sets), WEEKS, MONTH)
    assert [refusal.series for refusal in made.refusals] == [SETS]
    assert verdicts(made, sets) == [{KEPT}] * 15


@pytest.mark.parametrize("seed", range(60))
def test_no_plan_tears_a_set(seed: int) -> None:
    chance = random.Random(seed)
    sets = [
        made_set(chance.uniform(0.1, 200), state=chance.choice(("verified", "complete", "failed")))
        for _number in range(chance.randrange(1, 12))
    ]
    entries = everything(sets)
    entries += [one for whole, members in (made_set(chance.uniform(1, 200)),) for one in members]
    chance.shuffle(entries)
    keep = chance.choice(({"within": "8w"}, {"count": 2}, {"weekly": 3}, {"forever": True}))
    policies = [policy(SETS, keep=keep, jobs=("family/system/system",))]
    policies += [policy(series, keep={"count": 1}) for series in (FULL, CACHE) if chance.random() < 0.6]
    made = plan(content(entries), policies, now=NOW, allow=EVERYTHING if chance.random() < 0.7 else frozenset())
    for whole, members in sets:
        if decision_of(made, whole).verdict == KEPT:
            assert {decision_of(made, one).verdict for one in members} == {KEPT}
