# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that is being removed is no backup, and a copy that a policy removed is not missing."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import (
    Reading,
    Selection,
    find_backup,
    read_catalog,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.copies import require_copy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.folder_content import look_into
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, pin_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import (
    DELETING,
    REMOVED,
    Removal,
    removal_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.sweep_mark import put_mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    BackupNotFound,
    BackupRemoved,
    PinInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import START, FakeClock
from tests.support.manifests import BACKUP_ID, DATA, manifest, store
from tests.support.memory import MemoryStorage

MARK = "20261122T030000Z-0000aa"


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage(clock=FakeClock())
    return LocalStorage(path=str(tmp_path / "repository"), create=True)


def mark(storage: Storage, folder: BackupFolder, *, repository: str = "local", removal_id: str = MARK) -> str:
    removal = Removal(
        removal_id=removal_id,
        backup_id=folder.backup_id,
        repository=repository,
        plan_hash="a plan",
        reasons=("older than 30d", "31 newer verified"),
        started=START,
        host="db1",
        lifeboat_version="0.1.0",
    )
    key = removal_key(folder, removal_id)
    storage.put(key, removal.as_bytes())
    return key


def pin(storage: Storage, folder: BackupFolder, *, pin_id: str = "20261121T120000Z-0000cc", **more: t.Any) -> Pin:
    made = Pin(pin_id=pin_id, backup_id=folder.backup_id, reason="the audit", by="ops", host="db1", made=START, **more)
    storage.put(pin_key(folder, pin_id), made.as_bytes())
    return made


def read(**storages: Storage) -> Reading:
    return read_catalog(storages)


def test_from_the_mark_on_no_list_shows_the_copy_and_without_it_again(storage: Storage) -> None:
    folder = store(storage, manifest())
    key = mark(storage, folder)
    reading = read(local=storage)
    assert (reading.backups, reading.problems) == ((), ())
    (copy,) = reading.removals
    assert (copy.folder, copy.repository, copy.state, copy.marks) == (folder, "local", DELETING, 1)
    storage.delete([key])
    reading = read(local=storage)
    assert [backup.manifest.backup_id for backup in reading.backups] == [BACKUP_ID]
    assert reading.removals == ()


def test_a_mark_counts_whatever_is_in_it(storage: Storage) -> None:
    folder = store(storage, manifest())
    storage.put(removal_key(folder, MARK), b"\xff not even JSON")
    reading = read(local=storage)
    assert (reading.backups, reading.problems) == ((), ())
    assert len(reading.removals) == 1
    with pytest.raises(BackupRemoved):
        find_backup(read_catalog({"local": storage}, selection=Selection(backup_id=BACKUP_ID)), BACKUP_ID)


def test_a_copy_that_a_policy_removed_is_not_missing() -> None:
    local, offsite = MemoryStorage(), MemoryStorage()
    folder = store(local, manifest())
    store(offsite, manifest())
    mark(local, folder)
    local.delete([key for key in look_into(local, folder).objects if "removal-" not in key])
    reading = read(local=local, offsite=offsite)
    (backup,) = reading.backups
    assert (backup.missing, backup.removed, backup.is_partial) == ((), ("local",), False)
    assert backup.as_dict()["removed"] == ["local"]
    assert backup.repositories == {"offsite": "complete"}
    assert [(copy.repository, copy.state) for copy in reading.removals] == [("local", REMOVED)]


def test_that_nothing_but_the_mark_is_left_is_the_state_removed(storage: Storage) -> None:
    folder = store(storage, manifest())
    mark(storage, folder)
    for name in (*DATA, "started.json"):
        storage.delete([folder.key(name)])
        assert read(local=storage).removals[0].state == DELETING
    storage.delete([folder.manifest_key])
    assert read(local=storage).removals[0].state == REMOVED
    mark(storage, folder, removal_id="20261122T030000Z-0000ab")
    (copy,) = read(local=storage).removals
    assert (copy.state, copy.marks) == (REMOVED, 2)


def test_whoever_asks_for_a_removed_backup_hears_by_whom_when_and_why(storage: Storage) -> None:
    folder = store(storage, manifest())
    mark(storage, folder)
    reading = read_catalog({"local": storage}, selection=Selection(backup_id=BACKUP_ID))
    with pytest.raises(BackupRemoved) as raised:
        find_backup(reading, BACKUP_ID)
    assert isinstance(raised.value, BackupNotFound)
    for word in ("is being removed from local", "2026-11-21T02:00:00Z", "db1", "older than 30d; 31 newer verified"):
        assert word in raised.value.message
    assert "lifeboat list" in raised.value.hint
    storage.delete([key for key in look_into(storage, folder).objects if "removal-" not in key])
    reading = read_catalog({"local": storage}, selection=Selection(backup_id=BACKUP_ID))
    with pytest.raises(BackupRemoved, match="was removed from local since"):
        find_backup(reading, BACKUP_ID)


def test_require_copy_tells_a_backup_from_one_that_goes_and_one_that_is_gone(storage: Storage) -> None:
    folder = store(storage, manifest())
    require_copy(storage, folder, repository="local")
    key = mark(storage, folder)
    with pytest.raises(BackupRemoved, match="is being removed from local since"):
        require_copy(storage, folder, repository="local")
    storage.delete(list(look_into(storage, folder).objects))
    with pytest.raises(BackupRemoved, match="was removed from local"):
        require_copy(storage, folder, repository="local")
    assert key


def test_a_removal_that_ends_between_two_pages_of_a_listing_is_seen() -> None:
    """The manifest was listed already, and the mark is listed no more."""

    class Paging(MemoryStorage):
        """Lists one object after the other; a removal ends when the manifest was listed."""

        def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
            for found in super().list(prefix):
                if found.key in {one.key for one in super().list(prefix)}:
                    yield found
                if found.key.endswith("manifest.json"):
                    self.delete([one.key for one in super().list(prefix)])

    storage = Paging()
    folder = store(storage, manifest())
    mark(storage, folder)
    with pytest.raises(BackupRemoved, match="was removed from local"):
        require_copy(storage, folder, repository="local")


def test_a_removal_that_is_quicker_than_the_reader_leaves_no_problem() -> None:
    """The folder was listed, and then everything went before the manifest was read, or a verification."""
    for going in ("manifest.json", "verification-20261121T030000Z-000001.json"):
        inner = MemoryStorage()
        folder = store(inner, manifest())
        inner.put(folder.key("verification-20261121T030000Z-000001.json"), b"{}")

        class Quick(FaultyStorage):
            """Everything goes just before *going* is read."""

            def get(self, key: str, *, limit: int = 1 << 26) -> bytes:
                if key.endswith(going):  # noqa: B023
                    mark(inner, folder)  # noqa: B023
                    inner.delete([key for key in look_into(inner, folder).objects if "removal-" not in key])  # noqa: B023
                return super().get(key, limit=limit)

        reading = read(local=Quick(storage=inner))
        assert (reading.backups, reading.problems) == ((), ())
        assert [copy.state for copy in reading.removals] == [REMOVED]


def test_an_object_that_is_listed_and_can_not_be_read_is_a_problem_and_no_endless_search() -> None:
    class Lying(MemoryStorage):
        """Lists a manifest that is not there."""

        def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
            yield ObjectInfo(key=manifest().folder.manifest_key, size=1, modified=START)

    storage = Lying()
    storage.put(manifest().folder.key("x"), b"")
    reading = read(local=storage)
    assert [problem.code for problem in reading.problems] == ["storage.not_found"]


def test_reading_takes_no_more_requests_than_before(storage: Storage) -> None:
    """One listing and one read for a backup without verifications: the removals cost nothing."""
    folder = store(storage, manifest())
    counting = FaultyStorage(storage=storage)
    read(local=counting)
    in_folder = [call for call in counting.calls if folder.key("") in call]
    assert [call.partition(" ")[0] for call in in_folder] == ["list", "get"]
    mark(storage, folder)
    counting.calls.clear()
    read(local=counting)
    assert [call.partition(" ")[0] for call in counting.calls if folder.key("") in call] == ["list"]


# --- pins -------------------------------------------------------------------------------------------------------


def test_pins_of_all_copies_are_the_backups_in_order_of_time() -> None:
    local, offsite = MemoryStorage(), MemoryStorage()
    folder = store(local, manifest())
    store(offsite, manifest())
    later = pin(local, folder, pin_id="20261122T120000Z-0000dd", hold=True)
    first = pin(local, folder)
    pin(offsite, folder)
    (backup,) = read(local=local, offsite=offsite).backups
    assert backup.pins == (first, later)
    assert [one["id"] for one in backup.as_dict()["pins"]] == [first.pin_id, later.pin_id]
    assert "checksum" not in backup.as_dict()["pins"][0]


def test_a_pin_that_can_not_be_read_is_a_problem_and_holds_all_the_same(storage: Storage) -> None:
    folder = store(storage, manifest())
    storage.put(pin_key(folder, "20261121T120000Z-0000cc"), b"{")
    reading = read(local=storage)
    (backup,) = reading.backups
    assert [type(problem) for problem in reading.problems] == [PinInvalid]
    (held,) = backup.pins
    assert (held.pin_id, held.until, held.is_in_force(START)) == ("20261121T120000Z-0000cc", None, True)
    assert "--pin 20261121T120000Z-0000cc" in reading.problems[0].hint


def test_a_pin_is_in_force_until_its_time_and_a_hold_until_it_is_taken_away() -> None:
    values: dict[str, t.Any] = {
        "pin_id": MARK,
        "backup_id": BACKUP_ID,
        "reason": "r",
        "by": "",
        "host": "",
        "made": START,
    }
    later = START.replace(year=2027)
    assert Pin(**values).is_in_force(later)
    assert Pin(**values, until=later).is_in_force(START)
    assert not Pin(**values, until=later).is_in_force(later)
    assert Pin(**values, until=later, hold=True).is_in_force(later)


# --- marks of sweeps --------------------------------------------------------------------------------------------


def test_the_mark_of_a_sweep_never_hides_a_backup_and_tells_a_copy_to_stay_away_for_an_hour() -> None:
    clock = FakeClock()
    storage = MemoryStorage(clock=clock)
    folder = store(storage, manifest())
    key = put_mark(storage, folder, "db1 (the big one)")
    assert key.endswith("/sweep-db1--the-big-one-.json")
    assert len(read(local=storage).backups) == 1
    content = look_into(storage, folder)
    assert (content.sweeps, content.removals, content.policy_removals) == ([key], [key], [])
    clock.advance(3601)
    storage.put(folder.key("started.json"), b"{}", if_absent=False)
    assert look_into(storage, folder).removals == []
    assert key not in look_into(storage, folder).rest


def test_a_folders_payloads_and_notes_are_told_apart(storage: Storage) -> None:
    folder = store(storage, manifest())
    pin(storage, folder)
    for name in ("RESTORE.md", "verification-20261121T030000Z-000001.json", "verification-of-mine.json"):
        storage.put(folder.key(name), b"{}")
    mark(storage, folder)
    content = look_into(storage, folder)
    assert content.payloads == sorted(folder.key(name) for name in (*DATA, "verification-of-mine.json"))
    assert content.notes[-1] == folder.key("started.json")
    assert content.rest == [*content.payloads, *content.notes]
    assert {*content.rest, *content.removals, folder.manifest_key} == set(content.objects)
