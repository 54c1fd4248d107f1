# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL servers of our own: made, started and watched until the state in which they end up.

One started here is cut off: it listens on a Unix socket in a folder that only its account may enter, archives nothing,
sends no WAL, runs no libraries, workers or subscriptions of the cluster's own, and reads no configuration but ours.
"""

from __future__ import annotations

import os
import signal
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import PostgresError, ScratchUnusable
from ..core.runner import Runner
from ..recovery.scratch import Scratch
from .connection import PostgresConnection
from .programs import ServerPrograms
from .server_settings import PORT, isolated_settings, settings_text
from .server_state import DEAD, READ_WRITE, postmaster_state, severe_lines, wait_until

if t.TYPE_CHECKING:
    import subprocess

RECOVERY_SIGNAL = "recovery.signal"
STANDBY_SIGNAL = "standby.signal"
SIGNAL_FILES = (STANDBY_SIGNAL, RECOVERY_SIGNAL)
AUTO_CONF = "postgresql.auto.conf"
_POLL_SECONDS = 0.05
SOCKET_LIMIT = 107 - len("/.s.PGSQL.65535.lock")  # the kernel's sun_path, without its final zero


@dataclass(frozen=True)
class ServerFolder:
    """Where one server of our own lives: *folder* (mode 0700) is its account's and holds its data and its socket."""

    folder: str

    @property
    def data_directory(self) -> str:
        """The cluster."""
        return os.path.join(self.folder, "data")

    @property
    def socket_directory(self) -> str:
        """The only door."""
        return os.path.join(self.folder, "socket")

    @property
    def configuration(self) -> str:
        """postgresql.conf and its like, kept out of the cluster, whose own files stay as they are."""
        return os.path.join(self.folder, "configuration")


class OwnServer:
    """A server that was started here."""

    def __init__(
        self,
        *,
        place: ServerFolder,
        programs: ServerPrograms,
        process: subprocess.Popen[bytes],
        log: str,
        superuser: str,
    ) -> None:
        self.place = place
        self.programs = programs
        self.log = log
        self.superuser = superuser
        self._process = process

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which client programs find it."""
        return {"PGHOST": self.place.socket_directory, "PGPORT": str(PORT), "PGUSER": self.superuser}

    def connection(self, database: str = "postgres") -> PostgresConnection:
        """How to connect as superuser, without a password."""
        return PostgresConnection(
            host=self.place.socket_directory,
            port=PORT,
            user=self.superuser,
            database=database,
            bin_directory=self.programs.bin_directory,
        )

    def state(self) -> str:
        """The state just now, by the postmaster's own account of it."""
        if self._process.poll() is not None:
            return DEAD
        return postmaster_state(self.place.data_directory, pid=self._process.pid)

    def wait_until(self, *wanted: str, timeout: float, clock: Clock, runner: Runner) -> str:
        """Wait until it is in one of the states *wanted* (read-write when none is given), and return which.

        Raises PostgresServerDied with what it said last, PostgresStateNotReached after *timeout* seconds.
        """
        return wait_until(
            wanted or (READ_WRITE,),
            state=self.state,
            is_paused=lambda: _is_paused(self.connection(), runner=runner),
            said=lambda: severe_lines(self.log),
            what=f"The server in {self.place.folder}",
            log=self.log,
            timeout=timeout,
            clock=clock,
        )

    def stop(self, *, clock: Clock, timeout: float = 60.0) -> None:
        """End it in good order (a fast shutdown, checkpoint included), or at once when that takes too long."""
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
            deadline = clock.monotonic() + timeout
            while self._process.poll() is None and clock.monotonic() < deadline:
                clock.sleep(_POLL_SECONDS)
            if self._process.poll() is not None:
                return


def make_place(scratch: Scratch, *, name: str, programs: ServerPrograms, runner: Runner) -> ServerFolder:
    """A folder for a server in *scratch*, with everything but the data. Raises ScratchUnusable."""
    place = ServerFolder(folder=scratch.path(name))
    if len(os.fsencode(place.socket_directory)) > SOCKET_LIMIT:
        raise ScratchUnusable(
            f"The path {place.socket_directory} is too long for a Unix socket (at most {SOCKET_LIMIT} bytes).",
            hint="Name a shorter folder: scratch_directory of a verification, data_directory of a restore.",
        )
    for path in (place.folder, place.socket_directory, place.configuration):
        os.mkdir(path, 0o700)
        programs.own(path)
    # Said of the folder here, so that nobody takes it for a fault of the backup.
    entered = runner.run(programs.as_account(["test", "-x", place.folder]), timeout=20, check=False)
    if entered.status != 0:
        raise ScratchUnusable(
            f"The user {programs.account}, as whom PostgreSQL runs, can't enter {scratch.folder}.",
            hint=f"Run: namei -l {scratch.folder}   and let that user in, or name another folder.",
            details={"path": scratch.folder},
        )
    return place


def initialise(
    *,
    data_directory: str,
    programs: ServerPrograms,
    runner: Runner,
    superuser: str = "postgres",
    encoding: str = "UTF8",
    locale: str = "C.UTF-8",
    checksums: bool = True,
    arguments: t.Sequence[str] = (),
) -> None:
    """Make a new, empty cluster (initdb) in *data_directory*, whose parent must be the account's own.

    Local connections are trusted, because they come through a socket that nobody else can reach; a cluster that is to
    last needs another pg_hba.conf. *arguments* are further ones of initdb. Raises CommandFailed with what initdb said.
    """
    words = [f"--pgdata={data_directory}", f"--username={superuser}", "--auth=trust", "--no-sync"]
    words += [f"--encoding={encoding}", f"--locale={locale}", *arguments]
    if checksums:
        words.append("--data-checksums")
    elif programs.major >= 18:
        words.append("--no-data-checksums")
    programs.run("initdb", *words, runner=runner, timeout=600)


def start(
    scratch: Scratch,
    *,
    place: ServerFolder,
    programs: ServerPrograms,
    superuser: str = "postgres",
    settings: t.Mapping[str, str] | None = None,
) -> OwnServer:
    """Start the cluster in *place* as part of *scratch*, cut off from everything; does not wait (wait_until does).

    What the cluster was told to do elsewhere is taken from it for good, for it is a copy: signal files and
    postgresql.auto.conf are removed. *settings* are added to ours and win.
    """
    isolate(place.data_directory)
    defaults = isolated_settings(
        data_directory=place.data_directory,
        socket_directory=place.socket_directory,
        configuration=place.configuration,
        major=programs.major,
        memory_limit=scratch.memory_limit,
    )
    values = {**defaults, **(settings or {})}
    _write(os.path.join(place.configuration, "postgresql.conf"), settings_text(values), programs=programs)
    _write(os.path.join(place.configuration, "pg_hba.conf"), "local all all trust\n", programs=programs)
    _write(os.path.join(place.configuration, "pg_ident.conf"), "", programs=programs)
    log = os.path.basename(place.folder) + ".log"
    argv = [programs.path("postgres"), "-D", place.data_directory]
    argv += ["-c", f"config_file={os.path.join(place.configuration, 'postgresql.conf')}"]
    process = scratch.spawn(scratch.within_memory(argv), log=log, user=programs.account)
    return OwnServer(place=place, programs=programs, process=process, log=scratch.path(log), superuser=superuser)


def isolate(data_directory: str) -> None:
    """Take from a copied cluster what makes it a standby, recovers from an archive or are settings of its source."""
    for name in (*SIGNAL_FILES, AUTO_CONF):
        path = os.path.join(data_directory, name)
        if os.path.lexists(path):
            os.unlink(path)


def _is_paused(connection: PostgresConnection, *, runner: Runner) -> bool:
    try:
        with connection.connect(runner=runner) as session:
            function = (
                "pg_get_wal_replay_pause_state() = 'paused'"
                if session.version >= 140000
                else "pg_is_wal_replay_paused()"
            )
            return bool(session.value(f"SELECT pg_catalog.{function}"))
    except PostgresError:
        return False  # it is promoting or going down just now; the next look at its state tells


def _write(path: str, text: str, *, programs: ServerPrograms) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    programs.own(path)
