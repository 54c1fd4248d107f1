# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup operation, with a real source and real processes, into folders and memory; faults are injected."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.leftovers import sweep_leftovers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    LockHeld,
    ManifestInvalid,
    PipelineFailed,
    RequestInvalid,
    StorageAllFailed,
    StorageForbidden,
    StorageNoSpace,
    StorageUnreachable,
    ToolMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
    StateDirectory,
    running_jobs,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import backup as operation
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import (
    plan_backup,
    run_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupPlan,
    BackupRequest,
    BackupResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.backups import SERIES, Source, broken_payloads, leftovers, listed, make_source, request, tree
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage


class Bench:
    """A source, a state directory and repositories by name, which runs are given in place of those they describe."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.source = make_source(folder / "source", size=2_500_000)
        self.state = StateDirectory(path=str(folder / "state"))
        self.storages: dict[str, Storage] = {"near": MemoryStorage(name="near"), "far": MemoryStorage(name="far")}
        self.clock = FakeClock()
        self.journal = MemoryJournal()
        monkeypatch.setattr(operation, "open_storage", lambda _description, *, name, clock, runner: self.storages[name])

    @property
    def host(self) -> Host:
        return Host(clock=self.clock, journal=self.journal, name="db1")

    def request(self, **changes: t.Any) -> BackupRequest:
        descriptions = {name: {"type": "memory"} for name in self.storages}
        return request(self.source, descriptions, state_directory=self.state.path, **changes)

    def run(self, **changes: t.Any) -> BackupResult:
        self.clock.advance(1)
        return run_backup(self.request(**changes), host=self.host)

    def plan(self, **changes: t.Any) -> BackupPlan:
        return plan_backup(self.request(**changes), host=self.host)

    @property
    def records(self) -> list[dict[str, t.Any]]:
        return self.state.records("shop.main.app")

    def assert_idle(self) -> None:
        """Nothing runs, and nobody holds the lock."""
        assert running_jobs(self.state) == []
        lock = SourceLock(state=self.state, name="shop.main", clock=FakeClock())
        lock.acquire(holder={}, timeout=0)
        lock.release()


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def small_bench(bench: Bench) -> Bench:
    # Less than any buffer on the way: each payload comes out of its pipe in one piece.
    bench.source = make_source(bench.folder / "small", size=2_000)
    return bench


def faulty(fault: t.Callable[[], None] = unreachable, **point: t.Any) -> FaultyStorage:
    return FaultyStorage(storage=MemoryStorage(), fault=fault, point=FaultPoint(**point))


def forbidden() -> None:
    raise StorageForbidden("403: not you", hint="Ask for s3:PutObject.")


# --- a run that succeeds ----------------------------------------------------------------------------------------


def test_a_backup_is_in_every_repository_byte_for_byte_and_the_source_was_read_once(bench: Bench) -> None:
    local = LocalStorage(path=str(bench.folder / "repository"), create=True)
    bench.storages["local"] = local
    result = bench.run(labels={"reason": "upgrade"})
    assert (result.is_partial, result.error) == (False, None)
    assert bench.source.readings == (1, 1)
    for storage in bench.storages.values():
        (backup,) = listed(storage)
        assert backup.manifest == result.manifest
        assert broken_payloads(storage) == []
        assert leftovers(storage) == []
    folder = bench.folder / "repository" / "shop" / "main" / "app" / result.manifest.backup_id
    assert sorted(os.listdir(folder)) == ["RESTORE.md", "manifest.json", "process.zst", "started.json", "writer.zst"]
    for name in ("process", "writer"):
        plain = subprocess.run(["zstd", "-dc", str(folder / f"{name}.zst")], stdout=subprocess.PIPE, check=True).stdout
        assert plain == bench.source.data
    assert result.manifest.labels == {"reason": "upgrade"}
    assert result.manifest.facts == {"size": 2_500_000}
    assert result.manifest.plain_bytes == 5_000_000
    assert json.loads((folder / "started.json").read_text(encoding="utf-8"))["host"] == "db1"
    assert "zstd -dc process.zst > data" in (folder / "RESTORE.md").read_text(encoding="utf-8")
    bench.assert_idle()


def test_what_is_written_comes_in_the_promised_order_and_the_manifest_last(bench: Bench) -> None:
    for name in bench.storages:
        bench.storages[name] = faulty()
    backup_id = bench.run().manifest.backup_id
    for storage in bench.storages.values():
        assert isinstance(storage, FaultyStorage)
        stored = [call.partition(f"{backup_id}/")[2] for call in storage.calls if call.startswith(("put ", "commit "))]
        assert stored == ["started.json", "process.zst", "writer.zst", "RESTORE.md", "manifest.json"]
        assert not any(call.startswith(("put ", "writer ", "write ", "delete ")) for call in after_manifest(storage))


def after_manifest(storage: FaultyStorage) -> list[str]:
    last = max(position for position, call in enumerate(storage.calls) if call.endswith("/manifest.json"))
    return storage.calls[last + 1 :]


def test_the_result_says_what_was_made_where_and_how_long_it_took(bench: Bench) -> None:
    bench.source.finish = lambda: bench.clock.advance(30)
    document = bench.run().as_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["state"] == "complete"
    assert document["job"] == "shop/main/app"
    assert document["path"] == f"shop/main/app/{document['id']}/"
    assert document["seconds"] == 30
    assert document["stages"]["backing up"] == 30
    assert [entry["name"] for entry in document["payloads"]] == ["process.zst", "writer.zst"]
    assert [(entry["name"], entry["state"], entry["error"]) for entry in document["repositories"]] == [
        ("near", "complete", None),
        ("far", "complete", None),
    ]


def test_progress_is_shown_with_its_stages_and_in_the_notes_of_the_lock(bench: Bench) -> None:
    shown: list[t.Mapping[str, t.Any]] = []
    seen: list[t.Any] = []

    def look() -> None:
        seen.extend(running_jobs(bench.state))

    bench.source.finish = look
    result = run_backup(bench.request(), host=bench.host, show=shown.append)
    stages = [name for name, _group in itertools.groupby(snapshot["stage"] for snapshot in shown)]
    assert stages == ["inspecting", "checking repositories", "backing up", "finishing"]
    (note,) = seen
    assert (note["job"], note["id"], note["pid"]) == ("shop/main/app", result.manifest.backup_id, os.getpid())
    assert note["progress"]["stage"] == "backing up"
    assert note["progress"]["bytes_expected"] == 5_000_000


def test_each_run_is_recorded_with_how_it_ended(bench: Bench) -> None:
    complete = bench.run()
    bench.storages["far"] = faulty(forbidden, at_call=1, times=None)
    partial = bench.run()
    bench.source.script = "cat data; exit 9"
    with pytest.raises(PipelineFailed):
        bench.run()
    first, second, third = bench.records
    assert (first["state"], first["id"], first["error"]) == ("complete", complete.manifest.backup_id, None)
    assert (second["state"], second["id"]) == ("partial", partial.manifest.backup_id)
    assert second["error"]["code"] == "backup.partial"
    assert (third["state"], third["error"]["code"], third["job"]) == ("failed", "pipeline.failed", "shop/main/app")
    assert third["id"] not in (first["id"], second["id"])
    assert first["stored_bytes"] > 5_000_000
    assert first["started"] < second["started"] < third["started"]


# --- some repositories fail -------------------------------------------------------------------------------------


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


# --- the source fails -------------------------------------------------------------------------------------------


def broken(error: BaseException) -> t.Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"script": "head -c 1500000 data; exit 3"}, PipelineFailed),
        ({"script": "head -c 1500000 data; kill -9 $$"}, PipelineFailed),
        ({"script": "cat data; exit 1"}, PipelineFailed),
        ({"finish": broken(StorageUnreachable("the server went away"))}, StorageUnreachable),
        ({"finish": broken(RuntimeError("a bug"))}, RuntimeError),
        ({"finish": broken(KeyboardInterrupt())}, KeyboardInterrupt),
        ({"content": {"rate": float("nan")}}, ManifestInvalid),
        ({"content": {"rate": object()}}, ManifestInvalid),
        ({"content": {"name": "half a character: \ud800"}}, ManifestInvalid),
        ({"content": {10: "ten", 9: "nine"}}, ManifestInvalid),
        ({"restore_commands": "{fetch:what}"}, ValueError),
    ],
)
def test_a_source_that_fails_in_whatever_way_leaves_nothing_behind(
    bench: Bench, change: dict[str, t.Any], error: type[BaseException]
) -> None:
    bench.storages["local"] = LocalStorage(path=str(bench.folder / "repository"), create=True)
    for name, value in change.items():
        setattr(bench.source, name, value)
    with pytest.raises(error):
        bench.run()
    for storage in bench.storages.values():
        assert listed(storage) == []
        assert leftovers(storage) == []
    assert os.listdir(bench.folder / "repository") == []
    assert bench.records[-1]["state"] == "failed"
    bench.assert_idle()


def test_a_source_that_refuses_to_be_inspected_is_an_error_before_any_repository_is_touched(bench: Bench) -> None:
    def refuse() -> t.NoReturn:
        raise RequestInvalid("not like this")

    bench.source.inspect = refuse  # type: ignore[method-assign]
    for name in bench.storages:
        bench.storages[name] = faulty()
    with pytest.raises(RequestInvalid):
        bench.run()
    assert [storage.calls for storage in bench.storages.values() if isinstance(storage, FaultyStorage)] == [[], []]
    assert bench.records[-1]["error"]["code"] == "request.invalid"


def test_a_missing_program_is_an_error_before_any_repository_is_touched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> t.NoReturn:
        raise ToolMissing(f"no {name}")

    monkeypatch.setattr(
        "ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms.find_program", missing
    )
    bench.storages["far"] = far = faulty()
    with pytest.raises(ToolMissing):
        bench.run()
    assert far.calls == []


def test_what_can_not_be_cleaned_up_after_a_failure_is_said_and_swept_by_the_next_run(bench: Bench) -> None:
    class Sticky(MemoryStorage):
        """Deletes nothing while *stuck*."""

        stuck = True

        def delete(self, keys: t.Sequence[str]) -> t.Any:
            if self.stuck:
                raise StorageUnreachable("not now")
            return super().delete(keys)

    bench.storages["far"] = far = Sticky()
    bench.source.script = "cat data; exit 1"
    with pytest.raises(PipelineFailed):
        bench.run()
    assert any("stays for the next run to remove: not now" in warning for warning in bench.journal.warnings)
    assert listed(far) == []
    assert len(leftovers(far)) == 1
    far.stuck = False
    bench.source.script = "cat data"
    bench.run()
    assert leftovers(far) == []
    assert any("far: removed 1 leftovers of runs that died" in message for message in bench.journal.infos)


def test_where_the_answer_to_the_manifest_was_lost_nothing_is_removed_although_the_run_fails(bench: Bench) -> None:
    """The backup may be there, and is then whole."""

    class Losing(MemoryStorage):
        """Stores the manifest and loses the answer."""

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
            stored = super().put(key, data, if_absent=if_absent)
            if key.endswith("/manifest.json"):
                unreachable()
            return stored

    bench.storages = {"near": Losing(), "far": Losing()}
    with pytest.raises(StorageAllFailed):
        bench.run()
    for storage in bench.storages.values():
        assert len(listed(storage)) == 1
        assert broken_payloads(storage) == []
        assert leftovers(storage) == []


def test_an_upload_that_could_not_be_aborted_keeps_the_note_of_whose_it_is(bench: Bench) -> None:
    class Sticky(MemoryStorage):
        """Aborts no upload while *stuck*."""

        stuck = True

        def forget(self, token: str) -> None:
            if not self.stuck:
                super().forget(token)

    bench.storages["far"] = far = Sticky()
    bench.source.script = "cat data; exit 1"
    with pytest.raises(PipelineFailed):
        bench.run()
    assert [left.rpartition("/")[2] for left in leftovers(far)] == ["started.json", "process.zst"]
    far.stuck = False
    bench.source.script = "cat data"
    bench.run()
    assert leftovers(far) == []


# --- space ------------------------------------------------------------------------------------------------------


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


# --- planning ---------------------------------------------------------------------------------------------------


def test_a_plan_says_what_would_be_done_and_changes_nothing(bench: Bench) -> None:
    local = LocalStorage(path=str(bench.folder / "repository"), create=True)
    bench.storages = {"local": local, "far": faulty()}
    bench.run()
    local.put(SERIES.backup("20261101T000000Z-aaaaaa").key("started.json"), b'{"host": "db1"}')  # to be swept one day
    far = bench.storages["far"]
    assert isinstance(far, FaultyStorage)
    changes, before = far.changes, tree(bench.folder)
    plan = bench.plan()
    assert far.changes == changes
    assert tree(bench.folder) == before
    document = plan.as_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["job"] == "shop/main/app"
    assert document["steps"] == ["read the file twice"]
    assert document["expected_bytes"] == 5_000_000
    assert document["compression"] == {"method": "zstd", "level": 1}
    assert [(entry["name"], entry["state"]) for entry in document["repositories"]] == [
        ("local", "ready"),
        ("far", "ready"),
    ]
    assert document["repositories"][0]["free_bytes"] > 0
    assert document["repositories"][1]["free_bytes"] is None


def test_a_plan_on_a_fresh_host_makes_no_folder(bench: Bench) -> None:
    bench.storages = {"local": LocalStorage(path=str(bench.folder / "repository"), create=True)}
    before = tree(bench.folder)
    assert bench.plan().repositories[0]["state"] == "ready"
    assert tree(bench.folder) == before


def test_a_plan_shows_repositories_that_can_not_be_used_and_fails_when_none_can(bench: Bench) -> None:
    bench.storages["far"] = faulty(forbidden, at_call=1, times=None)
    near, far = bench.plan().repositories
    assert (near["state"], far["state"], far["error"]["code"]) == ("ready", "unusable", "storage.forbidden")
    bench.storages["near"] = LocalStorage(path=str(bench.folder / "missing"))
    with pytest.raises(StorageAllFailed, match=r"storage\.bucket_missing"):
        bench.plan()


def test_a_plan_needs_no_lock(bench: Bench) -> None:
    lock = SourceLock(state=bench.state, name="shop.main", clock=FakeClock())
    lock.acquire(holder={}, timeout=0)
    bench.plan()
    lock.release()


@pytest.mark.parametrize("repositories", [{}, None])
def test_a_job_without_repositories_or_with_one_twice_is_refused(
    bench: Bench, repositories: dict[str, t.Any] | None
) -> None:
    if repositories is not None:
        with pytest.raises(RequestInvalid, match="has no repository"):
            request(bench.source, repositories, state_directory="/nowhere")
        return
    whole = bench.request()
    with pytest.raises(RequestInvalid, match="names a repository twice: near, near"):
        BackupRequest(
            series=SERIES, engine="files", repositories=whole.repositories[:1] * 2, make_producer=bench.source.producer
        )


# --- the lock ---------------------------------------------------------------------------------------------------


def test_a_run_whose_source_is_worked_on_is_refused_and_touches_nothing(bench: Bench) -> None:
    lock = SourceLock(state=bench.state, name="shop.main", clock=FakeClock())
    lock.acquire(holder={"job": "shop/main/other"}, timeout=0)
    far = bench.storages["far"] = faulty()
    with pytest.raises(LockHeld, match=r"shop/main is being worked on by process \d+ .*shop/main/other"):
        bench.run()
    assert far.calls == []
    assert bench.source.readings == (0, 0)
    assert [job["job"] for job in running_jobs(bench.state)] == ["shop/main/other"]
    lock.release()
    bench.run()


def test_a_run_that_waited_for_the_lock_began_when_it_got_it(bench: Bench) -> None:
    """Whoever asks for the last backup before a moment must not get one that was read after it."""
    holder = SourceLock(state=bench.state, name="shop.main", clock=FakeClock())
    holder.acquire(holder={}, timeout=0)

    class Releasing(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if sum(self.slept) > 60:
                holder.release()

    bench.clock = Releasing()
    asked = bench.clock.now()
    manifest = bench.run(lock_timeout=600).manifest
    assert (manifest.started - asked).total_seconds() > 60
    assert manifest.backup_id.startswith(manifest.started.strftime("%Y%m%dT%H%M%SZ"))
    assert manifest.seconds < 1


# --- the host's notes can't be written --------------------------------------------------------------------------


def test_a_backup_that_was_made_is_not_called_failed_because_it_could_not_be_recorded(bench: Bench) -> None:
    bench.state.folder("locks")
    pathlib.Path(bench.state.path, "runs").write_text("in the way", encoding="utf-8")
    result = bench.run()
    assert listed(bench.storages["near"])[0].manifest == result.manifest
    assert any("The run could not be recorded" in warning for warning in bench.journal.warnings)
    bench.source.script = "exit 4"
    with pytest.raises(PipelineFailed):
        bench.run()


def test_a_backup_goes_on_when_its_progress_can_not_be_shown(bench: Bench) -> None:
    def block() -> None:
        running = pathlib.Path(bench.state.path, "running")
        (running / "shop.main.json").unlink()
        running.rmdir()
        running.write_text("in the way", encoding="utf-8")

    bench.source.finish = block
    result = bench.run()
    assert broken_payloads(bench.storages["near"]) == []
    assert not result.is_partial
    assert any("The progress is not shown any more" in warning for warning in result.manifest.warnings)


# --- repositories that do not let us look, or in which others are at work ---------------------------------------


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


# --- increments -------------------------------------------------------------------------------------------------


def test_an_increment_is_of_the_newest_backup_that_is_in_every_repository_that_can_be_read(bench: Bench) -> None:
    first = bench.run()
    bench.storages["far"], far = faulty(forbidden, at_call=1, times=None), bench.storages["far"]
    bench.run()  # in near only
    bench.storages["far"] = far
    result = bench.run(parent_kinds=("app", "base"))
    assert result.manifest.parent == first.manifest.backup_id
    assert bench.source.contexts[-1].parent == first.manifest
    assert bench.source.contexts[-1].backup_id == result.manifest.backup_id
    assert bench.plan(parent_kinds=("app",)).parent == result.manifest.backup_id
    bench.storages["far"] = faulty(at_call=1, times=None)
    again = bench.run(parent_kinds=("app",))
    assert again.manifest.parent == result.manifest.backup_id


def test_an_increment_without_anything_to_be_one_of_has_no_parent(bench: Bench) -> None:
    result = bench.run(parent_kinds=("base",))
    assert result.manifest.parent is None
    assert bench.source.contexts[-1].parent is None


def test_every_error_of_the_operation_is_one_of_the_engine(bench: Bench) -> None:
    """What a front door turns into a result must be one of its own, with a code."""
    for change in ({"script": "exit 3"}, {"content": {"x": object()}}):
        for name, value in change.items():
            setattr(bench.source, name, value)
        with pytest.raises(LifeboatError) as raised:
            bench.run()
        assert json.dumps(raised.value.as_dict())
