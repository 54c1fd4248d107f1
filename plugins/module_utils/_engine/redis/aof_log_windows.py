# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Redis source can be recovered to: spans of seconds by its append-only files, points by its backups. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..recovery.windows import Gap, Window, Windows
from ..streams.stream import Stream
from .aof_log_chain import Chain, StoredPiece, Way, read_chain
from .aof_log_seconds import Seconds, seconds_of
from .snapshot_points import SnapshotPoint, moment_of, snapshot_points

#: What stands for the lineage where a backup alone is the window.
NO_LINEAGE = ""
_LAST_MOMENT = datetime.timedelta(microseconds=999_999)


@dataclass(frozen=True)
class _Run:
    """Ways that end in the same place: each later base lies on the way from the first one."""

    chain: Chain
    ways: tuple[tuple[Way, Seconds], ...]

    def spans(self) -> list[tuple[int, int]]:
        """The seconds that any of them reaches, as spans that don't overlap, in order."""
        found: list[tuple[int, int]] = []
        for low, high in sorted(span for _way, seconds in self.ways for span in seconds.spans()):
            if found and low <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(found[-1][1], high))
            else:
                found.append((low, high))
        return found


def aof_log_windows(bases: t.Sequence[Backup], streams: t.Sequence[Stream]) -> Windows:
    """See :data:`recovery.windows.WindowsOf`."""
    chains = sorted((read_chain(stream) for stream in streams), key=lambda chain: chain.begun)
    windows: list[Window] = []
    gaps: list[Gap] = []
    warnings = [f"{chain.lineage}: {problem.message}" for chain in chains for problem in chain.problems]
    for chain in chains:
        for run in _runs(chain):
            windows += _windows(run)
            gaps += _gaps(run)
        if not chain.ways and chain.stream.segments:
            warnings.append(f"{chain.lineage} has no base that is stored whole: nothing of it can be replayed yet.")
    points = snapshot_points(bases)
    if points and not any(chain.ways for chain in chains):
        warnings.append(
            "Without archived append-only files only the moments of the backups can be reached, and nothing in between."
        )
    windows += [_point(point) for point in points]
    return Windows(
        windows=tuple(sorted(windows, key=lambda window: (window.begins, window.ends))),
        gaps=tuple(gaps),
        warnings=tuple(warnings),
    )


def _runs(chain: Chain) -> list[_Run]:
    found: dict[tuple[int, int], list[tuple[Way, Seconds]]] = {}
    for way in chain.ways:
        found.setdefault(way.position, []).append((way, seconds_of(way)))
    return [_Run(chain=chain, ways=tuple(ways)) for _position, ways in sorted(found.items())]


def _windows(run: _Run) -> list[Window]:
    made = []
    longest = run.ways[0][0]
    for low, high in run.spans():
        inside = [way for way, seconds in run.ways if any(a <= high and low <= b for a, b in seconds.spans())]
        pieces = [*(one for way in inside for one in way.base.pieces), *_within(longest.pieces, low, high)]
        made.append(
            Window(
                lineage=run.chain.lineage,
                begins=moment_of(low),
                ends=moment_of(high) + _LAST_MOMENT,
                first=f"{inside[0].base.increment}:0",
                last=f"{longest.last}:{longest.length}",
                bases=tuple(way.base.pieces[0].stored.segment.name for way in inside),
                segments=len(pieces),
                stored_bytes=sum(one.stored.segment.payload.size for one in pieces),
            )
        )
    return made


def _within(pieces: t.Sequence[StoredPiece], low: int, high: int) -> list[StoredPiece]:
    """Those whose annotations touch the span, and those that have none."""
    return [
        one
        for one in pieces
        if one.piece.lowest is None
        or one.piece.highest is None
        or (one.piece.lowest <= high and one.piece.highest >= low)
    ]


def _gaps(run: _Run) -> list[Gap]:
    spans = run.spans()
    blocked = {one for _way, seconds in run.ways for one in seconds.blocked}
    made = [
        Gap(moment_of(one.first), moment_of(one.last) + _LAST_MOMENT, one.reason)
        for one in sorted(blocked, key=lambda one: (one.first, one.last))
        if not any(low <= one.first and one.last <= high for low, high in spans)
    ]
    longest, seconds = run.ways[0]
    if longest.end:
        ended = moment_of(seconds.last + 1)
        made.append(Gap(ended, _next_begin(run, after=seconds.last), longest.end))
    return made


def _next_begin(run: _Run, *, after: int) -> datetime.datetime | None:
    later = [seconds_of(way).first for way in run.chain.ways if way.position > run.ways[0][0].position]
    return moment_of(min(later)) if later and min(later) > after else None


def _point(point: SnapshotPoint) -> Window:
    manifest = point.backup.manifest
    return Window(
        lineage=NO_LINEAGE,
        begins=moment_of(point.second),
        ends=moment_of(point.second),
        first=manifest.backup_id,
        last=manifest.backup_id,
        bases=(manifest.backup_id,),
        stored_bytes=manifest.stored_bytes,
    )
