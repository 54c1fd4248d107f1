# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From when to when a cluster can be recovered, by manifests and records alone: base backups and unbroken WAL. Pure.

Each timeline has windows of its own, so the abandoned end of one is there beside what was written instead of it.
"""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..recovery.windows import Gap, Window, Windows
from ..streams.stream import Stream
from .recovery_archive import WalArchive, archive_of
from .recovery_bases import Bases, RecoveryBase, usable_bases
from .recovery_way import Run, Way, ways_of
from .wal_names import USUAL_SEGMENT_SIZE, format_lsn


@dataclass(frozen=True)
class Lineage:
    """One cluster, by its system identifier: its WAL, its bases, its timelines."""

    archive: WalArchive
    bases: tuple[RecoveryBase, ...]
    ways: t.Mapping[int, Way]
    stream: Stream

    @property
    def newest(self) -> datetime.datetime:
        """The last moment that is known of it."""
        moments = [base.finished for base in self.bases]
        moments += [
            moment for timeline in self.archive.numbers if (moment := self.archive.stored_until(timeline)) is not None
        ]
        return max(moments, default=datetime.datetime.min.replace(tzinfo=datetime.timezone.utc))


def lineages_of(bases: Bases, streams: t.Sequence[Stream]) -> list[Lineage]:
    """Bases and WAL put together, the cluster that was written to last first. Without a stream there is no lineage."""
    found = []
    for stream in streams:
        own = tuple(base for base in bases.usable if base.system_identifier == stream.folder.lineage)
        size = own[-1].segment_size if own else _size_of(stream)
        archive = archive_of(stream, segment_size=size)
        found.append(Lineage(archive=archive, bases=own, ways=ways_of(archive, own), stream=stream))
    return sorted(found, key=lambda lineage: lineage.newest, reverse=True)


def wal_windows(backups: t.Sequence[Backup], streams: t.Sequence[Stream]) -> Windows:
    """The windows of every cluster that this source ever was, oldest first, with the gaps and why."""
    bases = usable_bases(backups)
    windows: list[Window] = []
    gaps: list[Gap] = []
    warnings = list(bases.passed_over)
    for lineage in lineages_of(bases, streams):
        found, holes = windows_of(lineage)
        windows += found
        gaps += holes
        warnings += _warnings(lineage)
    with_wal = {stream.folder.lineage for stream in streams}
    for identifier in sorted({base.system_identifier for base in bases.usable} - with_wal):
        warnings.append(f"There are base backups of the cluster {identifier}, and no WAL of it is stored.")
    return Windows(
        windows=tuple(sorted(windows, key=lambda one: (one.begins, one.last))),
        gaps=tuple(sorted(gaps, key=lambda one: one.begins.timestamp() if one.begins else 0.0)),
        warnings=tuple(warnings),
    )


def windows_of(lineage: Lineage) -> tuple[list[Window], list[Gap]]:
    """The windows and gaps of one cluster."""
    windows: list[Window] = []
    gaps: list[Gap] = []
    ends: dict[int, datetime.datetime] = {}
    for timeline in sorted(lineage.ways):
        way = lineage.ways[timeline]
        begins = _begin_of(way)
        pieces = _pieces(way)
        own = [_window(way, runs, begins=begins) for runs in pieces]
        windows += own
        gaps += _gaps_between(own, pieces)
        ancestors = way.history.ancestors
        if own and ancestors and begins is not None:
            before = ends.get(ancestors[-1].timeline)
            if before is not None and before < begins and not way.archive.continues(timeline):
                reason = (
                    f"timeline {ancestors[-1].timeline} was left at {format_lsn(ancestors[-1].switch)} for timeline "
                )
                gaps.append(Gap(begins=before, ends=begins, reason=f"{reason}{timeline}, which begins here"))
        if own:
            ends[timeline] = max(one.ends for one in own)
    return windows, gaps


def _pieces(way: Way) -> list[list[Run]]:
    """The runs that reach into the timeline's own part, those that end at the same hole together."""
    begins = way.history.begins
    reaching = [run for run in way.runs() if run.base.timeline == way.timeline or run.end > begins]
    ordered = sorted(reaching, key=lambda run: (run.last, run.base.end))
    return [list(group) for _last, group in itertools.groupby(ordered, key=lambda run: run.last)]


def _window(way: Way, runs: t.Sequence[Run], *, begins: datetime.datetime | None) -> Window:
    size = way.archive.segment_size
    first = runs[0]
    own = [run.base for run in runs if run.base.timeline == way.timeline]
    inherited = [run.base for run in runs if run.base.timeline != way.timeline]
    start = max(first.base.end, way.history.begins)
    moment = begins if inherited and begins is not None else first.base.finished
    counted = first.segments(first=start // size)
    until = max(run.until for run in runs)
    return Window(
        lineage=way.archive.lineage,
        begins=min(moment, until),
        ends=until,
        first=f"{way.timeline}/{format_lsn(start)}",
        last=f"{way.timeline}/{format_lsn(max(run.end for run in runs))}",
        bases=tuple(base.backup_id for base in (own or inherited[-1:])),
        segments=len(counted),
        stored_bytes=sum(one.segment.payload.size for one in counted),
    )


def _gaps_between(windows: t.Sequence[Window], pieces: t.Sequence[t.Sequence[Run]]) -> list[Gap]:
    found = []
    for index, (window, runs) in enumerate(zip(windows, pieces)):
        if not runs[-1].goes_on:
            continue
        after = windows[index + 1] if index + 1 < len(windows) else None
        found.append(Gap(begins=window.ends, ends=after.begins if after else None, reason=runs[-1].hole))
    return found


def _begin_of(way: Way) -> datetime.datetime | None:
    """From when on what was committed is of this timeline; None for the first, and where nobody knows."""
    if not way.history.ancestors:
        return None
    if way.archive.continues(way.timeline):
        parent = way.history.ancestors[-1].timeline
        return way.archive.stored_until(parent) or way.archive.created.get(way.timeline)
    return way.archive.created.get(way.timeline)


def _size_of(stream: Stream) -> int:
    """What the first record says."""
    for stored in stream.segments:
        size = stored.segment.facts.get("segment_size")
        if isinstance(size, int):
            return size
    return USUAL_SEGMENT_SIZE


def _warnings(lineage: Lineage) -> list[str]:
    archive = lineage.archive
    found = [f"{reason}." for _name, reason in sorted(archive.unusable.items())]
    found += [
        f"WAL of timeline {timeline} is stored without {timeline:08X}.history, so where it began is not known."
        for timeline in sorted(archive.numbers)
        if timeline not in archive.histories
    ]
    if not lineage.bases:
        found.append(f"WAL of the cluster {archive.lineage} is stored, and no base backup of it can be used.")
    return found
