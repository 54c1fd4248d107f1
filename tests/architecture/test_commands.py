# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of the command line loads what it needs: hosts have jobs each minute, and each is a process of its own."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.children import ENGINE, environment, python

_LOAD = f"""
import contextlib, io, json, sys
from {ENGINE}.cli import main
with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
    main(sys.argv[1:])
prefix = "{ENGINE}."
loaded = [name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)]
print(json.dumps([said.getvalue(), loaded]))
"""
# What a command of that name may share with others.
_SHARED = {"cli", "cli_commands", "cli_options", "cli_telling"}
_OWN = {
    "backup": {"cli_backup"},
    "fetch-wal": {"cli_fetch"},
    "ship": {"cli_ship"},
    "list": {"cli_list"},
    "show": {"cli_list"},
    "verify": {"cli_verify"},
    "restore": {"cli_restore"},
    "windows": {"cli_recover"},
    "recover": {"cli_recover"},
    "find-damage": {"cli_damage"},
    "label": {"cli_recover"},
    "copy": {"cli_repo"},
    "repo": {"cli_repo"},
    "prune": {"cli_prune"},
    "pin": {"cli_prune"},
    "unpin": {"cli_prune"},
    "failover": {"cli_failover", "cli_lease"},
    "status": {"cli_status"},
    "notify": {"cli_notify", "cli_status"},
    "metrics": {"cli_metrics", "cli_status"},
    "evidence": {"cli_evidence"},
    "config": {"cli_config"},
}


def _help(*words: str) -> tuple[str, set[str]]:
    done = subprocess.run(
        python(_LOAD, *words, "--help"), env=environment(), capture_output=True, text=True, check=True, timeout=120
    )
    said, loaded = json.loads(done.stdout)
    return said, {name for name in loaded if name.startswith("cli")}


def test_the_first_page_names_every_command_and_loads_none() -> None:
    said, loaded = _help()
    for command in _OWN:
        assert f"\n    {command} " in said, said
    assert loaded <= _SHARED


@pytest.mark.parametrize("command", _OWN)
def test_a_command_loads_what_it_needs(command: str) -> None:
    said, loaded = _help(command)
    assert f"usage: lifeboat {command} " in said
    assert _OWN[command] <= loaded <= _OWN[command] | _SHARED
    # More than what all of them have: its arguments are there.
    assert "ACTION" in said or said.count("\n  -") > 2, said
