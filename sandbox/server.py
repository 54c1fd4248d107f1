# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all servers of the sandbox have in common: a folder, a port, a log, start, stop."""

from __future__ import annotations

import abc
import os
import shutil
import signal
import tempfile
import time
import typing as t
from pathlib import Path

from .errors import PortTaken, StartFailed
from .ports import free_port, is_free
from .process import PidFile, end, identify, spawn

if t.TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from .process import ProcessIdentity

HOST = "127.0.0.1"
_ATTEMPTS = 5
# What servers say when somebody else was faster; SeaweedFS has words of its own for those that it draws for itself.
_PORT_TAKEN = ("address already in use", "port allocation failed", "unable to listen on any")
_LOG_LINES = 25


class Server(abc.ABC):
    """One real server process on 127.0.0.1.

    ``directory`` keeps its data, log and pid file; without one it makes a temporary folder and ``discard`` (or leaving
    the ``with`` block) removes it. ``port`` pins the port; otherwise the one that it had before is taken again, else a
    free one is drawn, and another when somebody takes it first. ``outlive`` lets the process run on after this one ends
    (the demo); without it it dies with us. A later object on the same folder adopts the process that still runs there.
    """

    kind: t.ClassVar[str]
    graceful_signal: t.ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: t.ClassVar[signal.Signals] = signal.SIGKILL
    stop_seconds: t.ClassVar[float] = 15

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        outlive: bool = False,
        startup_timeout: float = 60,
    ) -> None:
        self._temporary = directory is None
        self._directory = directory.resolve() if directory is not None else None
        self._pinned = port
        self._port = port or 0
        self._outlive = outlive
        self._startup_timeout = startup_timeout
        self._child: subprocess.Popen[bytes] | None = None
        self._identity: ProcessIdentity | None = None
        self._log_offset = 0

    # --- for users ---------------------------------------------------------------------------------------------------

    @property
    def directory(self) -> Path:
        """Where everything lies; a temporary folder is made when it is first asked for."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix=f"lifeboat-{self.kind}-")).resolve()
        return self._directory

    @property
    def port(self) -> int:
        """The port of this server on 127.0.0.1; it is drawn by ``start``."""
        self._running()
        if not self._port:
            raise StartFailed(f"{self.kind} has no port yet: call start() first")
        return self._port

    @property
    @abc.abstractmethod
    def uri(self) -> str:
        """How a client with all rights connects (with the password, where there is one)."""

    @property
    def log_file(self) -> Path:
        return self.directory / f"{self.kind}.log"

    @property
    def pid_file(self) -> Path:
        return self.directory / f"{self.kind}.pid.json"

    @property
    def pid(self) -> int:
        """Process id of the running server; StartFailed when it isn't running."""
        identity = self._running()
        if identity is None:
            raise StartFailed(f"{self.kind} in {self.directory} is not running")
        return identity.pid

    @property
    def is_running(self) -> bool:
        return self._running() is not None

    def start(self) -> t.Self:
        """Start unless it runs already, and wait until it serves; StartFailed after ``startup_timeout`` seconds."""
        if self._running() is not None:
            return self
        # What a predecessor that has crashed left elsewhere.
        self._forget()
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, _ATTEMPTS + 1):
            self._draw_ports(again=attempt == 1)
            self._prepare()
            try:
                self._start_once()
            except StartFailed as error:
                if not any(words in str(error).lower() for words in _PORT_TAKEN):
                    raise
                pinned_is_taken = self._pinned is not None and not is_free(self._pinned)
                if pinned_is_taken or attempt == _ATTEMPTS:
                    raise PortTaken(str(error)) from error
            except BaseException:
                self.kill()
                raise
            else:
                return self
        raise PortTaken(f"{self.kind}: no free port in {_ATTEMPTS} attempts")

    def stop(self) -> None:
        """Stop in good order, by force if need be, until no process is left. The data stays; ``start`` works again."""
        identity = self._running()
        if identity is not None:
            end(identity, self._child, graceful=self.graceful_signal, seconds=self.stop_seconds)
        self._forget()

    def kill(self) -> None:
        """SIGKILL to the whole group, as a power cut would do it. The data stays."""
        identity = self._running()
        if identity is not None:
            end(identity, self._child, graceful=signal.SIGKILL, seconds=10)
        self._forget()

    def discard(self) -> None:
        """End the process, by force at once (no data to save), and remove the folder with all data."""
        self.kill()
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def __enter__(self) -> t.Self:
        try:
            return self.start()
        except BaseException:
            if self._temporary:
                self.discard()
            raise

    def __exit__(self, *exception: object) -> None:
        if self._temporary:
            self.discard()
        else:
            self.stop()

    # --- for the servers ---------------------------------------------------------------------------------------------

    def _draw_ports(self, *, again: bool) -> None:
        if self._pinned is not None:
            self._port = self._pinned
        elif not (again and self._port and is_free(self._port)):
            self._port = free_port()

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Write the configuration and, the first time, the data folder. Called before each attempt to start."""

    @abc.abstractmethod
    def _command(self) -> Sequence[str]:
        """The command that runs in the foreground."""

    @abc.abstractmethod
    def _is_ready(self) -> bool:
        """Whether the server serves. Must be sure that it is *this* process: another may hold the same port.

        StartFailed when it never will.
        """

    def _user(self) -> str | None:
        """The user to run as, None: ours."""
        return None

    def _outside(self) -> tuple[Path, ...]:
        """What the server leaves behind outside of its folder when it ends."""
        return ()

    def _environment(self) -> dict[str, str]:
        """A small environment: what the user has set for clients (PGHOST, AWS_…) must not reach the servers."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TZ")}
        folder = str(self.directory)
        return {**kept, "HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8"}

    def _new_log(self) -> str:
        """What the server has logged since its latest start."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(self._log_offset)
                return log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    # --- inside ------------------------------------------------------------------------------------------------------

    def _running(self) -> ProcessIdentity | None:
        if self._child is not None:
            self._child.poll()
        if self._identity is None:
            noted = PidFile.read(self.pid_file)
            if noted is not None:
                self._identity = noted.living
                self._port = self._port or noted.port
        if self._identity is not None and not self._identity.is_alive():
            self._identity = None
        return self._identity

    def _forget(self) -> None:
        self._child = None
        self._identity = None
        noted = PidFile.read(self.pid_file)
        if noted is not None:
            noted.remove_outside()
        self.pid_file.unlink(missing_ok=True)

    def _start_once(self) -> None:
        self._log_offset = self.log_file.stat().st_size if self.log_file.exists() else 0
        if self._pinned is not None and not is_free(self._pinned):
            raise StartFailed(f"{self.kind}: port {self._pinned} of {HOST}: address already in use by another process")
        child = spawn(
            self._command(),
            log=self.log_file,
            directory=self.directory,
            environment=self._environment(),
            user=self._user(),
            death_signal=None if self._outlive else self.death_signal,
        )
        self._child = child
        self._identity = identify(child.pid)
        noted = PidFile(
            pid=child.pid,
            start_ticks=self._identity.start_ticks,
            port=self._port,
            outside=tuple(map(str, self._outside())),
        )
        noted.write(self.pid_file)
        deadline = time.monotonic() + self._startup_timeout
        problem = ""
        while not problem:
            status = child.poll()
            if status is not None:
                problem = f"{self.kind} ended with exit status {status} while starting"
                break
            try:
                if self._is_ready():
                    return
            except StartFailed as error:
                problem = str(error)
                break
            if time.monotonic() >= deadline:
                problem = f"{self.kind} was not ready after {self._startup_timeout:g} s"
            time.sleep(0.03)
        tail = "\n".join(self._new_log().splitlines()[-_LOG_LINES:])
        self.kill()
        raise StartFailed(f"{problem}; the end of {self.log_file}:\n{tail}")
