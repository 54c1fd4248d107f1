# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what happened to what is to be told: on disk before anything is sent, so that nothing is lost."""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import replace

from ..core.description.description import Description
from ..core.host import Host
from ..core.state import StateDirectory
from . import grouping, texts
from .channels import PING, Channel, Gravity, channels_of, gravity
from .spool import Delivery, Spool, Waiting
from .values import FAILED, INFO, WELL, Incident, Notice, Occurrence

#: Results and successes of before that a channel did not take; more are not kept for one that is down.
MOST_RESULTS = 100
#: The same of news: failures and their ends. Grouping makes few of them; the oldest are given up, and counted.
MOST_NEWS = 1000
_LOCK_SECONDS = 10.0


class Recorder:
    """Takes note of what happened, for the channels of one description."""

    def __init__(self, description: Description, *, host: Host) -> None:
        self._services = {service.name: service for service in description.services}
        self._channels = {name: channels_of(service) for name, service in self._services.items()}
        self._host = host
        self._numbers = itertools.count()
        self.spool = Spool(state=StateDirectory(path=description.settings.state_directory), clock=host.clock)

    @property
    def channels(self) -> list[Channel]:
        """All channels, in the order of the description."""
        return [one for channels in self._channels.values() for one in channels]

    def has_channels(self, service: str) -> bool:
        """Whether anybody is told of that service."""
        return bool(self._channels.get(service))

    def record(self, occurrences: t.Sequence[Occurrence]) -> int:
        """Take note of them; how many notices wait more. Raises StateDirectoryUnusable."""
        about = [one for one in occurrences if self.has_channels(one.service)]
        if not about:
            return 0
        with self.spool.held("record", timeout=_LOCK_SECONDS):
            # Without the lock two runs could tell the same twice, which is better than not at all.
            return sum(self._one(one) for one in about)

    def tell(self, notice: Notice) -> int:
        """Take note of a notice as it is; for how many channels it is."""
        return self._put(notice, None)

    def open_incidents(self) -> list[Incident]:
        """What is known not to be well."""
        return self.spool.incidents()

    def _one(self, occurrence: Occurrence) -> int:
        now = self._host.clock.now()
        serious = self._gravity(occurrence)
        count = 0
        if occurrence.is_run:
            notice = texts.result_notice(
                occurrence, severity=serious.severity, event="result", now=now, host=self._host.name
            )
            count += self._put(notice, None, only=self._listeners(occurrence))
            if occurrence.state == WELL and occurrence.is_told_each:
                success = texts.result_notice(occurrence, severity=INFO, event="success", now=now, host=self._host.name)
                count += self._put(success, None)
        return count + self._incident(occurrence, serious, now)

    def _listeners(self, occurrence: Occurrence) -> t.Callable[[Channel], bool]:
        """Results of streams, one each minute, are for dead-man switches only."""
        return _anybody if occurrence.is_told_each else _is_ping

    def _incident(self, occurrence: Occurrence, serious: Gravity, now: datetime.datetime) -> int:
        before = self.spool.incident(occurrence.key)
        given = _with_gravity(occurrence, serious)
        incident, tell = grouping.judge(before, given, severity=serious.severity)
        about = incident or before
        count = 0
        if tell is not None and about is not None:
            notice = texts.incident_notice(about, tell, now=now, host=self._host.name)
            # The notice first: whoever dies here tells it once more, and never not at all.
            count = self._put(notice, about.channels)
            incident = grouping.told(incident, now=now) if incident is not None else None
        if incident is None:
            if before is not None:
                self.spool.close_incident(before.key)
        elif incident != before:
            self.spool.put_incident(incident)
        return count

    def _gravity(self, occurrence: Occurrence) -> Gravity:
        if occurrence.severity is not None:
            return Gravity(occurrence.severity, occurrence.after, occurrence.channels)
        service = self._services[occurrence.service]
        state = FAILED if occurrence.state == WELL else occurrence.state
        return gravity(service, topic=occurrence.topic, state=state, job=occurrence.job)

    def _put(
        self,
        notice: Notice,
        names: t.Sequence[str] | None,
        *,
        only: t.Callable[[Channel], bool] | None = None,
    ) -> int:
        channels = [
            one
            for one in self._channels.get(notice.service, ())
            if (names is None or one.name in names) and (only is None or only(one)) and one.wants(notice)
        ]
        if channels:
            self._make_room(notice, channels)
            notice = texts.numbered(notice, next(self._numbers))
            self.spool.put(Waiting(notice, {one.key: Delivery() for one in channels}), durably=True)
        return 1 if channels else 0

    def _make_room(self, notice: Notice, channels: t.Sequence[Channel]) -> None:
        """Drop what nobody wants to know any more: an older ping of the job, and the oldest of more than are kept."""
        if _is_news(notice) and self.spool.count() < MOST_NEWS:
            return
        alike = [one for one in self.spool.waiting() if _is_news(one.notice) == _is_news(notice)]
        most = MOST_NEWS if _is_news(notice) else MOST_RESULTS
        for channel in channels:
            waiting = [one for one in alike if channel.key in one.deliveries]
            if channel.kind == PING:
                old = [one for one in waiting if (one.notice.job, one.notice.topic) == (notice.job, notice.topic)]
            else:
                old = waiting[: max(len(waiting) - most + 1, 0)]
            for one in old:
                left = {key: value for key, value in one.deliveries.items() if key != channel.key}
                self.spool.put(Waiting(one.notice, left))
            if old and _is_news(notice):
                standing = self.spool.standing(channel.key)
                self.spool.put_standing(replace(standing, given_up=standing.given_up + len(old)))


def _with_gravity(occurrence: Occurrence, serious: Gravity) -> Occurrence:
    return replace(occurrence, after=serious.after, channels=serious.channels)


def _is_news(notice: Notice) -> bool:
    """Whether it is more than that a run came to its end as it should."""
    return notice.event not in ("result", "success")


def _anybody(_channel: Channel) -> bool:
    return True


def _is_ping(channel: Channel) -> bool:
    return channel.kind == PING
