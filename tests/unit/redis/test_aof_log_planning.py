# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which seconds can be reached, from which base, along which pieces; and what is said where none leads there."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryTargetInvalid,
    RecoveryTargetUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_chain import read_chain
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_piece import Piece
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_planner import AofLogPlanner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_seconds import seconds_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_windows import aof_log_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from tests.support.manifests import manifest
from tests.unit.redis.made_pieces import base, increment, stored, stream

UTC = datetime.timezone.utc
NOW = datetime.datetime(2026, 11, 21, tzinfo=UTC)

#: Base at 100, one increment to 110, a rewrite, one to 120.
TWO = (
    base(1, holds=100),
    increment(1, 0, 10, seconds=(101, 103), covered=104),
    increment(1, 10, 20, seconds=(105, 109), covered=None, opening=103),
    base(2, holds=109, previous=(1, 20), beside=(1, 20)),
    increment(2, 0, 10, seconds=(111, 118), covered=119, opening=109, previous=(1, 20)),
)


def at(second: float | None, **options: t.Any) -> RecoveryTarget:
    if second is None:
        return RecoveryTarget(kind="latest", **options)
    moment = datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=second)
    return RecoveryTarget(kind="time", time=moment, **options)


def plan(second: float | None, *streams: Stream, bases: t.Sequence[Backup] = (), **options: t.Any) -> RecoveryPlan:
    return AofLogPlanner().plan(bases=bases, streams=streams, target=at(second, **options), now=NOW)


def names(found: RecoveryPlan) -> list[str]:
    return [one.segment.name for one in found.segments]


def wanted(*pieces: Piece) -> list[str]:
    return [str(piece.name) for piece in pieces]


def reachable(*pieces: Piece) -> list[int]:
    chain = read_chain(stream(*pieces))
    return sorted({second for way in chain.ways for second in range(90, 300) if second in seconds_of(way)})


def snapshot(second: int, *, state: str = "complete", kind: str = "rdb") -> Backup:
    moment = datetime.datetime.fromtimestamp(second, tz=UTC)
    text = moment.isoformat().replace("+00:00", "Z")
    described = manifest(engine="redis", kind=kind, content={"snapshot_time": text}, finished=moment)
    return Backup(manifest=described, repositories={"local": state})


def test_every_second_between_the_base_and_what_is_known_to_be_complete() -> None:
    assert reachable(*TWO) == list(range(100, 120))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (100, (TWO[0], TWO[1])),
        (103, (TWO[0], TWO[1], TWO[2])),
        (104, (TWO[0], TWO[1], TWO[2])),
        (108, (TWO[0], TWO[1], TWO[2])),
        (109, (TWO[3], TWO[4])),
        (119, (TWO[3], TWO[4])),
    ],
)
def test_the_last_base_that_holds_nothing_later(second: int, expected: tuple[Piece, ...]) -> None:
    found = plan(second, stream(*TWO))
    assert names(found) == wanted(*expected)
    assert found.base is None
    assert found.facts["through"] == second


def test_exclusive_is_the_second_before_and_a_fraction_the_last_whole_one() -> None:
    assert plan(105, stream(*TWO), inclusive=False).facts["through"] == 104
    found = plan(105.5, stream(*TWO))
    assert found.facts["through"] == 104
    assert "whole seconds" in found.warnings[0]
    assert plan(105, stream(*TWO)).facts["through"] == 105


def test_generations_chain_on_where_a_base_is_not_stored() -> None:
    without = [piece for piece in TWO if piece != TWO[3]]
    assert reachable(*without) == list(range(100, 120))
    assert names(plan(115, stream(*without))) == wanted(*without)
    assert plan(115, stream(*without)).facts["increments"] == [[1, 20], [2, 10]]


def test_a_base_of_which_a_piece_is_missing_is_none() -> None:
    half = replace(TWO[3], size=60)
    assert names(plan(115, stream(*TWO[:3], half, TWO[4]))) == wanted(*TWO[:3], TWO[4])


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_piece_ends_the_window_and_the_next_base_begins_one(missing: int) -> None:
    left = [piece for number, piece in enumerate(TWO) if number != missing]
    found = reachable(*left)
    assert set(range(109, 120)) <= set(found)
    assert 107 not in found
    with pytest.raises(RecoveryTargetUnreachable, match="in no repository") as caught:
        plan(107, stream(*left))
    assert caught.value.details["after"] == "1970-01-01T00:01:49Z"
    windows = aof_log_windows((), (stream(*left),))
    assert any("in no repository" in gap.reason for gap in windows.gaps)


def test_increments_of_which_nobody_knows_whether_they_follow_are_not_joined() -> None:
    unsure = replace(TWO[4], previous=None, broken="CONFIG SET was run")
    late = replace(TWO[3], previous=None, holds=112)
    found = reachable(*TWO[:3], late, unsure)
    assert found == [*range(100, 109), *range(112, 120)]
    with pytest.raises(RecoveryTargetUnreachable, match="CONFIG SET was run"):
        plan(110, stream(*TWO[:3], late, unsure))


def test_commands_without_a_time_block_the_seconds_in_which_they_may_have_been_written() -> None:
    off = increment(1, 20, 30, commands=3, untimed=3, opening=None, closing=None, covered=129, after=119, taken=130)
    again = increment(1, 30, 40, seconds=(140, 150), covered=160, opening=None, after=135, taken=161)
    timed = increment(1, 0, 20, seconds=(101, 110), covered=119, taken=120)
    assert reachable(base(1), timed, off, again) == [*range(100, 120), *range(131, 161)]
    # A plan for the quiet time behind them ends before what came later.
    assert names(plan(133, stream(base(1), timed, off, again))) == wanted(base(1), timed, off)


def test_commands_behind_the_last_time_are_not_of_it_when_times_were_switched_off() -> None:
    first = increment(1, 0, 10, seconds=(101, 105), covered=109, closing=None, taken=110)
    second = increment(1, 10, 20, seconds=(112, 115), covered=119, opening=None, after=109, taken=120)
    assert reachable(base(1), first, second) == [*range(100, 105), *range(111, 120)]


def test_a_clock_that_was_set_back() -> None:
    back = increment(1, 10, 20, seconds=(103, 108), covered=120, opening=110)
    found = reachable(base(1), increment(1, 0, 10, seconds=(101, 110)), back)
    assert 105 not in found
    assert {102, 110, 119} <= set(found)


def test_a_server_at_rest_is_covered_by_pieces_without_bytes() -> None:
    quiet = increment(1, 20, 20, covered=180)
    pieces = (*TWO[:3], quiet)
    assert reachable(*pieces)[-1] == 180
    assert names(plan(170, stream(*pieces))) == wanted(*TWO[:3]), "nothing needs to be fetched of it"


def test_pieces_that_overlap_or_come_twice() -> None:
    again = increment(1, 5, 20, seconds=(103, 109), covered=None, opening=101)
    assert plan(108, stream(*TWO, TWO[1])).segments == plan(108, stream(*TWO)).segments
    left = (TWO[0], TWO[1], again, *TWO[3:])
    assert reachable(*left) == list(range(100, 120))


def test_a_name_with_two_contents_is_used_in_neither() -> None:
    whole = stream(*TWO)
    forged = replace(whole, segments=(*whole.segments, stored(TWO[1], sha256="b" * 64)))
    with pytest.raises(RecoveryTargetUnreachable):
        plan(105, forged)
    assert any("different bytes" in warning for warning in aof_log_windows((), (forged,)).warnings)


def test_latest_is_all_there_is() -> None:
    found = plan(None, stream(*TWO))
    assert names(found) == wanted(*TWO[3:])
    assert (found.facts["through"], found.facts["complete_through"]) == (None, 119)


def test_latest_is_a_backup_when_nothing_was_archived_since() -> None:
    newer = snapshot(500)
    assert plan(None, stream(*TWO), bases=[newer]).base == newer
    assert plan(None, stream(*TWO), bases=[snapshot(90)]).base is None


def test_latest_says_what_it_leaves_out() -> None:
    left = (*TWO[:2], increment(1, 15, 20, seconds=(107,)))
    found = plan(None, stream(*left))
    assert any("can't be joined" in warning for warning in found.warnings)


def test_the_ladder_of_snapshots() -> None:
    ladder = [snapshot(100), snapshot(200), snapshot(300, state="failed")]
    found = plan(250, bases=ladder)
    assert found.base == ladder[1]
    assert found.segments == ()
    assert found.facts["off_seconds"] == 50
    assert any("50 seconds" in one for one in found.why)
    with pytest.raises(RecoveryTargetUnreachable) as caught:
        plan(50, bases=ladder)
    assert caught.value.details == {"before": None, "after": "1970-01-01T00:01:40Z"}
    windows = aof_log_windows(ladder, ())
    assert [(window.begins, window.ends) for window in windows.windows] == [
        (datetime.datetime.fromtimestamp(second, tz=UTC),) * 2 for second in (100, 200)
    ]
    assert any("nothing in between" in warning for warning in windows.warnings)


def test_before_the_first_base_the_nearest_points_are_named() -> None:
    with pytest.raises(RecoveryTargetUnreachable, match="before the first base") as caught:
        plan(95, stream(*TWO), bases=[snapshot(50)])
    assert caught.value.details == {"before": "1970-01-01T00:00:50Z", "after": "1970-01-01T00:01:40Z"}
    assert plan(50, stream(*TWO), bases=[snapshot(50)]).base is not None, "what was named can be given"


def test_a_second_that_is_not_archived_yet() -> None:
    with pytest.raises(RecoveryTargetUnreachable, match="nothing is archived yet") as caught:
        plan(200, stream(*TWO))
    assert caught.value.details == {"before": "1970-01-01T00:01:59Z", "after": None}


def test_nothing_at_all() -> None:
    for second in (100, None):
        with pytest.raises(RecoveryTargetUnreachable):
            plan(second)


@pytest.mark.parametrize(
    "target",
    [
        RecoveryTarget(kind="xid", value="7"),
        RecoveryTarget(kind="time"),
        at(100, skip=("1:1",)),
        at(100, timeline="3"),
        at(100, action="pause"),
        at(10**10),
    ],
)
def test_what_redis_has_no_notion_of(target: RecoveryTarget) -> None:
    with pytest.raises(RecoveryTargetInvalid) as caught:
        AofLogPlanner().plan(bases=(), streams=(stream(*TWO),), target=target, now=NOW)
    assert caught.value.hint


def test_windows_say_which_base_serves_them() -> None:
    (window,) = aof_log_windows((), (stream(*TWO),)).windows
    assert window.bases == (str(TWO[0].name), str(TWO[3].name))
    assert (window.first, window.last) == ("1:0", "2:10")
    assert window.segments == 5
    assert (window.begins.timestamp(), int(window.ends.timestamp())) == (100, 119)


@given(strategies.sets(strategies.integers(min_value=0, max_value=4)), strategies.integers(min_value=90, max_value=130))
def test_whatever_is_missing_a_plan_has_no_hole_or_is_refused(missing: set[int], second: int) -> None:
    left = stream(*(piece for number, piece in enumerate(TWO) if number not in missing))
    refused: RecoveryTargetUnreachable | None = None
    found: RecoveryPlan | None = None
    try:
        found = plan(second, left)
    except RecoveryTargetUnreachable as error:
        refused = error
    if refused is not None:
        assert set(refused.details) == {"before", "after"}
        for text in refused.details.values():
            if text is not None:
                named = int(parse_time(text).timestamp())
                assert plan(named, left).facts["through"] == named, "what is named can be given"
    position = (0, 0)
    for one in found.segments if found is not None else ():
        piece = Piece.of(one.segment)
        if not piece.is_base:
            if piece.name.offset:
                assert position == (piece.name.increment, piece.name.offset)
            position = (piece.name.increment, piece.name.end)
