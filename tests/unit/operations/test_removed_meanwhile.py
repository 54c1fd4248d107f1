# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification or a restore that meets a removal says so, and calls nothing damaged."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    BackupRemoved,
    PayloadDamaged,
    StorageNotFound,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import choosing
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Proof,
    VerifyRequest,
    VerifyResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.payload_source import PayloadSource
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.removals import IDS, Pruner, backup, fill

FIRST = backup(0)


def verify(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, **storages: Storage) -> VerifyResult:
    monkeypatch.setattr(choosing, "open_storage", lambda _description, *, name, clock, runner: storages[name])
    request = VerifyRequest(
        repositories=tuple(RepositoryRequest(name=name, description={"type": "memory"}) for name in storages),
        selection=Selection(service="shop", source="main", kind="base"),
        proof=Proof(level=1),
        state_directory=str(tmp_path / "state"),
    )
    return run_verifications(request, host=Host(name="db1"))


def filled(*backups: Manifest) -> MemoryStorage:
    storage = MemoryStorage()
    fill(storage, backups)
    return storage


def test_a_removal_at_any_call_of_a_verification_is_told_and_makes_nothing_bad(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    counting = FaultyStorage(storage=filled(FIRST))
    verify(monkeypatch, tmp_path, near=counting)
    states = set()
    for call in range(1, len(counting.calls) + 1):
        inner = filled(FIRST)

        def remove(inner: MemoryStorage = inner) -> None:
            Pruner(inner, FakeClock(), elsewhere=IDS).remove(FIRST)

        near = FaultyStorage(storage=inner, fault=remove, point=FaultPoint(at_call=call))
        for outcome in verify(monkeypatch, tmp_path, near=near).outcomes:
            where = f"call {call}: {counting.calls[call - 1]}"
            states.add(outcome.state)
            assert outcome.state != "failed", where
            if outcome.state == "error":
                assert isinstance(outcome.error, BackupRemoved), where
                assert "removed from near" in outcome.error.message, where
    assert states == {"error"}


def test_the_other_copies_are_verified_and_only_they(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    near, far = filled(FIRST), filled(FIRST)

    def remove() -> None:
        Pruner(near, FakeClock(), elsewhere=IDS).remove(FIRST)

    counting = FaultyStorage(storage=filled(FIRST))
    verify(monkeypatch, tmp_path, near=counting, far=filled(FIRST))
    at = next(number for number, call in enumerate(counting.calls, start=1) if call.startswith("stat"))
    broken = FaultyStorage(storage=near, fault=remove, point=FaultPoint(at_call=at))
    (outcome,) = verify(monkeypatch, tmp_path, near=broken, far=far).outcomes
    assert outcome.state == "passed"
    assert outcome.verification is not None
    assert list(outcome.verification.copies) == ["far"]
    assert [found.key for found in near.list() if "verification-" in found.key] == []


def test_what_is_missing_for_no_reason_is_damage_as_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    near = filled(FIRST)
    near.delete([FIRST.folder.key("users.json")])
    (outcome,) = verify(monkeypatch, tmp_path, near=near).outcomes
    assert outcome.state == "failed"


def source(storage: Storage) -> PayloadSource:
    return PayloadSource(
        manifest=FIRST,
        storage=storage,
        repository="near",
        runner=SubprocessRunner(),
        identity=Secret(name="identity"),
    )


def read_all(storage: Storage) -> None:
    for payload in FIRST.payloads:
        source(storage).check(payload, progress=Progress(clock=SystemClock()))


def test_a_removal_at_any_call_of_a_restores_reading_is_told() -> None:
    counting = FaultyStorage(storage=filled(FIRST))
    read_all(counting)
    told = 0
    for call in range(1, len(counting.calls) + 1):
        inner = filled(FIRST)

        def remove(inner: MemoryStorage = inner) -> None:
            Pruner(inner, FakeClock()).remove(FIRST)

        with contextlib.suppress(BackupRemoved):
            read_all(FaultyStorage(storage=inner, fault=remove, point=FaultPoint(at_call=call)))
            continue
        told += 1
    assert told == len(counting.calls)


def test_a_stream_that_breaks_and_finds_nothing_any_more_is_told_too() -> None:
    class Breaking(MemoryStorage):
        """The object goes between two pieces."""

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
            def pieces() -> t.Iterator[bytes]:
                yield b"x"
                Pruner(self, FakeClock()).remove(FIRST)
                raise StorageNotFound(f"There is no object {key}.")

            return pieces()

    storage = Breaking()
    fill(storage, [FIRST])
    with pytest.raises(BackupRemoved):
        read_all(storage)


def test_a_payload_that_is_gone_for_no_reason_is_not_found_as_ever() -> None:
    storage = filled(FIRST)
    storage.delete([FIRST.folder.key("users.json")])
    with pytest.raises((StorageNotFound, PayloadDamaged)) as raised:
        read_all(storage)
    assert not isinstance(raised.value, BackupRemoved)
