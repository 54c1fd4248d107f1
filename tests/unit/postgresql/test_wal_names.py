# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of a WAL archive, and the arithmetic between them and positions."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import is_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.names import parse_lsn
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import (
    BACKUP,
    HISTORY,
    MEBIBYTE,
    PARTIAL,
    SEGMENT,
    SEGMENT_SIZES,
    WalName,
    format_lsn,
    history_name,
    is_segment_name,
    next_segment,
    parse_wal_name,
    segment_at,
    segment_before,
    segment_name,
    segments_between,
    segments_covering,
    wal_name,
)

USUAL = 16 * MEBIBYTE
sizes = strategies.sampled_from(sorted(SEGMENT_SIZES))
timelines = strategies.integers(1, 2**32 - 1)
positions = strategies.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("000000010000000000000003", WalName("000000010000000000000003", SEGMENT, 1, 0, 3)),
        ("0000000A000000160000002C", WalName("0000000A000000160000002C", SEGMENT, 10, 0x16, 0x2C)),
        ("000000010000000000000003.partial", WalName("000000010000000000000003.partial", PARTIAL, 1, 0, 3)),
        (
            "000000010000000000000003.00000028.backup",
            WalName("000000010000000000000003.00000028.backup", BACKUP, 1, 0, 3, 0x28),
        ),
        (
            "000000010000000000000003.00000000.backup",
            WalName("000000010000000000000003.00000000.backup", BACKUP, 1, 0, 3, 0),
        ),
        ("00000002.history", WalName("00000002.history", HISTORY, 2)),
    ],
)
def test_the_four_forms_are_taken_apart(text: str, expected: WalName) -> None:
    assert parse_wal_name(text) == expected
    assert wal_name(text) == expected
    assert is_segment_name(text) == (expected.what == SEGMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "000000010000000000000003\n",
        "00000001000000000000000",
        "0000000100000000000000030",
        "00000001000000000000000g",
        "00000001000000000000000a",  # PostgreSQL writes upper case only
        "000000000000000000000003",  # there is no timeline 0
        "00000000.history",
        "00000001.history",
        "00000002.History",
        "00000002.history.tmp",
        "000000010000000000000003.28.backup",
        "000000010000000000000003.backup",
        "000000010000000000000003.partial.partial",
        "../00000002.history",
        "archive_status",
        "xlogtemp.123",
        "٠0000001000000000000000٣",
    ],
)
def test_nothing_else_is_a_name(text: str) -> None:
    assert parse_wal_name(text) is None
    assert not is_segment_name(text)
    with pytest.raises(ValueError, match="is no name of a file in a WAL archive"):
        wal_name(text)


def test_files_of_one_log_share_a_folder_and_histories_have_their_own() -> None:
    assert wal_name("000000010000000200000003").group == "0000000100000002"
    assert wal_name("000000010000000200000003.partial").group == "0000000100000002"
    assert wal_name("000000010000000200000003.00000028.backup").group == "0000000100000002"
    assert wal_name("00000002.history").group == "history"
    assert is_name("0000000100000002")


def test_notes_and_unfinished_copies_know_their_segment() -> None:
    assert wal_name("000000010000000200000003.00000028.backup").segment_name == "000000010000000200000003"
    assert wal_name("000000010000000200000003.partial").segment_name == "000000010000000200000003"
    with pytest.raises(ValueError, match="belongs to no segment"):
        wal_name("00000002.history").segment_name  # noqa: B018
    with pytest.raises(ValueError, match="belongs to no segment"):
        wal_name("00000002.history").number(USUAL)


def test_the_order_is_that_of_writing() -> None:
    written = [
        "0000000100000000000000FE",
        "0000000100000000000000FF",
        "000000010000000100000000",
        "000000010000000100000000.00000028.backup",
        "000000010000000100000001",
        "000000010000000100000002.partial",
        "00000002.history",
        "000000020000000100000002",
        "00000003.history",
        "000000030000000100000001",  # a recovery to an earlier point
        "0000000A0000000100000001",
    ]
    mixed = [written[index] for index in (10, 3, 7, 0, 9, 1, 5, 8, 2, 6, 4)]
    assert sorted(mixed, key=lambda one: wal_name(one).order) == written


# The names are what SELECT pg_walfile_name(lsn) answers.
@pytest.mark.parametrize(
    ("lsn", "segment_size", "holds", "before"),
    [
        ("0/3000028", USUAL, "000000010000000000000003", "000000010000000000000003"),
        ("0/4000000", USUAL, "000000010000000000000004", "000000010000000000000003"),
        ("1/0", USUAL, "000000010000000100000000", "0000000100000000000000FF"),
        ("16/B374D848", 64 * MEBIBYTE, "00000001000000160000002C", "00000001000000160000002C"),
        ("16/B374D848", MEBIBYTE, "000000010000001600000B37", "000000010000001600000B37"),
        ("16/C0000000", 1024 * MEBIBYTE, "000000010000001600000003", "000000010000001600000002"),
        ("17/0", 1024 * MEBIBYTE, "000000010000001700000000", "000000010000001600000003"),
    ],
)
def test_a_position_lies_in_a_segment(lsn: str, segment_size: int, holds: str, before: str) -> None:
    assert segment_at(parse_lsn(lsn), timeline=1, segment_size=segment_size) == holds
    assert segment_before(parse_lsn(lsn), timeline=1, segment_size=segment_size) == before


def test_nothing_lies_before_the_first_position() -> None:
    with pytest.raises(ValueError, match="no WAL before position 0"):
        segment_before(0, timeline=1, segment_size=USUAL)


@pytest.mark.parametrize(
    ("name", "segment_size", "follower"),
    [
        ("000000010000000000000003", USUAL, "000000010000000000000004"),
        ("0000000100000000000000FF", USUAL, "000000010000000100000000"),
        ("000000010000000000000FFF", MEBIBYTE, "000000010000000100000000"),
        ("000000010000000000000003", 1024 * MEBIBYTE, "000000010000000100000000"),
        ("00000001000000000000003F", 64 * MEBIBYTE, "000000010000000100000000"),
    ],
)
def test_the_next_one_carries_over_by_size(name: str, segment_size: int, follower: str) -> None:
    assert next_segment(name, segment_size=segment_size) == follower


def test_a_name_that_the_size_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="is no name with segments of 16777216 bytes"):
        wal_name("000000010000000000000100").number(USUAL)
    assert wal_name("000000010000000000000100").number(MEBIBYTE) == 0x100


@pytest.mark.parametrize("segment_size", [0, -1, 1, MEBIBYTE // 2, 3 * MEBIBYTE, 2048 * MEBIBYTE])
def test_a_size_that_postgresql_does_not_have_is_refused(segment_size: int) -> None:
    for ask in (
        lambda: wal_name("000000010000000000000003").number(segment_size),
        lambda: segment_name(timeline=1, number=3, segment_size=segment_size),
        lambda: list(segments_covering(5, 9, timeline=1, segment_size=segment_size)),
    ):
        with pytest.raises(ValueError, match="is no size of a WAL segment"):
            ask()


@pytest.mark.parametrize(("timeline", "number"), [(0, 1), (2**32, 1), (1, -1), (1, 2**64 // USUAL)])
def test_what_no_server_has_gets_no_name(timeline: int, number: int) -> None:
    with pytest.raises(ValueError, match="there is no segment"):
        segment_name(timeline=timeline, number=number, segment_size=USUAL)


def test_a_run_of_segments_has_both_ends() -> None:
    run = segments_between("0000000100000000000000FE", "000000010000000100000001", segment_size=USUAL)
    assert list(run) == [
        "0000000100000000000000FE",
        "0000000100000000000000FF",
        "000000010000000100000000",
        "000000010000000100000001",
    ]
    assert list(segments_between("000000010000000000000004", "000000010000000000000003", segment_size=USUAL)) == []
    with pytest.raises(ValueError, match="on two timelines"):
        list(segments_between("000000010000000000000003", "000000020000000000000004", segment_size=USUAL))


@pytest.mark.parametrize(
    ("start", "end", "names"),
    [
        ("0/3000028", "0/3000100", ["000000020000000000000003"]),
        ("0/3000028", "0/4000000", ["000000020000000000000003"]),
        ("0/3000028", "0/4000001", ["000000020000000000000003", "000000020000000000000004"]),
        ("0/3000028", "0/3000028", []),
        ("0/4000000", "0/4000000", []),
        ("0/3000028", "0/2000000", []),
    ],
)
def test_a_span_of_positions_is_covered(start: str, end: str, names: list[str]) -> None:
    found = segments_covering(parse_lsn(start), parse_lsn(end), timeline=2, segment_size=USUAL)
    assert list(found) == names


def test_the_first_timeline_has_no_history() -> None:
    assert history_name(2) == "00000002.history"
    assert history_name(0x1F) == "0000001F.history"
    for timeline in (0, 1, 2**32):
        with pytest.raises(ValueError, match="has no history file"):
            history_name(timeline)


@pytest.mark.parametrize("position", [-1, 2**64])
def test_what_is_no_position_is_not_written(position: int) -> None:
    with pytest.raises(ValueError, match="is no position"):
        format_lsn(position)


@given(positions)
def test_a_position_survives_being_written(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@given(timelines, positions, sizes)
def test_a_segment_holds_its_position_and_its_name_says_where_it_lies(
    timeline: int, position: int, segment_size: int
) -> None:
    name = wal_name(segment_at(position, timeline=timeline, segment_size=segment_size))
    assert name.what == SEGMENT
    assert name.timeline == timeline
    assert name.start(segment_size) <= position < name.end(segment_size)
    assert segment_name(timeline=timeline, number=name.number(segment_size), segment_size=segment_size) == name.name


@given(timelines, strategies.integers(0, 2**63), sizes)
def test_neighbours_touch_and_sort(timeline: int, position: int, segment_size: int) -> None:
    name = wal_name(segment_at(position, timeline=timeline, segment_size=segment_size))
    follower = wal_name(next_segment(name.name, segment_size=segment_size))
    assert follower.start(segment_size) == name.end(segment_size)
    assert name.order < follower.order
    assert name.name < follower.name
    assert segment_before(follower.start(segment_size), timeline=timeline, segment_size=segment_size) == name.name
