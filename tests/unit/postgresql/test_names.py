# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions, segments and file names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.names import (
    file_name,
    parse_lsn,
    wal_range,
    wal_segment,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import check_key

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("lsn", "number"),
    [("0/0", 0), ("0/3000028", 0x3000028), ("16/B374D848", 0x16B374D848), ("FFFFFFFF/FFFFFFFF", 2**64 - 1)],
)
def test_a_position_is_a_number(lsn: str, number: int) -> None:
    assert parse_lsn(lsn) == number


@pytest.mark.parametrize("text", ["", "0", "x/1", "1/x"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_lsn(text)


# The names are what SELECT pg_walfile_name(lsn) answers (it gives the segment before for a position on a border).
@pytest.mark.parametrize(
    ("lsn", "segment_size", "name"),
    [
        ("0/3000028", 16 * MIB, "000000010000000000000003"),
        ("0/FFFFFFFF", 16 * MIB, "0000000100000000000000FF"),
        ("1/0", 16 * MIB, "000000010000000100000000"),
        ("16/B374D848", 16 * MIB, "0000000100000016000000B3"),
        ("16/B374D848", 64 * MIB, "00000001000000160000002C"),
        ("16/B374D848", MIB, "000000010000001600000B37"),
    ],
)
def test_a_segment_has_the_servers_name(lsn: str, segment_size: int, name: str) -> None:
    assert wal_segment(timeline=1, position=parse_lsn(lsn), segment_size=segment_size) == name


@pytest.mark.parametrize(
    ("start", "end", "segments", "last"),
    [
        ("0/3000028", "0/3000100", 1, "000000020000000000000003"),
        ("0/3000028", "0/4000000", 1, "000000020000000000000003"),  # the end is the position after the last byte
        ("0/3000028", "0/4000028", 2, "000000020000000000000004"),
        ("0/FE000028", "1/1000000", 3, "000000020000000100000000"),
    ],
)
def test_a_backup_spans_its_segments(start: str, end: str, segments: int, last: str) -> None:
    first, found_last, count = wal_range(timeline=2, start=start, end=end, segment_size=16 * MIB)
    assert (found_last, count) == (last, segments)
    assert first.startswith("00000002")


def test_usual_names_stay_readable() -> None:
    assert file_name("mcp_adhd-2") == "mcp_adhd-2"


@pytest.mark.parametrize(
    ("database", "expected"), [("a b", "a=20b"), ("../etc", "=2E=2E=2Fetc"), ("ä", "=C3=A4"), ("a=20b", "a=3D20b")]
)
def test_other_names_are_written_in_bytes(database: str, expected: str) -> None:
    assert file_name(database) == expected


@given(strategies.text(min_size=1, max_size=20), strategies.text(min_size=1, max_size=20))
def test_every_database_has_a_file_of_its_own_that_every_repository_takes(one: str, other: str) -> None:
    check_key(file_name(one) + ".dump.zst.age")
    assert (file_name(one) == file_name(other)) == (one == other)
    assert re.fullmatch(r"[A-Za-z0-9_+@,=-]+", file_name(one))
