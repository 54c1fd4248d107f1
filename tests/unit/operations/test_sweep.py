# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to nothing is shown and removed; what may belong to somebody, never."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.folder_content import look_into
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.sweep_mark import put_mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.sweep import Swept, sweep_orphans
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import DeleteReport, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage
from tests.support.removals import BASE, backup, fill

WEEK = datetime.timedelta(days=7)
WHOLE = backup(4)
DEAD = BASE.backup("20261101T020000Z-dddddd")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    storage = MemoryStorage(clock=clock)
    fill(storage, [WHOLE])
    return storage


def leave(storage: Storage, folder: BackupFolder = DEAD) -> None:
    storage.put(folder.key("started.json"), json.dumps({"host": "db1"}).encode())
    storage.put(folder.key("dump"), b"x" * 1000)


def sweep(storage: Storage, clock: FakeClock, *, apply: bool = True, **more: t.Any) -> Swept:
    return sweep_orphans(storage, older_than=WEEK, host=Host(clock=clock, name="db9"), apply=apply, **more)


def keys(storage: Storage) -> list[str]:
    return [found.key for found in storage.list()]


def test_the_rest_of_a_dead_run_goes_when_nothing_was_added_for_long_enough(
    storage: MemoryStorage, clock: FakeClock
) -> None:
    whole = keys(storage)
    leave(storage)
    clock.advance(WEEK.total_seconds())
    assert sweep(storage, clock) == Swept()
    clock.advance(1)
    shown = sweep(storage, clock, apply=False)
    assert len(keys(storage)) == len(whole) + 2
    assert [(one.place, one.what, one.objects, one.bytes, one.is_removed) for one in shown.orphans] == [
        (DEAD.key(""), "folder without a manifest", 2, 1015, False)
    ]
    result = sweep(storage, clock)
    assert [(one.place, one.is_removed, one.kept) for one in result.orphans] == [(DEAD.key(""), True, "")]
    assert result.bytes == 1015
    assert result.as_dict()["orphans"][0]["newest"] == "2026-11-21T02:00:00Z"
    assert keys(storage) == whole
    assert sweep(storage, clock) == Swept()


@pytest.mark.parametrize("name", ["dump2", "verification-20261121T020000Z-0000aa.json", "started.json"])
def test_one_young_object_keeps_the_folder_however_old_the_backup_id(
    storage: MemoryStorage, clock: FakeClock, name: str
) -> None:
    leave(storage)
    clock.advance(WEEK.total_seconds() + 1)
    storage.put(DEAD.key(name), b"{}", if_absent=False)
    before = keys(storage)
    assert sweep(storage, clock) == Swept()
    assert keys(storage) == before


def test_a_young_upload_keeps_the_folder_too(storage: MemoryStorage, clock: FakeClock) -> None:
    leave(storage)
    clock.advance(WEEK.total_seconds() + 1)
    upload = storage.writer(DEAD.key("dump2"))
    assert sweep(storage, clock) == Swept()
    assert len(list(storage.unfinished())) == 1
    upload.abort()


def test_backups_removals_and_streams_are_left_alone(storage: MemoryStorage, clock: FakeClock) -> None:
    leave(storage)
    storage.put(DEAD.key("removal-20261121T020000Z-0000aa.json"), b"{}")
    storage.put("shop/main/wal/7312/segments/0000/000000010000000000000001.x", b"x")
    storage.put("shop/main/wal/notes.txt", b"x")
    before = keys(storage)
    clock.advance(400 * 86400.0)
    assert sweep(storage, clock) == Swept()
    assert keys(storage) == before


def test_what_lifeboat_can_not_have_written_is_shown_and_left_alone(storage: MemoryStorage, clock: FakeClock) -> None:
    storage.put(f"{BASE.folder}notes.txt", b"x")
    storage.put(f"{BASE.folder}old/dump.tar", b"x")
    clock.advance(400 * 86400.0)
    result = sweep(storage, clock)
    assert result.strange == (f"{BASE.folder}notes.txt", f"{BASE.folder}old/dump.tar")
    assert result.orphans == ()
    assert len(keys(storage)) == len(result.strange) + 6


def test_old_uploads_go_wherever_they_are(storage: MemoryStorage, clock: FakeClock) -> None:
    uploads = [storage.writer(key) for key in ("shop/main/wal/7312/segments/0000/x", WHOLE.folder.key("more"))]
    clock.advance(WEEK.total_seconds() + 1)
    young = storage.writer("shop/main/wal/7312/segments/0000/y")
    assert {one.place for one in sweep(storage, clock, apply=False).orphans} == {
        "shop/main/wal/7312/segments/0000/x",
        WHOLE.folder.key("more"),
    }
    assert len(list(storage.unfinished())) == 3
    assert all(one.is_removed and one.what == "unfinished upload" for one in sweep(storage, clock).orphans)
    assert [upload.key for upload in storage.unfinished()] == ["shop/main/wal/7312/segments/0000/y"]
    for upload in [*uploads, young]:
        upload.abort()


def test_a_copy_that_begins_at_any_moment_loses_nothing(clock: FakeClock) -> None:
    calls = len(sweep_while_copying(at_call=0)[0].calls)
    seen = set()
    for call in range(1, calls + 1):
        storage, went_on = sweep_while_copying(at_call=call)
        seen.add(went_on)
        if went_on:
            assert DEAD.key("dump") in keys(storage), f"at call {call} the copy was robbed"
    assert seen == {True, False}


def sweep_while_copying(*, at_call: int) -> tuple[FaultyStorage, bool]:
    clock = FakeClock()
    inner = MemoryStorage(clock=clock)
    leave(inner)
    clock.advance(WEEK.total_seconds() + 1)
    went_on = []

    def copy() -> None:
        document = json.dumps({"host": "", "copy": {}}).encode()
        inner.put(DEAD.key("started.json"), document, if_absent=False)
        went_on.append(not look_into(inner, DEAD).removals)
        if went_on[0]:
            inner.put(DEAD.key("dump"), b"copied", if_absent=False)

    storage = FaultyStorage(storage=inner, fault=copy, point=FaultPoint(at_call=at_call or None))
    sweep(storage, clock)
    return storage, bool(went_on and went_on[0])


def test_marks_of_sweeps_that_died_go_wherever_they_are(storage: MemoryStorage, clock: FakeClock) -> None:
    put_mark(storage, DEAD, "db1")
    put_mark(storage, WHOLE.folder, "db1")
    clock.advance(WEEK.total_seconds() + 1)
    sweep(storage, clock)
    assert [key for key in keys(storage) if "sweep-" in key] == []
    assert len(keys(storage)) == 6


def test_what_can_not_be_removed_is_told_and_stays(clock: FakeClock) -> None:
    class Denying(MemoryStorage):
        """Deletes no dumps."""

        def delete(self, keys: t.Sequence[str]) -> DeleteReport:
            refused = {key: "not you" for key in keys if key.endswith("/dump")}
            done = super().delete([key for key in keys if key not in refused])
            return DeleteReport(deleted=done.deleted, refused=refused)

    storage = Denying(clock=clock)
    leave(storage)
    clock.advance(WEEK.total_seconds() + 1)
    (orphan,) = sweep(storage, clock).orphans
    assert (orphan.is_removed, orphan.kept) == (False, "not you")
    assert keys(storage) == [DEAD.key("dump"), DEAD.key("started.json")]


def test_what_a_bucket_kept_of_folders_that_nobody_sees_goes_by_choice(clock: FakeClock) -> None:
    storage = MemoryStorage(clock=clock, versioned=True)
    fill(storage, [WHOLE])
    leave(storage)
    storage.delete([DEAD.key("dump"), DEAD.key("started.json")])
    storage.put(WHOLE.folder.key("RESTORE.md"), b"newer", if_absent=False)
    clock.advance(WEEK.total_seconds() + 1)
    assert sweep(storage, clock) == Swept()
    (orphan,) = sweep(storage, clock, versions="all").orphans
    assert (orphan.place, orphan.what, orphan.objects, orphan.is_removed) == (DEAD.key(""), "old versions", 4, True)
    assert [version for version in storage.versions() if DEAD.backup_id in version.key] == []
    assert len([version for version in storage.versions() if version.key.endswith("RESTORE.md")]) == 2


def test_a_repository_that_does_not_answer_is_the_results_error(storage: MemoryStorage, clock: FakeClock) -> None:
    leave(storage)
    clock.advance(WEEK.total_seconds() + 1)
    counting = FaultyStorage(storage=storage)
    sweep(counting, clock, apply=False)
    for call in range(1, len(counting.calls) + 1):
        broken = FaultyStorage(storage=storage, fault=unreachable, point=FaultPoint(at_call=call, times=None))
        result = sweep(broken, clock)
        assert result.error is not None
        assert result.as_dict()["error"]["code"] == "storage.unreachable"
