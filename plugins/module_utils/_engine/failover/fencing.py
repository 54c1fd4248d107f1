# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which an old primary is kept from writing, in the order in which they are tried. Pure."""

from __future__ import annotations

import typing as t

Json = t.Mapping[str, t.Any]

HOST, COMMAND = "host", "command"


def fencing_ways(fencing: Json, *, on_host: bool) -> list[dict[str, t.Any]]:
    """Each as ``{"way": "host"}`` or ``{"way": "command", "name": ..., "command": ...}``.

    *on_host* says whether anything is known of the server on its host. As ``methods`` has it, else the host first.
    """
    methods = fencing.get("methods") or ({"host": True}, {"command": fencing.get("command")})
    ways: list[dict[str, t.Any]] = []
    for method in methods:
        if method.get("host"):
            if on_host:
                ways.append({"way": HOST})
        elif method.get("command"):
            name = method.get("name") or f"command {sum(1 for one in ways if one['way'] == COMMAND) + 1}"
            ways.append({"way": COMMAND, "name": str(name), "command": str(method["command"])})
    return ways


def described_ways(ways: t.Sequence[Json], *, on_host: str) -> str:
    """The ways as a half-sentence; *on_host* says what is done on the host."""
    told = [on_host if one["way"] == HOST else f"run {one['command']!r} on the controller" for one in ways]
    return ", or ".join(told) or "there is no way"
