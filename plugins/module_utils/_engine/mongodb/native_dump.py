# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The native dump: several readers, one writer, and the steps that make it consistent around them."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import MongoCollectionChanged
from ..core.journal import Journal
from .archive import ArchiveCollection, ArchiveWriter
from .block_queue import Block, BlockQueue
from .collection_details import with_details
from .consistency import OPLOG, SNAPSHOT
from .namespaces import TIME_SERIES, VIEW, Namespace, Scope, differences, list_namespaces, users_and_roles_of
from .oplog import Captured, OplogCapture, majority_position, oplog_namespace, start_position
from .raw_reader import read_raw
from .splitting import ReadTask, plan_reads
from .timestamps import Position

if t.TYPE_CHECKING:
    from .connection import Client

# Mongorestore warns about tools of other major versions; what we write is what 100.x writes.
TOOL_VERSION = "100.10.0"
_QUEUE_BYTES = 16 * 1024 * 1024
_LISTING_ATTEMPTS = 5
_AGAIN = "Run the backup again when no collections are being dropped or renamed, or exclude those that are."


@dataclass(frozen=True)
class DumpedCollection:
    """What of one collection is in the archive: *size* counts the documents' bytes."""

    namespace: Namespace
    documents: int
    size: int
    checksum: int


@dataclass(frozen=True)
class DumpResult:
    """A whole dump. *cluster_time* belongs to a snapshot, *captured* to the oplog.

    *outside_snapshot* names collections that were read at the current time beside the snapshot, *came_later* those
    that were made after it and are not in the archive.
    """

    collections: tuple[DumpedCollection, ...]
    cluster_time: Position | None = None
    captured: Captured | None = None
    outside_snapshot: tuple[str, ...] = ()
    came_later: tuple[str, ...] = ()


@dataclass
class _Count:
    documents: int = 0
    size: int = 0
    parts_left: int = 0


@dataclass(frozen=True)
class NativeDump:
    """One dump to make. *databases* are those that may hold collections of the *scope*."""

    client: Client
    scope: Scope
    databases: tuple[str, ...]
    mode: str  # snapshot, oplog or none
    parallel: int
    server_version: str
    unsnapshotable: frozenset[str]
    clock: Clock
    journal: Journal
    batch_bytes: int | None = None
    # Called between opening and reading; tests do there what must not go unnoticed.
    before_reading: t.Callable[[], None] = field(default=lambda: None)

    def write(self, output: t.BinaryIO) -> DumpResult:
        """Write the archive. Raises the named errors of its parts; what was written by then is worthless."""
        start = start_position(self.client) if self.mode == OPLOG else None
        namespaces, cluster_time = self._moment()
        outside = frozenset(
            one.full_name for one in namespaces if self.mode == SNAPSHOT and one.full_name in self.unsnapshotable
        )
        everything = [*namespaces, *self._users_and_roles()]
        tasks = self._tasks(everything, outside=outside)
        run = _Run(dump=self, output=output, cluster_time=cluster_time, outside=outside)
        self.before_reading()
        captured = run.write(
            namespaces=everything,
            tasks=tasks,
            capture=None if start is None else self._capture(start, namespaces=namespaces),
        )
        came_later = self._compare(namespaces) if self.mode == SNAPSHOT else ()
        return DumpResult(
            collections=run.collections(namespaces),
            cluster_time=cluster_time,
            captured=captured,
            outside_snapshot=tuple(sorted(outside)),
            came_later=came_later,
        )

    def _moment(self) -> tuple[tuple[Namespace, ...], Position | None]:
        """The collections with their details and, for a snapshot, a cluster time at which exactly these existed."""
        for _attempt in range(_LISTING_ATTEMPTS):
            listed = self._list()
            detailed = with_details(self.client, listed)
            if self.mode != SNAPSHOT:
                return detailed, None
            cluster_time = majority_position(self.client)
            again = self._list()
            if _identity(listed) == _identity(again):
                return detailed, cluster_time
            self.journal.info("Collections were made or dropped while the dump began; listing them again.")
        raise MongoCollectionChanged(
            f"Collections were made or dropped during each of {_LISTING_ATTEMPTS} attempts to begin the dump.",
            hint="Run the backup again when no collections are being made or dropped, or exclude those that are.",
        )

    def _list(self) -> tuple[Namespace, ...]:
        return list_namespaces(self.client, scope=self.scope, databases=self.databases)

    def _capture(self, start: Position, *, namespaces: t.Sequence[Namespace]) -> OplogCapture:
        return OplogCapture(
            client=self.client,
            start=start,
            clock=self.clock,
            users_and_roles=self.scope.users_and_roles,
            databases_with_views=frozenset(one.database for one in namespaces if one.type in (VIEW, TIME_SERIES)),
        )

    def _users_and_roles(self) -> tuple[Namespace, ...]:
        database = self.scope.database
        if database in (None, "admin") or not self.scope.users_and_roles:
            return ()
        return users_and_roles_of(str(database))

    def _tasks(self, namespaces: t.Sequence[Namespace], *, outside: t.Collection[str]) -> tuple[ReadTask, ...]:
        # What the snapshot can't hold is read first: close to its moment.
        first = [ReadTask(namespace=one) for one in namespaces if one.full_name in outside]
        rest = [one for one in namespaces if one.full_name not in outside and not one.is_about_users]
        return (*first, *plan_reads(self.client, rest, parallel=self.parallel))

    def _compare(self, before: t.Sequence[Namespace]) -> tuple[str, ...]:
        after = self._list()
        changed = differences([one for one in before if one.type != VIEW], after)
        if changed:
            raise MongoCollectionChanged(
                f"During the dump {'; '.join(changed[:5])}{'; and more' if len(changed) > 5 else ''}.",
                hint=_AGAIN,
                details={"changed": list(changed)},
            )
        known = {one.full_name for one in before}
        return tuple(one.full_name for one in after if one.full_name not in known)


def _identity(namespaces: t.Sequence[Namespace]) -> list[tuple[str, str | None, t.Mapping[str, t.Any]]]:
    return [(one.full_name, one.uuid, one.options) for one in namespaces]


class _Run:
    """The threads of one dump."""

    def __init__(
        self, *, dump: NativeDump, output: t.BinaryIO, cluster_time: Position | None, outside: t.Collection[str]
    ) -> None:
        self._dump = dump
        self._archive = ArchiveWriter(output)
        self._cluster_time = cluster_time
        self._outside = outside
        self._queue = BlockQueue(max_bytes=_QUEUE_BYTES)
        self._entries: dict[str, ArchiveCollection] = {}
        self._counts: dict[str, _Count] = {}
        self._checksums: dict[str, int] = {}
        self._tasks: t.Iterator[ReadTask] = iter(())
        self._lock = threading.Lock()
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
            concurrent_collections=self._dump.parallel,
            server_version=self._dump.server_version,
            tool_version=TOOL_VERSION,
        )

    def _write_collections(self, tasks: t.Sequence[ReadTask], *, capture: OplogCapture | None) -> None:
        """Start the readers and write what they bring until all are through."""
        self._tasks = iter(tasks)
        work: list[t.Callable[[], None]] = [self._read_tasks] * max(1, min(self._dump.parallel, len(tasks)))
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

    def collections(self, namespaces: t.Sequence[Namespace]) -> tuple[DumpedCollection, ...]:
        """What went into the archive of these."""
        return tuple(
            DumpedCollection(
                namespace=one,
                documents=self._counts[one.full_name].documents,
                size=self._counts[one.full_name].size,
                checksum=self._checksums[one.full_name],
            )
            for one in namespaces
        )

    def _write_now(self, namespace: Namespace) -> None:
        for batch in read_raw(self._dump.client, namespace, at_cluster_time=self._cluster_time):
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
        first = True
        for batch in read_raw(
            self._dump.client,
            namespace,
            part=task.part,
            at_cluster_time=at,
            stop=self._queue.stopped,
            **({} if self._dump.batch_bytes is None else {"batch_bytes": self._dump.batch_bytes}),
        ):
            if first and not batch.count and self._cluster_time is not None:
                self._believe_empty(namespace)
            first = False
            self._queue.put(Block(namespace=namespace, documents=batch.documents, count=batch.count))
        with self._lock:
            count = self._counts[namespace.full_name]
            count.parts_left -= 1
            last = count.parts_left == 0
        if last:
            self._queue.put(Block(namespace=namespace, last=True))

    def _believe_empty(self, namespace: Namespace) -> None:
        """A snapshot read of a collection that is gone finds nothing and no error: ask whether it is still there."""
        if namespace.uuid is None:
            return
        scope = Scope(database=namespace.database, users_and_roles=True)
        now = list_namespaces(self._dump.client, scope=scope, databases=[namespace.database])
        changed = differences([namespace], now)
        if changed:
            raise MongoCollectionChanged(
                f"During the dump {changed[0]}.",
                hint=_AGAIN,
                details={"changed": list(changed)},
            )
