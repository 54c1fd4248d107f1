# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles and services write into one folder of cron: no service has a name that leads to the file of a role."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import is_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report import cron_table, systemd_units
from tests.integration.ansible.plays import ROOT, run_playbook

ROLES = sorted((ROOT / "roles").glob("*/tasks/*.yml"))


@dataclasses.dataclass(frozen=True)
class Place:
    directory: pathlib.Path


def written_by_roles(folder: str) -> set[str]:
    """The names of files in *folder* that roles write by themselves."""
    found = (re.findall(rf"^ +(?:cron: {{)?{folder}/([\w.-]+): ", path.read_text(), re.MULTILINE) for path in ROLES)
    return {name for names in found for name in names}


def test_no_service_can_have_the_table_of_a_role() -> None:
    tables = written_by_roles("/etc/cron.d")
    assert tables == {"lifeboat--metrics", "lifeboat--notify"}
    # Names with a dot get a table that begins with the same letters.
    assert [name for name in tables if is_name(name.removeprefix(cron_table.PREFIX))] == []
    units = written_by_roles("/etc/systemd/system")
    assert {"lifeboat-metrics.timer", "lifeboat-notify.service"} <= units
    # Those of services have a colon between service and source.
    assert [name for name in units if ":" in name.removeprefix(systemd_units.PREFIX)] == []
    assert cron_table.table_name("metrics") == "lifeboat-metrics"


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        ("# Written by the role monitoring of lifeboat.recovery; what is changed here is lost.", False),
        (
            "# metrics: what Lifeboat does on this host, and when. Written by Ansible; what is changed here is lost.",
            True,
        ),
    ],
)
def test_the_table_of_before_goes_and_that_of_a_service_stays(tmp_path: pathlib.Path, head: str, is_kept: bool) -> None:
    """The role's own tasks, in a folder that is not cron's."""
    (tmp_path / "cron.d").mkdir()
    table = tmp_path / "cron.d" / "lifeboat-metrics"
    table.write_text(f"{head}\nSHELL=/bin/sh\n")
    tasks = yaml.safe_load((ROOT / "roles/monitoring/tasks/textfile.yml").read_text())
    (first,) = [number for number, task in enumerate(tasks) if task["name"] == "Look for a table of before"]
    tasks = tasks[first : first + 2]
    assert tasks[0]["ansible.builtin.find"].pop("paths") == "/etc/cron.d"
    tasks[0]["ansible.builtin.find"]["paths"] = str(tmp_path / "cron.d")
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    words = ("--connection", "local", "-e", f"ansible_python_interpreter={sys.executable}")
    played = run_playbook(Place(tmp_path), *words, playbook=tmp_path / "play.yml")
    assert played.status == 0, played.output
    assert table.exists() is is_kept
