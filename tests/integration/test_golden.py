# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of every format version that there ever was, made then and committed, still list, verify and restore.

tests/golden/make.py made them. Nobody may change what is there: a backup on somebody's shelf doesn't change either.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest_schema import FORMAT_VERSION
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import Verification
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.choosing import NEWEST
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.earlier_restores import (
    roll_back_restore,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore import run_restore
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_values import (
    EarlierRestore,
    RestoreRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorer_kinds import RESTORERS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Proof,
    VerifyRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import (
    Question,
    question_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from sandbox.mongodb import MongoReplicaSet
from sandbox.parts import find_mongod, postgresql_18_bin_directory, postgresql_bin_directories
from sandbox.ports import free_port
from sandbox.postgresql import as_user, operating_system_user
from tests.golden.places import EXPECTED, FOLDER, KEY, REPOSITORY, format_folder, formats

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Golden:
    """One golden backup; *expected* is what its restored copy must answer."""

    version: int
    backup_id: str
    expected: dict[str, t.Any]

    def __str__(self) -> str:
        return f"{self.version}-{self.expected['source']}-{self.expected['kind']}"


def _all() -> list[Golden]:
    found = []
    for version in formats():
        document = json.loads((format_folder(version) / EXPECTED).read_bytes())
        found += [Golden(version, backup_id, expected) for backup_id, expected in document["backups"].items()]
    return found


GOLDEN = _all()


class Shelf:
    """A copy of a golden repository, and folders to work in that servers of other users may enter."""

    def __init__(self, folder: Path, golden: Golden) -> None:
        self.folder = folder
        self.golden = golden
        self.host = Host(journal=MemoryJournal())
        shutil.copytree(format_folder(golden.version) / REPOSITORY, folder / "repository")
        self.repositories = (RepositoryRequest("golden", {"type": "file", "path": str(folder / "repository")}),)
        self.identity = Secret(name="identity", file=str(FOLDER / KEY))

    def verify(self, level: int, *questions: Question) -> Verification:
        request = VerifyRequest(
            repositories=self.repositories,
            selection=Selection(backup_id=self.golden.backup_id),
            proof=Proof(level=level, questions=questions, options=programs(self.golden) if level > 1 else {}),
            identity=self.identity,
            scratch_directory=str(self.folder / "scratch"),
            state_directory=str(self.folder / "state"),
        )
        (outcome,) = run_verifications(request, host=self.host).outcomes
        assert outcome.verification is not None, outcome.error
        return outcome.verification

    @contextlib.contextmanager
    def restored(self, **options: t.Any) -> t.Iterator[None]:
        """Restored beside everything, and taken back afterwards."""
        request = RestoreRequest(
            repositories=self.repositories,
            selection=Selection(backup_id=self.golden.backup_id),
            options=options,
            point=NEWEST,
            identity=self.identity,
            state_directory=str(self.folder / "state"),
        )
        result = run_restore(request, host=self.host)
        try:
            yield
        finally:
            earlier = EarlierRestore(
                restore_id=result.restore_id,
                confirm=result.target,
                repositories=self.repositories,
                options=options,
                identity=self.identity,
                state_directory=str(self.folder / "state"),
            )
            roll_back_restore(earlier, host=self.host)


def programs(golden: Golden) -> dict[str, dict[str, t.Any]]:
    """Where the verifier finds the programs; those of the very version for a base backup."""
    found: dict[str, dict[str, t.Any]] = {"mongodb": {"mongod": str(find_mongod())}}
    bin_directory = bin_directory_for(golden)
    if bin_directory is not None:
        found["postgresql"] = {"bin_directory": str(bin_directory)}
    return found


def bin_directory_for(golden: Golden) -> Path | None:
    """Programs that can restore it: for a base backup those of its own major version, else any that is no older."""
    major, kind = golden.expected.get("major", 0), golden.expected["kind"]
    directories = postgresql_bin_directories()
    newest = postgresql_18_bin_directory()
    if newest is not None and newest not in directories:
        directories.append(newest)
    versions = {_major(directory): directory for directory in directories}
    fitting = [number for number in sorted(versions) if (number == major if kind == "base" else number >= major)]
    return versions[fitting[0]] if fitting else None


def _major(bin_directory: Path) -> int:
    said = subprocess.run([bin_directory / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[2].partition(".")[0])


def require_server(golden: Golden) -> None:
    """Skip, loudly, what no server of this machine can read; the lower levels were proved all the same."""
    if golden.expected["engine"] == "postgresql" and bin_directory_for(golden) is None:
        pytest.skip(
            f"SKIPPED LOUDLY: the golden {golden.expected['kind']} backup needs PostgreSQL {golden.expected['major']}"
        )


@pytest.fixture(params=GOLDEN, ids=str)
def shelf(request: pytest.FixtureRequest) -> t.Iterator[Shelf]:
    folder = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))  # short enough for sockets
    folder.chmod(0o755)
    (folder / "targets").mkdir()
    user = operating_system_user()
    if user is not None:
        shutil.chown(folder / "targets", user)
    yield Shelf(folder, request.param)
    shutil.rmtree(folder)


def question(name: str, equals: t.Any, **ask: t.Any) -> Question:
    return question_from({"name": name, "equals": equals, **ask})


def questions(golden: Golden) -> list[Question]:
    """What a restored copy must answer."""
    expected = golden.expected
    if expected["engine"] == "mongodb":
        counts = expected["documents"]
        return [question(name, counts[name], count={"database": "shop", "collection": name}) for name in counts]
    if expected["engine"] == "postgresql":
        database = "shop" if expected["kind"] == "logical" else "postgres"
        rows = expected["rows"]
        return [question(name, rows[name], database=database, sql=f"select count(*) from {name}") for name in rows]
    return [question("keys", expected["keys"], redis=["DBSIZE"]), question("one", "value 7", redis=["GET", "text:7"])]


def test_there_is_a_golden_repository_of_this_format_with_every_kind() -> None:
    assert FORMAT_VERSION in formats(), "make it: see tests/golden/make.py"
    kinds = {(one.expected["engine"], one.expected["kind"]) for one in GOLDEN if one.version == FORMAT_VERSION}
    assert kinds == {
        ("mongodb", "full"),
        ("postgresql", "logical"),
        ("postgresql", "base"),
        ("redis", "rdb"),
        ("redis", "aof"),
    }


@pytest.mark.parametrize("version", formats())
def test_it_is_listed_without_a_problem(version: int) -> None:
    folder = format_folder(version) / REPOSITORY
    reading = read_catalog({"golden": LocalStorage(path=str(folder))})
    assert [str(problem) for problem in reading.problems] == []
    wanted = {one.backup_id for one in GOLDEN if one.version == version}
    assert {backup.manifest.backup_id for backup in reading.backups} == wanted
    assert any(backup.manifest.encryption for backup in reading.backups)


def test_it_is_proved(shelf: Shelf) -> None:
    """Level 2 needs no server of its version, so it is always reached."""
    assert shelf.verify(2).passed
    require_server(shelf.golden)
    verification = shelf.verify(4, *questions(shelf.golden))
    assert verification.passed, verification.error
    assert {check["state"] for check in verification.checks} <= {"passed", "skipped"}


def test_it_is_restored(shelf: Shelf) -> None:
    golden = shelf.golden
    require_server(golden)
    if (golden.expected["engine"], golden.expected["kind"]) not in RESTORERS:
        pytest.skip("SKIPPED LOUDLY: this version has no restorer for it")
    {"mongodb": _mongodb, "postgresql": _postgresql, "redis": _redis}[golden.expected["engine"]](shelf)


def _mongodb(shelf: Shelf) -> None:
    with (
        MongoReplicaSet() as servers,
        servers.client() as client,
        shelf.restored(connection={"uri": servers.uri}, suffix="_recovery"),
    ):
        shop = client.shop_recovery
        for name, count in shelf.golden.expected["documents"].items():
            assert shop[name].count_documents({}) == count
        assert sorted(shop.people.index_information()) == shelf.golden.expected["indexes"]
        assert shop.adults.count_documents({}) == 182


def _postgresql(shelf: Shelf) -> None:
    directory = bin_directory_for(shelf.golden)
    port, data = free_port(), shelf.folder / "targets" / "restored"
    options: dict[str, t.Any] = {"data_directory": str(data), "port": port, "start": True}
    if shelf.golden.expected["kind"] == "logical":
        options["connection"] = {"bin_directory": str(directory)}
    else:
        options |= {"bin_directory": str(directory), "listen_addresses": "127.0.0.1"}
    with shelf.restored(**options):
        database = "shop" if shelf.golden.expected["kind"] == "logical" else "postgres"
        for name, count in shelf.golden.expected["rows"].items():
            command = [*as_user(operating_system_user()), f"{directory}/psql", "-XqAt", "-U", "postgres"]
            command += ["-h", _host(data), "-p", str(port), "-d", database, "-c", f"select count(*) from {name}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
            assert done.stdout.strip() == str(count)


def _host(data: Path) -> str:
    """Where its socket is."""
    lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return lines[4] or lines[5]


def _redis(shelf: Shelf) -> None:
    data = shelf.folder / "redis"
    with (
        shelf.restored(data_directory=str(data), user="root"),
        redis.Redis(unix_socket_path=str(data / "redis.sock"), decode_responses=True) as client,
    ):
        assert client.dbsize() == shelf.golden.expected["keys"]
        assert client.get("text:7") == "value 7"
