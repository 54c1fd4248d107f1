# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What shipping a stream is asked to be, what it would do, and what became of it: the values of :mod:`ship`."""

from __future__ import annotations

import datetime
import os
import typing as t
from dataclasses import dataclass, field

from ..catalog.layout import Series
from ..core.clock import format_time
from ..core.errors import LifeboatError, RequestInvalid, StreamBlocked, StreamPartial
from ..core.state import DEFAULT_STATE_DIRECTORY
from ..pipeline.transforms import Transforms
from ..streams.spool import SpoolEntry
from .backup_values import RepositoryRequest
from .stream_sources.registry import StreamKind

COMPLETE, PARTIAL, BLOCKED = "complete", "partial", "blocked"
WARNING, CRITICAL = "warning", "critical"
MIB = 1024 * 1024


@dataclass(frozen=True)
class ShipRequest:
    """One stream that is to be stored.

    *spool_budget* is in bytes. *required_copies* is in how many repositories a segment must be recorded before it may
    leave the spool; None: in all. *alarm_age* is how long a segment may wait. *parallel* segments go to each repository
    at a time. *lock_timeout* is how many seconds to wait for another shipper of the stream.
    """

    series: Series
    engine: str
    kind: StreamKind
    repositories: tuple[RepositoryRequest, ...]
    spool_directory: str
    spool_budget: int = 8192 * MIB
    required_copies: int | None = None
    alarm_age: datetime.timedelta = datetime.timedelta(minutes=5)
    connection: t.Mapping[str, t.Any] = field(default_factory=dict)
    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    transforms: Transforms = field(default_factory=Transforms)
    state_directory: str = DEFAULT_STATE_DIRECTORY
    lock_timeout: float = 0.0
    parallel: int = 4

    def __post_init__(self) -> None:
        """Raises RequestInvalid for a job without repositories, with one twice, or with fewer than copies."""
        names = [repository.name for repository in self.repositories]
        if not names or len(set(names)) != len(names):
            raise RequestInvalid(
                f"The job {self.job} needs repositories, each named once; it has: {', '.join(names) or 'none'}.",
                hint="Name at least one in repositories.",
            )
        if self.required_copies is not None and not 1 <= self.required_copies <= len(names):
            raise RequestInvalid(
                f"The job {self.job} wants {self.required_copies} copies and has {len(names)} repositories.",
                hint="Lower required_copies, or name more repositories.",
            )
        if not os.path.isabs(self.spool_directory):
            raise RequestInvalid(
                f"The spool {self.spool_directory!r} of {self.job} must be an absolute path.",
                hint=f"spool_directory: /var/spool/lifeboat/{self.record_name}",
            )

    @property
    def job(self) -> str:
        """What people call it: service/source/kind."""
        return self.series.folder.rstrip("/")

    @property
    def source_name(self) -> str:
        """Whose stream it is: service/source."""
        return f"{self.series.service}/{self.series.source}"

    @property
    def record_name(self) -> str:
        """One lock, one file of notes and one of run records for each stream; backups of the source have another."""
        return f"{self.series.service}.{self.series.source}.{self.series.kind}"

    @property
    def copies(self) -> int:
        """In how many repositories a segment must be."""
        return self.required_copies or len(self.repositories)


@dataclass(frozen=True)
class ShipWarning:
    """An alarm by its stable *name*; *severity* is warning or critical (data is at risk)."""

    name: str
    severity: str
    message: str
    hint: str = ""
    details: t.Mapping[str, t.Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class SpoolState:
    """What waits: how many files, how many bytes, and since when the oldest (None: nothing waits)."""

    path: str
    budget: int
    segments: int = 0
    used: int = 0
    oldest: datetime.datetime | None = None

    @classmethod
    def of(cls, path: str, budget: int, entries: t.Sequence[SpoolEntry]) -> SpoolState:
        """By the files in it."""
        return cls(
            path=path,
            budget=budget,
            segments=len(entries),
            used=sum(entry.size for entry in entries),
            oldest=min((entry.modified for entry in entries), default=None),
        )

    @property
    def percent(self) -> int:
        """How much of the budget is used."""
        return int(100 * self.used / self.budget) if self.budget else 100

    def age(self, now: datetime.datetime) -> float:
        """Seconds that the oldest file waits, 0 when none does."""
        return max((now - self.oldest).total_seconds(), 0.0) if self.oldest else 0.0

    def as_dict(self, *, now: datetime.datetime) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "path": self.path,
            "budget_bytes": self.budget,
            "used_bytes": self.used,
            "used_percent": self.percent,
            "segments": self.segments,
            "oldest": format_time(self.oldest) if self.oldest else None,
            "oldest_age_seconds": round(self.age(now), 1),
        }


@dataclass(frozen=True)
class ShipPlan:
    """What a run would do; nothing was captured, stored or removed.

    *repositories*: name, url, state (ready, write-only or unusable), error, to_store (None where it can't be told).
    """

    job: str
    engine: str
    lineage: str | None
    spool: SpoolState
    repositories: tuple[t.Mapping[str, t.Any], ...]
    segments: tuple[t.Mapping[str, t.Any], ...]  # name, lineage, media, size: the first ones
    warnings: tuple[ShipWarning, ...]
    facts: t.Mapping[str, t.Any]
    planned: datetime.datetime

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "job": self.job,
            "engine": self.engine,
            "lineage": self.lineage,
            "spool": self.spool.as_dict(now=self.planned),
            "repositories": [dict(repository) for repository in self.repositories],
            "segments": [dict(segment) for segment in self.segments],
            "warnings": [warning.as_dict() for warning in self.warnings],
            "facts": dict(self.facts),
        }


@dataclass(frozen=True)
class ShipResult:
    """What became of a run, or how far one that goes on is.

    *state*: complete (all that waited is recorded in every repository), partial (some is not, and will be tried again),
    blocked (somebody must look). *repositories*: name, url, state (complete, behind, failed or blocked), error,
    segments (recorded by this run), waiting. *newest* is the last segment recorded by this run, *inspected* when the
    server was asked for its *facts*.
    """

    job: str
    engine: str
    state: str
    lineage: str | None
    captured: int
    segments: int
    stored_bytes: int
    events: int
    spool: SpoolState
    repositories: tuple[t.Mapping[str, t.Any], ...]
    warnings: tuple[ShipWarning, ...]
    facts: t.Mapping[str, t.Any]
    newest: t.Mapping[str, t.Any] | None
    started: datetime.datetime
    finished: datetime.datetime
    inspected: datetime.datetime | None = None

    @property
    def error(self) -> LifeboatError | None:
        """The loud part of a result that is not complete."""
        if self.state == COMPLETE:
            return None
        worst = sorted(self.warnings, key=lambda warning: warning.severity != CRITICAL)
        said = " ".join(warning.message for warning in worst[:3]) or f"{self.spool.segments} segments wait."
        kind = StreamBlocked if self.state == BLOCKED else StreamPartial
        return kind(
            f"{self.job}: {self.state}. {said}",
            hint=next((warning.hint for warning in worst if warning.hint), ""),
            details={"warnings": [warning.as_dict() for warning in self.warnings]},
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "job": self.job,
            "engine": self.engine,
            "state": self.state,
            "lineage": self.lineage,
            "captured": self.captured,
            "segments": self.segments,
            "stored_bytes": self.stored_bytes,
            "events": self.events,
            "spool": self.spool.as_dict(now=self.finished),
            "repositories": [dict(repository) for repository in self.repositories],
            "warnings": [warning.as_dict() for warning in self.warnings],
            "facts": dict(self.facts),
            "newest": dict(self.newest) if self.newest else None,
            "started": format_time(self.started),
            "finished": format_time(self.finished),
            "seconds": round((self.finished - self.started).total_seconds(), 3),
        }
