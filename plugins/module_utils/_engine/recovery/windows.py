# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoverable windows: from when to when a source can be brought to any moment, and why not in between."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup
from ..core.clock import format_time
from ..streams.stream import Stream


@dataclass(frozen=True)
class Window:
    """An unbroken span of one lineage that starts at the end of a base.

    *begins* and *ends* are aware, UTC, by the source's clock; *first* and *last* the same in the engine's own positions
    ("1/0/3000148": timeline and LSN, "1763751600:4"). *bases* are the ids of the backups inside, each of which can be
    where a recovery starts. *segments* counts the segments, *stored_bytes* their bytes.
    """

    lineage: str
    begins: datetime.datetime
    ends: datetime.datetime
    first: str
    last: str
    bases: tuple[str, ...]
    segments: int = 0
    stored_bytes: int = 0

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "lineage": self.lineage,
            "begins": format_time(self.begins),
            "ends": format_time(self.ends),
            "first": self.first,
            "last": self.last,
            "bases": list(self.bases),
            "segments": self.segments,
            "stored_bytes": self.stored_bytes,
        }


@dataclass(frozen=True)
class Gap:
    """A span that can't be reached, and why ("000000010000000000000007 is in no repository")."""

    begins: datetime.datetime | None
    ends: datetime.datetime | None
    reason: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        begins, ends = (format_time(one) if one else None for one in (self.begins, self.ends))
        return {"begins": begins, "ends": ends, "reason": self.reason}


@dataclass(frozen=True)
class Windows:
    """Everything that one source can be recovered to, by what the repositories say; no server was asked."""

    windows: tuple[Window, ...]
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "windows": [window.as_dict() for window in self.windows],
            "gaps": [gap.as_dict() for gap in self.gaps],
            "warnings": list(self.warnings),
        }


#: A database room's view of its bases and streams: ``postgresql/wal_windows.py`` and its like. Pure.
WindowsOf = t.Callable[[t.Sequence[Backup], t.Sequence[Stream]], Windows]
