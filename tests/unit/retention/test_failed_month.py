# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A month of failed backups: what the line of today's scripts leaves of the good ones, and what the planner does."""

from __future__ import annotations

import datetime
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import Entry, RetentionPlan
from tests.unit.retention.samples import DAY, EVERYTHING, HOUR, NOW, content, entry, policy, pruned

GOOD_DAYS, BAD_DAYS = 60, 31
#: Both keep "30 days".
KEEP = {"within": "30d"}


@pytest.mark.skipif(shutil.which("find") is None, reason="there is no find here")
def test_find_by_age_leaves_nothing_that_restores(tmp_path: pathlib.Path) -> None:
    """A dump that dies leaves a file all the same; nobody looks into it, and age alone decides."""
    now = tmp_path.stat().st_mtime  # it was just made
    for age in range(GOOD_DAYS + BAD_DAYS):
        path = tmp_path / f"dump-{age:02}-days-old.gz"
        path.write_bytes(b"" if age < BAD_DAYS else b"a dump that restores")
        made = now - age * 86400 - 3600
        os.utime(path, (made, made))
    assert sum(path.stat().st_size > 0 for path in tmp_path.iterdir()) == GOOD_DAYS

    subprocess.run(["find", str(tmp_path), "-type", "f", "-mtime", "+30", "-delete"], check=True, timeout=60)

    left = list(tmp_path.iterdir())
    assert len(left) == BAD_DAYS
    assert sum(path.stat().st_size > 0 for path in left) == 0, "not one good backup is left"


def nothing(_moment: datetime.datetime) -> list[Entry]:
    """The run dies: no manifest, so no backup."""
    return []


def bad(moment: datetime.datetime) -> list[Entry]:
    """The run ends well, and verification finds that it doesn't restore."""
    return [entry(moment, "failed")]


def unproved(moment: datetime.datetime) -> list[Entry]:
    """The run ends well, and verification doesn't run either."""
    return [entry(moment, "complete")]


class Night(t.NamedTuple):
    """What was planned one morning, and how many good ones were left."""

    plan: RetentionPlan
    good: int


def nights(trouble: t.Callable[[datetime.datetime], list[Entry]], allow: t.AbstractSet[str]) -> list[Night]:
    """Back up each night and prune each morning, first in good times, then in bad ones."""
    first = NOW - DAY * (GOOD_DAYS + BAD_DAYS - 1)
    there: tuple[Entry, ...] = ()
    found = []
    for day in range(GOOD_DAYS + BAD_DAYS):
        morning = first + DAY * day
        night = morning - 10 * HOUR
        there += tuple([entry(night)] if day < GOOD_DAYS else trouble(night))
        is_overdue = all(one.started < night for one in there)
        whole = content(there)
        made = plan(whole, (policy(keep=KEEP, overdue_since=night if is_overdue else None),), now=morning, allow=allow)
        there = pruned(whole, made).entries
        found.append(Night(made, sum(one.state == "verified" for one in there)))
    return found


@pytest.mark.parametrize("trouble", [nothing, bad, unproved])
def test_lifeboat_keeps_good_backups_even_when_every_guard_is_overridden(
    trouble: t.Callable[[datetime.datetime], list[Entry]],
) -> None:
    found = nights(trouble, EVERYTHING)
    assert [night.good for night in found[:3]] == [1, 2, 3]
    assert found[GOOD_DAYS - 1].good == 30
    assert min(night.good for night in found[2:]) == 2
    last = found[-1].plan
    kept = [one for one in last.decisions if one.entry.state == "verified" and one.verdict == "kept"]
    assert [one.reasons[-1] for one in kept] == ["verified 2 of 2 that always stay", "verified 1 of 2 that always stay"]
    assert all(NOW - one.entry.started > DAY * 30 for one in kept)


@pytest.mark.parametrize(
    ("trouble", "code"), [(nothing, "retention.overdue"), (bad, "retention.newest_failed"), (unproved, None)]
)
def test_lifeboat_stops_and_says_so_when_nobody_overrides(
    trouble: t.Callable[[datetime.datetime], list[Entry]], code: str | None
) -> None:
    found = nights(trouble, frozenset())
    in_trouble = [[refusal.code for refusal in night.plan.refusals] for night in found[GOOD_DAYS:]]
    if code is None:
        # Nothing is known to be wrong, so age decides, down to the two that were proved last.
        assert in_trouble == [[]] * BAD_DAYS
        assert found[-1].good == 2
    else:
        # When more than half would go, another guard speaks as well.
        assert [codes[0] for codes in in_trouble] == [code] * BAD_DAYS
        # All that there were when the trouble began.
        assert found[-1].good == 30
        assert found[-1].plan.removals == ()
