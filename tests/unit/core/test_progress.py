# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress: what is shown, how often, and what each stage took."""

from __future__ import annotations

import concurrent.futures
import json
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from tests.support.clocks import FakeClock


def test_a_snapshot_has_stage_bytes_rate_and_percent_as_json_values() -> None:
    clock = FakeClock()
    progress = Progress(clock=clock)
    progress.stage("dumping", bytes_expected=4000)
    clock.advance(10)
    progress.add(done=1000, stored=300)
    snapshot = progress.snapshot()
    assert json.loads(json.dumps(snapshot)) == {
        "stage": "dumping",
        "bytes_done": 1000,
        "bytes_stored": 300,
        "bytes_expected": 4000,
        "bytes_per_second": 100,
        "percent": 25,
        "seconds": 10.0,
        "updated": "2026-11-21T02:00:10Z",
    }


def test_the_rate_is_of_stored_bytes_where_the_source_can_not_be_counted() -> None:
    clock = FakeClock()
    progress = Progress(clock=clock)
    clock.advance(2)
    progress.add(stored=500)
    assert progress.snapshot()["bytes_per_second"] == 250


def test_there_is_no_percentage_without_an_estimate_and_never_a_hundred_before_the_end() -> None:
    progress = Progress(clock=FakeClock())
    progress.add(done=10)
    assert progress.snapshot()["percent"] is None
    progress.stage("dumping", bytes_expected=5)
    assert progress.snapshot()["percent"] == 99


def test_each_stage_is_shown_at_once_and_bytes_once_per_interval() -> None:
    clock = FakeClock()
    shown: list[t.Mapping[str, t.Any]] = []
    progress = Progress(clock=clock, sink=shown.append, interval=1.0)
    progress.stage("one")
    progress.stage("two")
    assert [snapshot["stage"] for snapshot in shown] == ["one", "two"]
    for _turn in range(25):
        clock.advance(0.1)
        progress.add(done=1)
    assert len(shown) == 4
    assert [snapshot["bytes_done"] for snapshot in shown[2:]] == [10, 20]


def test_the_seconds_of_each_stage_are_kept_also_when_it_comes_twice() -> None:
    clock = FakeClock()
    progress = Progress(clock=clock)
    clock.advance(0.5)
    progress.stage("dumping")
    clock.advance(3)
    progress.stage("storing")
    clock.advance(1)
    progress.stage("dumping")
    clock.advance(2)
    assert progress.stage_seconds() == {"starting": 0.5, "dumping": 5.0, "storing": 1.0}


def test_no_byte_is_lost_when_several_threads_count() -> None:
    progress = Progress(clock=SystemClock(), sink=lambda _snapshot: None, interval=0)

    def count() -> None:
        for _turn in range(2000):
            progress.add(done=1, stored=2)

    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for future in [pool.submit(count) for _turn in range(4)]:
            future.result()
    assert (progress.bytes_done, progress.bytes_stored) == (8000, 16000)
