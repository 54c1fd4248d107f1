# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of both reference services, as their inventories ship them, over a year of what their schedules make."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.kinds import (
    STREAMED_KINDS,
    made_kind,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.model import Job
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    KEPT,
    Elsewhere,
    Entry,
    RecoverySpan,
    RepositoryContent,
    RetentionPlan,
    SeriesPolicy,
    StreamEntry,
    StreamHour,
)
from tests.unit.retention.samples import DAY, EVERYTHING, HOUR, MUCH, NOW, entry, pruned

INVENTORIES = pathlib.Path(__file__).resolve().parents[3] / "inventories"
YEAR = DAY * 400
#: What changes or is deployed without any clock, once in a while.
ON_REQUEST = DAY * 11
#: Of what is made every few minutes a month is enough to plan with.
MONTH = DAY * 45

#: By repository and series: how many of a year's backups stay on a Saturday at noon.
STAY: dict[str, dict[str, int]] = {
    "family": {
        "local main/full": 30,
        "local cache/rdb": 7,
        "local configuration/config": 12,  # that of the Sunday of 90 days ago was made before noon
        "cloud main/full": 30,
        "cloud cache/rdb": 7,
        "cloud code/app": 36,
        "cloud system/system": 12,
    },
    "adhd": {
        "local main/logical": 7,
        # Those of seven days; that of the 14th, which increments of its afternoon build on; that of the 13th, from
        # which the WAL of eight days begins, though it lies in a third repository.
        "local main/base": 7 + 1 + 1,
        "dr main/base": 7 + 1 + 1,
        # Seven of the 14th, ten a day, three of today.
        "local main/incremental": 7 + 6 * 10 + 3,
        "dr main/incremental": 7 + 6 * 10 + 3,
        # 31 days; of 12 months the last two are among them, and the last day of 2025 is that of its year.
        "dumps main/logical": 31 + 10,
        # Up to a quarter to twelve.
        "local cache/rdb": 3 * 288 - 2,
        # Of 31 days four are among these three; there is no more than a month and a half.
        "snapshots cache/rdb": 3 * 288 - 2 + 27,
        "local cache/aof": 3 * 24,
        "assets assets/static": 5,
        "logs logs/static": 365 * 24,
    },
}


def jobs_of(name: str) -> tuple[Job, ...]:
    data: dict[str, t.Any] = {}
    for path in sorted((INVENTORIES / name / "group_vars" / name).glob("*.yml")):
        data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    jobs: tuple[Job, ...] = load_description(data).jobs()
    return jobs


def is_stream(job: Job) -> bool:
    return made_kind(engine=job.engine, kind=job.kind) in STREAMED_KINDS.get(job.engine, ())


def series_of(job: Job) -> Series:
    return Series(job.service, job.source, made_kind(engine=job.engine, kind=job.kind))


def moments_of(job: Job) -> t.Iterator[datetime.datetime]:
    """When its backups of the last year began, newest first."""
    if job.schedule is None:
        yield from (NOW - HOUR - ON_REQUEST * number for number in range(YEAR // ON_REQUEST))
        return
    is_often = len(job.schedule.minutes) > 1
    moment = job.schedule.previous_run(NOW - HOUR / 5)
    while moment > NOW - (MONTH if is_often else YEAR):
        yield moment
        moment = job.schedule.previous_run(moment)


def entries_of(job: Job, bases: t.Sequence[Entry]) -> list[Entry]:
    """What the job made; an incremental one builds on the newest base before it."""
    series = Series(job.service, job.source, job.kind)
    made = []
    for number, moment in enumerate(moments_of(job)):
        parent = next((one.backup_id for one in bases if one.finished < moment), None)
        one = entry(moment, series=series, parent=parent, number=number, engine=job.engine, labels={"job": job.id})
        made.append(dataclasses.replace(one, finished=moment + datetime.timedelta(minutes=3)))
    return made


def stream_of(job: Job, bases: t.Sequence[Entry]) -> StreamEntry:
    """All of the last 40 days."""
    begins = NOW - 40 * DAY
    hours = tuple(
        StreamHour(f"{begins + HOUR * number:%Y%m%d%H}", 60, 60_000, begins + HOUR * (number + 1))
        for number in range(40 * 24)
    )
    inside = [one for one in bases if one.finished > begins]
    return StreamEntry(
        series_of(job),
        "lineage",
        job.engine,
        hours,
        needed_from={one.backup_id: f"{one.started:%Y%m%d%H}" for one in inside},
        windows=tuple(RecoverySpan("lineage", one.backup_id, one.finished, NOW) for one in inside),
    )


class Service:
    """All repositories of one service, as a year of its jobs fills them."""

    def __init__(self, name: str) -> None:
        entries: dict[str, list[Entry]] = {}
        streams: dict[str, list[StreamEntry]] = {}
        policies: dict[str, dict[Series, SeriesPolicy]] = {}
        bases: dict[str, list[Entry]] = {}
        for job in jobs_of(name):
            found = bases.get(job.source, []) if job.kind == "incremental" or is_stream(job) else []
            made = [] if is_stream(job) else entries_of(job, found)
            if job.kind in ("base", "full", "incremental"):
                bases.setdefault(job.source, []).extend(made if job.kind != "incremental" else [])
            for use in job.repositories:
                if use.description["type"] == "git":
                    continue
                entries.setdefault(use.name, []).extend(made)
                series = series_of(job)
                known = policies.setdefault(use.name, {})
                if is_stream(job) and series not in known:
                    streams.setdefault(use.name, []).append(stream_of(job, found))
                # Two jobs of one stream: both say how long it stays.
                others = known[series] if series in known else SeriesPolicy(series, (), jobs=())
                known[series] = SeriesPolicy(
                    series,
                    (*others.keeps, use.keep),
                    jobs=(*others.jobs, job.id),
                    timezone=job.timezone,
                    is_stream=is_stream(job),
                )
        self.policies = {name: tuple(found.values()) for name, found in policies.items()}
        self.contents = {
            name: RepositoryContent(name, tuple(entries.get(name, ())), streams=tuple(streams.get(name, ())))
            for name in policies
        }

    def plans(self, *, allow: t.AbstractSet[str] = MUCH) -> dict[str, RetentionPlan]:
        return {name: self.plan(name, allow=allow) for name in self.contents}

    def plan(self, name: str, *, allow: t.AbstractSet[str] = MUCH) -> RetentionPlan:
        others = [Elsewhere(self.contents[one], self.policies[one]) for one in self.contents if one != name]
        return plan(self.contents[name], self.policies[name], now=NOW, allow=allow, elsewhere=others)


@pytest.fixture(scope="module", params=STAY)
def service(request: pytest.FixtureRequest) -> tuple[str, Service]:
    return request.param, Service(request.param)


@pytest.mark.thorough
def test_a_year_of_backups_becomes_what_the_tables_say(service: tuple[str, Service]) -> None:
    name, all_of_it = service
    stay: dict[str, int] = {}
    for repository, made in all_of_it.plans().items():
        assert made.refusals == ()
        for decision in made.decisions:
            series = decision.entry.series
            place = f"{repository} {series.source}/{series.kind}"
            stay[place] = stay.get(place, 0) + (decision.verdict == KEPT)
    assert stay == STAY[name]


def test_the_streams_reach_back_as_far_as_their_policies_say(service: tuple[str, Service]) -> None:
    name, all_of_it = service
    repository, kind, since, first = {
        # The incremental job's seven days, and not the one day of the oplog's.
        "family": ("local", "oplog", NOW - 7 * DAY, "2026111402"),
        "adhd": ("wal", "wal", NOW - 8 * DAY, "2026111301"),
    }[name]
    made = all_of_it.plan(repository)
    (stream,) = made.streams
    assert (stream.entry.series.kind, stream.keep_from) == (kind, first)
    assert min(window.begins for window in made.windows_after) <= since
    assert max(window.ends for window in made.windows_after) == NOW


def test_when_every_repository_was_pruned_nothing_is_left_to_do(service: tuple[str, Service]) -> None:
    _name, before = service
    after = copy.copy(before)
    after.contents = dict(before.contents)
    for repository in before.contents:
        after.contents[repository] = pruned(after.contents[repository], after.plan(repository))
    for made in after.plans(allow=frozenset()).values():
        assert made.removals == ()
        assert [one.keep_from for one in made.streams] == [""] * len(made.streams)
        assert made.refusals == ()


def test_no_guard_stops_what_comes_every_night(service: tuple[str, Service]) -> None:
    """A day after everything was pruned a day's backups go, and none of the usual limits is in the way."""
    _name, before = service
    yesterday = copy.copy(before)
    yesterday.contents = dict(before.contents)
    for repository, whole in before.contents.items():
        old = dataclasses.replace(
            whole, entries=tuple(one for one in whole.entries if one.finished <= NOW - DAY), streams=()
        )
        made = plan(old, yesterday.policies[repository], now=NOW - DAY, allow=EVERYTHING)
        gone = {(one.entry.series, one.entry.backup_id) for one in made.removals}
        yesterday.contents[repository] = dataclasses.replace(
            whole, entries=tuple(one for one in whole.entries if (one.series, one.backup_id) not in gone)
        )
    plans = yesterday.plans(allow=frozenset())
    assert [one.message for made in plans.values() for one in made.refusals] == []
    assert sum(len(made.removals) for made in plans.values()) > 5
