# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy brings whole backups and nothing else: data first, manifest last, verified on the way, resumable."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import signal
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup, Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.leftovers import sweep_leftovers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, pin_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, removal_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.sweep_mark import put_mark
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import KeepPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    Interrupted,
    LockHeld,
    RequestInvalid,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import SourceLock, StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_results import (
    COPIED,
    FAILED,
    GONE,
    PRESENT,
    REMOVED,
    REPAIRED,
    WAITING,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import (
    CopyRequest,
    TargetPolicy,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copying import plan_copy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import JobPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.backups import broken_payloads, listed
from tests.support.copies import (
    Repositories,
    backup_id,
    content,
    described,
    payloads_of,
    put_backup,
    put_verification,
    replace_object,
)
from tests.support.manifests import unreachable

DUMP = "dump.archive.zst"


@pytest.fixture
def two(tmp_path: pathlib.Path) -> Repositories:
    return Repositories(tmp_path)


@pytest.fixture
def three(tmp_path: pathlib.Path) -> Repositories:
    return Repositories(tmp_path, ("local", "offsite", "far"))


def ids(repositories: Repositories, name: str) -> list[str]:
    assert broken_payloads(repositories[name]) == []
    return [backup.manifest.backup_id for backup in listed(repositories[name])]


def removal(backup: t.Any, repository: str) -> tuple[str, bytes]:
    document = Removal(
        removal_id="20261122T010000Z-bbbbbb",
        backup_id=backup.backup_id,
        repository=repository,
        plan_hash="x",
        reasons=("older than 1d",),
        started=backup.started,
        host="db1",
        lifeboat_version="0.1.0",
    )
    return removal_key(backup.folder, document.removal_id), document.as_bytes()


def test_what_is_missing_is_copied_byte_for_byte(two: Repositories) -> None:
    for day in (18, 19, 20):
        put_backup(two["local"], described(backup_id(day)))
    put_backup(two["offsite"], described(backup_id(18)))
    result = two.copy()
    assert result.error is None
    assert [(one.planned.backup.manifest.backup_id, one.state, one.source) for one in result.backups] == [
        (backup_id(20), COPIED, "local"),
        (backup_id(19), COPIED, "local"),
    ]
    assert ids(two, "offsite") == [backup_id(18), backup_id(19), backup_id(20)]
    own, other = content(two["local"]), content(two["offsite"])
    assert {key for key in own if own[key] != other.get(key)} <= {key for key in own if key.endswith("started.json")}
    assert own.keys() == other.keys()


def test_a_second_copy_has_nothing_to_do(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(20)))
    assert two.copy().changed
    before = content(two["offsite"])
    second = two.copy()
    assert not second.changed
    assert second.backups == ()
    assert content(two["offsite"]) == before


def test_a_plan_changes_nothing_and_gives_its_reasons(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_backup(two["local"], described(backup_id(19), repositories=("local",)))
    plan = plan_copy(two.request(), host=two.host, storages=two.storages)
    (planned,) = plan.backups
    assert (planned.sources, planned.reason) == (("local",), "its job wanted it there")
    assert plan.bytes == backup.stored_bytes
    assert plan.left_out == ()
    assert content(two["offsite"]) == {}


def test_both_sides_are_brought_up(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(20)))
    put_backup(two["offsite"], described(backup_id(21)))
    assert two.copy().error is None
    assert ids(two, "local") == ids(two, "offsite") == [backup_id(20), backup_id(21)]


def test_only_the_named_target_is_written(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(20)))
    put_backup(two["offsite"], described(backup_id(21)))
    two.copy(to=("local",))
    assert ids(two, "local") == [backup_id(20), backup_id(21)]
    assert ids(two, "offsite") == [backup_id(21)]


def test_a_repository_that_no_job_named_gets_everything_only_when_told(three: Repositories) -> None:
    put_backup(three["local"], described(backup_id(20)))
    three.copy(to=("far",))
    assert ids(three, "far") == []
    three.copy(to=("far",), everything=True)
    assert ids(three, "far") == [backup_id(20)]


def test_a_repository_that_a_job_names_now_gets_what_was_made_before(three: Repositories) -> None:
    backup = put_backup(three["local"], described(backup_id(20)))
    other = Series(service="family", source="other", kind="full")
    put_backup(three["local"], described(backup_id(19), source="other"))
    policies = {"far": TargetPolicy(names=lambda series: series == backup.folder.series)}
    result = three.copy(to=("far",), policies=policies)
    assert [one.planned.reason for one in result.backups] == ["its job stores there now"]
    assert ids(three, "far") == [backup_id(20)]
    assert other != backup.folder.series


def test_what_the_retention_there_would_not_keep_does_not_come(two: Repositories) -> None:
    for day in (18, 20):
        put_backup(two["local"], described(backup_id(day)))

    def wanted(backup: Backup) -> bool:
        return backup.manifest.backup_id > backup_id(19)

    result = two.copy(policies={"offsite": TargetPolicy(wanted=wanted)})
    assert ids(two, "offsite") == [backup_id(20)]
    assert [(one.backup.manifest.backup_id, one.reason) for one in result.plan.left_out] == [
        (backup_id(18), "the retention there would not keep it")
    ]
    assert result.error is None


def job_policy(keep: KeepPolicy, *, kind: str = "full", engine: str = "mongodb") -> JobPolicy:
    return JobPolicy(
        repository="offsite",
        series=Series(service="family", source="main", kind=kind),
        engine=engine,
        job=f"family/main/{kind}",
        keep=keep,
    )


def test_what_the_policy_of_the_target_keeps_comes_and_nothing_else(two: Repositories) -> None:
    """As if it had all of them: of the last week, the newest two proved ones, and what is pinned."""
    made = {day: put_backup(two["local"], described(backup_id(day))) for day in (1, 2, 3, 4, 18, 19, 20)}
    for day in (2, 3, 18, 19):
        put_verification(two["local"], made[day], {"local": 4})
    pin = Pin(
        pin_id="20261121T030000Z-cccccc",
        backup_id=backup_id(1),
        reason="an audit",
        by="root",
        host="db1",
        made=made[1].started,
    )
    two["local"].put(pin_key(made[1].folder, pin.pin_id), pin.as_bytes())
    keeps = (job_policy(KeepPolicy(within=datetime.timedelta(days=7), minimum_verified=2)),)
    result = two.copy(to=("offsite",), policies={"offsite": TargetPolicy(names=lambda _series: True, keeps=keeps)})
    assert ids(two, "offsite") == [backup_id(1), backup_id(18), backup_id(19), backup_id(20)]
    assert {one.reason for one in result.plan.left_out} == {"the retention there would not keep it"}
    assert result.error is None


def test_the_policy_of_another_repository_says_nothing(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(1)))
    put_backup(two["local"], described(backup_id(20)))
    other = dataclasses.replace(job_policy(KeepPolicy(count=1)), repository="local")
    two.copy(to=("offsite",), policies={"offsite": TargetPolicy(keeps=(other,))})
    assert ids(two, "offsite") == [backup_id(1), backup_id(20)]


def test_what_the_retention_there_removed_does_not_come_back(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(18)))
    key, data = removal(backup, "offsite")
    two["offsite"].put(key, data)
    result = two.copy()
    assert [one.reason for one in result.plan.left_out] == ["its retention removed it there"]
    assert content(two["offsite"]).keys() == {key}


def test_verifications_pins_and_notes_travel_with_a_backup(three: Repositories) -> None:
    backup = put_backup(three["local"], described(backup_id(20)))
    put_backup(three["far"], backup)
    verified = put_verification(three["local"], backup, {"local": 4})
    pin = Pin(
        pin_id="20261121T030000Z-cccccc",
        backup_id=backup.backup_id,
        reason="an audit",
        by="root",
        host="db1",
        made=backup.started,
    )
    # Noted in one of the two sources only.
    three["far"].put(pin_key(backup.folder, pin.pin_id), pin.as_bytes())
    assert three.copy(to=("offsite",)).error is None
    copied = content(three["offsite"])
    assert copied[verified] == content(three["local"])[verified]
    assert copied[pin_key(backup.folder, pin.pin_id)] == pin.as_bytes()
    assert copied[backup.folder.key("RESTORE.md")].startswith(b"# Restore")
    (there,) = listed(three["offsite"])
    assert [one.reason for one in there.pins] == ["an audit"]
    # Hashed on its way in is not restored: what it is worth there, a verification says.
    assert there.state == "complete"


def test_what_was_noted_later_travels_to_where_the_backup_is_already(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_backup(two["offsite"], backup)
    key = put_verification(two["local"], backup, {"local": 4, "offsite": 1})
    result = two.copy()
    assert [(one.key, one.target) for one in result.documents] == [(key, "offsite")]
    assert content(two["offsite"])[key] == content(two["local"])[key]


def test_labels_of_a_service_travel(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(20)))
    two["local"].put("family/.labels/before-upgrade.json", b"{}")
    two["local"].put("other/.labels/elsewhere.json", b"{}")
    two.copy(to=("offsite",))
    assert [key for key in content(two["offsite"]) if "/.labels/" in key] == ["family/.labels/before-upgrade.json"]


def test_an_increment_comes_after_what_it_builds_on(two: Repositories) -> None:
    base = put_backup(two["local"], described(backup_id(18), kind="base", repositories=("local",)))
    middle = put_backup(
        two["local"], described(backup_id(19), kind="incremental", parent=base.backup_id, repositories=("local",))
    )
    put_backup(two["local"], described(backup_id(20), kind="incremental", parent=middle.backup_id))
    result = two.copy()
    assert [one.planned.backup.manifest.backup_id for one in result.backups] == [
        backup_id(18),
        backup_id(19),
        backup_id(20),
    ]
    assert result.backups[0].planned.reason == f"{backup_id(19)} builds on it"
    assert ids(two, "offsite") == [backup_id(18), backup_id(19), backup_id(20)]


def test_an_increment_without_its_base_does_not_come(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(20), kind="incremental", parent=backup_id(18)))
    result = two.copy()
    assert ids(two, "offsite") == []
    (left_out,) = result.plan.left_out
    assert left_out.is_problem
    assert left_out.reason == f"{backup_id(18)}, which it builds on, is in no repository"
    assert result.error is not None
    assert result.error.exit_status == 3


def test_an_increment_waits_when_its_base_did_not_come_across(two: Repositories) -> None:
    base = put_backup(two["local"], described(backup_id(18), kind="base"))
    put_backup(two["local"], described(backup_id(20), kind="incremental", parent=base.backup_id))
    replace_object(two["local"], base.folder.key(DUMP), b"x" * 300)
    result = two.copy()
    assert [one.state for one in result.backups] == [FAILED, WAITING]
    assert ids(two, "offsite") == []


def test_an_increment_does_not_come_when_its_base_is_being_removed_there(two: Repositories) -> None:
    base = put_backup(two["local"], described(backup_id(18), kind="base"))
    put_backup(two["offsite"], base)
    increment = put_backup(two["local"], described(backup_id(20), kind="incremental", parent=base.backup_id))

    class RemovedJustNow(FaultyStorage):
        """A removal of the base begins when the copy has said that it begins."""

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            stored = super().put(key, data, if_absent=if_absent)
            if key.endswith("started.json"):
                self._storage.put(*removal(base, "offsite"))
            return stored

    offsite = two.storages["offsite"]
    two.storages["offsite"] = RemovedJustNow(storage=offsite)
    result = two.copy(to=("offsite",))
    (outcome,) = result.backups
    assert outcome.state == REMOVED
    assert "builds on" in outcome.note
    # Nothing says any more that somebody builds on the base.
    assert increment.folder.key("started.json") not in content(offsite)


@pytest.mark.parametrize("at", ["size", "bytes"])
def test_damaged_bytes_are_never_copied(two: Repositories, at: str) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    key = backup.folder.key(DUMP)
    good = payloads_of(backup.backup_id)[DUMP]
    replace_object(two["local"], key, good[:-1] if at == "size" else b"?" + good[1:])
    result = two.copy()
    assert ids(two, "offsite") == []
    assert key not in content(two["offsite"])
    assert result.error is not None
    assert "is damaged in local" in result.error.message
    assert result.error.hint == "See what else is: lifeboat repo check --repository local --read-data"


def test_more_bytes_than_there_should_be_are_not_read_to_their_end(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    replace_object(two["local"], backup.folder.key(DUMP), payloads_of(backup.backup_id)[DUMP] + b"x" * 5_000_000)
    result = two.copy()
    assert result.backups[0].state == FAILED
    assert result.bytes <= backup.stored_bytes


def test_a_damaged_copy_is_passed_over_for_a_good_one(three: Repositories) -> None:
    backup = put_backup(three["local"], described(backup_id(20)))
    put_backup(three["far"], backup)
    replace_object(three["local"], backup.folder.key(DUMP), b"x" * 300)
    result = three.copy(to=("offsite",))
    (outcome,) = result.backups
    assert (outcome.state, outcome.source) == (COPIED, "far")
    assert ids(three, "offsite") == [backup_id(20)]
    assert any("can't be copied from local, so far is tried" in text for text in three.journal.warnings)


def test_a_failed_copy_is_not_read_while_another_is_good(three: Repositories) -> None:
    backup = put_backup(three["local"], described(backup_id(20)))
    put_backup(three["far"], backup)
    put_verification(three["local"], backup, {"local": 0}, error="it differs")
    watched = FaultyStorage(storage=three["local"])
    three.storages["local"] = watched
    result = three.copy(to=("offsite",))
    assert result.backups[0].planned.sources == ("far",)
    assert not [call for call in watched.calls if call.startswith("read ")]


def test_a_verified_copy_is_preferred(three: Repositories) -> None:
    backup = put_backup(three["local"], described(backup_id(20)))
    put_backup(three["far"], backup)
    put_verification(three["far"], backup, {"far": 4})
    result = three.copy(to=("offsite",))
    assert result.backups[0].planned.sources == ("far", "local")


def test_a_backup_that_failed_everywhere_comes_and_says_so(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_verification(two["local"], backup, {"local": 1}, error="a question was answered wrongly")
    result = two.copy()
    assert result.backups[0].planned.reason.endswith("it failed its verification, and there is no better copy")
    (there,) = listed(two["offsite"])
    assert there.state == "failed"


def test_what_a_dead_copy_left_is_kept(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    two["offsite"].put(backup.folder.key(DUMP), payloads_of(backup.backup_id)[DUMP])
    (outcome,) = two.copy().backups
    assert (outcome.state, outcome.kept) == (COPIED, 1)
    assert outcome.bytes == len(payloads_of(backup.backup_id)["users.json"])
    assert ids(two, "offsite") == [backup_id(20)]


def test_other_bytes_under_the_name_of_a_payload_are_replaced(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    two["offsite"].put(backup.folder.key(DUMP), b"x" * 300)
    (outcome,) = two.copy().backups
    assert (outcome.state, outcome.kept) == (COPIED, 0)
    assert ids(two, "offsite") == [backup_id(20)]


def test_a_folder_that_is_being_swept_waits(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_mark(two["offsite"], backup.folder, "db1")
    (outcome,) = two.copy().backups
    assert outcome.state == WAITING
    assert backup.folder.key("started.json") not in content(two["offsite"])


@pytest.mark.parametrize("when", ["before started.json", "after started.json", "before the manifest"])
def test_a_removal_that_begins_in_the_target_meanwhile_ends_the_copy(two: Repositories, when: str) -> None:
    """Two at once: another copy was faster, and retention takes what that one brought."""
    backup = put_backup(two["local"], described(backup_id(20)))
    offsite = two["offsite"]
    begins = {"before started.json": "list ", "after started.json": "put started", "before the manifest": "put RESTORE"}

    class Pruned(FaultyStorage):
        def begin(self, call: str) -> None:
            if call.startswith(begins[when]) and not [key for key in content(offsite) if "removal-" in key]:
                offsite.put(*removal(backup, "offsite"))

        def list(self, prefix: str = "") -> t.Iterator[t.Any]:
            if prefix == backup.folder.key(""):
                self.begin("list ")
            return super().list(prefix)

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            stored = super().put(key, data, if_absent=if_absent)
            self.begin(f"put {key.rpartition('/')[2]}")
            return stored

    two.storages["offsite"] = Pruned(storage=offsite)
    result = two.copy(to=("offsite",))
    (outcome,) = result.backups
    assert outcome.state == REMOVED
    assert result.error is None
    assert backup.folder.manifest_key not in content(offsite)
    assert (backup.folder.key(DUMP) in content(offsite)) == (when == "before the manifest")


def test_a_sweep_takes_nothing_from_under_a_copy_of_an_old_backup(two: Repositories) -> None:
    """For a run such an id is long dead."""
    old = "20260101T020000Z-aaaaaa"
    backup = put_backup(two["local"], described(old))
    offsite = two["offsite"]

    class Swept(FaultyStorage):
        """Another host's backup sweeps the target while the second payload is read."""

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
            if key.endswith("users.json"):
                sweep = sweep_leftovers(offsite, series=backup.folder.series, host="copier", now=two.clock.now())
                assert sweep.removed == []
            return super().read(key, offset=offset, length=length)

    two.storages["local"] = Swept(storage=two["local"])
    assert two.copy().error is None
    assert ids(two, "offsite") == [old]


def test_a_source_that_is_removed_meanwhile_is_no_failure(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    local = two["local"]

    class Removed(FaultyStorage):
        """A removal takes the payloads away before they are read."""

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
            local.put(*removal(backup, "local"), if_absent=False)
            local.delete([key])
            return super().read(key, offset=offset, length=length)

    two.storages["local"] = Removed(storage=local)
    result = two.copy()
    (outcome,) = result.backups
    assert outcome.state == GONE
    assert "was removed from every repository" in outcome.note
    assert result.error is None
    assert listed(two["offsite"]) == []


def test_a_payload_that_is_missing_without_a_removal_is_a_failure(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    two["local"].delete([backup.folder.key(DUMP)])
    result = two.copy(to=("offsite",))
    assert result.backups[0].state == FAILED
    assert result.error is not None
    assert listed(two["offsite"]) == []


def test_bytes_that_vanish_from_the_target_never_leave_a_manifest(two: Repositories) -> None:
    """Somebody empties the folder after the last look and before the manifest is stored."""
    backup = put_backup(two["local"], described(backup_id(20)))
    offsite = two["offsite"]

    class Emptied(FaultyStorage):
        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            if key.endswith("manifest.json"):
                offsite.delete([backup.folder.key(DUMP)])
            return super().put(key, data, if_absent=if_absent)

    two.storages["offsite"] = Emptied(storage=offsite)
    result = two.copy()
    assert result.backups[0].state == FAILED
    assert listed(offsite) == []
    assert backup.folder.manifest_key not in content(offsite)


def test_bytes_that_vanish_while_others_are_copied_are_noticed(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    offsite = two["offsite"]

    class Emptied(FaultyStorage):
        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            if key.endswith("RESTORE.md"):
                offsite.delete([backup.folder.key(DUMP)])
            return super().put(key, data, if_absent=if_absent)

    watched = Emptied(storage=offsite)
    two.storages["offsite"] = watched
    result = two.copy()
    assert "Somebody removed dump.archive.zst from offsite" in str(result.error)
    assert not [call for call in watched.calls if call.endswith("manifest.json") and call.startswith("put")]


def test_another_copy_may_be_faster(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    offsite = two["offsite"]

    class Faster(FaultyStorage):
        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            if key.endswith("RESTORE.md"):
                put = {**payloads_of(backup.backup_id), "manifest.json": backup.as_bytes()}
                for name, stored in put.items():
                    offsite.put(backup.folder.key(name), stored, if_absent=False)
            return super().put(key, data, if_absent=if_absent)

    two.storages["offsite"] = Faster(storage=offsite)
    result = two.copy()
    assert result.backups[0].state == PRESENT
    assert result.error is None
    assert [backup.manifest.backup_id for backup in listed(offsite)] == [backup_id(20)]


def test_another_manifest_in_the_target_is_told_and_kept(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    other = dataclasses.replace(backup, labels={"changed": "yes"})
    offsite = two["offsite"]

    class Other(FaultyStorage):
        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
            if key.endswith("manifest.json"):
                offsite.put(key, other.as_bytes(), if_absent=False)
            return super().put(key, data, if_absent=if_absent)

    two.storages["offsite"] = Other(storage=offsite)
    result = two.copy()
    assert result.backups[0].state == FAILED
    assert "another manifest" in str(result.backups[0].error)
    assert content(offsite)[backup.folder.manifest_key] == other.as_bytes()


def test_missing_and_damaged_payloads_are_told_and_repaired_when_asked(two: Repositories) -> None:
    first = put_backup(two["local"], described(backup_id(19)))
    second = put_backup(two["local"], described(backup_id(20)))
    for backup in (first, second):
        put_backup(two["offsite"], backup)
    two["offsite"].delete([first.folder.key(DUMP)])
    replace_object(two["offsite"], second.folder.key(DUMP), b"x" * 300)
    put_verification(two["local"], second, {"local": 1, "offsite": 0}, error="it differs")
    # The document says that both copies failed; the one that is right is verified again.
    put_verification(two["local"], second, {"local": 4}, number=2)
    told = two.copy(to=("offsite",))
    assert {(one.backup.manifest.backup_id, one.reason) for one in told.plan.left_out} == {
        (backup_id(19), "dump.archive.zst is missing there; to replace it, add --repair"),
        (backup_id(20), "its bytes there failed a verification; to replace it, add --repair"),
    }
    assert told.error is not None
    repaired = two.copy(to=("offsite",), repair=True)
    assert [one.state for one in repaired.backups] == [REPAIRED, REPAIRED]
    assert [one.objects for one in repaired.backups] == [1, 1]
    assert ids(two, "offsite") == [backup_id(19), backup_id(20)]
    assert repaired.backups[0].note == f"prove it: lifeboat verify {backup_id(20)}"


def test_a_manifest_that_cant_be_read_is_replaced_when_asked(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_backup(two["offsite"], backup)
    replace_object(two["offsite"], backup.folder.manifest_key, b"{")
    told = two.copy(to=("offsite",))
    assert [one.reason for one in told.plan.left_out] == [
        "its manifest there can't be read; to replace it, add --repair"
    ]
    assert two.copy(to=("offsite",), repair=True).backups[0].state == REPAIRED
    assert ids(two, "offsite") == [backup_id(20)]


def test_a_repair_of_what_is_being_removed_is_left_alone(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_backup(two["offsite"], backup)
    two["offsite"].delete([backup.folder.key(DUMP)])
    two["offsite"].put(*removal(backup, "offsite"))
    result = two.copy(to=("offsite",), repair=True)
    assert result.backups == ()
    assert backup.folder.key(DUMP) not in content(two["offsite"])


def test_a_target_that_does_not_answer_is_its_own_error(three: Repositories) -> None:
    put_backup(three["local"], described(backup_id(20), repositories=("local", "offsite", "far")))
    three.storages["offsite"] = FaultyStorage(
        storage=three["offsite"], fault=unreachable, point=FaultPoint(at_call=1, times=None)
    )
    result = three.copy()
    assert isinstance(result.errors["offsite"], StorageUnreachable)
    assert ids(three, "far") == [backup_id(20)]
    assert result.error is not None
    assert result.error.exit_status == 3


def test_a_source_that_does_not_answer_is_told(three: Repositories) -> None:
    put_backup(three["local"], described(backup_id(20)))
    three.storages["far"] = FaultyStorage(
        storage=three["far"], fault=unreachable, point=FaultPoint(at_call=1, times=None)
    )
    result = three.copy(to=("offsite",))
    assert ids(three, "offsite") == [backup_id(20)]
    assert [problem.details["repository"] for problem in result.plan.problems] == ["far"]
    assert result.error is not None


def test_one_copy_to_a_target_at_a_time_on_this_host(two: Repositories) -> None:
    lock = SourceLock(state=StateDirectory(path=two.state), name="copy.offsite", clock=two.clock)
    lock.acquire(holder={"job": "copy to offsite"}, timeout=0)
    try:
        with pytest.raises(LockHeld):
            two.copy(to=("offsite",))
    finally:
        lock.release()


def test_one_backup_may_be_named(two: Repositories) -> None:
    for day in (18, 19, 20):
        put_backup(two["local"], described(backup_id(day)))
    two.copy(selection=Selection(backup_id=backup_id(19)))
    assert ids(two, "offsite") == [backup_id(19)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": ("nowhere",)}, "There is no repository nowhere."),
        ({"everything": True}, "Everything is copied only to repositories that are named: it may be a lot."),
        ({"parallel": 0}, "parallel is 0"),
    ],
)
def test_what_cant_be_meant_is_refused(two: Repositories, changes: dict[str, t.Any], message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        two.request(**changes)


def test_one_repository_alone_is_nothing_to_copy_between() -> None:
    with pytest.raises(RequestInvalid, match="two repositories at least"):
        CopyRequest(repositories=(RepositoryRequest(name="local", description={}),))


@pytest.mark.thorough
@pytest.mark.parametrize("answer_lost", [False, True])
@pytest.mark.parametrize("side", ["local", "offsite"])
def test_a_fault_at_every_call_leaves_whole_backups_only_and_the_next_copy_goes_on(
    tmp_path: pathlib.Path, side: str, answer_lost: bool
) -> None:
    base = described(backup_id(18), kind="base")
    made = [base, described(backup_id(20), kind="incremental", parent=base.backup_id), described(backup_id(19))]
    call = 0
    while True:
        call += 1
        repositories = Repositories(tmp_path)
        for backup in made:
            put_backup(repositories["local"], backup)
        put_verification(repositories["local"], base, {"local": 4})
        plain = repositories.storages[side]
        faulty = FaultyStorage(
            storage=plain, fault=unreachable, point=FaultPoint(at_call=call, answer_lost=answer_lost, times=None)
        )
        repositories.storages[side] = faulty
        first = repositories.copy(to=("offsite",), parallel=1)
        repositories.storages[side] = plain
        assert broken_payloads(repositories["offsite"]) == [], call
        chain = {backup.manifest.backup_id for backup in listed(repositories["offsite"])}
        assert backup_id(20) not in chain or backup_id(18) in chain, call
        if not faulty.struck:
            assert first.error is None
            break
        repositories.clock.advance(60)
        again = repositories.copy(to=("offsite",))
        assert again.error is None, (call, again.error)
        assert ids(repositories, "offsite") == [backup_id(18), backup_id(19), backup_id(20)], call
    assert call > 20


def test_being_told_to_stop_ends_in_the_middle_of_an_object(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))

    class Endless(FaultyStorage):
        """A source that gives byte after byte for minutes, and is told to stop at the first."""

        pieces = 0

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
            if not key.endswith(DUMP):
                yield from super().read(key, offset=offset, length=length)
                return
            os.kill(os.getpid(), signal.SIGTERM)
            for _turn in range(299):
                self.pieces += 1
                time.sleep(0.05)
                yield b"x"

    watched = Endless(storage=two["local"])
    two.storages["local"] = watched
    with pytest.raises(Interrupted), stopping_on_signals():
        two.copy()
    assert watched.pieces < 100
    assert listed(two["offsite"]) == []
    assert backup.folder.key(DUMP) not in content(two["offsite"])
    assert list(two["offsite"].unfinished()) == []
