# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels in trouble: they are left alone for a while, shown, told later, and nothing is lost; no secret gets out."""

from __future__ import annotations

import datetime
import json
import pathlib
import ssl
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LibraryMissing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify import recorder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.delivery import BUDGET_SECONDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.spool import Spool
from sandbox.tls import TLSFiles, self_signed
from tests.support.proc_scan import files_with_secrets
from tests.support.telling import Site
from tests.support.told_servers import MailRules, MailServer, WebServer

SECRET = "s3cret-of-the-channel"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLSFiles:
    return self_signed(tmp_path_factory.mktemp("tls"))


def context(tls: TLSFiles) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(tls.certificate, tls.key)
    return made


def hook(site: Site, url: str, **options: t.Any) -> None:
    site.notifications = {"channels": [{"name": "chat", "webhook": {"url": url, **options}}]}


def code(site: Site) -> str:
    """The error of the one channel."""
    errors = site.send().errors
    assert errors is not None
    (error,) = errors.values()
    assert SECRET not in str(error)
    assert error.hint
    return error.code


def test_a_channel_that_is_down_is_told_when_it_is_well_again(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url}/{SECRET}")
    web.stop()
    site.happens()
    assert code(site) == "notify.channel_unreachable"
    standing = site.recorder.spool.standing("family:chat")
    assert standing.down_since == site.clock.now()
    site.happens("well", hours=0.001)
    web.start()
    assert site.send().delivered == 0  # it is left alone for a minute
    site.clock.advance(60)
    sent = site.send()
    assert (sent.delivered, sent.waiting) == (2, 0)
    assert [call.document["event"] for call in web.take()] == ["failure", "recovery"]
    assert site.recorder.spool.standing("family:chat").down_since is None


def test_a_channel_that_stays_down_is_tried_more_and_more_seldom(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url}/chat")
    web.status = 503
    site.happens()
    for _minute in range(180):
        site.send()
        site.clock.advance(60)
    # after 1, 2, 5, 15, 30 minutes and then each hour
    assert len(web.calls) == 8
    assert site.recorder.spool.standing("family:chat").failures == 8


def test_one_channel_that_is_down_keeps_no_other_waiting(site: Site, web: WebServer, mail: MailServer) -> None:
    hook(site, "http://127.0.0.1:9/x")
    site.notifications["mail"] = {"to": ["a@example.org"], "server": "127.0.0.1", "port": mail.port}
    assert site.tells().delivered == 1
    assert len(mail.rules.messages) == 1
    site.clock.advance(3600)
    site.send()
    assert len(mail.rules.messages) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "notify.credentials_refused"),
        (403, "notify.credentials_refused"),
        (404, "notify.refused"),
        (400, "notify.refused"),
        (302, "notify.refused"),
        (429, "notify.channel_unreachable"),
        (500, "notify.channel_unreachable"),
    ],
)
def test_answers_have_names(site: Site, web: WebServer, status: int, expected: str) -> None:
    hook(site, f"{web.url}/{SECRET}?key={SECRET}", token=SECRET)
    web.status = status
    web.location = f"{web.url}/elsewhere"
    site.happens()
    assert code(site) == expected
    assert web.paths() == [f"/{SECRET}?key={SECRET}"]
    assert site.send().waiting == 1


def test_what_one_channel_does_not_take_holds_up_nothing_else_and_is_given_up_in_the_end(
    site: Site, web: WebServer
) -> None:
    hook(site, f"{web.url}/chat")
    web.status = 400
    site.tells()
    web.status = 200
    site.tells("well", hours=0.001)
    assert [call.document["event"] for call in web.take()] == ["failure", "recovery"]
    web.status = 400
    for _hour in range(8 * 24):
        site.send()
        site.clock.advance(3600)
    assert site.send().waiting == 0
    assert site.recorder.spool.standing("family:chat").given_up == 1


def test_a_server_that_does_not_answer_costs_its_timeout_once(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url}/chat", timeout="1s")
    web.delay.clear()
    for topic in ("backup", "verification"):
        site.happens(topic=topic)
    assert code(site) == "notify.channel_unreachable"
    assert site.send().errors == {}
    web.delay.set()


def test_a_run_waits_no_longer_than_its_budget(site: Site, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hook(site, f"{web.url}/chat")
    for number in range(4):
        site.happens(topic=f"alert {number}", severity="info")
    ticks = iter(range(0, 1000, int(BUDGET_SECONDS / 2)))
    monkeypatch.setattr(type(site.clock), "monotonic", lambda _clock: float(next(ticks)))
    assert site.send().waiting > 0
    monkeypatch.undo()
    assert site.send().waiting == 0
    assert len(web.calls) == 4


def test_a_certificate_that_nobody_vouches_for_is_refused_and_a_known_one_is_not(site: Site, tls: TLSFiles) -> None:
    web = WebServer(context=context(tls))
    try:
        hook(site, f"{web.url}/chat")
        site.happens()
        assert code(site) == "notify.channel_unreachable"
        assert web.calls == []
        hook(site, f"{web.url}/chat", ca_file=str(tls.authority))
        site.clock.advance(60)
        assert site.send().delivered == 1
        hook(site, f"{web.url}/chat", ca_file=str(site.folder / "nothing.pem"))
        site.happens("well", hours=1)
        assert code(site) == "request.invalid"
    finally:
        web.stop()


@pytest.mark.parametrize("url", ["https://nobody.invalid/x", "https://127.0.0.1:9/x"])
def test_hosts_that_are_not_there_have_a_name(site: Site, url: str) -> None:
    hook(site, f"{url}/{SECRET}")
    site.happens()
    assert code(site) == "notify.channel_unreachable"


def test_tls_against_a_server_without_it_has_a_name(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url.replace('http', 'https')}/{SECRET}", timeout="3s")
    site.happens()
    assert code(site) == "notify.channel_unreachable"


def test_a_secret_is_fetched_when_it_is_needed_and_its_absence_is_told(site: Site, web: WebServer) -> None:
    path = site.folder / "address"
    site.notifications = {"channels": [{"name": "chat", "webhook": {"url_file": str(path)}}]}
    site.happens()
    assert code(site) == "secret.unavailable"
    path.write_text("not an address " + SECRET, encoding="utf-8")
    site.clock.advance(60)
    assert code(site) == "request.invalid"
    path.write_text(f"{web.url}/{SECRET}\n", encoding="utf-8")
    site.clock.advance(600)
    assert site.send().delivered == 1
    assert web.paths() == [f"/{SECRET}"]
    assert files_with_secrets([SECRET], pathlib.Path(site.folder / "state")) == []


def mailbox(site: Site, mail: MailServer, **options: t.Any) -> None:
    site.notifications = {"mail": {"to": ["a@example.org"], "server": "127.0.0.1", "port": mail.port, **options}}


def test_a_mail_server_that_wants_a_password_gets_it_over_tls(site: Site, tls: TLSFiles) -> None:
    mail = MailServer(MailRules(user="boat", password=SECRET, starttls=context(tls)))
    try:
        mailbox(site, mail, username="boat", password=SECRET, starttls=True, ca_file=str(tls.authority))
        assert site.tells().delivered == 1
        assert (mail.rules.logins, mail.rules.was_encrypted) == (["boat"], [True])
        mailbox(site, mail, username="boat", password="wrong", starttls=True, ca_file=str(tls.authority))
        site.happens("well", hours=1)
        assert code(site) == "notify.credentials_refused"
        mailbox(site, mail, username="boat", password=SECRET, starttls=True)
        site.clock.advance(60)
        assert code(site) == "notify.channel_unreachable"
    finally:
        mail.stop()


def test_a_mail_server_with_tls_from_the_first_byte(site: Site, tls: TLSFiles) -> None:
    mail = MailServer(context=context(tls))
    try:
        mailbox(site, mail, tls=True, ca_file=str(tls.authority))
        assert site.tells().delivered == 1
        assert mail.rules.was_encrypted == [True]
    finally:
        mail.stop()


def test_a_mail_server_without_starttls_gets_nothing(site: Site, mail: MailServer) -> None:
    mail.rules.user, mail.rules.password = "boat", SECRET
    mailbox(site, mail, username="boat", password=SECRET, starttls=True)
    site.happens()
    assert code(site) == "notify.refused"
    assert (mail.rules.logins, mail.rules.messages) == ([], [])


def test_an_address_that_is_refused_keeps_the_others_from_nothing(site: Site, mail: MailServer) -> None:
    mail.rules.refused = ("b@example.org",)
    mailbox(site, mail, to=["a@example.org", "b@example.org"])
    site.happens()
    assert code(site) == "notify.refused"
    site.clock.advance(3600)
    assert site.send().waiting == 0
    assert len(mail.rules.messages) == 1  # a has it, and has it once
    mailbox(site, mail, to=["b@example.org"])
    site.happens("well")
    assert code(site) == "notify.refused"


def test_results_for_a_channel_that_is_down_for_long_are_bounded_and_incidents_are_not_lost(
    site: Site, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MOST_RESULTS", 10)
    site.notifications = {
        "webhooks": {"base_url": web.url, "endpoints": {"backup_status": "/status", "alert_critical": "/critical"}},
        "channels": [{"name": "check", "ping": {"url": f"{web.url}/ping"}}],
    }
    web.stop()
    site.happens()
    for _run in range(20):
        site.happens("well", facts={"n": _run})
    waiting = site.recorder.spool.waiting()
    assert sum("family:check" in one.deliveries for one in waiting) == 1  # the newest ping says it all
    assert sum("family:webhooks" in one.deliveries for one in waiting) == 10 + 2
    web.start()
    site.clock.advance(60)
    site.send()
    assert web.paths().count("/critical") == 2
    assert web.paths().count("/ping") == 1
    assert [call for call in web.calls if call.path == "/status"][-1].document["facts"]["n"] == 19


def test_what_waits_for_a_channel_that_never_comes_back_does_not_grow_without_end(
    site: Site, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MOST_RESULTS", 5)
    monkeypatch.setattr(recorder, "MOST_NEWS", 8)
    hook(site, f"{web.url}/chat")
    site.notifications["channels"][0]["events"] = ["failure", "recovery", "success"]
    web.stop()
    for _run in range(20):
        site.happens(hours=1)
        site.happens("well", hours=1)
    waiting = site.recorder.spool.waiting()
    told = [one.notice.event for one in waiting]
    assert (told.count("success"), told.count("failure"), told.count("recovery")) == (5, 4, 4)
    assert site.recorder.spool.standing("family:chat").given_up == 2 * 20 - 8
    oldest = min(one.notice.at for one in waiting if one.notice.event == "failure")
    assert site.clock.now() - oldest < datetime.timedelta(hours=8), "the newest are given up, and not the oldest"


def test_a_channel_that_is_gone_from_the_description_is_waited_for_by_nobody(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url}/chat")
    site.happens()
    site.notifications["channels"][0]["name"] = "other"
    assert site.send().waiting == 0
    assert web.calls == []


def test_a_notice_that_is_sent_twice_can_be_known(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url}/chat")
    site.happens()
    (waiting,) = site.recorder.spool.waiting()
    site.send()
    site.recorder.spool.put(waiting)  # as whoever died before it could take note
    site.send()
    first, second = web.take()
    assert first.document == second.document
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_whoever_dies_before_the_notice_is_on_disk_has_told_nothing(
    site: Site, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(site, f"{web.url}/chat")

    def dies(*_arguments: t.Any, **_options: t.Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        site.happens()
    monkeypatch.undo()
    site.tells()
    assert [call.document["event"] for call in web.take()] == ["failure"]


def test_damaged_notes_stop_nobody(site: Site, web: WebServer) -> None:
    hook(site, f"{web.url}/chat")
    site.tells()
    web.take()
    folder = site.folder / "state" / "notify"
    (folder / "incidents" / "family:main:full:backup.json").write_text("{", encoding="utf-8")
    (folder / "waiting" / "broken.json").write_text(json.dumps({"notice": {}, "deliveries": []}), encoding="utf-8")
    (folder / "channels").mkdir(exist_ok=True)
    (folder / "channels" / "family:chat.json").write_text('{"down_since": "soon"}', encoding="utf-8")
    site.tells()
    assert [call.document["event"] for call in web.take()] == ["failure"]


def test_apprise_without_its_library_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    site.notifications = {"channels": [{"name": "chat", "apprise": {"url": f"json://127.0.0.1:9/{SECRET}"}}]}
    site.happens()
    assert code(site) == LibraryMissing.code


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
def test_apprise_tells_with_its_library(site: Site, web: WebServer) -> None:
    pytest.importorskip("apprise")
    url = f"json://user:{SECRET}@127.0.0.1:{web.port}/told"
    path = site.folder / "addresses"
    path.write_text(f"{url}\njson://127.0.0.1:{web.port}/second\n", encoding="utf-8")
    site.notifications = {"channels": [{"name": "chat", "apprise": {"url_file": str(path)}}]}
    assert site.tells().delivered == 1
    assert web.paths() == ["/told", "/second"]
    assert web.calls[0].document["title"] == "family/main/full: backup failed"
    assert web.calls[0].document["type"] == "failure"
    web.status = 500
    site.happens("well", hours=1)
    assert code(site) == "notify.channel_unreachable"
    path.write_text(f"nothing-known://{SECRET}", encoding="utf-8")
    site.clock.advance(3600)
    assert code(site) == "request.invalid"
