# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a target to base, timeline and segments; and what can't be reached, with the nearest points that can."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time, parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryTargetInvalid,
    RecoveryTargetUnreachable,
    StreamConflict,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.names import parse_lsn
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_planner import (
    PgRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_windows import wal_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    recovery_target_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.unit.postgresql.wal_archives import (
    LINEAGE,
    SIZE,
    at,
    base,
    failover,
    history,
    lsn,
    segment,
    segments,
    stream,
    two_timelines,
)

NOW = at(24 * 60)


def plan(bases: t.Sequence[Backup], wal: t.Sequence[StoredSegment] | Stream, **target: t.Any) -> RecoveryPlan:
    streams = [wal] if isinstance(wal, Stream) else [stream(*wal)]
    return plan_of(bases, streams, **target)


def plan_of(bases: t.Sequence[Backup], streams: t.Sequence[Stream], **target: t.Any) -> RecoveryPlan:
    read = recovery_target_from(target, now=NOW)
    return PgRecoveryPlanner().plan(bases=bases, streams=streams, target=read, now=NOW)


def refused(
    bases: t.Sequence[Backup], wal: t.Sequence[StoredSegment] | Stream, **target: t.Any
) -> RecoveryTargetUnreachable:
    with pytest.raises(RecoveryTargetUnreachable) as caught:
        plan(bases, wal, **target)
    assert caught.value.hint
    assert {"before", "after"} <= set(caught.value.details)
    return caught.value


def names(found: RecoveryPlan) -> list[str]:
    return [one.segment.name for one in found.segments]


def time(minutes: float) -> str:
    return format_time(at(minutes))


# --- times ------------------------------------------------------------------------------------------------------------


def test_the_last_base_that_ended_before_a_time_and_the_wal_up_to_it() -> None:
    bases = [base(3), base(8), base(14)]
    found = plan(bases, segments(3, 20), time=time(11.5))
    assert found.base is bases[1]
    # The backup holds what was written until it ended; in segment 12 everything of minute 11.5 is.
    assert names(found) == [f"0000000100000000000000{number:02X}" for number in (9, 10, 11, 12)]
    assert found.facts["end_serves"] is True
    assert found.facts["recovery_target_timeline"] == "current"
    assert any("last one that ended before" in one for one in found.why)


def test_a_base_that_had_not_ended_is_never_taken() -> None:
    bases = [base(3), base(8, minutes=10)]
    assert plan(bases, segments(3, 20), time=time(9.9)).base is bases[0]
    assert plan(bases, segments(3, 20), time=time(10)).base is bases[1]


def test_failed_backups_never_and_proved_ones_on_a_tie() -> None:
    bases = [base(3), base(8, state="failed"), base(5, mark="aaaaaa", state="verified"), base(5, mark="ffffff")]
    found = plan(bases, segments(3, 20), time=time(11))
    assert found.base is bases[2]
    assert any("verification failed" in one for one in found.warnings)


def test_an_increment_without_its_chain_is_passed_over() -> None:
    full = base(3)
    parent = {"backup_id": full.manifest.backup_id, "chain": [full.manifest.backup_id]}
    increment = base(8, kind="incremental", parent=parent)
    assert plan([full, increment], segments(3, 20), time=time(11)).base is increment
    assert refused([increment], segments(3, 20), time=time(11)).details["passed_over"]
    failed = base(3, state="failed")
    older = base(2)
    assert plan([older, failed, increment], segments(2, 20), time=time(11)).base is older


def test_before_the_first_base() -> None:
    error = refused([base(3), base(8)], segments(1, 20), time=time(2))
    assert "before the end of the first base" in error.message
    assert error.details["before"] is None
    assert error.details["after"] == time(3)
    assert error.details["after"] in str(error.hint)


def test_behind_what_is_stored() -> None:
    error = refused([base(3)], segments(3, 20), time=time(21))
    nearest = error.details["before"]
    assert nearest == format_time(at(20) - datetime.timedelta(seconds=1))
    assert error.details["after"] is None
    plan([base(3)], segments(3, 20), time=nearest)


def test_nothing_is_promised_of_the_second_in_which_a_segment_was_left() -> None:
    """A commit of that second may be in the next segment, which is not stored."""
    wal = [*segments(3, 19), segment(20, facts={"last_commit": None})]
    limit = at(20) - datetime.timedelta(seconds=1)
    plan([base(3)], wal, time=format_time(limit))
    assert refused([base(3)], wal, time=format_time(limit + datetime.timedelta(microseconds=1))).details["before"]


def test_a_hole_before_the_target_is_refused_with_both_neighbours() -> None:
    wal = [*segments(3, 9), *segments(11, 20)]
    bases = [base(3), base(14)]
    error = refused(bases, wal, time=time(12))
    assert "00000001000000000000000A is in no repository" in error.message
    assert error.details["before"] == format_time(at(9) - datetime.timedelta(seconds=1))
    assert error.details["after"] == time(14)
    for nearest in (error.details["before"], error.details["after"]):
        plan(bases, wal, time=nearest)
    # Behind the target, or before the base, it does not matter.
    assert plan(bases, wal, time=time(8)).base is bases[0]
    assert plan(bases, wal, time=time(16)).base is bases[1]


def test_what_the_backup_holds_itself_need_not_be_stored() -> None:
    assert names(plan([base(3)], segments(4, 20), time=time(4)))[0] == "000000010000000000000004"
    # One from a standby can't hold its last segment whole, one of another tool holds none.
    refused([base(3, in_recovery=True)], segments(4, 20), time=time(4))
    refused([base(3, tool={"name": "wal-g"})], segments(4, 20), time=time(4))
    assert names(plan([base(3, in_recovery=True)], segments(3, 20), time=time(4)))[0] == "000000010000000000000003"


def test_two_contents_under_one_name_are_a_hole() -> None:
    wal = [*segments(3, 20), segment(10, sha256="cd" * 32)]
    assert "stored twice" in refused([base(3)], wal, time=time(12)).message
    plan([base(3)], [*segments(3, 20), segment(10)], time=time(12))  # the same bytes again are the same segment
    problem = StreamConflict("two of them", hint="look", details={"segment": "00000001000000000000000A"})
    assert "stored twice" in refused([base(3)], stream(*segments(3, 20), problems=(problem,)), time=time(12)).message


def test_a_segment_of_another_size_is_a_hole() -> None:
    wal = [*segments(3, 9), segment(10, facts={"segment_size": 2 * SIZE}), *segments(11, 20)]
    assert "segments of" in refused([base(3)], wal, time=time(12)).message


def test_without_times_nothing_is_assumed() -> None:
    wal = segments(3, 20, ends=None, facts={"last_commit": None})
    refused([base(3)], wal, time=time(12))
    assert len(plan([base(3)], wal, latest=True).segments) == 17


# --- timelines --------------------------------------------------------------------------------------------------------


def test_a_time_follows_the_newest_timeline_that_contains_it() -> None:
    bases = [base(3), base(14), base(16, timeline=2, minutes=37)]
    wal = two_timelines()
    # Minute 15 was written on timeline 1 only: it is abandoned, and still what was at that time.
    found = plan(bases, wal, time=time(15))
    assert (found.facts["timeline"], found.base) == (1, bases[1])
    # Minute 35 lies on timeline 2; the base of minute 14 is of the abandoned end and must not be taken.
    found = plan(bases, wal, time=time(35))
    assert (found.facts["timeline"], found.base) == (2, bases[0])
    assert found.facts["recovery_target_timeline"] == "2"
    assert names(found)[0] == "00000002.history"
    assert names(found)[1:] == [
        *(f"0000000100000000000000{number:02X}" for number in range(4, 12)),
        *(f"0000000200000000000000{number:02X}" for number in range(12, 17)),
    ]
    assert any("Timeline 2" in one for one in found.why)
    assert plan(bases, wal, time=time(40)).base is bases[2]


def test_the_history_files_come_along_even_for_an_older_timeline() -> None:
    """PostgreSQL looks in them for the numbers that are taken."""
    assert names(plan([base(3)], two_timelines(), time=time(10)))[0] == "00000002.history"


def test_between_the_end_of_a_timeline_and_the_next_there_is_nothing() -> None:
    error = refused([base(3)], two_timelines(), time=time(25))
    assert "timeline 1 was left" in error.message
    assert error.details["before"] == format_time(at(20) - datetime.timedelta(seconds=1))
    assert error.details["after"] == time(30)


def test_a_timeline_that_was_asked_for() -> None:
    bases, wal = [base(3)], two_timelines()
    found = plan(bases, wal, lsn=lsn(14, 0x100), timeline=1)
    assert found.facts["timeline"] == 1
    assert "asked for" in found.why[0]
    assert plan(bases, wal, lsn=lsn(14, 0x100)).facts["timeline"] == 2
    error = refused(bases, wal, time=time(35), timeline=1)
    assert error.details["before"] == format_time(at(20) - datetime.timedelta(seconds=1))
    with pytest.raises(RecoveryTargetInvalid, match="timeline 7") as caught:
        plan(bases, wal, time=time(35), timeline=7)
    assert caught.value.details["timelines"] == [1, 2]


def test_after_a_failover_the_new_timeline_goes_on_where_the_old_one_ends() -> None:
    bases, wal = [base(3)], failover()
    for minutes in (11.5, 12.5, 15):
        found = plan(bases, wal, time=time(minutes))
        assert found.facts["timeline"] == 2
        assert "00000002000000000000000C" in names(found)
    assert plan(bases, wal, time=time(10)).facts["timeline"] == 1
    # What was written before the switch is only in the file of the new timeline.
    assert plan(bases, wal, lsn=lsn(12, 0x100)).facts["timeline"] == 2
    assert plan(bases, wal, lsn=lsn(11, 0x100)).facts["timeline"] == 1


def test_a_timeline_whose_history_is_missing_leads_nowhere() -> None:
    wal = [one for one in two_timelines() if not one.segment.name.endswith(".history")]
    found = plan([base(3)], wal, time=time(15))
    assert found.facts["timeline"] == 1
    assert any("without its history" in one for one in found.warnings)
    refused([base(3)], wal, time=time(35))
    # A base of that timeline is a begin of its own.
    assert plan([base(3), base(16, timeline=2, minutes=37)], wal, latest=True).facts["timeline"] == 2


def test_a_history_that_can_not_be_read_is_no_history() -> None:
    wal = two_timelines()
    index = next(index for index, one in enumerate(wal) if one.segment.name.endswith(".history"))
    wal[index] = history(2, [], minutes=30)
    refused([base(3)], wal, time=time(35))


# --- the other targets ------------------------------------------------------------------------------------------------


def test_positions() -> None:
    bases = [base(3), base(8)]
    found = plan(bases, segments(3, 20), lsn=lsn(10, 0x100))
    assert found.base is bases[1]
    assert names(found)[-1] == "00000001000000000000000C", "a record may end in the next segment"
    assert found.facts["end_serves"] is False
    assert plan(bases, segments(3, 20), lsn=lsn(8, 0x137)).base is bases[0], "the base is consistent from 138 on"
    assert plan(bases, segments(3, 20), lsn=lsn(8, 0x138)).base is bases[1]
    assert plan(bases, segments(3, 20), lsn=lsn(21)).facts["end_serves"] is True
    error = refused(bases, segments(3, 20), lsn=lsn(21, 1))
    assert error.details["before"] == f"1/{lsn(21)}"
    plan(bases, segments(3, 20), lsn=error.details["before"])
    error = refused(bases, segments(3, 20), lsn=lsn(2))
    assert error.details["after"] == f"1/{lsn(3, 0x138)}"
    plan(bases, segments(3, 20), lsn=error.details["after"])


def test_the_latest() -> None:
    bases = [base(3), base(8)]
    found = plan(bases, segments(3, 20), latest=True)
    assert found.base is bases[1]
    assert names(found)[-1] == "000000010000000000000014"
    assert found.facts["end_serves"] is True
    error = refused(bases, [*segments(3, 15), *segments(17, 20)], latest=True)
    assert "000000010000000000000010" in error.message
    plan(bases, [*segments(3, 15), *segments(17, 20)], time=error.details["before"])
    assert plan([base(3)], two_timelines(), latest=True).facts["timeline"] == 2


def test_the_latest_of_a_timeline_that_has_stored_nothing_yet() -> None:
    wal = [*two_timelines(), history(3, [(1, lsn(12, 0x800000)), (2, lsn(30))], minutes=60)]
    found = plan([base(3)], wal, latest=True)
    assert found.facts["timeline"] == 2
    assert "00000003.history" in names(found)


def test_the_latest_after_a_recovery_that_was_rolled_back() -> None:
    """Its timeline stays in the archive, and the server went on with the older one."""
    wal = [
        *segments(3, 40),
        history(2, [(1, lsn(12, 0x800000))], minutes=30),
        *(segment(number, timeline=2, minutes=number + 19) for number in range(12, 14)),
    ]
    found = plan([base(3)], wal, latest=True)
    assert found.facts["timeline"] == 1
    assert "2 is newer" in found.why[0]
    assert plan([base(3)], wal, latest=True, timeline=2).facts["timeline"] == 2
    # While both were there the newer one counts, and the plan says that there is another.
    found = plan([base(3)], wal, time=time(31.5))
    assert found.facts["timeline"] == 2
    assert any("also timeline 1" in one for one in found.why)


def test_as_soon_as_it_is_consistent() -> None:
    found = plan([base(3), base(8)], segments(3, 20), immediate=True)
    assert names(found) == []
    assert names(plan([base(8, in_recovery=True)], segments(3, 20), immediate=True)) == ["000000010000000000000008"]
    refused([base(8, in_recovery=True)], segments(3, 7), immediate=True)
    assert plan([base(8)], [segment(1)], immediate=True).segments == ()


def test_transactions_and_names_need_everything() -> None:
    bases = [base(3), base(8)]
    for target in ({"xid": 742}, {"name": "before-upgrade"}):
        found = plan(bases, segments(3, 20), **target)
        assert found.base is bases[0], "nobody knows where it is, so from the first one on"
        assert len(found.segments) == 17
        assert found.facts["end_serves"] is False
        hole = [*segments(3, 6), *segments(9, 20)]
        assert plan(bases, hole, **target).base is bases[1]
        assert "not known" in refused(bases, [*segments(3, 12), *segments(14, 20)], **target).message


@pytest.mark.parametrize("target", [{"optime": "7:1"}, {"before_operation": "7:1"}, {"lsn": lsn(5), "skip": ["7:1"]}])
def test_what_postgresql_does_not_have(target: dict[str, t.Any]) -> None:
    with pytest.raises(RecoveryTargetInvalid):
        plan([base(3)], segments(3, 20), **target)


# --- clusters ---------------------------------------------------------------------------------------------------------


def test_no_base_and_no_wal() -> None:
    assert "no base backup" in refused([], segments(3, 20), latest=True).message
    assert "no base backup" in refused([base(3, state="failed")], segments(3, 20), latest=True).message
    with pytest.raises(RecoveryTargetUnreachable, match="no WAL") as caught:
        plan_of([base(3)], [], latest=True)
    assert "ship" in str(caught.value.hint)


def test_another_cluster_of_the_same_source() -> None:
    """The source was made anew: positions and timelines begin again, and nothing of the one fits the other."""
    newer = "7399999999999999999"
    bases = [base(3), base(4, minutes=100, lineage=newer)]
    again = [segment(number, minutes=number + 96) for number in range(4, 10)]
    streams = [stream(*segments(3, 20)), stream(*again, lineage=newer)]
    assert plan_of(bases, streams, time=time(101)).lineage == newer
    assert plan_of(bases, streams, time=time(10)).lineage == LINEAGE
    assert plan_of(bases, streams, latest=True).lineage == newer


@given(
    holes=strategies.sets(strategies.integers(4, 20), max_size=5),
    base_numbers=strategies.sets(strategies.integers(3, 18), min_size=1, max_size=4),
    tenths=strategies.integers(0, 250),
)
def test_a_plan_has_no_hole_and_a_refusal_names_points_that_can_be_reached(
    holes: set[int], base_numbers: set[int], tenths: int
) -> None:
    bases = [base(number) for number in sorted(base_numbers)]
    wal = [segment(number) for number in range(3, 21) if number not in holes]
    moment = at(tenths / 10)
    try:
        found = plan(bases, wal, time=format_time(moment))
    except RecoveryTargetUnreachable as error:
        for nearest in (error.details["before"], error.details["after"]):
            if nearest is not None:
                assert plan(bases, wal, time=nearest).target.time == parse_time(nearest)
        return
    assert found.base is not None
    content = found.base.manifest.content
    assert parse_time(content["finished"]) <= moment
    numbers = [int(name[16:], 16) for name in names(found)]
    first = parse_lsn(content["end_lsn"]) // SIZE + 1
    assert numbers == list(range(first, first + len(numbers)))
    assert not set(numbers) & holes
    last = at(numbers[-1]) if numbers else parse_time(content["finished"])
    assert last >= moment


@given(
    holes=strategies.sets(strategies.integers(4, 20), max_size=4),
    base_numbers=strategies.sets(strategies.integers(3, 18), min_size=1, max_size=3),
)
def test_every_window_is_what_the_planner_reaches(holes: set[int], base_numbers: set[int]) -> None:
    bases = [base(number) for number in sorted(base_numbers)]
    wal = [segment(number) for number in range(3, 21) if number not in holes]
    for window in wal_windows(bases, [stream(*wal)]).windows:
        for moment in (window.begins, window.ends):
            plan(bases, wal, time=format_time(moment))
        for point in (window.first, window.last):
            plan(bases, wal, lsn=point)
