# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look tells that no run tells: overdue jobs, missed objectives, alerts, and what became well by other hands."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.conditions import look
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.recorder import Recorder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.values import Occurrence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_report import read_report
from tests.support.clocks import FakeClock
from tests.support.telling import ERROR, JOB
from tests.support.watched import Watched, mongodb_source

ALERTS = [
    {"name": "silent", "no_success_within": "30h", "severity": "critical", "after": "1h"},
    {"name": "old", "newest_older_than": "25h", "severity": "high", "jobs": ["main/full"]},
    {"name": "size", "size_changed_by_percent": 50, "severity": "warning", "description": "Look at what changed."},
    {"name": "lag", "replication_lag_over": "5s", "severity": "high"},
    {"name": "failed", "backup_failed": True, "severity": "high"},
]


class Looked(Watched):
    """The same host, that tells a channel which nobody answers; what would be sent is read from the spool."""

    def __init__(self, folder: pathlib.Path, **options: t.Any) -> None:
        super().__init__(folder, **options)
        self.objectives = {}
        self.alerts: list[dict[str, t.Any]] = []
        self.known_since = self.now - datetime.timedelta(days=60)

    @property
    def mapping(self) -> dict[str, t.Any]:
        mapping = super().mapping
        hook = {"name": "chat", "webhook": {"url": "http://127.0.0.1:9/"}}
        mapping["lifeboat_services"][0].update(alerts=self.alerts, notifications={"channels": [hook]})
        if not self.objectives:
            del mapping["lifeboat_services"][0]["objectives"]
        return mapping

    def recorder(self, description: Description) -> Recorder:
        return Recorder(description, host=Host(clock=FakeClock(self.now), name="db1"))

    def looks(self) -> list[tuple[str, str, str]]:
        """Look, and what is told by it: event, title without the job, severity."""
        description = load_description(self.mapping)
        recorder = self.recorder(description)
        host = Host(clock=FakeClock(self.now), name="db1")
        report = read_report(description, host=host, known_since=self.known_since)
        before = {one.notice.notice_id for one in recorder.spool.waiting()}
        seen = look(report.document, description.services, recorder.open_incidents(), now=self.now)
        for key in seen.gone:
            recorder.spool.close_incident(key)
        recorder.record(seen.occurrences)
        notices = [one.notice for one in recorder.spool.waiting() if one.notice.notice_id not in before]
        return [(one.event, one.title.replace(f"{JOB}: ", ""), one.severity) for one in notices]

    def run(self, state: str) -> None:
        """A run of the command line that is told."""
        error = {} if state == "well" else ERROR
        self.recorder(load_description(self.mapping)).record(
            [Occurrence("backup", "family", JOB, state, self.now, error=error, is_told_each=True)]
        )


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Looked:
    return Looked(tmp_path / "site")


def later(site: Looked, hours: float) -> None:
    site.now += datetime.timedelta(hours=hours)


def test_a_job_that_is_overdue_is_told_by_its_schedule_and_its_success_ends_it(site: Looked) -> None:
    site.backup(25.0)
    assert site.looks() == [("overdue", "backup overdue", "critical")]
    later(site, 0.1)
    assert site.looks() == []
    later(site, 1)
    assert site.looks() == [("repeat", "backup still overdue, since 1 hour 6 minutes", "critical")]
    site.backup(0.05)
    assert site.looks() == [("recovery", "backup well again after 1 hour 6 minutes", "critical")]
    assert site.looks() == []


def test_a_job_of_a_moment_ago_is_not_overdue(site: Looked) -> None:
    site.known_since = site.now
    assert site.looks() == []


def test_what_a_run_told_is_not_told_again_by_a_look(site: Looked) -> None:
    site.backup(25.0)
    site.run("failed")
    site.ran(hours_ago=0)
    assert site.looks() == []


def test_a_failure_ends_when_a_backup_was_made_by_whomever(site: Looked) -> None:
    site.backup(3.0)
    site.alerts = ALERTS[4:]
    site.run("failed")
    later(site, 0.5)
    # nothing newer proves that it is over, though no run of this host is on record
    assert site.looks() == []
    site.backup(0.1)
    assert site.looks() == [("recovery", "backup well again after 30 minutes", "high")]


def test_a_run_of_a_play_that_failed_is_told_by_a_look(site: Looked) -> None:
    site.backup(3.0)
    site.ran(hours_ago=0.1)
    assert site.looks() == [("failure", "backup failed", "critical")]


def test_a_backup_that_failed_its_verification_is_told_until_one_passes(site: Looked) -> None:
    made = site.backup(3.0)
    site.verification(made, hours_ago=1, passed=False)
    assert site.looks() == [("failure", "verification failed", "critical")]
    later(site, 2)
    site.verification(site.backup(1.0), hours_ago=0.5)
    assert site.looks() == [("recovery", "verification well again after 2 hours", "critical")]


def test_alerts_of_the_description_are_held_against_the_status(site: Looked) -> None:
    site.alerts = ALERTS
    site.backup(60.0)
    site.backup(32.0, size=3_000_000)
    told = site.looks()
    assert ("alert", "alert old needs attention", "high") in told
    assert ("alert", "alert size needs attention", "warning") in told
    assert ("overdue", "backup overdue", "critical") in told
    assert len(told) == 3  # silent waits for its hour
    later(site, 1)
    assert ("alert", "alert silent needs attention", "critical") in site.looks()
    site.backup(0.01, size=3_100_000)
    assert {(event, title.split(" well")[0]) for event, title, _severity in site.looks()} == {
        ("recovery", "alert old"),
        ("recovery", "alert size"),
        ("recovery", "alert silent"),
        ("recovery", "backup"),
    }


def test_an_alert_that_is_taken_from_the_description_ends_without_a_word(site: Looked) -> None:
    site.alerts = ALERTS[1:2]
    site.backup(26.0)
    assert len(site.looks()) == 2
    site.alerts = []
    assert site.looks() == []
    assert [one.topic for one in site.recorder(load_description(site.mapping)).open_incidents()] == ["backup"]


def test_objectives_that_are_missed_are_told(site: Looked) -> None:
    site.objectives = {"rpo": "1d"}
    site.backup(30.0)
    told = site.looks()
    assert ("alert", "family/main: recovery point needs attention", "critical") in told


def test_a_repository_that_can_not_be_read_is_told_once_and_ends_nothing_else(site: Looked) -> None:
    site.alerts = ALERTS[2:3]
    site.backup(50.0)
    site.backup(25.0, size=3_000_000)
    assert {title for _event, title, _severity in site.looks()} == {"backup overdue", "alert size needs attention"}
    for name in ("local", "offsite"):
        (site.folder / name).rename(site.folder / f"{name}.gone")
    later(site, 0.1)
    told = site.looks()
    assert {title for _event, title, _severity in told} == {
        "family: repository local needs attention",
        "family: repository offsite needs attention",
    }
    for name in ("local", "offsite"):
        (site.folder / f"{name}.gone").rename(site.folder / name)
    ended = site.looks()
    assert {event for event, _title, _severity in ended} == {"recovery"}
    assert all(title.startswith("family: repository ") for _event, title, _severity in ended)


def test_what_is_told_of_a_stream_is_told_under_each_name_of_it(tmp_path: pathlib.Path) -> None:
    source = mongodb_source()
    kept = {"repositories": ["local"], "keep": {"within": "7d"}}
    source["backups"] += [{"kind": kind, "schedule": "0 */4 * * *", **kept} for kind in ("differential", "incremental")]
    site = Looked(tmp_path / "site", sources=[source])
    site.backup(1)
    failed = [
        Occurrence("backup", "family", f"family/main/{kind}", "failed", site.now, error=ERROR, is_told_each=False)
        for kind in ("differential", "incremental")
    ]
    recorder = site.recorder(load_description(site.mapping))
    recorder.record(failed)
    site.looks()
    # Neither is forgotten: its next failure would be news again, and its end would be told to nobody.
    assert {one.job for one in recorder.open_incidents()} >= {one.job for one in failed}
