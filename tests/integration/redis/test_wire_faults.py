# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot over the wire that breaks off, is damaged or never comes is named, and nothing of it counts."""

from __future__ import annotations

import os
import pathlib
import signal
import time

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RdbInvalid, RedisSyncFailed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    StoredPayload,
)
from sandbox import tcp_faults
from sandbox.redis import RedisServer
from sandbox.tcp_faults import TCPFaultProxy
from tests.integration.redis.conftest import Starter
from tests.integration.redis.relays import Relay
from tests.integration.redis.servers import (
    FileSink,
    admin,
    child_of,
    configure,
    digest,
    fill,
    meanwhile,
    restored_rdb,
    take,
)
from tests.support.waiting import wait_for

BOTH_FORMS = pytest.mark.parametrize("diskless", ["yes", "no"])


def begin(start: Starter, *, diskless: str = "yes", keys: int = 2000) -> RedisServer:
    source = start(settings={"repl-diskless-sync": diskless})
    fill(source, keys=keys)
    return source


@BOTH_FORMS
@pytest.mark.parametrize("after", [5_000, 40_000])
def test_a_connection_that_is_cut(start: Starter, tmp_path: pathlib.Path, diskless: str, after: int) -> None:
    source = begin(start, diskless=diskless)
    with TCPFaultProxy(source.port) as proxy:
        proxy.cut_after = 15_000 + after  # the facts come first on the same connection
        with pytest.raises(RedisSyncFailed, match="broke off after"):
            take({"port": proxy.port}, tmp_path / "backup", method="sync")


@BOTH_FORMS
def test_a_server_that_hangs_up_in_good_order(start: Starter, tmp_path: pathlib.Path, diskless: str) -> None:
    source = begin(start, diskless=diskless)

    def end(offset: int, block: bytes) -> bytes:
        if offset + len(block) > 40_000:
            raise ConnectionError("the relay closes both ends")
        return block

    with (
        Relay(source.port, change=end) as relay,
        pytest.raises(RedisSyncFailed, match=r"after \d{5} bytes: the server closed"),
    ):
        take({"port": relay.port}, tmp_path / "backup", method="sync")


@BOTH_FORMS
def test_a_flipped_bit(start: Starter, tmp_path: pathlib.Path, diskless: str) -> None:
    source = begin(start, diskless=diskless)

    def flip(offset: int, block: bytes) -> bytes:
        place = 40_000 - offset
        if not 0 <= place < len(block):
            return block
        return block[:place] + bytes([block[place] ^ 16]) + block[place + 1 :]

    with Relay(source.port, change=flip) as relay, pytest.raises(RdbInvalid):
        take({"port": relay.port}, tmp_path / "backup", method="sync")
    with Relay(source.port) as relay:
        taken = take({"port": relay.port}, tmp_path / "whole", method="sync")
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert digest(second) == digest(source)


@BOTH_FORMS
def test_bytes_that_come_one_by_one(
    start: Starter, tmp_path: pathlib.Path, diskless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark and the lengths may be cut anywhere: here every block is."""
    source = begin(start, diskless=diskless, keys=5)

    monkeypatch.setattr(tcp_faults, "_BLOCK", 1)
    with TCPFaultProxy(source.port) as proxy:
        taken = take({"port": proxy.port}, tmp_path / "backup", method="sync")
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert digest(second) == digest(source)


def test_the_servers_child_is_killed(start: Starter, tmp_path: pathlib.Path) -> None:
    source = begin(start, keys=100)
    configure(source, rdb_key_save_delay="20000")

    def kill() -> None:
        os.kill(wait_for(lambda: child_of(source)), signal.SIGKILL)

    with meanwhile(kill), pytest.raises(RedisSyncFailed, match="broke off"):
        take(source, tmp_path / "backup", method="sync")


def test_a_server_that_takes_too_long(start: Starter, tmp_path: pathlib.Path) -> None:
    source = begin(start, keys=100)
    configure(source, rdb_key_save_delay="500000")
    started = time.monotonic()
    with pytest.raises(RedisSyncFailed, match="within 1 seconds"):
        take(source, tmp_path / "backup", method="sync", timeout=1)
    assert time.monotonic() - started < 5


def test_line_ends_keep_the_connection_alive(start: Starter, tmp_path: pathlib.Path) -> None:
    """With diskless off, the server saves first and sends a line end each period."""
    source = begin(start, diskless="no", keys=100)
    configure(source, rdb_key_save_delay="25000", repl_ping_replica_period="1")
    seen = bytearray()

    def watch(_offset: int, block: bytes) -> bytes:
        seen.extend(block)
        return block

    with Relay(source.port, change=watch) as relay:
        taken = take({"port": relay.port}, tmp_path / "backup", method="sync")
    assert b"\n\n$" in bytes(seen) or b"\n$" in bytes(seen)
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert digest(second) == digest(source)


def test_a_replica_that_lost_its_primary_sends_nothing(start: Starter, tmp_path: pathlib.Path) -> None:
    primary, replica = begin(start, keys=10), start()
    with admin(replica) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        wait_for(lambda: client.info("replication")["master_link_status"] == "up")
        primary.kill()
        wait_for(lambda: client.info("replication")["master_link_status"] == "down")
    with pytest.raises(RedisSyncFailed, match="lost its primary"):
        take(replica, tmp_path / "backup", method="sync")


def test_a_reader_that_is_slow_is_served(start: Starter, tmp_path: pathlib.Path) -> None:
    source = begin(start)

    class Slow(FileSink):
        def store(self, payload: PayloadInput) -> StoredPayload:
            time.sleep(1)
            return super().store(payload)

    taken = take(source, tmp_path / "backup", method="sync", sink=Slow)
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert digest(second) == digest(source)


def test_a_store_that_fails_ends_the_transfer(start: Starter, tmp_path: pathlib.Path) -> None:
    source = begin(start)

    class Full(FileSink):
        def store(self, payload: PayloadInput) -> StoredPayload:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        take(source, tmp_path / "backup", method="sync", sink=Full)
    with admin(source) as client:
        wait_for(lambda: client.info("replication")["connected_slaves"] == 0)
    assert Progress(clock=SystemClock()).bytes_done == 0
