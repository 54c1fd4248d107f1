# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a copy between repositories."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import CopyIncomplete, LifeboatError
from .copy_values import CopyPlan, PlannedBackup, PlannedDocument, PlannedStream

#: What can become of one backup.
COPIED, REPAIRED, PRESENT, GONE, REMOVED, WAITING, FAILED = (
    "copied",
    "repaired",
    "present",  # somebody else was faster
    "gone",  # the copies that could be read are being removed
    "removed",  # the target's policy removed it, or what it builds on
    "waiting",  # what it builds on did not come across
    "failed",
)
_SETTLED = frozenset({COPIED, REPAIRED, PRESENT, GONE, REMOVED})


@dataclass(frozen=True)
class BackupOutcome:
    """What became of one planned backup. *objects* were written; *kept* were there already, byte for byte."""

    planned: PlannedBackup
    state: str
    source: str | None = None
    objects: int = 0
    kept: int = 0
    bytes: int = 0
    note: str = ""
    error: LifeboatError | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done for it."""
        return self.state in _SETTLED

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "id": self.planned.backup.manifest.backup_id,
            "job": self.planned.backup.manifest.folder.series.folder.rstrip("/"),
            "to": self.planned.target,
            "state": self.state,
            "from": self.source,
            "objects": self.objects,
            "kept": self.kept,
            "copied_bytes": self.bytes,
            "note": self.note,
            "error": self.error.as_dict() if self.error else None,
        }


@dataclass(frozen=True)
class StreamOutcome:
    """What became of one lineage in one target. *segments* were recorded there, *kept* of them lay there already."""

    planned: PlannedStream
    segments: int = 0
    kept: int = 0
    bytes: int = 0
    events: int = 0
    gone: int = 0  # the sources removed them meanwhile
    lacking: int = 0  # could not be copied
    error: LifeboatError | None = None  # the first reason

    @property
    def state(self) -> str:
        """``copied``, or ``failed`` when something is lacking."""
        return FAILED if self.lacking or self.error else COPIED

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "stream": self.planned.folder.prefix.rstrip("/"),
            "to": self.planned.target,
            "state": self.state,
            "segments": self.segments,
            "kept": self.kept,
            "copied_bytes": self.bytes,
            "events": self.events,
            "gone": self.gone,
            "lacking": self.lacking,
            "error": self.error.as_dict() if self.error else None,
        }


@dataclass(frozen=True)
class CopyResult:
    """What became of a run; *errors* are of targets that could not be worked on at all."""

    plan: CopyPlan
    backups: tuple[BackupOutcome, ...]
    streams: tuple[StreamOutcome, ...]
    documents: tuple[PlannedDocument, ...]  # those that were copied
    errors: t.Mapping[str, LifeboatError]
    seconds: float

    @property
    def bytes(self) -> int:
        """Stored bytes that were moved."""
        return sum(one.bytes for one in self.backups) + sum(one.bytes for one in self.streams)

    @property
    def changed(self) -> bool:
        """Whether a target has something that it did not have."""
        return bool(
            self.documents
            or any(one.state in (COPIED, REPAIRED) or one.objects for one in self.backups)
            or any(one.segments or one.events for one in self.streams)
        )

    @property
    def error(self) -> LifeboatError | None:
        """The loud part when a target still lacks what it should have."""
        failed = [one for one in self.backups if not one.is_settled]
        lacking = [one for one in self.streams if one.state == FAILED]
        damaged = [one for one in self.plan.left_out if one.is_problem]
        if not (failed or lacking or damaged or self.errors or self.plan.problems):
            return None
        reasons = [
            *(f"{name}: {error.message}" for name, error in self.errors.items()),
            *(
                f"{one.planned.backup.manifest.backup_id} to {one.planned.target}: "
                f"{one.error.message if one.error else one.note}"
                for one in failed
            ),
            *(
                f"{one.planned.folder.prefix} to {one.planned.target}: {one.lacking} segments lacking"
                + (f": {one.error.message}" if one.error else "")
                for one in lacking
            ),
            *(f"{one.backup.manifest.backup_id} to {one.target}: {one.reason}" for one in damaged),
            *(problem.message for problem in self.plan.problems),
        ]
        more = f" And {len(reasons) - 5} more." if len(reasons) > 5 else ""
        hints = [
            error.hint
            for error in (*self.errors.values(), *(one.error for one in failed), *(one.error for one in lacking))
            if error is not None and error.hint
        ]
        return CopyIncomplete(
            f"Not everything is everywhere yet: {' '.join(reasons[:5])}{more}",
            hint=hints[0] if hints else "Mend the reason and run lifeboat copy again; it goes on where it ended.",
            details={"reasons": reasons[:100]},
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "changed": self.changed,
            "copied_bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "backups": [one.as_dict() for one in self.backups],
            "left_out": [one.as_dict() for one in self.plan.left_out],
            "documents": [one.as_dict() for one in self.documents],
            "streams": [one.as_dict() for one in self.streams],
            "errors": {name: error.as_dict() for name, error in self.errors.items()},
            "problems": [problem.as_dict() for problem in self.plan.problems],
        }
