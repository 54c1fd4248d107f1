# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes of time series in an oplog are those of their buckets: what they are for the time series itself."""

from __future__ import annotations

import json
import typing as t

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.load_plans import (
    IndexPlan,
    ViewPlan,
    plans_as_json,
    plans_from_json,
    series_key,
)


@pytest.mark.parametrize(
    ("buckets", "series"),
    [
        ({"control.min.v": 1, "control.max.v": 1}, {"v": 1}),
        ({"control.max.v": -1, "control.min.v": -1}, {"v": -1}),
        ({"meta": -1, "control.min.at": 1, "control.max.at": 1}, {"sensor": -1, "at": 1}),
        ({"meta.room": 1, "control.min.a.b": 1, "control.max.a.b": 1}, {"sensor.room": 1, "a.b": 1}),
        ({"meta": "2dsphere"}, {"sensor": "2dsphere"}),
    ],
)
def test_the_key_of_a_time_series(buckets: dict[str, t.Any], series: dict[str, t.Any]) -> None:
    found = series_key(buckets, meta_field="sensor")
    assert list(found.items()) == list(series.items())


def test_indexes_of_buckets_are_noted_under_the_series_name() -> None:
    plan = IndexPlan()
    plan.begin("shop", "weather", [{"name": "old", "key": {"at": 1}}])
    plan.series("shop", "weather", {"timeField": "at", "metaField": "sensor"})
    buckets = "system.buckets.weather"
    plan.add("shop", buckets, {"v": 2, "name": "by sensor", "key": {"meta": 1}})
    original = {"v": 2, "name": "by v", "key": {"v": 1}, "partialFilterExpression": {"v": {"$gt": 1}}}
    key = {"control.min.v": 1, "control.max.v": 1}
    plan.add("shop", buckets, {"v": 2, "name": "by v", "key": key, "originalSpec": original})
    plan.change("shop", buckets, {"name": "by sensor", "hidden": True})
    plan.remove("shop", buckets, "old")
    ((database, name, indexes),) = plan.all()
    assert (database, name) == ("shop", "weather")
    assert list(indexes) == [
        {"name": "by sensor", "key": {"sensor": 1}, "hidden": True},
        {"name": "by v", "key": {"v": 1}, "partialFilterExpression": {"v": {"$gt": 1}}},
    ]


def test_plans_survive_a_ledger() -> None:
    indexes, views = IndexPlan(), ViewPlan()
    indexes.begin("shop", "orders", [{"name": "x", "key": {"b": 1, "a": -1}, "expireAfterSeconds": bson.Int64(2**40)}])
    indexes.begin("shop", "plain", [])
    indexes.series("shop", "weather", {"timeField": "at", "metaField": "sensor"})
    indexes.age("shop", "system.buckets.weather", 60)
    views.add("shop", "seen", {"viewOn": "orders", "pipeline": [{"$match": {"z": 1, "a": bson.ObjectId()}}]})
    back, seen = plans_from_json(json.loads(json.dumps(plans_as_json(indexes, views))))
    assert list(back.all()) == list(indexes.all())
    assert [list(index["key"]) for _database, _name, found in back.all() for index in found] == [["b", "a"]]
    assert list(back.ages()) == [("shop", "weather", 60)]
    assert list(seen.all()) == list(views.all())
    back.add("shop", "system.buckets.weather", {"name": "m", "key": {"meta": 1}})
    assert ("shop", "weather", ({"name": "m", "key": {"sensor": 1}},)) in list(back.all())


def test_indexes_follow_their_collection() -> None:
    plan = IndexPlan()
    plan.begin("shop", "orders", [{"name": "x", "key": {"x": 1}}])
    plan.begin("shop", "sold", [{"name": "y", "key": {"y": 1}}])
    plan.age("shop", "orders", 60)
    plan.rename(("shop", "orders"), ("shop", "sold"))
    assert list(plan.all()) == [("shop", "sold", ({"name": "x", "key": {"x": 1}},))]
    assert list(plan.ages()) == [("shop", "sold", 60)]
    plan.age("shop", "sold", "off")
    assert list(plan.ages()) == []
    plan.drop("shop", "sold")
    assert list(plan.all()) == []
