# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing backups: the order of deletes, who stands against it, and what can't be removed."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import parse_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import removal_id_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import PREFIX
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageForbidden
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import prune_backups
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import (
    break_lease,
    take_lease,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import DeleteReport, Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage
from tests.support.removals import IDS, INCREMENT, Pruner, backup, decision, fill, kept, pin
from tests.unit.catalog.test_standing import verification

FIRST, SECOND, THIRD = backup(0), backup(1), backup(2)
CHILD, GRANDCHILD = backup(3, parent=0), backup(4, parent=3)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: pathlib.Path, clock: FakeClock) -> Storage:
    if request.param == "memory":
        return MemoryStorage(clock=clock)
    return LocalStorage(path=str(tmp_path / "repository"), create=True)


@pytest.fixture
def pruner(storage: Storage, clock: FakeClock) -> Pruner:
    fill(storage, [FIRST, SECOND, THIRD])
    return Pruner(storage, clock)


# --- what goes --------------------------------------------------------------------------------------------------


def test_what_is_to_go_is_gone_and_the_others_are_untouched(pruner: Pruner) -> None:
    kept = [key for key in pruner.objects() if IDS[2] in key]
    result = pruner.remove(FIRST, SECOND)
    assert sorted(result.removed) == sorted(IDS[:2])
    assert (result.deferred, result.spared, result.refused, result.left, result.error) == ({}, {}, {}, (), None)
    assert pruner.objects() == kept
    assert pruner.listed() == [IDS[2]]
    assert result.bytes > FIRST.stored_bytes + SECOND.stored_bytes


def test_the_mark_comes_first_then_payloads_then_notes_then_the_manifest_and_the_mark_goes_last(
    pruner: Pruner,
) -> None:
    counting = FaultyStorage(storage=pruner.storage)
    Pruner(counting, pruner.clock).remove(FIRST)
    folder = FIRST.folder.key("")
    changes = [call for call in counting.calls if call.startswith(("put", "delete")) and folder in call]
    names = [[part.rpartition("/")[2] for part in change.split()[1:]] for change in changes]
    assert [change.split()[0] for change in changes] == ["put", "delete", "delete", "delete", "delete"]
    assert removal_id_of(names[0][0])
    assert sorted(names[1]) == ["dump.archive.zst", "users.json"]
    assert sorted(name[:8] for name in names[2]) == ["RESTORE.", "started.", PREFIX[:8]]
    assert names[2][-1] == "started.json"
    assert names[3] == ["manifest.json"]
    assert names[4] == names[0]


def test_the_mark_says_who_removes_by_which_plan_and_why(pruner: Pruner) -> None:
    pruner.elsewhere = IDS
    pruner.remove(FIRST)
    (key,) = [key for key in pruner.objects() if IDS[0] in key]
    document = json.loads(pruner.storage.get(key))
    wanted = {
        "backup": IDS[0],
        "repository": "local",
        "plan_hash": "the plan",
        "reasons": ["older than 3d"],
        "host": "db1",
    }
    assert {name: document[name] for name in wanted} == wanted


def test_a_copy_that_another_repository_has_is_remembered_until_that_one_has_it_no_longer(pruner: Pruner) -> None:
    pruner.elsewhere = IDS
    assert pruner.remove(FIRST).removed == (IDS[0],)
    (key,) = [key for key in pruner.objects() if IDS[0] in key]
    assert removal_id_of(key)
    assert pruner.finish().removed == ()
    assert key in pruner.objects()
    pruner.elsewhere = ()
    assert pruner.finish().removed == (), "it was removed long ago"
    assert [key for key in pruner.objects() if IDS[0] in key] == []


def test_nothing_to_remove_asks_for_nothing(pruner: Pruner) -> None:
    counting = FaultyStorage(storage=pruner.storage)
    Pruner(counting, pruner.clock).remove()
    assert counting.calls == []


def test_increments_go_before_what_they_build_on(storage: Storage, clock: FakeClock) -> None:
    fill(storage, [FIRST, CHILD, GRANDCHILD, SECOND])
    counting = FaultyStorage(storage=storage)
    result = Pruner(counting, clock).remove(FIRST, CHILD, GRANDCHILD)
    assert result.removed == (IDS[4], IDS[3], IDS[0])
    manifests = [call for call in counting.calls if call.startswith("delete") and "manifest.json" in call]
    assert [call.split("/")[3] for call in manifests] == [IDS[4], IDS[3], IDS[0]]
    assert Pruner(storage, clock).listed() == [IDS[1]]


def test_in_small_waves_as_well(storage: Storage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_backups, "_WAVE", 1)
    fill(storage, [FIRST, CHILD, GRANDCHILD, SECOND])
    assert Pruner(storage, clock).remove(FIRST, SECOND, CHILD, GRANDCHILD).removed == (IDS[4], IDS[3], IDS[0], IDS[1])
    assert [found.key for found in storage.list()] == []


# --- what stays after all ---------------------------------------------------------------------------------------


def test_a_pin_that_came_after_the_plan_spares_the_backup(pruner: Pruner) -> None:
    pin(pruner.storage, FIRST.folder, now=pruner.clock.now())
    before = pruner.objects()
    result = pruner.remove(FIRST, SECOND)
    assert result.removed == (IDS[1],)
    assert result.spared == {IDS[0]: "pinned by ops (20261120T120000Z-0000cc): the audit"}
    assert pruner.objects() == [key for key in before if IDS[1] not in key]
    assert pruner.listed() == [IDS[0], IDS[2]]


def test_a_pin_that_is_over_spares_nothing_and_a_hold_is_never_over(pruner: Pruner) -> None:
    now = pruner.clock.now()
    pin(pruner.storage, FIRST.folder, now=now, until=now)
    pin(pruner.storage, SECOND.folder, now=now, until=now, hold=True)
    result = pruner.remove(FIRST, SECOND)
    assert (result.removed, list(result.spared)) == ((IDS[0],), [IDS[1]])


def test_a_pin_that_can_not_be_read_spares_the_backup(pruner: Pruner) -> None:
    pruner.storage.put(FIRST.folder.key("pin-20261120T120000Z-0000cc.json"), b"{")
    assert list(pruner.remove(FIRST).spared) == [IDS[0]]


def begin_increment(storage: Storage, document: dict[str, t.Any]) -> None:
    storage.put(INCREMENT.backup(IDS[3]).key("started.json"), json.dumps(document).encode())


def test_an_increment_that_has_only_begun_spares_what_it_builds_on(pruner: Pruner) -> None:
    begin_increment(pruner.storage, {"host": "db2", "parent": IDS[0]})
    result = pruner.remove(FIRST, SECOND)
    assert (result.removed, result.spared) == ((IDS[1],), {IDS[0]: f"{IDS[3]} builds on it"})
    assert IDS[0] in pruner.listed()


def test_a_run_of_an_earlier_version_may_build_on_anything(pruner: Pruner) -> None:
    """It does not say what it builds on before its manifest is there."""
    begin_increment(pruner.storage, {"host": "db2"})
    assert set(pruner.remove(FIRST, SECOND).spared) == {IDS[0], IDS[1]}
    fill(pruner.storage, [])
    pruner.storage.put(CHILD.folder.manifest_key, backup(3, parent=1).as_bytes())
    assert pruner.remove(FIRST, SECOND).removed == (IDS[0],)


def test_a_run_that_died_long_ago_spares_nothing(clock: FakeClock) -> None:
    storage = MemoryStorage(clock=clock)
    fill(storage, [FIRST, SECOND])
    begin_increment(storage, {"host": "db2", "parent": IDS[0]})
    clock.advance(7 * 86400.0)
    assert Pruner(storage, clock).remove(FIRST).spared
    clock.advance(1)
    assert Pruner(storage, clock).remove(FIRST).removed == (IDS[0],)


def test_what_a_spared_increment_builds_on_stays_too_however_deep(
    storage: Storage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(storage, [FIRST, CHILD, GRANDCHILD, SECOND])
    pin(storage, GRANDCHILD.folder, now=clock.now())
    for wave in (500, 1):
        monkeypatch.setattr(prune_backups, "_WAVE", wave)
        result = Pruner(storage, clock).remove(FIRST, CHILD, GRANDCHILD, known=frozenset(IDS))
        assert result.removed == ()
        assert result.spared[IDS[0]] == f"{IDS[3]} builds on it"
        assert result.spared[IDS[3]] == f"{IDS[4]} builds on it"
        assert set(Pruner(storage, clock).listed()) == {IDS[0], IDS[1], IDS[3], IDS[4]}


def test_an_increment_that_another_run_is_removing_counts_until_its_manifest_is_gone(pruner: Pruner) -> None:
    fill(pruner.storage, [CHILD])
    mark = CHILD.folder.key("removal-20261121T000000Z-0000aa.json")
    pruner.storage.put(mark, b"{}")
    assert list(pruner.remove(FIRST).spared) == [IDS[0]], "it may be taken back"
    pruner.storage.delete([CHILD.folder.manifest_key])
    assert pruner.remove(FIRST).removed == (IDS[0],)


def test_what_the_plan_knew_is_not_read_again(storage: Storage, clock: FakeClock) -> None:
    fill(storage, [FIRST, SECOND, backup(3, parent=2)])
    counting = FaultyStorage(storage=storage)
    Pruner(counting, clock).remove(FIRST, known=frozenset(IDS))
    assert [call for call in counting.calls if call.startswith("get")] == []
    Pruner(counting, clock).remove(SECOND)
    assert [call for call in counting.calls if call.startswith("get")] != []


def test_one_that_was_verified_meanwhile_is_not_removed_for_having_failed(pruner: Pruner) -> None:
    proof = dataclasses.replace(verification(3, reached=3), backup_id=IDS[0])
    known = {IDS[0]: frozenset({"20261101T020000Z-0000ee"}), IDS[1]: frozenset({"20261105T020000Z-0000ee"})}
    pruner.storage.put(FIRST.folder.key(f"{PREFIX}{proof.verification_id}.json"), proof.as_bytes())
    result = pruner.remove(FIRST, SECOND, verifications=known)
    assert (result.removed, result.spared) == ((IDS[1],), {IDS[0]: "it was verified meanwhile: plan again"})
    assert pruner.remove(FIRST, verifications={IDS[0]: frozenset({proof.verification_id})}).removed == (IDS[0],)


def test_one_that_failed_stays_when_another_repository_says_that_it_was_verified_meanwhile(
    pruner: Pruner, clock: FakeClock
) -> None:
    """A verification is stored in one repository after the other: ours may be the last."""
    other = MemoryStorage(clock=clock)
    proof = dataclasses.replace(verification(3, reached=3), backup_id=IDS[0])
    other.put(FIRST.folder.key(f"{PREFIX}{proof.verification_id}.json"), proof.as_bytes())
    known = {number: frozenset({"20261101T020000Z-0000ee"}) for number in IDS}
    failed = dataclasses.replace(decision(FIRST), entry=dataclasses.replace(decision(FIRST).entry, state="failed"))
    assert pruner.carry_out([failed], verifications=known, others=[other]).spared == {
        IDS[0]: "it was verified meanwhile: plan again"
    }
    away = FaultyStorage(storage=other, fault=unreachable, point=FaultPoint(at_call=1, times=99))
    (reason,) = pruner.carry_out([failed], verifications=known, others=[away]).spared.values()
    assert "can't be seen" in reason
    knew = {IDS[0]: frozenset({proof.verification_id})}
    assert pruner.carry_out([failed], verifications=knew, others=[other]).removed == (IDS[0],)


def test_nothing_of_a_series_goes_when_one_that_was_counted_on_is_going_or_gone(pruner: Pruner) -> None:
    """Of two pruners at once one takes a backup away because it failed; the other one keeps it because it is good."""
    mark = SECOND.folder.key("removal-20261121T000000Z-0000aa.json")
    pruner.storage.put(mark, b"{}")
    stays = [kept(SECOND), kept(THIRD)]
    result = pruner.remove(FIRST, kept=stays)
    assert result.spared == {
        IDS[0]: f"{IDS[1]}, which the plan counts on, is no longer there, or being removed: plan again"
    }
    pruner.storage.delete([SECOND.folder.manifest_key, mark])
    assert list(pruner.remove(FIRST, kept=stays).spared) == [IDS[0]]
    assert pruner.remove(FIRST, kept=[kept(SECOND, state="failed"), kept(THIRD)]).removed == (IDS[0],)


def test_nothing_of_a_series_goes_when_one_that_was_counted_on_was_verified_meanwhile(pruner: Pruner) -> None:
    known = {number: frozenset({f"{number[:15]}Z-0000ee"}) for number in IDS}
    proof = dataclasses.replace(verification(3, reached=2, bad=True), backup_id=IDS[2])
    pruner.storage.put(THIRD.folder.key(f"{PREFIX}{proof.verification_id}.json"), proof.as_bytes())
    fill(pruner.storage, [CHILD])
    result = pruner.remove(SECOND, CHILD, kept=[kept(THIRD)], verifications=known)
    assert result.spared == {IDS[1]: f"{IDS[2]}, which the plan counts on, was verified meanwhile: plan again"}
    assert result.removed == (IDS[3],), "another series"


# --- what can't be removed --------------------------------------------------------------------------------------


class Denying(MemoryStorage):
    """Refuses to delete keys that end in one of *endings*."""

    def __init__(self, *, endings: tuple[str, ...], **options: t.Any) -> None:
        super().__init__(**options)
        self.endings = endings

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        refused = {key: "not allowed" for key in keys if key.endswith(self.endings)}
        done = super().delete([key for key in keys if key not in refused])
        causes = (StorageForbidden("s3:DeleteObject is missing"),) if refused else ()
        return DeleteReport(deleted=done.deleted, refused=refused, causes=causes)


def test_who_may_not_delete_marks_nothing(clock: FakeClock) -> None:
    storage = Denying(endings=(".json", ".zst", ".md"), clock=clock)
    fill(storage, [FIRST, SECOND])
    result = Pruner(storage, clock).remove(FIRST, SECOND)
    assert set(result.refused) == {IDS[0], IDS[1]}
    assert [cause.code for cause in result.causes] == ["storage.forbidden"]
    assert Pruner(storage, clock).listed() == [IDS[0], IDS[1]]
    assert [key for key in Pruner(storage, clock).objects() if parse_key(key) is None] == [
        "shop/main/base/removal-check.json"
    ]


def test_of_what_not_one_payload_could_be_deleted_is_a_backup_as_before(clock: FakeClock) -> None:
    storage = Denying(endings=(".zst", "users.json"), clock=clock)
    fill(storage, [FIRST, SECOND])
    before = Pruner(storage, clock).objects()
    result = Pruner(storage, clock).remove(FIRST)
    assert result.refused == {IDS[0]: "dump.archive.zst: not allowed"}
    assert Pruner(storage, clock).objects() == before
    assert Pruner(storage, clock).listed() == [IDS[0], IDS[1]]


def test_of_what_a_part_is_gone_no_list_shows_anything_and_the_next_run_goes_on(clock: FakeClock) -> None:
    storage = Denying(endings=("users.json",), clock=clock)
    fill(storage, [FIRST, CHILD, SECOND])
    pruner = Pruner(storage, clock)
    result = pruner.remove(FIRST, CHILD)
    assert result.refused == {IDS[3]: "users.json: not allowed"}
    assert result.spared == {IDS[0]: f"{IDS[3]} builds on it"}
    assert pruner.listed() == [IDS[0], IDS[1]]
    assert CHILD.folder.manifest_key in pruner.objects(), "the manifest goes last"
    storage.endings = ("nothing",)
    assert pruner.finish().removed == (IDS[3],)
    assert pruner.remove(FIRST).removed == (IDS[0],)
    assert pruner.listed() == [IDS[1]]


def test_what_is_under_lock_is_deferred_to_its_date_and_so_is_nothing_else(clock: FakeClock) -> None:
    storage = MemoryStorage(clock=clock, locks=True, delete_versions=True)
    fill(storage, [FIRST, CHILD, SECOND])
    until = clock.now() + datetime.timedelta(days=3)
    storage.extend_lock([CHILD.folder.manifest_key], until=until)
    storage.set_hold([SECOND.folder.manifest_key], on=True)
    pruner = Pruner(storage, clock)
    result = pruner.remove(FIRST, CHILD, SECOND)
    assert result.deferred == {IDS[3]: until, IDS[1]: None}
    assert result.spared == {IDS[0]: f"{IDS[3]} builds on it"}
    assert sorted(pruner.listed()) == sorted([IDS[0], IDS[1], IDS[3]])
    clock.advance(3 * 86400.0 + 1)
    assert pruner.remove(FIRST, CHILD, SECOND).removed == (IDS[3], IDS[0])


def test_a_lock_on_a_payload_alone_defers_too(clock: FakeClock) -> None:
    storage = MemoryStorage(clock=clock, locks=True, delete_versions=True)
    fill(storage, [FIRST, SECOND])
    until = clock.now() + datetime.timedelta(days=3)
    storage.extend_lock([FIRST.folder.key("users.json")], until=until)
    pruner = Pruner(storage, clock)
    assert pruner.remove(FIRST).deferred == {IDS[0]: until}
    assert pruner.listed() == [IDS[1]], "a part is gone"
    assert pruner.finish().deferred == {IDS[0]: until}
    clock.advance(3 * 86400.0 + 1)
    assert pruner.finish().removed == (IDS[0],)
    assert [version for version in storage.versions() if IDS[0] in version.key] == []


@pytest.mark.parametrize("versions", ["current", "all"])
def test_older_versions_and_markers_go_by_choice(clock: FakeClock, versions: str) -> None:
    storage = MemoryStorage(clock=clock, versioned=True)
    fill(storage, [FIRST, SECOND])
    storage.put(FIRST.folder.key("users.json"), b"{}", if_absent=False)
    storage.put(FIRST.folder.key("verification-20261102T020000Z-0000ff.json"), b"{}")
    storage.delete([FIRST.folder.key("verification-20261102T020000Z-0000ff.json")])
    pruner = Pruner(storage, clock)
    assert pruner.remove(FIRST, versions=versions).removed == (IDS[0],)
    assert pruner.listed() == [IDS[1]]
    left = [version for version in storage.versions() if IDS[0] in version.key or "removal-check" in version.key]
    assert bool(left) == (versions == "current")
    assert not [version for version in left if version.is_latest and not version.is_marker]


def test_a_spared_backup_of_a_bucket_with_versions_is_shown_again(clock: FakeClock) -> None:
    storage = MemoryStorage(clock=clock, versioned=True)
    fill(storage, [FIRST, SECOND])
    pin(storage, FIRST.folder, now=clock.now())
    pruner = Pruner(storage, clock)
    assert list(pruner.remove(FIRST, versions="all").spared) == [IDS[0]]
    assert pruner.listed() == [IDS[0], IDS[1]]


# --- when it ends early -----------------------------------------------------------------------------------------


def test_nothing_is_begun_after_the_deadline(
    storage: Storage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_backups, "_WAVE", 1)

    def late() -> None:
        clock.advance(6 * 3600.0)

    fill(storage, [FIRST, SECOND, THIRD])
    slow = FaultyStorage(storage=storage, fault=late, point=FaultPoint(at_change=5))
    pruner = Pruner(slow, clock)
    result = pruner.remove(FIRST, SECOND)
    assert (result.removed, result.left) == ((IDS[0],), (IDS[1],))
    assert "no more is removed after 2026-11-21T07:00:00Z" in pruner.journal.warnings[0]


def test_who_lost_the_lease_begins_nothing_more(
    storage: Storage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_backups, "_WAVE", 1)
    fill(storage, [FIRST, SECOND])
    lease = take_lease(storage, holder={}, now=clock.now())
    assert Pruner(storage, clock).remove(FIRST, lease=lease).removed == (IDS[0],)
    break_lease(storage)
    pruner = Pruner(storage, clock)
    assert pruner.remove(SECOND, lease=lease).left == (IDS[1],)
    assert pruner.listed() == [IDS[1]]


def test_a_repository_that_does_not_answer_ends_it_with_what_was_done(
    storage: Storage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_backups, "_WAVE", 1)
    fill(storage, [FIRST, SECOND])
    working = FaultyStorage(storage=storage)
    Pruner(working, clock).remove(FIRST)
    calls = len(working.calls)
    fill(storage, [FIRST])
    broken = FaultyStorage(storage=storage, fault=unreachable, point=FaultPoint(at_call=calls + 3, times=None))
    result = Pruner(broken, clock).remove(FIRST, SECOND)
    assert (result.removed, result.left) == ((IDS[0],), (IDS[1],))
    assert result.error is not None
    assert (result.error.code, result.error.details["repository"]) == ("storage.unreachable", "local")
