# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog is what the manifests say, in every repository that can be read, and what could not be read is said."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import (
    Selection,
    find_backup,
    read_catalog,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    BackupNotFound,
    ManifestInvalid,
    ManifestTooNew,
    RequestInvalid,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import START
from tests.support.manifests import BACKUP_ID, FULL, manifest, signed, store, unreachable
from tests.support.memory import MemoryStorage

FIRST, SECOND, THIRD = "20261119T020000Z-000001", "20261120T020000Z-000002", "20261121T020000Z-000003"


@pytest.fixture
def local(tmp_path: pathlib.Path) -> LocalStorage:
    return LocalStorage(path=str(tmp_path / "repository"), create=True)


def ids(storages: t.Mapping[str, Storage], **selection: t.Any) -> list[str]:
    return [backup.manifest.backup_id for backup in read_catalog(storages, selection=Selection(**selection)).backups]


def test_an_empty_repository_holds_no_backups_and_has_no_problems(local: LocalStorage) -> None:
    reading = read_catalog({"local": local, "offsite": MemoryStorage()})
    assert (reading.backups, reading.problems) == ((), ())


def test_one_backup_in_several_repositories_is_one_entry(local: LocalStorage) -> None:
    offsite = MemoryStorage()
    for storage in (local, offsite):
        store(storage, manifest())
    (backup,) = read_catalog({"local": local, "offsite": offsite}).backups
    assert backup.manifest == manifest()
    assert backup.repositories == {"local": "complete", "offsite": "complete"}
    assert (backup.missing, backup.is_partial, backup.state) == ((), False, "complete")
    document = backup.as_dict()
    assert (document["id"], document["partial"], document["seconds"]) == (BACKUP_ID, False, 61.25)
    assert (document["stored_bytes"], document["plain_bytes"]) == (28, None)


def test_without_its_manifest_a_folder_is_no_backup_however_much_it_holds(local: LocalStorage) -> None:
    folder = store(local, manifest())
    local.delete([folder.manifest_key])
    reading = read_catalog({"local": local})
    assert (reading.backups, reading.problems) == ((), ())


def test_a_repository_of_the_job_that_lacks_the_backup_makes_it_partial() -> None:
    local, offsite = MemoryStorage(), MemoryStorage()
    store(local, manifest(backup_id=FIRST))
    store(offsite, manifest(backup_id=FIRST))
    store(local, manifest(backup_id=SECOND))
    storages = {"local": local, "offsite": offsite}
    first, second = read_catalog(storages).backups
    assert (first.missing, second.missing) == ((), ("offsite",))
    assert second.as_dict()["missing"] == ["offsite"]
    assert ids(storages, state="partial") == [SECOND]
    assert ids(storages, state="complete") == [FIRST, SECOND]
    assert ids(storages, state="failed") == []


def test_a_repository_that_was_not_asked_or_could_not_be_read_is_not_called_missing() -> None:
    local = MemoryStorage()
    store(local, manifest())
    assert read_catalog({"local": local}).backups[0].missing == ()
    down = FaultyStorage(storage=MemoryStorage(), fault=unreachable, point=FaultPoint(at_call=1, times=None))
    assert read_catalog({"local": local, "offsite": down}).backups[0].missing == ()


def test_an_unreachable_repository_is_a_problem_and_the_others_are_listed() -> None:
    local = MemoryStorage()
    store(local, manifest())
    for call in range(1, 5):
        broken = MemoryStorage()
        store(broken, manifest())
        down = FaultyStorage(storage=broken, fault=unreachable, point=FaultPoint(at_call=call, times=None))
        reading = read_catalog({"offsite": down, "local": local})
        assert [backup.manifest.backup_id for backup in reading.backups] == [BACKUP_ID]
        (problem,) = reading.problems
        assert isinstance(problem, StorageUnreachable)
        assert problem.details["repository"] == "offsite"


def test_a_listing_that_breaks_in_the_middle_is_a_problem_too() -> None:
    class Breaking(MemoryStorage):
        """Breaks a listing after its first item."""

        def list_folders(self, prefix: str = "") -> t.Iterator[str]:
            yield from list(super().list_folders(prefix))[:1]
            unreachable()

    broken = Breaking()
    store(broken, manifest())
    reading = read_catalog({"offsite": broken})
    assert [type(problem) for problem in reading.problems] == [StorageUnreachable]


def test_a_manifest_that_can_not_be_read_is_a_problem_and_the_others_are_listed() -> None:
    local, offsite = MemoryStorage(), MemoryStorage()
    for storage in (local, offsite):
        for backup_id in (FIRST, SECOND, THIRD):
            store(storage, manifest(backup_id=backup_id))
    bad = FULL.backup(SECOND).manifest_key
    local.put(bad, manifest(backup_id=SECOND).as_bytes()[:-20], if_absent=False)
    newer = signed({**manifest(backup_id=THIRD).as_dict(), "format_version": 2})
    offsite.put(FULL.backup(THIRD).manifest_key, newer, if_absent=False)
    reading = read_catalog({"local": local, "offsite": offsite})
    assert {type(problem): problem.details["repository"] for problem in reading.problems} == {
        ManifestInvalid: "local",
        ManifestTooNew: "offsite",
    }
    assert [(backup.manifest.backup_id, sorted(backup.repositories)) for backup in reading.backups] == [
        (FIRST, ["local", "offsite"]),
        (SECOND, ["offsite"]),
        (THIRD, ["local"]),
    ]


def test_a_manifest_of_another_folder_is_a_problem_and_no_backup() -> None:
    storage = MemoryStorage()
    storage.put(FULL.backup(FIRST).manifest_key, manifest().as_bytes())
    reading = read_catalog({"local": storage})
    assert reading.backups == ()
    assert [type(problem) for problem in reading.problems] == [ManifestInvalid]


def test_manifests_that_differ_between_repositories_are_reported() -> None:
    local, offsite = MemoryStorage(), MemoryStorage()
    store(local, manifest())
    store(offsite, manifest(content={"databases": {}}))
    reading = read_catalog({"local": local, "offsite": offsite})
    assert len(reading.backups) == 1
    (problem,) = reading.problems
    assert "in local and offsite differ" in problem.message
    assert problem.details["repository"] == "offsite"


def test_what_others_keep_in_the_repository_does_not_disturb(local: LocalStorage) -> None:
    store(local, manifest())
    for key in (
        "README",
        "Photos/2026/summer/20261121T020000Z-4f2c91/manifest.json",
        "family/Old/full/20261121T020000Z-4f2c91/manifest.json",
        "family/main/FULL/20261121T020000Z-4f2c91/manifest.json",
        "family/main/full/latest/manifest.json",
        "family/main/full/20261341T020000Z-4f2c91/manifest.json",
        "family/main/full/note.txt",
        "family/note.txt",
    ):
        local.put(key, b"not ours")
    for selection in (Selection(), Selection(before=START + datetime.timedelta(days=1)), Selection(service="family")):
        reading = read_catalog({"local": local}, selection=selection)
        assert [backup.manifest.backup_id for backup in reading.backups] == [BACKUP_ID]
        assert reading.problems == ()


# --- filters ----------------------------------------------------------------------------------------------------


@pytest.fixture
def full_catalog() -> dict[str, Storage]:
    storage = MemoryStorage()
    for backup_id in (FIRST, SECOND, THIRD):
        store(storage, manifest(backup_id=backup_id, repositories=("local",)))
        store(storage, manifest(backup_id=backup_id, kind="oplog", repositories=("local",)))
    store(storage, manifest(backup_id=FIRST, source="cache", engine="redis", kind="rdb", repositories=("local",)))
    store(storage, manifest(backup_id=THIRD, service="acme", engine="postgresql", kind="base", repositories=("local",)))
    return {"local": storage}


def test_backups_come_oldest_first(full_catalog: dict[str, Storage]) -> None:
    found = ids(full_catalog)
    assert len(found) == 8
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        ({}, 8),
        ({"service": "family"}, 7),
        ({"service": "acme"}, 1),
        ({"service": "nobody"}, 0),
        ({"source": "main"}, 7),
        ({"source": "cache"}, 1),
        ({"kind": "oplog"}, 3),
        ({"engine": "mongodb"}, 6),
        ({"engine": "postgresql"}, 1),
        ({"backup_id": FIRST}, 3),
        ({"backup_id": FIRST, "kind": "full"}, 1),
        ({"backup_id": "20300101T000000Z-000000"}, 0),
        ({"newest": 1}, 4),
        ({"newest": 2}, 6),
        ({"newest": 100}, 8),
        ({"newest": 0}, 0),
        ({"newest": 1, "engine": "mongodb"}, 2),
        ({"before": START}, 5),
        ({"before": START + datetime.timedelta(seconds=1)}, 8),
        ({"before": START - datetime.timedelta(days=10)}, 0),
        ({"before": START, "newest": 1, "kind": "full"}, 1),
    ],
)
def test_filters_combine(full_catalog: dict[str, Storage], selection: dict[str, t.Any], count: int) -> None:
    assert len(ids(full_catalog, **selection)) == count


def test_the_newest_of_each_series_are_those_that_are_backups(full_catalog: dict[str, Storage]) -> None:
    folder = FULL.backup("20261122T020000Z-ffffff")
    full_catalog["local"].put(folder.key("started.json"), b"{}")
    assert ids(full_catalog, kind="full", newest=1) == [THIRD]


def test_the_newest_before_a_moment_is_the_last_one_that_started_earlier(full_catalog: dict[str, Storage]) -> None:
    assert ids(full_catalog, kind="full", before=START, newest=1) == [SECOND]


@pytest.mark.parametrize("place", ["service", "source", "kind"])
@pytest.mark.parametrize("name", ["..", "a/b", "Family", ""])
def test_a_filter_that_no_name_can_match_is_refused(place: str, name: str) -> None:
    with pytest.raises(RequestInvalid, match=f"The {place} "):
        Selection(**{place: name})


def test_one_backup_is_found_by_its_id_or_the_error_counts_what_could_not_be_read() -> None:
    storage = MemoryStorage()
    store(storage, manifest())
    reading = read_catalog({"local": storage})
    assert find_backup(reading, BACKUP_ID).manifest == manifest()
    with pytest.raises(BackupNotFound, match=f"No backup {FIRST}") as raised:
        find_backup(reading, FIRST)
    assert raised.value.hint
    broken = dataclasses.replace(reading, problems=(StorageUnreachable("down"),))
    with pytest.raises(BackupNotFound, match="1 places of the catalog could not be read"):
        find_backup(broken, FIRST)


def test_a_series_of_many_backups_is_read_whole() -> None:
    storage = MemoryStorage()
    series = Series(service="family", source="main", kind="full")
    moments = [START + datetime.timedelta(minutes=15 * number) for number in range(200)]
    expected = [f"{moment:%Y%m%dT%H%M%SZ}-{number:06x}" for number, moment in enumerate(moments)]
    for backup_id in expected:
        storage.put(series.backup(backup_id).manifest_key, manifest(backup_id=backup_id).as_bytes())
    assert ids({"local": storage}) == expected


def test_no_more_manifests_are_read_than_the_newest_ones_that_are_wanted() -> None:
    storage = FaultyStorage(storage=MemoryStorage())
    for day in range(1, 21):
        store(storage, manifest(backup_id=f"202611{day:02}T020000Z-000000", engine="mongodb" if day < 19 else "other"))
    started = FULL.backup("20261122T020000Z-ffffff").key("started.json")
    storage.put(started, b"{}")
    storage.calls.clear()
    assert ids({"local": storage}, kind="full", newest=2) == [f"202611{day}T020000Z-000000" for day in (19, 20)]
    assert requests(storage) == (3, 2)
    storage.calls.clear()
    assert ids({"local": storage}, engine="mongodb", newest=1) == ["20261118T020000Z-000000"]
    assert requests(storage) == (4, 3)


def requests(storage: FaultyStorage) -> tuple[int, int]:
    """How many folders were listed, and how many objects read."""
    names = [call.partition(" ")[0] for call in storage.calls]
    return names.count("list"), names.count("get")
