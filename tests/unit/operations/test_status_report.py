# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole status on real repositories: what is due, proved, lost and slow, and what needs attention."""

from __future__ import annotations

import datetime
import json
import pathlib
import shutil
import typing as t

import jsonschema
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import SourceLock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_schema import STATUS_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import FakeClock
from tests.support.watched import Watched, mongodb_source

JOB = "family/main/full"


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Watched:
    return Watched(tmp_path)


def checked(site: Watched, *select: str) -> dict[str, t.Any]:
    document = site.report(*select).document
    jsonschema.Draft202012Validator(STATUS_SCHEMA).validate(json.loads(json.dumps(document)))
    return document


def test_all_is_well_when_the_run_that_was_due_succeeded_and_was_proved(site: Watched) -> None:
    site.backup(27, size=1_000_000)
    newest = site.backup(3, size=1_200_000, seconds=90)
    site.verification(newest, hours_ago=1)
    report = site.report()
    assert (report.exit_status, report.document["well"], report.document["attention"]) == (0, True, [])
    (job,) = checked(site)["jobs"]
    assert (job["state"], job["overdue"], job["backups"]) == ("ok", False, 2)
    assert job["change"]["bytes"] == 200_000
    assert job["change"]["percent"] == 20.0
    assert job["age_seconds"] == 3 * 3600
    assert (job["verified"]["level"], job["verified"]["level_name"]) == (4, "questioned")
    assert job["verified"]["is_newest"]
    assert job["due"]["due"] == "2026-11-22T02:00:00Z"
    assert [one["stored_bytes"] for one in job["history"]] == [1_000_000, 1_200_000]
    (source,) = checked(site)["sources"]
    assert (source["rpo"]["seconds"], source["rpo"]["verdict"], source["rpo"]["by"]) == (3 * 3600, "met", JOB)
    assert (source["rto"]["seconds"], source["rto"]["verdict"], source["rto"]["measured"]) == (300.0, "met", 1)
    assert [one["state"] for one in source["verifications"]] == ["passed"]


def test_a_run_that_was_due_and_has_no_success_is_overdue_though_nothing_failed(site: Watched) -> None:
    site.backup(27)
    report = site.report()
    assert report.exit_status == 1
    assert ("overdue", JOB) in site.attention()
    (job,) = checked(site)["jobs"]
    assert (job["state"], job["overdue"], job["due"]["due"]) == ("overdue", True, "2026-11-21T02:00:00Z")


def test_a_run_that_goes_on_is_not_overdue(site: Watched) -> None:
    site.backup(27)
    clock = FakeClock(site.now - datetime.timedelta(hours=2, minutes=59))
    lock = SourceLock(state=site.state, name="family.main", clock=clock)
    lock.acquire(holder={"job": JOB}, timeout=0)
    assert ("overdue", JOB) not in site.attention()
    lock.release()
    assert ("overdue", JOB) in site.attention()


def test_a_job_without_a_backup_has_lost_everything(site: Watched) -> None:
    assert site.attention() == [("never", JOB), ("rpo_missed", "family/main")]
    (source,) = checked(site)["sources"]
    assert (source["rpo"]["seconds"], source["rpo"]["verdict"]) == (None, "missed")
    assert site.report().exit_status == 1
    site.known_since = site.now - datetime.timedelta(minutes=5)
    assert ("overdue", JOB) not in site.attention()
    site.known_since = site.now - datetime.timedelta(days=2)
    assert ("overdue", JOB) in site.attention()


def test_a_failed_run_is_told_with_its_reason_and_the_next_command(site: Watched) -> None:
    site.backup(3)
    site.ran(hours_ago=1)
    (entry,) = site.report().document["attention"]
    assert (entry["name"], entry["severity"], entry["hint"]) == ("failed", "critical", "Look.")
    assert "No answer. [mongodb.unreachable]" in entry["message"]


def test_a_newest_backup_that_failed_its_verification_is_not_counted_as_recoverable(site: Watched) -> None:
    good = site.backup(27)
    site.verification(good, hours_ago=25)
    bad = site.backup(3)
    site.verification(bad, hours_ago=1, passed=False)
    assert ("verification_failed", JOB) in site.attention()
    (source,) = checked(site)["sources"]
    assert source["rpo"]["seconds"] == 27 * 3600
    assert [one["state"] for one in source["verifications"]] == ["failed", "passed"]
    assert source["verifications"][0]["reason"] == "17 rows are <missing>."
    (job,) = checked(site)["jobs"]
    assert (job["verified"]["backup"], job["verified"]["is_newest"]) == (good.backup_id, False)


@pytest.mark.parametrize(("hours", "verdict", "status"), [(3, "met", 0), (24.5, "late", 1), (26, "missed", 1)])
def test_the_objective_of_loss_against_the_fact(
    tmp_path: pathlib.Path, hours: float, verdict: str, status: int
) -> None:
    site = Watched(tmp_path, sources=[mongodb_source()])
    site.backup(hours)
    (source,) = checked(site)["sources"]
    assert source["rpo"]["verdict"] == verdict
    assert (("rpo_missed", "family/main") in site.attention()) is (verdict == "missed")
    assert site.report().exit_status == status  # the job is overdue in both of the others


def test_what_only_deployments_change_does_not_grow_old(tmp_path: pathlib.Path) -> None:
    kept = {"kind": "full", "repositories": ["local"], "keep": {"forever": True}, "triggers": ["deployment"]}
    site = Watched(tmp_path, sources=[{**mongodb_source(), "backups": [kept]}])
    assert ("rpo_missed", "family/main") in site.attention()  # there is none yet
    site.backup(1000, repositories=("local",))
    assert site.attention() == []
    (source,) = checked(site)["sources"]
    assert (source["rpo"]["seconds"], source["rpo"]["verdict"]) == (1000 * 3600, None)
    site.sources[0]["backups"] = [{**kept, "schedule": "0 2 * * *"}]
    assert ("rpo_missed", "family/main") in site.attention()


def test_a_recovery_that_takes_too_long_by_what_was_measured(site: Watched) -> None:
    newest = site.backup(3)
    site.verification(newest, hours_ago=1, recovery=2 * 3600.0)
    assert site.attention() == [("rto_missed", "family/main")]
    assert site.report().exit_status == 1
    site.objectives = {"rpo": "1d", "rto": "2h"}
    assert site.attention() == []


def test_without_a_measurement_the_time_to_recover_is_unknown_and_no_alarm(site: Watched) -> None:
    site.backup(3)
    (source,) = checked(site)["sources"]
    assert (source["rto"]["seconds"], source["rto"]["verdict"]) == (None, "unknown")
    assert site.attention() == []


def test_an_objective_of_the_job_is_held_against_the_job(tmp_path: pathlib.Path) -> None:
    source = mongodb_source()
    source["backups"][0]["objectives"] = {"rpo": "2h"}
    site = Watched(tmp_path, sources=[source])
    site.backup(5)
    assert ("rpo_missed", JOB) in site.attention()
    assert ("rpo_missed", "family/main") not in site.attention()


def test_only_the_last_five_verifications_are_told_and_the_newest_comes_first(site: Watched) -> None:
    newest = site.backup(3)
    for hours in range(1, 8):
        site.verification(newest, hours_ago=hours / 4)
    (source,) = checked(site)["sources"]
    assert len(source["verifications"]) == 5
    times = [one["finished"] for one in source["verifications"]]
    assert times == sorted(times, reverse=True)


def test_two_jobs_of_one_kind_are_told_apart_by_who_made_a_backup(tmp_path: pathlib.Path) -> None:
    source = mongodb_source()
    source["backups"].append({**source["backups"][0], "schedule": "0 12 * * 0", "name": "weekly"})
    site = Watched(tmp_path, sources=[source])
    site.backup(27, labels={"job": JOB})
    site.backup(2, labels={"job": "family/main/weekly"})
    states = {job["job"]: (job["backups"], job["overdue"]) for job in checked(site)["jobs"]}
    assert states == {JOB: (1, True), "family/main/weekly": (1, False)}
    # asked for alone it is the same
    (alone,) = checked(site, JOB)["jobs"]
    assert (alone["backups"], alone["overdue"]) == (1, True)


def test_a_backup_of_before_jobs_were_noted_counts_for_all(site: Watched) -> None:
    site.backup(3, labels={})
    assert site.attention() == []


def test_a_repository_that_is_away_is_named_and_the_rest_is_told(site: Watched) -> None:
    site.backup(3)
    shutil.rmtree(site.folder / "offsite")
    document = checked(site)
    assert {one["name"]: one["reachable"] for one in document["repositories"]} == {"local": True, "offsite": False}
    assert ("unreadable", "offsite") in site.attention()
    assert document["jobs"][0]["newest"]["repositories"] == {"local": "complete"}
    assert site.report().exit_status == 1


def test_a_copy_that_a_repository_lacks_is_a_warning(site: Watched) -> None:
    site.backup(3, repositories=("local",))
    assert site.attention() == [("partial", JOB)]
    assert site.report().exit_status == 3


def test_a_stream_has_the_name_and_the_schedule_of_the_job_that_ships_it(tmp_path: pathlib.Path) -> None:
    source = mongodb_source()
    kept = {"repositories": ["local"], "keep": {"within": "7d"}}
    source["backups"] += [
        {"kind": "differential", "schedule": "0 */4 * * *", **kept},
        {"kind": "incremental", "schedule": "0 * * * *", **kept},
    ]
    document = checked(Watched(tmp_path, sources=[source]))
    assert document["left_out"] == []
    (stream,) = document["streams"]
    assert (stream["job"], stream["kind"], stream["schedule"]) == (
        "family/main/incremental",
        "oplog",
        "every hour",
    )
    assert stream["jobs"] == ["family/main/incremental", "family/main/differential"]


def test_the_page_names_everything_that_may_need_attention() -> None:
    page = (pathlib.Path(__file__).parents[3] / "docs/status.md").read_text(encoding="utf-8")
    names = STATUS_SCHEMA["properties"]["attention"]["items"]["properties"]["name"]["enum"]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_object_is_read_once(site: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for hours in (3, 27, 51):
        site.verification(site.backup(hours), hours_ago=hours - 1)
    reads: list[str] = []
    get = LocalStorage.get

    def noted(storage: LocalStorage, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        reads.append(f"{storage.properties.url}/{key}")
        return get(storage, key, limit=limit)

    monkeypatch.setattr(LocalStorage, "get", noted)
    site.report()
    assert sorted(reads) == sorted(set(reads))
    assert len(reads) == 3 * 2 + 3  # manifests in two repositories, verifications in one
