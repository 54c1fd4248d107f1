# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, streams and policies to plan with: short to write, and the same in every run."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.guards import GUARDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    REMOVED,
    Decision,
    Entry,
    RecoverySpan,
    RepositoryContent,
    RetentionPlan,
    SeriesPolicy,
    StreamEntry,
    StreamHour,
)

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
FULL = Series("family", "main", "full")
INCREMENTAL = Series("family", "main", "incremental")
OPLOG = Series("family", "main", "oplog")
#: Every override that there is: what the policies alone would do.
EVERYTHING = frozenset(guard.override for guard in GUARDS)
#: Guards against much going at once, which samples that begin with years of backups would all meet.
MUCH = frozenset({"share", "number"})


def at(text: str) -> datetime.datetime:
    """``2026-11-21 02:00`` in UTC."""
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=datetime.timezone.utc)


def entry(
    started: datetime.datetime | str, state: str = "verified", *, series: Series = FULL, number: int = 0, **more: t.Any
) -> Entry:
    """A backup of ten minutes and a million bytes. *number* tells apart those that began in the same second."""
    began = at(started) if isinstance(started, str) else started
    backup_id = f"{began:%Y%m%dT%H%M%SZ}-{number:06x}"
    values: dict[str, t.Any] = {
        "series": series,
        "backup_id": backup_id,
        "engine": "mongodb",
        "started": began,
        "finished": began + datetime.timedelta(minutes=10),
        "state": state,
        "stored_bytes": 1_000_000,
        "checksum": f"checksum of {series.kind} {backup_id}",
    }
    return Entry(**{**values, **more})


def daily(
    days: int, state: str = "verified", *, hour: int = 2, last: int = 0, series: Series = FULL, **more: t.Any
) -> list[Entry]:
    """One backup a day at *hour*, oldest first, the last one *last* days before today."""
    midnight = NOW.replace(hour=hour)
    return [entry(midnight - DAY * ago, state, series=series, **more) for ago in range(last + days - 1, last - 1, -1)]


def policy(series: Series = FULL, *, keep: t.Mapping[str, t.Any] | None = None, **more: t.Any) -> SeriesPolicy:
    """One job's policy. Without *keep* it keeps 30 days."""
    return SeriesPolicy(series=series, keeps=(keep_policy_from(keep or {"within": "30d"}),), **more)


def stream(
    begins: datetime.datetime,
    ends: datetime.datetime,
    *,
    bases: t.Iterable[Entry] = (),
    series: Series = OPLOG,
    lineage: str = "rs0",
    **more: t.Any,
) -> StreamEntry:
    """An unbroken stream, ten segments of 1000 bytes an hour, that each of *bases* reaches from its end on."""
    hours = []
    moment = begins.replace(minute=0)
    while moment < ends:
        hours.append(StreamHour(f"{moment:%Y%m%d%H}", segments=10, stored_bytes=10_000, ends=min(moment + HOUR, ends)))
        moment += HOUR
    inside = [one for one in bases if begins <= one.finished <= ends]
    values: dict[str, t.Any] = {
        "needed_from": {one.backup_id: f"{one.finished:%Y%m%d%H}" for one in inside},
        "windows": tuple(RecoverySpan(lineage, one.backup_id, one.finished, ends) for one in inside),
    }
    return StreamEntry(series=series, lineage=lineage, engine="mongodb", hours=tuple(hours), **{**values, **more})


def content(entries: t.Iterable[Entry], *streams: StreamEntry, name: str = "local", **more: t.Any) -> RepositoryContent:
    """A repository."""
    return RepositoryContent(name=name, entries=tuple(entries), streams=streams, **more)


def planned(entries: t.Iterable[Entry], *policies: SeriesPolicy, **more: t.Any) -> RetentionPlan:
    """The plan for a repository with these backups, with no limit to how much may go at once."""
    values = {"now": NOW, "allow": MUCH, **more}
    return plan(content(entries, *values.pop("streams", ())), policies or (policy(),), **values)


def going(made: RetentionPlan) -> list[str]:
    """The days on which what goes was begun."""
    return [f"{one.entry.started:%m-%d %H:%M}" for one in made.decisions if one.verdict == REMOVED]


def kept_days(made: RetentionPlan) -> list[str]:
    """The days on which what stays was begun."""
    return [f"{one.entry.started:%m-%d %H:%M}" for one in made.decisions if one.verdict != REMOVED]


def decision_of(made: RetentionPlan, one: Entry) -> Decision:
    """What was decided of one backup."""
    return next(decision for decision in made.decisions if decision.entry == one)


def reasons_of(made: RetentionPlan, one: Entry) -> tuple[str, ...]:
    """Why it stays or goes."""
    reasons: tuple[str, ...] = decision_of(made, one).reasons
    return reasons


def codes(made: RetentionPlan) -> list[str]:
    """The codes of what stops the plan."""
    return [refusal.code for refusal in made.refusals]


def pruned(before: RepositoryContent, made: RetentionPlan) -> RepositoryContent:
    """The repository when the plan was applied."""
    gone = {id(one.entry) for one in made.decisions if one.verdict == REMOVED}
    cuts = {(one.entry.series, one.entry.lineage): one.keep_from for one in made.streams if one.keep_from}
    left = {dataclasses.replace(window, series=None) for window in made.windows_after}
    return dataclasses.replace(
        before,
        entries=tuple(one for one in before.entries if id(one) not in gone),
        streams=tuple(
            one
            for one in (_cut(whole, cuts.get((whole.series, whole.lineage), ""), left) for whole in before.streams)
            if one.hours
        ),
    )


def _cut(whole: StreamEntry, keep_from: str, left: t.Container[RecoverySpan]) -> StreamEntry:
    if not keep_from:
        return whole
    return dataclasses.replace(
        whole,
        hours=tuple(hour for hour in whole.hours if hour.key >= keep_from),
        needed_from={name: max(hour, keep_from) for name, hour in whole.needed_from.items()},
        own_bases=tuple(hour for hour in whole.own_bases if hour >= keep_from),
        floor=keep_from,
        windows=tuple(window for window in whole.windows if window in left),
    )
