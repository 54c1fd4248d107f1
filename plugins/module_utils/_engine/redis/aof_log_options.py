# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archiving append-only files may be asked to do."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.options import flag, number, refuse_unknown
from .connection import RedisConnection

AOF_LOG_KEYS = ("turn_on_timestamps", "allow_cluster_node", "capture_seconds")
_OF = "redis aof-log"


@dataclass(frozen=True)
class AofLogOptions:
    """*turn_on_timestamps*: run CONFIG SET aof-timestamp-enabled yes where it is no; without it no second can be
    reached. *allow_cluster_node* takes one node of a cluster, which holds some of the slots only. *capture_seconds* is
    how long who follows waits between two captures.
    """

    connection: RedisConnection = field(default_factory=RedisConnection)
    turn_on_timestamps: bool = False
    allow_cluster_node: bool = False
    capture_seconds: float = 10.0


def aof_log_options(connection: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]) -> AofLogOptions:
    """The options of a description. Raises RequestInvalid."""
    refuse_unknown(options, known=AOF_LOG_KEYS, of=_OF)
    return AofLogOptions(
        connection=RedisConnection.from_description(connection),
        turn_on_timestamps=flag(options, "turn_on_timestamps", of=_OF),
        allow_cluster_node=flag(options, "allow_cluster_node", of=_OF),
        capture_seconds=number(options, "capture_seconds", of=_OF, default=10.0, at_most=3600),
    )
