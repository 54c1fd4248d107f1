# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping and starting the server that is restored into, and being certain of either."""

from __future__ import annotations

import contextlib
import os

from ..core.errors import LifeboatError, RedisUnreachable, ServiceControlFailed
from ..core.host import Host
from ..recovery.service_control import ServiceControl
from .comparing import LoadFigures
from .connection import RedisConnection
from .info import Info
from .own_server import wait_until_loaded
from .restore_options import RedisRestoreOptions
from .target import Target, is_stopped_here, read_target

_POLL = 0.05
_STOP_SECONDS = 120.0


class TargetControl:
    """The server at *connection*, by the operator's own way of stopping and starting it."""

    def __init__(self, *, options: RedisRestoreOptions, control: ServiceControl, host: Host) -> None:
        self._options = options
        self._control = control
        self._host = host

    @property
    def name(self) -> str:
        """What is stopped, for people."""
        return self._control.name

    def ensure_stopped(self, target: Target) -> None:
        """Stop it unless it is stopped, and wait until nothing listens and its process is gone.

        That is the process that serves now: it may have been restarted since *target* was read. Raises
        ServiceControlFailed: data under a running server must not be touched.
        """
        target = self._as_it_runs(target)
        if self._is_gone(target):
            return
        self._control.stop(runner=self._host.runner)
        deadline = self._host.clock.monotonic() + _STOP_SECONDS
        while not self._is_gone(target):
            if self._host.clock.monotonic() > deadline:
                raise ServiceControlFailed(
                    f"{target.address} still runs {_STOP_SECONDS:g} seconds after {self._control.name} was stopped.",
                    hint="Does service_control name the right one? Something may start it again at once.",
                    details={"server": target.address},
                )
            self._host.clock.sleep(_POLL)

    def ensure_started(self, target: Target) -> tuple[LoadFigures, Info]:
        """Start it unless it runs, and wait until it has loaded its data. Raises ServiceControlFailed, RedisLoading."""
        if is_stopped_here(self._connection, runner=self._host.runner):
            self._control.start(runner=self._host.runner)
        try:
            return wait_until_loaded(
                self._connection,
                runner=self._host.runner,
                clock=self._host.clock,
                timeout=self._options.timeout,
                patience=self._options.start_timeout,
                gone=_never,
            )
        except RedisUnreachable as error:
            raise ServiceControlFailed(
                f"{target.address} did not come back after {self._control.name} was started: {error.message}",
                hint="Its log says why.",
                details={"server": target.address},
            ) from error

    @property
    def _connection(self) -> RedisConnection:
        return self._options.connection

    def _as_it_runs(self, target: Target) -> Target:
        try:
            with contextlib.closing(self._connection.open(runner=self._host.runner)) as client:
                return read_target(client)[0]
        except LifeboatError:
            return target  # it does not answer: nothing more than that can be known

    def _is_gone(self, target: Target) -> bool:
        if target.process_id is not None and _works_in(target.process_id, target.directory):
            return False
        return is_stopped_here(self._connection, runner=self._host.runner)


def _never() -> LifeboatError | None:
    return None


def _works_in(process: int, directory: str) -> bool:
    """Whether the process is still there; its number may have gone to another one since."""
    try:
        return os.path.samefile(f"/proc/{process}/cwd", directory)
    except OSError:
        return False
