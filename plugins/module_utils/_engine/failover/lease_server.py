# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that runs under a lease: stopped by its unit or its command, and killed when that takes too long."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from dataclasses import dataclass

from ..core.errors import LifeboatError
from ..core.host import Host
from ..postgresql.server_state import server_processes
from ..recovery.service_control import ServiceControl
from .guard import is_standby

_ASK_SECONDS = 2.0
_KILL_SECONDS = 10.0
_POLL = 0.1


@dataclass(frozen=True)
class LeasedServer:
    """A server of PostgreSQL by its *data_directory*, or one of Redis by its *configuration_file*.

    *unit* is that of systemd, empty where *control* has commands: then PostgreSQL is killed by its folder, and nothing
    else can be.
    """

    control: ServiceControl
    host: Host
    unit: str = ""
    data_directory: str = ""
    configuration_file: str = ""

    def is_standby(self) -> bool:
        """By what lies there."""
        return is_standby(data_directory=self.data_directory, configuration_file=self.configuration_file)

    def runs(self) -> bool | None:
        """As systemd has it, or by the processes in the folder."""
        if self.unit:
            argv = ("systemctl", "show", self.unit, "--property=ActiveState", "--value")
            try:
                state = self.host.runner.run(argv, timeout=_ASK_SECONDS).text.strip()
            except LifeboatError:
                return None
            return state not in ("inactive", "failed")
        return bool(server_processes(self.data_directory)) if self.data_directory else None

    def stop(self, *, within: float) -> bool:
        """In order, then by SIGKILL."""
        try:
            self.host.runner.run(self.control.stop_argv, timeout=within)
        except LifeboatError as error:
            self.host.journal.warning(f"{self.control.name} is killed: {error.message}")
            return self._kill()
        # A command may say that it is stopped before it is.
        return True if self.runs() in (False, None) else self._kill()

    def start(self) -> None:
        """By its unit or its command, and without waiting for it: the lease has to be renewed meanwhile."""
        threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        try:
            self.control.start(runner=self.host.runner)
        except LifeboatError as error:
            self.host.journal.warning(f"It could not be started again: {error.message}")

    def _kill(self) -> bool:
        deadline = self.host.clock.monotonic() + _KILL_SECONDS
        while True:
            self._kill_once()
            if self.runs() is False:
                return True
            if self.host.clock.monotonic() >= deadline:
                self.host.journal.warning(f"{self.control.name} STILL RUNS: stop it by hand.")
                return False
            self.host.clock.sleep(_POLL)

    def _kill_once(self) -> None:
        if self.unit:
            with contextlib.suppress(LifeboatError):
                self.host.runner.run(("systemctl", "kill", "--signal=SIGKILL", self.unit), timeout=_ASK_SECONDS)
        for process in server_processes(self.data_directory) if self.data_directory else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


class SystemdGate:
    """*path* is a file that is there while the server may start; systemd is told as a service of Type=notify tells it.

    A second file, ``path.promised``, says that the server has to be killed should this process die. Without a path, or
    without systemd, that part of it does nothing.
    """

    def __init__(self, *, path: str = "", notify_socket: str = "") -> None:
        self._path = path
        self._socket = notify_socket

    def open(self) -> None:
        """The file is there, and the service is ready."""
        self._put(self._path, there=True)
        self._tell("READY=1")

    def close(self) -> None:
        """The file is gone."""
        self._put(self._path, there=False)

    def promise(self, *, given: bool) -> None:
        """The second file is there, or gone."""
        self._put(f"{self._path}.promised", there=given)

    def alive(self) -> None:
        """For its watchdog."""
        self._tell("WATCHDOG=1")

    def _put(self, path: str, *, there: bool) -> None:
        if self._path and there:
            with open(path, "w", encoding="ascii"):
                return
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _tell(self, message: str) -> None:
        if not self._socket:
            return
        address = "\0" + self._socket[1:] if self._socket.startswith("@") else self._socket
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(message.encode("ascii"), address)
