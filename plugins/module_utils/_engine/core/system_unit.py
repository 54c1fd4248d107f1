# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which systemd unit a process belongs to, for the one command that restarts its server."""

from __future__ import annotations

import re

_UNIT = re.compile(r"/([A-Za-z0-9:_.@\\-]+)\.service(?:/|$)")


def unit_of(process: int, *, program: str) -> str | None:
    """The unit of a process of this host; None when it is in none, or is not the *program* that it should be.

    The number of a process of another host or container says nothing here, so its name is compared.
    """
    name = _read(f"/proc/{process}/comm").strip()
    # Both may be followed by a version or a suffix: valkey-server, postgres.
    if not name.startswith(program):
        return None
    for line in _read(f"/proc/{process}/cgroup").splitlines():
        found = _UNIT.findall(line)
        if found and program in found[-1]:
            return f"{found[-1]}.service"
    return None


def parent_of(process: int) -> int | None:
    """The number of the process that started it; None when there is no such process here."""
    found = re.search(r"(?m)^PPid:\s*(\d+)", _read(f"/proc/{process}/status"))
    return int(found[1]) if found else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
