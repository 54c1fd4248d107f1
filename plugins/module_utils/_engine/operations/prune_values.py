# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention is asked to do, and what became of it: the values of :mod:`prune`."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup
from ..catalog.layout import Series
from ..core.description.duration import describe_duration
from ..core.description.keep import KeepPolicy
from ..core.description.kinds import STREAMED_KINDS
from ..core.description.schedule import Schedule
from ..core.errors import RequestInvalid
from ..core.state import DEFAULT_STATE_DIRECTORY
from ..retention.values import Limits, Pin
from .backup_values import RepositoryRequest

#: After a job was due, so long it may take until its backup is called overdue.
OVERDUE_AFTER = datetime.timedelta(hours=1)
SWEEP_AGE = datetime.timedelta(days=7)
#: A run may take long to store one object; copies and shippers take objects up to a day old for their own.
LEAST_SWEEP_AGE = datetime.timedelta(days=2)
VERSIONS = ("current", "all")
_PARTS_OF_A_SERIES = 3


@dataclass(frozen=True)
class JobPolicy:
    """How long one repository keeps what one job makes. *schedule* says when there should be a new one (None: ever).

    *objective* is how far back any moment of a stream must be recoverable from this repository (None: as far as *keep*
    says). *walg* is where the job's WAL-G is, as written; empty: nothing is said of it.
    """

    repository: str
    series: Series
    engine: str
    job: str
    keep: KeepPolicy
    timezone: str = "UTC"
    schedule: Schedule | None = None
    objective: datetime.timedelta | None = None
    walg: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def is_stream(self) -> bool:
        """Whether the job stores segments and not backups."""
        return self.series.kind in STREAMED_KINDS.get(self.engine, ())

    def due_since(self, now: datetime.datetime) -> datetime.datetime | None:
        """The newest time at which a backup was due that should be there by now; None where no clock starts the job."""
        return None if self.schedule is None else self.schedule.previous_run(now - OVERDUE_AFTER)


@dataclass(frozen=True)
class PruneRequest:
    """Which repositories are to be pruned, by which policies.

    *repositories* are all that hold the backups, *prune* the names of those to remove from (all when empty): the others
    say whether a copy that goes is the last one. *allow* are the words that override guards. *versions* ``all`` removes
    older versions and delete markers of a bucket too. What belongs to nothing and is older than *sweep_age* goes.
    *price_table* holds prices by storage class, see :mod:`retention.costs`.
    """

    repositories: tuple[RepositoryRequest, ...]
    policies: tuple[JobPolicy, ...]
    prune: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    allow: frozenset[str] = frozenset()
    versions: str = "current"
    sweep_age: datetime.timedelta = SWEEP_AGE
    price_table: t.Mapping[str, t.Any] | None = None
    state_directory: str = DEFAULT_STATE_DIRECTORY

    def __post_init__(self) -> None:
        """Raises RequestInvalid for what would do nothing or something else than meant."""
        names = [repository.name for repository in self.repositories]
        unknown = [name for name in self.prune if name not in names]
        if unknown:
            raise RequestInvalid(f"There is no repository {unknown[0]}.", hint=f"Repositories: {', '.join(names)}.")
        if self.versions not in VERSIONS:
            raise RequestInvalid(f"versions is {self.versions!r}.", hint=f"It is one of: {', '.join(VERSIONS)}.")
        if not self.policies:
            raise RequestInvalid(
                "No policy says what to keep, so nothing may go.",
                hint="Give jobs with keep, or select others.",
            )
        self._check_limits()
        self._check_allowed()
        if self.sweep_age < LEAST_SWEEP_AGE:
            raise RequestInvalid(
                f"After {describe_duration(self.sweep_age)} what a run or a copy stores just now would be swept away.",
                hint=f"Give a sweep age of at least {describe_duration(LEAST_SWEEP_AGE)}, or leave it out for "
                f"{describe_duration(SWEEP_AGE)}.",
            )

    def _check_limits(self) -> None:
        """A share of 80 was meant as a percentage, and would let everything go."""
        limits = self.limits
        if not 0 <= limits.share <= 1:
            raise RequestInvalid(
                f"The share that may go at once is {limits.share:g}; it lies between 0 and 1.",
                hint="For eighty percent write 0.8.",
            )
        for name, value, least in (("share_from", limits.share_from, 1), ("number", limits.number, 0)):
            if value < least:
                raise RequestInvalid(
                    f"The limit {name} is {value}, and must be at least {least}.",
                    hint="Leave it out for the usual one.",
                )

    def _check_allowed(self) -> None:
        """An override of a series that nobody asks about was meant for another."""
        asked = {policy.series.folder.rstrip("/") for policy in self.policies}
        for word in sorted(self.allow):
            guard, colon, series = word.partition(":")
            if colon and len(series.split("/")) == _PARTS_OF_A_SERIES and series not in asked:
                raise RequestInvalid(
                    f"{word!r} overrides nothing: no policy is about {series}.",
                    hint=f"Series: {', '.join(sorted(asked))}. For all of them: {guard}",
                )

    @property
    def pruned(self) -> tuple[RepositoryRequest, ...]:
        """The repositories to remove from: those that a policy is about."""
        about = {policy.repository for policy in self.policies}
        return tuple(
            one for one in self.repositories if one.name in about and (not self.prune or one.name in self.prune)
        )


def retained_pins(backup: Backup) -> tuple[Pin, ...]:
    """Its pins as retention reads them: a hold is in force until somebody takes it away, whatever else it says."""
    return tuple(
        Pin(
            pin_id=pin.pin_id,
            reason=pin.reason,
            made=pin.made,
            until=None if pin.hold else pin.until,
            hold=pin.hold,
        )
        for pin in backup.pins
    )
