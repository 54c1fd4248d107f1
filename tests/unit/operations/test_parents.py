# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An increment and the removal of what it builds on can't miss each other, whoever comes first and whenever."""

from __future__ import annotations

import contextlib
import functools
import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    StorageAllFailed,
    StorageForbidden,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.backups import leftovers, listed
from tests.support.bench import Bench
from tests.support.memory import MemoryStorage
from tests.support.removals import Pruner, decision


@pytest.fixture
def parent(bench: Bench) -> Manifest:
    """A backup in both repositories."""
    bench.source.script = "head -c 1000 data"
    bench.source.copied = 100
    return bench.run().manifest


def remove(bench: Bench, storage: Storage, described: Manifest) -> dict[str, str]:
    """Remove it from one repository; why it was spared."""
    pruner = Pruner(storage, bench.clock)
    assert decision(described)
    return dict(pruner.remove(described).spared)


def refill(bench: Bench, before: t.Mapping[str, MemoryStorage]) -> None:
    """The repositories as they were."""
    for name, storage in before.items():
        fresh = MemoryStorage(name=name, clock=bench.clock)
        for found in storage.list():
            fresh.put(found.key, storage.get(found.key))
        bench.storages[name] = fresh


def assert_none_without_its_base(storage: Storage, where: object) -> set[str]:
    found = {backup.manifest.backup_id: backup.manifest for backup in listed(storage)}
    for manifest in found.values():
        assert manifest.parent is None or manifest.parent in found, where
    return set(found)


def test_started_json_says_what_the_increment_builds_on(bench: Bench, parent: Manifest) -> None:
    result = bench.run(parent_kinds=("static",))
    for storage in bench.storages.values():
        assert json.loads(storage.get(result.manifest.folder.key("started.json")))["parent"] == parent.backup_id
        assert json.loads(storage.get(parent.folder.key("started.json")))["parent"] is None


def test_a_removal_that_comes_at_any_call_of_the_increments_run(bench: Bench, parent: Manifest) -> None:
    before = {name: t.cast("MemoryStorage", storage) for name, storage in bench.storages.items()}
    refill(bench, before)
    counting = FaultyStorage(storage=bench.storages["near"])
    bench.storages["near"] = counting
    bench.run(parent_kinds=("static",))
    outcomes = set()
    for call in range(1, len(counting.calls) + 1):
        refill(bench, before)
        near = bench.storages["near"]
        spared: list[dict[str, str]] = []

        def strike(near: Storage, spared: list[dict[str, str]]) -> None:
            spared.append(remove(bench, near, parent))

        fault = functools.partial(strike, near, spared)
        bench.storages["near"] = FaultyStorage(storage=near, fault=fault, point=FaultPoint(at_call=call))
        where = f"call {call}: {counting.calls[call - 1]}"
        result = None
        with contextlib.suppress(LifeboatError):
            result = bench.run(parent_kinds=("static",))
        shown = assert_none_without_its_base(near, where)
        outcomes.add((bool(spared[0]), result is not None and result.manifest.backup_id in shown))
        assert leftovers(near) == [], where
        assert_none_without_its_base(bench.storages["far"], where)
    # Before the parent was chosen: a full one. Then: left out of near. Then: the removal is the one that gives way.
    assert outcomes == {(False, True), (False, False), (True, True)}


def test_a_run_that_begins_at_any_call_of_the_removal(bench: Bench, parent: Manifest) -> None:
    before = {name: t.cast("MemoryStorage", storage) for name, storage in bench.storages.items()}
    refill(bench, before)
    counting = FaultyStorage(storage=bench.storages["near"])
    remove(bench, counting, parent)
    for call in range(1, len(counting.calls) + 1):
        refill(bench, before)

        def strike() -> None:
            with contextlib.suppress(LifeboatError):
                bench.run(parent_kinds=("static",))

        near = bench.storages["near"]
        remove(bench, FaultyStorage(storage=near, fault=strike, point=FaultPoint(at_call=call)), parent)
        where = f"call {call}: {counting.calls[call - 1]}"
        assert_none_without_its_base(near, where)
        assert_none_without_its_base(bench.storages["far"], where)


def test_the_repository_in_which_it_is_being_removed_is_left_out_with_the_reason(
    bench: Bench, parent: Manifest
) -> None:
    near = bench.storages["near"]

    class Marked(FaultyStorage):
        """The mark comes right after started.json."""

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
            found = super().put(key, data, if_absent=if_absent)
            if key.endswith("started.json"):
                near.put(parent.folder.key("removal-20261121T030000Z-0000aa.json"), b"{}")
            return found

    bench.storages["near"] = Marked(storage=near)
    result = bench.run(parent_kinds=("static",))
    assert result.is_partial
    (failed,) = [one for one in result.repositories if one["state"] == "failed"]
    assert failed["error"]["code"] == "backup.parent_removed"
    assert "Run the job again" in failed["error"]["hint"]
    assert [found.key for found in near.list(result.manifest.folder.key(""))] == [], "nothing is left of it there"
    del bench.storages["far"]
    near.delete([parent.folder.key("removal-20261121T030000Z-0000aa.json")])
    with pytest.raises(StorageAllFailed, match=r"backup\.parent_removed"):
        bench.run(parent_kinds=("static",))


def test_who_may_only_write_can_not_look_and_goes_on(bench: Bench, parent: Manifest) -> None:
    class WriteOnly(FaultyStorage):
        """Lists nothing once the run has begun."""

        def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
            if prefix == parent.folder.key("") and any("started.json" in call for call in self.calls):
                raise StorageForbidden("403: not you")
            return super().list(prefix)

    bench.storages["near"] = WriteOnly(storage=bench.storages["near"])
    assert bench.run(parent_kinds=("static",)).manifest.parent == parent.backup_id
