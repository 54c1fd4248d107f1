# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot holds what the server held: by its file and over the wire, on every flavour."""

from __future__ import annotations

import pathlib
import subprocess
import threading

import pytest

from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import (
    admin,
    configure,
    describe,
    digest,
    fill,
    keyspace,
    open_files,
    producer,
    restored_rdb,
    take,
)
from tests.support.waiting import wait_for

FLAVOURS = ["redis", "valkey", "redis_6", "redis_8"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("method", ["bgsave", "sync", "auto"])
def test_a_snapshot_restores(start: Starter, tmp_path: pathlib.Path, flavour: str, method: str) -> None:
    source = start(flavour=flavour)
    fill(source)
    before = open_files()
    taken = take(source, tmp_path / "backup", method=method)
    assert open_files() == before
    content = taken.content
    assert content["method"] == ("sync" if method == "sync" else "bgsave")
    assert content["flavour"] == ("valkey" if flavour == "valkey" else "redis")
    assert content["crc64"] is not None
    assert content["rdb_size"] == taken.rdb.stat().st_size
    assert content["keyspace"] == keyspace(source)
    assert content["role"] == "primary"
    assert taken.journal.warnings == []
    with restored_rdb(taken.rdb, tmp_path / "restored", flavour=flavour) as second:
        assert digest(second) == digest(source)
        assert keyspace(second) == content["keyspace"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_both_forms_of_the_wire(start: Starter, tmp_path: pathlib.Path, flavour: str, diskless: str) -> None:
    source = start(flavour=flavour, settings={"repl-diskless-sync": diskless})
    fill(source)
    before = open_files()
    taken = take(source, tmp_path / "backup", method="sync")
    assert open_files() == before
    with restored_rdb(taken.rdb, tmp_path / "restored", flavour=flavour) as second:
        assert digest(second) == digest(source)
    with admin(source) as client:
        assert client.info("replication")["connected_slaves"] == 0


@pytest.mark.parametrize("method", ["bgsave", "sync"])
def test_an_empty_server_is_taken_with_a_warning(start: Starter, tmp_path: pathlib.Path, method: str) -> None:
    source = start()
    taken = take(source, tmp_path / "backup", method=method)
    assert taken.content["keyspace"] == {}
    assert "no key at all" in taken.journal.warnings[0]
    assert taken.content["warnings"] == taken.journal.warnings
    with restored_rdb(taken.rdb, tmp_path / "restored") as second:
        assert keyspace(second) == {}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_the_counts_are_those_of_the_snapshot(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    """Writers run all the time; the counts in the manifest are what a server has that loads the file."""
    source = start(flavour=flavour)
    fill(source, keys=500)
    stop = threading.Event()

    def write(database: int) -> None:
        with admin(source, database) as client:
            number = 0
            while not stop.is_set():
                client.set(f"more:{number}", number, ex=10_000_000 if number % 3 == 0 else None)
                number += 1

    writers = [threading.Thread(target=write, args=(database,)) for database in (0, 5)]
    for writer in writers:
        writer.start()
    try:
        for turn in range(4):
            taken = take(source, tmp_path / f"backup{turn}", method="bgsave")
            assert taken.content["keyspace_exact"] is True
            with restored_rdb(taken.rdb, tmp_path / f"restored{turn}", flavour=flavour) as second:
                assert keyspace(second) == taken.content["keyspace"]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert keyspace(source)["db5"]["keys"] > taken.content["keyspace"]["db5"]["keys"]


def test_over_a_unix_socket(start: Starter, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "redis.sock"
    source = start(settings={"unixsocket": str(path)})
    fill(source, keys=50)
    for method in ("bgsave", "sync"):
        taken = take({"unix_socket": str(path)}, tmp_path / method, method=method)
        assert taken.content["keyspace"] == keyspace(source)


def test_the_stock_tool_agrees(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start()
    fill(source)
    for method in ("bgsave", "sync"):
        taken = take(source, tmp_path / method, method=method)
        said = subprocess.run(["redis-check-rdb", taken.rdb], capture_output=True, text=True, check=True).stdout
        assert "Checksum OK" in said


def test_a_server_without_checksums_is_taken_and_that_is_said(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(settings={"rdbchecksum": "no"})
    fill(source, keys=50)
    taken = take(source, tmp_path / "backup", method="bgsave")
    assert taken.content["crc64"] is None
    assert "no checksum" in taken.journal.warnings[0]


def test_looking_changes_nothing(start: Starter) -> None:
    source = start(append_only=True)
    fill(source, keys=50)
    with admin(source) as client:
        # On a busy disk the server puts off its own writing for up to two seconds.
        wait_for(
            lambda: (
                not {client.info("persistence")[key] for key in ("aof_buffer_length", "aof_pending_bio_fsync")} - {0}
            ),
            what="the append-only file is written",
        )
    files = {path: path.stat().st_mtime_ns for path in source.data_directory.rglob("*")}
    with admin(source) as client:
        before = client.info("persistence")
        for kind in ("rdb", "aof"):
            inspection = producer(describe(source), kind=kind).inspect()
            assert inspection.steps
            assert inspection.expected_bytes > 0
            assert inspection.facts["keyspace"] == keyspace(source)
        after = client.info("persistence")
    assert {path: path.stat().st_mtime_ns for path in source.data_directory.rglob("*")} == files
    assert {key: before[key] for key in ("rdb_saves", "aof_rewrites")} == {
        key: after[key] for key in ("rdb_saves", "aof_rewrites")
    }


def test_another_name_for_the_file(start: Starter, tmp_path: pathlib.Path) -> None:
    source = start(settings={"dbfilename": "other-name.rdb"})
    fill(source, keys=50)
    (source.data_directory / "dump.rdb").write_bytes(b"somebody else's file")
    taken = take(source, tmp_path / "backup", method="bgsave")
    assert taken.content["keyspace"] == keyspace(source)


def test_a_replica_says_that_it_is_one(start: Starter, tmp_path: pathlib.Path) -> None:
    primary, replica = start(), start()
    fill(primary, keys=50)
    with admin(replica) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        while client.info("replication")["master_link_status"] != "up":
            pass
    for method in ("bgsave", "sync"):
        taken = take(replica, tmp_path / method, method=method)
        assert (taken.content["role"], taken.content["keyspace"]) == ("replica", keyspace(primary))
    primary.kill()
    with admin(replica) as client:
        while client.info("replication")["master_link_status"] != "down":
            pass
    configure(replica, replica_serve_stale_data="yes")
    assert "lost its primary" in take(replica, tmp_path / "lonely", method="bgsave").journal.warnings[0]
