# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures and tables for people: sizes, durations, ages and plain-text columns."""

from __future__ import annotations

import datetime
import typing as t

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def format_bytes(count: int | None) -> str:
    """Decimal units with three digits: ``71.3 MB``; a dash when unknown."""
    if count is None:
        return "-"
    if count < 1000:
        return f"{count} B"
    power = 1
    # What three digits would round up to a thousand belongs to the next unit.
    while count >= 999.5 * 1000**power and power < len(_UNITS) - 1:
        power += 1
    value = count / 1000**power
    return f"{value:.3g} {_UNITS[power]}" if value < 999.5 else f"{value:.0f} {_UNITS[power]}"


def format_seconds(seconds: float | None) -> str:
    """``0.8 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; a dash when unknown."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = max(int(seconds), 10)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def format_age(moment: datetime.datetime, *, now: datetime.datetime) -> str:
    """How long ago, in words; "in ..." for the future."""
    seconds = (now - moment).total_seconds()
    return f"{format_seconds(seconds)} ago" if seconds >= 0 else f"in {format_seconds(-seconds)}"


def format_table(columns: t.Sequence[str], rows: t.Sequence[t.Sequence[str]], *, right: t.Collection[str] = ()) -> str:
    """Columns aligned by spaces under a heading and a rule; those named in *right* are set to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[position]) for row in cells)]) for position, name in enumerate(columns)]

    def line(row: t.Sequence[str]) -> str:
        set_cells = (
            cell.rjust(width) if name in right else cell.ljust(width) for name, cell, width in zip(columns, row, widths)
        )
        return "  ".join(set_cells).rstrip()

    return "\n".join([line(columns), "  ".join("-" * width for width in widths), *(line(row) for row in cells)])
