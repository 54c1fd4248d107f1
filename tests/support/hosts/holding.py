# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hosts for whoever is not a test: ``python -m tests.support.hosts.holding INVENTORY NAME...``

INVENTORY is written when the hosts can be reached, and says how. They are gone, with all that they left on this
machine, when somebody removes that file; ``lifeboat_hosts_folder`` in it is gone last.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import yaml

from tests.support.hosts.fleet import Fleet, fleet
from tests.support.hosts.playing import inventory
from tests.support.hosts.root_file_system import wheelhouse


def reachable(hosts: Fleet) -> dict[str, object]:
    """An inventory for an Ansible that runs anywhere on this machine, as root."""
    program = hosts.folder / "ssh"
    words = " ".join(hosts.network.at_controller(["ssh"]))
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    of_all = {
        "ansible_ssh_executable": str(program),
        # Everything goes through that program, files too.
        "ansible_ssh_transfer_method": "piped",
        # The hosts' own: nothing is prepared for Ansible.
        "ansible_python_interpreter": "/usr/bin/python3",
        "agent_wheelhouse": str(wheelhouse()),
        "lifeboat_hosts_folder": str(hosts.folder),
    }
    return inventory(hosts, of_all=of_all)


def main(arguments: list[str]) -> int:
    """Hold them; the exit status."""
    place, names = Path(arguments[0]), arguments[1:]
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    with fleet(*names) as hosts:
        unfinished = place.with_suffix(".unfinished")
        unfinished.write_text(yaml.safe_dump(reachable(hosts)), encoding="utf-8")
        unfinished.rename(place)
        while place.exists():
            time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
