# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dead runs began to remove: half gone is finished at once, whole is shown again, but not under a living run."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, removal_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import VOID_AFTER
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.removals import IDS, Pruner, backup, fill, pin

FIRST, SECOND, CHILD = backup(0), backup(1), backup(3, parent=0)
LIFE = VOID_AFTER.total_seconds()


class Place:
    """A repository in which runs died, and who comes after them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.storage = MemoryStorage(clock=self.clock)
        fill(self.storage, [FIRST, SECOND, CHILD])
        self.pruner = Pruner(self.storage, self.clock)

    def mark(self, folder: BackupFolder) -> str:
        """As a run marks that dies right after."""
        removal = Removal(
            removal_id=new_backup_id(now=self.clock.now()),
            backup_id=folder.backup_id,
            repository="local",
            plan_hash="that plan",
            reasons=("too old",),
            started=self.clock.now(),
            host="db7",
            lifeboat_version="0.1.0",
        )
        key = str(removal_key(folder, removal.removal_id))
        self.storage.put(key, removal.as_bytes())
        return key

    def keys(self, folder: BackupFolder) -> list[str]:
        """What is in the folder."""
        return [found.key for found in self.storage.list(folder.key(""))]


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_is_whole_stays_out_of_sight_while_its_run_may_be_alive(place: Place) -> None:
    mark = place.mark(FIRST.folder)
    place.clock.advance(LIFE)
    before = place.keys(FIRST.folder)
    result = place.pruner.finish()
    assert (result.removed, result.left) == ((), ())
    assert "no list shows it before the mark of another run is void, at 2026-11-21T08:00:00Z" in result.spared[IDS[0]]
    assert place.keys(FIRST.folder) == before
    assert mark in before
    assert IDS[0] not in place.pruner.listed()


def test_after_a_pruners_life_what_is_whole_is_a_backup_again(place: Place) -> None:
    mark = place.mark(FIRST.folder)
    place.clock.advance(LIFE + 1)
    result = place.pruner.finish()
    assert result.removed == ()
    assert "shown again and decided anew" in result.spared[IDS[0]]
    assert mark not in place.keys(FIRST.folder)
    assert IDS[0] in place.pruner.listed()


def test_one_young_mark_is_enough_to_leave_it_alone(place: Place) -> None:
    place.mark(FIRST.folder)
    place.clock.advance(LIFE + 1)
    place.mark(FIRST.folder)
    before = place.keys(FIRST.folder)
    place.pruner.finish()
    assert place.keys(FIRST.folder) == before


def test_a_base_is_shown_again_before_what_builds_on_it(place: Place) -> None:
    marks = [place.mark(CHILD.folder), place.mark(FIRST.folder)]
    place.clock.advance(LIFE + 1)
    counting = FaultyStorage(storage=place.storage)
    Pruner(counting, place.clock).finish()
    deletes = [call.partition(" ")[2] for call in counting.calls if call.startswith("delete") and "removal-2" in call]
    assert deletes == marks[::-1]


@pytest.mark.parametrize("pinned", [False, True])
def test_what_is_half_gone_is_finished_at_once_and_a_pin_comes_too_late(place: Place, *, pinned: bool) -> None:
    place.mark(FIRST.folder)
    place.storage.delete([FIRST.folder.key("users.json")])
    if pinned:
        pin(place.storage, FIRST.folder, now=place.clock.now())
    result = place.pruner.finish()
    assert result.removed == (IDS[0],)
    assert place.keys(FIRST.folder) == []


def test_the_mark_of_the_dead_is_what_is_remembered(place: Place) -> None:
    place.pruner.elsewhere = IDS
    mark = place.mark(FIRST.folder)
    place.storage.delete([FIRST.folder.key("users.json")])
    assert place.pruner.finish().removed == (IDS[0],)
    assert place.keys(FIRST.folder) == [mark]


def test_a_payload_that_is_too_short_counts_as_gone(place: Place) -> None:
    place.mark(FIRST.folder)
    place.storage.put(FIRST.folder.key("users.json"), b"", if_absent=False)
    assert place.pruner.finish().removed == (IDS[0],)


def test_what_came_into_the_folder_of_a_removed_copy_goes_too(place: Place) -> None:
    """A verification that was under way, the announcement of a copy that was refused."""
    place.pruner.elsewhere = IDS
    place.pruner.remove(SECOND)
    place.storage.put(SECOND.folder.key("verification-20261121T020000Z-0000aa.json"), b"{}")
    place.storage.put(SECOND.folder.key("started.json"), b"{}")
    assert place.pruner.finish().removed == (IDS[1],)
    assert len(place.keys(SECOND.folder)) == 1


def test_a_manifest_that_can_not_be_read_is_left_to_people(place: Place) -> None:
    place.mark(FIRST.folder)
    place.storage.put(FIRST.folder.manifest_key, b"{", if_absent=False)
    place.clock.advance(LIFE + 1)
    before = place.keys(FIRST.folder)
    result = place.pruner.finish()
    assert "can't be trusted" in result.refused[IDS[0]]
    assert place.keys(FIRST.folder) == before


def test_of_several_marks_one_is_remembered(place: Place) -> None:
    place.pruner.elsewhere = IDS
    for _run in range(3):
        key = place.mark(FIRST.folder)
        place.clock.advance(1)
    place.storage.delete([one for one in place.keys(FIRST.folder) if "removal-" not in one])
    assert place.pruner.finish().removed == ()
    assert place.keys(FIRST.folder) == [key]


def test_what_another_run_did_meanwhile_is_not_done_again(place: Place) -> None:
    mark = place.mark(FIRST.folder)
    for keys in ([mark], place.keys(FIRST.folder)):
        stale = place.pruner.reading().removals

        class Late(Pruner):
            """Knows what was there before the others came."""

            def reading(self) -> t.Any:
                return t.cast("t.Any", type("Reading", (), {"removals": stale}))  # noqa: B023

        place.storage.delete(keys)
        result = Late(place.storage, place.clock).finish()
        assert (IDS[0] in result.spared) == (keys == [mark])
        assert (IDS[0] in result.removed) == (keys != [mark])
        if keys == [mark]:
            place.mark(FIRST.folder)


def test_removals_of_other_repositories_are_none_of_ours(place: Place) -> None:
    place.mark(FIRST.folder)
    place.storage.delete([FIRST.folder.key("users.json")])
    removals = place.pruner.reading().removals
    assert [one.repository for one in removals] == ["local"]

    class Foreign(Pruner):
        """Is called otherwise."""

        def _common(self) -> dict[str, t.Any]:
            return {**super()._common(), "repository": "offsite"}

    before = place.keys(FIRST.folder)
    assert Foreign(place.storage, place.clock).finish().removed == ()
    assert place.keys(FIRST.folder) == before
