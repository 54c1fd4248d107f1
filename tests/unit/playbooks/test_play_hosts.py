# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a playbook is about, and what is loaded when that is read."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest

from tests.support.children import ENGINE, ROOT, environment, python

pytest.importorskip("ansible")

_FILTER = "ansible_collections.lifeboat.recovery.plugins.filter.play_hosts"
_LOADED = f"""
import json, sys
from {_FILTER} import hosts_of_play
before = "{ENGINE}.core.description.building" in sys.modules
given = hosts_of_play("all")
after = [name in sys.modules for name in ("{ENGINE}.core.description.building", "jsonschema")]
print(json.dumps([given, before, after]))
"""


def test_what_the_filters_of_tasks_need_is_loaded_with_it() -> None:
    done = subprocess.run(python(_LOADED), env=environment(), capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == ["all", False, [True, True]]


@pytest.mark.parametrize("pattern", ["", [], None])
def test_a_play_with_nobody_ends(pattern: t.Any) -> None:
    from ansible.errors import AnsibleFilterError

    from ansible_collections.lifeboat.recovery.plugins.filter.play_hosts import hosts_of_play

    with pytest.raises(AnsibleFilterError, match="lifeboat_hosts is empty"):
        hosts_of_play(pattern)


@pytest.mark.parametrize("playbook", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_every_playbook_begins_with_it(playbook: pathlib.Path) -> None:
    about = [line for line in playbook.read_text(encoding="utf-8").splitlines() if "lifeboat_hosts |" in line]
    if about:
        assert "| lifeboat.recovery.hosts_of_play" in about[0]
