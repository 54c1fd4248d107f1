# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody pins stays, everywhere, with all that it builds on, until it is unpinned."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    BackupNotFound,
    BackupRemoved,
    RequestInvalid,
    StorageForbidden,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.pins import (
    PinResult,
    pin_backup,
    unpin_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import DeleteReport, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage
from tests.support.removals import IDS, Pruner, backup, fill

FIRST, CHILD, OTHER = backup(0), backup(1, parent=0), backup(2, parent=0)


class Place:
    """Two repositories with a base and two increments of it."""

    def __init__(self, **storages: Storage) -> None:
        self.clock = FakeClock()
        self.storages: dict[str, Storage] = storages
        for storage in storages.values():
            fill(storage, [FIRST, CHILD, OTHER])

    def pin(self, backup_id: str = CHILD.backup_id, **more: t.Any) -> PinResult:
        host = Host(clock=self.clock, name="db1")
        values = {"reason": "before the migration", "by": "ops", **more}
        return pin_backup(self.storages, backup_id, host=host, **values)

    def unpin(self, backup_id: str = CHILD.backup_id, **more: t.Any) -> PinResult:
        return unpin_backup(self.storages, backup_id, **more)

    def pins(self, backup_id: str = CHILD.backup_id) -> tuple[Pin, ...]:
        found = {one.manifest.backup_id: one.pins for one in read_catalog(self.storages).backups}
        return found[backup_id]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(near=LocalStorage(path=str(tmp_path / "near"), create=True), far=MemoryStorage())


def test_a_pin_lies_beside_every_copy_and_says_who_why_and_until_when(place: Place) -> None:
    until = place.clock.now() + datetime.timedelta(days=90)
    result = place.pin(until=until)
    assert sorted(result.repositories) == ["far", "near"]
    assert result.errors == {}
    (pin,) = place.pins()
    assert (pin.reason, pin.by, pin.host, pin.made, pin.until, pin.hold) == (
        "before the migration",
        "ops",
        "db1",
        place.clock.now(),
        until,
        False,
    )
    assert result.as_dict()["pins"][0]["id"] == pin.pin_id
    for storage in place.storages.values():
        assert len([found for found in storage.list() if "/pin-" in found.key]) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"until": datetime.datetime(2026, 11, 21, 2, tzinfo=datetime.timezone.utc)}, "is over already"),
        ({"until": datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc), "hold": True}, "no end of its own"),
        ({"backup_id": "the last one"}, "is no backup id"),
    ],
)
def test_what_would_hold_nothing_is_refused_before_anything_is_written(
    place: Place, wrong: dict[str, t.Any], said: str
) -> None:
    with pytest.raises(RequestInvalid, match=said) as raised:
        place.pin(**wrong)
    assert raised.value.hint
    assert place.pins() == ()


def test_what_is_not_there_can_not_be_pinned(place: Place) -> None:
    with pytest.raises(BackupNotFound):
        place.pin(IDS[4])
    place.storages = {"near": FaultyStorage(storage=place.storages["near"])}
    Pruner(place.storages["near"], place.clock, elsewhere=IDS).remove(OTHER)
    with pytest.raises(BackupRemoved, match="was removed from near"):
        place.pin(OTHER.backup_id)


def test_a_removal_that_was_quicker_is_told_and_the_pin_taken_back(place: Place) -> None:
    near = place.storages["near"]

    def remove() -> None:
        near.put(CHILD.folder.key("removal-20261121T030000Z-0000aa.json"), b"{}")

    counting = FaultyStorage(storage=near)
    place.storages = {"near": counting}
    place.pin(FIRST.backup_id)
    at = next(number for number, call in enumerate(counting.calls, start=1) if call.startswith("put"))
    place.storages = {"near": FaultyStorage(storage=near, fault=remove, point=FaultPoint(at_call=at))}
    with pytest.raises(BackupRemoved, match="is being removed from near"):
        place.pin()
    assert [found.key for found in near.list(CHILD.folder.key("pin-"))] == []


def test_a_repository_that_does_not_answer_is_told_and_the_others_have_the_pin(place: Place) -> None:
    class NoWrites(MemoryStorage):
        """Can be read, not written."""

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            if "/pin-" in key:
                raise StorageUnreachable("down")
            return super().put(key, data, if_absent=if_absent)

    place.storages["far"] = NoWrites()
    fill(place.storages["far"], [CHILD])
    result = place.pin()
    assert (result.repositories, list(result.errors)) == (("near",), ["far"])
    assert len(place.pins()) == 1
    place.storages = {"far": place.storages["far"]}
    with pytest.raises(StorageUnreachable):
        place.pin()


def test_without_a_name_all_pins_go_but_holds(place: Place) -> None:
    place.pin()
    place.clock.advance(1)
    place.pin(until=place.clock.now() + datetime.timedelta(days=1))
    place.clock.advance(1)
    place.pin(hold=True)
    assert len(place.unpin().pins) == 2
    (hold,) = place.pins()
    with pytest.raises(RequestInvalid, match="without naming it") as raised:
        place.unpin()
    assert hold.pin_id in raised.value.hint
    assert place.unpin(pin_id=hold.pin_id).pins == (hold,)
    assert place.pins() == ()
    with pytest.raises(RequestInvalid, match="without naming it"):
        place.unpin()


def test_a_pin_that_there_is_not_is_refused_with_those_that_there_are(place: Place) -> None:
    (pin,) = place.pin().pins
    with pytest.raises(RequestInvalid) as raised:
        place.unpin(pin_id="20261121T020000Z-ffffff")
    assert pin.pin_id in raised.value.hint


def test_a_pin_that_can_not_be_read_can_be_taken_away(place: Place) -> None:
    key = CHILD.folder.key("pin-20261121T020000Z-0000cc.json")
    place.storages["near"].put(key, b"{")
    assert place.unpin(pin_id="20261121T020000Z-0000cc").repositories
    assert place.pins() == ()


def test_a_pin_that_may_not_be_deleted_is_an_error() -> None:
    class Denying(MemoryStorage):
        """Deletes nothing."""

        def delete(self, keys: t.Sequence[str]) -> DeleteReport:
            return DeleteReport(refused=dict.fromkeys(keys, "no"), causes=(StorageForbidden("not you"),))

    place = Place(near=Denying())
    place.pin()
    with pytest.raises(StorageForbidden):
        place.unpin()
    assert len(place.pins()) == 1


def locks(storage: Storage) -> dict[str, tuple[datetime.datetime | None, bool]]:
    """What is locked, until when, and whether it is held; pins left out."""
    found = {}
    for info in storage.list():
        state = storage.lock_state(info.key)
        if state is not None and "/pin-" not in info.key:
            found[info.key] = (state.until, state.hold)
    return found


def objects_of(storage: Storage, *ids: str) -> set[str]:
    return {info.key for info in storage.list() if info.key.split("/")[3] in ids and "/pin-" not in info.key}


def test_a_pin_with_a_time_locks_the_backup_and_what_it_builds_on_until_then() -> None:
    clock = FakeClock()
    place = Place(near=MemoryStorage(clock=clock, locks=True), far=MemoryStorage(clock=clock))
    until = place.clock.now() + datetime.timedelta(days=90)
    result = place.pin(until=until)
    assert result.protected == ("near",)
    assert list(result.unprotected or {}) == ["far"]
    found = locks(place.storages["near"])
    assert set(found) == objects_of(place.storages["near"], FIRST.backup_id, CHILD.backup_id)
    assert set(found.values()) == {(until, False)}


def test_a_hold_holds_and_its_end_releases_what_no_other_hold_needs() -> None:
    place = Place(near=MemoryStorage(locks=True))
    near = place.storages["near"]
    (first,) = place.pin(hold=True).pins
    place.clock.advance(1)
    (second,) = place.pin(OTHER.backup_id, hold=True).pins
    assert set(locks(near)) == objects_of(near, FIRST.backup_id, CHILD.backup_id, OTHER.backup_id)
    assert place.unpin(pin_id=first.pin_id).protected == ("near",)
    held = {key for key, (_until, hold) in locks(near).items() if hold}
    assert held == objects_of(near, FIRST.backup_id, OTHER.backup_id), "the base is still held for the other one"
    place.unpin(OTHER.backup_id, pin_id=second.pin_id)
    assert not any(hold for _until, hold in locks(near).values())


def test_a_pin_without_a_time_locks_nothing() -> None:
    place = Place(near=MemoryStorage(locks=True))
    result = place.pin()
    assert (result.protected, result.unprotected) == ((), {})
    assert locks(place.storages["near"]) == {}


def test_a_lock_that_fails_is_told_and_the_pin_holds_all_the_same() -> None:
    near = FaultyStorage(storage=MemoryStorage(locks=True))
    place = Place(near=near)
    place.pin(OTHER.backup_id, hold=True)
    at = next(number for number, call in enumerate(near.calls, start=1) if call.startswith("set_hold"))
    place = Place(
        near=FaultyStorage(storage=MemoryStorage(locks=True), fault=unreachable, point=FaultPoint(at_call=at))
    )
    result = place.pin(OTHER.backup_id, hold=True)
    assert result.repositories == ("near",)
    assert list(result.unprotected or {}) == ["near"]
