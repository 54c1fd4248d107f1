# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets by playbooks/backup.yml: made by the agent of the host, refused by name where there is none."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import sys

import pytest
import yaml

from tests.integration.ansible.plays import run_playbook
from tests.support.children import ENGINE, environment
from tests.support.command_line import CommandLine, describe

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Site:
    directory: pathlib.Path
    lifeboat: CommandLine
    arguments: tuple[str, ...]


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "shop.conf").write_text("colour = blue\n")
    stored = {"repositories": ["local"], "keep": {"within": "7d"}}
    description = {
        "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
        "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "repository"), "create": True}},
        "lifeboat_services": [
            {
                "name": "shop",
                "sources": [
                    {
                        "name": "conf",
                        "engine": "files",
                        "connection": {"paths": [str(tmp_path / "settings")]},
                        "backups": [{"kind": "config", **stored}],
                    },
                    {"name": "system", "engine": "files", "backups": [{"kind": "system", **stored}]},
                ],
            }
        ],
    }
    lifeboat = describe(tmp_path / "lifeboat.json", description)
    agent = tmp_path / "lifeboat"
    variables = " ".join(
        f"{name}={shlex.quote(value)}" for name, value in environment().items() if name == "PYTHONPATH"
    )
    agent.write_text(f'#!/bin/sh\nexec env {variables} {shlex.quote(sys.executable)} -m {ENGINE} "$@"\n')
    agent.chmod(0o755)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "inventory.yml").write_text(
        yaml.safe_dump({"all": {"hosts": {"db1": {**host, **json.loads(json.dumps(description))}}}})
    )
    arguments = (
        *("-i", str(tmp_path / "inventory.yml")),
        *("-e", f"lifeboat_agent={agent}", "-e", f"lifeboat_agent_configuration={lifeboat.configuration}"),
    )
    return Site(directory=tmp_path, lifeboat=lifeboat, arguments=arguments)


def test_the_agent_makes_the_set_and_check_mode_only_looks(site: Site) -> None:
    looked = run_playbook(site, *site.arguments, "--check", playbook="playbooks/backup.yml")
    assert looked.status == 0, looked.output
    assert "2 jobs: 2 planned." in looked.output
    assert site.lifeboat("list --json").document["backups"] == []
    made = run_playbook(site, *site.arguments, playbook="playbooks/backup.yml")
    assert made.status == 0, made.output
    assert "2 jobs: 2 complete." in made.output
    # The job's own, and the set with its member.
    sources = [one["source"] for one in site.lifeboat("list --json").document["backups"]]
    assert sorted(sources) == ["conf", "conf", "system"]


def test_without_an_agent_it_is_refused_by_name(site: Site) -> None:
    (site.directory / "lifeboat").unlink()
    said = run_playbook(site, *site.arguments, "-e", "lifeboat_jobs=shop/system", playbook="playbooks/backup.yml")
    assert said.status != 0
    assert "is made by the agent of the host, and there is none" in said.output
