# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores by the genuine mongorestore, with the same staging, comparing and renaming as the native ones."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.restoring import RESTORE_ID, Restore, fingerprint, own_names
from tests.integration.mongodb.rig import SECRET, vendor_tools
from tests.integration.mongodb.sample import KINDS
from tests.integration.mongodb.verifying import Place

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def tools() -> Path:
    return vendor_tools()


@pytest.fixture(scope="module")
def place(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    del tools
    folder = tmp_path_factory.mktemp("tool")
    return Place(repository=folder / "repository", scratch=folder, state=folder / "state")


@pytest.fixture(scope="module")
def backup(place: Place, replica_set: MongoReplicaSet) -> BackupFolder:
    return place.back_up(replica_set.uri, database=KINDS)


@pytest.fixture(scope="module")
def target() -> t.Iterator[MongoReplicaSet]:
    """With authentication, so that there is a password to be seen."""
    with MongoReplicaSet(password=SECRET) as servers:
        yield servers


@pytest.fixture
def there(target: MongoReplicaSet) -> t.Iterator[t.Any]:
    with target.client() as client:
        yield client
        for name in client.list_database_names():
            if name not in ("admin", "config", "local"):
                client.drop_database(name)


class Making(t.Protocol):
    def __call__(self, folder: BackupFolder | None = None, **options: t.Any) -> Restore: ...


@pytest.fixture
def restore(place: Place, backup: BackupFolder, target: MongoReplicaSet, tools: Path, tmp_path: Path) -> Making:
    def make(folder: BackupFolder | None = None, **options: t.Any) -> Restore:
        return Restore(
            repository=place.repository,
            folder=folder or backup,
            options={
                "connection": {"uri": target.uri, "server_selection_timeout": 5},
                "tool": "mongorestore",
                "tool_directory": str(tools),
                **options,
            },
            state=tmp_path / "state",
        )

    return make


def of(found: t.Mapping[str, t.Any], database: str) -> dict[str, t.Any]:
    return {name.partition(".")[2]: value for name, value in found.items() if name.startswith(f"{database}.")}


def test_everything_under_another_name(restore: Making, client: t.Any, there: t.Any) -> None:
    one = restore(suffix="_recovery")
    assert "mongorestore" in one.inspect().facts["tool"]
    one.run()
    assert of(fingerprint(there), f"{KINDS}_recovery") == of(fingerprint(client), KINDS)
    one.roll_back()
    assert of(fingerprint(there), f"{KINDS}_recovery") == {}


def test_in_place_without_a_secret_on_a_command_line(restore: Making, client: t.Any, there: t.Any) -> None:
    there[KINDS].plain.insert_one({"_id": "old"})
    before = fingerprint(there)
    one = restore(in_place=True)
    with watched_processes("mongorestore") as seen:
        one.run()
    assert seen["runs"], "mongorestore was never seen running, so this proves nothing"
    assert not seen["shown"]
    assert SECRET not in (one.state / "restores" / f"{RESTORE_ID}.json").read_text()
    found = of(fingerprint(there), KINDS)
    wanted = of(fingerprint(client), KINDS)
    assert {name: found[name] for name in wanted} == wanted
    one.roll_back()
    assert fingerprint(there) == before


def test_a_part(restore: Making, client: t.Any, there: t.Any) -> None:
    one = restore(collections=[f"{KINDS}.german", f"{KINDS}.series", f"{KINDS}.recent", f"{KINDS}.odd name é"])
    one.run()
    assert sorted(of(fingerprint(there), KINDS)) == ["german", "odd name é", "recent", "series"]
    assert of(fingerprint(there), KINDS)["german"] == of(fingerprint(client), KINDS)["german"]


def test_a_dump_by_mongodump_restored_natively(
    place: Place, replica_set: MongoReplicaSet, restore: Making, client: t.Any, there: t.Any
) -> None:
    folder = place.back_up(replica_set.uri, tool="mongodump", tool_directory=str(vendor_tools()))
    one = restore(folder, tool="native", databases=[KINDS])
    assert one.inspect().needed_bytes > 0
    one.run()
    assert of(fingerprint(there), KINDS) == of(fingerprint(client), KINDS)


def test_names_that_are_patterns(place: Place, replica_set: MongoReplicaSet, restore: Making, there: t.Any) -> None:
    with replica_set.client() as client:
        names = ["a*b", "axb", "back\\slash", "dotted.name", "q?"]
        for name in names:
            client.patterns[name].insert_one({"_id": name})
        folder = place.back_up(replica_set.uri, database="patterns")
        client.drop_database("patterns")
    for tool in ("mongorestore", "native"):
        one = restore(folder, tool=tool, collections=["patterns.a*b", "patterns.back\\slash", "patterns.q?"])
        one.run()
        assert sorted(there.patterns.list_collection_names()) == ["a*b", "back\\slash", "q?"], tool
        one.roll_back()
        assert "patterns" not in there.list_database_names()


def test_a_dump_that_needs_its_oplog_is_refused(
    place: Place, replica_set: MongoReplicaSet, restore: Making, there: t.Any
) -> None:
    folder = place.back_up(replica_set.uri, consistency="oplog")
    with pytest.raises(errors.RestoreTargetInvalid, match="oplog") as refused:
        restore(folder, databases=[KINDS]).inspect()
    assert "native" in refused.value.hint
    assert own_names(there) == []


def test_a_mongorestore_that_fails_leaves_nothing(restore: Making, there: t.Any, tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    script = folder / "mongorestore"
    # Stands in for a mongorestore that leaves documents out and ends well.
    script.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "mongorestore version: 100.13.0" && exit\ncat > /dev/null\n'
        'echo "7 document(s) restored successfully. 1 document(s) failed to restore." >&2\n'
    )
    script.chmod(0o755)
    with pytest.raises(errors.MongoLoadFailed, match="1 documents failed"):
        restore(tool_directory=str(folder)).run()
    script.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "mongorestore version: 99.1.0" && exit\n')
    with pytest.raises(errors.ToolTooOld):
        restore(tool_directory=str(folder)).inspect()
    assert of(fingerprint(there), KINDS) == {}


class watched_processes:  # noqa: N801 it is used like a function
    """Looks at all command lines and the program's environment while the block runs."""

    def __init__(self, program: str) -> None:
        self._program = program.encode()
        self._seen: dict[str, list[str]] = {"runs": [], "shown": []}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> dict[str, list[str]]:
        self._thread.start()
        return self._seen

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            for folder in Path("/proc").iterdir():
                if not folder.name.isdigit():
                    continue
                try:
                    arguments = (folder / "cmdline").read_bytes()
                    is_tool = b"/" + self._program + b"\x00" in arguments
                    variables = (folder / "environ").read_bytes() if is_tool else b""
                except OSError:
                    continue
                if is_tool:
                    self._seen["runs"].append(folder.name)
                if SECRET.encode() in arguments or SECRET.encode() in variables:
                    self._seen["shown"].append(arguments.decode("utf-8", "replace"))
