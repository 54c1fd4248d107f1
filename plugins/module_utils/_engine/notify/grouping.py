# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a repeated failure is told: the first at once, then at growing distance, the recovery once. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

from .values import RANK, WELL, Incident, Occurrence

#: How long after it was told last something is told again; the last one goes on for ever. A little less than a day, so
#: that a nightly job is told each night.
DISTANCES = tuple(datetime.timedelta(hours=hours) for hours in (1, 4, 12, 23))

FIRST, REPEAT, RECOVERY = "first", "repeat", "recovery"


class Verdict(t.NamedTuple):
    """The incident as it stands now (None: there is none), and what is told of it (None: nothing)."""

    incident: Incident | None
    tell: str | None


def judge(incident: Incident | None, occurrence: Occurrence, *, severity: str) -> Verdict:
    """What *occurrence* makes of the incident that it belongs to."""
    if occurrence.state == WELL:
        return Verdict(None, RECOVERY if incident is not None and incident.told else None)
    if incident is None:
        incident = Incident(
            key=occurrence.key,
            topic=occurrence.topic,
            service=occurrence.service,
            job=occurrence.job,
            cause=occurrence.state,
            severity=severity,
            since=occurrence.at,
            last=occurrence.at,
            tell_from=occurrence.at + occurrence.after if occurrence.after else None,
            channels=occurrence.channels,
            error=dict(occurrence.error),
        )
    elif occurrence.is_run:
        incident = replace(
            incident,
            cause=occurrence.state,
            severity=severity,
            last=occurrence.at,
            count=incident.count + 1,
            error=dict(occurrence.error),
        )
    elif RANK[occurrence.state] > RANK[incident.cause]:
        incident = replace(incident, cause=occurrence.state, severity=severity, error=dict(occurrence.error))
    return Verdict(incident, what_is_due(incident, now=occurrence.at))


def what_is_due(incident: Incident, *, now: datetime.datetime) -> str | None:
    """Whether to tell it now: as the first time, as a repetition, or not."""
    # A time before it began comes from a clock that was set back since.
    if incident.tell_from is not None and incident.since <= now < incident.tell_from:
        return None
    if not incident.told or incident.last_told is None:
        return FIRST
    if RANK[incident.cause] > RANK.get(incident.told_cause, 0):
        return FIRST
    # A clock that was set back must not silence it.
    since = abs(now - incident.last_told)
    return REPEAT if since >= distance(incident) else None


def distance(incident: Incident) -> datetime.timedelta:
    """How long after it was told last it is told again at the earliest."""
    return DISTANCES[min(max(incident.told, 1), len(DISTANCES)) - 1]


def told(incident: Incident, *, now: datetime.datetime) -> Incident:
    """The same, told now."""
    again = incident.told + 1 if incident.cause == incident.told_cause else 1
    return replace(incident, told=again, told_count=incident.count, told_cause=incident.cause, last_told=now)
