# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcements that can't be meant are refused with their place."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.unit.description.samples import changed

_CHANNELS = {
    "mail": {"to": ["a@example.org"]},
    "webhooks": {"base_url": "https://x.example", "endpoints": {"backup_status": "/s"}},
    "channels": [{"name": "chat", "webhook": {"url_file": "/u"}}, {"name": "check", "ping": {"url_file": "/p"}}],
}


def described(*announcements: dict[str, t.Any]) -> dict[str, t.Any]:
    data = changed("lifeboat_services.0.notifications", _CHANNELS)
    data["lifeboat_services"][0]["communication"] = {"announcements": list(announcements)}
    return data


@pytest.mark.parametrize(
    ("announcement", "place", "told"),
    [
        ({"channels": ["chta"]}, "channels[0]", "no channel 'chta'; did you mean 'chat'"),
        ({"channels": ["check"]}, "channels[0]", "a dead-man switch"),
        ({"channels": ["webhooks"]}, "channels[0]", "has no endpoint notify_users"),
        ({"channels": []}, "channels", "empty"),
        ({"texts": {"began": "x"}, "files": {"began": "y"}}, "files > began", "contradicts"),
        ({"texts": {"begun": "x"}}, "texts > begun", "did you mean 'began'"),
        ({"events": ["boom"]}, "events[0]", "'boom' is not one of"),
    ],
)
def test_a_mistake_is_refused_with_its_place(announcement: dict[str, t.Any], place: str, told: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        load_description(described({"audience": "users", "channels": ["mail"], **announcement}))
    problems = refused.value.details["problems"]
    assert [one for one in problems if place in one["path"] and told in one["problem"] + one["hint"]], problems


def test_an_audience_is_told_once() -> None:
    users = {"audience": "users", "channels": ["mail", "chat"], "texts": {"began": "{{ service }}"}}
    load_description(described(users, {**users, "audience": "operators"}))
    with pytest.raises(ConfigurationInvalid, match="'users' is told already"):
        load_description(described(users, users))
