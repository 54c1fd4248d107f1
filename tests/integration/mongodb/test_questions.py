# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Level 4: what a user asks of a restored dump, answered or refused by name."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import QuestionFailed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restored_dump import RestoredDump
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import (
    Answer,
    question_from,
)
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.verifying import SHOP, Place, small_backup

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def restored_once(replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[RestoredDump]:
    """One instance for all that only read."""
    folder = tmp_path_factory.mktemp("q")
    repository, made = small_backup(replica_set, folder)
    with Place(repository=repository, scratch=folder, state=folder / "state").restored(made) as instance:
        yield instance


AGGREGATE = {"collection": "orders", "pipeline": [{"$group": {"_id": None, "value": {"$sum": "$price"}}}]}


FIRST_TIME = [{"$limit": 1}, {"$set": {"value": "$at"}}]
A_LIST = [{"$limit": 1}, {"$set": {"value": [1]}}]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"count": {"collection": "orders"}}, 200),
        ({"count": {"collection": "orders", "filter": {"item": "i0"}}}, 29),
        ({"count": {"collection": "orders", "filter": {"item": {"$regex": "^i[01]$"}}}}, 58),
        ({"count": {"database": SHOP, "collection": "sessions"}}, 20),
        ({"count": {"collection": "sessions", "filter": {"at": {"$lt": {"$date": "2021-01-01T00:00:00Z"}}}}}, 20),
        ({"count": {"collection": "sessions", "filter": {"at": {"$gt": datetime.datetime(2021, 1, 1)}}}}, 0),  # noqa: DTZ001 as YAML has it
        ({"count": {"collection": "orders"}, "database": SHOP}, 200),
        ({"find": {"collection": "orders", "filter": {"_id": 7}}}, 1),
        ({"find": {"collection": "orders", "filter": {"_id": "x"}}}, 0),
        ({"aggregate": AGGREGATE}, 9950.0),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$match": {"_id": -1}}, {"$count": "value"}]}}, None),
        ({"aggregate": {"collection": "sessions", "pipeline": FIRST_TIME}}, "2020-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_questions_are_answered(restored_once: RestoredDump, question: dict[str, t.Any], expected: Answer) -> None:
    assert restored_once.ask(question_from({"name": "it", "min": 0, **question})) == expected


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"count": {"collection": "nothing"}}, "there is no collection verified.nothing"),
        ({"count": "orders"}, "count is no mapping"),
        ({"count": {"collection": "orders", "filtr": {}}}, "count has no option filtr"),
        ({"count": {"filter": {}}}, "its collection is None"),
        ({"count": {"collection": "orders", "filter": [1]}}, "its filter is no mapping"),
        ({"count": {"collection": "orders", "filter": {"a": {"$nonsense": 1}}}}, "says: unknown operator"),
        ({"count": {"collection": "orders", "filter": {"_id": {"$oid": "short"}}}}, "MongoDB says"),
        ({"count": {"collection": "orders", "filter": {"at": {"$date": "noon"}}}}, "MongoDB says"),
        ({"count": {"collection": "orders", "filter": {"at": datetime.date(2026, 1, 1)}}}, "MongoDB says"),
        ({"count": {"database": "else/where", "collection": "orders"}}, "MongoDB says"),
        ({"sql": "SELECT 1"}, "can't be asked by sql"),
        ({"aggregate": {"collection": "orders", "pipeline": "x"}}, "no list of stages"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$nonsense": 1}]}}, "says: Unrecognized pipeline"),
        ({"aggregate": {"collection": "orders", "pipeline": []}}, "more than one document"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$limit": 1}]}}, "has no field value"),
        ({"aggregate": {"collection": "orders", "pipeline": A_LIST}}, "its value is a list"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$out": "copy"}]}}, r"its pipeline writes \(\$out\)"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$merge": {"into": "copy"}}]}}, "its pipeline writes"),
    ],
)  # fmt: skip
def test_wrong_questions_are_named(restored_once: RestoredDump, question: dict[str, t.Any], message: str) -> None:
    with pytest.raises(QuestionFailed, match=f"The question it can't be asked: .*{message}") as raised:
        restored_once.ask(question_from({"name": "it", "min": 0, **question}))
    assert raised.value.hint
    assert raised.value.details == {"question": "it"}
