# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping the server of a restored cluster that is to last."""

from __future__ import annotations

import os
import typing as t

from ..core.clock import Clock
from ..core.errors import CommandFailed, CommandTimedOut, ServiceControlFailed
from ..core.host import Host
from ..recovery.service_control import ServiceControl
from .programs import ServerPrograms
from .recovery_pause import PauseQuestion
from .server_state import (
    DEAD,
    PAUSED,
    READ_WRITE,
    STANDBY,
    STARTING,
    postmaster_pid,
    postmaster_state,
    severe_lines,
    wait_until,
)

LOG = "restored.log"
_GRACE_SECONDS = 15.0


class LastingServer:
    """The server on one data folder: by *control* (systemd, an operator's commands), else by pg_ctl."""

    def __init__(
        self,
        *,
        data_directory: str,
        programs: ServerPrograms,
        host: Host,
        control: ServiceControl | None,
        timeout: float,
    ) -> None:
        self._folder = data_directory
        self._programs = programs
        self._host = host
        self._control = control
        self._timeout = timeout

    @property
    def is_running(self) -> bool:
        """Whether a postmaster has the folder in use."""
        return postmaster_pid(self._folder) is not None

    def start(self, *, pause: PauseQuestion | None = None) -> str:
        """Start it and wait until it takes writes; with *pause*, until it answers readers and has paused its recovery.

        The state: *standby* when it answers, and lets nobody in who could ask whether it has paused. Raises
        PostgresServerDied, PostgresStateNotReached and ServiceControlFailed.
        """
        log = os.path.join(self._folder, LOG)
        if self._control is not None:
            self._control.start(runner=self._host.runner)
        elif not self.is_running:
            # What pg_ctl returns proves nothing; the postmaster's own account does.
            argv = ("start", "-D", self._folder, "-w", "-t", str(int(self._timeout)), "-l", log, "-s")
            self._programs.run("pg_ctl", *argv, runner=self._host.runner, timeout=self._timeout + 60, check=False)
        look = self._patient_state() if self._control is not None else self._state
        state = wait_until(
            (READ_WRITE,) if pause is None else (PAUSED,),
            state=_answering(look) if pause is not None else look,
            is_paused=(lambda: False) if pause is None else pause.ask,
            said=lambda: severe_lines(log),
            what=f"The server on {self._folder}",
            log=log if self._control is None else "the server's own",
            timeout=self._timeout,
            clock=self._host.clock,
        )
        if pause is not None and pause.was_kept_out:
            return STANDBY
        return READ_WRITE if pause is not None and pause.was_promoted else state

    def stop(self) -> None:
        """Stop it; no error when it does not run. Raises ServiceControlFailed when it is still there afterwards."""
        if self._control is not None:
            self._control.stop(runner=self._host.runner)
        elif self.is_running:
            try:
                argv = ("stop", "-D", self._folder, "-m", "fast", "-w", "-t", str(int(self._timeout)), "-s")
                self._programs.run("pg_ctl", *argv, runner=self._host.runner, timeout=self._timeout + 60)
            except (CommandFailed, CommandTimedOut) as error:
                raise self._still_there(error.message) from error
        self.require_stopped()

    def require_stopped(self) -> None:
        """Raises ServiceControlFailed when a server runs: its data must not be renamed under it."""
        if self.is_running:
            raise self._still_there("it was told to stop and still runs")

    def _state(self) -> str:
        return postmaster_state(self._folder)

    def _patient_state(self) -> t.Callable[[], str]:
        """A service manager may return before the postmaster has begun: dead only counts after a while."""
        clock: Clock = self._host.clock
        seen = {"alive": clock.monotonic()}

        def state() -> str:
            found = self._state()
            if found != DEAD:
                seen["alive"] = clock.monotonic()
            elif clock.monotonic() - seen["alive"] < _GRACE_SECONDS:
                return STARTING
            return found

        return state

    def _still_there(self, why: str) -> ServiceControlFailed:
        pid = postmaster_pid(self._folder)
        return ServiceControlFailed(
            f"The server on {self._folder} (process {pid}) could not be stopped: {why}.",
            hint=f"Run: ps -fp {pid}   and see that service_control is the one of this server.",
            details={"pid": pid},
        )


def _answering(look: t.Callable[[], str]) -> t.Callable[[], str]:
    """The postmaster notes the same of a server that answers readers in recovery and of one that takes writes."""

    def state() -> str:
        found = look()
        return {READ_WRITE: STANDBY, STANDBY: STARTING}.get(found, found)

    return state
