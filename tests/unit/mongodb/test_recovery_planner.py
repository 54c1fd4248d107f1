# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a moment to a dump and the slices behind it, or to the nearest moments that can be reached."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryTargetUnreachable,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
    OplogSlice,
    slice_from_facts,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.recovery_planner import (
    MongoRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import (
    Position,
    as_json,
    position_text,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from tests.support.manifests import manifest
from tests.unit.mongodb.oplog_entries import SET_ID, end, insert, new_chain, part, sliced, stream

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
#: One entry a second from 1000 to 1059.
ENTRIES = [insert((1000 + number, 1), number) for number in range(60)]


def backup(
    moment: Position | None,
    *,
    number: int = 1,
    state: str = "complete",
    how: dict[str, t.Any] | None = None,
    **content: t.Any,
) -> Backup:
    consistency = {"mode": "snapshot", "cluster_time": as_json(moment)} if moment else {}
    described = manifest(
        backup_id=f"20261121T02{number:04d}Z-4f2c91",
        content={
            "tool": {"name": "native", "version": "1"},
            "database": None,
            "server_version": "6.0.5",
            "feature_compatibility_version": "6.0",
            "replica_set_id": SET_ID,
            "databases": {},
            "consistency": {"reason": "", **consistency, **(how or {})},
            **content,
        },
    )
    return Backup(manifest=described, repositories={"local": state})


def planned(bases: t.Sequence[Backup], streams: t.Sequence[Stream], target: RecoveryTarget) -> RecoveryPlan:
    return MongoRecoveryPlanner().plan(bases=bases, streams=streams, target=target, now=NOW)


def second(number: int, *, inclusive: bool = True) -> RecoveryTarget:
    return RecoveryTarget(
        kind="time", time=datetime.datetime.fromtimestamp(number, tz=datetime.timezone.utc), inclusive=inclusive
    )


def optime(position: Position, *, inclusive: bool = True, skip: t.Sequence[str] = ()) -> RecoveryTarget:
    return RecoveryTarget(kind="optime", value=position_text(position), inclusive=inclusive, skip=tuple(skip))


@pytest.fixture
def slices(tmp_path: Path) -> list[OplogSlice]:
    """Of ten new entries each: 1000-1010, 1010-1020, ..."""
    return sliced(str(tmp_path), ENTRIES, cut=10)[0]


def names(plan: RecoveryPlan) -> list[str]:
    return [one.segment.name for one in plan.segments]


def test_a_position(slices: list[OplogSlice]) -> None:
    plan = planned([backup((1015, 1))], [stream(slices)], optime((1031, 1)))
    assert names(plan) == ["1010.1-1020.1", "1020.1-1030.1", "1030.1-1040.1"]
    assert plan.facts["stop"] == "1031:2"
    assert plan.facts["base"] == "1015:1"
    assert any("newest full backup" in sentence for sentence in plan.why)


@pytest.mark.parametrize(
    ("target", "stop", "last"),
    [
        (optime((1020, 1)), "1020:2", "1020:1"),
        (optime((1020, 1), inclusive=False), "1020:1", "1020:1"),
        (optime((1020, 2), inclusive=False), "1020:2", "1020:1"),
        (RecoveryTarget(kind="before_operation", value="1021:1"), "1021:1", "1030:1"),
        (second(1019), "1020:0", "1020:1"),
        (second(1019, inclusive=False), "1019:0", "1020:1"),
        (RecoveryTarget(kind="latest"), "1059:2", "1059:1"),
        (optime((1015, 1)), "1015:2", "1015:1"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.text,
)
def test_where_the_replay_ends(slices: list[OplogSlice], target: RecoveryTarget, stop: str, last: str) -> None:
    plan = planned([backup((1015, 1))], [stream(slices)], target)
    assert (plan.facts["stop"], plan.facts["last"]) == (stop, last)


def test_an_operation_at_the_beginning_of_a_slice_is_in_the_plan(slices: list[OplogSlice]) -> None:
    """Its slice is needed for looking whether it is there, though nothing of it is replayed."""
    plan = planned([backup((1001, 1))], [stream(slices)], RecoveryTarget(kind="before_operation", value="1010:2"))
    assert names(plan) == ["1000.1-1010.1", "1010.1-1020.1"]


def test_a_fraction_of_a_second_is_that_second(slices: list[OplogSlice]) -> None:
    moment = datetime.datetime.fromtimestamp(1019.7, tz=datetime.timezone.utc)
    plan = planned([backup((1015, 1))], [stream(slices)], RecoveryTarget(kind="time", time=moment))
    assert plan.facts["stop"] == "1020:0"


def test_the_newest_base_before_the_target(slices: list[OplogSlice]) -> None:
    bases = [backup((1005, 1), number=1), backup((1015, 1), number=2), backup((1045, 1), number=3)]
    plan = planned(bases, [stream(slices)], optime((1031, 1)))
    assert plan.base == bases[1]
    assert planned(bases, [stream(slices)], RecoveryTarget(kind="latest")).base == bases[2]
    assert planned(bases, [stream(slices)], optime((1015, 1), inclusive=False)).base == bases[0]


def test_a_failed_base_is_none_and_an_unverified_newer_one_is_taken(slices: list[OplogSlice]) -> None:
    bases = [
        backup((1005, 1), number=1, state="verified"),
        backup((1010, 1), number=2),
        backup((1015, 1), number=3, state="failed"),
    ]
    plan = planned(bases, [stream(slices)], optime((1031, 1)))
    assert plan.base == bases[1]
    assert any("not verified yet" in sentence for sentence in plan.why)
    assert any(bases[0].manifest.backup_id in sentence for sentence in plan.why)


def test_what_is_left_out_must_come_after_the_base(slices: list[OplogSlice]) -> None:
    bases = [backup((1005, 1), number=1), backup((1025, 1), number=2)]
    plan = planned(bases, [stream(slices)], optime((1031, 1), skip=["1020:1"]))
    assert plan.base == bases[0]
    for skip in ("1003:1", "1005:1", "1040:1"):
        with pytest.raises(RequestInvalid, match=f"The operation {skip} is not replayed"):
            planned(bases, [stream(slices)], optime((1031, 1), skip=[skip]))


def test_bases_of_every_consistency(slices: list[OplogSlice]) -> None:
    ends = {"start": as_json((1002, 1)), "end": as_json((1012, 1)), "entries": 11}
    around = {"not_before": as_json((1012, 1)), "not_after": as_json((1022, 1))}
    captured = backup(None, how={"mode": "oplog", "oplog": ends})
    vendor = backup(None, how={"mode": "oplog", **around}, tool={"name": "mongodump", "version": "100"})
    torn = backup(None, how={"mode": "none"})
    assert planned([captured], [stream(slices)], optime((1012, 1))).facts["base"] == "1012:1"
    with pytest.raises(RecoveryTargetUnreachable):
        planned([captured], [stream(slices)], optime((1011, 1)))
    plan = planned([vendor], [stream(slices)], optime((1031, 1)))
    assert names(plan)[0] == "1010.1-1020.1"
    with pytest.raises(RecoveryTargetUnreachable) as refused:
        planned([vendor], [stream(slices)], optime((1021, 1)))
    assert refused.value.details["after"] == "1022:1"
    with pytest.raises(RecoveryTargetUnreachable, match="different moments"):
        planned([torn], [stream(slices)], optime((1031, 1)))


def test_what_was_read_outside_of_the_snapshot_is_right_after_the_dump_only(tmp_path: Path) -> None:
    base = backup(
        (1015, 1), how={"mode": "snapshot", "cluster_time": as_json((1015, 1)), "outside_snapshot": ["shop.log"]}
    )
    ended = int(base.manifest.finished.timestamp())
    entries = [insert((1000, 1)), insert((ended, 1)), insert((ended + 5, 1))]
    stored = stream(sliced(str(tmp_path), entries, cut=1)[0])
    assert planned([base], [stored], optime((ended + 5, 1))).warnings[0].startswith("Read outside of")
    with pytest.raises(RecoveryTargetUnreachable):
        planned([base], [stored], optime((ended, 1)))


def test_one_database(slices: list[OplogSlice]) -> None:
    plan = planned([backup((1015, 1), database="shop")], [stream(slices)], optime((1031, 1)))
    assert plan.facts["database"] == "shop"
    assert any("shop alone" in sentence for sentence in plan.why)


def test_a_hole_is_refused_with_the_nearest_on_both_sides(slices: list[OplogSlice]) -> None:
    bases = [backup((1005, 1), number=1), backup((1045, 1), number=2)]
    del slices[2]  # 1020 to 1030
    with pytest.raises(RecoveryTargetUnreachable, match="1025:1 can't be reached") as refused:
        planned(bases, [stream(slices)], optime((1025, 1)))
    assert refused.value.details["before"] == "1020:1"
    assert refused.value.details["after"] == "1045:1"
    assert "--to-optime 1020:1 or --to-optime 1045:1" in refused.value.hint
    assert any("between 1020:1 and 1030:1 nothing is stored" in reason for reason in refused.value.details["backups"])
    with pytest.raises(RecoveryTargetUnreachable) as refused:
        planned(bases, [stream(slices)], second(1025))
    assert refused.value.details["before"] == "1970-01-01T00:16:59Z"
    assert refused.value.details["after"] == "1970-01-01T00:17:25Z"
    assert "--to-time 1970-01-01T00:16:59Z or --to-time 1970-01-01T00:17:25Z" in refused.value.hint
    for text in (refused.value.details["before"], refused.value.details["after"]):
        planned(bases, [stream(slices)], second(int(parse_time(text).timestamp())))
    assert planned(bases, [stream(slices)], optime((1019, 1))).base == bases[0]


def test_a_second_counts_when_something_later_is_stored(slices: list[OplogSlice]) -> None:
    bases = [backup((1005, 1))]
    assert planned(bases, [stream(slices)], second(1058))
    with pytest.raises(RecoveryTargetUnreachable) as refused:
        planned(bases, [stream(slices)], second(1059))
    assert refused.value.details["before"] == "1970-01-01T00:17:38Z"
    assert refused.value.details["after"] is None


def test_before_every_base(slices: list[OplogSlice]) -> None:
    with pytest.raises(RecoveryTargetUnreachable, match="not before the target") as refused:
        planned([backup((1005, 1))], [stream(slices)], optime((1004, 1)))
    assert refused.value.details == {
        "before": None,
        "after": "1005:1",
        "backups": ["20261121T020001Z-4f2c91 (at 1005:1): it is not before the target"],
    }


def test_nothing_at_all(slices: list[OplogSlice]) -> None:
    with pytest.raises(RecoveryTargetUnreachable, match="no full backup"):
        planned([], [stream(slices)], RecoveryTarget(kind="latest"))
    plan = planned([backup((1005, 1))], [], RecoveryTarget(kind="latest"))
    assert plan.segments == ()
    assert any("nothing is replayed" in sentence for sentence in plan.why)


def test_a_base_of_another_set_or_version_or_before_the_chain(tmp_path: Path, slices: list[OplogSlice]) -> None:
    target = optime((1031, 1))
    with pytest.raises(RecoveryTargetUnreachable, match="another replica set"):
        planned([backup((1015, 1), replica_set_id="f" * 24)], [stream(slices)], target)
    with pytest.raises(RecoveryTargetUnreachable, match=r"compatibility version 6\.0, and the backup 5\.0"):
        planned([backup((1015, 1), feature_compatibility_version="5.0")], [stream(slices)], target)
    chain = new_chain(reads_from=(1000, 1), bases_from=(1018, 1))
    later = sliced(str(tmp_path), ENTRIES, cut=10, chain=chain)[0]
    with pytest.raises(RecoveryTargetUnreachable, match="takes backups from 1018:1 on"):
        planned([backup((1015, 1))], [stream(later)], target)
    assert planned([backup((1018, 1))], [stream(later)], target)


def test_duplicates_and_overlaps_are_joined(tmp_path: Path, slices: list[OplogSlice]) -> None:
    other = sliced(str(tmp_path), ENTRIES[5:], cut=7)[0]
    both = [*slices, *slices, *other]
    plan = planned([backup((1007, 1))], [stream(both)], optime((1050, 1)))
    reached = (1007, 1)
    for one in plan.segments:
        first, last = (tuple(map(int, text.split("."))) for text in one.segment.name.split("-"))
        assert first <= reached < last
        reached = last
    assert reached >= (1050, 1)
    assert len(set(names(plan))) == len(plan.segments)


def test_a_transaction_that_began_before_the_base(tmp_path: Path) -> None:
    """Its entries are needed, though nothing else of that time is."""
    entries = [
        insert((1000, 1)),
        part((1001, 1), of=7),
        *(insert((1002 + number, 1), number) for number in range(10)),
        part((1012, 1), of=7, before=(1001, 1), last=True),
        *(insert((1013 + number, 1), number) for number in range(5)),
    ]
    slices = sliced(str(tmp_path), entries, cut=2)[0]
    base = [backup((1008, 1))]
    plan = planned(base, [stream(slices)], optime((1014, 1)))
    assert names(plan)[0] == "1000.1-1002.1"
    assert any("began that ended after it" in sentence for sentence in plan.why)
    # Also when the target is before its end: the plan need not know which transactions commit.
    assert planned(base, [stream(slices)], optime((1009, 1)))
    assert names(planned([backup((1012, 1))], [stream(slices)], optime((1014, 1))))[0] == "1012.1-1014.1"
    with pytest.raises(RecoveryTargetUnreachable, match="a transaction began at 1001:1"):
        planned(base, [stream(slices[1:])], optime((1014, 1)))


def test_a_slice_inside_another_does_not_end_the_chain(tmp_path: Path) -> None:
    """Two shippers, or one that was killed and began again: the one that begins last need not reach furthest."""
    long, short = (sliced(str(tmp_path), ENTRIES[:30], cut=cut)[0] for cut in (20, 5))
    overlapping = [long[0], short[1], short[2]]
    plan = planned([backup((1001, 1))], [stream(overlapping)], optime((1019, 1)))
    assert names(plan) == ["1000.1-1020.1"]


def test_a_prepared_transaction_across_many_slices(tmp_path: Path) -> None:
    entries = [
        insert((1000, 1)),
        part((1001, 1), of=7),
        part((1002, 1), of=7, before=(1001, 1), prepare=True),
        *(insert((1003 + number, 1), number) for number in range(10)),
        end((1013, 1), of=7, before=(1002, 1)),
        insert((1014, 1)),
    ]
    slices = sliced(str(tmp_path), entries, cut=1)[0]
    plan = planned([backup((1006, 1))], [stream(slices)], optime((1014, 1)))
    assert names(plan)[0] == "1001.1-1002.1"
    plan = planned([backup((1013, 1))], [stream(slices)], optime((1014, 1)))
    assert names(plan) == ["1013.1-1014.1"]


@pytest.mark.parametrize("kind", ["lsn", "xid", "name", "immediate"])
def test_targets_of_other_engines(slices: list[OplogSlice], kind: str) -> None:
    with pytest.raises(RequestInvalid, match=f"kind {kind}"):
        planned([backup((1005, 1))], [stream(slices)], RecoveryTarget(kind=kind, value="1"))


def test_timelines_are_not_mongodbs(slices: list[OplogSlice]) -> None:
    with pytest.raises(RequestInvalid, match="no timelines"):
        planned([backup((1005, 1))], [stream(slices)], RecoveryTarget(kind="optime", value="1010:1", timeline="2"))


def test_every_boundary_has_the_fewest_slices(slices: list[OplogSlice]) -> None:
    """From each base to each target: the slices join, begin at the base and reach just to the target."""
    for start in range(1000, 1059, 3):
        base = backup((start, 1))
        for goal in range(start + 1, 1060):
            plan = planned([base], [stream(slices)], optime((goal, 1)))
            first = 1000 + (start - 1000) // 10 * 10
            assert names(plan)[0].startswith(f"{first}.1-"), (start, goal)
            last = int(names(plan)[-1].partition("-")[2].partition(".")[0])
            assert last - 10 < goal <= last, (start, goal)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_plan_is_made_exactly_when_the_slices_reach(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any slices of any cut, some lost: held against looking at every entry."""
    cuts = data.draw(st.lists(st.integers(1, 15), min_size=1, max_size=2, unique=True))
    folder = str(tmp_path_factory.getbasetemp())
    made = [one for cut in cuts for one in sliced(folder, ENTRIES[:30], cut=cut)[0]]
    kept = [one for one in made if data.draw(st.integers(0, 5))]
    start, goal = data.draw(st.integers(999, 1031)), data.draw(st.integers(999, 1031))
    base = backup((start, 1))
    joined = {pair for one in kept for pair in pairs(one)}
    reachable = goal == start or (start < goal and all((second, second + 1) in joined for second in range(start, goal)))
    if not reachable:
        with pytest.raises(RecoveryTargetUnreachable):
            planned([base], [stream(kept)], optime((goal, 1)))
        return
    plan = planned([base], [stream(kept)], optime((goal, 1)))
    found = {pair for one in plan.segments for pair in pairs(slice_from_facts(one.segment.facts))}
    assert found >= {(second, second + 1) for second in range(start, goal)}


def pairs(one: OplogSlice) -> t.Iterator[tuple[int, int]]:
    """The entries of a slice that follow one another without anything between them."""
    for second in range(one.first.position[0], one.last.position[0]):
        yield second, second + 1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_transaction_that_ends_behind_the_base_is_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Prepared ones that begin and end anywhere, slices cut anywhere: what is read has their beginnings."""
    seconds = range(1000, 1030)
    spans = data.draw(st.lists(st.tuples(st.sampled_from(seconds), st.sampled_from(seconds)), max_size=4))
    transactions = {number: (min(one), max(one)) for number, one in enumerate(spans) if one[0] != one[1]}
    entries = []
    for second in seconds:
        entries.append(insert((second, 1)))
        for number, (first, last) in transactions.items():
            if second == first:
                entries.append(part((second, 2 + number), of=number, prepare=True))
            elif second == last:
                entries.append(end((second, 2 + number), of=number, before=(first, 2 + number)))
    folder = str(tmp_path_factory.getbasetemp())
    slices = sliced(folder, entries, cut=data.draw(st.integers(1, 9)))[0]
    start = data.draw(st.sampled_from(seconds[:-1]))
    goal = data.draw(st.integers(start + 1, seconds[-1]))
    plan = planned([backup((start, 1))], [stream(slices)], optime((goal, 1)))
    begins = slice_from_facts(plan.segments[0].segment.facts).first.position
    assert begins <= (start, 1)
    for number, (first, last) in transactions.items():
        if (start, 1) < (last, 2 + number) < (goal, 2):
            assert begins <= (first, 2 + number)
