# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which an old primary is kept from writing, in the order in which they are tried. Pure."""

from __future__ import annotations

import typing as t

from ..core.description.duration import parse_duration

Json = t.Mapping[str, t.Any]

HOST, COMMAND, WITNESS = "host", "command", "witness"
#: The lease of a witness without one of its own.
LEASE = "30s"


def fencing_ways(fencing: Json, *, on_host: bool) -> list[dict[str, t.Any]]:
    """Each as ``{"way": "host"}``, ``{"way": "command", "name": ..., "command": ...}``, or ``{"way": "witness",
    "repository": ..., "lease": seconds}``.

    *on_host* says whether anything is known of the server on its host. As ``methods`` has it, else the host first.
    """
    methods: t.Sequence[Json] = fencing.get("methods") or ({"host": True}, {"command": fencing.get("command")})
    ways: list[dict[str, t.Any]] = []
    for method in methods:
        if method.get("host"):
            if on_host:
                ways.append({"way": HOST})
        elif method.get("witness"):
            ways.append(_witness(method["witness"]))
        elif method.get("command"):
            name = method.get("name") or f"command {sum(1 for one in ways if one['way'] == COMMAND) + 1}"
            ways.append({"way": COMMAND, "name": str(name), "command": str(method["command"])})
    return ways


def described_ways(ways: t.Sequence[Json], *, on_host: str) -> str:
    """The ways as a half-sentence; *on_host* says what is done on the host."""
    return ", or ".join(_described(one, on_host=on_host) for one in ways) or "there is no way"


def witness_of(fencing: Json) -> dict[str, t.Any] | None:
    """The witness among the ways, as :func:`fencing_ways` has it; None when none is described."""
    return next((_witness(one["witness"]) for one in fencing.get("methods") or () if one.get("witness")), None)


def _described(way: Json, *, on_host: str) -> str:
    if way["way"] == WITNESS:
        return f"take its lease in {way['repository']} and wait until it has ended ({way['lease']} s)"
    return on_host if way["way"] == HOST else f"run {way['command']!r} on the controller"


def _witness(described: Json) -> dict[str, t.Any]:
    lease = parse_duration(str(described.get("lease") or LEASE))
    return {"way": WITNESS, "repository": str(described["repository"]), "lease": int(lease.total_seconds())}
