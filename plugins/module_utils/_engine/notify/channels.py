# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels of a description: which are told of what, and how bad something is."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.description.duration import parse_duration
from ..core.description.model import Service
from ..core.description.schema_notifications import DEFAULT_EVENTS, EMERGENCY_EVENTS
from .values import ALERT, BACKUP, CRITICAL, FAILED, OVERDUE, PARTIAL, RETENTION, VERIFICATION, WARNING, Json, Notice

WEBHOOKS, WEBHOOK, MAIL, APPRISE, PING = "webhooks", "webhook", "mail", "apprise", "ping"
_KINDS = (WEBHOOK, MAIL, APPRISE, PING)
_TIMEOUT = datetime.timedelta(seconds=10)
#: The endpoint for alerts of each severity.
_ENDPOINTS = {
    "critical": "alert_critical",
    "high": "alert_high",
    "medium": "alert_medium",
    "warning": "alert_medium",
    "info": "alert_info",
}
_RESULTS = {BACKUP: "backup_status", VERIFICATION: "backup_validation"}


@dataclass(frozen=True)
class Channel:
    """One way to tell. *options* are as written: secrets by reference."""

    name: str
    kind: str
    service: str
    options: Json
    events: tuple[str, ...] = DEFAULT_EVENTS
    severities: tuple[str, ...] | None = None
    jobs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique on the host."""
        return f"{self.service}:{self.name}"

    @property
    def timeout(self) -> float:
        """Seconds to wait for an answer."""
        given = self.options.get("timeout")
        return (parse_duration(str(given)) if given else _TIMEOUT).total_seconds()

    def endpoint(self, notice: Notice) -> str | None:
        """For the channel webhooks: the event of *endpoints* that *notice* is sent as; None for none."""
        if notice.event in EMERGENCY_EVENTS:
            wanted = [notice.event]
        elif notice.event == "test":
            # Where the results go, if they go anywhere, so that it raises no alarm.
            wanted = [*_RESULTS.values(), "alert_info", *self.options["endpoints"]]
        elif notice.event == "result":
            wanted = [_RESULTS.get(notice.topic, "")]
        else:
            wanted = [] if notice.event == "success" else [_ENDPOINTS[notice.severity]]
        return next((name for name in wanted if name in self.options["endpoints"]), None)

    def wants(self, notice: Notice) -> bool:
        """Whether *notice* is for this channel."""
        if not selects(self.jobs, notice.job, self.service):
            return False
        if self.kind == WEBHOOKS:
            return self.endpoint(notice) is not None
        if self.kind == PING:
            return self._pings(notice)
        if notice.event in ("result", *EMERGENCY_EVENTS):
            return False
        event = notice.event
        if event == "repeat":
            event = OVERDUE if notice.state == OVERDUE else ALERT if notice.state == ALERT else "failure"
        return event in self.events and (self.severities is None or notice.severity in self.severities)

    def _pings(self, notice: Notice) -> bool:
        if notice.event != "result" or notice.topic not in self.options.get("of", (BACKUP,)):
            return False
        # What is in one repository at least is a success to a dead-man switch; that it is partial is told otherwise.
        return notice.state != FAILED or "fail" in self.options


def channels_of(service: Service) -> tuple[Channel, ...]:
    """The channels of one service, in the order of the description."""
    notifications: Json = service.surroundings.get("notifications", {})
    found = []
    if WEBHOOKS in notifications:
        found.append(Channel(name=WEBHOOKS, kind=WEBHOOKS, service=service.name, options=notifications[WEBHOOKS]))
    if MAIL in notifications:
        found.append(_channel(MAIL, MAIL, service.name, notifications[MAIL], notifications[MAIL]))
    for one in notifications.get("channels", ()):
        kind = next(kind for kind in _KINDS if kind in one)
        found.append(_channel(str(one["name"]), kind, service.name, one, one[kind]))
    return tuple(found)


def _channel(name: str, kind: str, service: str, routing: Json, options: Json) -> Channel:
    return Channel(
        name=name,
        kind=kind,
        service=service,
        options=options,
        events=tuple(routing.get("events", DEFAULT_EVENTS)),
        severities=tuple(routing["severities"]) if "severities" in routing else None,
        jobs=tuple(routing.get("jobs", ())),
    )


class Gravity(t.NamedTuple):
    """How bad something is, how long it must hold until it is told, and by which channels (None: all)."""

    severity: str
    after: datetime.timedelta | None = None
    channels: tuple[str, ...] | None = None


_DEFAULTS = {RETENTION: WARNING}
_SAID_BY = {(BACKUP, FAILED): "backup_failed", (VERIFICATION, FAILED): "verification_failed"}


def gravity(service: Service, *, topic: str, state: str, job: str) -> Gravity:
    """What the alerts of *service* say of a failure of *job*; the first that is about it. Critical without one."""
    key = _SAID_BY.get((topic, state))
    for alert in service.surroundings.get("alerts", ()) if key else ():
        if key in alert and selects(alert.get("jobs", ()), job, service.name):
            return gravity_of(alert)
    return Gravity(WARNING if state == PARTIAL else _DEFAULTS.get(topic, CRITICAL))


def gravity_of(alert: Json) -> Gravity:
    """What *alert* says."""
    after = parse_duration(str(alert["after"])) if "after" in alert else None
    return Gravity(str(alert["severity"]), after, tuple(alert["notify"]) if "notify" in alert else None)


def selects(names: t.Sequence[str], job: str, service: str) -> bool:
    """Whether *names* (full ids or their beginnings, with or without the service; none: all) are about *job*."""
    short = job.partition("/")[2] if job.partition("/")[0] == service else job
    return not names or any(one == name or one.startswith(f"{name}/") for name in names for one in (job, short))
