# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objectives against facts: what would be lost now, and how long bringing it back takes. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..recovery.windows import Windows

#: *late* is over the objective by less than the grace of the run that is due.
MET, LATE, MISSED, UNKNOWN, SHORT = "met", "late", "missed", "unknown", "short"


@dataclass(frozen=True)
class Point:
    """A moment that the source can be brought back to.

    *by* is the job that gives it, *base* the kind of the backup that a recovery to it begins with; *grace* is how late
    the job may be.
    """

    moment: datetime.datetime
    by: str
    base: str | None
    grace: datetime.timedelta


def rpo_fact(point: Point | None, objective: datetime.timedelta | None, *, now: datetime.datetime) -> dict[str, t.Any]:
    """What would be lost now, in seconds (None: everything), against the objective."""
    lost = max((now - point.moment).total_seconds(), 0.0) if point else None
    grace = point.grace if point else datetime.timedelta(0)
    return {
        "objective_seconds": objective.total_seconds() if objective else None,
        "seconds": round(lost, 1) if lost is not None else None,
        "point": format_time(point.moment) if point else None,
        "by": point.by if point else None,
        "verdict": _rpo_verdict(lost, objective, grace=grace),
        "grace_seconds": round(grace.total_seconds(), 1),
    }


def _rpo_verdict(lost: float | None, objective: datetime.timedelta | None, *, grace: datetime.timedelta) -> str | None:
    if objective is None:
        return None
    if lost is None or lost > (objective + grace).total_seconds():
        return MISSED
    return MET if lost <= objective.total_seconds() else LATE


def rto_fact(
    forecasts: t.Mapping[str, t.Mapping[str, t.Any]], point: Point | None, objective: datetime.timedelta | None
) -> dict[str, t.Any]:
    """What bringing the source back to *point* will take, by the kind of its base; *forecasts* are by kind."""
    kind = point.base if point else None
    found = (forecasts.get(kind) or {}).get("forecast") if kind else None
    seconds = found["seconds"] if found else None
    verdict = None
    if objective is not None:
        verdict = UNKNOWN if seconds is None else (MET if seconds <= objective.total_seconds() else MISSED)
    return {
        "objective_seconds": objective.total_seconds() if objective else None,
        "seconds": seconds,
        "by": kind,
        "measured": found["count"] if found else 0,
        "verdict": verdict,
    }


def window_fact(
    found: Windows | None, objective: datetime.timedelta | None, *, now: datetime.datetime
) -> dict[str, t.Any]:
    """How far back any moment can be reached without a gap, in seconds; *short* where that is less than the objective
    (it may still grow).
    """
    windows = found.windows if found is not None else ()
    newest = windows[-1] if windows else None
    reached = max((now - newest.begins).total_seconds(), 0.0) if newest else None
    verdict = None
    if objective is not None:
        verdict = MET if reached is not None and reached >= objective.total_seconds() else SHORT
    return {
        "objective_seconds": objective.total_seconds() if objective else None,
        "seconds": round(reached, 1) if reached is not None else None,
        "begins": format_time(newest.begins) if newest else None,
        "ends": format_time(newest.ends) if newest else None,
        "windows": len(windows),
        "verdict": verdict,
    }
