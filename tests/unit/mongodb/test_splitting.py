# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts cover a collection exactly once, and only what is worth it and safe is cut."""

from __future__ import annotations

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import Namespace
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.raw_reader import (
    IdRange,
    batch_size,
    find_command,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.splitting import (
    cut_points,
    may_split,
    parts_wanted,
    ranges_between,
)

MB = 1024 * 1024
ID_INDEX = ({"v": 2, "key": {"_id": 1}, "name": "_id_"},)


def namespace(**changes: object) -> Namespace:
    values: dict[str, object] = {
        "database": "shop",
        "name": "orders",
        "type": "collection",
        "uuid": "1",
        "indexes": ID_INDEX,
        "source_database": "shop",
        "source_name": "orders",
    }
    return Namespace(**{**values, **changes})


def test_small_collections_stay_whole() -> None:
    assert parts_wanted([100 * MB, 50 * MB, 1], parallel=4) == (1, 1, 1)


def test_a_collection_that_dominates_is_cut() -> None:
    assert parts_wanted([8000 * MB, 400 * MB, 100 * MB], parallel=4) == (4, 1, 1)
    assert parts_wanted([800 * MB], parallel=4) == (3,)


def test_collections_of_like_size_stay_whole() -> None:
    # Reading along an index costs the server twice as much, and the readers are busy anyway.
    assert parts_wanted([8000 * MB, 7000 * MB, 6000 * MB], parallel=4) == (1, 1, 1)


def test_one_reader_cuts_nothing() -> None:
    assert parts_wanted([8000 * MB], parallel=1) == (1,)


def test_nothing_at_all() -> None:
    assert parts_wanted([], parallel=4) == ()
    assert parts_wanted([0, 0], parallel=4) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"indexes": ()}, False),
        ({"type": "timeseries"}, False),
        ({"options": {"capped": True}}, False),
        ({"options": {"clusteredIndex": {"key": {"_id": 1}}}}, False),
        ({"options": {"collation": {"locale": "de"}}}, False),
        ({"query": {"db": "x"}}, False),
    ],
)
def test_only_a_plain_id_index_is_cut(changes: dict[str, object], allowed: bool) -> None:
    assert may_split(namespace(**changes)) is allowed


def test_ranges_touch_and_do_not_overlap() -> None:
    samples = [bson.encode({"_id": number}) for number in range(100)]
    ranges = ranges_between(cut_points(samples, parts=4))
    assert len(ranges) == 5
    assert ranges[0].lower is None
    assert ranges[3].upper is None
    assert all(left.upper == right.lower for left, right in zip(ranges[:4], ranges[1:4]))
    assert ranges[4].only == bson.encode({"_id": bson.MaxKey()})


def test_equal_samples_make_no_empty_range() -> None:
    same = [bson.encode({"_id": 1})] * 100
    assert len(ranges_between(cut_points(same, parts=4))) == 3
    assert ranges_between(cut_points([], parts=4)) == (IdRange(),)


def test_a_part_is_read_by_index_bounds_not_by_comparison() -> None:
    # $gte and $lt would compare within one type only and lose documents whose _id is of another.
    lower, upper = bson.encode({"_id": 5}), bson.encode({"_id": "z"})
    command = find_command(namespace(), part=IdRange(lower=lower, upper=upper), at_cluster_time=(7, 8), size=10)
    assert "filter" not in command
    assert command["hint"] == {"_id": 1}
    assert (command["min"].raw, command["max"].raw) == (lower, upper)
    assert command["readConcern"] == {"level": "snapshot", "atClusterTime": bson.Timestamp(7, 8)}


def test_batches_have_about_the_wanted_size() -> None:
    assert batch_size(namespace(size=1000 * MB, count=MB), batch_bytes=2 * MB) == 2097
    assert batch_size(namespace(size=160 * MB, count=10), batch_bytes=2 * MB) == 1
    assert batch_size(namespace(), batch_bytes=2 * MB) == 4096
