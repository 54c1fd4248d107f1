# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check tells whatever is missing, cut short or too much, once and with a way out; and nothing of what is well."""

from __future__ import annotations

import datetime
import functools
import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, pin_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, removal_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.set_members import Member
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.approval_store import (
    put_plan,
    put_signed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import repo_check
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.check_values import (
    FINDINGS,
    CheckRequest,
    CheckResult,
    Findings,
    RepositoryChecked,
    Share,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.repo_check import (
    check_repositories,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.floors import Floor
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import hour_of
from tests.support.approvals import PLAN, said
from tests.support.clocks import START
from tests.support.copies import (
    STREAM,
    Repositories,
    backup_id,
    content,
    described,
    payloads_of,
    put_backup,
    put_index,
    put_segments,
    put_verification,
    replace_object,
    segment_of,
)
from tests.support.manifests import unreachable

DUMP = "dump.archive.zst"
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def two(tmp_path: pathlib.Path) -> Repositories:
    return Repositories(tmp_path)


def look(repositories: Repositories, **changes: t.Any) -> CheckResult:
    requests = tuple(RepositoryRequest(name=name, description={}) for name in repositories.storages)
    request = CheckRequest(repositories=requests, **changes)
    return check_repositories(request, host=repositories.host, storages=repositories.storages)


def found(repositories: Repositories, **changes: t.Any) -> dict[str, list[str]]:
    """The codes of what is found in ``local``, each with its keys."""
    codes: dict[str, list[str]] = {}
    for finding in local(look(repositories, **changes)).findings:
        codes.setdefault(finding.code, []).append(finding.key)
    return codes


def local(result: CheckResult) -> RepositoryChecked:
    return next(one for one in result.repositories if one.name == "local")


def only_local(number: int = 20, **changes: t.Any) -> t.Any:
    return described(backup_id(number), repositories=("local",), **changes)


def key_of(number: int, **options: t.Any) -> str:
    segment, _data = segment_of(number, **options)
    return STREAM.segment_key(segment.description.group, segment.payload.name)


def test_what_is_well_is_no_finding(two: Repositories) -> None:
    base = put_backup(two["local"], only_local(18, kind="base"))
    put_backup(two["local"], only_local(20, kind="incremental", parent=base.backup_id))
    put_verification(two["local"], base, {"local": 4})
    put_index(two["local"], put_segments(two["local"], range(1, 6)))
    put_segments(two["local"], range(5, 8), made=START + 3 * HOUR)
    two["local"].put(".lifeboat/prune.json", b"{}")
    two["local"].put(".lifeboat-check", b"")
    result = look(two, share=Share())
    checked = local(result)
    assert checked.findings == ()
    assert (checked.worst, result.exit_status) == (None, 0)
    looked = checked.looked
    assert (looked.backups, looked.lineages, looked.payloads_read, looked.segments_read) == (2, 1, 4, 8)
    assert looked.objects == len(content(two["local"]))
    assert looked.bytes == sum(len(data) for data in content(two["local"]).values())


def test_nothing_is_changed(two: Repositories) -> None:
    put_backup(two["local"], only_local())
    put_segments(two["local"], range(1, 6))
    two["local"].delete([key_of(3)])
    two.storages["local"] = watched = FaultyStorage(storage=two["local"])
    look(two, share=Share())
    assert watched.changes == 0


def test_missing_and_cut_payloads_are_told(two: Repositories) -> None:
    first, second = put_backup(two["local"], only_local(19)), put_backup(two["local"], only_local(20))
    two["local"].delete([first.folder.key(DUMP)])
    replace_object(two["local"], second.folder.key("users.json"), b"{}")
    result = look(two)
    assert result.exit_status == 1
    assert [(one.code, one.key) for one in local(result).findings] == [
        ("payload-missing", first.folder.key(DUMP)),
        ("payload-size", second.folder.key("users.json")),
    ]
    assert local(result).findings[0].hint == "Replace it by another copy: lifeboat copy --to local --repair"


def test_damaged_bytes_are_told_when_they_are_read(two: Repositories) -> None:
    backup = put_backup(two["local"], only_local())
    key = backup.folder.key(DUMP)
    replace_object(two["local"], key, b"?" + payloads_of(backup.backup_id)[DUMP][1:])
    put_segments(two["local"], [1, 2])
    segment, data = segment_of(2)
    replace_object(two["local"], key_of(2), b"?" + data[1:])
    assert found(two) == {}
    assert found(two, share=Share()) == {"payload-damaged": [key], "segment-damaged": [key_of(2)]}
    assert segment.payload.size == len(data)


def test_a_manifest_that_cant_be_read_is_told_and_not_said_to_be_missing(two: Repositories) -> None:
    backup = put_backup(two["local"], described(backup_id(20)))
    put_backup(two["offsite"], backup)
    replace_object(two["local"], backup.folder.manifest_key, b"{")
    assert found(two) == {"manifest-unreadable": [backup.folder.manifest_key]}


def test_an_increment_without_its_base_is_told(two: Repositories) -> None:
    increment = put_backup(two["local"], only_local(20, kind="incremental", parent=backup_id(18)))
    assert found(two) == {"parent-missing": [increment.folder.manifest_key]}
    # A look at one kind alone can't tell.
    assert found(two, selection=Selection(service="family", source="main", kind="incremental")) == {}


def test_a_set_without_its_member_is_told(two: Repositories) -> None:
    member = only_local(18)
    whole = only_local(
        20, engine="files", source="system", kind="system", content={"members": [Member.of(member).as_dict()]}
    )
    put_backup(two["local"], whole)
    assert found(two) == {"member-missing": [whole.folder.manifest_key]}
    # A look at one source alone can't tell.
    assert found(two, selection=Selection(service="family", source="system")) == {}
    put_backup(two["local"], member)
    assert found(two) == {}


def test_a_set_that_names_no_member_is_no_set(two: Repositories) -> None:
    whole = put_backup(two["local"], only_local(20, engine="files", source="system", kind="system", content={}))
    assert found(two) == {"manifest-unreadable": [whole.folder.manifest_key]}


def test_what_a_job_wanted_here_as_well_is_told(two: Repositories) -> None:
    backup = put_backup(two["offsite"], described(backup_id(20)))
    result = look(two)
    assert result.exit_status == 3
    (finding,) = local(result).findings
    assert (finding.code, finding.key, finding.hint) == (
        "copy-missing",
        backup.folder.key(""),
        "lifeboat copy --to local",
    )


def removal_of(backup: t.Any) -> tuple[str, bytes]:
    removal = Removal(
        removal_id="20261122T010000Z-bbbbbb",
        backup_id=backup.backup_id,
        repository="local",
        plan_hash="x",
        reasons=("older than 1d",),
        started=backup.started,
        host="db1",
        lifeboat_version="0.1.0",
    )
    return removal_key(backup.folder, removal.removal_id), removal.as_bytes()


def test_what_retention_removed_is_not_missing(two: Repositories) -> None:
    backup = put_backup(two["offsite"], described(backup_id(20)))
    two["local"].put(*removal_of(backup))
    result = look(two)
    assert local(result).findings == ()
    assert local(result).looked.removed == 1


def test_what_retention_removed_is_not_counted_either(two: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again at what is only counted."""
    monkeypatch.setattr(repo_check, "Findings", functools.partial(Findings, most=0))
    removed = put_backup(two["offsite"], described(backup_id(19)))
    put_backup(two["offsite"], described(backup_id(20)))
    two["local"].put(*removal_of(removed))
    assert local(look(two)).counts == {"copy-missing": 1}


def test_a_removal_that_did_not_end_is_told(two: Repositories) -> None:
    backup = put_backup(two["local"], only_local())
    two["local"].put(*removal_of(backup))
    two["local"].delete([backup.folder.key(DUMP)])
    assert found(two) == {"removal-unfinished": [backup.folder.key("")]}


def test_what_runs_left_is_a_note(two: Repositories) -> None:
    folder = only_local().folder
    two["local"].put(folder.key("started.json"), b"{}")
    two["local"].put(folder.key(DUMP), b"x")
    writer = two["local"].writer("family/main/full/x/y")
    result = look(two)
    assert {one.code for one in local(result).findings} == {"run-unfinished", "upload-unfinished"}
    assert "is under way or died" in next(one.message for one in local(result).findings if one.code == "run-unfinished")
    assert result.exit_status == 0
    two.clock.advance(10 * 86400)
    messages = {one.code: one.message for one in local(look(two)).findings}
    assert "that died" in messages["run-unfinished"]
    assert messages["upload-unfinished"].endswith("and died; it takes space")
    writer.abort()


def test_notes_and_documents_that_are_missing_or_unreadable_are_told(two: Repositories) -> None:
    backup = put_backup(two["local"], only_local())
    two["local"].delete([backup.folder.key("RESTORE.md")])
    verification = put_verification(two["local"], backup, {"local": 4})
    replace_object(two["local"], verification, b"{}")
    pin = Pin(
        pin_id="20261121T030000Z-cccccc",
        backup_id=backup.backup_id,
        reason="an audit",
        by="root",
        host="db1",
        made=backup.started,
    )
    two["local"].put(pin_key(backup.folder, pin.pin_id), pin.as_bytes()[:-20])
    two["local"].put("family/.labels/x.json", b"{}")
    two["local"].put("family/.failover/run-0001/0000.json", b"{}")
    two["local"].put("family/.degraded/000000.json", b"{}")
    two["local"].put("family/.failover/run-0001/announced/began.users.mail.json", b"{}")  # read by nobody else
    put_plan(PLAN, two.storages)
    put_signed(said("ada"), two.storages)
    other = f"family/.failover/.approvals/{'0' * 64}/"
    for name, data in (("ada.json", said("ada").as_bytes()), (".plan.json", json.dumps(PLAN.as_dict()).encode())):
        two["local"].put(other + name, data)
    assert found(two) == {
        "document-unreadable": [
            "family/.degraded/000000.json",
            f"{other}.plan.json",
            f"{other}ada.json",
            "family/.failover/run-0001/0000.json",
            "family/.labels/x.json",
            pin_key(backup.folder, pin.pin_id),
            verification,
        ],
        "notes-missing": [backup.folder.key("RESTORE.md")],
    }


def test_a_copy_that_failed_its_verification_is_told(two: Repositories) -> None:
    backup = put_backup(two["local"], only_local())
    put_verification(two["local"], backup, {"local": 0}, error="it differs")
    (finding,) = local(look(two)).findings
    assert (finding.code, finding.message) == ("copy-failed", "it failed its verification: it differs")


@pytest.mark.parametrize(
    "key",
    [
        "stray",
        "family/stray",
        "family/main/full/stray",
        "family/main/full/20261120T020000Z-aaaaaa/folder/stray",
        "family/main/full/20261120T020000Z-aaaaaa/stray",
        "family/main/oplog/rs0-1/stray",
        "family/main/oplog/rs0-1/records/x/y.json",
        "family/main/oplog/rs0-1/index/2026112102.txt",
        "Family/main/full/20261120T020000Z-aaaaaa/stray",
    ],
)
def test_what_belongs_to_nothing_is_a_note(two: Repositories, key: str) -> None:
    put_backup(two["local"], only_local(20))
    put_segments(two["local"], [1])
    two["local"].put(key, b"x")
    result = look(two)
    assert [(one.code, one.key) for one in local(result).findings] == [("orphan", key)]
    assert result.exit_status == 0


def test_segments_that_are_missing_or_cut_are_told(two: Repositories) -> None:
    put_index(two["local"], put_segments(two["local"], range(1, 4)))
    # Recorded twice is missing once.
    put_segments(two["local"], range(2, 6), made=START + 3 * HOUR)
    two["local"].delete([key_of(2), key_of(5)])
    replace_object(two["local"], key_of(4), b"cut")
    result = look(two)
    assert [(one.code, one.key) for one in local(result).findings] == [
        ("segment-missing", key_of(2)),
        ("segment-missing", key_of(5)),
        ("segment-size", key_of(4)),
    ]
    assert result.exit_status == 1


def test_segments_that_no_record_names_are_told_when_they_are_old(two: Repositories) -> None:
    put_segments(two["local"], [1])
    segment, data = segment_of(2)
    two["local"].put(key_of(2), data)
    assert found(two) == {}
    two.clock.advance(2 * 86400)
    assert found(two) == {"segment-unrecorded": [key_of(2)]}
    assert segment.payload.size == len(data)


def test_segments_that_retention_removes_meanwhile_are_no_finding(two: Repositories) -> None:
    put_segments(two["local"], [1, 2])
    put_segments(two["local"], [3], made=START + 2 * HOUR)
    plain = two["local"]

    class Pruned(FaultyStorage):
        """The floor is moved, and the segments are removed, when the records were read."""

        def stat(self, key: str) -> t.Any:
            raise AssertionError(f"{key} is not asked for: no record that counts names it")

        def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
            data = super().get(key, limit=limit)
            if "/records/" in key and not list(plain.list(STREAM.floors_prefix)):
                plain.delete([key_of(1), key_of(2)])
                floor = Floor(
                    folder=STREAM,
                    engine="mongodb",
                    hour=hour_of(START + HOUR),
                    made=START,
                    host="db1",
                    lifeboat_version="0.1.0",
                )
                plain.put(STREAM.floor_key(floor.hour), floor.as_bytes())
            return data

    two.storages["local"] = Pruned(storage=plain)
    assert found(two) == {}


def test_records_that_cant_be_read_are_told(two: Repositories) -> None:
    record = put_segments(two["local"], [1])
    key = STREAM.record_key(hour_of(START), record.record_id)
    replace_object(two["local"], key, b"{")
    assert found(two) == {"record-unreadable": [key]}


def test_a_repository_that_does_not_answer_is_told_and_the_next_is_looked_at(two: Repositories) -> None:
    put_backup(two["offsite"], described(backup_id(20)))
    two.storages["local"] = FaultyStorage(
        storage=two["local"], fault=unreachable, point=FaultPoint(at_call=1, times=None)
    )
    result = look(two)
    assert [one.code for one in local(result).findings] == ["repository-unreadable"]
    assert result.exit_status == 1
    assert result.repositories[1].looked.backups == 1
    # What is in a repository that can't be read, nobody can tell.
    assert result.repositories[1].findings == ()


def test_one_service_alone_is_looked_at(two: Repositories) -> None:
    put_backup(two["local"], only_local())
    other = put_backup(two["local"], only_local(19, service="shop"))
    two["local"].delete([other.folder.key(DUMP)])
    assert found(two, selection=Selection(service="family")) == {}
    assert found(two, selection=Selection(service="shop")) == {"payload-missing": [other.folder.key(DUMP)]}
    # A source without its service: everything is listed, and the others are passed over.
    assert found(two, selection=Selection(kind="full")) == {"payload-missing": [other.folder.key(DUMP)]}
    assert found(two, selection=Selection(kind="base")) == {}


def test_one_repository_alone_is_looked_at(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(20)))
    result = look(two, only=("offsite",))
    assert [one.name for one in result.repositories] == ["offsite"]
    with pytest.raises(RequestInvalid, match="There is no repository nowhere"):
        look(two, only=("nowhere",))


def test_of_many_findings_the_first_are_told_and_all_are_counted(
    two: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_segments(two["local"], range(1, 30))
    two["local"].delete([key_of(number) for number in range(1, 30)])
    monkeypatch.setattr(repo_check, "Findings", functools.partial(Findings, most=5))
    checked = local(look(two))
    assert checked.counts == {"segment-missing": 29}
    assert len(checked.findings) == 5


def test_shares_of_the_data() -> None:
    keys = [f"family/main/full/{number}" for number in range(5000)]
    parts = [Share.parse(f"{part}/7", seed="") for part in range(1, 8)]
    assert all(sum(part.takes(key) for part in parts) == 1 for key in keys)
    assert all(600 < sum(part.takes(key) for key in keys) < 850 for part in parts)
    tenth = Share.parse("10%", seed="monday")
    assert 400 < sum(tenth.takes(key) for key in keys) < 600
    other = Share.parse("10%", seed="tuesday")
    assert [key for key in keys if tenth.takes(key)] != [key for key in keys if other.takes(key)]
    assert all(Share.parse("all", seed="").takes(key) for key in keys)
    assert all(Share.parse("100%", seed="").takes(key) for key in keys)


@pytest.mark.parametrize("text", ["", "0%", "101%", "8/7", "0/7", "1/0", "ten", "-1%", "1/7x"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid, match="is no share of the data"):
        Share.parse(text, seed="")


def test_every_kind_of_finding_can_be_found() -> None:
    """This page is the list of them: a new one needs a test here."""
    text = pathlib.Path(__file__).read_text(encoding="utf-8")
    assert [code for code in FINDINGS if f'"{code}"' not in text] == []
