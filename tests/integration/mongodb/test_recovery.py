# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump brought forward to the boundary of every kind of operation: all of it is there, and nothing behind it.

The source's own state after each acknowledged step is what a recovery is compared with, byte by byte. Every boundary
takes a restore, so a sample is taken unless LIFEBOAT_EVERY_POINT is set.
"""

from __future__ import annotations

import datetime
import os
import random
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb import ledger
from tests.integration.mongodb.ledger import DATABASES, Noted
from tests.integration.mongodb.recovering import (
    FolderReader,
    Recovery,
    at,
    cut,
    last_position,
    plan,
    positions,
    state_of,
)
from tests.integration.mongodb.restoring import own_names
from tests.integration.mongodb.verifying import Place

EVERY = bool(os.environ.get("LIFEBOAT_EVERY_POINT"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if EVERY else 900)]


@dataclass(frozen=True)
class Story:
    """What happened on the source: the backup, the steps behind it, and the slices."""

    place: Place
    backup: BackupFolder
    before: t.Mapping[str, t.Any]
    steps: list[Noted]
    begins: Position
    base: Position
    stream: Stream
    slices: Path

    def at(self, position: Position) -> t.Mapping[str, t.Any]:
        """What the source held when everything up to a position had happened, which is between steps."""
        found = self.before
        for step in self.steps:
            if step.last <= position:
                found = step.state
        return found


@pytest.fixture(scope="module")
def source_set() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(parameters=ledger.PARAMETERS) as servers:
        yield servers


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(parameters={"ttlMonitorSleepSecs": "1"}) as servers:
        yield servers


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, source_set: MongoReplicaSet) -> Story:
    folder = tmp_path_factory.mktemp("recovery")
    place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
    with source_set.client() as client:
        ledger.begin(client)
        begins = last_position(client)
        backup = place.back_up(source_set.uri, consistency="oplog")
        before = state_of(client, DATABASES)
        base = last_position(client)
        steps = ledger.write(client)
        client.admin.command("appendOplogNote", 1, data={"msg": "the end"})
        stream = cut(client, folder / "slices", begins, bases_from=begins)
    return Story(place, backup, before, steps, begins, base, stream, folder / "slices")


@pytest.fixture
def there(target: MongoReplicaSet) -> t.Iterator[t.Any]:
    """A client of the target, which is empty."""
    with target.client() as client:
        yield client
        empty(client)


def empty(client: t.Any) -> None:
    for name in client.list_database_names():
        if name not in ("admin", "config", "local"):
            client.drop_database(name)


class Making(t.Protocol):
    def __call__(self, goal: RecoveryTarget, stream: Stream | None = None, **options: t.Any) -> Recovery: ...


@pytest.fixture
def recovery(story: Story, target: MongoReplicaSet, tmp_path: Path) -> Making:
    numbers = iter(range(1000))

    def make(goal: RecoveryTarget, stream: Stream | None = None, **options: t.Any) -> Recovery:
        chosen = plan(story.place.repository, [story.backup], [stream or story.stream], goal)
        return Recovery(
            repository=story.place.repository,
            folder=story.backup,
            options={"connection": {"uri": target.uri, "server_selection_timeout": 5}, **options},
            state=tmp_path / "state",
            restore_id=f"20261121T12{next(numbers):04d}Z-abcdef",
            reader=FolderReader(plan=chosen, folder=story.slices),
        )

    return make


def assert_same(found: t.Mapping[str, t.Any], expected: t.Mapping[str, t.Any], *, where: str = "") -> None:
    """As ==, saying what differs."""
    wrong = [
        f"{name}: {found.get(name, 'is not there')} instead of {expected.get(name, 'nothing')}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    assert not wrong, f"{where}\n" + "\n".join(wrong)


def boundaries(story: Story) -> list[tuple[str, RecoveryTarget, t.Mapping[str, t.Any]]]:
    """Before the first step, then after each one; by turns as "up to" the last entry and "before" the next first."""
    found: list[tuple[str, RecoveryTarget, t.Mapping[str, t.Any]]] = [("nothing", at(story.base), story.before)]
    for number, step in enumerate(story.steps):
        following = story.steps[number + 1 :]
        goal = at(step.last)
        if number % 2 and following and following[0].first > step.last:
            goal = RecoveryTarget(kind="before_operation", value=at(following[0].first).value)
        found.append((step.name, goal, step.state))
    return found


def test_the_boundary_of_every_kind_of_operation(story: Story, recovery: Making, there: t.Any) -> None:
    points = boundaries(story)
    assert len(points) > 45
    chosen = points if EVERY else random.Random(story.base[0]).sample(points[:-1], 9) + points[-1:]
    for name, goal, state in chosen:
        one = recovery(goal)
        one.run()
        assert_same(state_of(there, DATABASES), state, where=f"{name}: {goal.text}")
        assert own_names(there) == [], name
        empty(there)


def test_a_cut_transaction_is_there_as_a_whole_or_not_at_all(story: Story, recovery: Making, there: t.Any) -> None:
    """Slices end at each of its entries, and so do targets."""
    index = next(number for number, one in enumerate(story.steps) if one.name == "large transaction")
    step, before = story.steps[index], story.steps[index - 1]
    assert step.entries > 3
    inside = [one for one in positions_of(story) if step.first <= one <= step.last]
    for position in inside if EVERY else [inside[0], inside[-2], inside[-1]]:
        recovery(at(position)).run()
        expected = step.state if position == inside[-1] else before.state
        assert_same(state_of(there, DATABASES), expected, where=str(position))
        empty(there)


def positions_of(story: Story) -> list[Position]:
    """Of every entry, as slices of one new entry each tell."""
    found = []
    for one in story.stream.segments:
        seconds, _dot, number = one.segment.name.partition("-")[2].partition(".")
        found.append((int(seconds), int(number)))
    return found


def test_a_second(story: Story, recovery: Making, there: t.Any) -> None:
    """Everything up to and including it; exclusive: everything before it."""
    second = story.steps[20].first[0]
    last = story.steps[19].last
    assert last[0] < second
    moment = datetime.datetime.fromtimestamp(second, tz=datetime.UTC)
    recovery(RecoveryTarget(kind="time", time=moment, inclusive=False)).run()
    assert state_of(there, DATABASES) == story.at(last)
    empty(there)
    recovery(RecoveryTarget(kind="time", time=moment - datetime.timedelta(seconds=1))).run()
    assert state_of(there, DATABASES) == story.at(last)


def test_random_points_along_other_slices(
    story: Story, recovery: Making, there: t.Any, source_set: MongoReplicaSet, tmp_path: Path
) -> None:
    """Slices of 3 and of 11 entries together, every one of the former twice."""
    with source_set.client() as client:
        end = positions_of(story)[-1]
        few = cut(client, story.slices, story.begins, end=end, every=3, bases_from=story.begins)
        many = cut(client, story.slices, story.begins, end=end, every=11, bases_from=story.begins)
    mixed = Stream(folder=few.folder, segments=(*few.segments, *few.segments, *many.segments))
    chance = random.Random(story.base[1] + story.base[0])
    for number in range(30 if EVERY else 3):
        step = chance.choice(story.steps)
        recovery(at(step.last), stream=chance.choice([few, many, mixed])).run()
        assert_same(state_of(there, DATABASES), step.state, where=f"{number} {step.name}")
        empty(there)


def test_twice_in_a_row_in_place(story: Story, recovery: Making, there: t.Any) -> None:
    """The second one moves aside what the first one brought, and goes further."""
    first, second = story.steps[8], story.steps[20]
    recovery(at(first.last)).run()
    assert state_of(there, ["aux"]) == {key: value for key, value in first.state.items() if key.startswith("aux.")}
    for name in ("weather", "rain"):  # no server renames a time series
        there.led[name].drop()
    one = recovery(at(second.last), in_place=True)
    assert one.inspect().replaces is not None
    one.run()
    found = state_of(there, DATABASES)
    assert {name: value for name, value in found.items() if "lifeboat_before" not in name} == second.state
    one.discard()
    assert state_of(there, DATABASES) == second.state


def test_a_slice_that_is_missing(story: Story, recovery: Making) -> None:
    index = len(story.stream.segments) // 2
    torn = Stream(
        folder=story.stream.folder,
        segments=(*story.stream.segments[:index], *story.stream.segments[index + 1 :]),
    )
    with pytest.raises(errors.RecoveryTargetUnreachable) as refused:
        recovery(at(story.steps[-1].last), stream=torn)
    nearest = refused.value.details["before"]
    assert nearest == f"{positions_of(story)[index - 1][0]}:{positions_of(story)[index - 1][1]}"
    assert recovery(RecoveryTarget(kind="optime", value=nearest), stream=torn)


@pytest.mark.parametrize("damage", ["cut short", "altered", "another", "one more"])
def test_a_slice_that_is_another_than_its_record_says(
    story: Story, recovery: Making, there: t.Any, tmp_path: Path, damage: str
) -> None:
    one = recovery(at(story.steps[12].last))
    assert one.reader is not None
    victim = one.reader.plan.segments[-3].segment.name
    neighbour = one.reader.plan.segments[-2].segment.name
    folder = tmp_path / "slices"
    folder.mkdir()
    for segment in one.reader.plan.segments:
        (folder / segment.segment.name).write_bytes((story.slices / segment.segment.name).read_bytes())
    whole = (folder / victim).read_bytes()
    changed = {
        "cut short": whole[:-7],
        "altered": whole[:4] + b"\x7f" + whole[5:],
        "another": (folder / neighbour).read_bytes(),
        "one more": whole + (folder / neighbour).read_bytes(),
    }[damage]
    (folder / victim).write_bytes(changed)
    one.reader.folder = folder
    with pytest.raises(errors.RecoveryEndedEarly):
        one.run()
    assert state_of(there, DATABASES) == {}
    assert own_names(there) == []


def test_an_oplog_that_does_not_continue_the_backup(
    story: Story, recovery: Making, there: t.Any, source_set: MongoReplicaSet, tmp_path: Path
) -> None:
    """An update of what is not there makes no document out of nothing: it is refused."""
    with source_set.client() as client:
        client.led.ledger.insert_one({"_id": "phantom"})
        client.admin.command("appendOplogNote", 1, data={"msg": "the slices begin here"})
        start = last_position(client)
        client.led.ledger.update_one({"_id": "phantom"}, {"$set": {"x": 1}})
        end = last_position(client)
        # It claims to follow the backup, and lacks what came between.
        behind = cut(client, tmp_path, start, end=end, bases_from=story.base)
        client.led.ledger.delete_one({"_id": "phantom"})
    chosen = recovery(at(story.base)).reader
    assert chosen is not None
    one = recovery(at(story.base))
    facts = {**chosen.plan.facts, "stop": f"{end[0]}:{end[1] + 1}", "last": f"{end[0]}:{end[1]}"}
    forged = type(chosen.plan)(
        target=chosen.plan.target,
        base=chosen.plan.base,
        lineage="x",
        segments=behind.segments,
        why=(),
        facts=facts,
    )
    one.reader = FolderReader(plan=forged, folder=tmp_path)
    with pytest.raises(errors.MongoOplogNotReplayable, match="does not continue the backup"):
        one.run()
    assert state_of(there, DATABASES) == {}


def test_nothing_is_removed_by_its_age_while_it_is_replayed(story: Story, recovery: Making, there: t.Any) -> None:
    """Half way through there is no index and no option by which the server would remove anything."""
    one = recovery(at(story.steps[-1].last))
    assert one.reader is not None
    seen: list[str] = []
    middle = one.reader.plan.segments[len(one.reader.plan.segments) // 2].segment.name

    def look(name: str) -> None:
        if name != middle:
            return
        for entry in there.led.list_collections():
            seen.append(entry["name"])
            assert "expireAfterSeconds" not in entry["options"], entry
            if entry["type"] == "collection" and not entry["name"].startswith("system."):
                for index in there.led[entry["name"]].list_indexes():
                    assert "expireAfterSeconds" not in index, entry

    one.reader.before = look
    one.run()
    assert seen
    assert state_of(there, DATABASES) == story.steps[-1].state


def test_the_targets_of_a_day_before(story: Story, recovery: Making) -> None:
    with pytest.raises(errors.RecoveryTargetUnreachable):
        recovery(at((story.base[0] - 86400, 1)))
    with pytest.raises(errors.RecoveryTargetUnreachable):
        recovery(at((story.base[0] + 86400, 1)))


def test_an_operation_that_is_not_there(story: Story, recovery: Making) -> None:
    position = story.steps[10].last
    one = recovery(RecoveryTarget(kind="before_operation", value=f"{position[0]}:{position[1]}"))
    assert one.inspect().facts["recovery"]["before"] == f"{position[0]}:{position[1]}"
    with pytest.raises(errors.RequestInvalid, match="no operation at") as refused:
        recovery(RecoveryTarget(kind="before_operation", value=f"{story.base[0]}:4000000")).inspect()
    assert "The nearest are" in refused.value.hint
    assert positions
