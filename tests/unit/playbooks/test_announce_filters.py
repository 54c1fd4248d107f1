# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom people write to and what, from the templates of the description."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("ansible")

from ansible_collections.lifeboat.recovery.plugins.filter.announce_play import (
    announced,
    announcement_event,
    announcements,
)
from tests.unit.description.samples import changed

Json = dict[str, t.Any]


def written(event: str = "began", folders: t.Sequence[str] = (), *listed: Json, **words: t.Any) -> Json:
    described = changed("lifeboat_services.0.communication", {"announcements": list(listed)})
    described["lifeboat_services"][0]["notifications"] = {
        "mail": {"to": ["a@example.org"]},
        "channels": [{"name": "chat", "webhook": {"url_file": "/etc/chat.url"}}],
    }
    described["lifeboat_services"][0]["degraded_mode"] = {
        "essential": ["orders"],
        "disabled": ["search"],
        "message": "Search is off.",
        "alternatives": ["telephone"],
    }
    return announcements(
        described["lifeboat_services"],
        described["lifeboat_repositories"],
        described.get("lifeboat_settings"),
        service="family",
        event=event,
        words={"region": "east", **words},
        folders=folders,
    )


USERS = {"audience": "users", "channels": ["mail", "chat"]}


@pytest.mark.parametrize("event", ["planned", "began", "done", "failed"])
def test_without_templates_everybody_is_told_something(event: str) -> None:
    made = written(event, (), USERS)
    (one,) = made["announcements"]
    assert [(each["name"], each["kind"]) for each in one["channels"]] == [("mail", "mail"), ("chat", "webhook")]
    assert one["channels"][1]["options"] == {"url_file": "/etc/chat.url"}
    assert "family" in one["title"]
    assert one["severity"] == ("high" if event == "failed" else "info")
    assert ("Search is off. Meanwhile: telephone." in one["text"]) == (event == "began")
    assert made["problems"] == []


def test_templates_are_filled_in_and_only_the_events_that_are_named_are_told() -> None:
    users = {
        **USERS,
        "events": ["began"],
        "title": "{{ service }} {{ event }}",
        "texts": {"began": "To {{ region }}: {{ steps | join('; ') }}"},
    }
    made = written(
        "began", (), users, {"audience": "operators", "channels": ["chat"], "events": ["failed"]}, steps=["a", "b"]
    )
    assert [(one["title"], one["text"]) for one in made["announcements"]] == [("family began", "To east: a; b")]
    assert [
        one["audience"] for one in written("failed", (), users, {**USERS, "audience": "operators"})["announcements"]
    ] == ["operators"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ regoin }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "  {# nothing #}",
        "{{ steps.pop(0)() }}",
    ],
)
def test_a_template_that_can_not_be_used_is_told_and_replaced(template: str) -> None:
    made = written("began", (), {**USERS, "texts": {"began": template}})
    (problem,) = made["problems"]
    assert problem.startswith("users, began: ")
    assert made["announcements"][0]["text"].startswith("family is being moved to east.")
    assert f"PROBLEM: {problem}" in made["text"]


def test_templates_come_from_files_beside_the_inventory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "users.j2").write_text("{{ service }} goes {{ region }}\n")
    users = {**USERS, "files": {"began": "users.j2", "done": "gone.j2"}}
    assert written("began", [str(tmp_path)], users)["announcements"][0]["text"] == "family goes east"
    assert "no file gone.j2" in written("done", [str(tmp_path)], users)["problems"][0]


def test_words_of_plans_are_known_and_others_refused() -> None:
    from ansible.errors import AnsibleFilterError

    assert [announcement_event(one) for one in ("moved", "done", "failed")] == ["done", "done", "failed"]
    with pytest.raises(AnsibleFilterError):
        announcement_event("boom")


def test_the_ledger_keeps_hashes_and_reasons() -> None:
    told = {
        "audience": "users",
        "channel": "mail",
        "event": "began",
        "title": "x",
        "sha256": "ab",
        "state": "failed",
        "at": None,
        "error": "down",
    }
    kept = announced({"told": [told]}, "began", ["p"])
    assert kept["problems"] == ["p", "users by mail: down"]
    assert "title" not in kept["told"][0]
    assert announced({"msg": "nobody there\nmore"}, "began")["problems"] == ["nobody there"]
    assert announced({"skipped": True}, "began") == {"event": "began", "told": [], "problems": []}
