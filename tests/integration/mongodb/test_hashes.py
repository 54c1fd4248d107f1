# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's hash of the source, held against that of the restored copy."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import Verification
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.database_hash import unchanged
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.sample import KINDS
from tests.integration.mongodb.verifying import Place
from tests.support import resealing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BackupFolder]:
    folder = tmp_path_factory.mktemp("made")
    place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
    return place.repository, place.back_up(replica_set.uri, database=KINDS, record_hash=True)


@pytest.fixture
def place(made: tuple[Path, BackupFolder], tmp_path: Path, short_folder: Path) -> Place:
    shutil.copytree(made[0], tmp_path / "repository")
    return Place(repository=tmp_path / "repository", scratch=short_folder, state=tmp_path / "state")


def hash_check(verification: Verification) -> t.Mapping[str, t.Any]:
    (check,) = (check for check in verification.checks if check["name"] == "restored hashes")
    return check


def test_the_copy_has_the_hashes_of_the_source(place: Place, made: tuple[Path, BackupFolder]) -> None:
    noted = resealing.read_manifest(place.repository, made[1]).content["databases"][KINDS]
    assert len(noted["plain"]["dbhash"]) == 32
    assert all("dbhash" not in entry for entry in noted.values() if entry["type"] == "view")
    verification = place.verify(made[1])
    assert verification.passed, verification.error
    assert hash_check(verification)["state"] == "passed"


def test_another_hash_is_another_collection(place: Place, made: tuple[Path, BackupFolder]) -> None:
    def change(document: dict[str, t.Any]) -> None:
        entry = document["content"]["databases"][KINDS]["plain"]
        entry["dbhash"] = entry["dbhash"][::-1]

    resealing.mutate_manifest(place.repository, made[1], change)
    verification = place.verify(made[1])
    assert not verification.passed
    assert hash_check(verification)["found"] == [f"{KINDS}.plain"]
    assert place.verify(made[1], level=3).passed


def test_only_what_nobody_changed_is_noted() -> None:
    before = {("shop", "a"): "1", ("shop", "b"): "2", ("shop", "gone"): "3"}
    after = {("shop", "a"): "1", ("shop", "b"): "9", ("shop", "new"): "4"}
    assert unchanged(before, after) == {("shop", "a"): "1"}
