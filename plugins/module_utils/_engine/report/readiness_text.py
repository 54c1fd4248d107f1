# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness for people: the score, each finding with its fix."""

from __future__ import annotations

import typing as t

Json = t.Mapping[str, t.Any]


def readiness_text(readiness: Json) -> list[str]:
    """Lines, the worst first."""
    lines = [f"{readiness['service']} is ready for the loss of its region to {readiness['score']} of 100."]
    for one in readiness["findings"]:
        lines.append(f"{str(one['severity']).upper()} [{one['code']}] {one['about']}: {one['what']} {one['why']}")
        lines.append(f"    fix: {one['fix']}")
    lost = ", ".join(f"{area} {points}" for area, points in readiness["areas"].items() if points)
    if lost:
        lines.append(f"Points: {lost}" + (" (at most 49 with anything critical)" if readiness["critical"] else ""))
    if readiness["well"]:
        lines.append(f"Well: {', '.join(readiness['well'])}.")
    return lines
