# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the capture of an oplog may be told, checked before anything is touched."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import number, refuse_unknown
from .connection import MongoConnection
from .description import choice, mapping
from .topology import READ_PREFERENCES

_KEYS = (
    "connection",
    "read_preference",
    "max_lag_seconds",
    "capture_seconds",
    "idle_seconds",
    "slice_mib",
    "slice_entries",
    "oplog_hours_wanted",
    "keep_oplog_hours",
)
_MIB = 1024 * 1024
_LONGEST_HOURS = 24.0 * 366


@dataclass(frozen=True)
class OplogOptions:
    """The stream of one replica set.

    *capture_seconds* is how long a follower waits between two captures, *idle_seconds* how often a slice is stored
    while nobody writes (then the server notes every ten seconds that it lives). A slice ends at *slice_bytes* or
    *slice_entries*. With less than *hours_wanted* of oplog in front of the capture there is a warning;
    *keep_oplog_hours* has the servers keep at least so much (storage.oplogMinRetentionHours), until it is taken out.
    """

    connection: MongoConnection
    read_preference: str = READ_PREFERENCES[0]
    max_lag_seconds: float = 60.0
    capture_seconds: float = 10.0
    idle_seconds: float = 60.0
    slice_bytes: int = 64 * _MIB
    slice_entries: int = 1_000_000
    hours_wanted: float = 24.0
    keep_oplog_hours: float | None = None


def oplog_options_from_description(description: t.Mapping[str, t.Any]) -> OplogOptions:
    """The options of a description. Raises RequestInvalid for unknown keys, wrong types and contradictions."""
    of = "mongodb oplog"
    refuse_unknown(description, known=_KEYS, of=of)
    keep: float | None = None
    if description.get("keep_oplog_hours") is not None:
        keep = number(description, "keep_oplog_hours", of=of, default=0.0, at_most=_LONGEST_HOURS)
    return OplogOptions(
        connection=MongoConnection.from_description(mapping(description, "connection", of=of)),
        read_preference=choice(
            description, "read_preference", of=of, choices=READ_PREFERENCES, default=READ_PREFERENCES[0]
        ),
        max_lag_seconds=number(description, "max_lag_seconds", of=of, default=60.0, at_most=86400.0),
        capture_seconds=number(description, "capture_seconds", of=of, default=10.0, at_most=3600.0),
        idle_seconds=number(description, "idle_seconds", of=of, default=60.0, at_most=3600.0),
        slice_bytes=_whole(description, "slice_mib", of=of, default=64, at_most=1024) * _MIB,
        slice_entries=_whole(description, "slice_entries", of=of, default=1_000_000, at_most=100_000_000),
        hours_wanted=number(description, "oplog_hours_wanted", of=of, default=24.0, at_most=_LONGEST_HOURS),
        keep_oplog_hours=keep,
    )


def _whole(description: t.Mapping[str, t.Any], key: str, *, of: str, default: int, at_most: int) -> int:
    found = number(description, key, of=of, default=default, at_most=at_most)
    if found != int(found) or found < 1:
        raise RequestInvalid(f"{of}.{key} must be a whole number from 1 on, not {description[key]!r}.")
    return int(found)
