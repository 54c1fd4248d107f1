# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a prune, in each repository."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time
from ..core.errors import LifeboatError, PruneIncomplete
from ..recovery.vendor_storage import VendorRest
from ..retention.plan_document import plan_hash
from ..retention.values import RetentionPlan
from .prune_plans import PrunePlans
from .removing import Removed
from .stream_pruned import StreamPruned
from .sweep import Swept


@dataclass(frozen=True)
class RepositoryResult:
    """One repository: what its plan was, and what was done. *finished* is what earlier runs had begun.

    *vendor_logs* counts the files of logs that vendors' tools removed, by storage; *vendor_rests* is what these
    storages still keep of what was removed.
    """

    plan: RetentionPlan
    backups: Removed = field(default_factory=Removed)
    finished: Removed = field(default_factory=Removed)
    streams: tuple[StreamPruned, ...] = ()
    swept: Swept = field(default_factory=Swept)
    vendor_logs: t.Mapping[str, int] = field(default_factory=dict)
    vendor_rests: t.Mapping[str, VendorRest] = field(default_factory=dict)
    stopped: LifeboatError | None = None  # before anything could be done

    @property
    def error(self) -> LifeboatError | None:
        """The first thing that went wrong; what is locked, spared or left for the next run is none."""
        errors = [self.stopped, self.finished.error, self.backups.error, *(one.error for one in self.streams)]
        causes = [*self.finished.causes, *self.backups.causes] if self.refused else []
        return next((error for error in [*errors, self.swept.error, *causes] if error is not None), None)

    @property
    def refused(self) -> dict[str, str]:
        """What could not be removed, and why."""
        return {**self.finished.refused, **self.backups.refused}

    @property
    def deferred(self) -> dict[str, t.Any]:
        """What is under lock, until when."""
        return {**self.finished.deferred, **self.backups.deferred}

    @property
    def removed_bytes(self) -> int:
        """All bytes that were deleted, as far as known."""
        streams = sum(one.bytes for one in self.streams)
        return self.finished.bytes + self.backups.bytes + streams + self.swept.bytes

    @property
    def changed(self) -> bool:
        """Whether anything was removed."""
        removed = self.backups.removed or self.finished.removed or any(one.segments for one in self.streams)
        return bool(removed) or any(one.is_removed for one in self.swept.orphans)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "repository": self.plan.repository,
            "plan_hash": plan_hash(self.plan),
            "removed": [*self.finished.removed, *self.backups.removed],
            "removed_bytes": self.removed_bytes,
            "deferred": {name: format_time(until) if until else None for name, until in self.deferred.items()},
            "spared": {**self.finished.spared, **self.backups.spared},
            "refused": self.refused,
            "left": [*self.finished.left, *self.backups.left],
            "streams": [one.as_dict() for one in self.streams],
            "vendor_logs": dict(self.vendor_logs),
            "vendor_rests": {place: rest.as_dict() for place, rest in self.vendor_rests.items()},
            "swept": self.swept.as_dict(),
            "error": self.error.as_dict() if self.error else None,
        }


@dataclass(frozen=True)
class PruneResult:
    """All repositories."""

    plans: PrunePlans
    repositories: tuple[RepositoryResult, ...]

    @property
    def changed(self) -> bool:
        """Whether anything was removed anywhere."""
        return any(one.changed for one in self.repositories)

    @property
    def error(self) -> LifeboatError | None:
        """What to leave with: the only error as it is, or all of them in one."""
        failed = [(one.plan.repository, one.error) for one in self.repositories if one.error is not None]
        if len(failed) <= 1:
            return failed[0][1] if failed else None
        return PruneIncomplete(
            "; ".join(f"{name}: {error.message} [{error.code}]" for name, error in failed),
            hint="See to each, then: lifeboat prune --yes goes on where this run ended.",
            details={"repositories": {name: error.as_dict() for name, error in failed}},
        )

    def as_dicts(self) -> list[dict[str, t.Any]]:
        """As JSON values, one for each repository."""
        return [one.as_dict() for one in self.repositories]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        error = self.error
        return {
            **self.plans.as_dict(),
            "results": self.as_dicts(),
            "changed": self.changed,
            "error": error.as_dict() if error else None,
        }
