# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of copies in real folders: levels 0 and 1, the document, what it does to the backup's state."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import (
    Backup,
    Selection,
    read_catalog,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    BackupNotFound,
    KindNotRunnable,
    LockHeld,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import SourceLock, StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verifier_kinds import VERIFIERS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import (
    plan_verifications,
    run_verifications,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    DUE,
    SAMPLE,
    UNVERIFIED,
    Proof,
    VerifyRequest,
    proof_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.support.backups import make_source, request, tree


class Place:
    """Two repositories with backups of one small source."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.source = make_source(folder / "source", size=20_000)
        self.descriptions = {
            name: {"type": "file", "path": str(folder / name), "create": True} for name in ("local", "offsite")
        }
        self.state = str(folder / "state")

    def back_up(self) -> str:
        result = run_backup(request(self.source, self.descriptions, state_directory=self.state), host=Host())
        return result.manifest.backup_id

    def request(self, *, level: int = 1, backup_id: str | None = None, **more: t.Any) -> VerifyRequest:
        return VerifyRequest(
            repositories=tuple(
                RepositoryRequest(name=name, description=one) for name, one in self.descriptions.items()
            ),
            selection=Selection(service="shop", source="main", backup_id=backup_id),
            proof=Proof(level=level),
            state_directory=self.state,
            **more,
        )

    def backups(self) -> list[Backup]:
        host = Host()
        storages = {
            name: open_storage(one, name=name, clock=host.clock, runner=host.runner)
            for name, one in self.descriptions.items()
        }
        reading = read_catalog(storages)
        assert not reading.problems
        return list(reading.backups)

    def payload(self, repository: str, backup_id: str) -> pathlib.Path:
        return self.folder / repository / "shop/main/static" / backup_id / "process.zst"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_good_copies_pass_and_the_document_lies_beside_each(place: Place) -> None:
    backup_id = place.back_up()
    result = run_verifications(place.request(), host=Host())
    assert [outcome.state for outcome in result.outcomes] == ["passed"]
    assert result.error is None
    [backup] = place.backups()
    assert backup.state == "complete", "level 1 proves bytes, not that they restore"
    assert backup.last_verification is not None
    assert backup.last_verification.reached == 1
    for repository in place.descriptions:
        assert len(list(place.payload(repository, backup_id).parent.glob("verification-*.json"))) == 1


def test_a_flipped_bit_passes_level_0_and_fails_level_1(place: Place) -> None:
    payload = place.payload("local", place.back_up())
    data = bytearray(payload.read_bytes())
    data[len(data) // 2] ^= 1
    payload.chmod(0o600)
    payload.write_bytes(bytes(data))
    assert run_verifications(place.request(level=0), host=Host()).error is None
    result = run_verifications(place.request(level=1), host=Host())
    assert result.error is not None
    assert "process.zst" in result.error.message
    [backup] = place.backups()
    assert backup.repositories == {"local": "failed", "offsite": "complete"}
    assert backup.state == "complete", "the other copy is as it was"


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_cut_or_missing_payload_fails_level_0(place: Place, damage: str) -> None:
    payload = place.payload("offsite", place.back_up())
    if damage == "gone":
        payload.unlink()
    else:
        payload.chmod(0o600)
        payload.write_bytes(payload.read_bytes()[:-1])
    result = run_verifications(place.request(level=0), host=Host())
    assert result.error is not None
    [backup] = place.backups()
    assert backup.repositories == {"local": "complete", "offsite": "failed"}
    assert payload.parent.joinpath("manifest.json").exists(), "a failed verification deletes nothing"


def test_a_failure_is_lifted_when_the_copy_is_whole_again(place: Place) -> None:
    payload = place.payload("local", place.back_up())
    good = payload.read_bytes()
    payload.chmod(0o600)
    payload.write_bytes(good[:-1])
    run_verifications(place.request(), host=Host())
    assert place.backups()[0].repositories["local"] == "failed"
    payload.write_bytes(good)
    # Ids sort by the second; the later verification must be the later one.
    later = Host(clock=_Later())
    run_verifications(place.request(), host=later)
    assert place.backups()[0].repositories["local"] == "complete"


class _Later:
    def now(self) -> datetime.datetime:
        return datetime.datetime.now(tz=datetime.timezone.utc) + datetime.timedelta(seconds=90)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def test_what_nobody_can_tell_leaves_no_document(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kind that only a later version proves."""
    monkeypatch.delitem(t.cast("dict[t.Any, t.Any]", VERIFIERS), ("files", "static"))
    place.back_up()
    before = tree(place.folder / "local")
    [outcome] = run_verifications(place.request(level=3), host=Host()).outcomes
    assert outcome.state == "error"
    assert isinstance(outcome.error, KindNotRunnable)
    assert tree(place.folder / "local") == before
    assert place.backups()[0].state == "complete"


def test_which_backups_are_chosen(place: Place) -> None:
    ids = [place.back_up() for _turn in range(3)]

    def chosen(**more: t.Any) -> set[str]:
        return {backup.manifest.backup_id for backup in plan_verifications(place.request(**more), host=Host())}

    assert len(chosen()) == 1
    assert len(chosen(count=2)) == 2
    assert chosen(backup_id=ids[0]) == {ids[0]}
    assert len(chosen(which=SAMPLE, count=2)) == 2
    assert chosen(which=UNVERIFIED) == set(ids)
    run_verifications(place.request(backup_id=ids[1]), host=Host())
    assert chosen(which=UNVERIFIED) == {ids[0], ids[2]}
    assert chosen(which=UNVERIFIED, level=0) == {ids[0], ids[2]}
    assert chosen(which=UNVERIFIED, level=2) == set(ids), "a lower level does not count"
    assert chosen(which=DUE, count=3) == {ids[0], ids[2]}
    future = datetime.datetime.now(tz=datetime.timezone.utc) + datetime.timedelta(hours=1)
    assert chosen(which=DUE, count=3, since=future) == set(ids), "proved before it was due counts no more"


def test_bad_requests_are_refused(place: Place) -> None:
    place.back_up()
    with pytest.raises(BackupNotFound):
        run_verifications(place.request(backup_id="20200101T000000Z-000000"), host=Host())
    with pytest.raises(RequestInvalid, match="level 7"):
        place.request(level=7)
    with pytest.raises(RequestInvalid, match="at least 1"):
        place.request(count=0)
    with pytest.raises(RequestInvalid, match="no choice"):
        place.request(which="all")
    with pytest.raises(RequestInvalid, match="same name"):
        proof_from({"level": 4, "questions": [{"name": "a", "sql": f"SELECT {number}", "min": 1} for number in (1, 2)]})


def test_one_verification_of_a_source_at_a_time(place: Place) -> None:
    place.back_up()
    lock = SourceLock(state=StateDirectory(path=place.state), name="verify.shop.main", clock=Host().clock)
    lock.acquire(holder={"job": "verify shop/main/static"}, timeout=0)
    try:
        with pytest.raises(LockHeld):
            run_verifications(place.request(), host=Host())
    finally:
        lock.release()
