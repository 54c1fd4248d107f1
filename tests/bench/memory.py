# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, whatever the size: the same dump at four times the data, to a folder and to a bucket at once."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace
from pathlib import Path

from sandbox.dataset.mongodb import DATABASE
from sandbox.s3 import S3Server

from .command import Command
from .contest import Contender, Contest, Limit
from .mongodb import MEMORY_LIMIT, ReplicaSet, documents_bytes, our_dump
from .place import Place

_FACTOR = 4
_SOURCE, _COPY = "notes", "notes_large"


@contextlib.contextmanager
def small_memory_contest(mongodb: ReplicaSet, place: Place) -> t.Iterator[Contest]:
    """At the size that everything else is measured at."""
    with _bucket(place) as bucket:
        yield _contest("memory", mongodb, bucket=bucket)


@contextlib.contextmanager
def large_memory_contest(mongodb: ReplicaSet, place: Place) -> t.Iterator[Contest]:
    """At four times that size, most of it in one collection that the server makes out of another."""
    place.say(f"memory-large: making {_FACTOR} times the data")
    wanted = _FACTOR * mongodb.data_bytes
    with mongodb.server.client(socketTimeoutMS=1_200_000) as client:
        database = client[DATABASE]
        size = max(1, int(database.command("collStats", _SOURCE)["size"]))
        again = [{"$unionWith": _SOURCE}] * (round((wanted - mongodb.data_bytes) / size) - 1)
        database[_SOURCE].aggregate([*again, {"$unset": "_id"}, {"$out": _COPY}])
        # $out ends with a rename, which no dump may have in its oplog: let something else be the newest entry.
        client.admin.command("appendOplogNote", 1, data={"msg": "the data set is ready"})
    try:
        with _bucket(place) as bucket:
            larger = replace(mongodb, data_bytes=documents_bytes(mongodb.server))
            yield _contest("memory-large", larger, bucket=bucket)
    finally:
        with mongodb.server.client() as client:
            client[DATABASE].drop_collection(_COPY)


@contextlib.contextmanager
def _bucket(place: Place) -> t.Iterator[dict[str, t.Any]]:
    """A running S3 server's bucket as our description says it."""
    with S3Server() as server:
        keys = place.folder / "s3.env"
        keys.touch(mode=0o600)
        administrator = server.administrator
        keys.write_text(
            f"AWS_ACCESS_KEY_ID={administrator.access_key}\nAWS_SECRET_ACCESS_KEY={administrator.secret_key}\n",
            encoding="utf-8",
        )
        try:
            yield {
                "type": "s3",
                "bucket": server.buckets[0],
                "region": server.region,
                "endpoint_url": server.endpoint_url,
                "credentials": {"file": str(keys)},
            }
        finally:
            keys.unlink()


def _contest(name: str, mongodb: ReplicaSet, *, bucket: dict[str, t.Any]) -> Contest:
    def to_folder(target: Path) -> Command:
        return our_dump(mongodb, target=target)

    def to_both(target: Path) -> Command:
        return our_dump(mongodb, target=target, repositories={"offsite": bucket})

    titles = {"folder": "to a folder", "both": "to a folder and to S3 at once"}
    limits = [
        limit
        for key, title in titles.items()
        for limit in (
            Limit(f"under 200 MB {title}", key, lambda one: one.all_peak, MEMORY_LIMIT),
            Limit(f"no scratch disk {title}", key, lambda one: one.scratch, 0),
        )
    ]
    return Contest(
        name=name,
        title="Memory of a MongoDB dump, of all our processes together",
        data=f"{mongodb.data_bytes / 1e9:.2f} GB of documents",
        data_bytes=mongodb.data_bytes,
        contenders=(
            Contender("folder", "Lifeboat to a folder", to_folder, warm=False),
            Contender("both", "Lifeboat to a folder and to S3", to_both, warm=False),
        ),
        figures=(),
        limits=tuple(limits),
        server_pids=mongodb.pids,
        settle=mongodb.settle,
        runs=1,
    )
