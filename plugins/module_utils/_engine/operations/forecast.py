# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a recovery will take, from recoveries that were measured: verifications at level 3 and restores. Pure."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """A recovery that was measured: *seconds* for *plain_bytes* (None when the size was not known)."""

    seconds: float
    plain_bytes: int | None


@dataclass(frozen=True)
class Forecast:
    """Seconds that the next recovery will take, the range that was seen, on what sizes, and how often.

    *seconds* is the median of what was seen, each stretched to the size of the backup at hand where that is larger.
    """

    seconds: float
    fastest: float
    slowest: float
    smallest_bytes: int | None
    largest_bytes: int | None
    count: int

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "seconds": round(self.seconds, 1),
            "fastest": round(self.fastest, 1),
            "slowest": round(self.slowest, 1),
            "smallest_bytes": self.smallest_bytes,
            "largest_bytes": self.largest_bytes,
            "count": self.count,
        }


def forecast(observations: t.Sequence[Observation], *, plain_bytes: int | None) -> Forecast | None:
    """The forecast for a backup of *plain_bytes*; None when nothing was ever measured.

    A smaller backup is not taken to be faster: part of every recovery does not depend on the size.
    """
    if not observations:
        return None
    stretched = [
        one.seconds * max(1.0, plain_bytes / one.plain_bytes) if plain_bytes and one.plain_bytes else one.seconds
        for one in observations
    ]
    sizes = [one.plain_bytes for one in observations if one.plain_bytes is not None]
    seconds = [one.seconds for one in observations]
    return Forecast(
        seconds=statistics.median(stretched),
        fastest=min(seconds),
        slowest=max(seconds),
        smallest_bytes=min(sizes, default=None),
        largest_bytes=max(sizes, default=None),
        count=len(observations),
    )
