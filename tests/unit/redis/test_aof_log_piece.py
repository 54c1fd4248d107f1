# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of pieces sort by commitment, and facts come back as they went in, or are refused by name."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StreamRecordInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_piece import Piece, PieceName
from tests.unit.redis.made_pieces import base, increment

NUMBERS = strategies.integers(min_value=0, max_value=10**9)


def names() -> strategies.SearchStrategy[PieceName]:
    return strategies.builds(
        lambda chain, number, kind, offset, length, covered: PieceName(
            chain, number, kind, offset, offset + length, covered
        ),
        NUMBERS.map(lambda number: number + 1_000_000_000),
        NUMBERS,
        strategies.sampled_from("bi"),
        NUMBERS,
        NUMBERS,
        NUMBERS,
    )


@given(names())
def test_a_name_is_read_back(name: PieceName) -> None:
    assert PieceName.parse(str(name)) == name


@given(names(), names())
def test_names_sort_as_text_as_they_do_as_values(one: PieceName, other: PieceName) -> None:
    if not (one.covered or other.covered):
        assert (str(one) < str(other)) == (one < other)


def test_a_base_comes_before_its_increment_and_after_the_one_before() -> None:
    parts = [increment(1, 0, 9), increment(1, 9, 12), base(2), increment(2, 0, 5)]
    assert sorted(parts, key=lambda piece: piece.name) == parts


@pytest.mark.parametrize("text", ["", "x", "1.0000000001.i.0-1", "1.0000000001.i.0000000000000009-0000000000000001"])
def test_other_names_are_none(text: str) -> None:
    assert PieceName.parse(text) is None


@pytest.mark.parametrize(
    "piece",
    [
        base(3, rdb={"magic": "REDIS", "rdb_version": 10, "crc64": "00"}, beside=(2, 40), previous=(2, 40)),
        increment(2, 5, 40, seconds=(100, 101), covered=102, after=99, taken=103, previous=(1, 7), tail="ab"),
        increment(2, 40, 40, covered=180),
    ],
    ids=["base", "increment", "quiet"],
)
def test_facts_survive_json(piece: Piece) -> None:
    facts = json.loads(json.dumps(piece.as_facts()))
    assert Piece.from_facts(str(piece.name), facts) == piece


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=5,
)


@given(strategies.sampled_from(sorted(base(3).as_facts())), JSON)
def test_facts_of_others_are_read_or_refused_by_name(key: str, value: t.Any) -> None:
    for piece in (base(3), increment(2, 5, 40, seconds=(100,))):
        facts = {**piece.as_facts(), key: value}
        try:
            found = Piece.from_facts(str(piece.name), facts)
        except StreamRecordInvalid:
            continue
        assert found.name == piece.name
