# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of jobs: what there is, what ran last, what runs now, and what could not be read."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import SourceLock, StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status import (
    JobStatus,
    JobToLookAt,
    read_status,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.clocks import START, FakeClock
from tests.support.manifests import BACKUP_ID, manifest, store, unreachable
from tests.support.memory import MemoryStorage

JOB = JobToLookAt(
    job_id="family/main/full",
    service="family",
    source="main",
    kind="full",
    repositories=("local", "offsite"),
    next_run=START + datetime.timedelta(hours=24),
    schedule="0 2 * * *",
    keep="30 days",
)


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path / "state"))


@pytest.fixture
def storages() -> dict[str, Storage]:
    return {"local": MemoryStorage(), "offsite": MemoryStorage()}


def status(storages: dict[str, Storage], state: StateDirectory) -> JobStatus:
    (job,) = read_status([JOB], storages=storages, state=state).jobs
    return job


def record(state: StateDirectory, outcome: str, *, started: str) -> None:
    error = {"code": "mongodb.unreachable", "message": "no", "hint": ""} if outcome == "failed" else None
    state.append_record("family.main.full", {"state": outcome, "started": started, "error": error})


def test_a_job_that_never_ran_says_so(storages: dict[str, Storage], state: StateDirectory) -> None:
    found = status(storages, state)
    assert (found.state, found.newest, found.backups, found.last_run) == ("never", None, 0, None)


def test_a_job_with_a_backup_everywhere_is_ok_and_its_document_is_json(
    storages: dict[str, Storage], state: StateDirectory
) -> None:
    for storage in storages.values():
        store(storage, manifest(backup_id="20261120T020000Z-000000"))
        store(storage, manifest())
    record(state, "complete", started="2026-11-21T02:00:00Z")
    document = status(storages, state).as_dict()
    assert json.loads(json.dumps(document)) == document
    assert (document["job"], document["state"], document["backups"]) == ("family/main/full", "ok", 2)
    assert document["newest"]["id"] == BACKUP_ID
    assert (document["next_run"], document["schedule"]) == ("2026-11-22T02:00:00Z", "0 2 * * *")
    assert document["last_run"]["state"] == "complete"


def test_a_newest_backup_that_a_repository_lacks_is_partial(
    storages: dict[str, Storage], state: StateDirectory
) -> None:
    store(storages["local"], manifest())
    assert status(storages, state).state == "partial"


@pytest.mark.parametrize(
    ("last", "expected"), [("2026-11-21T03:00:00Z", "failed"), ("2026-11-21T01:00:00Z", "ok"), (None, "ok")]
)
def test_a_last_run_that_failed_counts_until_a_backup_was_made_after_it(
    storages: dict[str, Storage], state: StateDirectory, last: str | None, expected: str
) -> None:
    for storage in storages.values():
        store(storage, manifest())  # started at 02:00
    if last is not None:
        record(state, "failed", started=last)
    assert status(storages, state).state == expected


def test_a_job_whose_only_run_failed_has_failed(storages: dict[str, Storage], state: StateDirectory) -> None:
    record(state, "failed", started="2026-11-21T01:00:00Z")
    assert status(storages, state).state == "failed"


def test_a_run_that_goes_on_comes_first(storages: dict[str, Storage], state: StateDirectory) -> None:
    record(state, "failed", started="2026-11-21T01:00:00Z")
    lock = SourceLock(state=state, name="family.main", clock=FakeClock())
    lock.acquire(holder={"job": "family/main/full"}, timeout=0)
    lock.show({"stage": "dumping"})
    found = status(storages, state)
    assert found.state == "running"
    assert found.running is not None
    assert found.running["progress"] == {"stage": "dumping"}
    lock.release()
    assert status(storages, state).state == "failed"


def test_another_job_of_the_same_source_does_not_count(storages: dict[str, Storage], state: StateDirectory) -> None:
    store(storages["local"], manifest(kind="oplog"))
    state.append_record("family.main.oplog", {"state": "failed", "started": "2026-11-21T01:00:00Z"})
    lock = SourceLock(state=state, name="family.main", clock=FakeClock())
    lock.acquire(holder={"job": "family/main/oplog"}, timeout=0)
    assert status(storages, state).state == "never"
    lock.release()


def test_a_repository_that_can_not_be_read_is_a_problem_once_and_the_rest_is_shown(
    storages: dict[str, Storage], state: StateDirectory
) -> None:
    store(storages["local"], manifest())
    down = FaultyStorage(storage=MemoryStorage(), fault=unreachable, point=FaultPoint(at_call=1, times=None))
    other = JobToLookAt("family/main/oplog", "family", "main", "oplog", ("local", "offsite"))
    found = read_status([JOB, other], storages={**storages, "offsite": down}, state=state)
    assert [problem.code for problem in found.problems] == ["storage.unreachable"]
    assert [job.state for job in found.jobs] == ["ok", "never"]
    document: dict[str, t.Any] = found.as_dict()
    assert json.loads(json.dumps(document)) == document


def test_only_the_repositories_of_the_job_are_asked(storages: dict[str, Storage], state: StateDirectory) -> None:
    third = FaultyStorage(storage=MemoryStorage())
    read_status([JOB], storages={**storages, "third": third}, state=state)
    assert third.calls == []


@pytest.mark.parametrize("is_down", [False, True])
def test_what_was_read_of_the_whole_source_says_the_same(state: StateDirectory, is_down: bool) -> None:
    storages: dict[str, Storage] = {name: MemoryStorage() for name in ("local", "offsite", "third", "fourth", "fifth")}
    for name in ("local", "third"):
        store(storages[name], manifest(repositories=("local", "offsite", "third", "fourth", "fifth")))
    store(storages["local"], manifest(kind="oplog", backup_id="20261121T030000Z-4f2c91"))
    store(storages["third"], manifest(backup_id="20261121T040000Z-4f2c91", repositories=("third",)))
    for name in ("offsite", "fourth") if is_down else ("fourth",):
        point = FaultPoint(at_call=1, times=None)
        storages[name] = FaultyStorage(storage=MemoryStorage(), fault=unreachable, point=point)
    asked = read_status([JOB], storages=storages, state=state)
    reading = read_catalog(storages, selection=Selection(service="family", source="main"))
    again = read_status([JOB], storages={}, state=state, readings={"family/main": reading})
    assert [job.as_dict() for job in again.jobs] == [job.as_dict() for job in asked.jobs]
    assert [problem.as_dict() for problem in again.problems] == [problem.as_dict() for problem in asked.problems]
    assert (again.jobs[0].backups, len(again.problems)) == (1, int(is_down))
