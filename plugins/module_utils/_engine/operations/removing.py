# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a removal of backups is told and what became of it: the values of :mod:`prune_backups`."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.folder_content import FolderContent
from ..catalog.layout import BackupFolder
from ..core.errors import LifeboatError
from ..recovery.vendor_storage import VendorBackup

CURRENT, ALL = "current", "all"


@dataclass(frozen=True)
class Candidate:
    """A copy that is to go, why, and by which plan. *parent* is what it builds on, *members* are those of a set.

    *vendor* says where its data lies when that is not in the repository. *has_failed*: it goes for what a verification
    said of it, which another one may have taken back.
    """

    folder: BackupFolder
    reasons: tuple[str, ...]
    parent: str | None
    plan_hash: str
    vendor: VendorBackup | None = None
    has_failed: bool = False
    members: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of all that must stay if it does."""
        return self.members if self.parent is None else (self.parent, *self.members)

    @property
    def backup_id(self) -> str:
        """The id of the backup."""
        return self.folder.backup_id


@dataclass(frozen=True)
class Marked:
    """A candidate that is marked as being removed: what its folder held right after, and why it stays if it must.

    *mark* is the key of the removal that is remembered if another repository has the backup. *is_ours*: this run put it
    and may take it back; else something is gone already.
    """

    candidate: Candidate
    mark: str
    content: FolderContent
    stays: str = ""
    is_ours: bool = True

    @property
    def backup_id(self) -> str:
        """The id of the backup."""
        return self.candidate.backup_id


@dataclass(frozen=True)
class Removed:
    """What became of the backups that were to go, by their ids.

    *removed* are gone. *deferred* are under lock, with the date (None: a hold, or not known): the next run tries again.
    *spared* stay for a reason that came up meanwhile: an increment that began, a pin. *refused* could not be removed,
    and why; *causes* has one error with a code and a hint for each kind of refusal. *left* were not removed: the time
    was up, somebody broke the lease, or *error* ended it; what was begun of them the next run goes on with. *bytes*
    counts what was deleted.
    """

    removed: tuple[str, ...] = ()
    deferred: t.Mapping[str, datetime.datetime | None] = field(default_factory=dict)
    spared: t.Mapping[str, str] = field(default_factory=dict)
    refused: t.Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    bytes: int = 0
    causes: tuple[LifeboatError, ...] = ()
    error: LifeboatError | None = None


@dataclass
class Tally:
    """The same while it grows; and *needed*: what those that stay build on, with one of them each."""

    removed: list[str] = field(default_factory=list)
    deferred: dict[str, datetime.datetime | None] = field(default_factory=dict)
    spared: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    bytes: int = 0
    causes: dict[str, LifeboatError] = field(default_factory=dict)
    error: LifeboatError | None = None
    needed: dict[str, str] = field(default_factory=dict)

    def note_causes(self, causes: t.Iterable[LifeboatError]) -> None:
        """Keep one error of each code."""
        for cause in causes:
            self.causes.setdefault(cause.code, cause)

    def note_stays(self, candidate: Candidate) -> None:
        """What it builds on has to stay as well."""
        for base in candidate.needs:
            self.needed.setdefault(base, candidate.backup_id)

    def result(self) -> Removed:
        """What it has come to."""
        return Removed(
            removed=tuple(self.removed),
            deferred=dict(self.deferred),
            spared=dict(self.spared),
            refused=dict(self.refused),
            left=tuple(self.left),
            bytes=self.bytes,
            causes=tuple(self.causes.values()),
            error=self.error,
        )
