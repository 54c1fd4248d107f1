# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule passes what is right, fails what is not, and what can't be asked is refused."""

from __future__ import annotations

import json
import math
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import (
    FAILED,
    PASSED,
    SKIPPED,
    question_from,
)

NAN, INFINITE = math.nan, math.inf


def within(unit: str, number: float, reference: str = "noted") -> dict[str, t.Any]:
    return {f"within_{unit}_of": {"reference": reference, unit: number}}


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ({"min": 3}, [3, 3.0, 4, INFINITE], [2, 2.999, -1, NAN, None, "4", True, -INFINITE]),
        ({"max": 3}, [3, 0, -5.5, -INFINITE], [4, 3.001, NAN, None, "1", False, INFINITE]),
        ({"min": 0}, [0], [-1, None, False]),
        ({"min": 2, "max": 3}, [2, 3, 2.5], [1, 4]),
        ({"equals": 3}, [3, 3.0], [4, "3", None, NAN]),
        ({"equals": 0}, [0], [None, False, "", 1]),
        ({"equals": 1}, [1], [True]),
        ({"equals": True}, [True], [1, False, "true", None]),
        ({"equals": False}, [False], [0, None, True, ""]),
        ({"equals": ""}, [""], [None, "x", 0]),
        ({"equals": "yes"}, ["yes"], ["no", "Yes", None]),
        ({"equals": 3, "min": 5}, [], [3, 5]),
        (within("percent", 10), [90, 100, 110], [89.9, 110.1, None, "100", True, NAN, INFINITE]),
        (within("count", 2), [98, 102], [97, 103, None, NAN, INFINITE, -100]),
        (within("count", 0), [100], [99, 101]),
        ({**within("percent", 10), "min": 95}, [95, 110], [94, 111]),
    ],
)
def test_a_rule_passes_what_is_right_and_nothing_else(
    rule: dict[str, t.Any], right: list[t.Any], wrong: list[t.Any]
) -> None:
    question = question_from({"name": "families", "sql": "select 1", **rule})
    for answer in right:
        assert question.judge(answer, references={"noted": 100}).state == PASSED, answer
    for answer in wrong:
        check = question.judge(answer, references={"noted": 100})
        assert (check.state, check.name) == (FAILED, "families"), answer
        assert repr(answer) in check.message
        assert check.expected == rule
        json.dumps(check.as_dict())


def test_a_reference_that_is_not_known_is_skipped_and_says_so() -> None:
    question = question_from({"name": "q", "sql": "x", **within("percent", 1, "previous")})
    for references in ({}, {"previous": None}, {"previous": "many"}, {"previous": True}, {"previous": NAN}):
        check = question.judge(5, references=references)
        assert check.state == SKIPPED
        assert "previous" in check.message
    assert question.judge(5, references={"noted": 5, "previous": 6}).state == FAILED


def test_where_nothing_is_expected_the_answer_is_reported_and_proves_nothing() -> None:
    check = question_from({"name": "open tasks", "sql": "select 1"}).judge(42, references={"noted": 41})
    assert (check.state, check.found, check.expected) == (SKIPPED, 42, None)
    assert check.message == "open tasks: 42; only reported, for nothing is expected"


@pytest.mark.parametrize(
    ("known", "right", "wrong"),
    [
        ([100, 100], [98, 102], [97, 103]),
        ([100, 110], [98, 100, 105, 112], [97, 113]),
        ([110, 100], [98, 112], [97, 113]),
        ([0], [2], [3]),
    ],
)
def test_between_two_known_answers_everything_is_right(known: list[int], right: list[int], wrong: list[int]) -> None:
    question = question_from({"name": "q", "sql": "x", **within("count", 2)})
    assert question.needs_note
    for answer in right:
        assert question.judge(answer, references={"noted": known}).state == PASSED, answer
    for answer in wrong:
        assert question.judge(answer, references={"noted": known}).state == FAILED, answer
    for unknown in ([], [100, None], [100, "many"]):
        assert question.judge(100, references={"noted": unknown}).state == SKIPPED


def test_a_rule_that_can_be_compared_counts_also_where_another_can_not() -> None:
    question = question_from({"name": "q", "sql": "x", **within("percent", 1, "previous"), "min": 3})
    assert question.judge(2, references={}).state == FAILED
    assert question.judge(3, references={}).state == PASSED
    both = question_from({"name": "q", "sql": "x", **within("percent", 1, "previous"), **within("count", 1, "noted")})
    assert both.judge(3, references={"noted": 3}).state == PASSED
    assert both.judge(3, references={"noted": 5}).state == FAILED


def test_two_infinities_are_no_proof_and_nothing_is_ten_percent_of_nothing() -> None:
    percent = question_from({"name": "q", "sql": "x", **within("percent", 10)})
    assert percent.judge(INFINITE, references={"noted": INFINITE}).state == FAILED
    assert percent.judge(1, references={"noted": 0}).state == FAILED
    assert percent.judge(0, references={"noted": 0}).state == PASSED


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": None}, "no name"),
        ({"name": ""}, "no name"),
        ({"name": 5}, "no name"),
        ({"minimum": 3}, "no option minimum"),
        ({"sql": None}, "in one way, not 0"),
        ({"redis": ["DBSIZE"]}, "in one way, not 2"),
        ({"min": "3"}, "min is '3', no number"),
        ({"min": True}, "min is True, no number"),
        ({"max": NAN}, "max is nan, no number"),
        ({"max": []}, "no number"),
        ({"equals": [1]}, r"equals is \[1\]"),
        ({"equals": NAN}, "equals is nan"),
        ({"within_percent_of": "noted"}, "within_percent_of needs a reference"),
        ({"within_percent_of": {"reference": "yesterday", "percent": 1}}, "needs a reference"),
        ({"within_percent_of": {"reference": "noted"}}, "and percent"),
        ({"within_percent_of": {"reference": "noted", "percent": NAN}}, "and percent"),
        ({"within_percent_of": {"reference": "noted", "percent": -1}}, "0 or more"),
        ({"within_percent_of": {"reference": "noted", "percent": INFINITE}}, "0 or more"),
        ({"within_count_of": {"reference": "noted", "percent": 3}}, "and count"),
        ({"within_count_of": {"reference": "noted", "count": True}}, "and count"),
        ({"ask": "verification"}, "ask is 'verification'"),
        ({"ask": ["sometimes"]}, "ask is"),
    ],
)
def test_what_can_not_be_asked_is_refused(change: dict[str, t.Any], match: str) -> None:
    whole = {"name": "q", "sql": "select 1", "min": 1}
    question_from(whole)
    with pytest.raises(RequestInvalid, match=match):
        question_from({**whole, **change})


def test_what_was_written_is_kept() -> None:
    count = {"collection": "users", "filter": {"active": True}}
    question = question_from({"name": "q", "count": count, "database": "family", "equals": 0, "ask": ["recovery"]})
    assert (question.way, question.what, question.database) == ("count", count, "family")
    assert question.ask == ("recovery",)
    assert question_from({"name": "q", "sql": "x", "min": 0}).ask == ("verification", "recovery")
