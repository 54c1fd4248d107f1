# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in the spool, in order of commitment, and what must not be stored."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.layout import Series
from ..core.errors import StreamSegmentGone, StreamSegmentRefused
from .layout import StreamFolder
from .segment import SegmentDescription
from .source import StreamSource
from .spool import Spool, SpoolEntry


@dataclass(frozen=True)
class WaitingSegment:
    """One file of the spool that may be stored: what it is, and to which lineage it belongs."""

    entry: SpoolEntry
    folder: StreamFolder
    description: SegmentDescription

    @property
    def name(self) -> str:
        """The segment's name in its lineage."""
        return self.description.name


@dataclass(frozen=True)
class SpoolView:
    """The spool at one moment: *segments* in order of commitment, *refused* with the reason, *held* behind those.

    *entries* is all of them.
    """

    entries: tuple[SpoolEntry, ...] = ()
    segments: tuple[WaitingSegment, ...] = ()
    refused: tuple[StreamSegmentRefused, ...] = ()
    held: tuple[SpoolEntry, ...] = ()

    @property
    def used(self) -> int:
        """Bytes that wait."""
        return sum(entry.size for entry in self.entries)


_Described = t.Union[WaitingSegment, StreamSegmentRefused]


class SpoolWatch:
    """Looks into the spool; each file is described once, however often it is seen."""

    def __init__(self, *, spool: Spool, source: StreamSource, series: Series) -> None:
        self._spool = spool
        self._source = source
        self._series = series
        self._described: dict[SpoolEntry, _Described] = {}

    def look(self) -> SpoolView:
        """What waits now. Raises StreamSpoolUnusable.

        A folder that is being filled while it is listed may show a file and not the one that came before it. So it is
        listed twice, and of each lineage only what comes no later than a file of the first list is taken: whatever came
        before that is in the second one.
        """
        first = set(self._spool.entries())
        entries = self._spool.entries()
        in_order, refused = self._sorted(entries)
        described = {entry: self._describe(entry) for entry in in_order}
        self._described = {entry: found for entry, found in described.items() if found is not None}
        blocked: set[str] = set()
        is_blocked = False
        held: list[SpoolEntry] = []
        by_lineage: dict[str, list[WaitingSegment]] = {}
        for entry, found in self._described.items():
            if isinstance(found, StreamSegmentRefused):
                refused.append(found)
                lineage = found.details.get("lineage")
                is_blocked = is_blocked or not lineage
                blocked.add(str(lineage))
            elif is_blocked or found.folder.lineage in blocked:
                held.append(entry)
            else:
                by_lineage.setdefault(found.folder.lineage, []).append(found)
        segments = [each for found in by_lineage.values() for each in _up_to_last(found, first)]
        return SpoolView(entries=tuple(entries), segments=tuple(segments), refused=tuple(refused), held=tuple(held))

    def _sorted(self, entries: t.Sequence[SpoolEntry]) -> tuple[list[SpoolEntry], list[StreamSegmentRefused]]:
        keyed: list[tuple[tuple[t.Any, ...], SpoolEntry]] = []
        refused: list[StreamSegmentRefused] = []
        for entry in entries:
            try:
                keyed.append((self._source.order(entry.name), entry))
            except StreamSegmentRefused as error:
                error.details.setdefault("segment", entry.name)
                refused.append(error)
        return [entry for _key, entry in sorted(keyed, key=lambda pair: pair[0])], refused

    def _describe(self, entry: SpoolEntry) -> _Described | None:
        known = self._described.get(entry)
        if isinstance(known, WaitingSegment):
            return known
        try:
            lineage, description = self._source.describe(entry)
        except StreamSegmentRefused as error:
            error.details.setdefault("segment", entry.name)
            return error
        except (StreamSegmentGone, FileNotFoundError):
            return None  # gone since it was listed; the next look has the truth
        folder = StreamFolder(series=self._series, lineage=lineage)
        return WaitingSegment(entry=entry, folder=folder, description=description)


def _up_to_last(segments: t.Sequence[WaitingSegment], listed: t.Collection[SpoolEntry]) -> t.Sequence[WaitingSegment]:
    last = max((number for number, segment in enumerate(segments) if segment.entry in listed), default=-1)
    return segments[: last + 1]
