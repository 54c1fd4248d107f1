# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unions of pieces: the same ones in whatever order they come."""

from __future__ import annotations

import random

from hypothesis import given, strategies as st

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ranges import Ranges
from tests.support.fuzzing import many


def made(pieces: list[tuple[int, int]]) -> Ranges[str]:
    found: Ranges[str] = Ranges()
    for begins, ends in pieces:
        found.add((begins,), (ends,), f"{begins}-{ends}")
    return found


def shown(ranges: Ranges[str]) -> list[tuple[int, int]]:
    return [(one.begins[0], one.ends[0]) for one in ranges]


def test_pieces_that_touch_are_one() -> None:
    assert shown(made([(1, 3), (3, 5), (5, 5), (7, 9), (8, 8)])) == [(1, 5), (7, 9)]
    assert shown(made([(5, 6), (1, 2), (3, 4), (2, 3), (4, 5)])) == [(1, 6)]
    assert not Ranges()
    assert made([(1, 1)])


def test_what_begins_a_range_and_what_reaches_furthest() -> None:
    (one,) = made([(5, 9), (1, 5), (6, 7), (2, 3)])
    assert (one.first, one.last) == ("1-5", "5-9")
    (one,) = made([(1, 5), (5, 9), (6, 7)])
    assert (one.first, one.last) == ("1-5", "5-9")


def test_what_came_with_nothing_leaves_what_came_before() -> None:
    found: Ranges[str] = Ranges()
    for number, what in ((1, "a"), (2, None), (9, None), (3, None), (7, "b"), (8, None)):
        found.add((number,), (number + 1,), what)
    assert [(one.begins, one.ends, one.first, one.last) for one in found] == [
        ((1,), (4,), "a", "a"),
        ((7,), (10,), "b", "b"),
    ]


def test_a_position_is_held_from_end_to_end() -> None:
    found = made([(1, 3), (5, 7)])
    held = {number: found.holding((number,)) for number in range(9)}
    assert [number for number, one in held.items() if one is not None] == [1, 2, 3, 5, 6, 7]


@many(300)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=20), st.integers(0, 1 << 30))
def test_the_order_does_not_matter(pieces: list[tuple[int, int]], seed: int) -> None:
    spans = [(begins, begins + length) for begins, length in pieces]
    shuffled = random.Random(seed).sample(spans, len(spans))
    points = {2 * point for begins, ends in spans for point in range(begins, ends + 1)}
    points |= {2 * point + 1 for begins, ends in spans for point in range(begins, ends)}
    expected: list[tuple[int, int]] = []
    for point in sorted(points):
        if point - 1 not in points:
            expected.append((point // 2, point // 2))
        expected[-1] = (expected[-1][0], point // 2)
    assert shown(made(spans)) == shown(made(shuffled)) == expected
