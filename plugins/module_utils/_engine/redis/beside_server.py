# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of a backup that is restored beside: where it may live, starting it and ending it again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import socket
from dataclasses import replace

from ..core.errors import (
    LifeboatError,
    RedisUnreachable,
    RestoreIncomplete,
    RestoreTargetInvalid,
    ServiceControlFailed,
)
from ..core.host import Host
from ..core.runner import find_program
from .comparing import LoadFigures
from .connection import RedisConnection
from .own_server import (
    LONGEST_SOCKET_PATH,
    SOCKET,
    at_socket,
    own_settings,
    wait_until_loaded,
    write_configuration,
)
from .restore_options import RedisRestoreOptions
from .server_program import ServerProgram
from .staging import Persistence
from .target import is_stopped_here

CONFIGURATION, LOG, PID = "redis.conf", "redis.log", "redis.pid"
_POLL = 0.05
_STOP_SECONDS = 60.0
_COMMENT = """\
Made by Lifeboat for a backup that was restored beside. It saves nothing by itself: what is written here is gone when
the server ends, unless you set save or appendonly (with CONFIG SET, for a snapshot that is already loaded)."""


def refuse_folder(folder: str) -> None:
    """Raise RestoreTargetInvalid unless *folder* is empty, or can be made."""
    parent = os.path.dirname(folder)
    if not os.path.isdir(parent):
        raise RestoreTargetInvalid(f"The folder {parent} is not there.", hint=f"Run: install -d {shlex.quote(parent)}")
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder) or os.path.islink(folder):
        raise RestoreTargetInvalid(f"{folder} is no folder.", hint="Name an empty folder, or a new one.")
    if os.listdir(folder):
        raise RestoreTargetInvalid(
            f"The folder {folder} is not empty, and nothing in it is replaced.",
            hint="Name another data_directory; to replace what a server holds, in_place: true.",
        )


def refuse_port(port: int | None, *, folder: str) -> None:
    """Raise RestoreTargetInvalid when the server could not listen."""
    if port is None:
        if not _has_socket(folder):
            raise RestoreTargetInvalid(
                f"The path of the socket {os.path.join(folder, SOCKET)} is too long.",
                hint=f"Name a data_directory of at most {LONGEST_SOCKET_PATH - len(SOCKET) - 1} bytes, or a port.",
            )
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RestoreTargetInvalid(
                f"Port {port} of 127.0.0.1 can't be used: {error.strerror}.",
                hint="Give another port, or none: then a Unix socket in the folder will do.",
                details={"port": port},
            ) from error


def account_of(user: str | None, *, folder: str) -> pwd.struct_passwd | None:
    """Who will own the files and run the server: *user*, else the owner of the folder or of what will hold it.

    None for ourselves. Raises RestoreTargetInvalid for somebody whom this host doesn't know.
    """
    if os.geteuid() != 0:
        return None
    try:
        if user is not None:
            return pwd.getpwnam(user)
        owner = os.stat(folder if os.path.isdir(folder) else os.path.dirname(folder)).st_uid
        return pwd.getpwuid(owner) if owner else None
    except KeyError as error:
        raise RestoreTargetInvalid(
            "The user that is to run the server is not known to this host.", hint="Name another user."
        ) from error


class BesideServer:
    """The server in the folder of the options."""

    def __init__(self, *, options: RedisRestoreOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._folder = options.data_directory

    def write_configuration(self, persistence: Persistence, *, databases: int) -> None:
        """Write redis.conf. It holds the password of the connection, where there is one; only its owner reads it."""
        settings = own_settings(self._folder, persistence, databases=databases)
        settings.update({"bind": "127.0.0.1", "protected-mode": "yes", "daemonize": "yes"})
        settings.update({"logfile": self._path(LOG), "pidfile": self._path(PID)})
        if self._options.port is not None:
            settings["port"] = str(self._options.port)
        if not _has_socket(self._folder):
            del settings["unixsocket"], settings["unixsocketperm"]
        password = self._options.connection.password.fetch(runner=self._host.runner)
        if password:
            settings["requirepass"] = password
        write_configuration(self._path(CONFIGURATION), settings, comment=_COMMENT, modules=self._options.modules)

    def argv(self, program: ServerProgram, account: pwd.struct_passwd | None) -> list[str]:
        """The command that starts it."""
        command = [program.path, self._path(CONFIGURATION)]
        if account is None:
            return command
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"]
        return [find_program("setpriv"), *ids, "--init-groups", *command]

    @property
    def client_command(self) -> str:
        """How people look at it; without its password, which no command line may hold."""
        if _has_socket(self._folder):
            return f"redis-cli -s {shlex.quote(self._path(SOCKET))}"
        return f"redis-cli -h 127.0.0.1 -p {self._options.port}"

    def start(self, program: ServerProgram, account: pwd.struct_passwd | None) -> None:
        """Start it unless it runs. Raises CommandFailed."""
        if is_stopped_here(self._connection, runner=self._host.runner):
            self._host.runner.run(self.argv(program, account), timeout=60)

    def wait(self) -> LoadFigures:
        """Wait until it has loaded everything. Raises RestoreIncomplete with its last words."""
        figures, _info = wait_until_loaded(
            self._connection,
            runner=self._host.runner,
            clock=self._host.clock,
            timeout=self._options.timeout,
            patience=self._options.start_timeout,
            gone=self._gone,
        )
        return figures

    def stop(self) -> None:
        """End it, and wait for its end; it need not run. Raises ServiceControlFailed."""
        process = self._process()
        with contextlib.suppress(RedisUnreachable):  # it may hang up instead of an answer, as it should
            if not is_stopped_here(self._connection, runner=self._host.runner):
                with contextlib.closing(self._connection.open(runner=self._host.runner)) as client:
                    client.command("SHUTDOWN", "NOSAVE")
        deadline = self._host.clock.monotonic() + _STOP_SECONDS
        while process is not None and self._process() == process:
            if self._host.clock.monotonic() > deadline:
                raise ServiceControlFailed(
                    f"The server in {self._folder} (process {process}) does not end.", hint=f"Run: kill {process}"
                )
            self._host.clock.sleep(_POLL)

    def _gone(self) -> LifeboatError | None:
        """The server's last words, when its process has ended."""
        if self._process() is not None:
            return None
        try:
            with open(self._path(LOG), encoding="utf-8", errors="replace") as file:
                said = [line.strip() for line in file if " # " in line]
        except OSError:
            return None
        fatal = [line for line in said if any(word in line for word in ("atal", "aborting", "ailed", "Can't"))]
        if not fatal:
            return None
        return RestoreIncomplete(
            f"The server in {self._folder} did not load the backup: {' | '.join(fatal[-3:])}",
            hint="Restore another backup: lifeboat list shows them.",
            details={"log": fatal[-10:]},
        )

    def _process(self) -> int | None:
        """The server's process, while it works in the folder."""
        try:
            with open(self._path(PID), encoding="ascii") as file:
                process = int(file.read())
            return process if os.path.samefile(f"/proc/{process}/cwd", self._folder) else None
        except (OSError, ValueError):
            return None

    @property
    def _connection(self) -> RedisConnection:
        if _has_socket(self._folder):
            return at_socket(replace(self._options.connection, username=None), self._path(SOCKET))
        return RedisConnection(port=self._options.port or 0, password=self._options.connection.password)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


def _has_socket(folder: str) -> bool:
    return len(os.fsencode(os.path.join(folder, SOCKET))) <= LONGEST_SOCKET_PATH
