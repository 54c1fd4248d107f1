# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB's cluster times and oplog positions: (seconds since 1970, ordinal), as JSON and as RFC 3339."""

from __future__ import annotations

import datetime
import re
import typing as t

from ..core.clock import format_time

if t.TYPE_CHECKING:
    import bson

Position = tuple[int, int]

_TEXT = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")


def position_of(timestamp: bson.Timestamp) -> Position:
    """A BSON timestamp as a pair that sorts by time."""
    return timestamp.time, timestamp.inc


def timestamp_of(position: Position) -> bson.Timestamp:
    """The inverse of :func:`position_of`."""
    import bson

    return bson.Timestamp(*position)


def as_json(position: Position) -> dict[str, t.Any]:
    """``{"t": seconds, "i": ordinal, "time": RFC 3339}``, as it stands in manifests."""
    seconds, ordinal = position
    return {"t": seconds, "i": ordinal, "time": format_time(moment_of(position))}


def position_text(position: Position) -> str:
    """``1763751600:4``: seconds and ordinal, as targets, windows and the facts of slices have it."""
    return f"{position[0]}:{position[1]}"


def position_from_text(text: str) -> Position:
    """The inverse of :func:`position_text`. Raises ValueError for anything else."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no position such as 1763751600:4")
    return int(found[1]), int(found[2])


def moment_of(position: Position) -> datetime.datetime:
    """The second in which something of that position happened, aware, in UTC."""
    return datetime.datetime.fromtimestamp(position[0], tz=datetime.timezone.utc)
