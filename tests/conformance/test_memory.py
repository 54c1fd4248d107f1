# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage in memory, bare and behind each decorator."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectWriter, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.dry_run import DryRunStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from tests.conformance.reading_suite import ReadingSuite, Seed
from tests.conformance.storage_suite import StorageSuite
from tests.conformance.versions_suite import Places, PlainSuite, VersionsSuite
from tests.support.clocks import FakeClock


class MemorySuite(StorageSuite, PlainSuite):
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


class MemoryVersionsSuite(VersionsSuite):
    @pytest.fixture(autouse=True)
    def set_clock(self) -> None:
        self.clock = FakeClock()

    def now(self) -> datetime.datetime:
        return self.clock.now()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


class TestMemoryVersions(MemoryVersionsSuite):
    @pytest.fixture
    def places(self) -> Places:
        return places_of(self.clock, around=lambda storage: storage)


class TestRetryingVersions(MemoryVersionsSuite):
    @pytest.fixture
    def places(self) -> Places:
        return places_of(self.clock, around=lambda storage: RetryingStorage(storage=storage, clock=FakeClock()))


class TestFaultyVersions(MemoryVersionsSuite):
    @pytest.fixture
    def places(self) -> Places:
        return places_of(self.clock, around=lambda storage: FaultyStorage(storage=storage))


def places_of(clock: FakeClock, *, around: t.Callable[[Storage], Storage]) -> Places:
    keeping = MemoryStorage(clock=clock, locks=True)
    deleting = MemoryStorage(clock=clock, locks=True, delete_versions=True)
    # One place, opened in two ways.
    deleting._objects, deleting._versions, deleting._lock = keeping._objects, keeping._versions, keeping._lock
    return Places(keeping=around(keeping), deleting=around(deleting))
