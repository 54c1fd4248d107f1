# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder share: connections, producers, restores by the words of RESTORE.md."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import Production
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base import PgBaseBackupProducer
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.logical import PgLogicalDumpProducer
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import (
    IncrementalParent,
    base_backup_options_from_description,
    logical_options_from_description,
)
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from tests.integration.postgresql.folder_sink import FolderSink

SECRET = "correct-horse-battery-staple"
BACKUP_ID = "20261121T020000Z-4f2c91"
RUNNER = SubprocessRunner()


def connection_to(server: PostgreSQLServer, **changes: t.Any) -> PostgresConnection:
    """A connection of the superuser; *changes* replace or (None) remove keys of the description."""
    password_file = server.directory / "lifeboat.password"
    if not password_file.exists():
        password_file.touch(mode=0o600)
        password_file.write_text(SECRET + "\n", encoding="utf-8")
    description = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "postgres",
        "database": "postgres",
        "password_file": str(password_file),
        "bin_directory": str(server.bin_directory),
        **changes,
    }
    return PostgresConnection.from_description({key: value for key, value in description.items() if value is not None})


def logical_producer(
    server: PostgreSQLServer, *, connection: PostgresConnection | None = None, **options: t.Any
) -> tuple[PgLogicalDumpProducer, MemoryJournal]:
    journal = MemoryJournal()
    producer = PgLogicalDumpProducer(
        connection=connection or connection_to(server),
        options=logical_options_from_description(options),
        runner=RUNNER,
        clock=SystemClock(),
        journal=journal,
    )
    return producer, journal


def base_producer(
    server: PostgreSQLServer,
    *,
    state_directory: Path,
    connection: PostgresConnection | None = None,
    backup_id: str = BACKUP_ID,
    kind: str = "base",
    parent: IncrementalParent | None = None,
    **options: t.Any,
) -> tuple[PgBaseBackupProducer, MemoryJournal]:
    journal = MemoryJournal()
    producer = PgBaseBackupProducer(
        connection=connection or connection_to(server),
        options=base_backup_options_from_description(options),
        backup_id=backup_id,
        state_directory=str(state_directory),
        runner=RUNNER,
        clock=SystemClock(),
        journal=journal,
        kind=kind,
        parent=parent,
    )
    return producer, journal


@contextlib.contextmanager
def database(server: PostgreSQLServer, name: str, *, script: str = "") -> t.Iterator[str]:
    """A database that is gone afterwards; *script* fills it."""
    quoted = '"' + name.replace('"', '""') + '"'
    server.query(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
    server.query(f"CREATE DATABASE {quoted}")
    try:
        if script:
            psql(server, script, database=name)
        yield name
    finally:
        server.query(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")


def psql(server: PostgreSQLServer, script: str, *, database: str = "postgres") -> str:
    """Run a script as superuser; its output. Fails the test at the first error."""
    done = subprocess.run(
        [server.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"],
        input=script,
        env=client_environment(server, database=database),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def client_environment(server: PostgreSQLServer, *, database: str = "postgres") -> dict[str, str]:
    """The usual variables, as RESTORE.md tells people to set them, and the server's programs first on PATH."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "PATH": f"{server.bin_directory}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": SECRET,
        "PGDATABASE": database,
    }


def plain_dump(server: PostgreSQLServer, database: str) -> str:
    """A database as SQL text, without the random words that pg_dump puts in since August 2025."""
    done = subprocess.run(
        [server.program("pg_dump"), "--no-password"],
        env=client_environment(server, database=database),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return re.sub(r"^\\(?:un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def commands_of(production: Production, sink: FolderSink) -> list[str]:
    """The commands in RESTORE.md, one by one, with the fetching filled in."""
    lines = [line[4:] for line in production.restore_commands.splitlines() if line.startswith("    ")]
    return [re.sub(r"\{fetch:([^}]*)\}", lambda found: sink.fetch(found[1]), line) for line in lines]


def shell(command: str, *, directory: Path, environment: t.Mapping[str, str], user: str | None = None) -> str:
    """Run one command as a person would, with a shell that fails when any part of a pipe does."""
    done = subprocess.run(
        [*as_user(user), "bash", "-o", "pipefail", "-c", command],
        cwd=directory,
        env={**environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _runs(program: Path) -> bool:
    return subprocess.run([program, "--version"], capture_output=True, timeout=30, check=False).returncode >= 0


def verify_by_manifest(folder: Path) -> str:
    """What pg_verifybackup does: each file is there with its size and CRC-32C, and there are no others."""
    import anycrc

    content = (folder / "backup_manifest").read_bytes()
    manifest = json.loads(content)
    before = content[: content.rindex(b'"Manifest-Checksum"')]
    assert hashlib.sha256(before).hexdigest() == manifest["Manifest-Checksum"]
    expected = {entry["Path"]: entry for entry in manifest["Files"]}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    # The WAL of the backup is not in the list, and pg_verifybackup ignores these too.
    ignored = {"backup_manifest", "postgresql.auto.conf", "recovery.signal", "standby.signal"}
    extra = {name for name in found - set(expected) - ignored if not name.startswith("pg_wal/")}
    assert extra == set()
    for name, entry in expected.items():
        data = (folder / name).read_bytes()
        assert len(data) == entry["Size"], name
        # PostgreSQL prints the bytes as they lie in memory. pg_combinebackup gives WAL none: it has its own.
        if "Checksum" in entry or not name.startswith("pg_wal/"):
            assert anycrc.Model("CRC32C").calc(data).to_bytes(4, "little").hex() == entry["Checksum"], name
    return "backup successfully verified"


class RestoredCluster:
    """A cluster brought up from backups by running the commands of RESTORE.md word by word; stop() ends it."""

    def __init__(self, server: PostgreSQLServer, *, folder: Path) -> None:
        self.source = server
        self.folder = folder
        self.port = free_port()
        self._user = operating_system_user()
        folder.mkdir(parents=True, exist_ok=True)
        self.own(folder)
        self.environment = {**client_environment(server), "PGPORT": str(self.port)}

    def own(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user, pwd.getpwnam(self._user).pw_gid)

    def run(self, production: Production, sink: FolderSink, *, place: str = ".") -> list[str]:
        """Run all commands of one RESTORE.md in the folder *place* from here; what each printed."""
        for path in sink.folder.iterdir():
            path.chmod(0o644)
        directory = (self.folder / place).resolve()
        directory.mkdir(exist_ok=True)
        self.own(directory)
        commands = [command.replace("5433", str(self.port)) for command in commands_of(production, sink)]
        return [self._run(command, directory=directory) for command in commands]

    def _run(self, command: str, *, directory: Path) -> str:
        if command.startswith("pg_verifybackup") and not _runs(self.source.program("pg_verifybackup")):
            # The one in the PyPI package of PostgreSQL 18 crashes in the loader, whatever it is asked.
            return verify_by_manifest(directory / command.split()[1])
        return shell(command, directory=directory, environment=self.environment, user=self._user)

    def query(self, statement: str, *, database: str = "postgres") -> str:
        done = subprocess.run(
            [self.source.program("psql"), "-XAtq", "-c", statement],
            env={**self.environment, "PGDATABASE": database},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stop(self) -> None:
        subprocess.run(
            [
                *as_user(self._user),
                self.source.program("pg_ctl"),
                "-D",
                self.folder / "restored",
                "-m",
                "immediate",
                "stop",
            ],
            env=self.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def restored_cluster(server: PostgreSQLServer, *, folder: Path) -> t.Iterator[RestoredCluster]:
    cluster = RestoredCluster(server, folder=folder)
    try:
        yield cluster
    finally:
        cluster.stop()
