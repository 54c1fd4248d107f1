# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at the status finds to be told: overdue jobs, missed objectives, alerts of the description. Pure.

A run tells its own end; a look tells what no run tells (silence), and what became well without one.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from ..core.description.duration import describe_duration, parse_duration
from ..core.description.model import Job, Service
from .channels import gravity_of, selects
from .values import ALERT, BACKUP, FAILED, OVERDUE, PARTIAL, RETENTION, VERIFICATION, WELL, Incident, Json, Occurrence

_POINT, _TIME, _WANTED = "recovery point", "recovery time", "full backup"
#: What needs attention, by its name in the status. What was never made yet becomes overdue when its time has come.
_ATTENTION: t.Mapping[str, tuple[str, str]] = {
    "failed": (BACKUP, FAILED),
    "partial": (BACKUP, PARTIAL),
    "overdue": (BACKUP, OVERDUE),
    "stream_failed": (BACKUP, FAILED),
    "stream_blocked": (BACKUP, FAILED),
    "stream_late": (BACKUP, FAILED),
    "stream_partial": (BACKUP, PARTIAL),
    "verification_failed": (VERIFICATION, FAILED),
    "wanted": (_WANTED, ALERT),
    "rpo_missed": (_POINT, ALERT),
    "rto_missed": (_TIME, ALERT),
}
_REPOSITORY = "repository "
_ALERT = "alert "


class Seen(t.NamedTuple):
    """What is to be recorded, and the keys of incidents that are about nothing any more."""

    occurrences: tuple[Occurrence, ...]
    gone: tuple[str, ...]


def look(
    document: Json, services: t.Sequence[Service], incidents: t.Sequence[Incident], *, now: datetime.datetime
) -> Seen:
    """What the status *document* says now, held against the *incidents* that are open."""
    return _Look(document, services, now).seen(incidents)


class _Look:
    def __init__(self, document: Json, services: t.Sequence[Service], now: datetime.datetime) -> None:
        self._document = document
        self._services = {service.name: service for service in services}
        self._now = now
        self._rows: dict[str, Json] = {str(one["job"]): one for one in (*document["jobs"], *document["streams"])}
        #: By every name that it may be told of; a stream may be that of several jobs.
        self._named = {str(name): row for row in self._rows.values() for name in _names(row)}

    def seen(self, incidents: t.Sequence[Incident]) -> Seen:
        found: dict[str, Occurrence] = {}
        for one in (*self._from_attention(), *self._from_alerts()):
            found.setdefault(one.key, one)
        gone = []
        for incident in incidents:
            if incident.key in found:
                continue
            state = self._state_of(incident)
            if state is None:
                gone.append(incident.key)
            else:
                found[incident.key] = self._again(incident, state)
        return Seen(tuple(found.values()), tuple(gone))

    def _from_attention(self) -> t.Iterator[Occurrence]:
        for one in self._document["attention"]:
            what, name = str(one["what"]), str(one["name"])
            if name == "unreadable":
                users = [service for service in self._services.values() if _uses(service, what)]
                for service in users:
                    yield self._occurrence(one, service.name, service.name, _REPOSITORY + what, ALERT)
            elif name in _ATTENTION and what.partition("/")[0] in self._services:
                topic, state = _ATTENTION[name]
                yield self._occurrence(one, what.partition("/")[0], what, topic, state)

    def _occurrence(self, one: Json, service: str, job: str, topic: str, state: str) -> Occurrence:
        return Occurrence(
            topic=topic,
            service=service,
            job=job,
            state=state,
            at=self._now,
            error={"code": f"status.{one['name']}", "message": one["message"], "hint": one["hint"]},
            severity=str(one["severity"]) if state == ALERT else None,
            is_run=False,
        )

    def _from_alerts(self) -> t.Iterator[Occurrence]:
        for service in self._services.values():
            jobs = {job.id: job for source in service.sources for job in source.jobs}
            for alert in service.surroundings.get("alerts", ()):
                for name, row in self._rows.items():
                    wanted = alert.get("jobs", ())
                    if row["service"] != service.name or not any(
                        selects(wanted, one, service.name) for one in _names(row)
                    ):
                        continue
                    message = _holds(alert, row, jobs.get(name), self._now)
                    if message is not None:
                        yield self._of_alert(alert, service.name, name, message)

    def _of_alert(self, alert: Json, service: str, job: str, message: str) -> Occurrence:
        severity, after, channels = gravity_of(alert)
        told = f"{alert['description']} ({message})" if alert.get("description") else message
        return Occurrence(
            topic=_ALERT + str(alert["name"]),
            service=service,
            job=job,
            state=ALERT,
            at=self._now,
            error={"code": "status.alert", "message": told, "hint": f"lifeboat status {job}"},
            severity=severity,
            is_run=False,
            after=after,
            channels=channels,
        )

    def _again(self, incident: Incident, state: str) -> Occurrence:
        return Occurrence(
            topic=incident.topic,
            service=incident.service,
            job=incident.job,
            state=state,
            at=self._now,
            error=incident.error,
            # What it was told with: the alert that said so may be another by now.
            severity=incident.severity,
            is_run=False,
            channels=incident.channels,
        )

    def _state_of(self, incident: Incident) -> str | None:
        """Its cause as long as nothing shows that it is over; None when it is about nothing that is described."""
        service = self._services.get(incident.service)
        if service is None or _is_forgotten(incident, service):
            return None
        if incident.topic == RETENTION:
            return incident.cause  # the next run tells
        if incident.topic.startswith(_REPOSITORY):
            return WELL
        row = self._named.get(incident.job)
        if incident.topic in (_POINT, _TIME):
            is_over = not self._document["problems"]
        elif row is None:
            return None
        else:
            is_over = self._is_over(incident, row)
        return WELL if is_over else incident.cause

    def _is_over(self, incident: Incident, row: Json) -> bool:
        if row["running"]:
            return False  # what was wrong is hidden until it ends
        if incident.topic == VERIFICATION:
            last = row.get("last_verification") or {}
            return bool(last.get("passed")) and parse_time(last["finished"]) > incident.last
        if incident.topic == BACKUP and incident.cause == FAILED:
            newest = row["newest"] or {}
            succeeded = newest.get("started") if "backups" in row else row["last_success"]
            return succeeded is not None and parse_time(str(succeeded)) > incident.last
        # Where repositories can't be read nobody can tell.
        return not self._document["problems"]


def _names(row: Json) -> t.Sequence[str]:
    return row.get("jobs") or [row["job"]]


def _is_forgotten(incident: Incident, service: Service) -> bool:
    alerts = {_ALERT + str(one["name"]) for one in service.surroundings.get("alerts", ())}
    return incident.topic.startswith(_ALERT) and incident.topic not in alerts


def _holds(alert: Json, row: Json, job: Job | None, now: datetime.datetime) -> str | None:
    """The message when what *alert* describes is so. Failures are told by the runs themselves."""
    if "no_success_within" in alert:
        limit = parse_duration(alert["no_success_within"])
        # What runs more seldom by its schedule is no news; it becomes overdue by that.
        if job is None or not _runs_within(job, limit):
            return None
        return _older(row["last_success"], limit, now, "The last success was")
    if "newest_older_than" in alert:
        limit = parse_duration(alert["newest_older_than"])
        return _older(row.get("newest_usable"), limit, now, "The newest good backup is of")
    if "size_changed_by_percent" in alert:
        percent = (row.get("change") or {}).get("percent")
        if percent is not None and abs(percent) > alert["size_changed_by_percent"]:
            return f"The size changed by {percent:+.0f} % against the backup before."
    return None


def _older(moment: str | None, limit: datetime.timedelta, now: datetime.datetime, said: str) -> str | None:
    if moment is None or now - parse_time(moment) <= limit:
        return None
    return f"{said} {moment}, which is more than {describe_duration(limit)} ago."


def _runs_within(job: Job, limit: datetime.timedelta) -> bool:
    if "continuous" in job.triggers:
        return True
    return job.schedule is not None and job.schedule.longest_gap() <= limit


def _uses(service: Service, repository: str) -> bool:
    return any(use.name == repository for source in service.sources for job in source.jobs for use in job.repositories)
