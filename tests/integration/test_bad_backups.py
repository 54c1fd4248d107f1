# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every class of bad backup, of every kind: it passes at the level below, and is caught at the one that promises it.

The list of what is made bad, and how, is tests/support/bad_backups.py; the page docs/verification.md shows it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import Verification
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ManifestInvalid,
    ManifestTooNew,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import run_backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS as RUNNABLE
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify import run_verifications
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.verify_values import (
    Proof,
    VerifyRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from sandbox.mongodb import MongoReplicaSet
from sandbox.parts import MONGOD, find_mongod, require
from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer
from tests.integration.postgresql.physical import make_key
from tests.integration.redis.servers import fill, program
from tests.support import resealing
from tests.support.bad_backups import AOF, BASE, CASES, CATALOG, CLASSES, KINDS, LOGICAL, MONGODB, RDB, Case, Copy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

_SERIES = {
    MONGODB: ("mongodb", "full"),
    LOGICAL: ("postgresql", "logical"),
    BASE: ("postgresql", "base"),
    RDB: ("redis", "rdb"),
    AOF: ("redis", "aof"),
}


@dataclass
class Made:
    """One repository with good backups, each of a source of its own."""

    folder: Path
    recipient: str
    folders: dict[tuple[str, str], BackupFolder] = field(default_factory=dict)
    bin_directory: str = ""

    def back_up(self, kind: str, source: str, options: dict[str, t.Any]) -> None:
        engine, name = _SERIES[kind]
        encryption = Encryption(recipients=(self.recipient,)) if source == "encrypted" else None
        description = {"type": "file", "path": str(self.folder / "repository"), "create": True}
        result = run_backup(
            BackupRequest(
                series=Series(service="shop", source=source, kind=name),
                engine=engine,
                repositories=(RepositoryRequest("local", description),),
                make_producer=RUNNABLE[engine, name].factory(options),
                transforms=Transforms(compression=Compression(level=1, threads=1), encryption=encryption),
                state_directory=str(self.folder / "state"),
            ),
            host=Host(journal=MemoryJournal()),
        )
        self.folders[kind, source] = result.manifest.folder


@pytest.fixture(scope="module")
def made() -> t.Iterator[Made]:
    folder = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))  # short enough for sockets
    folder.chmod(0o755)
    recipient, _identity = make_key(folder)
    one = Made(folder=folder, recipient=recipient)
    _mongodb(one)
    _postgresql(one)
    _redis(one)
    yield one
    shutil.rmtree(folder)


def _mongodb(made: Made) -> None:
    with MongoReplicaSet() as servers, servers.client() as client:
        client.shop.people.insert_many({"_id": number, "name": f"person {number}"} for number in range(300))
        client.shop.people.create_index("name", name="by name")
        client.shop.orders.insert_many({"_id": number} for number in range(20))
        options = {"connection": {"uri": servers.uri}, "database": "shop"}
        made.back_up(MONGODB, "main", options)
        client.shop.people.insert_one({"_id": "more"})
        made.back_up(MONGODB, "second", options)
        made.back_up(MONGODB, "encrypted", options)


_PEOPLE = """
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO people SELECT n, md5(n::text) FROM generate_series(1, 300) n;
CREATE INDEX people_by_name ON people (name);
CREATE TABLE orders (id int PRIMARY KEY);
INSERT INTO orders SELECT generate_series(1, 20);
"""
# A dump empties search_path, so that the check does not find the table that it asks.
_UNLOADABLE = """
CREATE FUNCTION is_sold(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 <= (SELECT max(id) FROM people); END';
CREATE TABLE sold (id int CHECK (is_sold(id)));
INSERT INTO sold VALUES (1);
"""


def _postgresql(made: Made) -> None:
    with PostgreSQLServer(archiving=False) as server, PostgreSQLServer(archiving=False) as other:
        made.bin_directory = str(server.bin_directory)

        def connection(of: PostgreSQLServer) -> dict[str, t.Any]:
            return {"host": "127.0.0.1", "port": of.port, "user": "postgres", "bin_directory": made.bin_directory}

        def dump(source: str, change: str = "", *, name: str = "shop") -> None:
            if change:
                _psql(server, change, database=name)
            made.back_up(LOGICAL, source, {"connection": connection(server), "databases": [name]})

        server.query("CREATE DATABASE shop")
        server.query("CREATE DATABASE other")
        _psql(server, _PEOPLE, database="shop")
        dump("main")
        scratch = made.folder / "dumping"
        scratch.mkdir()
        options = {"connection": connection(server), "databases": ["shop"]}
        made.back_up(LOGICAL, "directory", {**options, "format": "directory", "scratch_directory": str(scratch)})
        dump("second", "INSERT INTO orders VALUES (21)")
        dump("encrypted")
        dump("no-index", "DELETE FROM orders WHERE id > 20; DROP INDEX people_by_name")
        dump("half", "CREATE INDEX people_by_name ON people (name); DELETE FROM people WHERE id % 2 = 0")
        dump("empty", "TRUNCATE people, orders")
        dump("no-table", "DROP TABLE orders")
        dump("unloadable", _UNLOADABLE)
        dump("other", _PEOPLE, name="other")

        _psql(server, _PEOPLE, database="postgres")
        made.back_up(BASE, "main", {"connection": connection(server)})
        path = server.query("SELECT pg_relation_filepath('pg_description')")[0][0]
        folder = resealing.folder_path(made.folder / "repository", made.folders[BASE, "main"])
        (folder / "page-of").write_text(path, encoding="utf-8")
        _psql(server, "DELETE FROM people WHERE id % 2 = 0", database="postgres")
        made.back_up(BASE, "second", {"connection": connection(server)})
        made.back_up(BASE, "encrypted", {"connection": connection(server)})
        made.back_up(BASE, "other", {"connection": connection(other)})


def _psql(server: PostgreSQLServer, script: str, *, database: str) -> None:
    command = [str(server.bin_directory / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]
    command += ["-p", str(server.port), "-U", "postgres", "-d", database]
    subprocess.run(command, input=script, text=True, check=True, timeout=60, stdout=subprocess.DEVNULL)


def _redis(made: Made) -> None:
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-redis-"))
    server = RedisServer(directory=folder / "redis", program=program("redis"), append_only=True)
    try:
        server.start()
        options = {"connection": {"host": "127.0.0.1", "port": server.port}}
        with server.client() as client:
            fill(server, keys=400)
            for source in ("main", "second", "encrypted", "half", "empty", "other"):
                if source == "half":
                    client.delete(*(f"text:{number}" for number in range(0, 400, 2)))
                elif source != "main":
                    client.set(source, source)
                if source in ("empty", "other"):
                    client.flushall()
                if source == "other":
                    fill(server, keys=30)
                if source != "main":
                    _rewrite(client)
                for kind in (RDB, AOF):
                    made.back_up(kind, source, options)
    finally:
        server.discard()
        shutil.rmtree(folder)


def _rewrite(client: t.Any) -> None:
    """New append-only files, for those of before are the same ones grown longer."""
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        pass


@dataclass
class Shelf:
    """A copy of the repository, in which one backup is bad."""

    made: Made
    copy: Copy

    @property
    def repositories(self) -> tuple[RepositoryRequest, ...]:
        return (RepositoryRequest("local", {"type": "file", "path": str(self.copy.repository)}),)

    def verify(self, level: int) -> Verification:
        options = {
            "mongodb": {"mongod": str(require(find_mongod(), MONGOD))},
            "postgresql": {"bin_directory": self.made.bin_directory},
        }
        key = self.copy.repository.parent / "wrong.txt" if self.copy.wrong_key else self.made.folder / "identity.txt"
        request = VerifyRequest(
            repositories=self.repositories,
            selection=Selection(backup_id=self.copy.place.backup_id),
            proof=Proof(level=level, questions=tuple(self.copy.questions), options=options),
            identity=Secret(name="identity", file=str(key)),
            scratch_directory=str(self.copy.repository.parent / "scratch"),
            state_directory=str(self.copy.repository.parent / "state"),
        )
        (outcome,) = run_verifications(request, host=Host(journal=MemoryJournal())).outcomes
        assert outcome.verification is not None, outcome.error
        return outcome.verification


@pytest.fixture
def shelf(made: Made, request: pytest.FixtureRequest) -> t.Iterator[Shelf]:
    case: Case = request.getfixturevalue("case")
    folder = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))
    folder.chmod(0o755)
    repository = folder / "repository"
    for (kind, _source), place in made.folders.items():
        if kind == case.kind:
            wanted = resealing.folder_path(made.folder / "repository", place)
            shutil.copytree(wanted, resealing.folder_path(repository, place))
    subprocess.run(["age-keygen", "-o", folder / "wrong.txt"], check=True, capture_output=True)
    yield Shelf(made, Copy(repository=repository, kind=case.kind, folders=made.folders))
    shutil.rmtree(folder)


def parametrized(*levels: int) -> t.Any:
    cases = [case for case in CASES if case.level in levels]
    return pytest.mark.parametrize("case", cases, ids=str)


@parametrized(CATALOG)
def test_what_is_caught_when_the_catalog_is_read(shelf: Shelf, case: Case) -> None:
    """Never shown as a backup; what has a manifest is named as a problem, the rest is a leftover like any other."""
    storage = LocalStorage(path=str(shelf.copy.repository))
    place = shelf.copy.place
    before = read_catalog({"local": storage})
    assert before.problems == ()
    assert place.backup_id in {backup.manifest.backup_id for backup in before.backups}
    case.spoil(shelf.copy)
    after = read_catalog({"local": storage})
    assert place.backup_id not in {backup.manifest.backup_id for backup in after.backups}
    assert len(after.backups) == len(before.backups) - 1, "the others are shown all the same"
    if shelf.copy.manifest.exists():
        (problem,) = after.problems
        assert isinstance(problem, (ManifestInvalid, ManifestTooNew))
        assert place.backup_id in problem.message
    else:
        assert after.problems == ()


@parametrized(0, 1, 2, 3, 4)
def test_what_a_level_catches_and_the_one_below_does_not(shelf: Shelf, case: Case) -> None:
    case.spoil(shelf.copy)
    if 0 < case.level <= 2:  # a level that needs a server is passed on the way to the next one, as is shown below
        assert shelf.verify(case.level - 1).passed
    verification = shelf.verify(case.level)
    assert not verification.passed
    assert verification.reached == case.level - 1, verification.error
    scratch = shelf.copy.repository.parent / "scratch"
    assert not scratch.exists() or list(scratch.iterdir()) == []


def test_every_class_is_on_the_page_and_tried() -> None:
    assert {case.title for case in CASES} == set(CLASSES)
    assert {case.kind for case in CASES} == set(KINDS)
