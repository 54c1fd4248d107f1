# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the retention of a repository would keep of what it lacks: what the next prune takes need not be copied.

The planner of retention is asked, as if the repository had every backup that any repository has, each as good as it is
at its best. What guards would keep it from removing is not wanted for that.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..catalog.layout import Series
from ..catalog.set_members import member_folders
from ..retention.guards import GUARDS
from ..retention.planner import plan
from ..retention.rules import merged
from ..retention.values import KEPT, Entry, Limits, RepositoryContent, SeriesPolicy
from ..streams.layout import StreamFolder, hour_of
from .prune_values import JobPolicy, retained_pins
from .wanted import FULL_KINDS

_NO_LIMITS = Limits(share=1.0, number=1_000_000_000)
#: What a recovery can begin with, beside full backups.
_INCREMENTS = ("incremental",)


class Keeping:
    """One repository's retention, applied to all *backups* that there are; *policies* are those of that repository."""

    def __init__(
        self, backups: t.Sequence[Backup], policies: t.Sequence[JobPolicy], *, repository: str, now: datetime.datetime
    ) -> None:
        self._policies = [policy for policy in policies if policy.repository == repository]
        self._now = now
        content = RepositoryContent(name=repository, entries=tuple(_entry(backup) for backup in backups))
        decided = plan(
            content,
            self._series_policies(),
            now=now,
            limits=_NO_LIMITS,
            allow=frozenset(guard.override for guard in GUARDS),
        )
        kept = [decision.entry for decision in decided.decisions if decision.verdict == KEPT]
        self._kept = {(entry.series, entry.backup_id) for entry in kept}
        self._oldest_base: dict[tuple[str, str], datetime.datetime] = {}
        for entry in kept:
            if entry.series.kind in (FULL_KINDS.get(entry.engine), *_INCREMENTS):
                place = (entry.series.service, entry.series.source)
                self._oldest_base[place] = min(entry.started, self._oldest_base.get(place, entry.started))

    def keeps(self, backup: Backup) -> bool:
        """Whether it would stay."""
        return (backup.manifest.folder.series, backup.manifest.backup_id) in self._kept

    def keeps_hour(self, folder: StreamFolder, hour: str) -> bool:
        """Whether what was recorded in that hour may be read by a recovery that is to stay possible."""
        first = self._first_hour(folder.series)
        return first is None or hour >= first

    def _first_hour(self, series: Series) -> str | None:
        own = [policy for policy in self._policies if policy.series == series]
        if not own or own[0].engine not in FULL_KINDS:
            return None  # nobody says; or the stream holds its own bases, and only its hours tell where they are
        within = merged([policy.keep for policy in own]).within
        if within is None:
            return None
        base = self._oldest_base.get((series.service, series.source), self._now)
        return hour_of(min(self._now - within, base))

    def _series_policies(self) -> list[SeriesPolicy]:
        by_series: dict[Series, list[JobPolicy]] = {}
        for policy in self._policies:
            by_series.setdefault(policy.series, []).append(policy)
        return [
            SeriesPolicy(
                series=series,
                keeps=tuple(job.keep for job in jobs),
                jobs=tuple(job.job for job in jobs),
                timezone=jobs[0].timezone,
                is_stream=jobs[0].is_stream,
            )
            for series, jobs in by_series.items()
        ]


def _entry(backup: Backup) -> Entry:
    manifest = backup.manifest
    return Entry(
        series=manifest.folder.series,
        backup_id=manifest.backup_id,
        engine=manifest.engine,
        started=manifest.started,
        finished=manifest.finished,
        state=backup.state,
        stored_bytes=manifest.stored_bytes,
        parent=manifest.parent,
        labels=manifest.labels,
        pins=retained_pins(backup),
        members=member_folders(manifest),
    )
