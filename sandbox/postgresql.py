# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real PostgreSQL cluster with data checksums and WAL archiving, or a hot standby of one."""

from __future__ import annotations

import contextlib
import pwd
import secrets
import shlex
import shutil
import signal
import subprocess
import typing as t
from pathlib import Path
from urllib.parse import quote

from .errors import SandboxError, StartFailed
from .files import create_directory, replace_file, short_directory
from .parts import POSTGRESQL, find_postgresql, postgresql_18_bin_directory, postgresql_bin_directories, require
from .postgresql_host import (
    as_user,
    clear_after_crash,
    copy_programs,
    is_reachable,
    major_version,
    operating_system_user,
)
from .process import end_processes_inside
from .server import HOST, Server

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUPERUSER = "postgres"


class PostgreSQLServer(Server):
    """``password=None`` means trust authentication; ``settings`` go into the configuration last.

    With ``archiving`` each finished WAL segment is copied to ``archive_directory``, under a temporary name first.
    ``durable`` False turns fsync off (tests). ``bin_directory`` selects the version.
    """

    kind = "postgresql"
    graceful_signal = signal.SIGINT  # fast shutdown: rolls back, doesn't wait for clients
    death_signal = signal.SIGQUIT  # immediate shutdown: the postmaster takes its children along

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        outlive: bool = False,
        startup_timeout: float = 60,
        bin_directory: Path | None = None,
        password: str | None = None,
        archiving: bool = True,
        archive_timeout: int = 0,
        checksums: bool = True,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        standby_of: PostgreSQLServer | None = None,
    ) -> None:
        super().__init__(directory=directory, port=port, outlive=outlive, startup_timeout=startup_timeout)
        self.bin_directory = bin_directory or require(find_postgresql(), POSTGRESQL)
        self.superuser = SUPERUSER
        self.password = password
        self.archiving = archiving
        self._archive_timeout = archive_timeout
        self._checksums = checksums
        self._durable = durable
        self._settings = dict(settings or {})
        self._primary = standby_of

    @classmethod
    def standby_of(cls, primary: PostgreSQLServer, **options: t.Any) -> PostgreSQLServer:
        """A streaming hot standby of a running primary (same version and password); its first start copies the data."""
        defaults = {"bin_directory": primary.bin_directory, "password": primary.password}
        return cls(standby_of=primary, **{**defaults, **options})

    # --- for users ---------------------------------------------------------------------------------------------------

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def archive_directory(self) -> Path:
        return self.directory / "archive"

    @property
    def password_file(self) -> Path:
        """A pgpass file (mode 0600, readable by the server's user and root) for the superuser."""
        return self.directory / "pgpass"

    @property
    def socket_directory(self) -> Path:
        return short_directory(self.directory / "socket")

    @property
    def uri(self) -> str:
        return self.database_uri("postgres")

    def database_uri(self, database: str) -> str:
        password = f":{quote(self.password, safe='')}" if self.password else ""
        return f"postgresql://{SUPERUSER}{password}@{HOST}:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> t.Any:
        """A psycopg2 connection of the superuser in autocommit mode over TCP; close it yourself."""
        import psycopg2

        connection = psycopg2.connect(self.database_uri(database), connect_timeout=5)
        connection.autocommit = True
        return connection

    def query(self, statement: str, parameters: t.Any = None, *, database: str = "postgres") -> list[tuple[t.Any, ...]]:
        """Run one statement as superuser; its rows, or [] when it has none."""
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    @property
    def version(self) -> int:
        """The major version of the programs, such as 15."""
        return major_version(self.bin_directory)

    def program(self, name: str) -> Path:
        """A program of the same version, such as ``pg_dump``."""
        return self.bin_directory / name

    def run(self, name: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a program of this version as the server's user, such as ``pg_controldata``; output captured."""
        command = [*as_user(self._user()), str(self.program(name)), *arguments]
        environment = {**self._environment(), "PGPASSFILE": str(self.password_file)}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, cwd=self.directory, env=environment
        )

    def stop(self) -> None:
        super().stop()
        self._end_orphans()

    def kill(self) -> None:
        super().kill()
        self._end_orphans()

    def discard(self) -> None:
        # In good order: a postmaster that is killed leaves its System V shared memory segment behind in the kernel.
        self.stop()
        clear_after_crash(self.data_directory)
        super().discard()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _user(self) -> str | None:
        return operating_system_user()

    def _outside(self) -> tuple[Path, ...]:
        return (self.socket_directory,)

    def _prepare(self) -> None:
        user = self._user()
        self._own(self.directory)
        for path, mode in ((self.archive_directory, 0o700), (self.socket_directory, 0o711)):
            create_directory(path, mode=mode, owner=user)
            self._own(path)
        if not is_reachable(self.directory, user):
            raise SandboxError(
                f"the user {user}, as whom PostgreSQL runs, can't enter {self.directory}; leave it to the server "
                "(directory=None), name one that all users can enter, or run as an ordinary user"
            )
        if not is_reachable(self.bin_directory, user):
            self.bin_directory = copy_programs(self.bin_directory, self.directory / "programs")
        self._write_password_file()
        if self.data_directory.exists():
            clear_after_crash(self.data_directory)
        else:
            self._make_data_directory()
        configuration_file = self.data_directory / "sandbox.conf"
        replace_file(configuration_file, "".join(_setting(*item) for item in self._configuration().items()))
        self._own(configuration_file)

    def _own(self, path: Path) -> None:
        user = self._user()
        if user is not None:
            shutil.chown(path, user=user, group=pwd.getpwnam(user).pw_gid)

    def _write_password_file(self) -> None:
        password = (self.password or "none").replace("\\", "\\\\").replace(":", "\\:")
        replace_file(self.password_file, f"{HOST}:*:*:{SUPERUSER}:{password}\nlocalhost:*:*:{SUPERUSER}:{password}\n")
        self._own(self.password_file)

    def _make_data_directory(self) -> None:
        # Under another name until it is whole: an interrupted initdb leaves a folder that looks like a cluster.
        made = self.directory / "data.new"
        shutil.rmtree(made, ignore_errors=True)
        if self._primary is None:
            self._initialise(made)
            with (made / "postgresql.conf").open("a", encoding="utf-8") as configuration:
                configuration.write("\ninclude 'sandbox.conf'\n")
        else:
            self._copy_primary(self._primary, made)
        made.rename(self.data_directory)

    def _initialise(self, made: Path) -> None:
        method = "scram-sha-256" if self.password else "trust"
        arguments = [f"--pgdata={made}", f"--username={SUPERUSER}", f"--auth={method}", "--no-sync"]
        arguments += ["--encoding=UTF8", "--locale=C.UTF-8"]
        if self._checksums:
            arguments.append("--data-checksums")
        elif self.version >= 18:
            arguments.append("--no-data-checksums")
        password_file = self.directory / f".new-{secrets.token_hex(4)}"
        if self.password:
            replace_file(password_file, self.password + "\n")
            self._own(password_file)
            arguments.append(f"--pwfile={password_file}")
        try:
            self._must("initdb", *arguments)
        finally:
            password_file.unlink(missing_ok=True)

    def _copy_primary(self, primary: PostgreSQLServer, made: Path) -> None:
        connection = f"host={HOST} port={primary.port} user={SUPERUSER} passfile={self.password_file}"
        arguments = [f"--pgdata={made}", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._must("pg_basebackup", *arguments, "--wal-method=stream", "--dbname", connection)

    def _must(self, name: str, *arguments: str) -> None:
        done = self.run(name, *arguments)
        if done.returncode:
            raise StartFailed(
                f"{name} ended with exit status {done.returncode}:\n{(done.stderr or done.stdout).strip()}"
            )

    def _configuration(self) -> dict[str, str]:
        target = shlex.quote(str(self.archive_directory))
        # A segment must never be seen half written, nor one that is there be replaced by other content.
        archive = f"test ! -f {target}/%f && cp %p {target}/.%f.new && mv {target}/.%f.new {target}/%f"
        values = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
            "unix_socket_permissions": "0777",
            "max_connections": "50",
            "shared_buffers": "64MB",
            # In the data folder, so that a killed server leaves nothing in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
            "wal_level": "replica",
            "max_wal_senders": "10",
            "max_replication_slots": "10",
            "hot_standby": "on",
            "archive_mode": "on" if self.archiving else "off",
            "archive_command": archive if self.archiving else "",
            "archive_timeout": str(self._archive_timeout),
            "fsync": "on" if self._durable else "off",
            "logging_collector": "off",
            "log_destination": "stderr",
            "lc_messages": "C",
            "cluster_name": f"sandbox {'standby' if self._primary else 'primary'}",
        }
        return {**values, **self._settings}

    def _command(self) -> Sequence[str]:
        return [str(self.program("postgres")), "-D", str(self.data_directory)]

    def _is_ready(self) -> bool:
        # The postmaster's own file, so that another server on the same port can't answer in its place: line 1 is the
        # process, line 8 the state (src/include/utils/pidfile.h).
        try:
            lines = (self.data_directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        if len(lines) < 8 or lines[7].strip() != "ready" or int(lines[0]) != self.pid:
            return False
        import psycopg2

        try:
            return self.query("SELECT 1") == [(1,)]
        except psycopg2.OperationalError:
            return False

    def _end_orphans(self) -> None:
        # Each backend leads a session of its own, so the group's SIGKILL doesn't reach it.
        end_processes_inside(self.data_directory)


def _setting(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'\n"


__all__ = [
    "PostgreSQLServer",
    "as_user",
    "major_version",
    "operating_system_user",
    "postgresql_18_bin_directory",
    "postgresql_bin_directories",
]
