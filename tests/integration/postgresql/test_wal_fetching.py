# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server in recovery behind the script and the read-ahead: it ends where the archive ends, and nowhere before.

The fetching is a copy from a folder, in which faults are injected. A row was committed in each segment.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DecryptionFailed,
    LifeboatError,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.server_state import (
    DEAD,
    READ_WRITE,
    postmaster_state,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_fetcher import (
    FetcherLimits,
    WalFetcher,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_restore_script import (
    CacheSettings,
    restore_command,
    write_cache_settings,
    write_restore_script,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from tests.integration.postgresql.rig import SECRET, client_environment
from tests.integration.postgresql.wal_rig import MIB, archiving, own

ROWS = 6
SIZE = 16 * MIB


@dataclass(frozen=True)
class Past:
    """A base backup without WAL, and the archive behind it."""

    server: PostgreSQLServer
    base: Path
    wal: Path
    stream: Stream

    @property
    def planned(self) -> list[StoredSegment]:
        return [one for one in self.stream.segments if len(one.segment.name) == 24]

    def name(self, row: int) -> str:
        """The segment in which that row was committed; rows count from 1."""
        return self.planned[len(self.planned) - ROWS + row - 1].segment.name


@pytest.fixture(scope="module")
def past(distribution_server: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Past]:
    with archiving(distribution_server) as archive:
        base = archive.folder / "base"
        done = subprocess.run(
            [
                distribution_server.program("pg_basebackup"),
                f"--pgdata={base}",
                "--wal-method=none",
                "--checkpoint=fast",
                "--no-sync",
            ],
            env=client_environment(distribution_server),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        names = archive.segments(ROWS)
        archive.wait_for(names[-1])
        source = archive.source()
        source.inspect()
        stream = archive.stored(source)
        yield Past(server=distribution_server, base=base, wal=archive.spool_folder, stream=stream)


@dataclass
class Shop:
    """Where segments come from. *broken* names the ones that fail; *slow* seconds are taken for each."""

    folder: Path
    broken: set[str] = field(default_factory=set)
    kind: type[LifeboatError] = StorageUnreachable
    slow: float = 0.0
    asked: list[str] = field(default_factory=list)

    def fetch(self, segment: StoredSegment, path: str) -> None:
        name = segment.segment.name
        self.asked.append(name)
        time.sleep(self.slow)
        if name in self.broken:
            raise self.kind(f"the repository does not answer for {name}")
        shutil.copyfile(self.folder / name, path)


class Copy:
    """The base backup as a server of its own, in recovery by the script."""

    def __init__(self, past: Past, folder: Path) -> None:
        self.past = past
        self.data = folder / "data"
        self.cache = folder / "cache"
        self.log = folder / "log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        script = folder / "fetch-wal"
        write_restore_script(str(script))
        self.command = restore_command(script=str(script), cache=str(self.cache))
        shutil.copytree(past.base, self.data)
        self.cache.mkdir(mode=0o700)
        for path in (folder, self.cache, self.data, *self.data.rglob("*")):
            own(path)
        self.data.chmod(0o700)

    def fetcher(self, shop: Shop, **limits: t.Any) -> WalFetcher:
        return WalFetcher(
            cache=str(self.cache),
            planned=self.past.planned,
            fetch=shop.fetch,
            clock=SystemClock(),
            journal=MemoryJournal(),
            segment_size=SIZE,
            limits=FetcherLimits(**{"wait_seconds": 5, **limits}),
        )

    def start(self, command: str | None = None) -> None:
        with (self.data / "postgresql.auto.conf").open("a") as configuration:
            value = (command or self.command).replace("'", "''")
            configuration.write(f"restore_command = '{value}'\narchive_mode = off\nport = {self.port}\n")
            # Open for reading and open for writing would look the same.
            configuration.write("recovery_target_timeline = 'latest'\nhot_standby = off\n")
        signal_file = self.data / "recovery.signal"
        signal_file.touch()
        own(signal_file)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*as_user(operating_system_user()), self.past.server.program("postgres"), "-D", self.data],
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            )

    def end_state(self) -> str:
        """read-write or dead, whichever it comes to."""
        assert self._process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return DEAD
            if postmaster_state(str(self.data)) == READ_WRITE:
                return READ_WRITE
            time.sleep(0.05)
        raise AssertionError(f"neither nor: {self.log.read_text()[-2000:]}")

    def rows(self) -> list[int]:
        done = subprocess.run(
            [self.past.server.program("psql"), "-XAtq", "-c", "SELECT number FROM ledger ORDER BY number"],
            env={**client_environment(self.past.server), "PGPORT": str(self.port), "PGPASSWORD": SECRET},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.log.read_text()[-3000:]}"
        return [int(line) for line in done.stdout.split()]

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
            self._process.wait(timeout=30)
        self._process = None


@pytest.fixture
def copy(past: Past, tmp_path: Path) -> t.Iterator[Copy]:
    made = Copy(past, tmp_path)
    try:
        yield made
    finally:
        made.stop()


ALL = list(range(1, ROWS + 1))


def test_recovery_ends_at_the_end_of_the_archive(past: Past, copy: Copy) -> None:
    shop = Shop(past.wal)
    with copy.fetcher(shop) as fetcher:
        copy.start()
        assert copy.end_state() == READ_WRITE, copy.log.read_text()[-2500:]
        assert copy.rows() == ALL
        assert fetcher.problem is None
        assert fetcher.taken >= len(past.planned)
    assert "archive recovery complete" in copy.log.read_text()


def test_a_bare_command_that_fails_once_loses_rows_silently(past: Past, copy: Copy) -> None:
    """The trap itself: if this ever fails, PostgreSQL has learned to tell trouble from the end."""
    copy.start(f"test %f != {past.name(4)} && cp {past.wal}/%f %p")
    assert copy.end_state() == READ_WRITE
    assert copy.rows() == ALL[:3]


def test_a_repository_that_goes_silent_stops_the_server_instead_of_opening_it(past: Past, copy: Copy) -> None:
    shop = Shop(past.wal, broken={past.name(4)})
    with copy.fetcher(shop, wait_seconds=1) as fetcher:
        copy.start()
        assert copy.end_state() == DEAD
        assert isinstance(fetcher.problem, StorageUnreachable)
    log = copy.log.read_text()
    assert f"the repository does not answer for {past.name(4)}" in log
    assert "could not restore file" in log
    assert "archive recovery complete" not in log
    copy.stop()
    with copy.fetcher(Shop(past.wal)):
        copy.start()
        assert copy.end_state() == READ_WRITE, copy.log.read_text()[-2500:]
        assert copy.rows() == ALL


def test_a_key_that_is_wrong_stops_the_server_at_once_and_the_right_one_goes_on(past: Past, copy: Copy) -> None:
    """The script would wait for five minutes for a repository that is away."""
    missing = past.name(4)
    shop = Shop(past.wal, broken={missing}, kind=DecryptionFailed)
    with copy.fetcher(shop, wait_seconds=300):
        began = time.monotonic()
        copy.start()
        assert copy.end_state() == DEAD
        assert time.monotonic() - began < 60
        log = copy.log.read_text()
        assert f"{missing} can't be had: the repository does not answer for {missing}" in log
        assert f'could not restore file "{missing}" from archive' in log
        assert "archive recovery complete" not in log
        copy.stop()
        shop.broken.clear()
        copy.start()
        assert copy.end_state() == READ_WRITE, copy.log.read_text()[-2500:]
        assert copy.rows() == ALL


def test_a_fetcher_that_dies_stops_the_server_instead_of_opening_it(past: Past, copy: Copy) -> None:
    shop = Shop(past.wal, slow=0.3)
    with contextlib.ExitStack() as stack:
        fetcher = stack.enter_context(copy.fetcher(shop, wait_seconds=2, ahead=1, workers=1))
        copy.start()
        deadline = time.monotonic() + 30
        while fetcher.taken < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert copy.end_state() == DEAD
    log = copy.log.read_text()
    assert "no process answers" in log
    assert "archive recovery complete" not in log
    copy.stop()
    with copy.fetcher(Shop(past.wal)):
        copy.start()
        assert copy.end_state() == READ_WRITE, copy.log.read_text()[-2500:]
        assert copy.rows() == ALL


def test_a_server_that_dies_in_recovery_asks_again_and_gets_all(past: Past, copy: Copy) -> None:
    shop = Shop(past.wal, slow=0.2)
    with copy.fetcher(shop, ahead=2, workers=1) as fetcher:
        copy.start()
        deadline = time.monotonic() + 30
        while fetcher.taken < 4:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        copy.stop(signal.SIGQUIT)
        shop.slow = 0.0
        copy.start()
        assert copy.end_state() == READ_WRITE, copy.log.read_text()[-2500:]
        assert copy.rows() == ALL


def test_a_repository_that_stutters_only_costs_time(past: Past, copy: Copy) -> None:
    shop = Shop(past.wal, broken={past.name(2), past.name(5)})
    mended = threading.Timer(1.5, shop.broken.clear)
    mended.start()
    with copy.fetcher(shop):
        copy.start()
        assert copy.end_state() == READ_WRITE, copy.log.read_text()[-2500:]
        assert copy.rows() == ALL
    mended.join()


def test_a_standby_fetches_with_a_command_whose_status_is_not_postgresqls(past: Past, copy: Copy) -> None:
    program = copy.cache.parent / "program"
    tried = copy.cache.parent / "tried"
    # It fails with 1 the first time that it is asked for the fourth row, as a program does that can't reach its store.
    program.write_text(
        f'#!/bin/sh\n[ -e "{past.wal}/$1" ] || exit 3\n'
        f'if [ "$1" = {past.name(4)} ] && ! [ -e {tried} ]; then : >{tried}; exit 1; fi\n'
        f'cp "{past.wal}/$1" "$2"\n'
    )
    program.chmod(0o755)
    settings = CacheSettings(wait_seconds=10, segment_size=SIZE, fetch=(str(program),))
    write_cache_settings(str(copy.cache), settings)
    # The spool is the server's own user's, so his program can read it.
    copy.start()
    assert copy.end_state() == READ_WRITE
    assert copy.rows() == ALL
    assert "ended with status 1" in copy.log.read_text()
