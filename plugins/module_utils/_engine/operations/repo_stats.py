# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much repositories hold: counts and bytes by series and storage class, growth, what old versions take.

Figures come from listings alone, so they count what is there, be it whole or not; nothing is read but names.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Selection
from ..catalog.layout import MANIFEST, Series, parse_key
from ..catalog.removal import removal_id_of
from ..core.clock import format_time
from ..core.errors import LifeboatError, StorageForbidden
from ..core.host import Host
from ..core.ids import backup_id_time, is_backup_id, is_name
from ..core.progress import Progress, ProgressSink
from ..storage.base import ObjectInfo, Storage
from ..storage.registry import open_storage
from .backup_values import RepositoryRequest
from .check_values import CheckRequest

#: Growth is told for so many days, and the average of the last ones.
DAYS = 30
_WEEK = 7
_OTHER = "other"

Storages = t.Mapping[str, Storage]


@dataclass
class Amount:
    """Objects and their bytes."""

    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """One more."""
        self.objects += 1
        self.bytes += size

    def as_dict(self) -> dict[str, int]:
        """As JSON values."""
        return {"objects": self.objects, "bytes": self.bytes}


@dataclass
class SeriesStats:
    """One series: its backups (with a manifest, and not being removed), or segments of its lineages."""

    total: Amount = field(default_factory=Amount)
    backups: int = 0
    segments: int = 0
    lineages: set[str] = field(default_factory=set)
    oldest: datetime.datetime | None = None  # the oldest backup's start; of a stream, when the first segment was stored
    newest: datetime.datetime | None = None
    classes: dict[str, Amount] = field(default_factory=dict)

    def spans(self, moment: datetime.datetime) -> None:
        """Something of that time is there."""
        self.oldest = moment if self.oldest is None else min(self.oldest, moment)
        self.newest = moment if self.newest is None else max(self.newest, moment)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            **self.total.as_dict(),
            "backups": self.backups,
            "segments": self.segments,
            "lineages": len(self.lineages),
            "oldest": format_time(self.oldest) if self.oldest else None,
            "newest": format_time(self.newest) if self.newest else None,
            "storage_classes": {name: amount.as_dict() for name, amount in sorted(self.classes.items())},
        }


@dataclass
class RepositoryStats:
    """One repository. *days* are bytes by the day (UTC, ``2026-11-21``) on which what is there now was stored.

    *noncurrent* are old versions of objects, which take space and are seen by nobody, *markers* say that something was
    deleted; both None where they could not be asked for. *error* says why there is nothing.
    """

    name: str
    url: str
    now: datetime.datetime
    total: Amount = field(default_factory=Amount)
    series: dict[str, SeriesStats] = field(default_factory=dict)
    classes: dict[str, Amount] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    unfinished: int = 0
    noncurrent: Amount | None = None
    markers: int | None = None
    free_bytes: int | None = None
    error: LifeboatError | None = None

    def per_day(self, days: int) -> int:
        """Bytes a day that were stored in the last *days* whole days and are still there."""
        today = self.now.date()
        names = [(today - datetime.timedelta(days=number)).isoformat() for number in range(1, days + 1)]
        return sum(self.days.get(name, 0) for name in names) // days

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "url": self.url,
            **self.total.as_dict(),
            "series": {name: stats.as_dict() for name, stats in sorted(self.series.items())},
            "storage_classes": {name: amount.as_dict() for name, amount in sorted(self.classes.items())},
            "growth": {
                "bytes_per_day_of_7": self.per_day(_WEEK),
                "bytes_per_day_of_30": self.per_day(DAYS),
                "days": dict(sorted(self.days.items())),
            },
            "unfinished_uploads": self.unfinished,
            "noncurrent": self.noncurrent.as_dict() if self.noncurrent else None,
            "markers": self.markers,
            "free_bytes": self.free_bytes,
            "error": self.error.as_dict() if self.error else None,
        }


def read_stats(
    repositories: t.Sequence[RepositoryRequest],
    *,
    only: t.Sequence[str] = (),
    selection: Selection | None = None,
    host: Host,
    show: ProgressSink | None = None,
    storages: Storages | None = None,
) -> tuple[RepositoryStats, ...]:
    """Of each repository (*only*: of those); one that does not answer has an error instead of figures.

    In constant memory. Raises RequestInvalid for a repository that there is not.
    """
    request = CheckRequest(repositories=tuple(repositories), only=tuple(only), selection=selection or Selection())
    progress = Progress(clock=host.clock, sink=show)
    found = []
    for one in repositories:
        if only and one.name not in only:
            continue
        storage = (storages or {}).get(one.name) or open_storage(
            one.description, name=one.name, clock=host.clock, runner=host.runner
        )
        stats = RepositoryStats(name=one.name, url=storage.properties.url, now=host.clock.now())
        progress.stage(f"listing {one.name}")
        try:
            _read(stats, storage, request)
        except LifeboatError as error:
            stats.error = error
        found.append(stats)
    return tuple(found)


def _read(stats: RepositoryStats, storage: Storage, request: CheckRequest) -> None:
    first_day = (stats.now - datetime.timedelta(days=DAYS)).date().isoformat()
    folder = ""
    is_removed = has_manifest = False
    counting: SeriesStats | None = None

    def close() -> None:
        """The folder of a backup is over: was it one?"""
        if counting is not None and has_manifest and not is_removed:
            counting.backups += 1
            counting.spans(backup_id_time(folder))

    for found in storage.list(request.prefix):
        series = _series_of(found.key)
        name = series.folder.rstrip("/") if series else _OTHER
        if series is not None and not _is_selected(series, request.selection):
            continue
        parts = parse_key(found.key)
        own = stats.series.setdefault(name, SeriesStats())
        backup_id = parts.folder.backup_id if parts else ""
        if backup_id != folder or own is not counting:
            close()
            folder, is_removed, has_manifest, counting = backup_id, False, False, own if backup_id else None
        if parts is not None:
            has_manifest = has_manifest or parts.name == MANIFEST
            is_removed = is_removed or removal_id_of(found.key) is not None
        elif series is not None:
            _count_stream(own, found)
        _count(stats, own, found, first_day=first_day)
    close()
    _count_the_unseen(stats, storage, request)


def _count(stats: RepositoryStats, own: SeriesStats, found: ObjectInfo, *, first_day: str) -> None:
    stats.total.add(found.size)
    own.total.add(found.size)
    for classes in (stats.classes, own.classes):
        classes.setdefault(found.storage_class or "", Amount()).add(found.size)
    day = found.modified.date().isoformat()
    if day >= first_day:
        stats.days[day] = stats.days.get(day, 0) + found.size


def _count_stream(own: SeriesStats, found: ObjectInfo) -> None:
    parts = found.key.split("/", 5)
    own.lineages.add(parts[3])
    if parts[4] == "segments":
        own.segments += 1
        own.spans(found.modified)


def _count_the_unseen(stats: RepositoryStats, storage: Storage, request: CheckRequest) -> None:
    """What takes space and is in no listing: old versions, and uploads that did not end."""
    stats.free_bytes = storage.free_bytes()
    try:
        stats.unfinished = sum(1 for _upload in storage.unfinished(request.prefix))
        noncurrent, markers = Amount(), 0
        for version in storage.versions(request.prefix):
            if version.is_marker:
                markers += 1
            elif not version.is_latest:
                noncurrent.add(version.size)
        stats.noncurrent, stats.markers = noncurrent, markers
    except StorageForbidden:
        return  # credentials that may not ask: then nobody knows


def _series_of(key: str) -> Series | None:
    parts = key.split("/", 4)
    if len(parts) < 5 or not all(is_name(part) for part in parts[:3]):
        return None
    if not is_backup_id(parts[3]) and not is_name(parts[3]):
        return None
    return Series(*parts[:3])


def _is_selected(series: Series, selection: Selection) -> bool:
    return (
        selection.service in (None, series.service)
        and selection.source in (None, series.source)
        and selection.kind in (None, series.kind)
    )
