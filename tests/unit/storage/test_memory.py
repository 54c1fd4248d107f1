# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is particular to the storage in memory: writers that are collected while it works."""

from __future__ import annotations

import datetime
import gc
import threading

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import FakeClock


class CollectingClock(FakeClock):
    """Collects garbage when it is asked for the time: the storage does so inside of its lock."""

    def now(self) -> datetime.datetime:
        gc.collect()
        return super().now()


def test_a_writer_may_be_collected_while_the_storage_is_at_work() -> None:
    storage = MemoryStorage(clock=CollectingClock())
    gc.disable()
    try:
        cycle: list[object] = [storage.writer("forgotten")]
        cycle.append(cycle)
        del cycle
        worker = threading.Thread(target=lambda: storage.put("a", b"x"), daemon=True)
        worker.start()
        worker.join(10)
        assert not worker.is_alive(), "it waits for itself"
    finally:
        gc.enable()
    assert storage.get("a") == b"x"
    assert list(storage.unfinished()) == []
