# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup, ship, verify, prune, copy, pin and restore at the same time on two repositories, dying at any call to them.

The operations are the engine's own; only servers, threads of pools and the two repositories are stand-ins
(``tests/support/simulation``). After every change a judge looks: no verified backup is lost that the policy keeps,
there are never fewer verified ones than the minimum, no backup is shown whose payload is missing, no increment without
its base, no record of a segment that is not there; and after a last undisturbed run nothing is left that nobody lists.

LIFEBOAT_SCHEDULES   how many courses of events the search at random tries (`make soak`), 2000 when it is not set
LIFEBOAT_FIRST_SEED  where it begins: what a failure prints, to see it again
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.support.simulation.course import Course, notes
from tests.support.simulation.shortcuts import installed

_SHOWN = 60


def run_courses(first: int, count: int) -> tuple[int, int]:
    """The calls to repositories and the deaths in these courses; fails at the first that must not be."""
    points = deaths = 0
    with installed() as ids, notes() as folder:
        for seed in range(first, first + count):
            course = Course(seed, folder=folder, ids=ids)
            try:
                course.run()
            except BaseException as error:
                last = "\n".join(["the last steps:", *course.log[-_SHOWN:]])
                raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{last}") from error
            points += course.points
            deaths += course.deaths
    return points, deaths


@pytest.mark.parametrize("first", [0, 1000, 2000, 3000])
def test_whoever_comes_first_and_whoever_dies_no_promise_is_broken(first: int) -> None:
    points, deaths = run_courses(first, 75)
    assert points > 75 * 100
    assert deaths > 75 * 0.4


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_many_courses_of_events_break_no_promise() -> None:
    count = int(os.environ.get("LIFEBOAT_SCHEDULES", "2000"))
    first = int(os.environ.get("LIFEBOAT_FIRST_SEED") or random.SystemRandom().randrange(1 << 40))
    began = time.monotonic()
    points, deaths = run_courses(first, count)
    seconds = time.monotonic() - began
    print(f"{count} courses from seed {first} in {seconds:.0f} s: {points} calls to repositories, {deaths} deaths")


def test_the_same_seed_gives_the_same_course_of_events() -> None:
    logs = []
    for _turn in range(2):
        with installed() as ids, notes() as folder:
            course = Course(5, folder=folder, ids=ids)
            course.run()
            logs.append((course.log, course.points))
    assert logs[0] == logs[1]
