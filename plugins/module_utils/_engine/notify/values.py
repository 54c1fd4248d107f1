# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told: what came of something (occurrence), what is wrong for how long (incident), one message (notice)."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time, parse_time

Json = t.Mapping[str, t.Any]

# What an occurrence is about.
BACKUP, VERIFICATION, RETENTION, ALERT = "backup", "verification", "retention", "alert"
# What came of it.
WELL, PARTIAL, OVERDUE, FAILED = "well", "partial", "overdue", "failed"
#: A cause of a higher rank than the one that was told is told at once.
RANK: t.Mapping[str, int] = {PARTIAL: 0, OVERDUE: 1, ALERT: 1, FAILED: 2}

CRITICAL, WARNING, INFO = "critical", "warning", "info"


@dataclass(frozen=True)
class Occurrence:
    """What came of one thing: a run, or a look.

    *topic* is what it is about, *job* whose it is (service/source/kind, or less), *state* well, partial, overdue,
    failed or alert. *error* has ``code``, ``message`` and ``hint``. *is_run* says that it happened now; what a look
    finds goes on, and is counted once. *severity* of None means that the service's alerts say, or the default.
    *state_word* is the result in the words of its operation (complete, passed ...), for those who are told each result.
    """

    topic: str
    service: str
    job: str
    state: str
    at: datetime.datetime
    error: Json = field(default_factory=dict)
    facts: Json = field(default_factory=dict)
    severity: str | None = None
    is_run: bool = True
    is_told_each: bool = False  # a result of its own, and not one of many each hour
    after: datetime.timedelta | None = None
    channels: tuple[str, ...] | None = None  # None: by all
    state_word: str = ""

    @property
    def key(self) -> str:
        """The name of its incident: a colon is in no name of a description."""
        return f"{self.job.replace('/', ':')}:{self.topic.replace(' ', '_')}"


@dataclass(frozen=True)
class Incident:
    """Something that is not well: since when, how often it was met, and what of it was told when."""

    key: str
    topic: str
    service: str
    job: str
    cause: str
    severity: str
    since: datetime.datetime
    last: datetime.datetime
    count: int = 1
    told: int = 0
    told_count: int = 0  # the count that was told last
    told_cause: str = ""
    last_told: datetime.datetime | None = None
    tell_from: datetime.datetime | None = None
    channels: tuple[str, ...] | None = None
    error: Json = field(default_factory=dict)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "key": self.key,
            "topic": self.topic,
            "service": self.service,
            "job": self.job,
            "cause": self.cause,
            "severity": self.severity,
            "since": format_time(self.since),
            "last": format_time(self.last),
            "count": self.count,
            "told": self.told,
            "told_count": self.told_count,
            "told_cause": self.told_cause,
            "last_told": format_time(self.last_told) if self.last_told else None,
            "tell_from": format_time(self.tell_from) if self.tell_from else None,
            "channels": list(self.channels) if self.channels is not None else None,
            "error": dict(self.error),
        }

    @classmethod
    def from_dict(cls, document: Json) -> Incident:
        """The inverse. Raises KeyError, TypeError, ValueError for what is none."""
        given = {name: document[name] for name in ("key", "topic", "service", "job", "cause", "severity", "told_cause")}
        channels = document["channels"]
        return cls(
            **{name: str(value) for name, value in given.items()},
            since=parse_time(document["since"]),
            last=parse_time(document["last"]),
            count=int(document["count"]),
            told=int(document["told"]),
            told_count=int(document["told_count"]),
            last_told=parse_time(document["last_told"]) if document["last_told"] else None,
            tell_from=parse_time(document["tell_from"]) if document["tell_from"] else None,
            channels=tuple(channels) if channels is not None else None,
            error=dict(document["error"]),
        )


@dataclass(frozen=True)
class Notice:
    """One message. *event* is failure, repeat, overdue, alert, recovery, success, result, test or one of a webhook's.

    *values* are all words of :mod:`placeholders`, as JSON values.
    """

    notice_id: str
    event: str
    service: str
    job: str
    topic: str
    severity: str
    state: str
    at: datetime.datetime
    values: Json

    @property
    def title(self) -> str:
        """One line."""
        return str(self.values.get("title") or "")

    @property
    def text(self) -> str:
        """All of it."""
        return str(self.values.get("text") or "")

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "id": self.notice_id,
            "event": self.event,
            "service": self.service,
            "job": self.job,
            "topic": self.topic,
            "severity": self.severity,
            "state": self.state,
            "at": format_time(self.at),
            "values": dict(self.values),
        }

    @classmethod
    def from_dict(cls, document: Json) -> Notice:
        """The inverse. Raises KeyError, TypeError, ValueError for what is none."""
        given = {name: str(document[name]) for name in ("event", "service", "job", "topic", "severity", "state")}
        return cls(
            notice_id=str(document["id"]), at=parse_time(document["at"]), values=dict(document["values"]), **given
        )
