# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy would do and what became of it, as people read it."""

from __future__ import annotations

import typing as t

from ..operations.copy_results import BackupOutcome, CopyResult, StreamOutcome
from ..operations.copy_values import CopyPlan, LeftOutBackup, PlannedDocument, PlannedStream
from .text import format_bytes, format_seconds, format_table

_MOST_SKIPPED = 50
_SEVERAL = "verifications, pins or labels"


def copy_plan_text(plan: CopyPlan, *, everything: bool = False) -> str:
    """What is lacking where, from where it comes and why; with *everything* all that does not come, too."""
    if plan.is_empty:
        lines = [f"Nothing is lacking in {', '.join(plan.targets)}."]
    else:
        streams = [stream for stream in plan.streams if not stream.is_empty]
        segments = _count(sum(one.segments for one in streams), "segment")
        counts = f"{_count(len(plan.backups), 'backup')}, {segments} and {_count(len(plan.documents), 'document')}"
        lines = [f"{counts} would be copied, {format_bytes(plan.bytes)} at most"]
        rows = [
            [
                planned.target,
                planned.backup.manifest.folder.series.folder.rstrip("/"),
                planned.backup.manifest.backup_id,
                "repair" if planned.repairs else "copy",
                format_bytes(planned.bytes),
                planned.sources[0],
                planned.reason,
            ]
            for planned in plan.backups
        ]
        if rows:
            columns = ("TO", "JOB", "ID", "DO", "STORED", "FROM", "WHY")
            lines.append(format_table(columns, rows, right=("STORED",)))
        lines += [_stream_line(stream) for stream in streams]
        lines += _documents(plan.documents)
    lines += _left_out(plan.left_out, everything=everything)
    lines += [f"could not be read: {problem.message} [{problem.code}]" for problem in plan.problems]
    return "\n".join(lines)


def copy_result_text(result: CopyResult, *, everything: bool = False) -> str:
    """What was copied, and what is lacking still."""
    lines = [_outcome_line(outcome) for outcome in result.backups]
    lines += [_stream_outcome_line(outcome) for outcome in result.streams]
    lines += _documents(result.documents)
    lines += _left_out(result.plan.left_out, everything=everything)
    lines += [f"{name}: {error.message} [{error.code}]" for name, error in result.errors.items()]
    moved = f"{format_bytes(result.bytes)} in {format_seconds(result.seconds)}"
    if result.error is not None:
        lines.append(f"Copied {moved}; not everything is everywhere yet.")
    elif result.changed:
        lines.append(f"Copied {moved}; nothing is lacking.")
    else:
        lines.append(f"Nothing is lacking in {', '.join(result.plan.targets)}.")
    return "\n".join(lines)


def _outcome_line(outcome: BackupOutcome) -> str:
    manifest = outcome.planned.backup.manifest
    source = f" from {outcome.source}" if outcome.source else ""
    kept = f", {_count(outcome.kept, 'object')} there already" if outcome.kept else ""
    what = f"{manifest.folder.key('')} to {outcome.planned.target}"
    problem = f": {outcome.error.message} [{outcome.error.code}]" if outcome.error else ""
    note = f": {outcome.note}" if outcome.note else ""
    return f"{outcome.state:8}  {what}{source}, {format_bytes(outcome.bytes)}{kept}{problem}{note}"


def _stream_outcome_line(outcome: StreamOutcome) -> str:
    parts = [f"{_count(outcome.segments, 'segment')} recorded", format_bytes(outcome.bytes)]
    if outcome.kept:
        parts.append(f"{outcome.kept} there already")
    if outcome.events:
        parts.append(_count(outcome.events, "event"))
    if outcome.gone:
        parts.append(f"{outcome.gone} removed by retention meanwhile")
    if outcome.lacking:
        parts.append(f"{outcome.lacking} lacking")
    problem = f": {outcome.error.message} [{outcome.error.code}]" if outcome.error else ""
    return (
        f"{outcome.state:8}  {outcome.planned.folder.prefix} to {outcome.planned.target}, {', '.join(parts)}{problem}"
    )


def _stream_line(stream: PlannedStream) -> str:
    hours = sorted({hour for hours in stream.hours.values() for hour in hours})
    events = f", {_count(stream.events, 'event')}" if stream.events else ""
    span = f" of {_count(len(hours), 'hour')}" if hours else ""
    return (
        f"{stream.folder.prefix} to {stream.target}: {_count(stream.segments, 'segment')}{span}, "
        f"{format_bytes(stream.bytes)}{events}, from {', '.join(stream.hours)}"
    )


def _documents(documents: t.Sequence[PlannedDocument]) -> list[str]:
    by_target: dict[str, int] = {}
    for document in documents:
        by_target[document.target] = by_target.get(document.target, 0) + 1
    return [
        f"{_count(count, 'verification, pin or label', several=_SEVERAL)} to {name}"
        for name, count in by_target.items()
    ]


def _left_out(left_out: t.Sequence[LeftOutBackup], *, everything: bool) -> list[str]:
    shown = [one for one in left_out if one.is_problem or everything]
    lines = [
        f"lacking   {one.backup.manifest.folder.key('')} in {one.target}: {one.reason}" for one in shown[:_MOST_SKIPPED]
    ]
    if len(shown) > _MOST_SKIPPED:
        lines.append(f"and {len(shown) - _MOST_SKIPPED} more; --json names all")
    hidden = len(left_out) - len(shown)
    if hidden:
        lines.append(f"{_count(hidden, 'backup')} not wanted there; --all says why")
    return lines


def _count(number: int, what: str, *, several: str = "") -> str:
    return f"{number} {what if number == 1 else several or what + 's'}"
