# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several threads that insert what one reads, bounded in bytes: memory stays constant however slow the server."""

from __future__ import annotations

import collections
import threading
import typing as t
from dataclasses import dataclass

from ..core.signals import undisturbed
from .raw_insert import MOST_DOCUMENTS, InsertSettings, InsertTarget, insert_raw

if t.TYPE_CHECKING:
    from .connection import Client

# Large enough that a round trip and the server's wait for its journal don't show, small enough for constant memory.
BATCH_BYTES = 2 * 1024 * 1024
# What may wait to be inserted or be on its way. The driver's own copies come on top of it.
_IN_FLIGHT_BYTES = 16 * 1024 * 1024
_WAITING_BYTES = 16 * 1024 * 1024
# Larger batches (of very large documents) go by one thread: the C library keeps freed memory for each that used it.
# With documents of 15 MB the whole process peaks at 130 MB.
_LARGE_BATCH = 6 * 1024 * 1024
# After so long a signal is obeyed: never in the middle of a wait, where it could leave the lock in disorder.
_TURN_SECONDS = 0.1


@dataclass
class _Pending:
    """Documents of one collection that don't make a batch yet."""

    pieces: list[bytes]
    size: int = 0
    count: int = 0


class InsertPool:
    """Takes documents of any collections and inserts them in batches by *threads* threads. Used once.

    The first error stops everything; it is raised by the next call.
    """

    def __init__(self, *, client: Client, settings: InsertSettings, threads: int) -> None:
        self._client = client
        self._settings = settings
        self._pending: dict[InsertTarget, _Pending] = {}
        self._pending_bytes = 0
        self._jobs: collections.deque[tuple[InsertTarget, bytes, int]] = collections.deque()
        self._in_flight = 0  # bytes of jobs that wait or are being done
        self._ending = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"mongodb insert {number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin; stop() must follow."""
        with undisturbed():
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """Drop what was not sent yet, and wait until every thread has ended."""
        with undisturbed():
            with self._changed:
                self._ending = True
                self._jobs.clear()
                self._changed.notify_all()
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join()

    def add(self, target: InsertTarget, documents: bytes, count: int) -> None:
        """Take *count* documents; waits while too many are on their way. Raises the first error of an insertion."""
        pending = self._pending.setdefault(target, _Pending(pieces=[]))
        if pending.count and pending.count + count > MOST_DOCUMENTS:
            self._send(target)
            pending = self._pending.setdefault(target, _Pending(pieces=[]))
        pending.pieces.append(documents)
        pending.size += len(documents)
        pending.count += count
        self._pending_bytes += len(documents)
        if pending.size >= BATCH_BYTES:
            self._send(target)
        elif self._pending_bytes > _WAITING_BYTES:
            # Very many collections are open at the same time, each with a little.
            self._send(max(self._pending, key=lambda one: self._pending[one].size))

    def end(self, target: InsertTarget) -> None:
        """Send what is left of a collection."""
        if target in self._pending:
            self._send(target)

    def drain(self) -> None:
        """Send everything and wait until it is stored. Raises the first error of an insertion."""
        for target in list(self._pending):
            self._send(target)
        while not self._settled():
            pass

    def _settled(self) -> bool:
        """Whether everything is stored, after waiting for a moment if it isn't."""
        with undisturbed(), self._changed:
            if self._in_flight and self._error is None:
                self._changed.wait(_TURN_SECONDS)
            if self._error is not None:
                raise self._error
            return not self._in_flight

    def _send(self, target: InsertTarget) -> None:
        pending = self._pending.pop(target)
        self._pending_bytes -= pending.size
        documents = pending.pieces[0] if len(pending.pieces) == 1 else b"".join(pending.pieces)
        if target.in_order or len(documents) > _LARGE_BATCH:
            # Two threads would change the order; capped collections are small.
            self._raise_error()
            insert_raw(self._client, target, documents, pending.count, settings=self._settings)
            return
        while not self._taken(target, documents, pending.count):
            pass

    def _taken(self, target: InsertTarget, documents: bytes, count: int) -> bool:
        """Whether there was room for one more job, after waiting for a moment if there wasn't."""
        with undisturbed(), self._changed:
            if self._is_full(len(documents)) and self._error is None:
                self._changed.wait(_TURN_SECONDS)
            if self._error is not None:
                raise self._error
            if self._is_full(len(documents)):
                return False
            self._jobs.append((target, documents, count))
            self._in_flight += len(documents)
            self._changed.notify_all()
            return True

    def _is_full(self, more: int) -> bool:
        return bool(self._in_flight) and self._in_flight + more > _IN_FLIGHT_BYTES

    def _raise_error(self) -> None:
        with undisturbed(), self._changed:
            if self._error is not None:
                raise self._error

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._ending and self._error is None:
                    self._changed.wait()
                if self._error is not None or not self._jobs:
                    return
                target, documents, count = self._jobs.popleft()
            size = len(documents)
            error: BaseException | None = None
            try:
                insert_raw(self._client, target, documents, count, settings=self._settings)
            except BaseException as raised:  # noqa: BLE001 - handed over to the reader, who raises it
                error = raised
            del documents  # or it would stay in memory beside the next one
            with self._changed:
                self._in_flight -= size
                if error is not None and self._error is None:
                    self._error = error
                self._changed.notify_all()
