# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder share: dumps through the real pipeline, and what is in them."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import ArchiveCollection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_reader import (
    ArchiveDocuments,
    ArchiveEnd,
    ArchivePrelude,
    ArchiveReader,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.options import options_from_description
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.producer import MongoDumpProducer
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    Production,
    StoredPayload,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stream import stream

BACKUP_ID = "20261121T020000Z-4f2c91"
SECRET = "correct-horse-battery-staple"
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class PlainSink:
    """Stores payloads as plain files of one folder, through the real pipeline without zstd and age.

    *during* is called once, with the first bytes that come out of the pipe.
    """

    def __init__(self, folder: Path, *, during: t.Callable[[], None] | None = None) -> None:
        self._folder = folder
        self._during = during
        self.progress = Progress(clock=SystemClock())

    def store(self, payload: PayloadInput) -> StoredPayload:
        path = self._folder / payload.name
        with path.open("wb") as file:

            def consume(data: memoryview) -> None:
                if self._during is not None:
                    during, self._during = self._during, None
                    during()
                file.write(data)

            try:
                plain = stream(payload, transforms=(), consume=consume, progress=self.progress)
            except BaseException:
                path.unlink()
                raise
        return StoredPayload(
            name=payload.name,
            media=payload.media,
            size=path.stat().st_size,
            sha256="0" * 64,
            plain_size=plain,
            compression=None,
            encryption=None,
        )


@dataclass
class Source:
    """A producer for a server, in a folder of the test."""

    uri: str
    folder: Path
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    backup_id: str | None = BACKUP_ID

    def producer(self, **description: t.Any) -> MongoDumpProducer:
        connection = {"uri": self.uri, "server_selection_timeout": 5, **description.pop("connection", {})}
        self.folder.mkdir(parents=True, exist_ok=True)
        return MongoDumpProducer(
            options=options_from_description({"connection": connection, **description}),
            host=Host(journal=self.journal),
            state=StateDirectory(path=str(self.folder / "state")),
            backup_id=self.backup_id,
        )

    def dump(self, *, during: t.Callable[[], None] | None = None, **description: t.Any) -> Dump:
        producer = self.producer(**description)
        sink = PlainSink(self.folder, during=during)
        production = producer.produce(sink=sink, progress=sink.progress)
        # It goes into a manifest, so it must be JSON.
        json.dumps(production.content)
        return Dump(archive=self.folder / "dump.archive", production=production, warnings=list(self.journal.warnings))


@dataclass(frozen=True)
class Dump:
    """A finished dump."""

    archive: Path
    production: Production
    warnings: list[str]

    @property
    def content(self) -> t.Mapping[str, t.Any]:
        content: t.Mapping[str, t.Any] = self.production.content
        return content

    def read(self) -> Archive:
        return read_archive(self.archive)


@dataclass(frozen=True)
class Archive:
    """Everything of an archive whose checksums were right. *order* holds (event, database, collection)."""

    prelude: ArchivePrelude
    documents: dict[tuple[str, str], list[bytes]]
    order: list[tuple[str, str, str]]

    def collection(self, database: str, name: str) -> ArchiveCollection:
        return next(one for one in self.prelude.collections if (one.database, one.name) == (database, name))


def read_archive(path: Path) -> Archive:
    documents: dict[tuple[str, str], list[bytes]] = {}
    order: list[tuple[str, str, str]] = []
    with path.open("rb") as file:
        reader = ArchiveReader(file)
        prelude = reader.prelude()
        for block in reader.blocks():
            key = (block.database, block.collection)
            if isinstance(block, ArchiveDocuments):
                documents.setdefault(key, []).extend(split_documents(block.documents))
                order.append(("documents", *key))
            elif isinstance(block, ArchiveEnd):
                documents.setdefault(key, [])
                order.append(("end", *key))
    return Archive(prelude=prelude, documents=documents, order=order)


def split_documents(data: bytes) -> list[bytes]:
    return [bytes(document.raw) for document in bson.decode_iter(data, codec_options=RAW)]


def stored_documents(client: t.Any, database: str, name: str) -> list[bytes]:
    """The documents of a collection as the server has them, byte by byte."""
    return [bytes(document.raw) for document in client.get_database(database, codec_options=RAW)[name].find()]


def room_for_a_large_transaction(client: t.Any) -> None:
    """A server refuses a transaction that does not fit beside what is dirty already: a fifth of its cache in all, which
    tests keep small. One of more than 16 MiB (several entries of the oplog) needs more.
    """
    client.admin.command({"setParameter": 1, "wiredTigerEngineRuntimeConfig": "cache_size=1G"})


def vendor_tools() -> Path:
    """The folder of the genuine mongodump and mongorestore; skips loudly when there is none."""
    for folder in (os.environ.get("LIFEBOAT_MONGO_TOOLS"), os.path.dirname(shutil.which("mongorestore") or "")):
        if folder and (Path(folder) / "mongorestore").exists():
            return Path(folder)
    pytest.skip("INTEROP NOT TESTED: no mongorestore on PATH or in LIFEBOAT_MONGO_TOOLS")
