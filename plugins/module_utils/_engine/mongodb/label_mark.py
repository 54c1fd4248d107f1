# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery label in the oplog: a note of ours, or where that is not allowed, the newest write that a majority has."""

from __future__ import annotations

import typing as t

from ..core.errors import MongoNotAuthorised
from ..core.runner import Runner
from ..recovery.recovery_target import RecoveryTarget
from .connection import MongoConnection
from .faults import named_faults
from .oplog import majority_position
from .timestamps import Position, position_of

if t.TYPE_CHECKING:
    from .connection import Client


def mark(
    connection: t.Mapping[str, t.Any], *, name: str, runner: Runner
) -> tuple[RecoveryTarget, t.Mapping[str, t.Any]]:
    """Write a note into the oplog (it changes no data) and take its position. Raises what connecting raises."""
    client = MongoConnection.from_description(connection).open(runner=runner)
    with client:
        try:
            position, is_noted = _note(client, name), True
        except MongoNotAuthorised:
            position, is_noted = majority_position(client), False
    return RecoveryTarget(kind="optime", value=f"{position[0]}:{position[1]}"), {"note": is_noted}


def _note(client: Client, name: str) -> Position:
    command = {"appendOplogNote": 1, "data": {"lifeboat_label": name}, "writeConcern": {"w": "majority"}}
    with named_faults("Writing a note into the oplog", role="backup"):
        reply = client.admin.command(command)
    return position_of(reply["operationTime"])
