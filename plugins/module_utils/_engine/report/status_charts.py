# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small charts as SVG that stands inside of a page: bars of one figure over the newest backups."""

from __future__ import annotations

import html
import typing as t
from dataclasses import dataclass

_WIDTH, _HEIGHT, _BASE = 240, 56, 52
_GAP = 2


@dataclass(frozen=True)
class Bar:
    """One bar: its *value*, what is told when a pointer rests on it, and whether it is one to look at."""

    value: float
    told: str
    is_bad: bool = False


def bars(values: t.Sequence[Bar], *, title: str) -> str:
    """Bars from the oldest to the newest, all from zero; nothing for fewer than two."""
    if len(values) < 2:
        return ""
    highest = max(one.value for one in values) or 1.0
    width = min((_WIDTH - _GAP * (len(values) - 1)) / len(values), 24.0)
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img">',
        f"<title>{html.escape(title)}</title>",
    ]
    for place, one in enumerate(values):
        height = max(one.value / highest * (_BASE - 4), 1.0)
        name = "bad" if one.is_bad else ("last" if place == len(values) - 1 else "bar")
        parts.append(
            f'<rect class="{name}" x="{place * (width + _GAP):.1f}" y="{_BASE - height:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}"><title>{html.escape(one.told)}</title></rect>'
        )
    parts.append(f'<line class="axis" x1="0" y1="{_BASE + 1}" x2="{_WIDTH}" y2="{_BASE + 1}"/></svg>')
    return "".join(parts)


def meter(share: float, *, title: str, name: str) -> str:
    """How much of an objective is used up: a bar of 100 units with a mark at its end, longer ones cut."""
    filled = min(max(share, 0.0), 1.0) * 100
    return (
        f'<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(title, quote=True)}"><title>{html.escape(title)}</title>'
        f'<rect class="track" width="100" height="6"/>'
        f'<rect class="{name}" width="{filled:.1f}" height="6"/></svg>'
    )
