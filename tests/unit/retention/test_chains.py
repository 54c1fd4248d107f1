# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Increments and their bases: across kinds, across repositories, and in the order in which they go."""

from __future__ import annotations

import dataclasses

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.chains import chains_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    REMOVED,
    Decision,
    Elsewhere,
    Entry,
)
from tests.unit.retention.samples import (
    DAY,
    EVERYTHING,
    FULL,
    HOUR,
    INCREMENTAL,
    NOW,
    content,
    decision_of,
    entry,
    going,
    planned,
    policy,
    reasons_of,
)

#: Both kinds for a week.
WEEK = (policy(keep={"within": "7d"}), policy(INCREMENTAL, keep={"within": "7d"}))


def chain(days_ago: float, *hours: int) -> tuple[Entry, list[Entry]]:
    """A base, and increments so many hours after it, each of the one before."""
    base = entry(NOW - DAY * days_ago)
    increments: list[Entry] = []
    for hour in hours:
        parent = increments[-1] if increments else base
        increments.append(
            entry(base.started + HOUR * hour, series=INCREMENTAL, parent=parent.backup_id, number=len(increments))
        )
    return base, increments


def healthy() -> list[Entry]:
    """Enough of both kinds that nothing stays for want of others."""
    base, increments = chain(1, 2, 4, 6)
    return [entry(NOW - 2 * DAY), base, *increments]


def test_a_base_stays_as_long_as_an_increment_of_it_does() -> None:
    # The last of these increments is younger than 7 days, its base is not.
    base, increments = chain(8, 4, 8, 30)
    made = planned([base, *increments, *healthy()], *WEEK)
    assert going(made) == []
    assert reasons_of(made, base) == (f"base of increment {increments[0].backup_id}",)
    assert reasons_of(made, increments[0]) == (f"base of increment {increments[1].backup_id}",)
    assert reasons_of(made, increments[2]) == ("within 7d",)


def test_a_base_of_many_names_the_newest_of_them() -> None:
    base = entry(NOW - 8 * DAY)
    increments = [entry(base.started + HOUR * hour, series=INCREMENTAL, parent=base.backup_id) for hour in (25, 30, 26)]
    made = planned([base, *increments, *healthy()], *WEEK)
    newest = increments[1].backup_id
    assert reasons_of(made, base) == (f"base of 3 increments that stay, the newest {newest}",)


def test_a_whole_chain_goes_when_nothing_of_it_stays() -> None:
    base, increments = chain(12, 4, 8, 12)
    made = planned([base, *increments, *healthy()], *WEEK)
    assert len(going(made)) == 4


def test_children_go_before_what_they_build_on() -> None:
    old, older = chain(12, 4, 8, 12), chain(13, 4)
    entries = [old[0], *old[1], older[0], *older[1], *healthy()]
    made = planned(entries[::-1], *WEEK)
    assert [one.entry for one in made.removals] == [
        old[1][2],
        old[1][1],
        older[1][0],
        old[1][0],
        older[0],
        old[0],
    ]
    ranks = [[one.entry.backup_id for one in group] for group in made.removal_ranks]
    assert [len(group) for group in ranks] == [1, 1, 2, 2]


def test_what_claims_to_build_on_itself_ends_nothing() -> None:
    one, other = entry(NOW - 20 * DAY), entry(NOW - 19 * DAY)
    one = dataclasses.replace(one, parent=other.backup_id)
    other = dataclasses.replace(other, parent=one.backup_id)
    itself = entry(NOW - 18 * DAY, number=7)
    itself = dataclasses.replace(itself, parent=itself.backup_id)
    made = planned([one, other, itself, *healthy()], *WEEK)
    assert len(made.removals) == 3
    made = planned([one, other, itself, *healthy()], policy(keep={"forever": True}), WEEK[1])
    assert made.removals == ()


def test_a_parent_that_is_not_here_is_no_trouble() -> None:
    orphan = entry(NOW - DAY, series=INCREMENTAL, parent="20260101T000000Z-aaaaaa", number=5)
    made = planned([orphan, *healthy()], *WEEK)
    assert reasons_of(made, orphan) == ("within 7d",)


def test_the_same_id_in_another_source_is_another_backup() -> None:
    base, increments = chain(8, 4, 8, 30)
    elsewhere = dataclasses.replace(base, series=dataclasses.replace(FULL, source="other"))
    other_policy = policy(elsewhere.series, keep={"within": "7d", "minimum_verified": 0})
    newest = entry(NOW - DAY, series=elsewhere.series, number=9)
    made = planned([base, *increments, elsewhere, newest, *healthy()], *WEEK, other_policy)
    assert decision_of(made, elsewhere).verdict == REMOVED


def test_an_increment_that_came_later_keeps_its_base() -> None:
    base = entry(NOW - 8 * DAY)
    late = entry(NOW + HOUR, series=INCREMENTAL, parent=base.backup_id)
    made = planned([base, late, *healthy()], *WEEK)
    assert reasons_of(made, base) == (f"base of increment {late.backup_id}",)


def test_an_increment_elsewhere_keeps_the_base_that_it_lacks_there() -> None:
    base, (increment,) = chain(8, 4)
    there = content([increment], name="dr")
    made = planned([base, *healthy()], *WEEK, elsewhere=[Elsewhere(there)])
    assert reasons_of(made, base) == (f"base of increment {increment.backup_id} in dr",)
    # Where it is there, too, that repository's own plan keeps it; unless that copy is a bad one.
    there = content([increment, base], name="dr")
    made = planned([base, *healthy()], *WEEK, elsewhere=[Elsewhere(there)])
    assert decision_of(made, base).verdict == REMOVED
    there = content([increment, dataclasses.replace(base, state="failed")], name="dr")
    made = planned([base, *healthy()], *WEEK, elsewhere=[Elsewhere(there)])
    assert decision_of(made, base).verdict == "kept"


def test_what_can_not_be_read_may_build_on_anything_older_of_its_source() -> None:
    base, older = entry(NOW - 20 * DAY), entry(NOW - 40 * DAY)
    younger = entry(NOW - 10 * DAY)
    folder = INCREMENTAL.backup(f"{NOW - 15 * DAY:%Y%m%dT%H%M%SZ}-bbbbbb")
    whole = content([older, base, younger, *healthy()], problems=("it",), unreadable=(folder,))
    made = plan(whole, WEEK, now=NOW, allow=EVERYTHING)
    assert reasons_of(made, base) == (f"{folder.backup_id} can't be read and may build on it",)
    assert [one.entry for one in made.removals] == [younger]


def test_what_is_held_back_keeps_what_it_builds_on() -> None:
    base, increments = chain(12, 4, 8)
    failed = entry(NOW - HOUR, "failed", series=INCREMENTAL, parent="20260101T000000Z-aaaaaa")
    made = planned([base, *increments, failed, *healthy()], *WEEK)
    assert [refusal.override for refusal in made.refusals] == ["newest-failed:family/main/incremental"]
    assert made.removals == ()
    held: Decision = decision_of(made, base)
    assert (held.held_back, held.reasons) == (
        True,
        ("older than 7d", f"base of increment {increments[0].backup_id}"),
    )
    assert reasons_of(made, increments[1]) == ("older than 7d", "held back: newest-failed")


def test_chains_are_numbered_by_the_order_of_the_entries() -> None:
    base, increments = chain(3, 1, 2)
    chains = chains_of([increments[1], base, increments[0]])
    staying = {0}
    assert chains.close(staying) == {2: [0], 1: [2]}
    assert staying == {0, 1, 2}
