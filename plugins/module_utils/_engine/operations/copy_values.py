# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy between repositories is asked for, and what it would do; what becomes of it is in :mod:`copy_results`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup, Selection
from ..catalog.layout import Series
from ..core.errors import LifeboatError, RequestInvalid
from ..core.state import DEFAULT_STATE_DIRECTORY
from ..streams.layout import StreamFolder
from .backup_values import RepositoryRequest
from .prune_values import JobPolicy


def _nobody_says(_series: Series) -> bool | None:
    return None


def _any_backup(_backup: Backup) -> bool:
    return True


def _any_hour(_folder: StreamFolder, _hour: str) -> bool:
    return True


@dataclass(frozen=True)
class TargetPolicy:
    """What one repository is to have.

    *names* says whether a job writes a series there; None where nobody knows: then a backup's own manifest tells, and a
    stream is wanted where its series is already. *keeps* are its policies of retention: what they would not keep of all
    that there is does not come (:mod:`copy_keep`). *wanted* and *wanted_hour* may refuse more: a backup, and the
    segments that another repository recorded in an hour (``2026112119``).
    """

    names: t.Callable[[Series], bool | None] = _nobody_says
    wanted: t.Callable[[Backup], bool] = _any_backup
    wanted_hour: t.Callable[[StreamFolder, str], bool] = _any_hour
    keeps: tuple[JobPolicy, ...] = ()


@dataclass(frozen=True)
class CopyRequest:
    """Which repositories there are, which of them are brought up to the others, and with what.

    *to* names the targets; empty: all. *everything*: also what no job wants there, for a new repository; it needs *to*.
    *repair*: what a target has already is held against its manifests and records, and what is missing or damaged there
    is replaced. *parallel* objects are on their way at the same time. *lock_timeout* is how many seconds to wait for
    another copy to the same target on this host.
    """

    repositories: tuple[RepositoryRequest, ...]
    to: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    policies: t.Mapping[str, TargetPolicy] = field(default_factory=dict)
    everything: bool = False
    repair: bool = False
    parallel: int = 4
    state_directory: str = DEFAULT_STATE_DIRECTORY
    lock_timeout: float = 0.0

    def __post_init__(self) -> None:
        """Raises RequestInvalid for what can't be copied between or to."""
        names = [repository.name for repository in self.repositories]
        if len(set(names)) != len(names):
            raise RequestInvalid(
                f"A repository is named twice: {', '.join(names)}.", hint="Give each one a name of its own."
            )
        if len(names) < 2:
            raise RequestInvalid(
                "Copying takes two repositories at least: one to read and one to write.",
                hint="Add another one to lifeboat_repositories, or name both in repositories.",
            )
        unknown = [name for name in self.to if name not in names]
        if unknown:
            raise RequestInvalid(
                f"There is no repository {', '.join(unknown)}.", hint=f"Repositories: {', '.join(names)}."
            )
        if self.everything and not self.to:
            raise RequestInvalid(
                "Everything is copied only to repositories that are named: it may be a lot.",
                hint="Add --to NAME (module: to).",
            )
        if self.parallel < 1:
            raise RequestInvalid(
                f"parallel is {self.parallel}; it is how many objects are copied at the same time.",
                hint="Write a number from 1 on, or leave it out for 4.",
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The repositories to bring up, in the order in which they are described."""
        return tuple(one.name for one in self.repositories if not self.to or one.name in self.to)

    def policy(self, repository: str) -> TargetPolicy:
        """What that repository is to have."""
        return self.policies.get(repository, TargetPolicy())


@dataclass(frozen=True)
class PlannedBackup:
    """One backup that a target is to get, or to have repaired; *sources* in the order in which they are tried."""

    backup: Backup
    target: str
    sources: tuple[str, ...]
    reason: str
    repairs: bool = False

    @property
    def bytes(self) -> int:
        """Stored bytes of its payloads."""
        return self.backup.manifest.stored_bytes

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        manifest = self.backup.manifest
        return {
            "id": manifest.backup_id,
            "job": manifest.folder.series.folder.rstrip("/"),
            "to": self.target,
            "from": list(self.sources),
            "action": "repair" if self.repairs else "copy",
            "reason": self.reason,
            "stored_bytes": self.bytes,
        }


@dataclass(frozen=True)
class LeftOutBackup:
    """One backup that the target lacks and does not get, and why."""

    backup: Backup
    target: str
    reason: str
    is_problem: bool = False  # somebody should look

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        manifest = self.backup.manifest
        return {
            "id": manifest.backup_id,
            "job": manifest.folder.series.folder.rstrip("/"),
            "to": self.target,
            "reason": self.reason,
            "problem": self.is_problem,
        }


@dataclass(frozen=True)
class PlannedDocument:
    """A small document beside a backup, or a label of a service, that the target lacks."""

    key: str
    target: str
    source: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"key": self.key, "to": self.target, "from": self.source}


@dataclass(frozen=True)
class PlannedStream:
    """What a target lacks of one lineage. *hours* are the hours of each source's records that name any of it."""

    folder: StreamFolder
    target: str
    hours: t.Mapping[str, tuple[str, ...]]
    segments: int
    bytes: int
    events: int
    passed_over: int = 0  # segments that the target's retention would not keep, or has removed

    @property
    def is_empty(self) -> bool:
        """Whether nothing is lacking."""
        return not self.segments and not self.events

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        hours = sorted({hour for hours in self.hours.values() for hour in hours})
        return {
            "stream": self.folder.prefix.rstrip("/"),
            "to": self.target,
            "from": list(self.hours),
            "segments": self.segments,
            "stored_bytes": self.bytes,
            "events": self.events,
            "passed_over": self.passed_over,
            "first_hour": hours[0] if hours else None,
            "last_hour": hours[-1] if hours else None,
        }


@dataclass(frozen=True)
class CopyPlan:
    """What a run would do, and what could not be read: what that holds is not part of it."""

    targets: tuple[str, ...]
    backups: tuple[PlannedBackup, ...]
    left_out: tuple[LeftOutBackup, ...]
    documents: tuple[PlannedDocument, ...]
    streams: tuple[PlannedStream, ...]
    problems: tuple[LifeboatError, ...]

    @property
    def bytes(self) -> int:
        """Stored bytes to move at most; what is there already is not moved again."""
        return sum(one.bytes for one in self.backups) + sum(one.bytes for one in self.streams)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.backups and not self.documents and all(one.is_empty for one in self.streams)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "targets": list(self.targets),
            "stored_bytes": self.bytes,
            "backups": [one.as_dict() for one in self.backups],
            "left_out": [one.as_dict() for one in self.left_out],
            "documents": [one.as_dict() for one in self.documents],
            "streams": [one.as_dict() for one in self.streams if not one.is_empty or one.passed_over],
            "problems": [problem.as_dict() for problem in self.problems],
        }
