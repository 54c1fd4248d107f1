# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness of a service from what was seen: every finding, and what is well. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from .data_findings import data_findings
from .findings import AREAS, Readiness, in_order
from .way_findings import way_findings

Json = t.Mapping[str, t.Any]


def assess(facts: Json, *, now: datetime.datetime) -> Readiness:
    """*facts* are described in docs/readiness.md; what is missing in them is a finding."""
    findings = in_order([*data_findings(facts, now=now), *way_findings(facts, now=now)])
    found = {one.area for one in findings}
    return Readiness(
        service=str(facts["service"]),
        at=format_time(now.replace(microsecond=0)),
        findings=findings,
        well=tuple(area for area in AREAS if area not in found and area != "other"),
    )
