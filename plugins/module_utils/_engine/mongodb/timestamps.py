# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB's cluster times and oplog positions: (seconds since 1970, ordinal), as JSON and as RFC 3339."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time

if t.TYPE_CHECKING:
    import bson

Position = tuple[int, int]


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
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return {"t": seconds, "i": ordinal, "time": format_time(moment)}
