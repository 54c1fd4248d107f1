# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dump needs of the oplog, and what it reaches: the same as the windows say that are made of all slices."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import random
import tempfile
import typing as t

import bson
import pytest
from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RecoveryTargetUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import OplogSlice
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_windows import windows_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.recovery_planner import (
    MongoRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.slice_marks import OPLOG_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import Position
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from tests.support import stream_hours
from tests.support.fuzzing import many
from tests.support.manifests import manifest
from tests.support.stream_hours import Span, hour, later_hours, moments, summed, union
from tests.unit.mongodb.oplog_entries import SET_ID, entry, insert, new_chain, sliced, stream

SECOND = datetime.timedelta(seconds=1)


def dump(position: Position, *, number: int = 0, state: str = "complete", **changes: t.Any) -> Backup:
    how = changes.pop("how", {"mode": "snapshot", "cluster_time": {"t": position[0], "i": position[1]}})
    content = {
        "tool": {"name": "native", "version": "0.1.0"},
        "database": None,
        "server_version": "6.0.5",
        "feature_compatibility_version": "6.0",
        "replica_set": "rs0",
        "replica_set_id": SET_ID,
        "consistency": {"reason": "", **how},
        "databases": {},
        **changes,
    }
    described = manifest(backup_id=f"20261121T020000Z-{number:06x}", content=content)
    return Backup(manifest=described, repositories={"it": state})


def named(one: Backup) -> str:
    return str(one.manifest.backup_id)


def spans(dumps: t.Sequence[Backup], oplog: Stream, *, each: int = 2) -> list[Span]:
    return union(moments(summed(oplog, OPLOG_MARKS, dumps, each=each).entry.windows), apart=SECOND)


def windows(dumps: t.Sequence[Backup], oplog: Stream) -> list[Span]:
    each = [span for one in dumps for span in stream_hours.windows_of(windows_of, [one], oplog)]
    return union(each, apart=SECOND)


def planned(one: Backup, oplog: Stream, second: int) -> list[str] | None:
    """The slices of a recovery to that second from that dump; None when it can't be reached."""
    moment = datetime.datetime.fromtimestamp(second, tz=datetime.timezone.utc)
    try:
        plan = MongoRecoveryPlanner().plan(
            bases=[one], streams=[oplog], target=RecoveryTarget(kind="time", time=moment), now=moment
        )
    except RecoveryTargetUnreachable:
        return None
    return [each.segment.name for each in plan.segments]


@pytest.fixture
def slices(tmp_path: pathlib.Path) -> list[OplogSlice]:
    """From 1000:1 to 1100:1, a slice every ten seconds: ten, of which the last is 1090 to 1100."""
    made, _bytes = sliced(str(tmp_path), [insert((second, 1)) for second in range(1000, 1101, 10)], cut=1)
    return made


POSITIONS = [(999, 9), (1000, 1), (1012, 4), (1035, 0), (1040, 1), (1095, 0), (1100, 1), (1100, 2)]


@pytest.mark.parametrize("missing", [None, 0, 3, 4, 9])
@pytest.mark.parametrize("each", [1, 3])
def test_the_spans_are_those_of_the_windows(missing: int | None, each: int, slices: list[OplogSlice]) -> None:
    oplog = stream([one for number, one in enumerate(slices) if number != missing])
    dumps = [dump(position, number=number) for number, position in enumerate(POSITIONS)]
    for chosen in (dumps, *([one] for one in dumps)):
        assert spans(chosen, oplog, each=each) == windows(chosen, oplog)


@pytest.mark.parametrize("each", [1, 3])
def test_nothing_that_a_dump_reaches_depends_on_what_it_does_not_need(each: int, slices: list[OplogSlice]) -> None:
    for position in POSITIONS[1:]:
        one = dump(position)
        needed = summed(stream(slices), OPLOG_MARKS, [one], each=each).entry.needed_from[named(one)]
        left = later_hours(stream(slices), needed, each=each)
        assert windows([one], left) == windows([one], stream(slices))


def test_a_dump_needs_the_slice_that_holds_its_moment_and_what_follows(slices: list[OplogSlice]) -> None:
    dumps = [dump(position, number=number) for number, position in enumerate(POSITIONS)]
    found = summed(stream(slices), OPLOG_MARKS, dumps, each=1).entry.needed_from
    # 1040:1 is the end of one slice and the beginning of the next; the lineage takes nothing from before it began.
    assert [found.get(named(one)) for one in dumps] == [None, *map(hour, (0, 1, 3, 3, 9, 9, 9))]


@pytest.mark.parametrize(
    "numbers",
    [range(3, 10), range(3, 6), range(6, 10), [*range(6), 2, 3, *range(6, 10)], [2, 3, 5, 4, 6, 7, 8, 9]],
    ids=["its beginning is gone", "it is open still", "it ended", "recorded twice", "recorded late"],
)
def test_transactions_count_as_in_the_windows(numbers: t.Sequence[int], tmp_path: pathlib.Path) -> None:
    made = with_transaction(tmp_path)
    oplog = stream([made[number] for number in numbers])
    for second in range(1005, 1100, 5):
        assert spans([dump((second, 1))], oplog) == windows([dump((second, 1))], oplog), second
    several = [dump((second, 1), number=second) for second in (1025, 1035, 1055, 1065, 1085)]
    assert spans(several, oplog) == windows(several, oplog)


def test_a_dump_that_is_usable_later_than_the_slices_end_reaches_nothing(slices: list[OplogSlice]) -> None:
    how = {"mode": "oplog", "not_before": {"t": 1081, "i": 1}, "not_after": {"t": 1133, "i": 7}}
    assert spans([dump((0, 0), how=how)], stream(slices)) == windows([dump((0, 0), how=how)], stream(slices)) == []
    assert list(summed(stream(slices), OPLOG_MARKS, [dump((0, 0), how=how)]).entry.needed_from.values()) == [hour(4)]


def with_transaction(folder: pathlib.Path) -> list[OplogSlice]:
    """A slice every ten seconds from 1000 to 1100; a transaction is open from 1020:1 to 1080:1."""
    entries = [insert((second, 1)) for second in range(1000, 1101, 10)]
    entries[2], entries[8] = transaction((1020, 1), 1), transaction((1080, 1), 1, last=True)
    made, _bytes = sliced(str(folder), entries, cut=1)
    return made


def test_a_dump_in_a_transaction_needs_the_slice_where_that_began(tmp_path: pathlib.Path) -> None:
    made = with_transaction(tmp_path)
    found = summed(stream(made), OPLOG_MARKS, [dump((1055, 1)), dump((1085, 1), number=1)], each=1).entry.needed_from
    assert list(found.values()) == [hour(2), hour(8)]
    # Also while it is open still: whoever ends it later will need its beginning.
    open_still = summed(stream(made[:7]), OPLOG_MARKS, [dump((1055, 1))], each=1).entry.needed_from
    assert list(open_still.values()) == [hour(2)]
    # And from a dump that is newer than all that is stored.
    newest = summed(stream(made[:7]), OPLOG_MARKS, [dump((1070, 1))], each=1).entry.needed_from
    assert list(newest.values()) == [hour(2)]


def test_what_any_later_slice_needs_is_needed(slices: list[OplogSlice]) -> None:
    reaching = [*slices[:8], dataclasses.replace(slices[8], needs_from=(1010, 1)), slices[9]]
    dumps = [dump((1035, 1)), dump((1065, 1), number=1), dump((1095, 1), number=2)]
    found = summed(stream(reaching), OPLOG_MARKS, dumps, each=1).entry
    assert list(found.needed_from.values()) == [hour(1), hour(1), hour(9)]
    for numbers in (range(10), range(1, 10), range(2, 10)):
        oplog = stream([reaching[number] for number in numbers])
        assert spans(dumps, oplog) == windows(dumps, oplog)


@pytest.mark.parametrize(
    "changes",
    [{"how": {"mode": "none"}}, {"replica_set_id": "f" * 24}, {"feature_compatibility_version": "5.0"}],
)
def test_a_dump_that_can_not_be_brought_forward_needs_nothing(
    changes: dict[str, t.Any], slices: list[OplogSlice]
) -> None:
    entry = summed(stream(slices), OPLOG_MARKS, [dump((1012, 4), **changes)]).entry
    assert (entry.needed_from, entry.windows) == ({}, ())


def test_a_failed_dump_keeps_its_need_and_reaches_nothing(slices: list[OplogSlice]) -> None:
    failed = dump((1035, 1), state="failed")
    entry = summed(stream(slices), OPLOG_MARKS, [failed], each=1).entry
    assert (entry.needed_from, entry.windows) == ({named(failed): hour(3)}, ())


def test_a_dump_from_before_what_its_lineage_takes_needs_nothing(tmp_path: pathlib.Path) -> None:
    chain = new_chain(reads_from=(1000, 1), bases_from=(1030, 1))
    made, _bytes = sliced(str(tmp_path), [insert((second, 1)) for second in range(1000, 1101, 10)], chain=chain, cut=1)
    dumps = [dump((1029, 9)), dump((1030, 1), number=1)]
    entry = summed(stream(made), OPLOG_MARKS, dumps, each=1).entry
    assert entry.needed_from == {named(dumps[1]): hour(2)}
    assert {one.base for one in entry.windows} == {named(dumps[1])}


def test_a_slice_whose_facts_are_damaged_is_a_hole(slices: list[OplogSlice]) -> None:
    whole = stream(slices)
    hurt = whole.segments[4]
    description = dataclasses.replace(hurt.segment.description, facts={"first": "x"})
    damaged = dataclasses.replace(hurt, segment=dataclasses.replace(hurt.segment, description=description))
    oplog = dataclasses.replace(whole, segments=(*whole.segments[:4], damaged, *whole.segments[5:]))
    assert spans([dump((1000, 1))], oplog) == windows([dump((1000, 1))], oplog)


def transaction(position: Position, number: int, *, last: bool = False, before: Position = (0, 0)) -> bytes:
    """An entry of a transaction, each in a session of its own."""
    body: dict[str, t.Any] = {"applyOps": [{"op": "i", "ns": "shop.orders", "o": {"_id": position[1]}}]}
    return entry(
        position,
        op="c",
        ns="admin.$cmd",
        o=body if last else {**body, "partialTxn": True},
        lsid={"id": bson.Binary(bytes([number]) * 16, 4)},
        txnNumber=bson.Int64(1),
        prevOpTime={"ts": bson.Timestamp(*before), "t": bson.Int64(1)},
    )


@pytest.mark.thorough
@many(30, deadline=None)
@given(st.integers(0, 1 << 40))
def test_the_same_of_any_oplog(seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        made = _any_slices(chance, folder)
    each = chance.choice((1, 2, 5))
    # What was there when it was pruned, what came later, and now and then a slice that never came.
    stored = stream([one for one in made if chance.random() > 0.03] or made)
    early = dataclasses.replace(stored, segments=stored.segments[: chance.randrange(1, len(stored.segments) + 1)])
    dumps = [dump((chance.randrange(995, 1090), chance.randrange(3)), number=number) for number in range(3)]
    found = summed(early, OPLOG_MARKS, dumps, each=each)
    assert union(moments(found.entry.windows), apart=SECOND) == windows(dumps, early)
    for one in dumps:
        needed = found.entry.needed_from.get(named(one))
        if needed is None:
            assert windows([one], stored) == []
            continue
        left = later_hours(stored, needed, each=each)
        assert windows([one], left) == windows([one], stored)
        for second in range(995, 1095, 7):
            assert planned(one, left, second) == planned(one, stored, second)


def _any_slices(chance: random.Random, folder: str) -> list[OplogSlice]:
    """Entries of some seconds, many of them in transactions that overlap."""
    entries: list[bytes] = []
    running: dict[int, Position] = {}
    for second in range(1000, 1000 + chance.randrange(5, 90)):
        for ordinal in range(1, chance.choice((2, 2, 3))):
            position = (second, ordinal)
            number = chance.randrange(1, 40)
            if number < 5:
                is_last = number in running and chance.random() < 0.15
                entries.append(transaction(position, number, last=is_last, before=running.get(number, (0, 0))))
                running[number] = position
                if is_last:
                    del running[number]
            else:
                entries.append(insert(position))
    made, _bytes = sliced(folder, entries, cut=chance.choice((1, 2, 4)))
    return made
