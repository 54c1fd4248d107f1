# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From when to when a replica set can be brought to any moment, by manifests and records alone. Pure.

The oplog counts seconds, and a second counts as known when something later is: a window ends with the second before
that of its last entry. Its ``last`` is exact.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup
from ..recovery.windows import Gap, Window, Windows
from ..streams.stream import Stream
from .oplog_slice import Beginning
from .recovery_bases import RecoveryBase, Unfit, recovery_base
from .recovery_chains import Reach, StoredSlice, needed_slices, reach, read_slices
from .timestamps import Position, moment_of, position_text

_SECOND = datetime.timedelta(seconds=1)


@dataclass(frozen=True)
class _Span:
    """Slices of one lineage that hang together, and how far each base gets along them."""

    lineage: str
    slices: tuple[StoredSlice, ...]
    reaches: tuple[Reach, ...] = field(default_factory=tuple)

    @property
    def first(self) -> Position:
        return self.slices[0].first

    @property
    def last(self) -> Position:
        return max(one.last for one in self.slices)

    @property
    def beginning(self) -> Beginning | None:
        """Why its lineage begins, where it is the lineage's beginning."""
        return self.slices[0].facts.beginning


def windows_of(bases: t.Sequence[Backup], streams: t.Sequence[Stream]) -> Windows:
    """See :data:`recovery.windows.WindowsOf`. *streams* are all lineages of the source's oplog."""
    good, warnings = _bases(bases)
    spans: list[_Span] = []
    for stream in streams:
        slices, problems = read_slices(stream)
        warnings += [*problems, *(problem.message for problem in stream.problems)]
        spans += _spans(stream.folder.lineage, slices, good)
    spans.sort(key=lambda one: (one.last, one.first))
    windows = tuple(window for window in map(_window, spans) if window is not None)
    if spans and _window(spans[-1]) is None:
        since = position_text(spans[-1].first)
        warnings.append(f"Nothing since {since} can be recovered: the oplog is stored, and a full backup is missing.")
    return Windows(windows=windows, gaps=tuple(_gaps(spans)), warnings=tuple(warnings))


def _bases(backups: t.Sequence[Backup]) -> tuple[list[RecoveryBase], list[str]]:
    good: list[RecoveryBase] = []
    warnings: list[str] = []
    for backup in backups:
        found = recovery_base(backup)
        if isinstance(found, Unfit):
            warnings.append(f"{backup.manifest.backup_id} is no base of a recovery: {found.reason}.")
        else:
            good.append(found)
    return sorted(good, key=lambda one: (one.position, one.backup_id)), warnings


def _spans(lineage: str, slices: t.Sequence[StoredSlice], bases: t.Sequence[RecoveryBase]) -> list[_Span]:
    """The parts of a lineage that have no hole, in order."""
    parts: list[list[StoredSlice]] = []
    reached: Position | None = None
    for one in slices:
        if reached is None or one.first > reached:
            parts.append([])
            reached = one.last
        parts[-1].append(one)
        reached = max(reached, one.last)
    return [
        _Span(
            lineage=lineage,
            slices=tuple(part),
            reaches=tuple(reach(base, lineage=lineage, slices=part) for base in bases),
        )
        for part in parts
    ]


def _window(span: _Span) -> Window | None:
    """What can be reached along a span; None where no base can be brought forward by it."""
    usable = [one for one in span.reaches if one.run]
    if not usable:
        return None
    earliest = min(usable, key=lambda one: one.base.usable_from)
    first, last = earliest.base.usable_from, earliest.last
    slices = needed_slices(earliest, stop=earliest.end)
    begins = moment_of(first)
    return Window(
        lineage=span.lineage,
        begins=begins,
        ends=max(begins, moment_of(last) - _SECOND),
        first=position_text(first),
        last=position_text(last),
        bases=tuple(one.base.backup_id for one in sorted(usable, key=lambda one: one.base.usable_from)),
        segments=len(slices),
        stored_bytes=sum(one.stored.segment.payload.size for one in slices),
    )


def _gaps(spans: t.Sequence[_Span]) -> t.Iterator[Gap]:
    before: _Span | None = None
    for span in spans:
        if before is not None:
            yield _gap_between(before, span)
        window = _window(span)
        begins = moment_of(max(span.first, span.slices[0].facts.bases_from))
        if window is None:
            yield Gap(begins=begins, ends=moment_of(span.last), reason=_why_no_base(span))
        elif begins < window.begins:
            reason = f"No full backup from before {window.first} can be brought forward."
            yield Gap(begins=begins, ends=window.begins, reason=reason)
        before = span


def _gap_between(before: _Span, after: _Span) -> Gap:
    first = max(after.first, after.slices[0].facts.bases_from)
    begins, ends = moment_of(before.last), moment_of(max(first, before.last))
    beginning = after.beginning
    if beginning is not None and before.lineage != after.lineage:
        return Gap(begins=begins, ends=ends, reason=beginning.reason)
    return Gap(
        begins=begins,
        ends=ends,
        reason=f"Between {position_text(before.last)} and {position_text(after.first)} no slice is stored.",
    )


def _why_no_base(span: _Span) -> str:
    slices = f"{len(span.slices)} slices from {position_text(span.first)} to {position_text(span.last)}"
    candidates = [one for one in span.reaches if one.base.position <= span.last]
    if not candidates:
        return f"No full backup can be brought forward by the {slices}."
    nearest = max(candidates, key=lambda one: one.base.position)
    return (
        f"No full backup can be brought forward by the {slices}; the last one before is {nearest.base.backup_id}, but "
        f"{nearest.why_no_further}."
    )
