# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a retention plan is made from and what it says. Pure values: times are aware UTC, sizes bytes."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.layout import BackupFolder, Series
from ..core.description.keep import KeepPolicy
from ..recovery.vendor_storage import VendorBackup

KEPT, REMOVED = "kept", "removed"


@dataclass(frozen=True)
class Pin:
    """Somebody's word that a backup stays: until a time (None: until it is taken away).

    A *hold* is a legal one, which ends only when it is taken away.
    """

    pin_id: str
    reason: str
    made: datetime.datetime
    until: datetime.datetime | None = None
    hold: bool = False

    def holds_at(self, now: datetime.datetime) -> bool:
        """Whether it still counts."""
        return self.hold or self.until is None or self.until > now


@dataclass(frozen=True)
class Entry:
    """One backup as one repository holds it.

    *state* is ``complete``, ``verified`` or ``failed`` there (:mod:`catalog.standing`). *locked_until* is when the
    storage lets its objects go, where that is known. *storage_class* and *stored* (when it was written) cost money.
    *vendor* is where the data lies when a vendor's tool keeps it; *stored_bytes* don't count that. *members* are those
    of a set. *is_asked* is False for backups of sources that nobody asked about, which are read for their sets alone.
    """

    series: Series
    backup_id: str
    engine: str
    started: datetime.datetime
    finished: datetime.datetime
    state: str
    stored_bytes: int
    parent: str | None = None
    labels: t.Mapping[str, str] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    checksum: str = ""  # of its manifest
    locked_until: datetime.datetime | None = None
    storage_class: str | None = None
    stored: datetime.datetime | None = None
    vendor: VendorBackup | None = None
    members: tuple[BackupFolder, ...] = ()
    is_asked: bool = True

    @property
    def folder(self) -> BackupFolder:
        """Where it lies."""
        return self.series.backup(self.backup_id)


@dataclass(frozen=True)
class StreamHour:
    """What was recorded of one lineage in one hour. *key* is the hour (``2026112119``)."""

    key: str
    segments: int
    stored_bytes: int
    ends: datetime.datetime | None  # the newest moment in it, by the source's clock


@dataclass(frozen=True)
class StreamEntry:
    """One lineage of a stream in one repository, summed up by the hour; see :mod:`stream_hours` for how.

    *needed_from* says for a base's id the first hour that a recovery from it reads (absent: it reads nothing here).
    *own_bases* are hours with which a recovery can begin without a backup (a generation of append-only files).
    """

    series: Series
    lineage: str
    engine: str
    hours: tuple[StreamHour, ...]
    needed_from: t.Mapping[str, str]
    own_bases: tuple[str, ...] = ()
    floor: str = ""  # hours before it were removed already, or are being removed
    windows: tuple[RecoverySpan, ...] = ()


@dataclass(frozen=True)
class RecoverySpan:
    """An unbroken span of moments that a base reaches; several bases may reach into the same one.

    *series* is that of the stream; a plan says it, a stream's own windows need not.
    """

    lineage: str
    base: str  # the id of a backup, or the hour of an own base
    begins: datetime.datetime
    ends: datetime.datetime
    series: Series | None = None


@dataclass(frozen=True)
class PinnedPoint:
    """Somebody's word that a source can be recovered to that moment and all later ones, until a time (None: no end)."""

    moment: datetime.datetime
    reason: str
    until: datetime.datetime | None = None


@dataclass(frozen=True)
class SeriesPolicy:
    """What is wanted for one series in one repository: *keeps* of all jobs that write it, and its place in time.

    *jobs* are the names of these jobs in the same order: the rules of each count the backups with its name in the label
    ``job`` and no others (weekly ones don't use up the places of daily ones). Backups without that label, or with the
    name of a job that there is no longer, stay when the rules of any job, counted over all such backups, say so.
    *overdue_since* is when a backup of the series should have been there that is not (None: not overdue). *timezone*
    is where its days begin. *is_stream*: segments and not backups; then *objective* is how far back any moment must be
    recoverable (None: as far as the policy keeps), and *points* are moments that must stay so whatever their age.

    What *keeps* lacks goes: it must hold the policies of all jobs of the series, also when one of them was asked for.
    """

    series: Series
    keeps: tuple[KeepPolicy, ...]
    jobs: tuple[str, ...] = ()
    timezone: str = "UTC"
    is_stream: bool = False
    overdue_since: datetime.datetime | None = None
    objective: datetime.timedelta | None = None
    points: tuple[PinnedPoint, ...] = ()


@dataclass(frozen=True)
class Limits:
    """How much one plan may remove of a repository: a share of each series (0 to 1), and a number of all its backups.

    *share* counts from *share_from* backups of a series on: of three, one is a third. *clock_skew* is by how many
    seconds the storage's clock and this host's may differ.
    """

    share: float = 0.5
    share_from: int = 10
    number: int = 1000
    clock_skew: float = 300.0


@dataclass(frozen=True)
class RepositoryContent:
    """All that one repository holds, as the planner sees it. *problems* are entries that could not be read.

    *unreadable* names the backups among them: whatever could be their base stays. *clock_skew* is the storage's clock
    minus this host's, in seconds.
    """

    name: str
    entries: tuple[Entry, ...]
    streams: tuple[StreamEntry, ...] = ()
    problems: tuple[str, ...] = ()
    clock_skew: float = 0.0
    unfinished_removals: tuple[str, ...] = ()  # prefixes of what an earlier run began to remove
    unreadable: tuple[BackupFolder, ...] = ()


@dataclass(frozen=True)
class Elsewhere:
    """Another repository of the same services: what it holds may build on what is here, and the other way round."""

    content: RepositoryContent
    policies: tuple[SeriesPolicy, ...] = ()


@dataclass(frozen=True)
class Decision:
    """One backup's fate, with every reason for it in words. *held_back*: it stays for a guard alone."""

    entry: Entry
    verdict: str  # KEPT or REMOVED
    reasons: tuple[str, ...]
    held_back: bool = False


@dataclass(frozen=True)
class StreamDecision:
    """What stays of one lineage: everything from the hour *keep_from* on (empty: nothing of it goes).

    *held_back*: something of it stays for a guard alone.
    """

    entry: StreamEntry
    keep_from: str
    removed_hours: int
    removed_segments: int
    removed_bytes: int
    reasons: tuple[str, ...]
    held_back: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why nothing is removed: of a series, or of the repository (series None). *override* is what allows it.

    It is a word, or a word and the series that it is for: ``overdue:family/main/full``.
    """

    code: str
    message: str
    hint: str
    override: str
    series: Series | None = None


@dataclass(frozen=True)
class RetentionPlan:
    """What is to happen in one repository.

    *refusals* were not overridden: what they are about is among the decisions as kept and held back. *allow* are the
    overrides that the plan was made with, *overridden* the refusals that they lifted. *unfinished_removals* are
    prefixes of what an earlier run began to remove, which the next one finishes whatever is decided here.
    """

    repository: str
    now: datetime.datetime
    decisions: tuple[Decision, ...]
    streams: tuple[StreamDecision, ...]
    refusals: tuple[Refusal, ...]
    overridden: tuple[Refusal, ...]
    windows_before: tuple[RecoverySpan, ...]
    windows_after: tuple[RecoverySpan, ...]
    state_hash: str
    allow: frozenset[str] = frozenset()
    policies: tuple[SeriesPolicy, ...] = ()
    unfinished_removals: tuple[str, ...] = ()

    @property
    def removals(self) -> tuple[Decision, ...]:
        """What goes, children before parents, sets before members, the oldest first where neither builds on another."""
        return tuple(one for group in self.removal_ranks for one in group)

    @property
    def removal_ranks(self) -> tuple[tuple[Decision, ...], ...]:
        """The same in groups: nothing of a group builds on another of it or of a later group; each oldest first."""
        going = [one for one in self.decisions if one.verdict == REMOVED]
        if not any(one.entry.parent or one.entry.members for one in going):
            return (tuple(sorted(going, key=_age)),) if going else ()
        parents = {_place(one.entry): _parent_place(one.entry) for one in going}
        above: dict[tuple[str, str, str], int] = {}  # how many bases it stands on that go, too
        for place in parents:
            way: list[tuple[str, str, str]] = []
            step: tuple[str, str, str] | None = place
            while step is not None and step in parents and step not in above and step not in way:
                way.append(step)
                step = parents[step]
            height = above[step] + 1 if step is not None and step in above else 0
            for one in reversed(way):
                above[one] = height
                height += 1
        for decision in going:
            # Nothing builds on a set, so those heights are final.
            place, members = _place(decision.entry), map(place_of_folder, decision.entry.members)
            above[place] = max([above[place], *(above[member] + 1 for member in members if member in above)])
        groups: dict[int, list[Decision]] = {}
        for decision in going:
            groups.setdefault(above[_place(decision.entry)], []).append(decision)
        return tuple(tuple(sorted(groups[height], key=_age)) for height in sorted(groups, reverse=True))


def _age(decision: Decision) -> tuple[datetime.datetime, str]:
    return decision.entry.started, decision.entry.backup_id


def place_of_folder(folder: BackupFolder) -> tuple[str, str, str]:
    """What tells a backup apart from all others."""
    return folder.series.service, folder.series.source, folder.backup_id


def _place(entry: Entry) -> tuple[str, str, str]:
    return entry.series.service, entry.series.source, entry.backup_id


def _parent_place(entry: Entry) -> tuple[str, str, str] | None:
    return None if entry.parent is None else (entry.series.service, entry.series.source, entry.parent)
