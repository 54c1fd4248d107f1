# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a MongoDB dump: the whole restore against mongorestore alone, and against a loop of insert_many."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from sandbox.dataset.mongodb import DATABASE

from .command import Command, script, words
from .contest import Contender, Contest, Figure, Limit
from .mongodb import MEMORY_LIMIT, ReplicaSet
from .ours import ours
from .place import Place

_ROOT = Path(__file__).resolve().parents[2]
_TARGET = f"{DATABASE}_bench"
_WORKERS = 4
# Speed of at least 0.9 x is time of at most so many times.
_ALMOST = 1 / 0.9
RESTORE, INSERT_MANY = "restore", "insert many"
LOAD_DOCUMENTS, INSERT_DOCUMENTS = "load documents", "insert documents"


@contextlib.contextmanager
def restore_mongodb_contest(mongodb: ReplicaSet, place: Place) -> t.Iterator[Contest]:
    """Everybody reads the same stored bytes and writes into a new database of the same server."""
    repository = place.folder / "restore-mongodb-repository"
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir()
    try:
        stored = _made(mongodb, repository, work=place.folder / "restore-mongodb-work")
        yield _contest(mongodb, stored, repository=repository)
    finally:
        shutil.rmtree(repository)
        _drop(mongodb)


def _made(mongodb: ReplicaSet, repository: Path, *, work: Path) -> Path:
    """One backup; its payload."""
    shutil.rmtree(work, ignore_errors=True)
    target = work / "target"
    target.mkdir(parents=True)
    command = ours("mongodb", "full", {"connection": mongodb.connection, "database": DATABASE}, target=target)
    subprocess.run(command.argv, env={"PATH": "/usr/bin:/bin", **command.environment}, check=True, timeout=1800)
    repository.rmdir()
    target.rename(repository)
    shutil.rmtree(work)
    return next(repository.rglob("dump.archive.zst"))


def _drop(mongodb: ReplicaSet) -> None:
    with mongodb.server.client() as client:
        client.drop_database(_TARGET)


def find_mongorestore() -> str | None:
    """The vendor's tool: in the folder that LIFEBOAT_MONGO_TOOLS names, else on PATH."""
    return shutil.which("mongorestore", path=os.environ.get("LIFEBOAT_MONGO_TOOLS")) or shutil.which("mongorestore")


def _contest(mongodb: ReplicaSet, stored: Path, *, repository: Path) -> Contest:
    name, uri = shlex.quote(str(stored)), mongodb.server.uri

    def own(what: str) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            _drop(mongodb)
            request = {"what": what, "repository": str(repository), "uri": uri, "state": str(target / "state")}
            return Command(
                argv=(sys.executable, "-m", "tests.bench.restore_mongodb", json.dumps(request)),
                target=target,
                environment={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tools' / 'typing'}"},
            )

        return prepare

    def piped(what: str) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            command = own(what)(target)
            return script(f"zstd -dcq {name} | {words(command.argv)}", target=target, **command.environment)

        return prepare

    def vendor(program: str) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            _drop(mongodb)
            restore = words(
                (
                    program,
                    "--quiet",
                    f"--uri={uri}",
                    "--archive",
                    "--bypassDocumentValidation",
                    f"--numInsertionWorkersPerCollection={_WORKERS}",
                    f"--nsFrom={DATABASE}.*",
                    f"--nsTo={_TARGET}.*",
                )
            )
            return script(f"zstd -dcq {name} | {restore}", target=target)

        return prepare

    program = find_mongorestore()
    missing = []
    contenders = [
        Contender("restore", "Lifeboat (the whole restore)", own(RESTORE)),
        Contender("insert-many", "zstd -dc | pymongo, insert_many", piped(INSERT_MANY)),
        # How the documents get in, without what only the server does afterwards: building the indexes.
        Contender("documents", "Lifeboat, documents alone", piped(LOAD_DOCUMENTS)),
        Contender("insert-documents", "insert_many, documents alone", piped(INSERT_DOCUMENTS)),
    ]
    if program is None:
        missing.append("mongorestore is not on this machine: name its folder in LIFEBOAT_MONGO_TOOLS to measure it.")
    else:
        contenders.append(Contender("mongorestore", "zstd -dc | mongorestore --archive", vendor(program)))
    return Contest(
        name="restore-mongodb",
        title="Dump of a MongoDB database, on its way back beside the original",
        data=f"{mongodb.data_bytes / 1e9:.2f} GB of documents, {stored.stat().st_size / 1e9:.2f} GB stored",
        data_bytes=mongodb.data_bytes,
        contenders=tuple(contenders),
        figures=(
            Figure("at least 0.9 x mongorestore", "restore", "mongorestore", at_most=_ALMOST),
            Figure("at least 2 x insert_many of decoded documents", "documents", "insert-documents", at_least=2),
            Figure("(the same with the server's building of indexes)", "restore", "insert-many"),
        ),
        limits=(Limit("memory under 200 MB", "restore", lambda one: one.own_peak, MEMORY_LIMIT),),
        server_pids=mongodb.pids,
        settle=mongodb.settle,
        missing=tuple(missing),
    )


def main() -> int:
    """Restore as the operation does, or insert what an archive on standard input holds as a simple script would."""
    asked = json.loads(sys.argv[1])
    if asked["what"] in (INSERT_MANY, INSERT_DOCUMENTS):
        _insert_many(asked["uri"], indexes=asked["what"] == INSERT_MANY)
    elif asked["what"] == LOAD_DOCUMENTS:
        _load_documents(asked["uri"])
    else:
        _restore(asked)
    return 0


def _restore(asked: t.Mapping[str, str]) -> None:
    from lifeboat.catalog.catalog import Selection
    from lifeboat.core.host import Host
    from lifeboat.operations.backup_values import RepositoryRequest
    from lifeboat.operations.choosing import NEWEST
    from lifeboat.operations.restore import run_restore
    from lifeboat.operations.restore_values import RestoreRequest

    request = RestoreRequest(
        repositories=(RepositoryRequest(name="local", description={"type": "file", "path": asked["repository"]}),),
        selection=Selection(),
        options={"connection": {"uri": asked["uri"]}, "rename": {DATABASE: _TARGET}, "parallel": _WORKERS},
        point=NEWEST,
        state_directory=asked["state"],
    )
    run_restore(request, host=Host())


def _load_documents(uri: str) -> None:
    import pymongo

    from lifeboat.core.clock import SystemClock
    from lifeboat.core.progress import Progress
    from lifeboat.mongodb.archive_load import load_archive
    from lifeboat.mongodb.load_values import LoadOptions
    from lifeboat.mongodb.namespace_map import NamespaceMap

    client: pymongo.MongoClient[dict[str, t.Any]]
    with pymongo.MongoClient(uri) as client:
        options = LoadOptions(names=NamespaceMap({DATABASE: _TARGET}), threads=_WORKERS, finish=False)
        load_archive(sys.stdin.buffer, client=client, options=options, progress=Progress(clock=SystemClock()))


def _insert_many(uri: str, *, indexes: bool) -> None:
    import bson
    import pymongo
    import pymongo.database

    from lifeboat.mongodb.archive_reader import ArchiveDocuments, ArchiveReader
    from lifeboat.mongodb.collection_metadata import read_metadata

    reader = ArchiveReader(sys.stdin.buffer)
    prelude = reader.prelude()
    client: pymongo.MongoClient[dict[str, t.Any]]
    with pymongo.MongoClient(uri) as client:
        database: pymongo.database.Database[dict[str, t.Any]] = client[_TARGET]
        for block in reader.blocks():
            if isinstance(block, ArchiveDocuments) and block.database == DATABASE and "$" not in block.collection:
                database[block.collection].insert_many(bson.decode_all(block.documents), ordered=False)
        for one in prelude.collections:
            found = [dict(index) for index in read_metadata(one).indexes] if one.database == DATABASE else []
            if indexes and found and one.type == "collection":
                database.command({"createIndexes": one.name, "indexes": found})


if __name__ == "__main__":
    sys.exit(main())
