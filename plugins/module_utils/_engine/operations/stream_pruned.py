# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a stream of which something was to go: the values of :mod:`prune_stream`."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time
from ..core.errors import LifeboatError, StorageError
from ..retention.values import StreamDecision
from ..storage.base import DeleteReport

_SHOWN = 20


@dataclass(frozen=True)
class StreamPruned:
    """One lineage. *floor* is the first hour that counts now (empty: nothing was ever removed).

    *segments* and *bytes* are those that are gone, *objects* with their records and indexes. *spared* segments stay
    because an hour that counts names them, too, or because the lineage needs them as long as it lasts. *deferred* of
    them are under lock, the last until *deferred_until* (None: a hold, or not known); *refused* could not be removed,
    and why (some of them). *waiting* hours keep their records for that: the next run tries again. *is_left*: the time
    was up, or somebody broke the lease; the next run goes on. *causes* has one error for each kind of refusal,
    *problems* are records below the floor that can't be read, and so what they name stays.
    """

    decision: StreamDecision
    floor: str = ""
    hours: int = 0
    segments: int = 0
    objects: int = 0
    bytes: int = 0
    spared: int = 0
    deferred: int = 0
    deferred_until: datetime.datetime | None = None
    refused: t.Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    problems: tuple[LifeboatError, ...] = ()
    causes: tuple[StorageError, ...] = ()
    is_left: bool = False
    stopped: LifeboatError | None = None

    @property
    def error(self) -> LifeboatError | None:
        """The first thing that went wrong; what is locked, or left for the next run, is none."""
        return next((one for one in (self.stopped, *self.causes, *self.problems) if one is not None), None)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left of what was to go."""
        return not (self.stopped or self.is_left or self.waiting or self.problems)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "stream": f"{self.decision.entry.series.folder}{self.decision.entry.lineage}",
            "floor": self.floor or None,
            "hours": self.hours,
            "segments": self.segments,
            "objects": self.objects,
            "bytes": self.bytes,
            "spared": self.spared,
            "deferred": self.deferred,
            "deferred_until": format_time(self.deferred_until) if self.deferred_until else None,
            "refused": dict(self.refused),
            "waiting": list(self.waiting),
            "problems": [problem.as_dict() for problem in self.problems],
            "left": self.is_left,
            "error": self.error.as_dict() if self.error else None,
        }


@dataclass
class StreamTally:
    """The same while it grows; sums and a few examples, never all keys."""

    floor: str = ""
    hours: int = 0
    segments: int = 0
    objects: int = 0
    bytes: int = 0
    spared: int = 0
    deferred: int = 0
    deferred_until: datetime.datetime | None = None
    refused: dict[str, str] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    problems: list[LifeboatError] = field(default_factory=list)
    causes: dict[str, StorageError] = field(default_factory=dict)
    is_left: bool = False
    stopped: LifeboatError | None = None

    def note(self, report: DeleteReport) -> frozenset[str]:
        """Count what a delete came to; the keys that are still there."""
        self.objects += len(report.deleted)
        self.deferred += len(report.deferred)
        for until in report.deferred.values():
            if until is not None and (self.deferred_until is None or until > self.deferred_until):
                self.deferred_until = until
        for key, why in report.refused.items():
            if len(self.refused) < _SHOWN:
                self.refused[key] = why
        for cause in report.causes:
            self.causes.setdefault(cause.code, cause)
        return frozenset((*report.deferred, *report.refused))

    def result(self, decision: StreamDecision) -> StreamPruned:
        """What it has come to."""
        return StreamPruned(
            decision=decision,
            floor=self.floor,
            hours=self.hours,
            segments=self.segments,
            objects=self.objects,
            bytes=self.bytes,
            spared=self.spared,
            deferred=self.deferred,
            deferred_until=self.deferred_until,
            refused=dict(self.refused),
            waiting=tuple(sorted(self.waiting)[:_SHOWN]),
            problems=tuple(self.problems[:_SHOWN]),
            causes=tuple(self.causes.values()),
            is_left=self.is_left,
            stopped=self.stopped,
        )
