# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat`` tells of its runs: by the commands that people and cron type, and never at a backup's cost."""

from __future__ import annotations

import copy
import datetime
import json
import os
import pathlib
import typing as t

import pytest

from tests.support.command_line import CommandLine, describe
from tests.support.proc_scan import SecretScan, files_with_secrets
from tests.support.told_servers import MailServer, WebServer

SECRET = "s3cret-of-the-hook"
JOB = "shop/etc/config"


class Site:
    """A real backup of a real folder, and the notifications of its service."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.files = folder / "etc"
        self.files.mkdir()
        (self.files / "shop.conf").write_text("a = 1\n", encoding="utf-8")
        self.notifications: dict[str, t.Any] = {}
        (folder / "repository").mkdir()

    def __call__(self, command: str, *more: str, **variables: str) -> t.Any:
        return (
            self.command_line.process(command, *more, **variables) if variables else self.command_line(command, *more)
        )

    @property
    def command_line(self) -> CommandLine:
        backup = {"kind": "config", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"count": 3}}
        source = {
            "name": "etc",
            "engine": "files",
            "connection": {"paths": [str(self.files)]},
            "backups": [backup],
        }
        service = {
            "name": "shop",
            "sources": [source],
            "notifications": copy.deepcopy(self.notifications),
            "degraded_mode": {"essential": ["orders"], "disabled": ["analytics"], "message": "Fewer functions."},
        }
        return describe(
            self.folder / "config.json",
            {
                "lifeboat_settings": {"state_directory": str(self.folder / "state")},
                "lifeboat_repositories": {"local": {"type": "file", "path": str(self.folder / "repository")}},
                "lifeboat_services": [service],
            },
        )

    def breaks(self) -> None:
        self.files.rename(self.folder / "gone")

    def mends(self) -> None:
        (self.folder / "gone").rename(self.files)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)


def test_a_backup_that_fails_and_is_well_again_is_told(site: Site, web: WebServer, mail: MailServer) -> None:
    path = site.folder / "address"
    path.write_text(f"{web.url}/{SECRET}\n", encoding="utf-8")
    site.notifications = {
        "webhooks": {"base_url": web.url, "endpoints": {"backup_status": "/status", "alert_critical": "/critical"}},
        "mail": {"to": ["a@example.org"], "server": "127.0.0.1", "port": mail.port},
        "channels": [{"name": "check", "ping": {"url_file": str(path), "start": "/start", "fail": "/fail"}}],
    }
    site("backup").succeeded()
    assert web.paths() == [f"/{SECRET}/start", "/status", f"/{SECRET}"]
    document = web.take()[1].document
    assert (document["job"], document["state"]) == (JOB, "complete")
    assert document["facts"]["repositories"] == {"local": "complete"}
    site.breaks()
    said = site("backup --json").ended(2)
    assert said.document["results"][0]["error"]["code"] == "files.missing"
    assert web.paths() == [f"/{SECRET}/start", "/status", f"/{SECRET}/fail", "/critical"]
    alert = web.take()[-1].document
    assert (alert["event"], alert["code"]) == ("failure", "files.missing")
    site("backup").ended(2)
    assert "/critical" not in [call.path for call in web.take()]
    site.mends()
    site("backup").succeeded()
    assert web.take()[-1].document["event"] == "recovery"
    assert len(mail.rules.messages) == 2
    site("backup --dry-run").succeeded()
    assert web.calls == []


@pytest.mark.parametrize("status", [200, 500])
def test_a_channel_that_is_down_changes_no_exit_status_and_is_shown(site: Site, web: WebServer, status: int) -> None:
    site.notifications = {
        "channels": [{"name": "chat", "webhook": {"url": f"{web.url}/x"}, "events": ["failure", "success"]}]
    }
    web.status = status
    said = site("backup --json").succeeded()
    assert said.document["results"][0]["backup"]["state"] == "complete"
    assert ("The channel shop:chat could not be told" in said.err) is (status == 500)
    shown = site("status --json")
    (channel,) = shown.document["channels"]
    assert (channel["channel"], channel["waiting"]) == ("shop/chat", 0 if status == 200 else 1)
    names = [one["name"] for one in shown.document["attention"]]
    assert ("channel_down" in names) is (status == 500)
    if status == 500:
        shown.ended(3)
        assert "warning: shop/chat: Nobody is told by it since" in site("status").out
        assert site("notify --pending --json").succeeded().document["waiting"][0]["deliveries"]["shop:chat"]


def test_a_spool_that_can_not_be_written_changes_no_exit_status(site: Site, web: WebServer) -> None:
    site.notifications = {"channels": [{"name": "chat", "webhook": {"url": f"{web.url}/x"}, "events": ["success"]}]}
    (site.folder / "state").mkdir(mode=0o700)
    (site.folder / "state" / "notify").write_text("in the way", encoding="utf-8")
    said = site("backup").succeeded()
    assert "warning: Nobody could be told" in said.err
    assert "complete" not in said.err


def test_a_look_tells_what_is_overdue(site: Site, web: WebServer) -> None:
    site.notifications = {"channels": [{"name": "chat", "webhook": {"url": f"{web.url}/x"}}]}
    assert "Nothing is to be told." in site("notify --overdue").succeeded().out
    old = (datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(days=3)).timestamp()
    command = site.command_line
    os.utime(command.configuration, (old, old))
    assert "Told: 1. Waiting: 0." in command("notify --overdue").succeeded().out
    assert web.take()[0].document["event"] == "overdue"
    assert command("notify --overdue --json").succeeded().document["delivered"] == 0
    assert f"open: {JOB}: backup overdue" in command("notify --pending").out


def test_channels_are_tried_by_name(site: Site, web: WebServer, mail: MailServer) -> None:
    site.notifications = {
        "mail": {"to": ["a@example.org"], "server": "127.0.0.1", "port": mail.port},
        "channels": [
            {"name": "chat", "webhook": {"url": f"{web.url}/{SECRET}"}, "severities": ["critical"]},
            {"name": "check", "ping": {"url": f"{web.url}/ping"}},
        ],
    }
    said = site("notify --test").succeeded()
    assert "shop/chat" in said.out
    # a dead-man switch is tried only by name: its clock would start again
    assert web.paths() == [f"/{SECRET}"]
    assert b"This is a test by" in mail.rules.messages[0][1]
    site("notify --test shop/check").succeeded()
    assert web.paths()[1:] == ["/ping"]
    web.status = 403
    said = site("notify --test chat --json").ended(1)
    assert said.document["channels"]["shop:chat"]["error"]["code"] == "notify.credentials_refused"
    assert SECRET not in said.out + said.err
    site("notify --test nobody").refused("notify.channel_unknown", hint="shop/chat")
    site("notify chat").refused("request.invalid", hint="lifeboat notify --test chat")
    site.notifications = {}
    site("notify --test").refused("notify.channel_unknown", hint="docs/notifications.md")


def test_emergencies_are_told_to_their_endpoint(site: Site, web: WebServer) -> None:
    site.notifications = {"webhooks": {"base_url": web.url, "endpoints": {"degraded_mode": "/degraded"}}}
    site("notify --tell degraded_mode --service shop").succeeded()
    site("notify --tell degraded_mode --service shop --off --message Again.").succeeded()
    on, off = (call.document for call in web.take())
    assert on["facts"] == {"active": True, "essential": ["orders"], "disabled": ["analytics"]}
    assert (on["message"], off["message"], off["facts"]["active"]) == ("Fewer functions.", "Again.", False)
    site("notify --tell notify_users --service shop").refused("notify.channel_unknown", hint="notify_users")
    site("notify --tell notify_users").refused("request.invalid", hint="--service")


def test_no_secret_is_seen_while_it_is_told(site: Site, web: WebServer) -> None:
    path = site.folder / "hidden"
    path.mkdir()
    (path / "address").write_text(f"{web.url}/{SECRET}\n", encoding="utf-8")
    site.notifications = {
        "webhooks": {"base_url": web.url, "token_env": "HOOK_TOKEN", "endpoints": {"backup_status": "/status"}},
        "channels": [{"name": "check", "ping": {"url_command": f"cat {path / 'address'}"}}],
    }
    web.statuses = {"/status": 500}
    with SecretScan([SECRET, "t0ken-by-name"]) as scan:
        said = site("backup --json", HOOK_TOKEN="t0ken-by-name").succeeded()
    scan.assert_clean()
    assert f"/{SECRET}" in web.paths()
    assert web.calls[0].headers["Authorization"] == "Bearer t0ken-by-name"
    assert SECRET not in said.out + said.err
    assert files_with_secrets([SECRET, "t0ken-by-name"], site.folder / "state", site.folder / "repository") == []
    json.loads(said.out)


_DYING = """
import os, signal, sys
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify import delivery
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine import cli, cli_notify

def record(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "before-sending":
    cli_notify.send_waiting = record
else:
    tell = delivery._SENDERS["webhook"]
    def told(*arguments, **options):
        tell(*arguments, **options)
        record()
    delivery._SENDERS["webhook"] = told
cli.main(["--config", sys.argv[2], "notify", "--overdue"])
"""


@pytest.mark.parametrize(("when", "times"), [("before-sending", 1), ("after-sending", 2)])
def test_whoever_is_killed_while_telling_tells_it_once_more_and_never_not_at_all(
    site: Site, web: WebServer, when: str, times: int
) -> None:
    import signal
    import subprocess

    from tests.support.children import environment, python

    site.notifications = {"channels": [{"name": "chat", "webhook": {"url": f"{web.url}/x"}}]}
    command = site.command_line
    old = (datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(days=3)).timestamp()
    os.utime(command.configuration, (old, old))
    done = subprocess.run(
        python(_DYING, when, str(command.configuration)),
        env=environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(web.calls) == times - 1
    command("notify").succeeded()
    assert [call.document["event"] for call in web.calls] == ["overdue"] * times
    assert len({call.document["id"] for call in web.calls}) == 1
    command("notify --overdue").succeeded()
    assert len(web.calls) == times
