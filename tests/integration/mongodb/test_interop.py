# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Genuine mongorestore reads our archives, we read genuine mongodump's, and RESTORE.md is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PipelineFailed
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb.load import TOTAL, open_accounts, total_on, transfers
from tests.integration.mongodb.rig import SECRET, Dump, Source, read_archive, vendor_tools
from tests.integration.mongodb.sample import KINDS, NAMES

pytestmark = pytest.mark.interop
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def tools() -> Path:
    return vendor_tools()


@dataclass(frozen=True)
class Place:
    """The genuine tools and an empty server to restore to."""

    tools: Path
    target: MongoServer


@pytest.fixture
def place(tools: Path, tmp_path: Path) -> t.Iterator[Place]:
    with MongoServer(directory=tmp_path / "target") as server:
        yield Place(tools=tools, target=server)


def commands(dump: Dump) -> list[str]:
    """The blocks of RESTORE.md: first the one that writes target.yaml."""
    return _BLOCK.findall(dump.production.restore_commands)


def run_guide(dump: Dump, number: int, *, place: Place, **replace: str) -> str:
    """Run the first block and that of the number, as they stand but for the target's URI; return what was printed."""
    first, chosen = commands(dump)[0], commands(dump)[number]
    uri = "mongodb://USER:PASSWORD@HOST:27017/?authSource=admin"
    assert uri in first
    script = f"set -eu -o pipefail\n{first.replace(uri, place.target.uri)}\n{chosen}"
    script = script.replace("{fetch:dump.archive}", f"cat '{dump.archive}'")
    for word, value in replace.items():
        script = script.replace(word, value)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=dump.archive.parent,
        env={**os.environ, "PATH": f"{place.tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        # mongorestore waits for ever when an archive's order is not what it expects.
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " 0 document(s) failed to restore" in done.stderr, done.stderr
    return done.stderr


def hashes(client: t.Any, database: str) -> dict[str, str]:
    """dbHash of each collection; views stand in system.views under the database's name, so it differs when renamed."""
    found: dict[str, str] = client[database].command("dbHash")["collections"]
    return {name: value for name, value in found.items() if name != "system.views"}


def shape(client: t.Any, database: str) -> dict[str, t.Any]:
    """Options and indexes of each collection and view."""
    found = {}
    for entry in client[database].list_collections():
        if entry["name"].startswith("system."):
            continue
        indexes = [] if entry["type"] == "view" else list(client[database][entry["name"]].list_indexes())
        found[entry["name"]] = (entry["type"], entry["options"], sorted(map(str, indexes)))
    return found


def test_one_database_of_every_kind_comes_back(source: Source, client: t.Any, place: Place) -> None:
    run_guide(source.dump(database=KINDS), 1, place=place)
    with place.target.client() as restored:
        assert hashes(restored, KINDS) == hashes(client, KINDS)
        assert shape(restored, KINDS) == shape(client, KINDS)
        assert restored[KINDS].recent.count_documents({}) == client[KINDS].recent.count_documents({}) == 9
        # Refused by today's validator, and kept all the same.
        assert restored[KINDS].strict.count_documents({"_id": "older than the validator"}) == 1


def test_one_database_comes_back_under_another_name(source: Source, client: t.Any, place: Place) -> None:
    run_guide(source.dump(database=KINDS), 2, place=place)
    with place.target.client() as restored:
        assert hashes(restored, f"{KINDS}_recovery") == hashes(client, KINDS)
        assert KINDS not in restored.list_database_names()


def test_users_and_roles_of_one_database_come_back(source: Source, database: t.Any, place: Place) -> None:
    database.orders.insert_one({"_id": 1})
    database.command("createRole", "seller", privileges=[], roles=["read"])
    database.command("createUser", "ann", pwd="x", roles=["seller"])
    try:
        dump = source.dump(database=database.name)
    finally:
        database.command("dropAllUsersFromDatabase")
        database.command("dropAllRolesFromDatabase")
    run_guide(dump, 3, place=place)
    with place.target.client() as restored:
        (user,) = restored[database.name].command("usersInfo", "ann")["users"]
        assert user["roles"] == [{"role": "seller", "db": database.name}]


@pytest.mark.parametrize("wanted", ["oplog", "snapshot"])
def test_the_whole_instance_under_transactions_comes_back_whole(
    source: Source, client: t.Any, database: t.Any, place: Place, wanted: str
) -> None:
    open_accounts(database)
    client.admin.command("createUser", "ann", pwd="x", roles=["readAnyDatabase"])
    try:
        with transfers(client, database) as count:
            while count[0] < 5:
                pass
            before = count[0]
            dump = source.dump(consistency=wanted)
            assert count[0] > before
    finally:
        client.admin.command("dropUser", "ann")
    if wanted == "oplog":
        assert dump.content["consistency"]["oplog"]["entries"] > 0
    run_guide(dump, 1, place=place)
    with place.target.client() as restored:
        assert total_on(restored[database.name]) == TOTAL
        assert hashes(restored, KINDS) == hashes(client, KINDS)
        assert restored.admin.command("usersInfo", "ann")["users"]


def test_one_database_of_a_whole_instance(source: Source, client: t.Any, place: Place) -> None:
    run_guide(source.dump(consistency="snapshot"), 2, place=place, DATABASE=KINDS)
    with place.target.client() as restored:
        assert hashes(restored, KINDS) == hashes(client, KINDS)


def test_many_collections_interleaved_come_back(
    source: Source, client: t.Any, database: t.Any, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More collections than workers, the large ones read in parts: mongorestore must never wait for a worker."""
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import splitting

    monkeypatch.setattr(splitting, "SMALLEST_PART", 100_000)
    for number in range(20):
        database[f"c{number}"].insert_many({"_id": key, "x": "y" * 500} for key in range(200 if number > 1 else 20_000))
    run_guide(source.dump(database=database.name, parallel=8), 1, place=place)
    with place.target.client() as restored:
        assert hashes(restored, database.name) == hashes(client, database.name)


def test_we_read_what_genuine_mongodump_writes(
    source: Source, replica_set: MongoReplicaSet, tools: Path, tmp_path: Path
) -> None:
    path = tmp_path / "genuine.archive"
    with path.open("wb") as file:
        subprocess.run(
            [tools / "mongodump", f"--host=127.0.0.1:{replica_set.port}", f"--db={KINDS}", "--archive", "--quiet"],
            stdout=file,
            check=True,
            timeout=60,
        )
    genuine, ours = read_archive(path), source.dump(database=KINDS, users_and_roles=False).read()
    # To the byte: the same metadata in the same words, the same documents.
    assert {one.name: one for one in genuine.prelude.collections} == {one.name: one for one in ours.prelude.collections}
    assert set(NAMES) == {one.name for one in ours.prelude.collections}
    assert {key: sorted(documents) for key, documents in genuine.documents.items()} == {
        key: sorted(documents) for key, documents in ours.documents.items()
    }


@pytest.mark.parametrize("description", [{}, {"database": KINDS, "consistency": "none"}])
def test_mongodump_as_the_tool(source: Source, client: t.Any, place: Place, description: dict[str, t.Any]) -> None:
    dump = source.dump(tool="mongodump", tool_directory=str(place.tools), **description)
    assert dump.content["tool"]["name"] == "mongodump"
    collections = dump.content["databases"][KINDS]
    assert {name: facts["documents"] for name, facts in collections.items()} == _counts(client)
    run_guide(dump, 1, place=place)
    with place.target.client() as restored:
        assert hashes(restored, KINDS) == hashes(client, KINDS)


def _counts(client: t.Any) -> dict[str, int]:
    return {
        name: 0
        if name == "recent"
        else client[KINDS]["system.buckets.series" if name == "series" else name].count_documents({})
        for name in NAMES
    }


def test_a_mongodump_that_fails_fails_the_backup(source: Source, tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    script = folder / "mongodump"
    # Stands in for a mongodump that dies in the middle: it prints something that looks like an archive.
    script.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "mongodump version: 100.13.0" && exit\necho half; exit 1\n'
    )
    script.chmod(0o755)
    with pytest.raises(PipelineFailed):
        source.dump(tool="mongodump", tool_directory=str(folder))
    assert not (source.folder / "dump.archive").exists()


def test_no_secret_on_any_command_line(guarded: MongoReplicaSet, tools: Path, tmp_path: Path) -> None:
    """While mongodump runs, no process of this machine shows the password in its arguments or environment."""
    with guarded.client() as client:
        client.shop.large.insert_many({"x": "y" * 100_000} for _number in range(300))
    seen: list[str] = []
    dumps: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for folder in Path("/proc").iterdir():
                if not folder.name.isdigit():
                    continue
                try:
                    arguments = (folder / "cmdline").read_bytes()
                    environment = (folder / "environ").read_bytes()
                except OSError:
                    continue
                if b"/mongodump\x00" in arguments:
                    dumps.append(folder.name)
                if SECRET.encode() in arguments or (b"/mongodump\x00" in arguments and SECRET.encode() in environment):
                    seen.append(arguments.decode("utf-8", "replace"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        source = Source(uri=guarded.uri, folder=tmp_path / "dump")
        dump = source.dump(tool="mongodump", tool_directory=str(tools))
    finally:
        stop.set()
        watcher.join(10)
        with guarded.client() as client:
            client.shop.large.drop()
    assert dumps, "mongodump was never seen running, so this proves nothing"
    assert not seen
    assert dump.content["databases"]["shop"]["large"]["documents"] == 300
    assert SECRET not in str(dump.content)
