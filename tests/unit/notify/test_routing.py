# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told what: the endpoints of the reference services, templates, severities, events, jobs, dead-man pings."""

from __future__ import annotations

import email
import email.policy
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.texts import spoken_notice
from tests.support.telling import ERROR, JOB, Site
from tests.support.told_servers import MailServer, WebServer

ENDPOINTS = {
    "backup_status": "/api/backup/status",
    "backup_validation": "/api/backup/validation",
    "alert_critical": "/api/alerts/critical",
    "alert_high": "/api/alerts/high",
    "alert_medium": "/api/alerts/medium",
    "alert_info": "/api/alerts/info",
    "degraded_mode": "/api/emergency/degradation-mode",
}
FACTS = {
    "backup": "20261121T020000Z-4f2c91",
    "stored_bytes": 1000,
    "seconds": 3.5,
    "repositories": {"local": "complete"},
}


def endpoints(site: Site, web: WebServer, **more: t.Any) -> None:
    site.notifications = {"webhooks": {"base_url": f"{web.url}/", "endpoints": ENDPOINTS, **more}}


def channel(site: Site, *channels: dict[str, t.Any]) -> None:
    site.notifications = {"channels": list(channels)}


def test_the_endpoints_of_a_reference_service_get_results_and_alerts(site: Site, web: WebServer) -> None:
    token = site.folder / "token"
    token.write_text("t0ken-of-the-test\n", encoding="utf-8")
    endpoints(site, web, token_file=str(token))
    site.tells("well", facts=FACTS, state_word="complete")
    (good,) = web.take()
    assert (good.method, good.path) == ("POST", "/api/backup/status")
    assert good.headers["Authorization"] == "Bearer t0ken-of-the-test"
    assert good.headers["Content-Type"] == "application/json"
    document = good.document
    assert (document["job"], document["state"], document["severity"]) == (JOB, "complete", "info")
    assert (document["backup"], document["facts"]) == (FACTS["backup"], FACTS)
    assert good.headers["Idempotency-Key"] == document["id"]
    site.tells("failed", state_word="failed")
    result, alert = web.take()
    assert (result.path, result.document["state"]) == ("/api/backup/status", "failed")
    assert alert.path == "/api/alerts/critical"
    assert (alert.document["code"], alert.document["hint"]) == (ERROR["code"], ERROR["hint"])
    site.tells("failed", topic="verification", state_word="failed")
    assert web.paths() == ["/api/backup/validation", "/api/alerts/critical"]


def test_severities_choose_the_endpoint(site: Site, web: WebServer) -> None:
    endpoints(site, web)
    for number, severity in enumerate(("critical", "high", "medium", "warning", "info")):
        site.happens("alert", topic=f"alert {number}", severity=severity, is_run=False)
    site.send()
    assert web.paths() == [f"/api/alerts/{word}" for word in ("critical", "high", "medium", "medium", "info")]


def test_alerts_say_how_bad_it_is_and_by_whom_it_is_told(site: Site, web: WebServer, mail: MailServer) -> None:
    endpoints(site, web)
    site.notifications["mail"] = {"to": ["a@example.org"], "server": "127.0.0.1", "port": mail.port}
    site.alerts = [
        {"name": "other", "backup_failed": True, "severity": "info", "jobs": ["main/other"]},
        {"name": "proof", "verification_failed": True, "severity": "medium", "notify": ["mail"]},
        {"name": "failed", "backup_failed": True, "severity": "high", "jobs": ["main"], "notify": ["webhooks"]},
    ]
    site.tells("failed")
    assert web.paths() == ["/api/backup/status", "/api/alerts/high"]
    assert mail.rules.messages == []
    web.take()
    site.tells("failed", topic="verification")
    assert web.paths() == ["/api/backup/validation"]
    ((_to, message),) = mail.rules.messages
    assert b"Subject: [lifeboat] medium: family/main/full: verification failed" in message


def test_a_channel_chooses_events_severities_and_jobs(site: Site, web: WebServer) -> None:
    def hook(name: str, **routing: t.Any) -> dict[str, t.Any]:
        return {"name": name, "webhook": {"url": f"{web.url}/{name}"}, **routing}

    channel(
        site,
        hook("all"),
        hook("bad", severities=["critical", "high"]),
        hook("good", events=["success", "recovery"]),
        hook("cache", jobs=["main/other"]),
        hook("main", jobs=["family/main"]),
    )
    site.tells("partial")
    assert sorted(web.paths()) == ["/all", "/main"]
    web.take()
    site.tells("failed")
    assert sorted(web.paths()) == ["/all", "/bad", "/main"]
    web.take()
    site.tells("well")
    # its severity is that of what is over
    assert sorted(web.paths()) == ["/all", "/bad", "/good", "/good", "/main"]
    web.take()
    site.tells("well")
    assert web.paths() == ["/good"]
    assert web.calls[0].document["event"] == "success"


def test_a_body_is_what_the_description_says(site: Site, web: WebServer) -> None:
    body = {
        "text": "{title} ({severity})",
        "blocks": [{"type": "section", "n": "{count}", "known": True, "who": "{host}: {code}"}],
        "empty": "{backup}",
        "braces": "{ not a word }",
    }
    headers = {"X-Job": "{job}"}
    channel(
        site,
        {"name": "chat", "webhook": {"url": f"{web.url}/hook?x=1", "method": "PUT", "body": body, "headers": headers}},
    )
    site.tells()
    (call,) = web.take()
    assert (call.method, call.path, call.headers["X-Job"]) == ("PUT", "/hook?x=1", JOB)
    assert call.document == {
        "text": "family/main/full: backup failed (critical)",
        "blocks": [{"type": "section", "n": 1, "known": True, "who": "db1: mongodb.unreachable"}],
        "empty": None,
        "braces": "{ not a word }",
    }


def test_endpoints_may_have_bodies_of_their_own(site: Site, web: WebServer) -> None:
    endpoints(site, web, bodies={"backup_status": {"status": "{state}", "all": "{facts}"}})
    site.tells("well", facts=FACTS, state_word="complete")
    (call,) = web.take()
    assert call.document == {"status": "complete", "all": FACTS}


def test_a_dead_man_switch_hears_of_success_and_of_failure_where_it_wants(site: Site, web: WebServer) -> None:
    channel(
        site,
        {"name": "check", "ping": {"url": f"{web.url}/ping/uuid"}},
        {"name": "slugs", "ping": {"url": f"{web.url}/key/?create=1", "path": "/{slug}", "fail": "/fail"}},
        {"name": "proofs", "ping": {"url": f"{web.url}/proofs", "of": ["verification"]}},
        {"name": "cache", "ping": {"url": f"{web.url}/cache"}, "jobs": ["main/other"]},
    )
    site.tells("well")
    assert [(call.method, call.path) for call in web.take()] == [
        ("GET", "/ping/uuid"),
        ("GET", "/key/family-main-full?create=1"),
    ]
    site.tells("partial")
    assert len(web.take()) == 2
    site.tells("failed")
    assert web.paths() == ["/key/family-main-full/fail?create=1"]
    web.take()
    site.tells("well", topic="verification")
    assert web.paths() == ["/proofs"]


def test_streams_ping_each_time_and_fill_no_endpoint(site: Site, web: WebServer) -> None:
    endpoints(site, web)
    site.notifications["channels"] = [{"name": "check", "ping": {"url": f"{web.url}/ping"}}]
    for _minute in range(3):
        site.tells("well", is_told_each=False, hours=0.02)
    assert web.paths() == ["/ping"] * 3


def test_what_is_told_by_hand_goes_to_its_endpoint_alone(site: Site, web: WebServer) -> None:
    endpoints(site, web)
    site.notifications["channels"] = [{"name": "chat", "webhook": {"url": f"{web.url}/chat"}}]
    notice = spoken_notice(
        "degraded_mode",
        service="family",
        title="on",
        text="Less.",
        facts={"active": True},
        now=site.clock.now(),
        host="db1",
    )
    assert site.recorder.tell(notice) == 1
    site.send()
    (call,) = web.take()
    assert (call.path, call.document["facts"]) == ("/api/emergency/degradation-mode", {"active": True})


def test_a_mail_is_one_that_people_and_programs_can_read(site: Site, mail: MailServer) -> None:
    site.notifications = {
        "mail": {
            "to": ["a@example.org", "b@example.org"],
            "from": "lifeboat@example.org",
            "server": "127.0.0.1",
            "port": mail.port,
        }
    }
    site.tells(error={"code": "x.y", "message": "Zwölf\nLines: 100 %.", "hint": "Next."})
    ((recipients, raw),) = mail.rules.messages
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert recipients == ["a@example.org", "b@example.org"]
    assert message["From"] == "lifeboat@example.org"
    assert message["Subject"] == "[lifeboat] critical: family/main/full: backup failed"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@db1>")
    body = message.get_body()
    assert body is not None
    assert "Zwölf\nLines: 100 %.\nNext: Next." in body.get_content().replace("\r\n", "\n")
    site.tells("well", hours=1)
    assert b"family/main/full: backup well again after 1 hour" in mail.rules.messages[1][1]
