# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of MongoDB: ours against the vendor's tool in a bare pipe, and against the steps of a usual script."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox.dataset import load_mongodb
from sandbox.dataset.mongodb import DATABASE
from sandbox.mongodb import MongoReplicaSet

from .command import Command, script
from .contest import Contender, Contest, Figure, Limit, bare_contenders
from .ours import ours
from .place import Place

# What scripts for MongoDB do, step by step: dump into a folder (1), note what was dumped (2), pack the folder (3),
# remove it (4), take the archive's checksum (5), copy it to its second place (6), and look whether it unpacks (7).
_SCRIPT = """
dump=$TMPDIR/dump
{mongodump} --quiet --out "$dump"
du -s "$dump"/* > {target}/metadata.txt
tar -czf {target}/dump.tar.gz -C "$TMPDIR" dump
rm -r "$dump"
sha256sum {target}/dump.tar.gz > {target}/dump.tar.gz.sha256
mkdir {target}/second
cp {target}/dump.tar.gz {target}/second/
tar -tzf {target}/dump.tar.gz > /dev/null
sync {target}/dump.tar.gz {target}/second/dump.tar.gz
"""
MEMORY_LIMIT = 200_000_000


@dataclass(frozen=True)
class ReplicaSet:
    """The running server and its size in bytes of documents."""

    server: MongoReplicaSet
    data_bytes: int

    @property
    def connection(self) -> dict[str, t.Any]:
        return {"uri": self.server.uri}

    def pids(self) -> list[int]:
        return [node.pid for node in self.server.nodes]

    def settle(self) -> None:
        """A checkpoint: nothing dirty is left."""
        with self.server.client() as client:
            client.admin.command("fsync")


@contextlib.contextmanager
def replica_set(place: Place) -> t.Iterator[ReplicaSet]:
    """Start it and load the data."""
    server = MongoReplicaSet(directory=place.server_folder("mongodb"), cache_gigabytes=1, startup_timeout=120)
    try:
        server.start()
        place.say(f"mongodb: loading {place.megabytes:g} MB")
        loaded = load_mongodb(server.uri, megabytes=place.megabytes)
        place.say(f"mongodb: {'found' if loaded.skipped else 'loaded'} in {loaded.seconds:.0f} s")
        made = ReplicaSet(server=server, data_bytes=documents_bytes(server))
        made.settle()
        yield made
    finally:
        if place.keep:
            server.stop()
        else:
            server.discard()


def documents_bytes(server: MongoReplicaSet) -> int:
    """Bytes of all documents of the sample database."""
    with server.client() as client:
        return int(client[DATABASE].command("dbStats")["dataSize"])


def find_mongodump() -> str | None:
    """The vendor's tool: in the folder that LIFEBOAT_MONGO_TOOLS names, else on PATH."""
    return shutil.which("mongodump", path=os.environ.get("LIFEBOAT_MONGO_TOOLS")) or shutil.which("mongodump")


@contextlib.contextmanager
def mongodb_contest(mongodb: ReplicaSet, place: Place) -> t.Iterator[Contest]:
    """The whole server, zstd level 1 and two processors for all but the script, which has gzip."""
    del place
    mongodump = find_mongodump()
    contenders = [
        Contender("ours", "Lifeboat (everything, consistent)", lambda target: our_dump(mongodb, target=target)),
        Contender(
            "snapshot",
            "Lifeboat (one database, snapshot)",
            lambda target: our_dump(mongodb, target=target, database=DATABASE, consistency="snapshot"),
        ),
    ]
    missing = []
    if mongodump is None:
        missing.append("mongodump is not on this machine: name its folder in LIFEBOAT_MONGO_TOOLS to measure it.")
    else:
        contenders += _vendor(mongodb, mongodump)
    yield Contest(
        name="mongodb",
        title="Dump of a MongoDB replica set",
        data=f"{mongodb.data_bytes / 1e9:.2f} GB of documents",
        data_bytes=mongodb.data_bytes,
        contenders=tuple(contenders),
        figures=(
            Figure("at most 1.05 x mongodump --archive in a pipe", "ours", "bare", at_most=1.05),
            Figure("(mongodump in the pipe with a faster hash)", "ours", "bare-openssl"),
            Figure("at least 3 x faster than the script", "ours", "script", at_least=3),
            Figure("(one database by snapshot, against mongodump of everything)", "snapshot", "bare"),
        ),
        limits=(
            Limit("all our processes together under 200 MB", "ours", lambda one: one.all_peak, MEMORY_LIMIT),
            Limit("no scratch disk", "ours", lambda one: one.scratch, 0),
        ),
        server_pids=mongodb.pids,
        settle=mongodb.settle,
        missing=tuple(missing),
    )


def our_dump(
    mongodb: ReplicaSet,
    *,
    target: Path,
    repositories: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    **changes: str,
) -> Command:
    """Our dump of everything, unless *changes* of the options say otherwise."""
    options = {"connection": mongodb.connection, **changes}
    return ours("mongodb", "full", options, target=target, repositories=repositories)


def _vendor(mongodb: ReplicaSet, mongodump: str) -> list[Contender]:
    uri = f"--uri={mongodb.server.uri}"

    source = (mongodump, "--quiet", uri, "--archive")

    def steps(target: Path) -> Command:
        program = shlex.join([mongodump, uri])
        return script(_SCRIPT.format(mongodump=program, target=shlex.quote(str(target))), target=target)

    return [
        *bare_contenders(source, title="mongodump --archive", name="dump.archive.zst"),
        Contender("script", "script: dump, tar -czf, copy, tar -tzf", steps, warm=False),
    ]
