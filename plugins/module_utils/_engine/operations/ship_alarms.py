# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator must hear of a stream: pure, from what was seen."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.description.duration import describe_duration
from ..core.errors import (
    LifeboatError,
    StorageUnreachable,
    StreamConflict,
    StreamSegmentGone,
    StreamSegmentRefused,
    StreamSpoolFull,
)
from ..streams.source import StreamInspection
from .ship_values import BLOCKED, COMPLETE, CRITICAL, PARTIAL, WARNING, ShipRequest, ShipWarning, SpoolState

NEARLY_FULL = 80
_STATUS = "See what keeps them from being stored: lifeboat ship --status"
_SHOWN = 3


@dataclass(frozen=True)
class Seen:
    """Everything that alarms are judged by.

    *failed* are repositories with their error, *unread* records that can't be read, *missing* how many segments left
    the spool without a copy in each repository, *holes* neighbours that don't follow each other.
    """

    inspection: StreamInspection
    spool: SpoolState
    refused: t.Sequence[StreamSegmentRefused] = ()
    held: int = 0
    failed: t.Mapping[str, LifeboatError] = field(default_factory=dict)
    capture_problem: LifeboatError | None = None
    said: t.Sequence[str] = ()
    holes: t.Sequence[tuple[str, str]] = ()
    missing: t.Mapping[str, int] = field(default_factory=dict)
    unread: t.Sequence[LifeboatError] = ()


def alarms(request: ShipRequest, seen: Seen, *, now: datetime.datetime) -> tuple[ShipWarning, ...]:
    """The named warnings, the worst first."""
    found = [
        *_spool(request, seen, now=now),
        *_segments(seen),
        *_repositories(request, seen),
        *_source(seen),
    ]
    return tuple(sorted(found, key=lambda warning: warning.severity != CRITICAL))


def state_of(warnings: t.Sequence[ShipWarning], *, waiting: int) -> str:
    """complete, partial or blocked."""
    if any(warning.name in _BLOCKING for warning in warnings):
        return BLOCKED
    if waiting or any(warning.severity == CRITICAL or warning.name in _INCOMPLETE for warning in warnings):
        return PARTIAL
    return COMPLETE


_BLOCKING = frozenset({"spool_full", "segment_refused", "segment_conflict", "no_repository", "capture_failed"})
_INCOMPLETE = frozenset({"repository_failed", "repository_unreachable", "source_unreachable", "copies_missing"})


def _spool(request: ShipRequest, seen: Seen, *, now: datetime.datetime) -> t.Iterator[ShipWarning]:
    spool = seen.spool
    details = spool.as_dict(now=now)
    if spool.oldest is not None and spool.age(now) > request.alarm_age.total_seconds():
        waited = describe_duration(datetime.timedelta(seconds=int(spool.age(now))))
        yield ShipWarning(
            "unshipped_too_old",
            CRITICAL,
            f"The oldest of {spool.segments} segments in {spool.path} waits for {waited} already.",
            _STATUS,
            details,
        )
    if spool.percent >= 100 or isinstance(seen.capture_problem, StreamSpoolFull):
        yield ShipWarning(
            "spool_full",
            CRITICAL,
            f"The spool {spool.path} has reached its budget ({spool.used} of {spool.budget} bytes); the source keeps "
            "what comes now, until its own disk is full.",
            _STATUS,
            details,
        )
    elif spool.percent >= NEARLY_FULL:
        yield ShipWarning(
            "spool_nearly_full",
            WARNING,
            f"The spool {spool.path} is {spool.percent} % full ({spool.used} of {spool.budget} bytes).",
            _STATUS,
            details,
        )


def _segments(seen: Seen) -> t.Iterator[ShipWarning]:
    for error in seen.refused[:_SHOWN]:
        behind = f" {seen.held} files wait behind it." if seen.held else ""
        yield ShipWarning("segment_refused", CRITICAL, error.message + behind, error.hint, error.details)
    for before, after in seen.holes[:_SHOWN]:
        yield ShipWarning(
            "hole",
            CRITICAL,
            f"{after} does not follow {before}: nothing behind it can be reached from an earlier base.",
            "Make a full backup now; lifeboat windows shows what can be reached.",
            {"before": before, "after": after},
        )


def _repositories(request: ShipRequest, seen: Seen) -> t.Iterator[ShipWarning]:
    working = len(request.repositories) - len(seen.failed)
    for name, error in seen.failed.items():
        details = {"repository": name, "error": error.as_dict()}
        if isinstance(error, StreamConflict):
            kind, severity = "segment_conflict", CRITICAL
        elif isinstance(error, StreamSegmentGone):
            kind, severity = "segment_gone", CRITICAL
        elif isinstance(error, StorageUnreachable):
            kind, severity = "repository_unreachable", WARNING
        else:
            kind, severity = "repository_failed", WARNING
        yield ShipWarning(kind, severity, f"{name}: {error.message}", error.hint, details)
    if seen.failed and working < request.copies:
        yield ShipWarning(
            "too_few_repositories" if working else "no_repository",
            CRITICAL if seen.spool.segments else WARNING,
            f"{working} of {len(request.repositories)} repositories take segments; each must be in {request.copies}.",
            "Nothing leaves the spool until they do; it is kept for them.",
        )
    for name, count in seen.missing.items():
        yield ShipWarning(
            "copies_missing",
            WARNING,
            f"{count} segments left the spool without a copy in {name}; {request.copies} other copies exist.",
            "When it is back, copy them: its own records have a hole there.",
            {"repository": name, "segments": count},
        )
    for problem in seen.unread[:_SHOWN]:
        yield ShipWarning("record_unreadable", WARNING, problem.message, problem.hint, problem.details)


def _source(seen: Seen) -> t.Iterator[ShipWarning]:
    if not seen.inspection.reachable:
        yield ShipWarning(
            "source_unreachable",
            WARNING,
            f"The source does not answer: {seen.inspection.problem or 'no reason given'} What waits is shipped.",
        )
    problem = seen.capture_problem
    if problem is not None and not isinstance(problem, StreamSpoolFull):
        yield ShipWarning("capture_failed", CRITICAL, problem.message, problem.hint, problem.details)
    for alarm in seen.inspection.alarms:
        severity = CRITICAL if alarm.is_critical else WARNING
        yield ShipWarning(alarm.name, severity, alarm.message, alarm.hint, alarm.details)
    for sentence in (*seen.inspection.warnings, *seen.said):
        yield ShipWarning("source", WARNING, sentence)
