# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a repeated failure is told: at once, at growing distance, and its end once."""

from __future__ import annotations

import datetime
import typing as t

from tests.support.telling import Site
from tests.support.told_servers import WebServer


def listen(site: Site, web: WebServer, **routing: t.Any) -> None:
    site.notifications = {"channels": [{"name": "chat", "webhook": {"url": f"{web.url}/chat"}, **routing}]}


def events(web: WebServer) -> list[str]:
    return [call.document["event"] for call in web.take()]


def test_the_first_failure_is_told_repeats_are_counted_and_the_end_is_told_once(site: Site, web: WebServer) -> None:
    listen(site, web)
    site.tells()
    (first,) = web.take()
    assert first.document["title"] == "family/main/full: backup failed"
    assert first.document["severity"] == "critical"
    assert "No answer from db1." in first.document["text"]
    assert "Next: Start it." in first.document["text"]
    assert "told again after 1 hour at the earliest" in first.document["text"]
    for _minute in range(5):
        site.tells(hours=0.1)
    assert web.take() == []
    site.tells(hours=0.6)
    (again,) = web.take()
    assert again.document["event"] == "repeat"
    assert again.document["count"] == 7
    assert (
        "This is number 7 since 2026-11-21T02:00:00Z; 5 since the last word were counted only."
        in (again.document["text"])
    )
    assert "told again after 4 hours at the earliest" in again.document["text"]
    site.tells("well", hours=0.5)
    (over,) = web.take()
    assert (over.document["event"], over.document["state"]) == ("recovery", "well")
    assert "It was failed 7 times since 2026-11-21T02:00:00Z." in over.document["text"]
    site.tells("well", hours=0.5)
    assert web.take() == []
    site.tells(hours=0.5)
    assert events(web) == ["failure"]


def test_the_distance_grows_to_a_day_and_no_further(site: Site, web: WebServer) -> None:
    listen(site, web)
    told = []
    for hour in range(24 * 5):
        site.tells(hours=1 if hour else 0)
        told += [hour for _event in events(web)]
    assert told == [0, 1, 5, 17, 40, 63, 86, 109]


def test_a_nightly_job_that_fails_is_told_each_night(site: Site, web: WebServer) -> None:
    listen(site, web)
    for night in range(8):
        site.tells(hours=24 if night else 0)
        assert events(web) == ["repeat" if night else "failure"]


def test_what_is_worse_is_told_at_once_and_what_is_better_is_not(site: Site, web: WebServer) -> None:
    listen(site, web)
    site.tells("partial")
    site.tells("overdue", hours=0.1, is_run=False)
    site.tells("failed", hours=0.1)
    site.tells("partial", hours=0.1)
    calls = web.take()
    assert [(call.document["event"], call.document["state"]) for call in calls] == [
        ("failure", "partial"),
        ("overdue", "overdue"),
        ("failure", "failed"),
    ]
    assert [call.document["severity"] for call in calls] == ["warning", "critical", "critical"]


def test_what_goes_on_is_counted_once_however_often_somebody_looks(site: Site, web: WebServer) -> None:
    listen(site, web)
    for _look in range(10):
        site.tells("overdue", hours=0.05, is_run=False)
    site.tells("overdue", hours=2, is_run=False)
    first, again = web.take()
    assert (first.document["event"], again.document["event"]) == ("overdue", "repeat")
    assert again.document["count"] == 1
    assert "It has been so since" in again.document["text"]


def test_an_alert_may_wait_and_what_ends_before_is_never_told(site: Site, web: WebServer) -> None:
    listen(site, web)
    site.alerts = [{"name": "failed", "backup_failed": True, "severity": "high", "after": "1h"}]
    site.tells()
    site.tells("well", hours=0.5)
    assert web.take() == []
    site.tells()
    site.tells(hours=0.9)
    assert web.take() == []
    site.tells(hours=0.2)
    (told,) = web.take()
    assert (told.document["event"], told.document["severity"], told.document["count"]) == ("failure", "high", 3)


def test_a_clock_that_was_set_back_silences_nothing(site: Site, web: WebServer) -> None:
    listen(site, web)
    site.tells()
    web.take()
    site.clock.advance(-datetime.timedelta(days=400).total_seconds())
    site.tells()
    assert events(web) == ["repeat"]
    web.status = 503
    site.clock.advance(3600 * 5)
    site.tells()
    web.take()
    site.clock.advance(-datetime.timedelta(days=400).total_seconds())
    web.status = 200
    site.send()
    assert events(web) == ["repeat"]


def test_jobs_and_topics_are_apart(site: Site, web: WebServer) -> None:
    listen(site, web)
    site.tells()
    site.tells(topic="verification")
    site.tells(job="family/main/other")
    site.tells("well", topic="verification")
    assert events(web) == ["failure", "failure", "failure", "recovery"]
    assert [one.key for one in site.recorder.open_incidents()] == [
        "family:main:full:backup",
        "family:main:other:backup",
    ]
