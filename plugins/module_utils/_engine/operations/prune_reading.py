# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repositories hold, in the form that retention plans from. Reads only."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup, Selection, read_catalog
from ..catalog.layout import BackupFolder, Series, parse_key
from ..catalog.removal import DELETING, RemovedCopy
from ..catalog.set_members import SET_LABEL, member_folders, set_in
from ..catalog.standing import FAILED
from ..core.errors import LifeboatError
from ..core.host import Host
from ..retention.rules import JOB_LABEL
from ..retention.stream_hours import StreamSummary, summarise_series
from ..retention.values import Entry, Pin, PinnedPoint, RepositoryContent, SeriesPolicy
from ..storage.base import Storage
from .label_pins import pinned_points
from .marked_streams import STREAM_MARKS
from .prune_values import JobPolicy, PruneRequest, retained_pins
from .stray_segments import StrayRules, Strays, StraySearch
from .vendor_backups import VendorBackups

Source = tuple[str, str]
Points = t.Mapping[Source, tuple[PinnedPoint, ...]]
_Key = t.TypeVar("_Key", bound=t.Hashable)
_One = t.TypeVar("_One", bound=t.Hashable)


@dataclass(frozen=True)
class RepositoryReading:
    """One repository: what is planned from, and what the applier needs besides. *strays* only where is to be pruned."""

    content: RepositoryContent
    policies: tuple[SeriesPolicy, ...]
    summaries: tuple[StreamSummary, ...]
    removals: tuple[RemovedCopy, ...]
    strays: Strays = field(default_factory=Strays)
    verifications: t.Mapping[str, frozenset[str]] = field(default_factory=dict)  # by the backup's id: those known


def read_repositories(
    request: PruneRequest, storages: t.Mapping[str, Storage], *, host: Host, now: datetime.datetime
) -> dict[str, RepositoryReading]:
    """Read all of what the policies are about, from every repository. Problems become part of what was read."""
    backups, removals, problems = _read_catalogs(request, storages)
    services = list(dict.fromkeys(policy.series.service for policy in request.policies))
    pinned = {name: pinned_points(storage, services) for name, storage in storages.items()}
    points = _together(one.points for one in pinned.values())
    pins = _together(one.backups for one in pinned.values())
    vendors = VendorBackups.of(one.manifest for one in backups)
    return {
        name: _read_one(
            request,
            name,
            storage,
            vendors=vendors,
            backups=[one for one in backups if name in one.repositories],
            removals=[one for one in removals if one.repository == name],
            problems=[one for one in problems if one.details.get("repository") == name] + list(pinned[name].problems),
            points=points,
            pins=pins,
            now=now,
            host=host,
        )
        for name, storage in storages.items()
    }


def _read_catalogs(
    request: PruneRequest, storages: t.Mapping[str, Storage]
) -> tuple[list[Backup], list[RemovedCopy], list[LifeboatError]]:
    backups: list[Backup] = []
    removals: list[RemovedCopy] = []
    problems: dict[tuple[str, str, str], LifeboatError] = {}
    waiting = _sources(request.policies)
    read: set[Source] = set()
    while waiting:
        service, source = waiting.pop(0)
        if (service, source) in read:
            continue
        read.add((service, source))
        reading = read_catalog(storages, selection=Selection(service=service, source=source))
        backups += reading.backups
        removals += reading.removals
        for problem in reading.problems:
            # A repository that is down says so once, and not once for each source.
            key = (str(problem.details.get("repository")), problem.code, str(problem.details.get("key")))
            problems.setdefault(key, problem)
        # Sets and their members are of several sources, and can only be judged together.
        waiting += dict.fromkeys(place for one in reading.backups for place in _bound_sources(one))
    return backups, removals, list(problems.values())


def _bound_sources(backup: Backup) -> t.Iterator[Source]:
    manifest = backup.manifest
    made_for = set_in(manifest.labels)
    for folder in (*member_folders(manifest), *([made_for] if made_for is not None else [])):
        yield folder.series.service, folder.series.source


def _read_one(
    request: PruneRequest,
    name: str,
    storage: Storage,
    *,
    vendors: VendorBackups,
    backups: t.Sequence[Backup],
    removals: t.Sequence[RemovedCopy],
    problems: t.Sequence[LifeboatError],
    points: Points,
    pins: t.Mapping[str, tuple[Pin, ...]],
    now: datetime.datetime,
    host: Host,
) -> RepositoryReading:
    jobs = [policy for policy in request.policies if policy.repository == name]
    pruned = [one.name for one in request.pruned]
    found = list(problems)
    summaries: list[StreamSummary] = []
    skew = 0.0
    strays = Strays()
    try:
        skew = storage.clock_skew()
        search = StraySearch(storage, _stray_rules(request, now=now, skew=skew))
        for series, engine in dict.fromkeys((job.series, job.engine) for job in jobs if job.is_stream):
            bases = [one for one in backups if _is_base(one, series, engine)]
            summaries += summarise_series(
                storage,
                series,
                engine=engine,
                bases=bases,
                marks=STREAM_MARKS[engine],
                now=now,
                listener=search.of if name in pruned else None,
            )
        strays = search.strays
    except LifeboatError as error:
        found.append(error)
    for summary in summaries:
        found += summary.problems
    asked = frozenset(_sources(request.policies))
    entries = tuple(
        _entry(one, name, vendors, pins=pins.get(one.manifest.backup_id, ()), asked=asked) for one in backups
    )
    content = RepositoryContent(
        name=name,
        entries=entries,
        streams=tuple(summary.entry for summary in summaries),
        # A repository that is not there says so of its catalog and of its clock.
        problems=tuple(dict.fromkeys(f"{problem.message} [{problem.code}]" for problem in found)),
        clock_skew=skew,
        unfinished_removals=tuple(one.folder.key("") for one in removals if one.state == DELETING),
        unreadable=tuple(folder for folder in map(_unreadable, found) if folder is not None),
    )
    return RepositoryReading(
        content=content,
        policies=series_policies(jobs, entries=entries, summaries=summaries, now=now, points=points),
        summaries=tuple(summaries),
        removals=tuple(removals),
        strays=strays,
        verifications={
            one.manifest.backup_id: frozenset(verification.verification_id for verification in one.verifications)
            for one in backups
        },
    )


def _stray_rules(request: PruneRequest, *, now: datetime.datetime, skew: float) -> StrayRules:
    return StrayRules(
        horizon=now + datetime.timedelta(seconds=skew) - request.sweep_age,
        now=now,
        share=request.limits.share,
        share_from=request.limits.share_from,
        allow=request.allow,
    )


def series_policies(
    jobs: t.Sequence[JobPolicy],
    *,
    entries: t.Sequence[Entry],
    summaries: t.Sequence[StreamSummary],
    now: datetime.datetime,
    points: Points | None = None,
) -> tuple[SeriesPolicy, ...]:
    """One policy for each series of one repository, of all jobs that write it; *points* are what is pinned."""
    pinned = points or {}
    by_series: dict[Series, list[JobPolicy]] = {}
    for job in jobs:
        by_series.setdefault(job.series, []).append(job)
    return tuple(
        SeriesPolicy(
            series=series,
            keeps=tuple(job.keep for job in group),
            jobs=tuple(job.job for job in group),
            timezone=group[0].timezone,
            is_stream=group[0].is_stream,
            overdue_since=_overdue_since(group, entries=entries, summaries=summaries, now=now),
            objective=max((job.objective for job in group if job.objective is not None), default=None),
            points=pinned.get((series.service, series.source), ()) if group[0].is_stream else (),
        )
        for series, group in by_series.items()
    )


def _together(found: t.Iterable[t.Mapping[_Key, tuple[_One, ...]]]) -> dict[_Key, tuple[_One, ...]]:
    """Of all repositories, each once: a pin that one of them did not take holds there, too."""
    merged: dict[_Key, dict[_One, None]] = {}
    for one in found:
        for key, values in one.items():
            merged.setdefault(key, {}).update(dict.fromkeys(values))
    return {key: tuple(values) for key, values in merged.items()}


def _overdue_since(
    jobs: t.Sequence[JobPolicy],
    *,
    entries: t.Sequence[Entry],
    summaries: t.Sequence[StreamSummary],
    now: datetime.datetime,
) -> datetime.datetime | None:
    """The earliest time at which one of the jobs was due whose backup isn't there."""
    missed = []
    for job in jobs:
        due = job.due_since(now)
        if due is None:
            continue
        if job.is_stream:
            made = [hour_end for one in summaries if one.entry.series == job.series for hour_end in _ends(one)]
        else:
            own = [one for one in entries if one.series == job.series and one.state != FAILED]
            own = [one for one in own if SET_LABEL not in one.labels]
            made = [one.started for one in own if len(jobs) == 1 or one.labels.get(JOB_LABEL) in (None, job.job)]
        if max(made, default=datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)) < due:
            missed.append(due)
    return min(missed, default=None)


def _ends(summary: StreamSummary) -> t.Iterator[datetime.datetime]:
    return (hour.ends for hour in summary.entry.hours if hour.ends is not None)


def _entry(
    backup: Backup, repository: str, vendors: VendorBackups, *, pins: tuple[Pin, ...], asked: t.AbstractSet[Source]
) -> Entry:
    manifest = backup.manifest
    kept = backup.kept.get(repository)
    return Entry(
        series=manifest.folder.series,
        backup_id=manifest.backup_id,
        engine=manifest.engine,
        started=manifest.started,
        finished=manifest.finished,
        state=backup.repositories[repository],
        stored_bytes=manifest.stored_bytes,
        parent=vendors.parent_of(manifest),
        labels=manifest.labels,
        pins=retained_pins(backup) + pins,
        checksum=str(manifest.as_dict()["checksum"]),
        # Money counts from when the storage took it; only those with classes bill by age.
        storage_class=kept.storage_class if kept else None,
        stored=kept.since if kept and kept.storage_class else None,
        vendor=vendors.by_id.get(manifest.backup_id),
        members=member_folders(manifest),
        is_asked=(manifest.service, manifest.source) in asked,
    )


def _is_base(backup: Backup, stream: Series, engine: str) -> bool:
    manifest = backup.manifest
    same = (manifest.service, manifest.source) == (stream.service, stream.source)
    return same and manifest.engine == engine


def _unreadable(problem: LifeboatError) -> BackupFolder | None:
    parts = parse_key(str(problem.details.get("key") or ""))
    return parts.folder if parts else None


def _sources(policies: t.Iterable[JobPolicy]) -> list[Source]:
    return list(dict.fromkeys((policy.series.service, policy.series.source) for policy in policies))
