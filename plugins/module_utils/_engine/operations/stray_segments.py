# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments that no record names: a shipper or a copy died between the two, or lost a race. Reads only (ADR 72).

While retention sums up a lineage, the names go by here and into a filter; then the folders of groups are listed and
held against it, in constant memory. A lineage of which something can't be read has no strays: what names them may be
just that. What is in the records of hours that nobody reads any more, because their index is missing, is none either.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError
from ..retention.stream_hours import StreamSummary
from ..storage.base import ObjectInfo, Storage
from ..streams.layout import StreamFolder, hour_of, is_hour
from ..streams.reader import read_loose
from ..streams.record import Record
from .ahead import Stopping, in_order, workers
from .name_filter import NameFilter
from .name_table import number_of
from .stream_leavings import indexed_leavings, loose_leavings

SEGMENT = "segment that no record names"
#: So many are named, and removed, at a time; the next run goes on.
MOST = 10_000
#: A lineage of up to so many segments is listed whole, each time.
_LISTED_WHOLE = 100_000
#: Of a longer one: groups of what was recorded since so long before the sweep age, those that no record names, and of
#: the others one in so many, another each day.
_LISTED_BEFORE = datetime.timedelta(days=8)
_TURNS = 30
_PARALLEL = 8
_AHEAD = 2 * _PARALLEL
# As they are stored: the name, the hash of the plain bytes, where others lie under that a few characters, suffixes.
_SHARE_HINT = "Look: lifeboat repo check. To have them swept all the same: --allow share"
_OURS = re.compile(r".+\.[0-9a-f]{64}(\.[0-9a-f]{6})?(\.zst)?(\.age)?")


@dataclass(frozen=True)
class StraySegment:
    """An object with its *size* and when the storage took it. *kept* says why it stays all the same."""

    folder: StreamFolder
    key: str
    size: int
    modified: datetime.datetime
    kept: str = ""


@dataclass(frozen=True)
class Strays:
    """Those of one repository, in order of key, at most :data:`MOST`; *more* were found and are not among them.

    *error* is why not everything was looked at.
    """

    found: tuple[StraySegment, ...] = ()
    more: int = 0
    error: LifeboatError | None = None


@dataclass(frozen=True)
class StrayRules:
    """What was stored before *horizon*, by the storage's clock, is too old to be recorded any more.

    Where more than *share* (of at least *share_from* segments) have no record, records are missing rather; *allow* has
    the words that say they are not.
    """

    horizon: datetime.datetime
    now: datetime.datetime
    share: float
    share_from: int
    allow: t.AbstractSet[str] = frozenset()

    def allows(self, folder: StreamFolder) -> bool:
        """Whether somebody said that the share doesn't matter."""
        return not {"share", f"share:{folder.series.folder.rstrip('/')}"}.isdisjoint(self.allow)


class StraySearch:
    """Of one repository; what :meth:`of` gives is told what a lineage's records say."""

    def __init__(self, storage: Storage, rules: StrayRules) -> None:
        self._storage = storage
        self._rules = rules
        self._found: list[StraySegment] = []
        self._more = 0
        self._error: LifeboatError | None = None

    def of(self, folder: StreamFolder) -> _Lineage:
        """What listens while that lineage is read."""
        return _Lineage(self._storage, folder, self._rules, done=self._take)

    @property
    def strays(self) -> Strays:
        """What was found."""
        return Strays(found=tuple(self._found), more=self._more, error=self._error)

    def _take(self, found: t.Sequence[StraySegment], more: int, error: LifeboatError | None) -> None:
        self._error = self._error or error
        room = MOST - len(self._found)
        self._found += found[:room]
        self._more += more + len(found[room:])


_Done = t.Callable[[t.Sequence[StraySegment], int, t.Optional[LifeboatError]], None]


@dataclass
class _Lineage:
    storage: Storage
    folder: StreamFolder
    rules: StrayRules
    done: _Done
    _names: NameFilter | None = None
    _segments: int = 0
    _hours: set[str] = field(default_factory=set)
    _groups: dict[str, str] = field(default_factory=dict)  # the newest hour that names something of it

    def take(self, hour: str, records: t.Sequence[Record]) -> None:
        """The next hour, or what the floor holds (hour ``""``)."""
        self._note(hour, [(one.description.group, one.payload.name) for record in records for one in record.segments])

    def end(self, summary: StreamSummary) -> None:
        """All hours that count were given: look."""
        try:
            # What can't be read is told by who reads it.
            if not summary.problems:
                self._take_below(summary.entry.floor)
                self.done(*self._strays(), None)
        except LifeboatError as error:
            self.done((), 0, error)
        finally:
            self._names = None  # its memory is free

    def _note(self, hour: str, objects: t.Sequence[tuple[str, str]]) -> None:
        self._hours.add(hour)
        if self._names is None:
            self._names = NameFilter(salt=self.rules.now.isoformat())
        groups = {group: self.folder.group_prefix(group) for group in dict.fromkeys(group for group, _name in objects)}
        for group in groups:
            self._groups[group] = max(hour, self._groups.get(group, ""))
        self._names.add(f"{groups[group]}{name}" for group, name in objects)
        self._segments += len(objects)

    def _take_below(self, floor: str) -> None:
        """What is being removed by its hours, or could not be yet: its records are there as long as it is."""
        if not floor:
            return
        for leavings in (
            indexed_leavings(self.storage, self.folder, floor=floor),
            loose_leavings(self.storage, self.folder, floor=floor, without=()),
        ):
            for one in leavings:
                if one.problems:
                    raise one.problems[0]
                self._note(one.hour, [(named.group, named.object) for named in one.objects])

    def _strays(self) -> tuple[list[StraySegment], int]:
        """The first of them, and how many more there may be."""
        old = more = 0
        found: list[ObjectInfo] = []
        with workers(_PARALLEL, stopping=Stopping()) as pool:
            for _group, future in in_order(pool, self._listed, self._wanted_groups(), ahead=_AHEAD):
                listed = future.result()
                old += len(listed)
                unnamed = self._unnamed(listed)
                room = MOST - len(found)
                found += unnamed[:room]
                more += len(unnamed[room:])
        if found:
            self._take_unread_hours()
            found = self._unnamed(found)
        count = len(found) + more
        kept = ""
        if old >= self.rules.share_from and count > self.rules.share * old and not self.rules.allows(self.folder):
            kept = f"{count} of {old} segments have no record: records may be missing. {_SHARE_HINT}"
        strays = [
            StraySegment(folder=self.folder, key=one.key, size=one.size, modified=one.modified, kept=kept)
            for one in found
        ]
        return strays, more if found else 0

    def _wanted_groups(self) -> list[str]:
        groups = sorted(self.storage.list_folders(self.folder.segments_prefix))
        if self._segments <= _LISTED_WHOLE:
            return groups
        since = hour_of(self.rules.horizon - _LISTED_BEFORE)
        turn = self.rules.now.toordinal() % _TURNS
        return [
            group for group in groups if self._groups.get(group, since) >= since or number_of(group) % _TURNS == turn
        ]

    def _listed(self, group: str) -> list[ObjectInfo]:
        """What a group holds that is old enough."""
        prefix = self.folder.group_prefix(group)
        return [
            one
            for one in self.storage.list(prefix)
            if one.modified < self.rules.horizon and _OURS.fullmatch(one.key[len(prefix) :])
        ]

    def _unnamed(self, found: t.Sequence[ObjectInfo]) -> list[ObjectInfo]:
        if self._names is None:
            return list(found)
        unnamed = frozenset(self._names.unseen([one.key for one in found]))
        return [one for one in found if one.key in unnamed]

    def _take_unread_hours(self) -> None:
        """Records of which nobody knows any more, since the index of their hour is gone: they name what they name."""
        hours = self.storage.list_folders(self.folder.records_prefix)
        unread = sorted(one for one in hours if is_hour(one) and one not in self._hours)
        with workers(_PARALLEL, stopping=Stopping()) as pool:
            for hour in unread:
                read = read_loose(self.storage, self.folder, hour, known=(), pool=pool)
                if read.problems:
                    raise read.problems[0]
                self.take(hour, read.records)
