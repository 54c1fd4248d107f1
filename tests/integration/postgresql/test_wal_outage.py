# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bucket is gone while a server is written to: nothing is lost, nothing outgrows its budget, all drains in order.

A genuine S3 server is stopped and started again. The budget of the spool is small, so that the outage outlasts it, too:
then the WAL stays in ``pg_wal`` until there is room again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import segments_between
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from sandbox.postgresql import PostgreSQLServer
from sandbox.s3 import S3Server
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.wal_rig import MIB, SERIES, Archive, archiving

ROOT = Path(__file__).resolve().parents[3]
SIZE = 16 * MIB
BUDGET_MIB = 160
PREFIX = "wal-outage"


@pytest.fixture
def archive(distribution_server: PostgreSQLServer) -> t.Iterator[Archive]:
    with archiving(distribution_server, begin=False) as made:
        limited = dataclasses.replace(made, budget_mib=BUDGET_MIB)
        limited.tell()
        limited.use()
        password = made.folder / "password"
        password.touch(mode=0o600)
        password.write_text(SECRET + "\n", encoding="utf-8")
        yield limited


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[S3Server]:
    with S3Server(buckets=("lifeboat",)) as server:
        monkeypatch.setenv("OUTAGE_ACCESS_KEY_ID", server.administrator.access_key)
        monkeypatch.setenv("OUTAGE_SECRET_ACCESS_KEY", server.administrator.secret_key)
        yield server


def described(bucket: S3Server) -> dict[str, t.Any]:
    return {
        "type": "s3",
        "bucket": "lifeboat",
        "prefix": PREFIX,
        "endpoint_url": bucket.endpoint_url,
        "region": bucket.region,
        "credentials": {"env": "OUTAGE"},
    }


def configuration(archive: Archive, bucket: S3Server) -> Path:
    connection = {
        "host": "127.0.0.1",
        "port": archive.server.port,
        "user": "postgres",
        "database": "postgres",
        "password_file": str(archive.folder / "password"),
    }
    backup = {
        "kind": "wal",
        "repositories": ["offsite"],
        "keep": {"forever": True},
        "options": {"spool_directory": str(archive.spool_folder), "spool_budget_mib": BUDGET_MIB, "alarm_age": "5s"},
    }
    source = {"name": SERIES.source, "engine": "postgresql", "connection": connection, "backups": [backup]}
    description = {
        "lifeboat_repositories": {"offsite": described(bucket)},
        "lifeboat_settings": {"state_directory": str(archive.folder / "state")},
        "lifeboat_services": [{"name": SERIES.service, "sources": [source]}],
    }
    path = archive.folder / "config.yml"
    path.write_text(json.dumps(description), encoding="utf-8")
    return path


def stored(bucket: S3Server) -> Stream | None:
    """None before the first segment is recorded."""
    storage = open_storage(described(bucket), name="offsite", clock=SystemClock(), runner=SubprocessRunner())
    for stream in read_streams({"offsite": storage}, SERIES):
        assert stream.problems == ()
        return stream
    return None


def names_in(bucket: S3Server) -> list[str]:
    stream = stored(bucket)
    return [] if stream is None else [one.segment.name for one in stream.segments]


@pytest.mark.parametrize("seconds", [12, pytest.param(600, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
def test_an_outage_loses_nothing_and_drains_in_order(archive: Archive, bucket: S3Server, seconds: int) -> None:
    (first,) = archive.segments(1)
    archive.server.query("ALTER TABLE ledger ADD COLUMN filling text DEFAULT repeat('lifeboat ', 8)")
    ended = threading.Event()
    largest = {"spool": 0}

    def write() -> None:
        while not ended.is_set():
            archive.server.query("INSERT INTO ledger SELECT FROM generate_series(1, 40000)")
            archive.server.query("TRUNCATE ledger")

    def watch() -> None:
        while not ended.is_set():
            largest["spool"] = max(largest["spool"], archive.spool.used())
            time.sleep(0.05)

    words = ["-m", "lifeboat", "--config", str(configuration(archive, bucket))]
    command = [sys.executable, *words, "ship", "shop/main/wal", "--follow", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "typing")}
    shipper = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    threads = [threading.Thread(target=write), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        archive.until(lambda: bool(archive.names()), "load")
        bucket.stop()
        went = time.monotonic()
        # The spool fills up to its budget, and then the server keeps what comes.
        archive.until(lambda: archive.spool.used() + SIZE > BUDGET_MIB * MIB, "full spool")
        archive.wait_until_failing()
        while time.monotonic() - went < seconds:
            assert shipper.poll() is None, shipper.communicate()[0]
            time.sleep(0.2)
        assert archive.spool.used() <= BUDGET_MIB * MIB
        bucket.start()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    try:
        (last,) = archive.segments(1)
        deadline = time.monotonic() + 60 + seconds
        while last not in names_in(bucket):
            assert shipper.poll() is None, shipper.communicate()[0]
            assert time.monotonic() < deadline, (archive.names()[:3], archive.log()[-1500:])
            archive.wake()  # after failures the archiver sleeps for a minute
            time.sleep(0.5)
    finally:
        shipper.terminate()
        said = shipper.communicate(timeout=60)[0]
    names = [name for name in names_in(bucket) if name >= first]
    assert names == list(segments_between(first, last, segment_size=SIZE)), "in order, without a hole"
    stream = stored(bucket)
    assert stream is not None
    assert stream.events == ()
    assert largest["spool"] <= BUDGET_MIB * MIB
    assert "storage." in said or "spool" in said, said
    print(f"\n{seconds} s without S3: {len(names)} segments, at most {largest['spool'] // MIB} MiB in the spool")
