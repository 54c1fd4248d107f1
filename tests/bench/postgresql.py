# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PostgreSQL cluster with its sample data, archiving its WAL with pgBackRest where there is one."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import subprocess
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox.dataset import load_postgresql
from sandbox.dataset.postgresql import DATABASE
from sandbox.postgresql import PostgreSQLServer
from sandbox.postgresql_host import as_user, operating_system_user
from sandbox.server import HOST

from . import processes
from .measuring import RunFailed
from .place import Place

STANZA = "main"
_SETTLE_SECONDS = 60
_ATTEMPTS = 5
_CONFIGURATION = """[global]
repo1-path={repository}
log-path={folder}/log
lock-path={folder}/lock
spool-path={folder}/spool
log-level-console=warn
log-level-file=off
compress-type=zst
compress-level=1
process-max=2
start-fast=y
expire-auto=n
repo1-retention-full=9
archive-timeout=60

[{stanza}]
pg1-path={data}
pg1-port={port}
pg1-socket-path={socket}
pg1-user={user}
"""


@dataclass(frozen=True)
class PgBackRest:
    """The peer, with the codec, level and number of processes that ours has, and its own defaults otherwise."""

    program: str
    folder: Path

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def configuration(self) -> Path:
        return self.folder / "pgbackrest.conf"

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs as the server's user."""
        fixed = [self.program, f"--config={self.configuration}", f"--stanza={STANZA}"]
        return [*as_user(operating_system_user()), *fixed, *arguments]

    def make_folders(self) -> None:
        """Everything belongs to the server's user."""
        user = operating_system_user()
        for path in (self.folder, self.repository, *(self.folder / name for name in ("log", "lock", "spool"))):
            path.mkdir(parents=True, exist_ok=True)
            if user is not None:
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)

    def configure(self, server: PostgreSQLServer) -> None:
        """Write the configuration, when the server's port is known."""
        text = _CONFIGURATION.format(
            repository=self.repository,
            folder=self.folder,
            stanza=STANZA,
            data=server.data_directory,
            port=server.port,
            socket=server.socket_directory,
            user=server.superuser,
        )
        self.configuration.write_text(text, encoding="utf-8")
        self.configuration.chmod(0o644)

    def begin_anew(self) -> None:
        """An empty repository that takes WAL."""
        said = ""
        for _attempt in range(_ATTEMPTS):
            shutil.rmtree(self.repository, ignore_errors=True)
            self.make_folders()
            command = self.command("stanza-create")
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode == 0:
                return
            said = f"{done.returncode}: {done.stdout}{done.stderr}"
            # The server may have begun to archive a segment when the repository was removed.
            time.sleep(1)
        raise RunFailed(f"pgbackrest stanza-create ended with {said}")


@dataclass(frozen=True)
class Cluster:
    """The running server. *peer* is None where pgBackRest isn't installed."""

    server: PostgreSQLServer
    peer: PgBackRest | None

    @property
    def connection(self) -> dict[str, t.Any]:
        """As our own description says it."""
        server = self.server
        return {
            "host": HOST,
            "port": server.port,
            "user": server.superuser,
            "database": "postgres",
            "bin_directory": str(server.bin_directory),
        }

    @property
    def environment(self) -> dict[str, str]:
        """For libpq's programs."""
        return {"PGHOST": HOST, "PGPORT": str(self.server.port), "PGUSER": self.server.superuser}

    @property
    def database(self) -> str:
        return DATABASE

    def pids(self) -> list[int]:
        """The postmaster; everything else descends from it."""
        return [self.server.pid]

    def data_bytes(self) -> int:
        """What a base backup has to copy, without WAL."""
        folder = self.server.data_directory
        return processes.folder_bytes(folder, apparent=True) - processes.folder_bytes(folder / "pg_wal", apparent=True)

    def settle(self) -> None:
        """Nothing dirty, and no WAL waiting to be archived."""
        self.server.query("CHECKPOINT")
        deadline = time.monotonic() + _SETTLE_SECONDS
        while list((self.server.data_directory / "pg_wal" / "archive_status").glob("*.ready")):
            if time.monotonic() > deadline:
                raise RunFailed(f"WAL is not archived within {_SETTLE_SECONDS} s: see {self.server.log_file}")
            time.sleep(0.1)


@contextlib.contextmanager
def cluster(place: Place) -> t.Iterator[Cluster]:
    """Start it and load the data."""
    program = shutil.which("pgbackrest")
    peer = PgBackRest(program=program, folder=place.server_folder("pgbackrest")) if program else None
    settings = {"shared_buffers": "256MB", "max_wal_size": "4GB"}
    if peer is not None:
        peer.make_folders()
        archive = [peer.program, f"--config={peer.configuration}", f"--stanza={STANZA}", "archive-push", "%p"]
        settings["archive_command"] = " ".join(archive)
    server = PostgreSQLServer(
        directory=place.server_folder("postgresql"), durable=True, settings=settings, startup_timeout=120
    )
    try:
        server.start()
        if peer is not None:
            peer.configure(server)
            peer.begin_anew()
        place.say(f"postgresql: loading {place.megabytes:g} MB")
        loaded = load_postgresql(server.uri, megabytes=place.megabytes)
        place.say(f"postgresql: {'found' if loaded.skipped else 'loaded'} in {loaded.seconds:.0f} s")
        made = Cluster(server=server, peer=peer)
        made.settle()
        yield made
    finally:
        if place.keep:
            server.stop()
        else:
            server.discard()
