# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible on the controller of a fleet: it sees the hosts through the fleet's network, by ssh, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
import uuid
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.children import ROOT, kill_when
from tests.support.hosts.fleet import Fleet
from tests.support.hosts.root_file_system import PYTHON

Json = dict[str, t.Any]


@dataclass(frozen=True)
class Played:
    """How a play ended."""

    status: int
    output: str

    @property
    def words(self) -> str:
        """The output without its line breaks, quotes and JSON's escapes."""
        return " ".join(self.output.replace('\\"', '"').split())


def inventory(fleet: Fleet, *, of_all: Json | None = None, own: t.Mapping[str, Json] | None = None) -> Json:
    """An inventory of the fleet's hosts; *of_all* are variables of every host, *own* those of each."""
    ssh = {
        "UserKnownHostsFile": fleet.known_hosts,
        "ControlMaster": "auto",
        "ControlPersist": "60s",
        "ServerAliveInterval": "5",
        "ConnectTimeout": "5",
    }
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(fleet.key),
        "ansible_ssh_args": " ".join(["-F none", *(f"-o {name}={value}" for name, value in ssh.items())]),
        "ansible_control_path_dir": str(fleet.control_path),
        "ansible_ssh_pipelining": True,
        "ansible_python_interpreter": PYTHON,
    }
    hosts = {
        name: {"ansible_host": host.address, **((own or {}).get(name) or {})} for name, host in fleet.hosts.items()
    }
    return {"all": {"vars": {**shared, **(of_all or {})}, "hosts": hosts}}


def play(
    fleet: Fleet,
    playbook: str | Path,
    *arguments: str,
    inventory: Json,
    timeout: float = 600,
    variables: t.Mapping[str, str] | None = None,
) -> Played:
    """Run ``ansible-playbook`` from the checkout as a user would, on the fleet's controller.

    *variables* are more of the environment.
    """
    done = subprocess.run(
        **_as_user(fleet, playbook, arguments, inventory=inventory, variables=variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Played(status=done.returncode, output=done.stdout)


def play_until(
    fleet: Fleet,
    playbook: str | Path,
    *arguments: str,
    inventory: Json,
    reached: t.Callable[[], bool],
    variables: t.Mapping[str, str] | None = None,
) -> None:
    """The same, and ``kill -9`` for it and its workers, as soon as *reached* says so."""
    command = _as_user(fleet, playbook, arguments, inventory=inventory, variables=variables)
    kill_when(reached, command["args"], environment=command["env"], log=fleet.folder / "killed.log", seconds=1200)


def _as_user(
    fleet: Fleet,
    playbook: str | Path,
    arguments: t.Sequence[str],
    *,
    inventory: Json,
    variables: t.Mapping[str, str] | None,
) -> dict[str, t.Any]:
    path = fleet.folder / f"inventory-{uuid.uuid4().hex[:8]}.yml"
    path.write_text(yaml.safe_dump(inventory), encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-playbook"
    own = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(fleet.folder / "ansible"), **(variables or {})}
    return {
        "args": fleet.network.at_controller([program, "--inventory", path, playbook, *arguments]),
        "cwd": ROOT,
        "env": {**os.environ, **own},
    }
