# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL segments count only as far as their pages are what they claim to be."""

from __future__ import annotations

import struct
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.backup_manifest import WalRange
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_witness import WalWitness

SEGMENT = 1024 * 1024
FIRST, SECOND = "000000010000000000000002", "000000010000000000000003"
RANGE = WalRange(timeline=1, start_lsn="0/200028", end_lsn="0/304000")


def segment(number: int, *, identifier: int = 7, pages: int = SEGMENT // 8192) -> bytes:
    parts = []
    for page in range(SEGMENT // 8192):
        if page >= pages:
            parts.append(bytes(8192))
            continue
        position = number * SEGMENT + page * 8192
        header = struct.pack("=HHIQ", 0xD110, 0x0002 if page == 0 else 0, 1, position) + bytes(8)
        if page == 0:
            header += struct.pack("=QII", identifier, SEGMENT, 8192)
        parts.append(header + b"w" * (8192 - len(header)))
    return b"".join(parts)


def pieces(data: bytes, *, step: int) -> t.Iterator[memoryview]:
    view = memoryview(data)
    for position in range(0, len(data), step):
        yield view[position : position + step]


def witness(*segments: tuple[str, bytes], step: int = 1 << 20) -> WalWitness:
    found = WalWitness()
    for name, data in segments:
        assert found.look(f"pg_wal/{name}", size=len(data), content=pieces(data, step=step))
    return found


@pytest.mark.parametrize("step", [512, 5000, 8192, 100_000, 1 << 20])
def test_all_is_there(step: int) -> None:
    found = witness((FIRST, segment(2)), (SECOND, segment(3, pages=2)), step=step)
    assert found.missing([RANGE]) == []
    assert found.system_identifier == "7"
    assert found.foreign == []


def test_what_is_needed_of_the_last_one_is_counted_in_pages() -> None:
    assert (
        "damaged from its byte 8192 on"
        in witness((FIRST, segment(2)), (SECOND, segment(3, pages=1))).missing([RANGE])[0]
    )


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        ([(FIRST, segment(2))], f"{SECOND} is missing"),
        ([(SECOND, segment(3))], f"{FIRST} is missing"),
        ([(FIRST, bytes(SEGMENT)), (SECOND, segment(3))], f"{FIRST} is damaged from its byte 0"),
        ([(FIRST, segment(4)), (SECOND, segment(3))], f"{FIRST} is damaged"),
        ([(FIRST, segment(2)[:8192]), (SECOND, segment(3))], f"{FIRST} is damaged"),
    ],
)
def test_what_is_missing(segments: list[tuple[str, bytes]], problem: str) -> None:
    problems = witness(*segments).missing([RANGE])
    assert len(problems) == 1
    assert problem in problems[0]


def test_wal_of_another_cluster() -> None:
    assert witness((FIRST, segment(2)), (SECOND, segment(3, identifier=8))).foreign == [SECOND]


def test_other_files_are_not_read() -> None:
    found = WalWitness()
    for path in (
        "pg_wal/00000002.history",
        f"pg_wal/archive_status/{FIRST}.done",
        f"base/{FIRST}",
        f"pg_wal/{FIRST}.x",
    ):
        content = iter([memoryview(b"x")])
        assert not found.look(path, size=1, content=content)
        assert len(list(content)) == 1


@pytest.mark.parametrize("end", ["0/200028", "0/1", "FFFFFFFF/0"])
def test_ranges_that_are_none(end: str) -> None:
    wrong = WalRange(timeline=1, start_lsn="0/200028", end_lsn=end)
    assert "is none of a backup" in witness((FIRST, segment(2))).missing([wrong])[0]


@pytest.mark.parametrize("size", [0, 100, 3 * SEGMENT // 2])
def test_sizes_that_no_segment_has(size: int) -> None:
    problems = witness((FIRST, bytes(size)), (SECOND, segment(3))).missing([RANGE])
    assert problems == [f"{FIRST} is damaged from its byte 0 on, and {SEGMENT} are needed"]
