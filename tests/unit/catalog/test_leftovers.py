# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dead runs left is removed by the next one; what may be alive, or is a backup, never."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.folder_content import look_into
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.leftovers import Sweep, sweep_leftovers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.sweep_mark import mark_key, put_mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageForbidden,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import (
    DeleteReport,
    Storage,
    Unfinished,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import START, FakeClock
from tests.support.manifests import FULL, manifest, store, unreachable
from tests.support.memory import MemoryStorage

OURS = "db1.example.org"
DEAD = FULL.backup("20261121T015900Z-dddddd")
NOW = START


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage(clock=FakeClock())
    return LocalStorage(path=str(tmp_path / "repository"), create=True)


def sweep(storage: Storage, *, now: datetime.datetime = NOW) -> Sweep:
    return sweep_leftovers(storage, series=FULL, host=OURS, now=now)


def leave(storage: Storage, *, host: str = OURS, names: t.Sequence[str] = ("dump.archive.zst",)) -> None:
    """What a run leaves that dies between its payloads and its manifest."""
    storage.put(DEAD.key("started.json"), json.dumps({"host": host}).encode())
    for name in names:
        storage.put(DEAD.key(name), b"x" * 1000)


def keys(storage: Storage) -> list[str]:
    return [found.key for found in storage.list()]


def test_the_leftovers_of_our_own_runs_go_at_once(storage: Storage) -> None:
    leave(storage, names=("dump.archive.zst", "users.json.zst", "RESTORE.md"))
    report = sweep(storage)
    assert sorted(report.removed) == sorted(
        DEAD.key(name) for name in ("dump.archive.zst", "users.json.zst", "RESTORE.md", "started.json")
    )
    assert report.kept == {}
    assert keys(storage) == []


def test_a_sweep_of_what_is_clean_does_nothing(storage: Storage) -> None:
    assert sweep(storage) == Sweep()
    store(storage, manifest())
    before = keys(storage)
    assert sweep(storage) == Sweep()
    assert keys(storage) == before


def test_a_run_of_another_host_is_left_alone_until_none_can_last_so_long(storage: Storage) -> None:
    leave(storage, host="db2.example.org")
    upload = storage.writer(DEAD.key("users.json.zst"))
    before = keys(storage)
    for now in (NOW, NOW + datetime.timedelta(days=6, hours=23)):
        assert sweep(storage, now=now) == Sweep()
    assert keys(storage) == before
    assert [found.key for found in storage.unfinished()] == [DEAD.key("users.json.zst")]
    sweep(storage, now=NOW + datetime.timedelta(days=7))
    assert keys(storage) == []
    assert list(storage.unfinished()) == []
    upload.abort()


@pytest.mark.parametrize("host", [OURS, "db2.example.org"])
@pytest.mark.parametrize("later", [datetime.timedelta(), datetime.timedelta(days=400)])
def test_whatever_has_a_manifest_is_left_alone(storage: Storage, host: str, later: datetime.timedelta) -> None:
    store(storage, manifest(host=host))
    broken = store(storage, manifest(backup_id="20261120T020000Z-eeeeee", host=host))
    storage.put(broken.manifest_key, b"not even JSON", if_absent=False)
    storage.delete([manifest().folder.key("started.json")])
    before = keys(storage)
    assert sweep(storage, now=NOW + later) == Sweep()
    assert keys(storage) == before


def test_a_manifest_that_appears_while_we_look_is_seen_before_anything_is_removed(storage: Storage) -> None:
    class Late(FaultyStorage):
        """The manifest comes after the folder was listed."""

        def get(self, key: str, *, limit: int = 1 << 26) -> bytes:
            storage.put(DEAD.manifest_key, b"{}")
            return super().get(key, limit=limit)

    leave(storage)
    assert sweep(Late(storage=storage)) == Sweep()
    assert len(keys(storage)) == 3


def test_a_folder_that_says_nothing_of_its_run_is_left_alone_until_no_run_can_last_so_long(storage: Storage) -> None:
    storage.put(DEAD.key("dump.archive.zst"), b"x")
    assert sweep(storage) == Sweep()
    storage.put(DEAD.key("started.json"), b"[1, 2")
    assert sweep(storage) == Sweep()
    storage.put(DEAD.key("started.json"), b"[1, 2]", if_absent=False)
    assert sweep(storage) == Sweep()
    sweep(storage, now=NOW + datetime.timedelta(days=8))
    assert keys(storage) == []


def test_what_others_keep_below_the_series_is_left_alone(storage: Storage) -> None:
    foreign = [
        f"{FULL.folder}notes.txt",
        f"{FULL.folder}20261341T020000Z-4f2c91/x",
        f"{FULL.folder}latest/manifest.json",
        "family/main/oplog/20261121T015900Z-dddddd/started.json",
    ]
    for key in foreign:
        storage.put(key, b'{"host": "db1.example.org"}')
    uploads = [storage.writer(f"{FULL.folder}upload.bin"), storage.writer("family/main/oplog/x.bin")]
    begun = min(upload.started for upload in storage.unfinished())
    assert sweep(storage, now=begun + datetime.timedelta(days=6)) == Sweep()
    assert keys(storage) == sorted(foreign)
    assert len(list(storage.unfinished())) == 2
    for upload in uploads:
        upload.abort()


# --- uploads ----------------------------------------------------------------------------------------------------


def test_uploads_of_our_dead_runs_are_aborted_with_the_rest(storage: Storage) -> None:
    leave(storage)
    upload = storage.writer(DEAD.key("users.json.zst"))
    upload.write(b"half of it")
    report = sweep(storage)
    assert DEAD.key("users.json.zst") in report.removed
    assert list(storage.unfinished()) == []
    assert keys(storage) == []
    upload.abort()


def test_an_upload_beside_a_manifest_is_aborted_and_the_backup_stays(storage: Storage) -> None:
    folder = store(storage, manifest(host=OURS))
    upload = storage.writer(folder.key("manifest.json"), if_absent=False)
    before = keys(storage)
    assert sweep(storage).removed == [folder.manifest_key]
    assert list(storage.unfinished()) == []
    assert keys(storage) == before
    upload.abort()


@pytest.mark.parametrize("key", [DEAD.key("started.json"), DEAD.key("dump.archive.zst"), ".lifeboat-check"])
def test_an_upload_whose_run_nobody_knows_is_aborted_once_it_can_not_be_going_on(storage: Storage, key: str) -> None:
    """Such as that of started.json itself, and of the object that check() writes."""
    upload = storage.writer(key)
    (found,) = storage.unfinished()
    assert sweep(storage, now=found.started + datetime.timedelta(minutes=9)) == Sweep()
    assert len(list(storage.unfinished())) == 1
    assert sweep(storage, now=found.started + datetime.timedelta(minutes=11)).removed == [key]
    assert list(storage.unfinished()) == []
    upload.abort()


# --- repositories that don't let us -----------------------------------------------------------------------------


class Refusing(MemoryStorage):
    """Refuses to delete keys that end in one of *endings*, as object lock does, and to abort any upload."""

    def __init__(self, *, endings: tuple[str, ...], forbid_abort: bool = False) -> None:
        super().__init__()
        self.endings = endings
        self.forbid_abort = forbid_abort

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        refused = {key: "locked until 2026-12-24" for key in keys if key.endswith(self.endings)}
        done = super().delete([key for key in keys if key not in refused])
        return DeleteReport(deleted=done.deleted, refused=refused)

    def abort_unfinished(self, upload: Unfinished) -> None:
        if self.forbid_abort:
            raise StorageForbidden("not you")
        super().abort_unfinished(upload)


def test_what_can_not_be_removed_is_reported_and_stays_recognisable() -> None:
    storage = Refusing(endings=(".zst",))
    leave(storage, names=("dump.archive.zst", "users.json"))
    report = sweep(storage)
    assert report.kept == {DEAD.key("dump.archive.zst"): "locked until 2026-12-24"}
    assert report.removed == [DEAD.key("users.json")]
    assert keys(storage) == [DEAD.key("dump.archive.zst"), DEAD.key("started.json")]
    storage.endings = ("nothing",)
    assert sweep(storage).kept == {}
    assert keys(storage) == []


def test_an_upload_that_can_not_be_aborted_is_reported_and_its_run_stays_recognisable() -> None:
    storage = Refusing(endings=("nothing",), forbid_abort=True)
    leave(storage)
    upload = storage.writer(DEAD.key("users.json.zst"))
    report = sweep(storage)
    assert report.kept == {DEAD.key("users.json.zst"): "not you"}
    assert DEAD.key("started.json") in keys(storage)
    storage.forbid_abort = False
    sweep(storage)
    assert keys(storage) == []
    assert list(storage.unfinished()) == []
    upload.abort()


def test_a_sweep_that_dies_anywhere_is_finished_by_the_next() -> None:
    """Payloads go before started.json: what is left always says whose it is."""
    calls = len(run_interrupted(at_call=None).calls)
    assert calls > 5
    for call in range(1, calls + 1):
        storage = run_interrupted(at_call=call)
        sweep(storage)
        assert keys(storage) == [], f"after a sweep that died at call {call}"
        assert list(storage.unfinished()) == []


def run_interrupted(*, at_call: int | None) -> FaultyStorage:
    inner = MemoryStorage()
    leave(inner, names=("dump.archive.zst", "users.json.zst"))
    inner.upload = inner.writer(DEAD.key("more.zst"))  # type: ignore[attr-defined]  # kept alive with its storage
    storage = FaultyStorage(storage=inner, fault=unreachable, point=FaultPoint(at_call=at_call))
    try:
        sweep(storage)
    except StorageUnreachable:
        assert at_call is not None
    return storage


def test_many_backups_are_swept_with_one_listing() -> None:
    storage = FaultyStorage(storage=MemoryStorage())
    for day in range(1, 29):
        store(storage, manifest(backup_id=f"202610{day:02}T020000Z-000000"))
    storage.calls.clear()
    sweep(storage)
    assert len(storage.calls) < 5


def test_a_swept_repository_still_lists_its_backups(storage: Storage) -> None:
    store(storage, manifest())
    leave(storage)
    sweep(storage)
    assert [backup.manifest for backup in read_catalog({"local": storage}).backups] == [manifest()]


# --- copies from other repositories, and removals by policy -----------------------------------------------------


def begin_copy(storage: Storage, folder: BackupFolder = DEAD) -> None:
    """As a copy begins: it says so, and that the folder is no run's of any host."""
    document = json.dumps({"host": "", "parent": None, "copy": {"host": OURS}})
    storage.put(folder.key("started.json"), document.encode(), if_absent=False)


def test_a_copy_that_is_being_made_is_no_leftover_however_old_the_backup() -> None:
    clock = FakeClock()
    storage = MemoryStorage(clock=clock)
    old = FULL.backup("20250101T020000Z-aaaaaa")
    begin_copy(storage, old)
    storage.put(old.key("dump.archive.zst"), b"x")
    before = keys(storage)
    assert sweep(storage, now=clock.now() + datetime.timedelta(days=6, hours=23)) == Sweep()
    assert keys(storage) == before
    sweep(storage, now=clock.now() + datetime.timedelta(days=7, seconds=1))
    assert keys(storage) == []


def test_a_copy_that_begins_while_we_sweep_loses_nothing() -> None:
    """It writes started.json and then looks for the mark; we write the mark and then look for started.json."""
    calls = len(sweep_while_copying(at_call=0)[0].calls)
    seen = set()
    for call in range(1, calls + 1):
        storage, copy_went_on = sweep_while_copying(at_call=call)
        seen.add(copy_went_on)
        if copy_went_on:
            assert DEAD.key("dump.archive.zst") in keys(storage), f"at call {call} the copy was robbed"
    assert seen == {True, False}


def sweep_while_copying(*, at_call: int) -> tuple[FaultyStorage, bool]:
    """A sweep, before whose call of that number a copy begins; whether the copy saw nothing of the sweep."""
    inner = MemoryStorage(clock=FakeClock())
    leave(inner)
    went_on = []

    def copy() -> None:
        begin_copy(inner)
        went_on.append(not look_into(inner, DEAD).removals)
        if went_on[0]:
            inner.put(DEAD.key("dump.archive.zst"), b"copied", if_absent=False)

    storage = FaultyStorage(storage=inner, fault=copy, point=FaultPoint(at_call=at_call or None))
    sweep(storage)
    return storage, bool(went_on and went_on[0])


def test_the_note_of_a_removal_by_policy_is_no_leftover_nor_what_is_beside_it(storage: Storage) -> None:
    leave(storage)
    storage.put(DEAD.key("removal-20261121T030000Z-0000aa.json"), b"{}")
    before = keys(storage)
    assert sweep(storage, now=NOW + datetime.timedelta(days=400)) == Sweep()
    assert keys(storage) == before


def test_our_mark_of_a_sweep_that_died_goes_and_that_of_others_stays(storage: Storage) -> None:
    put_mark(storage, DEAD, OURS)
    put_mark(storage, DEAD, "db2.example.org")
    sweep(storage)
    assert keys(storage) == [mark_key(DEAD, "db2.example.org")]


def test_what_others_write_beside_a_manifest_is_left_alone(storage: Storage) -> None:
    """Verifications, pins and repairs are written at any time; only the manifest is the run's own last word."""
    folder = store(storage, manifest(host=OURS))
    uploads = [storage.writer(folder.key(name)) for name in ("verification-20261121T030000Z-0000aa.json", "more.zst")]
    begun = max(upload.started for upload in storage.unfinished())
    assert sweep(storage, now=begun + datetime.timedelta(days=6)) == Sweep()
    assert len(list(storage.unfinished())) == 2
    sweep(storage, now=begun + datetime.timedelta(days=8))
    assert list(storage.unfinished()) == []
    for upload in uploads:
        upload.abort()


def test_where_nothing_may_be_deleted_the_mark_stays_one_and_is_told() -> None:
    storage = Refusing(endings=(".zst", ".json"))
    leave(storage)
    for _turn in range(3):
        report = sweep(storage)
        assert set(report.kept) == {DEAD.key("dump.archive.zst"), mark_key(DEAD, OURS)}
    assert [key for key in keys(storage) if "sweep-" in key] == [mark_key(DEAD, OURS)]
