# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that succeeds: whole, in the promised order, shown while it runs and recorded after it."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    LockHeld,
    PipelineFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
    running_jobs,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import (
    run_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.backups import broken_payloads, leftovers, listed
from tests.support.bench import Bench, faulty, forbidden
from tests.support.clocks import FakeClock

# --- a run that succeeds ---------------------------------------------------------------------------------------------


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
    folder = bench.folder / "repository" / "shop" / "main" / "static" / result.manifest.backup_id
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
    assert document["job"] == "shop/main/static"
    assert document["path"] == f"shop/main/static/{document['id']}/"
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
    assert (note["job"], note["id"], note["pid"]) == ("shop/main/static", result.manifest.backup_id, os.getpid())
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
    assert (third["state"], third["error"]["code"], third["job"]) == ("failed", "pipeline.failed", "shop/main/static")
    assert third["id"] not in (first["id"], second["id"])
    assert first["stored_bytes"] > 5_000_000
    assert first["started"] < second["started"] < third["started"]


# --- the lock --------------------------------------------------------------------------------------------------------


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


# --- the host's notes can't be written -------------------------------------------------------------------------------


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


# --- increments ------------------------------------------------------------------------------------------------------


def test_an_increment_is_of_the_newest_backup_that_is_in_every_repository_that_can_be_read(bench: Bench) -> None:
    first = bench.run()
    bench.storages["far"], far = faulty(forbidden, at_call=1, times=None), bench.storages["far"]
    bench.run()  # in near only
    bench.storages["far"] = far
    result = bench.run(parent_kinds=("static", "base"))
    assert result.manifest.parent == first.manifest.backup_id
    assert bench.source.contexts[-1].parent == first.manifest
    assert bench.source.contexts[-1].backup_id == result.manifest.backup_id
    assert bench.plan(parent_kinds=("static",)).parent == result.manifest.backup_id
    bench.storages["far"] = faulty(at_call=1, times=None)
    again = bench.run(parent_kinds=("static",))
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
