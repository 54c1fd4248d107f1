# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a notice says, in one line and in all."""

from __future__ import annotations

import datetime
import secrets
import typing as t
from dataclasses import replace

from ..core.clock import format_time
from ..core.description.duration import describe_duration
from .grouping import RECOVERY, REPEAT, distance
from .values import ALERT, FAILED, INFO, OVERDUE, PARTIAL, WELL, Incident, Json, Notice, Occurrence

_CAUSES = {PARTIAL: "not complete", OVERDUE: "overdue", FAILED: "failed", ALERT: "needs attention"}


def new_notice_id(now: datetime.datetime) -> str:
    """Sortable by time, to the microsecond, so that what was told first is sent first; and unique."""
    return f"{now.astimezone(datetime.timezone.utc):%Y%m%dT%H%M%S%f}Z-0000-{secrets.token_hex(4)}"


def numbered(notice: Notice, number: int) -> Notice:
    """The same, in its place among those of one moment."""
    notice_id = notice.notice_id.replace("-0000-", f"-{number:04}-")
    return replace(notice, notice_id=notice_id, values={**notice.values, "id": notice_id})


def incident_notice(incident: Incident, tell: str, *, now: datetime.datetime, host: str) -> Notice:
    """The first word on an incident, a later one, or that it is over."""
    over = tell == RECOVERY
    event = RECOVERY if over else REPEAT if tell == REPEAT else _event(incident.cause)
    title = _title(incident, over=over, again=tell == REPEAT, now=now)
    lines = [title, ""] if over else [title, "", str(incident.error.get("message") or title)]
    if over:
        lines += [
            f"It was {_CAUSES[incident.cause]} {_times(incident.count)} since {format_time(_whole(incident.since))}."
        ]
    else:
        hint = incident.error.get("hint")
        lines += [f"Next: {hint}"] if hint else []
        lines += ["", *_counted(incident, again=tell == REPEAT)]
    lines += ["", f"Told by {host} at {format_time(_whole(now))}."]
    return _notice(
        event=event,
        topic=incident.topic,
        service=incident.service,
        job=incident.job,
        severity=incident.severity,
        state=WELL if over else incident.cause,
        now=now,
        host=host,
        title=title,
        text="\n".join(lines),
        error={} if over else incident.error,
        more={"count": incident.count, "since": format_time(_whole(incident.since))},
    )


def result_notice(occurrence: Occurrence, *, severity: str, event: str, now: datetime.datetime, host: str) -> Notice:
    """What came of one run, whether it is news or not."""
    word = occurrence.state_word or occurrence.state
    title = f"{occurrence.job}: {occurrence.topic} {word}"
    lines = [title, ""]
    if occurrence.error.get("message"):
        lines.append(str(occurrence.error["message"]))
    lines += [f"{name}: {value}" for name, value in occurrence.facts.items() if not isinstance(value, (dict, list))]
    lines += ["", f"Told by {host} at {format_time(_whole(now))}."]
    return _notice(
        event=event,
        topic=occurrence.topic,
        service=occurrence.service,
        job=occurrence.job,
        severity=INFO if occurrence.state == WELL else severity,
        state=occurrence.state,
        now=now,
        host=host,
        title=title,
        text="\n".join(lines),
        error=occurrence.error,
        more={"facts": dict(occurrence.facts), "backup": occurrence.facts.get("backup"), "state": word},
    )


def spoken_notice(
    event: str, *, service: str, title: str, text: str, facts: Json, now: datetime.datetime, host: str
) -> Notice:
    """What somebody has told: a test, or an emergency event of the webhooks."""
    return _notice(
        event=event,
        topic="test" if event == "test" else "emergency",
        service=service,
        job=service,
        severity=INFO,
        state=WELL,
        now=now,
        host=host,
        title=title,
        text=text,
        error={"message": text},
        more={"facts": dict(facts)},
    )


def _notice(
    *,
    event: str,
    topic: str,
    service: str,
    job: str,
    severity: str,
    state: str,
    now: datetime.datetime,
    host: str,
    title: str,
    text: str,
    error: Json,
    more: Json,
) -> Notice:
    notice_id = new_notice_id(now)
    values: dict[str, t.Any] = {
        "id": notice_id,
        "event": event,
        "severity": severity,
        "service": service,
        "job": job,
        "slug": job.replace("/", "-"),
        "topic": topic,
        "state": state,
        "host": host,
        "title": title,
        "text": text,
        "message": str(error.get("message") or title),
        "hint": str(error.get("hint") or ""),
        "code": error.get("code"),
        "count": None,
        "since": None,
        "at": format_time(_whole(now)),
        "backup": None,
        "facts": {},
        **more,
    }
    return Notice(
        notice_id=notice_id,
        event=event,
        service=service,
        job=job,
        topic=topic,
        severity=severity,
        state=state,
        at=now,
        values=values,
    )


def _event(cause: str) -> str:
    return cause if cause in (OVERDUE, ALERT) else "failure"


def _title(incident: Incident, *, over: bool, again: bool, now: datetime.datetime) -> str:
    about = f"{incident.job}: {incident.topic}"
    if over:
        return f"{about} well again after {_span(now - incident.since)}"
    cause = _CAUSES[incident.cause]
    if not again:
        return f"{about} {cause}"
    return f"{about} still {cause}, since {_span(now - incident.since)}"


def _counted(incident: Incident, *, again: bool) -> list[str]:
    since = format_time(_whole(incident.since))
    lines = []
    if again and incident.count > 1:
        silent = incident.count - incident.told_count - 1
        untold = f"; {silent} since the last word {'was' if silent == 1 else 'were'} counted only" if silent > 0 else ""
        lines.append(f"This is number {incident.count} since {since}{untold}.")
    elif again:
        lines.append(f"It has been so since {since}.")
    next_told = distance(incident) if not again else distance(_told_once_more(incident))
    lines.append(f"As long as it lasts, it is told again after {describe_duration(next_told)} at the earliest.")
    return lines


def _told_once_more(incident: Incident) -> Incident:
    return replace(incident, told=incident.told + 1)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _span(length: datetime.timedelta) -> str:
    minutes = max(int(length.total_seconds()) // 60, 0)
    return describe_duration(datetime.timedelta(minutes=minutes)) if minutes else "less than a minute"


def _whole(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(microsecond=0)
