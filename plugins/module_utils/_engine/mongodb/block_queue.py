# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several readers put and one writer takes, bounded in bytes: memory stays constant however slow the writer."""

from __future__ import annotations

import collections
import threading
import typing as t
from dataclasses import dataclass

from .namespaces import Namespace


@dataclass(frozen=True)
class Block:
    """Some documents of a namespace; *last* says that it has no more after these."""

    namespace: Namespace
    documents: bytes = b""
    count: int = 0
    last: bool = False


class BlockQueue:
    """A queue between threads. An error of one reader reaches the writer; a writer that stops frees the readers."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._blocks: collections.deque[Block] = collections.deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._writers = 0
        self.stopped = threading.Event()

    def register(self) -> None:
        """Announce one more reader; the queue ends when each has called done()."""
        with self._changed:
            self._writers += 1

    def done(self, error: BaseException | None = None) -> None:
        """A reader is through; *error* is why, when it failed: then all others are told to stop."""
        with self._changed:
            self._writers -= 1
            if error is not None and self._error is None:
                self._error = error
                self.stopped.set()
            self._changed.notify_all()

    def put(self, block: Block) -> None:
        """Add a block, waiting while the queue is full; it is dropped when everything stops."""
        with self._changed:
            while self._blocks and self._bytes + len(block.documents) > self._max_bytes and not self.stopped.is_set():
                self._changed.wait()
            if self.stopped.is_set():
                return
            self._blocks.append(block)
            self._bytes += len(block.documents)
            self._changed.notify_all()

    def stop(self) -> None:
        """Tell the readers to stop; what they put from now on is dropped."""
        with self._changed:
            self.stopped.set()
            self._blocks.clear()
            self._changed.notify_all()

    def __iter__(self) -> t.Iterator[Block]:
        """The blocks until every reader is done. Raises the first error of a reader as soon as it is there."""
        while True:
            with self._changed:
                while not self._blocks and self._writers and self._error is None:
                    self._changed.wait()
                if self._error is not None:
                    raise self._error
                if not self._blocks:
                    return
                block = self._blocks.popleft()
                self._bytes -= len(block.documents)
                self._changed.notify_all()
            yield block
