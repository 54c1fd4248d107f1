# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bucket is gone while a server is written to: nothing is lost, nothing outgrows its budget, all drains in order.

A genuine S3 server is stopped and started again. The budget of the spool is small, so that the outage outlasts it, too:
then the WAL stays in ``pg_wal`` until there is room again, and what waits there is measured, said, and drained as well.
"""

from __future__ import annotations

import contextlib
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
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
SIZE = 16 * MIB
BUDGET_MIB = 160
#: What may wait in pg_wal, by how long S3 is away.
WAITING_MIB = {12: 192, 600: 4096}
#: What PostgreSQL keeps of its own accord, with the settings below, and a few segments on their way.
LARGEST_WAL_MIB = 64
MOST_KEPT = (LARGEST_WAL_MIB + 4 * 16) * MIB
PREFIX = "wal-outage"


@pytest.fixture
def archive() -> t.Iterator[Archive]:
    """Of a server of its own: another's keeps segments for new WAL from what was done there before."""
    with PostgreSQLServer(password=SECRET) as server, archiving(server, begin=False) as made:
        limited = dataclasses.replace(made, budget_mib=BUDGET_MIB)
        limited.tell()
        for name, size in {"max_wal_size": LARGEST_WAL_MIB, "min_wal_size": 32}.items():
            server.query(f"ALTER SYSTEM SET {name} = '{size}MB'")
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


def configuration(archive: Archive, bucket: S3Server, *, seconds: int) -> Path:
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
        "options": {
            "spool_directory": str(archive.spool_folder),
            "spool_budget_mib": BUDGET_MIB,
            "alarm_age": "5s",
            "pg_wal_budget_mib": WAITING_MIB[seconds],
            "pg_wal_free_percent": 0,
        },
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


@dataclasses.dataclass
class Largest:
    """What was seen at most, in bytes."""

    spool: int = 0
    waiting: int = 0
    pg_wal: int = 0

    def look(self, archive: Archive) -> None:
        wal = archive.server.data_directory / "pg_wal"
        ready = [name for name in os.listdir(wal / "archive_status") if name.endswith(".ready")]
        self.spool = max(self.spool, archive.spool.used())
        self.waiting = max(self.waiting, SIZE * len(ready))
        self.pg_wal = max(self.pg_wal, size_of(wal))


def size_of(wal: Path) -> int:
    size = 0
    for path in wal.iterdir():
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() else 0
    return size


@dataclasses.dataclass
class Load:
    """Writes *fast* bytes of WAL at once, and then *slow* more, evenly over so many *seconds* or longer."""

    archive: Archive
    fast: int
    slow: int
    seconds: float
    written: int = 0
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    _slow_since: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.slow / self.seconds

    @property
    def is_done(self) -> bool:
        return self.written >= self.fast + self.slow

    def run(self) -> None:
        begin = self._position()
        while not self.ended.is_set():
            self.written = self._position() - begin
            if self.written < self.fast:
                self._slow_since = time.monotonic()
            elif self.written > self.fast + min(self.slow, self.rate * (time.monotonic() - self._slow_since)):
                self.ended.wait(0.05)
                continue
            self.archive.server.query("INSERT INTO ledger SELECT FROM generate_series(1, 10000)")
            self.archive.server.query("TRUNCATE ledger")

    def _position(self) -> int:
        return int(self.archive.server.query("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])


@contextlib.contextmanager
def following(configuration: Path) -> t.Iterator[subprocess.Popen[str]]:
    """The shipper, as a service; what it says is in a file."""
    words = ["-m", "lifeboat", "--config", str(configuration), "ship", "shop/main/wal", "--follow", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "typing")}
    with open(configuration.with_suffix(".said"), "w", encoding="utf-8") as said:
        shipper = subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=said, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield shipper
        finally:
            shipper.kill()
            shipper.wait()


def said_by(configuration: Path) -> str:
    return configuration.with_suffix(".said").read_text(encoding="utf-8")


def dry_run(configuration: Path) -> dict[str, t.Any]:
    """What an operator types while the alarm rings."""
    words = ["-m", "lifeboat", "--config", str(configuration), "ship", "shop/main/wal", "--dry-run", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "typing")}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    plan: dict[str, t.Any] = json.loads(done.stdout)["results"][0]["plan"]
    return plan


@pytest.mark.parametrize("seconds", [12, pytest.param(600, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_an_outage_loses_nothing_and_drains_in_order(archive: Archive, bucket: S3Server, seconds: int) -> None:
    """Spool and pg_wal have room for what comes in that time; what waits in either stays within its budget."""
    with contextlib.ExitStack() as stack:
        _outage(stack, archive, bucket, seconds=seconds)


def _outage(stack: contextlib.ExitStack, archive: Archive, bucket: S3Server, *, seconds: int) -> None:
    (first,) = archive.segments(1)
    archive.server.query("ALTER TABLE ledger ADD COLUMN filling text DEFAULT repeat('lifeboat ', 8)")
    path, largest = configuration(archive, bucket, seconds=seconds), Largest()
    wal = archive.server.data_directory / "pg_wal"
    # At the end of the outage more than eight tenths of what may wait in pg_wal do.
    slow = int(0.82 * WAITING_MIB[seconds] * MIB)
    load = Load(archive, fast=(BUDGET_MIB + 32) * MIB, slow=slow, seconds=seconds)

    def watch() -> None:
        while not load.ended.is_set():
            largest.look(archive)
            time.sleep(0.05)

    shipper = stack.enter_context(following(path))
    archive.until(lambda: first in names_in(bucket), "shipping")
    bucket.stop()
    threads = [threading.Thread(target=load.run), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        # The spool fills up to its budget, and then the server keeps what comes.
        wait_for(lambda: archive.spool.used() + SIZE > BUDGET_MIB * MIB, what="full spool", seconds=240)
        archive.wait_until_failing()
        went = time.monotonic()
        while time.monotonic() - went < seconds or not load.is_done:
            assert shipper.poll() is None, said_by(path)
            assert time.monotonic() - went < 2 * seconds + 240, load.written
            time.sleep(0.2)
        went = time.monotonic() - went
    finally:
        load.ended.set()
        for thread in threads:
            thread.join()
    budget = WAITING_MIB[seconds] * MIB
    plan = dry_run(path)
    room, alarms = plan["facts"]["pg_wal"], {one["name"]: one for one in plan["warnings"]}
    assert largest.spool <= BUDGET_MIB * MIB
    assert largest.waiting <= budget
    assert largest.waiting >= 0.8 * budget, "or this proves nothing"
    assert largest.pg_wal <= budget + MOST_KEPT, "what waits, and what PostgreSQL itself keeps"
    assert abs(room["waiting_bytes"] - largest.waiting) <= SIZE
    assert abs(room["size_bytes"] - size_of(wal)) <= 2 * SIZE
    assert room["free_bytes"] + room["size_bytes"] <= room["disk_bytes"]
    assert "pg_wal_growing" in alarms, plan["warnings"]
    assert "spool_full" in alarms or "spool_nearly_full" in alarms
    # Beyond the budget nothing is dropped: it is said.
    last = archive.segments(2 + int(0.2 * budget / SIZE))[-1]
    beyond = {one["name"]: one for one in dry_run(path)["warnings"]}
    assert beyond["pg_wal_over_budget"]["severity"] == "critical"
    bucket.start()
    came = time.monotonic()
    while last not in names_in(bucket):
        assert shipper.poll() is None, said_by(path)
        assert time.monotonic() < came + 60 + seconds, (archive.names()[:3], archive.log()[-1500:], said_by(path))
        archive.wake()  # after failures the archiver sleeps for a minute
        time.sleep(0.5)
    drained = time.monotonic() - came
    shipper.terminate()
    shipper.wait(timeout=60)
    said = said_by(path)
    names = [name for name in names_in(bucket) if first <= name <= last]
    assert names == list(segments_between(first, last, segment_size=SIZE)), "in order, without a hole"
    stream = stored(bucket)
    assert stream is not None
    assert stream.events == ()
    assert "storage." in said or "spool" in said, said
    assert seconds < 100 or "pg_wal_growing" in said, "the shipper looks each half minute"
    # PostgreSQL lets go of what was archived with its checkpoints.
    for _checkpoint in range(2):
        archive.server.query("CHECKPOINT")
    after = size_of(wal)
    assert after <= MOST_KEPT
    quiet = dry_run(path)
    assert quiet["facts"]["pg_wal"]["waiting_segments"] <= 1
    assert not [one for one in quiet["warnings"] if one["name"].startswith("pg_wal_")]
    print(
        f"\n{went:.0f} s without S3 at {load.rate / MIB:.1f} MiB/s behind a full spool: {len(names)} segments; at most "
        f"{largest.spool // MIB} of {BUDGET_MIB} MiB in the spool, {largest.waiting // MIB} of {budget // MIB} MiB "
        f"waiting in pg_wal, which had {largest.pg_wal // MIB} MiB; drained in {drained:.1f} s, then {after // MIB} MiB"
    )
