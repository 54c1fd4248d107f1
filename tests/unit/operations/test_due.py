# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is due, from the schedule and the records of runs on this host."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.model import Job
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LockHeld
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.due import is_due, run_when_due
from tests.support.clocks import FakeClock

NOW = parse_time("2026-11-21T10:00:00Z")
RECORDS = "shop.cache.rdb"


@pytest.fixture
def jobs(tmp_path: pathlib.Path) -> dict[str, Job]:
    """Three of one kind: daily at 02:00, Sunday at 03:00, on request."""
    common = {"kind": "rdb", "repositories": ["local"], "keep": {"count": 7}}
    backups = [
        {**common, "schedule": "0 2 * * *"},
        {**common, "schedule": "0 3 * * 0"},
        {**common, "name": "by-hand"},
    ]
    source = {"name": "cache", "engine": "redis", "connection": {"port": 1}, "backups": backups}
    description = load_description(
        {
            "lifeboat_settings": {"state_directory": str(tmp_path)},
            "lifeboat_repositories": {"local": {"type": "file", "path": "/nowhere"}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        }
    )
    return {job.id: job for job in description.jobs()}


def note(tmp_path: pathlib.Path, started: str, *, state: str = "complete", job: str = "shop/cache/rdb") -> None:
    record = {"job": "shop/cache/rdb", "described_as": job, "state": state, "started": started}
    StateDirectory(path=str(tmp_path)).append_record(RECORDS, record)


@pytest.mark.parametrize(
    ("runs", "due"),
    [
        ((), True),
        ((("2026-11-21T02:00:18Z", "complete"),), False),
        ((("2026-11-21T02:00:00Z", "complete"),), False),
        ((("2026-11-20T02:00:18Z", "complete"),), True),  # it was down at 02:00
        ((("2026-11-21T01:59:59Z", "complete"),), True),  # by hand, before the time came
        ((("2026-11-21T02:00:18Z", "partial"),), False),  # what it lacks is copied, not made again
        ((("2026-11-20T02:00:18Z", "complete"), ("2026-11-21T02:00:18Z", "failed")), True),
        ((("2026-11-21T02:00:18Z", "complete"), ("2026-11-21T09:00:00Z", "failed")), False),
    ],
)
def test_due_is_what_has_not_gone_well_since_its_time(
    tmp_path: pathlib.Path, jobs: t.Mapping[str, Job], runs: t.Sequence[t.Sequence[str]], due: bool
) -> None:
    for started, state in runs:
        note(tmp_path, started, state=state)
    assert is_due(jobs["shop/cache/rdb"], now=NOW) is due


def test_two_jobs_of_one_kind_have_runs_of_their_own(tmp_path: pathlib.Path, jobs: t.Mapping[str, Job]) -> None:
    note(tmp_path, "2026-11-21T02:00:18Z")
    assert is_due(jobs["shop/cache/rdb.2"], now=NOW)
    note(tmp_path, "2026-11-15T03:00:18Z", job="shop/cache/rdb.2")
    assert not is_due(jobs["shop/cache/rdb.2"], now=NOW)


def test_a_record_that_names_no_job_is_the_first_one_s(tmp_path: pathlib.Path, jobs: t.Mapping[str, Job]) -> None:
    """Runs of a module, and of earlier versions."""
    record = {"job": "shop/cache/rdb", "state": "complete", "started": "2026-11-21T02:00:18Z"}
    StateDirectory(path=str(tmp_path)).append_record(RECORDS, record)
    assert not is_due(jobs["shop/cache/rdb"], now=NOW)
    assert is_due(jobs["shop/cache/rdb.2"], now=NOW)


def test_what_has_no_schedule_is_never_due(jobs: t.Mapping[str, Job]) -> None:
    assert not is_due(jobs["shop/cache/by-hand"], now=NOW)


def test_what_another_run_makes_meanwhile_is_not_made_again(tmp_path: pathlib.Path, jobs: t.Mapping[str, Job]) -> None:
    calls = []

    def run() -> str:
        calls.append(clock.now())
        if len(calls) == 2:
            note(tmp_path, "2026-11-21T02:00:18Z")
        raise LockHeld("held by the run of 02:00", details={})

    clock = FakeClock(NOW)
    assert run_when_due(jobs["shop/cache/rdb"], run, clock=clock, wait=60) is None
    assert len(calls) == 2


def test_the_wait_for_another_run_ends(jobs: t.Mapping[str, Job]) -> None:
    def run() -> str:
        raise LockHeld("held", details={})

    clock = FakeClock(NOW)
    with pytest.raises(LockHeld):
        run_when_due(jobs["shop/cache/rdb"], run, clock=clock, wait=12)
    assert sum(clock.slept) == 12
