# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last whole record of segments: what "the end of what is stored" means as a position."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_end import (
    SegmentEnd,
    last_record,
    segment_end,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_page import WalDamaged

SIZE = 1024 * 1024
PAGE = 8192
MAGIC = 0xD110


def made(path: Path, *, number: int, lengths: list[int], continued: int = 0) -> list[int]:
    """A segment that begins with the rest (bytes) of a record and goes on with records of those *lengths*, as far as
    there is room; the positions at which records begin.
    """
    start = number * SIZE
    content = bytearray()
    begun: list[int] = []
    rest, todo = continued, list(lengths)
    body = b""
    while len(content) < SIZE and (rest or todo):
        page = bytearray(
            struct.pack("=HHIQIxxxx", MAGIC, (1 if rest else 0) | (0 if content else 2), 1, start + len(content), rest)
        )
        if not content:
            page += struct.pack("=QII", 7, SIZE, PAGE)
        while len(page) < PAGE:
            if rest:
                piece = min(rest, PAGE - len(page))
                page += body[:piece] if body else b"\x01" * piece
                body, rest = body[piece:], rest - piece
                page += b"\0" * (-len(page) % 8)
            elif todo:
                begun.append(start + len(content) + len(page))
                length = todo.pop(0)
                body, rest = struct.pack("=I", length) + b"\x01" * (length - 4), length
            else:
                page += b"\0" * (PAGE - len(page))
        content += page
    path.write_bytes(bytes(content) + b"\0" * (SIZE - len(content)))
    return begun


def test_a_segment_that_was_left_early(tmp_path: Path) -> None:
    path = tmp_path / "one"
    begun = made(path, number=3, lengths=[100, 24, 9000, 51])
    assert segment_end(str(path)) == SegmentEnd(last=begun[-1], last_whole=begun[-1])
    assert last_record([str(path)]) == begun[-1]


def test_a_record_that_goes_on_in_the_next_segment(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    begun = made(first, number=3, lengths=[100, 200, SIZE])
    assert segment_end(str(first)) == SegmentEnd(last=begun[2], last_whole=begun[1])
    assert last_record([str(first)]) == begun[1], "the rest of it is not stored"
    later = made(second, number=4, lengths=[24], continued=2000)
    assert last_record([str(second), str(first)]) == later[0]
    # Nothing whole begins in the second one, and the one before goes on in it.
    unfinished = made(second, number=4, lengths=[2 * SIZE], continued=2000)
    assert segment_end(str(second)) == SegmentEnd(last=unfinished[0], last_whole=None)
    assert last_record([str(second), str(first)]) == begun[2]


def test_a_segment_that_is_filled_by_one_record(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    begun = made(first, number=3, lengths=[100, 3 * SIZE])
    made(second, number=4, lengths=[], continued=2 * SIZE)
    assert segment_end(str(second)) == SegmentEnd(last=None, last_whole=None)
    assert last_record([str(second), str(first)]) == begun[0]
    assert last_record([str(second)]) is None


def test_a_record_that_ends_with_the_segment(tmp_path: Path) -> None:
    path = tmp_path / "1"
    pages = SIZE // PAGE
    room = SIZE - 40 - (pages - 1) * 24
    begun = made(path, number=3, lengths=[room])
    assert segment_end(str(path)).last_whole == begun[0]
    begun = made(path, number=3, lengths=[room + 1])
    assert segment_end(str(path)) == SegmentEnd(last=begun[0], last_whole=None)


@pytest.mark.parametrize("content", [b"", b"\0" * SIZE, b"\xff" * SIZE])
def test_what_is_no_segment(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1"
    path.write_bytes(content)
    with pytest.raises(WalDamaged):
        last_record([str(path)])
