# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/tasks/failover/restore.yml`` in a play: what was not planned is replaced after a death in it alone."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import ROOT, Json, Played, refused, run_playbook
from tests.support.command_line import describe

RESTORE: t.Final = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/failover/restore.yml")}
STEP, OTHER = "restore-settings", "restore-main"


@dataclasses.dataclass(frozen=True)
class Site:
    """One file of settings with one backup. The run that takes the step has noted that it begins."""

    directory: pathlib.Path

    @property
    def settings(self) -> pathlib.Path:
        return self.directory / "shop.ini"

    @property
    def description(self) -> Json:
        source = {
            "name": "settings",
            "engine": "files",
            "connection": {"paths": [str(self.settings)]},
            "backups": [{"kind": "config", "repositories": ["local"], "keep": {"within": "7d"}}],
        }
        return {
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
            "lifeboat_repositories": {"local": {"type": "file", "path": str(self.directory / "local")}},
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }

    def step(self, **options: t.Any) -> Json:
        """It was planned while there was nothing that it would replace."""
        (manifest,) = (self.directory / "local").rglob("manifest.json")
        planned = {"source": "settings", "backup": manifest.parent.name, "replaces": None, **options}
        return {"name": STEP, "kind": "restore", "on": "web1", "options": planned}

    def play(self, *tasks: Json) -> Played:
        found = (
            "{{ lifeboat_services | lifeboat.recovery.comes_back(lifeboat_repositories, lifeboat_settings, "
            "{'service': 'shop', 'repositories': ['local']}, host=inventory_hostname, groups=groups) }}"
        )
        host = {
            **self.description,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "lifeboat_step": self.step(),
            "lifeboat_book": {"intended": [STEP], "finished": {}},
        }
        inventory, playbook = self.directory / "inventory.yml", self.directory / "play.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"web1": host}}}))
        steps = [{"ansible.builtin.set_fact": {"lifeboat_found": found}}, *tasks]
        playbook.write_text(yaml.safe_dump([{"hosts": "web1", "gather_facts": False, "tasks": steps}]))
        return run_playbook(self, "-i", str(inventory), playbook=playbook)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    site = Site(directory=tmp_path)
    (tmp_path / "local").mkdir()
    site.settings.write_text("of the backup")
    describe(tmp_path / "lifeboat.json", site.description)("backup --quiet").succeeded()
    return site


def kept(*names: str, path: pathlib.Path) -> Json:
    content = f"{{{{ [{', '.join(names)}] | to_json }}}}"
    return {"ansible.builtin.copy": {"content": content, "dest": str(path), "mode": "0600"}}


def test_what_nobody_planned_to_replace_is_replaced_after_a_death_in_this_very_step_alone(site: Site) -> None:
    read = f"{{{{ lookup('ansible.builtin.file', '{site.settings}') }}}}"
    site.settings.write_text("of somebody")
    played = site.play(
        refused("elsewhere", RESTORE, lifeboat_died_in=[OTHER]),
        refused("unplannable", RESTORE, lifeboat_died_in=[OTHER], lifeboat_step=site.step(backup="no-such-backup")),
        {"ansible.builtin.set_fact": {"untouched": read}},
        {"block": [RESTORE], "vars": {"lifeboat_died_in": [OTHER, STEP]}},
        {"ansible.builtin.set_fact": {"resumed": read, "made": "{{ lifeboat_result.backup.id }}"}},
        kept("elsewhere", "unplannable", "untouched", "resumed", "made", path=site.directory / "said.json"),
    )
    assert played.status == 0, played.output
    elsewhere, unplannable, *contents = json.loads((site.directory / "said.json").read_text())
    assert elsewhere.startswith("It would replace files on ")
    assert elsewhere.endswith(", and the plan says nothing. Nothing was restored.")
    assert "no-such-backup" in unplannable, "a plan that can't be made is no reason to restore"
    made = site.step()["options"]["backup"]
    assert contents == ["of somebody", "of the backup", made]
