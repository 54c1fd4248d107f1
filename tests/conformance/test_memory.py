# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage in memory, bare and behind each decorator."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectWriter, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.dry_run import DryRunStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from tests.conformance.reading_suite import ReadingSuite, Seed
from tests.conformance.storage_suite import StorageSuite
from tests.support.clocks import FakeClock


class MemorySuite(StorageSuite):
    real_clock = False

    @pytest.fixture
    def memory(self) -> MemoryStorage:
        return MemoryStorage(clock=FakeClock())

    def abandon(self, writer: ObjectWriter) -> None:
        abandoned.append(writer)


#: Never collected, as the memory of a killed process never is by the storage.
abandoned: list[ObjectWriter] = []


class TestMemoryStorage(MemorySuite):
    @pytest.fixture
    def storage(self, memory: MemoryStorage) -> Storage:
        return memory


class TestRetryingStorage(MemorySuite):
    @pytest.fixture
    def storage(self, memory: MemoryStorage) -> Storage:
        return RetryingStorage(storage=memory, clock=FakeClock())


class TestFaultyStorage(MemorySuite):
    """Without a fault it is as good as what it wraps."""

    @pytest.fixture
    def storage(self, memory: MemoryStorage) -> Storage:
        return FaultyStorage(storage=memory)


class TestDryRunStorage(ReadingSuite):
    """Only its reads are real."""

    real_clock = False

    @pytest.fixture
    def memory(self) -> MemoryStorage:
        return MemoryStorage(clock=FakeClock())

    @pytest.fixture
    def storage(self, memory: MemoryStorage) -> Storage:
        return DryRunStorage(storage=memory, clock=FakeClock())

    @pytest.fixture(name="seed")
    def seed_memory(self, memory: MemoryStorage) -> Seed:
        return memory.put
