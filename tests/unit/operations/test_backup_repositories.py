# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories that fail, at every step, cost the others nothing; whatever is shown as a backup is whole."""

from __future__ import annotations

import itertools
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.leftovers import sweep_leftovers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PipelineFailed,
    StorageAllFailed,
    StorageForbidden,
    StorageNoSpace,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import (
    run_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.backups import SERIES, Source, broken_payloads, leftovers, listed
from tests.support.bench import Bench, faulty, forbidden
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

# --- some repositories fail ------------------------------------------------------------------------------------------


def strikes(*faults: t.Callable[[], None], **point: t.Any) -> t.Iterator[tuple[FaultyStorage, ...]]:
    """Repositories that fail at the first call of a run, then some that fail at the second, until none fails any more.

    One repository for each of *faults*. The source must be small: what goes through a pipe in one piece is one call.
    """
    for number in itertools.count(1):
        storages = tuple(faulty(fault, at_call=number, **point) for fault in faults)
        yield storages
        if not any(storage.struck for storage in storages):
            assert number > 15
            return


@pytest.mark.thorough
@pytest.mark.parametrize("fault", [forbidden, unreachable])
def test_a_repository_that_fails_at_any_step_leaves_the_others_whole(
    small_bench: Bench, fault: t.Callable[[], None]
) -> None:
    struck: set[str] = set()
    for (far,) in strikes(fault, times=None):
        small_bench.storages.update(near=MemoryStorage(), far=far)
        result = small_bench.run()
        at = far.calls[-1]
        assert result.is_partial == (far.struck > 0), at
        assert small_bench.source.readings == (1, 1), at
        assert broken_payloads(small_bench.storages["near"]) == []
        assert [backup.manifest for backup in listed(small_bench.storages["near"])] == [result.manifest], at
        assert leftovers(small_bench.storages["near"]) == []
        small_bench.assert_idle()
        healed = far._storage
        if far.struck:
            struck.add(far.calls[far._point.at_call - 1].split()[0])
            assert listed(healed) == [], at
            assert [entry["state"] for entry in result.repositories] == ["complete", "failed"], at
            assert result.error is not None
            assert (result.error.code, result.error.exit_status) == ("backup.partial", 3)
            assert "far: " in result.error.message
        # The next run, with all well again, leaves nothing but whole backups.
        small_bench.storages["far"] = healed
        small_bench.clock.advance(3600)
        assert not small_bench.run().is_partial, at
        assert leftovers(healed) == [], at
        assert broken_payloads(healed) == []
        pathlib.Path(small_bench.source.folder, "readings").unlink()
    assert struck >= {"check", "unfinished", "list", "free_bytes", "put", "writer", "write", "commit"}


def test_an_answer_that_is_lost_anywhere_leaves_whole_backups_only(small_bench: Bench) -> None:
    for (far,) in strikes(unreachable, answer_lost=True):
        small_bench.storages.update(near=MemoryStorage(), far=far)
        result = small_bench.run()
        at = far.calls[-1]
        # Where only the manifest's answer was lost, the backup is there, whatever we were told.
        is_there = not result.is_partial or at.endswith("/manifest.json")
        healed = far._storage
        assert [backup.manifest for backup in listed(healed)] == ([result.manifest] if is_there else []), at
        assert broken_payloads(healed) == []
        small_bench.storages["far"] = healed
        small_bench.clock.advance(3600)
        assert not small_bench.run().is_partial
        assert leftovers(healed) == [], at


def failure(bench: Bench) -> StorageAllFailed | None:
    """The error of a run; None when it made a backup."""
    try:
        bench.run()
    except StorageAllFailed as error:
        return error
    return None


def test_all_repositories_failing_is_an_error_with_every_reason_and_no_backup(small_bench: Bench) -> None:
    readings: list[tuple[int, int]] = []
    for near, far in strikes(forbidden, unreachable, times=None):
        small_bench.storages.update(near=near, far=far)
        error = failure(small_bench)
        if error is not None:
            at = (near.calls[-1], far.calls[-1])
            assert "near: 403: not you" in error.message, at
            assert "far: The repository does not answer" in error.message, at
            assert [entry["name"] for entry in error.details["repositories"]] == ["near", "far"]
            assert error.hint == "Ask for s3:PutObject."
            assert listed(near._storage) == listed(far._storage) == [], at
            assert small_bench.records[-1]["state"] == "failed"
            if not any(call.startswith("put ") for call in near.calls):
                assert small_bench.source.readings == (0, 0), "the source was read although there was nowhere to put it"
        else:
            # Streams come in pieces, so at the end of the range one of them may have got through.
            assert small_bench.records[-1]["state"] == ("partial" if near.struck or far.struck else "complete")
        readings.append(small_bench.source.readings)
        small_bench.assert_idle()
    assert readings[0] == (0, 0)


def test_a_repository_that_fails_early_is_not_asked_again(bench: Bench) -> None:
    far = faulty(forbidden, at_call=1, times=None)
    bench.storages["far"] = far
    bench.run()
    assert far.calls == ["check"]


def test_the_warnings_of_a_partial_run_are_in_journal_and_manifest(bench: Bench) -> None:
    bench.storages["far"] = faulty(forbidden, at_call=1, times=None)
    result = bench.run()
    assert any("far: can't take this backup: 403: not you" in warning for warning in bench.journal.warnings)
    assert result.manifest.warnings == tuple(bench.journal.warnings)
    assert result.manifest.repositories == ("near", "far")
    assert listed(bench.storages["near"])[0].missing == ()  # far was not asked


# --- space -----------------------------------------------------------------------------------------------------------


class Small(MemoryStorage):
    """Says that it has *free* bytes left."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.free = free

    def free_bytes(self) -> int:
        return self.free


def test_a_repository_without_room_is_left_out_before_the_source_is_read(bench: Bench) -> None:
    bench.storages["near"] = Small(5_000_000 // 6 - 1)
    result = bench.run()
    assert result.repositories[0]["error"]["code"] == "storage.no_space"
    assert listed(bench.storages["near"]) == []
    bench.storages["far"] = Small(10)
    before = bench.source.readings
    with pytest.raises(StorageAllFailed, match=r"10 bytes free, and about 833333 are needed\. \[storage\.no_space\]"):
        bench.run()
    assert bench.source.readings == before
    with pytest.raises(StorageAllFailed):
        bench.plan()


def test_the_room_that_is_needed_is_judged_by_the_last_backup_and_a_fifth_more(bench: Bench) -> None:
    bench.storages = {"near": Small(10**9)}
    near = bench.storages["near"]
    stored = bench.run().manifest.stored_bytes
    near.free = stored * 6 // 5 - 1
    with pytest.raises(StorageAllFailed) as raised:
        bench.run()
    (entry,) = raised.value.details["repositories"]
    assert entry["error"]["details"] == {"free_bytes": near.free, "needed_bytes": stored * 6 // 5}
    near.free += 1
    assert not bench.run().is_partial


def test_without_compression_all_of_the_source_must_fit(bench: Bench) -> None:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import Transforms

    bench.storages = {"near": Small(4_999_999)}
    with pytest.raises(StorageAllFailed):
        bench.run(transforms=Transforms(compression=None))


def test_a_disk_that_fills_in_mid_stream_is_left_out_and_the_others_complete(bench: Bench) -> None:
    def full() -> None:
        raise StorageNoSpace("no space left")

    for byte in (1, 1_500_000):
        far = FaultyStorage(storage=MemoryStorage(), fault=full)
        bench.storages["far"] = far
        bench.clock.advance(1)
        pending = run_with_byte_fault(bench, far, byte)
        assert pending.repositories[1]["error"]["code"] == "storage.no_space"
        assert listed(far._storage) == []
        assert broken_payloads(bench.storages["near"]) == []


def run_with_byte_fault(bench: Bench, far: FaultyStorage, byte: int) -> BackupResult:
    """The key holds the id of the run, so the point is set when the run is known."""

    def aim(context: t.Any) -> Source:
        far._point = FaultPoint(at_byte=(SERIES.backup(context.backup_id).key("writer.zst"), byte))
        return bench.source

    return run_backup(bench.request(make_producer=aim), host=bench.host)


# --- repositories that do not let us look, or in which others are at work --------------------------------------------


def test_credentials_that_may_only_write_are_enough(bench: Bench) -> None:
    class WriteOnly(MemoryStorage):
        """Refuses everything but check() and writing."""

        def no(self, *_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
            raise StorageForbidden("403")

        get = stat = read = list = list_folders = delete = unfinished = abort_unfinished = no  # type: ignore[assignment]

    bench.storages["far"] = far = WriteOnly()
    result = bench.run()
    assert not result.is_partial
    assert any("far: can't look for leftovers" in warning for warning in result.manifest.warnings)
    assert far._objects.keys() == bench.storages["near"]._objects.keys()
    bench.source.script = "exit 4"
    with pytest.raises(PipelineFailed):
        bench.run()


def test_a_repository_in_which_a_payload_vanished_meanwhile_gets_no_manifest(bench: Bench) -> None:
    """Such as by a second host that bears our name and sweeps what it takes for its own leftovers."""

    def swept() -> None:
        sweep_leftovers(bench.storages["far"], series=SERIES, host="db1", now=bench.clock.now())

    bench.source.finish = swept
    result = bench.run()
    assert result.is_partial
    assert [entry["state"] for entry in result.repositories] == ["complete", "failed"]
    assert listed(bench.storages["far"]) == []
    assert broken_payloads(bench.storages["near"]) == []


def test_an_object_of_that_name_which_is_not_ours_is_never_replaced(bench: Bench) -> None:
    class Taken(MemoryStorage):
        """Holds another manifest under the name that ours is to get."""

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
            if key.endswith("/manifest.json") and if_absent:
                super().put(key, b"somebody else's", if_absent=False)
            return super().put(key, data, if_absent=if_absent)

    bench.storages["far"] = far = Taken()
    result = bench.run()
    assert result.repositories[1]["error"]["code"] == "storage.exists"
    assert far.get(result.manifest.folder.manifest_key) == b"somebody else's"
