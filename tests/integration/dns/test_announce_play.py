# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of a failover that tells people: once, also when it is run again, and whatever does not work."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import ROOT, Json, Played, run_playbook
from tests.support.told_servers import WebServer

pytestmark = pytest.mark.slow

_INVENTORY = """
all:
  hosts:
    one: &host
      ansible_connection: local
      ansible_python_interpreter: {python}
      lifeboat_repositories: {{local: {{type: file, path: {folder}/local}}}}
      lifeboat_services:
        - name: shop
          sources:
            - name: main
              engine: redis
              connection: {{host: 127.0.0.1}}
              backups: [{{kind: rdb, repositories: [local], keep: {{within: 7d}}}}]
          notifications:
            channels:
              - name: page
                webhook: {{url_file: {folder}/page.url, body: {{incident: "{{title}}", text: "{{text}}"}}}}
              - {{name: dead, webhook: {{url: "http://127.0.0.1:9/x", timeout: 1s}}}}
          communication:
            announcements:
              - audience: users
                channels: [page, dead]
                title: !unsafe "{{{{ service }}}} to {{{{ region }}}}"
                texts: {{began: !unsafe "{{{{ steps | join(', ') }}}}"}}
                files: {{done: done.j2}}
              - audience: guests
                channels: [page]
                title: rehearsed
                in_drills: true
                texts: {{began: Only a drill.}}
              - {{audience: operators, channels: [page], texts: {{began: !unsafe "{{{{ nobody_knows }}}}"}}}}
    two: *host
"""


@dataclasses.dataclass(frozen=True)
class Shop:
    """A service with somebody to tell."""

    directory: pathlib.Path
    web: WebServer

    def play(self, playbook: str | pathlib.Path, *words: str) -> Played:
        inventory = self.directory / "inventory.yml"
        inventory.write_text(_INVENTORY.format(python=sys.executable, folder=self.directory))
        return run_playbook(self, "-i", str(inventory), *words, playbook=playbook)


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> t.Iterator[Shop]:
    web = WebServer()
    (tmp_path / "local").mkdir()
    (tmp_path / "page.url").write_text(f"{web.url}/incidents/the-secret-part\n")
    (tmp_path / "done.j2").write_text("{{ service }} is in {{ region }} again, said {{ operator }}.\n")
    yield Shop(tmp_path, web)
    web.stop()


def step(event: str, **more: str) -> Json:
    return {"name": "announce", "kind": "announce", "options": {"event": event, "from": "west", "to": "east", **more}}


def test_a_failover_tells_each_once_and_no_dead_channel_stops_it(shop: Shop) -> None:
    plays = []
    known = {
        "lifeboat_plan": {"chosen": "east", "sha256": "ab", "steps": [{"what": "Fence."}, {"what": "Promote."}]},
        "lifeboat_target": {"service": "shop"},
        "lifeboat_ledger": {"run": "run-0001", "operator": "ada on desk"},
    }
    cases: list[tuple[str, Json]] = [
        ("drill", {"lifeboat_step": step("began"), "lifeboat_drill": True, "lifeboat_ledger": {"run": "drill-0001"}}),
        ("stopped", {"lifeboat_step": step("failed", occasion="promote-ab12")}),
        ("once more", {"lifeboat_step": step("failed", occasion="promote-ab12")}),
        ("stopped later", {"lifeboat_step": step("failed", occasion="health-cd34")}),
        ("first", {"lifeboat_step": step("began")}),
        ("again", {"lifeboat_step": step("began")}),
        ("done", {"lifeboat_step": step("moved")}),
    ]
    for name, variables in cases:
        keep = {"content": "{{ lifeboat_result | to_json }}", "dest": str(shop.directory / name)}
        tasks = [
            {"name": "Step", "ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/failover/announce.yml")},
            {"name": "Keep", "ansible.builtin.copy": keep},
        ]
        plays.append({"hosts": "one", "gather_facts": False, "vars": {**known, **variables}, "tasks": tasks})
    (shop.directory / "steps.yml").write_text(yaml.safe_dump(plays))
    played = shop.play(shop.directory / "steps.yml", "-vvv")
    assert played.status == 0, played.output
    assert "the-secret-part" not in played.output
    drill, stopped, once_more, later, first, again, done = (
        json.loads((shop.directory / name).read_text()) for name, _variables in cases
    )

    def states(result: Json) -> list[str]:
        return [f"{one['audience']} {one['channel']}: {one['state']}" for one in result["told"]]

    # Of a drill only those hear that the description says so of; of a failure everybody once, of each.
    assert states(drill) == ["guests page: told"]
    assert "guests page: told" in states(stopped)
    assert "guests page: told before" in states(once_more)
    assert "guests page: told" in states(later)
    for one in (stopped, once_more, later, first, again, done):
        one["told"] = [each for each in one["told"] if each["audience"] != "guests"]
    assert states(first) == ["users page: told", "users dead: failed", "operators page: told"]
    assert states(again) == ["users page: told before", "users dead: failed", "operators page: told before"]
    assert states(done) == ["users page: told", "users dead: failed", "operators page: told"]
    assert any("nobody_knows" in problem for problem in first["problems"])
    assert any("can't be reached" in problem for problem in first["problems"])
    assert first["told"][0]["sha256"] == again["told"][0]["sha256"] != done["told"][0]["sha256"]
    documents = sorted((call.document["incident"], call.document["text"]) for call in shop.web.calls)
    assert [text for title, text in documents if title == "Drill: rehearsed"] == ["Only a drill."]
    assert len([title for title, _text in documents if title == "rehearsed"]) == 4
    assert len([title for title, _text in documents if "rehearsed" not in title]) == 8
    assert ("shop to east", "Fence., Promote.") in documents
    assert ("shop to east", "shop is in east again, said ada on desk.") in documents


def test_by_hand_the_texts_are_read_first(shop: Shop) -> None:
    words = ("-e", "lifeboat_announce=shop", "-e", "lifeboat_region=east")
    looked = shop.play("playbooks/announce.yml", *words, "--check")
    assert looked.status == 0, looked.output
    for text in ("users by page, dead: shop to east", "Moving shop to east has stopped", "PROBLEM: operators, began"):
        assert text in looked.output
    assert shop.web.calls == []
