# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers wait for the writer, never fill memory, and nobody waits for ever when something fails."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.block_queue import Block, BlockQueue
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import Namespace

ORDERS = Namespace(database="shop", name="orders", type="collection", uuid=None)
PATIENCE = 10.0


def started(target: object) -> threading.Thread:
    assert callable(target)
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_blocks_come_out_in_order_and_the_end_is_seen() -> None:
    queue = BlockQueue(max_bytes=100)
    queue.register()

    def read() -> None:
        for number in range(50):
            queue.put(Block(namespace=ORDERS, documents=bytes([number]) * 30))
        queue.done()

    thread = started(read)
    assert [block.documents[0] for block in queue] == list(range(50))
    thread.join(PATIENCE)


def test_a_full_queue_makes_readers_wait() -> None:
    queue = BlockQueue(max_bytes=100)
    queue.register()
    put: list[int] = []

    def read() -> None:
        for number in range(10):
            queue.put(Block(namespace=ORDERS, documents=b"x" * 60))
            put.append(number)
        queue.done()

    thread = started(read)
    thread.join(0.2)
    assert len(put) == 1
    # A block larger than the bound still passes, alone.
    assert sum(len(block.documents) for block in queue) == 600
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_the_first_error_reaches_the_writer_and_stops_the_others() -> None:
    queue = BlockQueue(max_bytes=100)
    queue.register()
    queue.register()

    def endless() -> None:
        while not queue.stopped.is_set():
            queue.put(Block(namespace=ORDERS, documents=b"x" * 60))
        queue.done()

    thread = started(endless)
    queue.done(ValueError("the server is gone"))
    with pytest.raises(ValueError, match="the server is gone"):
        for _block in queue:
            pass
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_writer_that_stops_frees_the_readers() -> None:
    queue = BlockQueue(max_bytes=100)
    queue.register()

    def read() -> None:
        for _number in range(1000):
            queue.put(Block(namespace=ORDERS, documents=b"x" * 90))
        queue.done()

    thread = started(read)
    for _block in queue:
        break
    queue.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
