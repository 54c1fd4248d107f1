# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds of every plan, whatever repository and policies: no lost verified backup, no torn chain, no surprise."""

from __future__ import annotations

import dataclasses
import datetime
import random
import typing as t

from hypothesis import HealthCheck, given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import KeepPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.plan_document import plan_hash
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    KEPT,
    REMOVED,
    Elsewhere,
    Entry,
    Pin,
    RecoverySpan,
    RepositoryContent,
    RetentionPlan,
    SeriesPolicy,
    StreamEntry,
    StreamHour,
)
from tests.unit.retention.samples import DAY, EVERYTHING, FULL, HOUR, INCREMENTAL, NOW, OPLOG, entry, pruned

OTHER = Series("family", "cache", "rdb")
JOBS = ("family/main/full", "family/main/full.2")
STATES = ("verified", "verified", "complete", "failed")
SEEDS = st.integers(min_value=0, max_value=2**32)
usual = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclasses.dataclass(frozen=True)
class World:
    """A repository, its policies, and what else there is."""

    content: RepositoryContent
    policies: tuple[SeriesPolicy, ...]
    elsewhere: tuple[Elsewhere, ...] = ()

    def plan(self, **more: t.Any) -> RetentionPlan:
        values = {"now": NOW, "allow": EVERYTHING, "elsewhere": self.elsewhere, **more}
        return plan(self.content, self.policies, **values)


class Maker:
    """Anything that can be in a repository, by chance: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def keep(self) -> KeepPolicy:
        """Any policy that keeps something."""
        counts = {
            name: self.chance.randint(1, 6)
            for name in ("count", "hourly", "daily", "weekly", "monthly", "yearly")
            if self.chance.random() < 0.4
        }
        within = DAY * self.chance.randint(1, 60) if self.chance.random() < 0.5 or not counts else None
        minimum = self.chance.randint(0, 4)
        if self.chance.random() < 0.05:
            return KeepPolicy(forever=True, minimum_verified=minimum)
        return KeepPolicy(within=within, minimum_verified=minimum, **t.cast(t.Any, counts))

    def policy(self, series: Series) -> SeriesPolicy:
        """One job's, two jobs' that are told apart or not, in some time zone."""
        timezone = self.chance.choice(("UTC", "Europe/Berlin", "Asia/Kathmandu"))
        found = tuple(self.keep() for _each in range(self.chance.randint(1, 2)))
        jobs = JOBS[: len(found)] if self.chance.random() < 0.5 else ()
        return SeriesPolicy(series=series, keeps=found, jobs=jobs, timezone=timezone)

    def chains(self, size: int) -> list[Entry]:
        """Fulls and increments of one source over a hundred days, some of them ahead of the clock."""
        made: list[Entry] = []
        for number in range(size):
            more: dict[str, t.Any] = {"number": number}
            if self.chance.random() < 0.1:
                more["pins"] = (Pin("p", "r", NOW, hold=self.chance.random() < 0.5),)
            if self.chance.random() < 0.5:
                more["labels"] = {"job": self.chance.choice((*JOBS, "family/main/former"))}
            began = NOW - HOUR * self.chance.randint(-30, 2400)
            if made and self.chance.random() < 0.5:
                parent = self.chance.choice(made)
                began = max(began, parent.started + HOUR)
                more.update(series=INCREMENTAL, parent=parent.backup_id)
            made.append(entry(began, self.chance.choice(STATES), **more))
        return made

    def stream(self, entries: t.Sequence[Entry]) -> StreamEntry:
        """An oplog with gaps, which each full reaches along up to the next gap."""
        begins = NOW - HOUR * self.chance.randint(1, 600)
        ends = min(NOW, begins + HOUR * self.chance.randint(1, 900))
        gaps = [NOW - HOUR * self.chance.randint(0, 600) for _each in range(self.chance.randint(0, 3))]
        hours, moment = [], begins
        while moment < ends:
            hours.append(StreamHour(f"{moment:%Y%m%d%H}", segments=1, stored_bytes=10, ends=min(moment + HOUR, ends)))
            moment += HOUR
        windows = []
        for one in entries:
            if begins <= one.finished < ends:
                reached = min([gap for gap in gaps if gap > one.finished] + [ends])
                windows.append(RecoverySpan("rs0", one.backup_id, one.finished, reached))
        needed = {window.base: f"{window.begins:%Y%m%d%H}" for window in windows}
        return StreamEntry(OPLOG, "rs0", "mongodb", tuple(hours), needed_from=needed, windows=tuple(windows))

    def world(self, size: int, *, with_elsewhere: bool = True) -> World:
        """Two repositories, or one."""
        chance = self.chance
        entries = self.chains(size)
        others = [
            entry(NOW - HOUR * chance.randint(0, 2000), chance.choice(STATES), series=OTHER, number=number)
            for number in range(size // 3)
        ]
        streams = (self.stream(entries),) if chance.random() < 0.8 else ()
        policies = [self.policy(series) for series in (FULL, INCREMENTAL, OTHER) if chance.random() < 0.9]
        span = KeepPolicy(within=HOUR * chance.randint(1, 500))
        log = SeriesPolicy(series=OPLOG, keeps=(span,), is_stream=True)
        if not with_elsewhere:
            return World(RepositoryContent("local", (*entries, *others), streams=streams), (*policies, log))
        here = [one for one in entries if chance.random() < 0.8]
        there = tuple(one for one in entries if one not in here or chance.random() < 0.5)
        if chance.random() < 0.5:
            content = RepositoryContent("local", (*here, *others), streams=streams)
            return World(content, (*policies, log), (Elsewhere(RepositoryContent("dr", there)),))
        dr = Elsewhere(RepositoryContent("dr", there, streams=streams), (log,))
        return World(RepositoryContent("local", (*here, *others)), tuple(policies), (dr,))


def worlds(*, with_elsewhere: bool = True) -> st.SearchStrategy[World]:
    """Small ones first."""
    return st.builds(
        lambda seed, size: Maker(seed).world(size, with_elsewhere=with_elsewhere),
        SEEDS,
        st.integers(min_value=0, max_value=25),
    )


def ids(made: RetentionPlan, verdict: str) -> set[tuple[Series, str]]:
    return {(one.entry.series, one.entry.backup_id) for one in made.decisions if one.verdict == verdict}


def present(entries: t.Iterable[Entry]) -> list[Entry]:
    return sorted((one for one in entries if one.finished <= NOW), key=lambda one: (one.started, one.backup_id))


@usual
@given(worlds())
def test_never_fewer_verified_ones_than_the_minimum(world: World) -> None:
    made = world.plan()
    kept = ids(made, KEPT)
    for one in world.policies:
        of_series = present(each for each in world.content.entries if each.series == one.series)
        for job in one.jobs or ("",):
            keep = [keep for name, keep in zip(one.jobs or ("",) * 9, one.keeps) if name == job]
            minimum = max(each.minimum_verified for each in keep)
            own = [each for each in of_series if not job or each.labels.get("job") == job]
            verified = [each for each in own if each.state == "verified"]
            stay = [each for each in verified if (one.series, each.backup_id) in kept]
            assert stay[-minimum:] == verified[-minimum:] or not minimum
            for each in own:
                if (one.series, each.backup_id) in kept:
                    continue
                above = [other for other in stay if each.state == "failed" or other.started >= each.started]
                assert len(above) >= minimum


@usual
@given(worlds())
def test_never_a_kept_increment_without_its_base(world: World) -> None:
    made = world.plan()
    there = {one.entry.backup_id for one in made.decisions}
    kept = {one.entry.backup_id for one in made.decisions if one.verdict == KEPT}
    for decision in made.decisions:
        if decision.verdict == KEPT and decision.entry.parent in there:
            assert decision.entry.parent in kept
    elsewhere = {one.backup_id: one for other in world.elsewhere for one in other.content.entries}
    for one in elsewhere.values():
        if one.parent in there and one.parent not in elsewhere:
            assert one.parent in kept


@usual
@given(worlds())
def test_what_is_newest_pinned_or_ahead_stays_and_everything_has_a_reason(world: World) -> None:
    made = world.plan()
    kept = ids(made, KEPT)
    for series in {one.series for one in world.content.entries}:
        of_series = present(one for one in world.content.entries if one.series == series)
        if of_series:
            assert (series, of_series[-1].backup_id) in kept
    for decision in made.decisions:
        assert decision.reasons
        assert all(decision.reasons)
        if decision.entry.pins or decision.entry.finished > NOW:
            assert decision.verdict == KEPT


@usual
@given(worlds(), SEEDS)
def test_keeping_more_never_removes_more(world: World, seed: int) -> None:
    before = ids(world.plan(), REMOVED)
    chance, more = random.Random(seed), Maker(seed).keep()
    wider = dataclasses.replace(
        world, policies=tuple(one if one.is_stream else widened(one, more) for one in world.policies)
    )
    assert ids(wider.plan(), REMOVED) <= before
    pins = (Pin("q", "r", NOW),)
    pinned = tuple(
        dataclasses.replace(one, pins=pins) if chance.random() < 0.3 else one for one in world.content.entries
    )
    assert (
        ids(dataclasses.replace(world, content=dataclasses.replace(world.content, entries=pinned)).plan(), REMOVED)
        <= before
    )
    fewer_policies = tuple(one for one in world.policies if chance.random() < 0.7)
    assert ids(dataclasses.replace(world, policies=fewer_policies).plan(), REMOVED) <= before


def widened(one: SeriesPolicy, more: KeepPolicy) -> SeriesPolicy:
    """Each rule at least as wide as it was."""
    return dataclasses.replace(one, keeps=tuple(_wider(keep, more) for keep in one.keeps))


def _wider(keep: KeepPolicy, more: KeepPolicy) -> KeepPolicy:
    names = ("within", "count", "hourly", "daily", "weekly", "monthly", "yearly", "minimum_verified")
    pairs = {name: (getattr(keep, name), getattr(more, name)) for name in names}
    values = {name: max((value for value in pair if value is not None), default=None) for name, pair in pairs.items()}
    return KeepPolicy(**t.cast(t.Any, values), forever=keep.forever or more.forever)


@usual
@given(worlds(), SEEDS)
def test_the_same_input_gives_the_same_plan_in_any_order(world: World, seed: int) -> None:
    chance = random.Random(seed)
    made = world.plan()
    assert world.plan() == made
    mixed = {name: list(getattr(world.content, name)) for name in ("entries", "streams")}
    policies = list(world.policies)
    for values in (*mixed.values(), policies):
        chance.shuffle(values)
    shuffled = World(
        dataclasses.replace(world.content, **{name: tuple(values) for name, values in mixed.items()}),
        tuple(policies),
        tuple(
            dataclasses.replace(other, content=dataclasses.replace(other.content, entries=other.content.entries[::-1]))
            for other in world.elsewhere
        ),
    )
    assert shuffled.plan() == made
    assert plan_hash(shuffled.plan()) == plan_hash(made)


@usual
@given(worlds())
def test_the_plan_of_a_pruned_repository_is_empty(world: World) -> None:
    made = world.plan()
    after = dataclasses.replace(world, content=pruned(world.content, made))
    again = after.plan(allow=frozenset())
    assert again.removals == ()
    assert [one.keep_from for one in again.streams] == [""] * len(again.streams)
    assert again.refusals == ()


@usual
@given(worlds(), st.lists(st.integers(min_value=0, max_value=500), max_size=5))
def test_what_came_later_changes_no_plan(world: World, hours: list[int]) -> None:
    later = tuple(
        entry(NOW + datetime.timedelta(minutes=1) + HOUR * ahead, state, number=900 + number)
        for number, ahead in enumerate(hours)
        for state in ("failed", "verified")[number % 2 :][:1]
    )
    made = world.plan(allow=frozenset())
    grown = dataclasses.replace(
        world, content=dataclasses.replace(world.content, entries=(*world.content.entries, *later))
    )
    assert plan_hash(grown.plan(allow=frozenset())) == plan_hash(made)


def covered(windows: t.Iterable[RecoverySpan], moment: datetime.datetime) -> bool:
    return any(window.begins <= moment < window.ends for window in windows)


@usual
@given(worlds())
def test_every_moment_of_the_span_that_could_be_recovered_to_still_can(world: World) -> None:
    made = world.plan()
    spans = [one for one in world.policies if one.is_stream]
    spans += [one for other in world.elsewhere for one in other.policies]
    if not spans:
        return
    within = spans[0].keeps[0].within or DAY
    moment = NOW - within
    # A base elsewhere that isn't here is not part of this plan.
    while moment <= NOW:
        assert covered(made.windows_after, moment) or not covered(made.windows_before, moment), moment
        moment += HOUR
    newest = max((window.ends for window in made.windows_before), default=None)
    assert newest == max((window.ends for window in made.windows_after), default=None)


@usual
@given(worlds(with_elsewhere=False), st.integers(min_value=1, max_value=1500))
def test_a_longer_span_leaves_at_least_the_moments_of_a_shorter_one(world: World, hours: int) -> None:
    if not world.content.streams or not any(one.is_stream for one in world.policies):
        return
    (shorter,) = (one for one in world.policies if one.is_stream)
    longer = dataclasses.replace(shorter, keeps=(KeepPolicy(within=(shorter.keeps[0].within or DAY) + HOUR * hours),))
    narrow = world.plan()
    wide = dataclasses.replace(
        world, policies=tuple(longer if one is shorter else one for one in world.policies)
    ).plan()
    assert (wide.streams[0].keep_from or "") <= (narrow.streams[0].keep_from or "9")
    for window in narrow.windows_after:
        for moment in (max(window.begins, NOW - (shorter.keeps[0].within or DAY)), window.ends - HOUR / 60):
            if window.begins <= moment < window.ends:
                assert covered(wide.windows_after, moment)


@usual
@given(worlds())
def test_children_go_before_what_they_build_on(world: World) -> None:
    made = world.plan()
    order = [one.entry.backup_id for one in made.removals]
    assert len(order) == len(ids(made, REMOVED))
    for place, decision in enumerate(made.removals):
        assert decision.entry.parent not in order[:place]


@usual
@given(worlds())
def test_guards_only_ever_keep_more(world: World) -> None:
    free, guarded = world.plan(), world.plan(allow=frozenset())
    assert ids(guarded, REMOVED) <= ids(free, REMOVED)
    for one in guarded.decisions:
        if one.held_back:
            assert (one.entry.series, one.entry.backup_id) in ids(free, REMOVED)
    stopped = {refusal.series for refusal in guarded.refusals}
    for one in guarded.decisions:
        assert one.verdict == KEPT or not {None, one.entry.series} & stopped
