# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``standby.yml`` brings files to a spare that is kept ahead. Both hosts of the test are this machine."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import sys

import pytest
import yaml

from tests.integration.ansible.plays import Json, Played, run_playbook
from tests.support.command_line import CommandLine


@dataclasses.dataclass(frozen=True)
class Site:
    directory: pathlib.Path

    @property
    def shop(self) -> pathlib.Path:
        return self.directory / "etc" / "shop"

    def description(self) -> Json:
        source: Json = {
            "name": "configuration",
            "engine": "files",
            "connection": {"paths": [str(self.shop)]},
            "spares": [
                {
                    "name": "far",
                    "region": "south",
                    "inventory_host": "south1",
                    "connection": {"paths": [str(self.shop)]},
                    "repositories": ["local"],
                    "ahead": True,
                }
            ],
            "backups": [{"kind": "config", "repositories": ["local"], "keep": {"within": "7d"}}],
        }
        regions = [{"name": "north", "role": "primary"}, {"name": "south", "role": "standby"}]
        return {
            "lifeboat_services": [{"name": "shop", "regions": regions, "sources": [source]}],
            "lifeboat_repositories": {"local": {"type": "file", "path": str(self.directory / "local")}},
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }

    def lifeboat(self, command: str) -> None:
        path = self.directory / "lifeboat.json"
        path.write_text(json.dumps(self.description()))
        CommandLine(path)(command).succeeded()

    def inventory(self) -> pathlib.Path:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "standby_python": sys.executable,
            "standby_point": "newest",
            "standby_state_directory": str(self.directory / "state"),
        }
        path = self.directory / "inventory.yml"
        hosts = {"north1": self.description(), "south1": {}}
        path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables}}))
        return path

    def play(self, *more: str) -> Played:
        return run_playbook(self, "--inventory", str(self.inventory()), *more, playbook="playbooks/standby.yml")


@pytest.mark.long
def test_files_are_on_their_spare_before_anything_is_lost(tmp_path: pathlib.Path) -> None:
    site = Site(tmp_path)
    site.shop.mkdir(parents=True)
    (tmp_path / "local").mkdir()
    (site.shop / "shop.conf").write_text("workers = 4\n")
    (site.shop / "limits.conf").write_text("open_files = 1000\n")
    site.lifeboat("backup shop/configuration/config")

    # The spare has no such folder yet.
    shutil.rmtree(site.shop)
    looked = site.play("--check", "--diff")
    assert looked.status == 0, looked.output
    assert not site.shop.exists()
    brought = site.play()
    assert brought.status == 0, brought.output
    assert (site.shop / "shop.conf").read_text() == "workers = 4\n"
    assert (site.shop / "limits.conf").read_text() == "open_files = 1000\n"

    again = site.play()
    assert again.status == 0
    assert "changed=0" in again.output

    # Only what differs is replaced; what only the spare has stays; what was replaced is gone when that is asked for.
    (site.shop / "shop.conf").write_text("workers = 1\n")
    (site.shop / "own.conf").write_text("region = south\n")
    replaced = site.play("-e", '{"standby_discard": true}')
    assert replaced.status == 0, replaced.output
    assert (site.shop / "shop.conf").read_text() == "workers = 4\n"
    assert (site.shop / "own.conf").read_text() == "region = south\n"
    assert not list(tmp_path.rglob(".lifeboat-restore-*"))
