# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job is overdue by its own schedule: the deadline is the first run after the newest success, plus a grace."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule import parse_schedule
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_due import Due, due_of


def at(text: str) -> datetime.datetime:
    return parse_time(f"2026-11-{text}Z")


def due(expression: str, *, now: str, success: str | None, **more: object) -> Due:
    found = due_of(
        parse_schedule(expression),
        now=at(now),
        success=at(success) if success else None,
        **more,  # type: ignore[arg-type]
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("expression", "success", "now", "deadline", "overdue"),
    [
        # daily: the grace is an hour at most
        ("0 2 * * *", "21T02:00:00", "22T02:59:59", "22T03:00:00", False),
        ("0 2 * * *", "21T02:00:00", "22T03:00:01", "22T03:00:00", True),
        # each 5 minutes: the grace is 5 minutes at least
        ("*/5 * * * *", "21T02:00:00", "21T02:10:00", "21T02:10:00", False),
        ("*/5 * * * *", "21T02:00:00", "21T02:10:01", "21T02:10:00", True),
        # each 40 minutes of the hour: a quarter of the time to the next run
        ("0 */2 * * *", "21T02:00:00", "21T04:20:00", "21T04:30:00", False),
        # business hours: nothing is due at night
        ("0 9-18 * * *", "21T18:00:03", "22T08:00:00", "22T09:15:00", False),
        ("0 9-18 * * *", "21T17:00:03", "21T18:59:00", "21T19:00:00", False),
        ("0 9-18 * * *", "21T17:00:03", "21T23:00:00", "21T19:00:00", True),
        # a success by hand before the run does not stand for it
        ("0 2 * * *", "21T01:00:00", "21T03:30:00", "21T03:00:00", True),
        # a clock that was set by a moment does not make two runs of one
        ("0 2 * * *", "21T01:59:59", "21T03:30:00", "22T03:00:00", False),
        # weeks without a success: the first run that was missed counts
        ("0 1 * * 6", "07T01:00:00", "28T12:00:00", "14T02:00:00", True),
    ],
)
def test_the_deadline_follows_the_jobs_own_schedule(
    expression: str, success: str, now: str, deadline: str, overdue: bool
) -> None:
    found = due(expression, now=now, success=success)
    assert (found.deadline, found.overdue) == (at(deadline), overdue)
    assert found.as_dict()["overdue"] is overdue


def test_it_is_read_in_the_jobs_own_time_zone() -> None:
    schedule = parse_schedule("0 2 * * *", timezone="Europe/Berlin")
    found = due_of(schedule, now=at("22T01:30:00"), success=at("21T01:00:00"))
    assert found is not None
    assert found.due == at("22T01:00:00")


def test_a_run_that_goes_on_is_not_late_before_the_run_after_it_is() -> None:
    yesterday = "20T02:00:00"
    assert due("0 2 * * *", now="21T06:00:00", success=yesterday).overdue
    assert not due("0 2 * * *", now="21T06:00:00", success=yesterday, running=at("21T02:00:00")).overdue
    # one that hangs is found out by the next run that it keeps away
    assert due("0 2 * * *", now="22T06:00:00", success=yesterday, running=at("21T02:00:00")).overdue


def test_runs_that_take_long_may_take_so_long_again() -> None:
    assert due("0 2 * * *", now="22T05:00:00", success="21T02:00:00").overdue
    assert not due("0 2 * * *", now="22T05:00:00", success="21T02:00:00", longest_run=3 * 3600.0).overdue


def test_a_job_without_any_success_counts_from_when_it_was_described() -> None:
    assert not due("0 2 * * *", now="21T12:00:00", success=None, known_since=at("21T10:00:00")).overdue
    assert due("0 2 * * *", now="22T12:00:00", success=None, known_since=at("21T10:00:00")).overdue
    # once there is a success, a description that was written again puts off nothing
    assert due("0 2 * * *", now="21T12:00:00", success="19T02:00:00", known_since=at("21T10:00:00")).overdue


def test_what_no_clock_starts_and_what_never_was_is_not_due() -> None:
    assert due_of(None, now=at("21T12:00:00"), success=at("01T12:00:00")) is None
    assert due_of(parse_schedule("0 2 * * *"), now=at("21T12:00:00"), success=None) is None
