# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timelines: reading their histories, and which file holds what on the way to one."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.timeline_history import (
    Ancestor,
    TimelineHistory,
    history_from_facts,
    parse_history,
)

MIB = 1024 * 1024
SIZE = 16 * MIB
# As PostgreSQL 15 wrote it after two recoveries.
FILE = b"1\t0/50000D8\tno recovery target specified\n\n2\t0/7000148\tbefore 2026-11-21 11:03:00.5+00\n"


def test_a_file_of_a_server() -> None:
    history = parse_history(FILE, timeline=3)
    assert history.ancestors == (Ancestor(1, 0x50000D8), Ancestor(2, 0x7000148))
    assert history.begins == 0x7000148
    assert history_from_facts(history.as_facts(), timeline=3) == history
    assert history.as_facts() == [[1, "0/50000D8"], [2, "0/7000148"]]


def test_comments_and_blank_lines() -> None:
    assert parse_history(b"# a comment\n\n \t\n  1 0/50000D8\n", timeline=2).ancestors == (Ancestor(1, 0x50000D8),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "names no ancestor"),
        (b"# nothing\n", "names no ancestor"),
        (b"1\n", "has the line"),
        (b"one\t0/1\treason\n", "has the line"),
        (b"1\t3000148\treason\n", "has the line"),
        (b"1\t0/x\treason\n", "has the line"),
        (b"\x00\xff", "has the line"),
        (b"3\t0/1\n", "rising"),
        (b"2\t0/5000000\n1\t0/6000000\n", "rising"),
        (b"1\t0/6000000\n2\t0/5000000\n", "rising"),
        (b"0\t0/6000000\n", "rising"),
        (b"1" * 2000000, "bytes"),
    ],
)
def test_what_no_server_would_write_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_history(data, timeline=3)


@pytest.mark.parametrize("facts", [None, 7, "x", [[1]], [["x", "0/1"]], [[1, "x"]], [[1, None]], [], [[5, "0/1"]]])
def test_a_record_that_can_not_be_read_is_refused(facts: object) -> None:
    with pytest.raises(ValueError, match="history of"):
        history_from_facts(facts, timeline=3)


def test_who_holds_what() -> None:
    history = parse_history(FILE, timeline=3)
    assert [history.owner_of(position) for position in (0, 0x50000D7, 0x50000D8, 0x7000147, 0x7000148)] == [
        1,
        1,
        2,
        2,
        3,
    ]
    # A segment with a switch is read from the file of the newer timeline, which begins with a copy.
    assert [history.file_timeline(number, segment_size=SIZE) for number in range(3, 10)] == [1, 1, 2, 2, 3, 3, 3]


def test_two_switches_in_one_segment_and_one_on_a_border() -> None:
    history = TimelineHistory(
        timeline=4, ancestors=(Ancestor(1, 0x5000100), Ancestor(2, 0x5000200), Ancestor(3, 0x6000000))
    )
    assert [history.file_timeline(number, segment_size=SIZE) for number in (4, 5, 6)] == [1, 3, 4]


def test_what_was_written_before_a_switch_belongs_to_the_history() -> None:
    history = parse_history(FILE, timeline=3)
    assert history.passes(1, 0x50000D8)
    assert not history.passes(1, 0x50000D9)
    assert history.passes(3, 1 << 60)
    assert not history.passes(4, 0)
    assert TimelineHistory(timeline=1).passes(1, 1 << 60)
    with pytest.raises(KeyError):
        history.end_of(9)
