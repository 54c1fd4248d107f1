# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/verify.yml`` with a host that nobody reaches: the others are proved, the summary says what was not."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys

import yaml

from sandbox.ports import free_port
from tests.integration.ansible.plays import Json, run_playbook
from tests.support.command_line import describe


@dataclasses.dataclass(frozen=True)
class Place:
    directory: pathlib.Path


def test_a_host_that_is_gone_is_told_and_fails_the_play(tmp_path: pathlib.Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "shop.conf").write_text("colour = blue\n")
    source: Json = {
        "name": "conf",
        "engine": "files",
        "connection": {"paths": [str(tmp_path / "settings")]},
        "backups": [{"kind": "config", "repositories": ["local"], "keep": {"within": "7d"}}],
    }
    described = {
        "lifeboat_settings": {
            "state_directory": str(tmp_path / "state"),
            "scratch_directory": str(tmp_path / "scratch"),
        },
        "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "repository"), "create": True}},
        "lifeboat_services": [{"name": "shop", "sources": [source]}],
    }
    describe(tmp_path / "lifeboat.json", described)("backup shop/conf --quiet").succeeded()
    hosts = {
        "here": {"ansible_connection": "local"},
        # A port where nobody listens.
        "gone": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": free_port()},
    }
    for host in hosts.values():
        host.update({**described, "ansible_python_interpreter": sys.executable})
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))

    played = run_playbook(Place(tmp_path), "-i", str(tmp_path / "inventory.yml"), playbook="playbooks/verify.yml")
    assert played.status != 0
    assert re.search(r"gone +- +unreachable", played.output), played.output
    assert re.search(r"here +shop/conf/config +passed", played.output), played.output
    said = " ".join(played.output.split())
    assert "2 looked at: 1 passed, 1 error." in said
    assert "gone: the host that verifies can't be reached; nothing of it was verified." in said
    # It is the summary's last task that fails the play, not only the connection.
    assert re.search(r"TASK \[Fail when anything is not proved\].*fatal: \[", played.output, re.DOTALL)
