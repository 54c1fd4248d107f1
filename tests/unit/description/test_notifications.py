# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifications that can't be meant are refused with their place."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.unit.description.samples import changed

_HOOK = {"url": "https://chat.example.org/x"}


def one(**channel: t.Any) -> dict[str, t.Any]:
    return {"channels": [{"name": "chat", **channel}]}


@pytest.mark.parametrize(
    ("notifications", "place", "told"),
    [
        (one(), "channels[0] (chat)", "exactly one of webhook, mail, apprise, ping"),
        (one(webhook=_HOOK, ping=_HOOK), "channels[0] (chat)", "not webhook and ping together"),
        (one(webhook={}), "channels[0] (chat) > webhook", "does not say where to"),
        (one(webhook={**_HOOK, "url_env": "X"}), "channels[0] (chat) > webhook", "url is given 2 times"),
        (one(webhook={"url": "chat.example.org"}), "webhook > url", "no address of the web"),
        (one(webhook={"url": "ftp://chat.example.org"}), "webhook > url", "no address of the web"),
        (one(webhook={**_HOOK, "body": {"a": ["{sverity}"]}}), "webhook > body > a[0]", "did you mean 'severity'?"),
        (one(webhook={**_HOOK, "headers": {"X Y": "z"}}), "headers > X Y", "no name of a header"),
        (one(webhook=_HOOK, severities=["bad"]), "severities[0]", "'bad' is not one of"),
        (one(webhook=_HOOK, events=["boom"]), "events[0]", "'boom' is not one of"),
        (one(webhook=_HOOK, jobs=["main/nope"]), "channels[0] (chat) > jobs[0]", "no job 'main/nope'"),
        (one(webhook={**_HOOK, "timeout": "10"}), "webhook > timeout", "no unit"),
        (one(ping=_HOOK, events=["success"]), "channels[0] (chat) > ping", "events and severities say nothing"),
        (one(ping={**_HOOK, "fail": "fail"}), "ping > fail", "not a path"),
        (one(apprise={}), "channels[0] (chat) > apprise", "does not say where to"),
        ({"channels": [{"name": "mail", "webhook": _HOOK}]}, "channels[0] (mail) > name", "name of another channel"),
        (
            {"channels": [{"name": "chat", "webhook": _HOOK}, {"name": "chat", "webhook": _HOOK}]},
            "channels[1] (chat) > name",
            "name of another channel",
        ),
        ({"mail": {"to": ["nobody"]}}, "mail > to[0]", "no address of mail"),
        ({"mail": {"to": ["a@b.c"], "from": "x y@z"}}, "mail > from", "no address of mail"),
        (
            {"mail": {"to": ["a@b.c"], "server": "mail.b.c", "username": "u", "password_file": "/x"}},
            "notifications > mail",
            "in the clear",
        ),
        ({"mail": {"to": ["a@b.c"], "username": "u"}}, "notifications > mail", "username and no password"),
        ({"mail": {"to": ["a@b.c"], "password_file": "/x"}}, "notifications > mail", "password and no username"),
        ({"mail": {"to": ["a@b.c"], "tls": True, "starttls": True}}, "mail > starttls", "contradicts tls"),
        (
            {"webhooks": {"base_url": "https://x.y", "endpoints": {"backup_status": "status"}}},
            "endpoints > backup_status",
            "not a path",
        ),
        (
            {
                "webhooks": {
                    "base_url": "https://x.y",
                    "endpoints": {"backup_status": "/s"},
                    "bodies": {"alert_high": {}},
                }
            },
            "bodies > alert_high",
            "is sent nowhere",
        ),
        ({"webhooks": {"base_url": "x.y", "endpoints": {"backup_status": "/s"}}}, "base_url", "no address of the web"),
    ],
)
def test_a_mistake_is_refused_with_its_place(notifications: dict[str, t.Any], place: str, told: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        load_description(changed("lifeboat_services.0.notifications", notifications))
    problems = refused.value.details["problems"]
    assert [one for one in problems if place in one["path"] and told in one["problem"] + one["hint"]], problems


def test_an_alert_names_channels_that_there_are() -> None:
    data = changed("lifeboat_services.0.notifications", one(webhook=_HOOK))
    alert = {"name": "bad", "backup_failed": True, "severity": "high", "notify": ["chta"]}
    data["lifeboat_services"][0]["alerts"] = [alert]
    with pytest.raises(ConfigurationInvalid, match="no channel 'chta'; did you mean 'chat'"):
        load_description(data)
    alert["notify"] = ["chat"]
    load_description(data)


def test_a_password_may_go_to_this_host_in_the_clear_and_elsewhere_over_tls() -> None:
    for server in ({"server": "127.0.0.1"}, {}, {"server": "mail.example.org", "starttls": True}):
        mail = {"to": ["a@example.org"], "username": "u", "password_file": "/etc/lifeboat/mail.pass", **server}
        load_description(changed("lifeboat_services.0.notifications", {"mail": mail}))
