# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that replays WAL on a folder nobody else uses, until it has shut down at its target or died."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import typing as t

from ..core.clock import Clock
from ..core.errors import RecoveryEndedEarly
from ..core.runner import child_environment
from ..core.signals import undisturbed
from .programs import ServerPrograms
from .server_settings import isolated_settings
from .server_state import READ_WRITE, postmaster_pid, postmaster_state

_POLL_SECONDS = 0.05
_STOP_SECONDS = 60.0
_MEMORY = 1024 * 1024 * 1024


@t.final
class ReplayServer:
    """One start of ``postgres`` on *data_directory*. Leaving the ``with`` block ends it when it still runs.

    *configuration* is a folder for its configuration files; *log* takes what it says.
    """

    def __init__(
        self,
        *,
        data_directory: str,
        configuration: str,
        log: str,
        settings: t.Mapping[str, str],
        programs: ServerPrograms,
        clock: Clock,
    ) -> None:
        self._folder = data_directory
        self._configuration = configuration
        self._log = log
        self._settings = settings
        self._programs = programs
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ReplayServer:
        """Start it. On the command line settings win over every file of the cluster. Raises OSError."""
        # An empty pg_hba.conf would end it.
        for name, text in (("postgresql.conf", ""), ("pg_hba.conf", "local all all reject\n"), ("pg_ident.conf", "")):
            path = os.path.join(self._configuration, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self._programs.own(path)
        values = {
            **isolated_settings(
                data_directory=self._folder,
                socket_directory=".",
                configuration=self._configuration,
                major=self._programs.major,
                memory_limit=_MEMORY,
            ),
            "config_file": os.path.join(self._configuration, "postgresql.conf"),
            **self._settings,
        }
        argv = [self._programs.path("postgres"), "-D", self._folder]
        for name, value in values.items():
            argv += ["-c", f"{name}={value}"]
        with undisturbed(), open(self._log, "ab") as output:
            self._process = subprocess.Popen(
                self._programs.as_account(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment({"TZ": "UTC"}),
                cwd="/",
                start_new_session=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End it, in the way that leaves its files as a crash would when it is in the middle."""
        process = self._process
        if process is None:
            return
        for number in (signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is not None:
                break
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)

    def wait(self, *, tell: t.Callable[[], None]) -> int:
        """Wait until it has ended, whatever that takes; its exit status. *tell* is called at every look.

        Raises RecoveryEndedEarly when it opened for writing instead: its target was passed over.
        """
        process = self._process
        if process is None:
            raise AssertionError("the server is waited for before it was started")
        while process.poll() is None:
            if postmaster_state(self._folder, pid=process.pid) == READ_WRITE:
                raise RecoveryEndedEarly(
                    "The server opened for writing before it came to the target, so writes would be missing.",
                    hint="Look at what it says above, then recover again; nothing was replaced.",
                )
            tell()
            self._clock.sleep(_POLL_SECONDS)
        return int(process.returncode)


def end_left_behind(data_directory: str, *, clock: Clock) -> None:
    """End the replaying server of a run that died; none is fine. Raises RecoveryEndedEarly when it does not go."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        pid = postmaster_pid(data_directory)
        if pid is None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = clock.monotonic() + _STOP_SECONDS
        while postmaster_pid(data_directory) == pid and clock.monotonic() < deadline:
            clock.sleep(_POLL_SECONDS)
    pid = postmaster_pid(data_directory)
    if pid is not None:
        raise RecoveryEndedEarly(
            f"The server (process {pid}) that an earlier run left on {data_directory} does not end.",
            hint=f"Run: kill -9 {pid}   then begin again.",
            details={"pid": pid},
        )
