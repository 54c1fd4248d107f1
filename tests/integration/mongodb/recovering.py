# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries of real backups along a real oplog: cutting it into slices, planning, replaying, and what is there then.

A folder of slices stands for the repository, and FolderReader for what reads from one. Everything else is real.
"""

from __future__ import annotations

import datetime
import os
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_chain import Chain, lineage_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import OplogSlice
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slicer import (
    Limits,
    ReadFrom,
    Slicer,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.recovery_planner import (
    MongoRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import (
    Position,
    moment_of,
    position_of,
    position_text,
    timestamp_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restorers import (
    mongodb as restorers,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import (
    Restorer,
    RestorerContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from tests.integration.mongodb.restoring import Restore
from tests.support import resealing

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
SERIES = Series(service="shop", source="main", kind="oplog")


def last_position(client: t.Any) -> Position:
    """That of the newest entry of the oplog."""
    return position_of(client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", -1)])["ts"])


def entries(client: t.Any, start: Position, end: Position | None = None) -> list[bytes]:
    """The entries of the oplog from one position to another, both in."""
    window: dict[str, t.Any] = {"$gte": timestamp_of(start)}
    if end is not None:
        window["$lte"] = timestamp_of(end)
    oplog = client.get_database("local", codec_options=RAW)["oplog.rs"]
    return [bytes(one.raw) for one in oplog.find({"ts": window}).sort("$natural", 1)]


def positions(client: t.Any, start: Position, end: Position | None = None) -> list[Position]:
    return [position_of(bson.decode(raw)["ts"]) for raw in entries(client, start, end)]


def cut(
    client: t.Any, folder: Path, start: Position, *, end: Position | None = None, every: int = 1, bases_from: Position
) -> Stream:
    """The oplog from *start* on as slices of *every* new entries each, in files of *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    config = client.admin.command("replSetGetConfig")["config"]
    set_id = str(config["settings"]["replicaSetId"])
    version = str(client.admin.command("buildInfo")["version"])
    chain = Chain(
        lineage=lineage_of("rs0", set_id, bases_from=bases_from),
        replica_set="rs0",
        replica_set_id=set_id,
        feature_compatibility="6.0",
        bases_from=bases_from,
        reads_from=start,
    )
    segments: list[StoredSegment] = []

    def put(one: OplogSlice, file: t.BinaryIO) -> None:
        with (folder / one.name).open("wb") as out:
            shutil.copyfileobj(file, out)
        segments.append(stored(one))

    slicer = Slicer(
        chain=chain,
        limits=Limits(entries=every, size=2**40),
        read_from=ReadFrom(member="db1:27017", version=version),
        folder=str(folder),
        put=put,
    )
    try:
        for raw in entries(client, start, end):
            assert slicer.take(raw) is None, bson.decode(raw)
        slicer.finish(until_idle=None)
    finally:
        slicer.close()
    return Stream(folder=StreamFolder(series=SERIES, lineage=chain.lineage), segments=tuple(segments))


def stored(one: OplogSlice) -> StoredSegment:
    payload = StoredPayload(
        name=f"{one.name}.{one.sha256}",
        media="oplog slice",
        size=one.size,
        sha256=one.sha256,
        plain_size=one.size,
        compression=None,
        encryption=None,
    )
    description = SegmentDescription(
        name=one.name,
        group="g",
        media="oplog slice",
        begins=moment_of(one.first.position),
        ends=moment_of(one.last.position),
        facts=one.as_facts(),
    )
    segment = Segment(
        description=description, payload=payload, plain_sha256=one.sha256, stored=moment_of(one.last.position)
    )
    return StoredSegment(segment=segment, copies={"local": segment})


@dataclass
class FolderReader:
    """Fetches from a folder; *fetched* has the names, *before* is called with each name before its fetch."""

    plan: RecoveryPlan
    folder: Path
    fetched: list[str] = field(default_factory=list)
    before: t.Callable[[str], None] | None = None

    def fetch(self, segment: StoredSegment, path: str) -> None:
        name = segment.segment.name
        if self.before is not None:
            self.before(name)
        shutil.copyfile(self.folder / name, f"{path}.part")
        os.rename(f"{path}.part", path)
        self.fetched.append(name)

    def check(self) -> None:
        raise NotImplementedError


@dataclass
class Recovery(Restore):
    """A restore with slices behind it."""

    reader: FolderReader | None = None

    def restorer(self) -> Restorer:
        context = RestorerContext(
            restore_id=self.restore_id, host=self.host, state=self.directory, segments=self.reader
        )
        return restorers.full(self.options)(context)


def plan(
    repository: Path, backups: t.Sequence[BackupFolder], streams: t.Sequence[Stream], target: RecoveryTarget
) -> RecoveryPlan:
    """As the operation plans."""
    found = [
        Backup(manifest=resealing.read_manifest(repository, one), repositories={"local": "complete"}) for one in backups
    ]
    return MongoRecoveryPlanner().plan(
        bases=found, streams=streams, target=target, now=datetime.datetime.now(tz=datetime.UTC)
    )


def at(position: Position, *, inclusive: bool = True, skip: t.Sequence[str] = ()) -> RecoveryTarget:
    return RecoveryTarget(kind="optime", value=position_text(position), inclusive=inclusive, skip=tuple(skip))


def state_of(client: t.Any, databases: t.Sequence[str], *, suffix: str = "") -> dict[str, t.Any]:
    """Everything that databases hold, with every document's bytes; *suffix* is behind their names on this server."""
    found: dict[str, t.Any] = {}
    for database in databases:
        own = database + suffix
        handle = client.get_database(own, codec_options=RAW)
        for one in client[own].list_collections():
            name = one["name"]
            if name == "system.views" or name.startswith("system.buckets."):
                continue
            documents: list[bytes] = []
            indexes: list[str] = []
            if one["type"] != "view":
                documents = [bytes(document.raw) for document in handle[name].find()]
                indexes = sorted(str(sorted(index.items())) for index in client[own][name].list_indexes())
            if not one["options"].get("capped"):
                documents.sort()
            options = str(sorted(one["options"].items()))
            found[f"{database}.{name}"] = (one["type"], options, tuple(indexes), tuple(documents))
    return found
