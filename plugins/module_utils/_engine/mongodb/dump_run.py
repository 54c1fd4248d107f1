# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of a native dump: several readers and one writer of the archive."""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..core.errors import MongoCollectionChanged
from .archive import ArchiveCollection, ArchiveWriter
from .archive_identity import tool_version
from .block_queue import Block, BlockQueue
from .namespaces import Namespace, Scope, differences, list_namespaces
from .oplog import Captured, OplogCapture, oplog_namespace
from .raw_reader import BATCH_BYTES, read_raw
from .reply import Batch
from .splitting import ReadTask
from .timestamps import Position

if t.TYPE_CHECKING:
    from .connection import Client

AGAIN = "Run the backup again when no collections are being dropped or renamed, or exclude those that are."
_QUEUE_BYTES = 8 * 1024 * 1024
_LARGE_BATCH = 6 * 1024 * 1024


@dataclass(frozen=True)
class RunSettings:
    """How to read: *parallel* readers, batches of about *batch_bytes*; *backup_id* goes into the archive."""

    client: Client
    parallel: int
    server_version: str
    batch_bytes: int = BATCH_BYTES
    backup_id: str | None = None


@dataclass(frozen=True)
class DumpedCollection:
    """What of one collection is in the archive: *size* counts the documents' bytes."""

    namespace: Namespace
    documents: int
    size: int
    checksum: int
    metadata: str = ""  # as it stands in the archive


@dataclass
class _Count:
    documents: int = 0
    size: int = 0
    parts_left: int = 0


class DumpRun:
    """One pass: parallel readers, one writer, the oplog at the end. Used once."""

    def __init__(
        self, *, settings: RunSettings, output: t.BinaryIO, cluster_time: Position | None, outside: t.Collection[str]
    ) -> None:
        self._settings = settings
        self._archive = ArchiveWriter(output)
        self._cluster_time = cluster_time
        self._outside = outside
        self._queue = BlockQueue(max_bytes=_QUEUE_BYTES)
        self._entries: dict[str, ArchiveCollection] = {}
        self._counts: dict[str, _Count] = {}
        self._checksums: dict[str, int] = {}
        self._tasks: t.Iterator[ReadTask] = iter(())
        self._lock = threading.Lock()
        self._large = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mongodb large batches")
        self._through = threading.Event()  # every reader has ended
        self._readers = 0

    def write(
        self, *, namespaces: t.Sequence[Namespace], tasks: t.Sequence[ReadTask], capture: OplogCapture | None
    ) -> Captured | None:
        """Write the archive to its end; returns what was captured of the oplog."""
        oplog = oplog_namespace()
        self._begin(namespaces=[*namespaces, *([oplog] if capture is not None else [])], tasks=tasks)
        for one in namespaces:
            if one.is_about_users:
                self._write_now(one)
        for one in namespaces:
            if not one.has_documents:
                self._end(one)
        self._write_collections(tasks, capture=capture)
        if capture is None:
            return None
        captured = capture.read(
            lambda documents, count: self._take(Block(namespace=oplog, documents=documents, count=count))
        )
        self._end(oplog)
        return captured

    def _begin(self, *, namespaces: t.Sequence[Namespace], tasks: t.Sequence[ReadTask]) -> None:
        for one in namespaces:
            self._entries[one.full_name] = one.archive_collection()
            self._counts[one.full_name] = _Count()
        for task in tasks:
            self._counts[task.namespace.full_name].parts_left += 1
        self._archive.prelude(
            collections=list(self._entries.values()),
            concurrent_collections=self._settings.parallel,
            server_version=self._settings.server_version,
            tool_version=tool_version(self._settings.backup_id),
        )

    def _write_collections(self, tasks: t.Sequence[ReadTask], *, capture: OplogCapture | None) -> None:
        """Start the readers and write what they bring until all are through."""
        self._tasks = iter(tasks)
        work: list[t.Callable[[], None]] = [self._read_tasks] * max(1, min(self._settings.parallel, len(tasks)))
        self._readers = len(work)
        if capture is not None:
            work.append(lambda: capture.watch(until=self._through))
        threads = [
            threading.Thread(target=self._guarded, args=(job,), name=f"mongodb {number}", daemon=True)
            for number, job in enumerate(work)
        ]
        for _thread in threads:
            self._queue.register()
        for thread in threads:
            thread.start()
        try:
            for block in self._queue:
                self._take(block)
        finally:
            self._queue.stop()
            self._through.set()
            for thread in threads:
                thread.join()
            self._large.shutdown()

    def collections(self, namespaces: t.Sequence[Namespace]) -> tuple[DumpedCollection, ...]:
        """What went into the archive of these."""
        return tuple(
            DumpedCollection(
                namespace=one,
                documents=self._counts[one.full_name].documents,
                size=self._counts[one.full_name].size,
                checksum=self._checksums[one.full_name],
                metadata=self._entries[one.full_name].metadata,
            )
            for one in namespaces
        )

    def _write_now(self, namespace: Namespace) -> None:
        for batch in read_raw(self._settings.client, namespace, at_cluster_time=self._cluster_time):
            self._take(Block(namespace=namespace, documents=batch.documents, count=batch.count))
        self._end(namespace)

    def _take(self, block: Block) -> None:
        name = block.namespace.full_name
        self._archive.documents(self._entries[name], block.documents)
        self._counts[name].documents += block.count
        self._counts[name].size += len(block.documents)
        if block.last:
            self._end(block.namespace)

    def _end(self, namespace: Namespace) -> None:
        self._checksums[namespace.full_name] = self._archive.end(self._entries[namespace.full_name])

    def _guarded(self, job: t.Callable[[], None]) -> None:
        error: BaseException | None = None
        try:
            job()
        except BaseException as raised:  # noqa: BLE001 - handed over to the writer, who raises it
            error = raised
        self._queue.done(error)

    def _read_tasks(self) -> None:
        try:
            while not self._queue.stopped.is_set():
                with self._lock:
                    task = next(self._tasks, None)
                if task is None:
                    return
                self._read(task)
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    self._through.set()

    def _read(self, task: ReadTask) -> None:
        namespace = task.namespace
        at = None if namespace.full_name in self._outside else self._cluster_time
        batches = read_raw(
            self._settings.client,
            namespace,
            part=task.part,
            at_cluster_time=at,
            stop=self._queue.stopped,
            batch_bytes=self._settings.batch_bytes,
        )
        batch = self._next(batches, expected=namespace.size // max(namespace.count, 1))
        if batch is not None and not batch.count and at is not None:
            self._believe_empty(namespace)
        while batch is not None:
            size = len(batch.documents)
            self._queue.put(Block(namespace=namespace, documents=batch.documents, count=batch.count))
            batch = None  # its memory is the queue's now
            batch = self._next(batches, expected=size)
        with self._lock:
            count = self._counts[namespace.full_name]
            count.parts_left -= 1
            last = count.parts_left == 0
        if last:
            self._queue.put(Block(namespace=namespace, last=True))

    def _next(self, batches: t.Iterator[Batch], *, expected: int) -> Batch | None:
        """The next batch. Large ones are fetched one at a time, and by one thread.

        Else every reader would hold some, and the C library would keep the freed memory for each thread: 340 MB were
        measured with four readers of documents of 15 MB, where this takes 175 MB.
        """
        if expected < _LARGE_BATCH:
            return next(batches, None)
        return self._large.submit(next, batches, None).result()

    def _believe_empty(self, namespace: Namespace) -> None:
        """A snapshot read of a collection that is gone finds nothing and no error: ask whether it is still there."""
        if namespace.uuid is None:
            return
        scope = Scope(database=namespace.database, users_and_roles=True)
        now = list_namespaces(self._settings.client, scope=scope)
        changed = differences([namespace], now)
        if changed:
            raise MongoCollectionChanged(
                f"During the dump {changed[0]}.",
                hint=AGAIN,
                details={"changed": list(changed)},
            )
