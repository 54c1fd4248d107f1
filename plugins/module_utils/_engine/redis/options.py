# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Redis backup may be asked to be."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid
from ..core.options import flag, number, refuse_unknown
from .connection import RedisConnection

KINDS = ("rdb", "aof")
METHODS = ("auto", "bgsave", "sync")
_KEYS = ("connection", "kind", "method", "timeout", "allow_cluster_node", "record_digest")
_OF = "redis backup"


@dataclass(frozen=True)
class RedisSnapshotOptions:
    """*method* is for the kind rdb: ``auto`` takes the server's file where this host has it, else SYNC.

    *timeout* (seconds) bounds everything that the server is waited for. *allow_cluster_node* takes one node of a
    cluster, which holds some of the slots only. *record_digest* notes the server's digest of all data.
    """

    connection: RedisConnection = field(default_factory=RedisConnection)
    kind: str = "rdb"
    method: str = "auto"
    timeout: float = 3600.0
    allow_cluster_node: bool = False
    record_digest: bool = False


def options_from_description(description: t.Mapping[str, t.Any], *, kind: str | None = None) -> RedisSnapshotOptions:
    """The options of a description; *kind* stands in for its key ``kind``. Raises RequestInvalid."""
    refuse_unknown(description, known=_KEYS, of=_OF)
    chosen = _choice(description, "kind", choices=KINDS, default=kind or "rdb")
    if kind is not None and chosen != kind:
        raise RequestInvalid(f"This is a {kind} backup, but its options say kind: {chosen}.")
    if chosen == "aof" and description.get("method") is not None:
        raise RequestInvalid("A backup of the kind aof has no method.", hint="Leave method out, or use kind: rdb.")
    connection = description.get("connection")
    if connection is not None and not isinstance(connection, t.Mapping):
        raise RequestInvalid("connection must be a mapping such as {host: 127.0.0.1, port: 6379}.")
    return RedisSnapshotOptions(
        connection=RedisConnection.from_description(connection or {}),
        kind=chosen,
        method=_choice(description, "method", choices=METHODS, default="auto"),
        timeout=number(description, "timeout", of=_OF, default=3600.0, at_most=7 * 86400),
        allow_cluster_node=flag(description, "allow_cluster_node", of=_OF),
        record_digest=flag(description, "record_digest", of=_OF),
    )


def _choice(description: t.Mapping[str, t.Any], key: str, *, choices: tuple[str, ...], default: str) -> str:
    value = description.get(key)
    if value is None:
        return default
    if value not in choices:
        raise RequestInvalid(f"{_OF}.{key} must be one of {', '.join(choices)}, not {value!r}.")
    return str(value)
