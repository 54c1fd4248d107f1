# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source can be recovered to, as people read it."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from ..recovery.label import Label
from ..recovery.windows import Gap, Window, Windows
from .text import format_age, format_bytes, format_seconds


def windows_text(name: str, windows: Windows, *, now: datetime.datetime) -> str:
    """The windows of a source, newest last, each with its bases; then what is missing, and why."""
    lines = [name]
    if not windows.windows:
        lines.append("  no moment can be reached: there is no base with an unbroken stream behind it")
    lines += [line for window in windows.windows for line in _window(window, now=now)]
    lines += [_gap(gap) for gap in windows.gaps]
    lines += [f"  warning: {warning}" for warning in windows.warnings]
    return "\n".join(lines)


def labels_text(labels: t.Sequence[Label]) -> str:
    """Recovery labels with the point of each source."""
    if not labels:
        return "no labels"
    lines = []
    for label in labels:
        lines.append(
            f"{label.name} of {label.service}: {format_time(label.made)}, skew at most {label.skew_seconds:.3f} s"
        )
        lines += [
            f"  {point.source} ({point.engine}): {point.target.kind} {point.target.value}" for point in label.points
        ]
        lines += [
            f"  {files.source} (files): {files.backup_id}, as of {format_time(files.finished)}, "
            f"{format_seconds((label.made - files.finished).total_seconds())} before"
            for files in label.files
        ]
    return "\n".join(lines)


def _window(window: Window, *, now: datetime.datetime) -> list[str]:
    bases = f"{len(window.bases)} bases, the newest {window.bases[-1]}" if window.bases else "no base"
    ago = format_age(window.ends, now=now)
    span = "any moment from {} to {}".format(*_ends(window))
    if window.begins == window.ends:
        span = f"the moment {_second(window.ends)}"
    return [
        f"  {span} ({ago})",
        f"    {window.first} to {window.last}, lineage {window.lineage}; {bases}",
        f"    {window.segments} segments, {format_bytes(window.stored_bytes)}",
    ]


def _gap(gap: Gap) -> str:
    begins, ends = (_second(one) if one else "?" for one in (gap.begins, gap.ends))
    return f"  GAP from {begins} to {ends}: {gap.reason}"


def _ends(window: Window) -> tuple[str, str]:
    """Both in whole seconds that lie inside of it; exactly, where there is none."""
    first, last = window.begins.replace(microsecond=0), window.ends.replace(microsecond=0)
    if first != window.begins:
        first += datetime.timedelta(seconds=1)
    if first > last:
        first, last = window.begins, window.ends
    return format_time(first), format_time(last)


def _second(moment: datetime.datetime) -> str:
    return format_time(moment.replace(microsecond=0))
