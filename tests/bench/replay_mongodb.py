# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaying an oplog of small operations: ours in batches, one operation for each applyOps, and mongorestore.

Ours replays all of it, so that the start of a process does not count for more than it does in a recovery. The others
make under a thousand operations a second and are given the beginning: their start is a hundredth of their time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import typing as t
from pathlib import Path

from .command import Command
from .contest import Contender, Contest, Figure, Rate
from .mongodb import ReplicaSet
from .place import Place
from .restore_mongodb import find_mongorestore

_ROOT = Path(__file__).resolve().parents[2]
_DATABASE = "replay_bench"
_OPERATIONS = int(os.environ.get("LIFEBOAT_BENCH_OPERATIONS", "300000"))
_SLOW_ENTRIES = 20_000
_RUNS = 3
_RATE = 17_000
BATCHED, ONE_BY_ONE = "batched", "one by one"


@contextlib.contextmanager
def replay_mongodb_contest(mongodb: ReplicaSet, place: Place) -> t.Iterator[Contest]:
    """Everybody replays the same file onto nothing; the collection is made by the first entry."""
    oplog, beginning = place.folder / "replay-oplog.bson", place.folder / "replay-beginning.bson"
    try:
        count, few = _written(mongodb, oplog, beginning)
        place.say(f"replay-mongodb: {count} entries, {oplog.stat().st_size / 1e6:.0f} MB")
        yield _contest(mongodb, oplog, beginning, count=count, few=few)
    finally:
        oplog.unlink(missing_ok=True)
        beginning.unlink(missing_ok=True)
        _drop(mongodb)


def _written(mongodb: ReplicaSet, oplog: Path, beginning: Path) -> tuple[int, int]:
    """Let the server do the operations, and keep what its oplog says of them; how many entries are in each file."""
    import pymongo
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    raw: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
    count = 0
    with mongodb.server.client() as client, oplog.open("wb") as file, beginning.open("wb") as first_file:
        _drop(mongodb)
        start = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
        items = client[_DATABASE].items
        for first in range(0, _OPERATIONS, 1000):
            work: list[t.Any] = []
            for number in range(first, first + 1000):
                kind = number % 10
                if kind < 6 or number < 1000:
                    work.append(
                        pymongo.InsertOne({"_id": number, "name": f"item {number}", "price": number / 7, "n": 0})
                    )
                elif kind < 9:
                    work.append(pymongo.UpdateOne({"_id": number - 1000 - kind}, {"$inc": {"n": 1}}))
                else:
                    work.append(pymongo.DeleteOne({"_id": number - 900 - kind}))
            items.bulk_write(work, ordered=True)
        entries = client.get_database("local", codec_options=raw)["oplog.rs"]
        namespaces = [f"{_DATABASE}.items", f"{_DATABASE}.$cmd"]
        for one in entries.find({"ts": {"$gt": start}, "ns": {"$in": namespaces}}).sort("$natural", 1):
            file.write(one.raw)
            if count < _SLOW_ENTRIES:
                first_file.write(one.raw)
            count += 1
    return count, min(count, _SLOW_ENTRIES)


def _drop(mongodb: ReplicaSet) -> None:
    with mongodb.server.client() as client:
        client.drop_database(_DATABASE)


def _contest(mongodb: ReplicaSet, oplog: Path, beginning: Path, *, count: int, few: int) -> Contest:
    def own(what: str, entries: Path) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            _drop(mongodb)
            request = {"what": what, "oplog": str(entries), "uri": mongodb.server.uri}
            return Command(
                argv=(sys.executable, "-m", "tests.bench.replay_mongodb", json.dumps(request)),
                target=target,
                environment={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tools' / 'typing'}"},
            )

        return prepare

    def vendor(program: str) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            _drop(mongodb)
            empty = target / "empty"
            empty.mkdir()
            return Command(
                argv=(
                    program,
                    "--quiet",
                    f"--uri={mongodb.server.uri}",
                    "--oplogReplay",
                    f"--oplogFile={beginning}",
                    f"--dir={empty}",
                ),
                target=target,
            )

        return prepare

    share, words = few / count, f" (the first {few:,})"
    contenders = [
        Contender("replay", "Lifeboat (batches)", own(BATCHED, oplog)),
        Contender(
            "one-by-one", f"applyOps, one operation each{words}", own(ONE_BY_ONE, beginning), warm=False, share=share
        ),
    ]
    missing = []
    program = find_mongorestore()
    if program is None:
        missing.append("mongorestore is not on this machine: name its folder in LIFEBOAT_MONGO_TOOLS to measure it.")
    else:
        contenders.append(
            Contender("mongorestore", f"mongorestore --oplogReplay{words}", vendor(program), warm=False, share=share)
        )
    return Contest(
        name="replay-mongodb",
        title="Replay of an oplog of small operations (60 % inserts, 30 % updates, 10 % deletes)",
        data=f"{count:,} operations",
        data_bytes=oplog.stat().st_size,
        contenders=tuple(contenders),
        figures=(
            Figure("at least 25 x the rate of applyOps with one operation each", "replay", "one-by-one", at_least=25),
            Figure("at least 25 x the rate of mongorestore --oplogReplay", "replay", "mongorestore", at_least=25),
        ),
        limits=(),
        server_pids=mongodb.pids,
        settle=mongodb.settle,
        missing=tuple(missing),
        runs=_RUNS,
        rates=(Rate(f"at least {_RATE:,} small operations a second", "replay", count, _RATE, "operations"),),
        least_bytes=0,
    )


def main() -> int:
    """Replay as a recovery does, or one operation at a time as simple tools do."""
    import pymongo

    from lifeboat.mongodb.recovery_slices import read_documents

    asked = json.loads(sys.argv[1])
    client: pymongo.MongoClient[dict[str, t.Any]]
    with pymongo.MongoClient(asked["uri"]) as client:
        pieces = read_documents(asked["oplog"])
        if asked["what"] == BATCHED:
            _batched(client, pieces)
        else:
            _one_by_one(client, pieces)
    return 0


def _batched(client: t.Any, pieces: t.Iterable[bytes]) -> None:
    from lifeboat.mongodb.namespace_map import NamespaceMap
    from lifeboat.mongodb.oplog_replay import OplogReplay, ReplaySettings

    names = NamespaceMap(databases={_DATABASE: _DATABASE})
    replay = OplogReplay(client=client, names=names, users_into=None, settings=ReplaySettings(exact=True))
    with contextlib.closing(replay):
        for documents in pieces:
            replay.take(documents)
        replay.finish()


def _one_by_one(client: t.Any, pieces: t.Iterable[bytes]) -> None:
    import bson
    from bson.raw_bson import RawBSONDocument

    for documents in pieces:
        for entry in bson.decode_iter(documents):
            operation = {key: entry[key] for key in ("op", "ns", "o", "o2") if key in entry}
            if entry["op"] == "c":
                client[_DATABASE].command({key: entry["o"][key] for key in entry["o"] if key != "idIndex"})
                continue
            raw = RawBSONDocument(bson.encode(operation))
            client.admin.command({"applyOps": [raw], "writeConcern": {"w": "majority"}})


if __name__ == "__main__":
    sys.exit(main())
