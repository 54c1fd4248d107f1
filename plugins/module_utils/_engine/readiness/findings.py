# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found about readiness, and the score that it makes. Pure.

The rule: 100 points, less those of each finding, at most 40 for one area; with anything critical at most 49.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

CRITICAL, HIGH, MEDIUM, LOW = "critical", "high", "medium", "low"
POINTS: t.Mapping[str, int] = {CRITICAL: 30, HIGH: 12, MEDIUM: 5, LOW: 1}
MOST_OF_AN_AREA, WITH_CRITICAL = 40, 49
AREAS = ("standbys", "backups", "ledger", "fencing", "dns", "approvals", "capacity", "exercises", "other")


@dataclass(frozen=True)
class Finding:
    """One thing that would hurt on the day: *what* of *about*, *why* it matters, and the *fix* to type."""

    code: str
    area: str
    severity: str
    about: str
    what: str
    why: str
    fix: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "code": self.code,
            "area": self.area,
            "severity": self.severity,
            "about": self.about,
            "what": self.what,
            "why": self.why,
            "fix": self.fix,
        }


@dataclass(frozen=True)
class Readiness:
    """The findings, the worst first, and what was looked at and is well."""

    service: str
    at: str
    findings: tuple[Finding, ...]
    well: tuple[str, ...]

    @property
    def score(self) -> int:
        """0 to 100."""
        lost = sum(min(self.lost(area), MOST_OF_AN_AREA) for area in AREAS)
        score = max(0, 100 - lost)
        return min(score, WITH_CRITICAL) if self.is_critical else score

    @property
    def is_critical(self) -> bool:
        """Whether a failover would fail for something that is known now."""
        return any(one.severity == CRITICAL for one in self.findings)

    def lost(self, area: str) -> int:
        """The points of all findings of an area."""
        return sum(POINTS[one.severity] for one in self.findings if one.area == area)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "format": "lifeboat-readiness",
            "format_version": 1,
            "service": self.service,
            "at": self.at,
            "score": self.score,
            "critical": self.is_critical,
            "areas": {area: -min(self.lost(area), MOST_OF_AN_AREA) for area in AREAS},
            "findings": [one.as_dict() for one in self.findings],
            "well": list(self.well),
        }


def in_order(findings: t.Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by area."""
    worst = list(POINTS)
    return tuple(sorted(findings, key=lambda one: (worst.index(one.severity), AREAS.index(one.area), one.about)))
