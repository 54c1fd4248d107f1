# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipping beside retention: what was recorded before the floor was recorded, and the stream goes on above it."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import Floor
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder, hour_of
from tests.support.clocks import START
from tests.support.memory import MemoryStorage
from tests.support.ship_bench import ShipBench, names
from tests.support.streams import SERIES, read_one

FOLDER = StreamFolder(series=SERIES, lineage="one")
NEXT_HOUR = hour_of(START + datetime.timedelta(hours=1))


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ShipBench:
    return ShipBench(tmp_path, monkeypatch)


def put_floor(storage: MemoryStorage) -> None:
    floor = Floor(folder=FOLDER, engine="mongodb", hour=NEXT_HOUR, made=START, host="pruner", lifeboat_version="0.1.0")
    storage.put(FOLDER.floor_key(NEXT_HOUR), floor.as_bytes())


def test_what_was_recorded_below_the_floor_is_not_recorded_again(bench: ShipBench) -> None:
    """It waits for another repository; recorded anew, the record could name what retention removes just then."""
    near, far = MemoryStorage(), MemoryStorage()

    def fail() -> None:
        if is_down:
            raise StorageUnreachable("nobody answers")

    is_down = True
    bench.storages.update(
        near=near, far=FaultyStorage(storage=far, fault=fail, point=FaultPoint(at_call=1, times=None))
    )
    bench.fill(1, 2)
    assert bench.run().state == "partial"
    before = [one.key for one in near.list()]
    put_floor(near)
    is_down = False
    assert bench.run().state == "complete"
    assert [one.key for one in near.list(FOLDER.records_prefix)] == [key for key in before if "/records/" in key]
    assert bench.waiting == []
    assert [one.segment.name for one in read_one({"far": far}).segments] == names(1, 2)


def test_a_stream_goes_on_above_the_floor(bench: ShipBench) -> None:
    near = MemoryStorage()
    bench.storages.update(near=near)
    bench.fill(1, 2)
    bench.run()
    put_floor(near)
    bench.clock.advance(3600)
    bench.fill(3)
    assert bench.run().state == "complete"
    bench.clock.advance(3 * 3600)
    bench.fill(4)
    assert bench.run().state == "complete"
    assert [one.segment.name for one in read_one({"near": near}).segments] == names(3, 4)
    assert [one.key for one in near.list(FOLDER.index_prefix)] == [FOLDER.index_key(NEXT_HOUR)]
