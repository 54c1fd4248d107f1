# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes of time series in an oplog are those of their buckets: what they are for the time series itself."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.load_plans import IndexPlan, series_key


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
