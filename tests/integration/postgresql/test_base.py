# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups start as clusters with stock tools, word by word as RESTORE.md says; what can't be good is refused."""

from __future__ import annotations

import os
import shutil
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.replica_lag import ReplicaLag
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import (
    pg_basebackup as pg_basebackup_module,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.names import parse_lsn
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.replica import replica_lag
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.load import SCRIPT, TOTAL, load
from tests.integration.postgresql.rig import (
    BACKUP_ID,
    SECRET,
    base_producer,
    database,
    psql,
    restored_cluster,
)
from tests.support.waiting import wait_for

NAME = "loaded"


def slots(server: PostgreSQLServer) -> list[t.Any]:
    return server.query("SELECT slot_name FROM pg_replication_slots")


@pytest.mark.smoke
@pytest.mark.parametrize("keep_manifest", [False, True])
def test_a_base_backup_starts_as_a_cluster(server: PostgreSQLServer, keep_manifest: bool, tmp_path: Path) -> None:
    with database(server, NAME, script=SCRIPT):
        producer, journal = base_producer(server, state_directory=tmp_path / "state", keep_manifest=keep_manifest)
        inspection = producer.inspect()
        assert any("pg_basebackup" in step for step in inspection.steps)
        assert inspection.expected_bytes > 20_000_000
        sink = FolderSink(tmp_path / "backup")
        with load(server, NAME) as loads:
            production = producer.produce(sink=sink, progress=sink.progress)
        assert all(one.commits > 10 for one in loads)
        content = production.content
        assert journal.warnings == content["warnings"] == []
        assert content["wal"]["held_by_slot"] is True
        assert slots(server) == []
        with restored_cluster(server, folder=tmp_path / "work") as cluster:
            printed = cluster.run(production, sink)
            assert "backup successfully verified" in "".join(printed)
            assert printed[-1].split()[-3] == "f" or cluster.query("SELECT pg_is_in_recovery()") == "f"
            assert cluster.query("SELECT sum(balance) FROM accounts", database=NAME) == str(TOTAL)
            assert cluster.query("SELECT count(*) FROM events", database=NAME) == cluster.query(
                "SELECT count(*) FROM mirrored_events", database=NAME
            )
            identifier = cluster.query("SELECT system_identifier FROM pg_control_system()")
        assert content["system_identifier"] == identifier
        if keep_manifest:
            kept = Path(content["manifest_path"])
            assert kept.read_bytes() == sink.plain("backup_manifest")
            assert kept.stat().st_mode & 0o777 == 0o600
        else:
            assert not (tmp_path / "state").exists()


def test_the_facts_of_the_backup_are_recorded(server: PostgreSQLServer, tmp_path: Path) -> None:
    before = server.query("SELECT pg_current_wal_lsn()")[0][0]
    producer, _journal = base_producer(server, state_directory=tmp_path / "state")
    sink = FolderSink(tmp_path / "backup")
    content = producer.produce(sink=sink, progress=sink.progress).content
    assert {"waiting for the checkpoint", "streaming the base backup"} <= set(sink.progress.stage_seconds())
    assert sink.progress.bytes_expected > 20_000_000
    after = server.query("SELECT pg_current_wal_lsn()")[0][0]
    assert parse_lsn(before) <= parse_lsn(content["start_lsn"]) < parse_lsn(content["end_lsn"]) <= parse_lsn(after)
    assert content["timeline"] == 1
    assert content["from"] == "primary"
    assert content["checksums"] == {"enabled": True, "verified": True, "failures": 0}
    assert content["tool"]["name"] == "pg_basebackup"
    assert [tablespace["name"] for tablespace in content["tablespaces"]] == ["pg_default", "pg_global"]
    by_name = {entry["name"]: entry for entry in content["databases"]}
    assert by_name["postgres"]["extensions"] == [{"name": "plpgsql", "version": "1.0"}]
    assert by_name["postgres"]["size"] > 1_000_000
    assert content["archiving"]["mode"] == "on"
    # The segments are those that lie in the tar.
    listing = tar_listing(sink)
    wal = sorted(name[len("pg_wal/") :] for name in listing if name.startswith("pg_wal/0") and len(name) == 31)
    assert (content["wal"]["first"], content["wal"]["last"]) == (wal[0], wal[-1])
    assert content["wal"]["segments"] == len(wal)
    # pg_walfile_name names the segment of a position by the server's own arithmetic.
    assert server.query("SELECT pg_walfile_name(%s)", [content["start_lsn"]]) == [(content["wal"]["first"],)]
    assert f"LABEL: lifeboat {BACKUP_ID}" in member(sink, "backup_label").decode()


def tar_listing(sink: FolderSink) -> list[str]:
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(sink.plain("base.tar"))) as archive:
        return archive.getnames()


def member(sink: FolderSink, name: str) -> bytes:
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(sink.plain("base.tar"))) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


@pytest.fixture(scope="module")
def standby(distribution_server: PostgreSQLServer) -> t.Iterator[PostgreSQLServer]:
    with PostgreSQLServer.standby_of(distribution_server) as standby:
        yield standby


def test_a_base_backup_from_a_standby_becomes_a_cluster_of_its_own(
    distribution_server: PostgreSQLServer, standby: PostgreSQLServer, tmp_path: Path
) -> None:
    with database(distribution_server, NAME, script=SCRIPT):
        target = distribution_server.query("SELECT pg_current_wal_lsn()")[0][0]
        for _attempt in range(100):
            if standby.query("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [target])[0][0]:
                break
            time.sleep(0.1)
        producer, _journal = base_producer(standby, state_directory=tmp_path / "state")
        sink = FolderSink(tmp_path / "backup")
        with load(distribution_server, NAME):
            production = producer.produce(sink=sink, progress=sink.progress)
        assert production.content["from"] == "standby"
        assert production.content["in_recovery"] is True
        with restored_cluster(standby, folder=tmp_path / "work") as cluster:
            cluster.run(production, sink)
            # It is a primary, not a second standby of the production's.
            assert cluster.query("SELECT pg_is_in_recovery()") == "f"
            assert cluster.query("SELECT sum(balance) FROM accounts", database=NAME) == str(TOTAL)
        assert slots(standby) == []


def test_the_lag_of_a_standby_is_measured_against_its_primary(
    distribution_server: PostgreSQLServer, standby: PostgreSQLServer
) -> None:
    def lag() -> ReplicaLag:
        sides = [connecting(one) for one in (distribution_server, standby)]
        return replica_lag(*sides, timeout=3, runner=SubprocessRunner())

    def write() -> None:
        distribution_server.query("CREATE TABLE IF NOT EXISTS behind AS SELECT generate_series(1, 20000)")
        distribution_server.query("INSERT INTO behind SELECT generate_series(1, 20000)")

    write()
    wait_for(lambda: lag().behind_bytes == 0, what="the standby has everything")
    time.sleep(1.1)  # so that the age of what it has is no second
    assert lag() == ReplicaLag(follows=True, seconds=0.0, behind_bytes=0)
    standby.query("SELECT pg_wal_replay_pause()")
    try:
        wait_for(lambda: standby.query("SELECT pg_get_wal_replay_pause_state()") == [("paused",)], what="it waits")
        write()
        behind = lag()
    finally:
        standby.query("SELECT pg_wal_replay_resume()")
        distribution_server.query("DROP TABLE behind")
    assert behind.follows
    assert behind.seconds is not None
    assert behind.seconds >= 1.0
    assert behind.behind_bytes is not None
    assert behind.behind_bytes > 20000 * 28
    # A primary follows nobody.
    primary = connecting(distribution_server)
    assert replica_lag(primary, primary, timeout=3, runner=SubprocessRunner()) == ReplicaLag(follows=False)


def connecting(server: PostgreSQLServer) -> dict[str, t.Any]:
    return {"host": "127.0.0.1", "port": server.port, "user": server.superuser, "password": SECRET}


def test_a_standby_can_be_dumped_logically_too(
    distribution_server: PostgreSQLServer, standby: PostgreSQLServer, tmp_path: Path
) -> None:
    from tests.integration.postgresql.rig import logical_producer

    with database(
        distribution_server, NAME, script=SCRIPT + "CREATE UNLOGGED TABLE u (i int); INSERT INTO u VALUES (1);"
    ):
        target = distribution_server.query("SELECT pg_current_wal_lsn()")[0][0]
        for _attempt in range(100):
            if standby.query("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [target])[0][0]:
                break
            time.sleep(0.1)
        producer, _journal = logical_producer(standby, databases=[NAME])
        sink = FolderSink(tmp_path)
        with load(distribution_server, NAME):
            content = producer.produce(sink=sink, progress=sink.progress).content
        assert content["in_recovery"] is True
        (entry,) = content["databases"]
        rows = {table: found["rows"] for table, found in entry["tables"].items()}
        assert rows["public.events"] == rows["public.mirrored_events"]
        # A standby has no rows of unlogged tables; pg_dump leaves them out, and so do the counts.
        assert "public.u" not in rows
        assert parse_lsn(entry["snapshot_lsn"]) >= parse_lsn(target)


def test_a_tablespace_that_comes_at_the_last_moment_has_a_name(server: PostgreSQLServer, tmp_path: Path) -> None:
    location = server.directory / "second"
    location.mkdir()
    server._own(location)
    producer, _journal = base_producer(server, state_directory=tmp_path)
    check = pg_basebackup_module.PgBasebackupTool.check

    def check_and_make(tool: t.Any, request: t.Any) -> t.Any:
        steps = check(tool, request)
        server.query(f"CREATE TABLESPACE second LOCATION '{location}'")
        return steps

    try:
        # One that comes between the look and the backup is refused by the program.
        pg_basebackup_module.PgBasebackupTool.check = check_and_make  # type: ignore[method-assign]
        sink = FolderSink(tmp_path / "backup")
        with pytest.raises(errors.PostgresTablespaceUnsupported):
            producer.produce(sink=sink, progress=sink.progress)
        assert list((tmp_path / "backup").iterdir()) == []
    finally:
        pg_basebackup_module.PgBasebackupTool.check = check  # type: ignore[method-assign]
        server.query("DROP TABLESPACE second")
        shutil.rmtree(location)


def test_damaged_pages_fail_the_backup(server: PostgreSQLServer, tmp_path: Path) -> None:
    psql(server, "CREATE TABLE damaged AS SELECT n, repeat('y', 100) FROM generate_series(1, 20000) n; CHECKPOINT")
    try:
        path = server.data_directory / psql(server, "SELECT pg_relation_filepath('damaged')").strip()
        with path.open("r+b") as file:
            file.seek(8192 * 3 + 5000)
            file.write(b"XXXX")
        for keep_manifest in (False, True):
            producer, _journal = base_producer(server, state_directory=tmp_path / "state", keep_manifest=keep_manifest)
            sink = FolderSink(tmp_path / "backup")
            with pytest.raises(errors.PostgresChecksumFailed) as caught:
                producer.produce(sink=sink, progress=sink.progress)
            assert "block 3" in caught.value.message
            assert list((tmp_path / "backup").iterdir()) == []
        # Neither a manifest nor half of one is kept of a backup that failed.
        assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []
    finally:
        psql(server, "DROP TABLE damaged")


def test_a_damaged_page_that_a_query_meets_meanwhile_fails_the_backup(
    distribution_server: PostgreSQLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import base

    # A fault that is injected: the server's own counter of damaged pages goes up while the backup runs.
    failures = iter([4, 7])
    monkeypatch.setattr(base, "checksum_failures", lambda _session: next(failures))
    producer, _journal = base_producer(distribution_server, state_directory=tmp_path)
    sink = FolderSink(tmp_path / "backup")
    with pytest.raises(errors.PostgresChecksumFailed, match="3 damaged pages"):
        producer.produce(sink=sink, progress=sink.progress)


def test_archiving_that_is_off_is_said_or_refused(tmp_path: Path) -> None:
    with PostgreSQLServer(password=SECRET, archiving=False, checksums=False) as server:
        producer, journal = base_producer(server, state_directory=tmp_path)
        sink = FolderSink(tmp_path / "backup")
        content = producer.produce(sink=sink, progress=sink.progress).content
        assert [warning.split(":")[0] for warning in content["warnings"]] == [
            "archive_mode is off",
            "The cluster has no data checksums",
        ]
        assert journal.warnings == content["warnings"]
        assert content["checksums"] == {"enabled": False, "verified": False, "failures": None}
        strict, _journal = base_producer(server, state_directory=tmp_path, require_archiving=True)
        with pytest.raises(errors.PostgresArchivingOff) as caught:
            strict.inspect()
        assert "archive_mode = on" in caught.value.hint


def test_no_wal_senders_at_all(tmp_path: Path) -> None:
    settings = {"wal_level": "minimal", "max_wal_senders": "0", "archive_mode": "off"}
    with PostgreSQLServer(password=SECRET, archiving=False, settings=settings) as server:
        producer, _journal = base_producer(server, state_directory=tmp_path)
        with pytest.raises(errors.PostgresWalSendersExhausted) as caught:
            producer.inspect()
        assert "wal_level is minimal" in caught.value.message


def test_all_wal_senders_taken(tmp_path: Path) -> None:
    from tests.integration.postgresql.rig import RUNNER, connection_to

    with PostgreSQLServer(password=SECRET, settings={"max_wal_senders": "2"}) as server:
        producer, _journal = base_producer(server, state_directory=tmp_path)
        first = connection_to(server).connect_replication(runner=RUNNER)
        second = connection_to(server).connect_replication(runner=RUNNER)
        with pytest.raises(errors.PostgresWalSendersExhausted) as caught:
            producer.inspect()
        assert "max_wal_senders" in caught.value.hint
        second.close()
        time.sleep(0.3)
        # One is left: it serves the backup, and the WAL goes without a slot, which is said.
        sink = FolderSink(tmp_path / "backup")
        content = producer.produce(sink=sink, progress=sink.progress).content
        assert content["wal"]["held_by_slot"] is False
        assert "only one WAL sender is free" in content["warnings"][0]
        first.close()


class Busy:
    """Writes WAL and makes checkpoints, so that a server with little room for WAL recycles it quickly."""

    def __init__(self, server: PostgreSQLServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._server.query("CREATE TABLE churn (body text)")
        while not self._stop.is_set():
            self._server.query("INSERT INTO churn SELECT repeat(md5(n::text), 30) FROM generate_series(1, 5000) n")
            self._server.query("TRUNCATE churn")
            self._server.query("SELECT pg_switch_wal()")
            self._server.query("CHECKPOINT")
            self._stop.wait(0.2)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.slow
def test_a_busy_server_keeps_the_wal_of_a_slow_backup_and_would_not_without(tmp_path: Path) -> None:
    settings = {"min_wal_size": "32MB", "max_wal_size": "32MB", "wal_keep_size": "0", "archive_mode": "off"}
    with PostgreSQLServer(password=SECRET, archiving=False, settings=settings) as server:
        psql(server, "CREATE TABLE body AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 30000) n")
        with Busy(server):
            loose, _journal = base_producer(server, state_directory=tmp_path, hold_wal="none", max_rate="12M")
            sink = FolderSink(tmp_path / "loose")
            with pytest.raises((errors.PostgresWalRemoved, errors.PostgresConnectionLost)) as caught:
                loose.produce(sink=sink, progress=sink.progress)
            assert "hold_wal: auto" in caught.value.hint
            held, _journal = base_producer(server, state_directory=tmp_path, hold_wal="slot", max_rate="12M")
            sink = FolderSink(tmp_path / "held")
            production = held.produce(sink=sink, progress=sink.progress)
        assert production.content["wal"]["segments"] > 2
        assert slots(server) == []
        with restored_cluster(server, folder=tmp_path / "work") as cluster:
            cluster.run(production, sink)
            assert cluster.query("SELECT count(*) FROM body") == "30000"


def test_a_slot_that_is_demanded_and_not_there_refuses(tmp_path: Path) -> None:
    with PostgreSQLServer(password=SECRET, settings={"max_replication_slots": "0"}) as server:
        producer, _journal = base_producer(server, state_directory=tmp_path, hold_wal="slot")
        sink = FolderSink(tmp_path / "backup")
        with pytest.raises(errors.PostgresSlotsExhausted):
            producer.produce(sink=sink, progress=sink.progress)
        # Where it is only wished for, the backup is made without and says so.
        producer, journal = base_producer(server, state_directory=tmp_path)
        content = producer.produce(sink=sink, progress=sink.progress).content
        assert content["wal"]["held_by_slot"] is False
        assert journal.warnings == content["warnings"]
        assert "no replication slot left" in content["warnings"][0]


@pytest.mark.parametrize("keep_manifest", [False, True])
def test_a_backup_whose_server_process_is_ended_leaves_nothing(
    server: PostgreSQLServer, keep_manifest: bool, tmp_path: Path
) -> None:
    producer, _journal = base_producer(
        server, state_directory=tmp_path / "state", keep_manifest=keep_manifest, max_rate="5M"
    )
    ended: list[t.Any] = []

    def terminate(_payload: str) -> None:
        if not ended:
            ended.extend(server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication"))

    sink = FolderSink(tmp_path / "backup", on_data=terminate)
    with pytest.raises(errors.PostgresConnectionLost):
        producer.produce(sink=sink, progress=sink.progress)
    assert ended
    assert list((tmp_path / "backup").iterdir()) == []
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []


class DiskFull(Exception):
    """Stands for a repository that can't take the payload."""


@pytest.mark.parametrize("keep_manifest", [False, True])
def test_a_failing_repository_ends_pg_basebackup(server: PostgreSQLServer, keep_manifest: bool, tmp_path: Path) -> None:
    producer, _journal = base_producer(server, state_directory=tmp_path / "state", keep_manifest=keep_manifest)

    def fail(_payload: str) -> None:
        raise DiskFull

    sink = FolderSink(tmp_path / "backup", on_data=fail)
    with pytest.raises(DiskFull):
        producer.produce(sink=sink, progress=sink.progress)
    assert children_named("pg_basebackup") == []
    for _attempt in range(50):
        if not server.query("SELECT 1 FROM pg_stat_replication WHERE application_name LIKE '%lifeboat%'"):
            break
        time.sleep(0.1)
    assert slots(server) == []
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []


def children_named(name: str) -> list[int]:
    """Processes of that name that this test process started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if f"({name})" in fields and f") Z {os.getpid()} " not in fields and f" {os.getpid()} " in fields:
                found.append(int(entry.name))
    return found


def test_wal_g_without_a_storage_is_refused_before_anything_is_stored(
    distribution_server: PostgreSQLServer, tmp_path: Path
) -> None:
    # Anything that can be run: its settings are looked at first.
    producer, _journal = base_producer(
        distribution_server, state_directory=tmp_path, tool="walg", walg={"program": "/bin/true"}
    )
    with pytest.raises(errors.WalgConfigurationInvalid, match="Nothing names the storage"):
        producer.inspect()
    sink = FolderSink(tmp_path / "backup")
    with pytest.raises(errors.WalgConfigurationInvalid):
        producer.produce(sink=sink, progress=sink.progress)
    assert list((tmp_path / "backup").iterdir()) == []
