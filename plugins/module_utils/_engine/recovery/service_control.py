# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping and starting the server that a restore replaces: a systemd unit, or commands of the operator's own."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from ..core.errors import CommandFailed, CommandTimedOut, RequestInvalid, ServiceControlFailed, ToolMissing
from ..core.options import optional_text, refuse_unknown
from ..core.runner import Runner

_TIMEOUT = 600.0
_MASK_TIMEOUT = 30.0


@dataclass(frozen=True)
class ServiceControl:
    """How one server is stopped and started. Commands are split as a shell would, without running one."""

    stop_argv: tuple[str, ...]
    start_argv: tuple[str, ...]
    name: str  # for people: "the unit redis-server", "pg_ctlcluster 15 main"

    def stop(self, *, runner: Runner) -> None:
        """Stop it and wait for its end; stopping what does not run must be no error. Raises ServiceControlFailed."""
        self._run(self.stop_argv, "stopped", runner=runner)

    def start(self, *, runner: Runner) -> None:
        """Start it. That the command succeeds proves nothing: look at the server. Raises ServiceControlFailed."""
        self._run(self.start_argv, "started", runner=runner)

    def _run(self, argv: t.Sequence[str], verb: str, *, runner: Runner) -> None:
        try:
            runner.run(argv, timeout=_TIMEOUT)
        except (CommandFailed, CommandTimedOut, ToolMissing) as error:
            raise ServiceControlFailed(
                f"{self.name} could not be {verb}: {error.message}",
                hint=f"Run by hand: {shlex.join(argv)}",
                details=error.details,
            ) from error


def mask_unit(unit: str, *, runner: Runner) -> str | None:
    """Keep systemd from starting the unit, also at boot; why it could not be, as a sentence, or None."""
    try:
        runner.run(["systemctl", "mask", unit], timeout=_MASK_TIMEOUT)
    except (CommandFailed, CommandTimedOut, ToolMissing) as error:
        return error.message
    return None


def service_control_from(description: t.Mapping[str, t.Any] | None) -> ServiceControl | None:
    """From ``{unit: redis-server}`` or ``{stop_command: ..., start_command: ...}``; None when nothing was given.

    Raises RequestInvalid.
    """
    if not description:
        return None
    refuse_unknown(description, known=("unit", "stop_command", "start_command"), of="service_control")
    unit = optional_text(description, "unit", of="service_control")
    stop = optional_text(description, "stop_command", of="service_control")
    start = optional_text(description, "start_command", of="service_control")
    if unit is not None:
        if stop or start:
            raise RequestInvalid("service_control: give a unit or commands, not both.")
        return ServiceControl(
            stop_argv=("systemctl", "stop", unit), start_argv=("systemctl", "start", unit), name=f"the unit {unit}"
        )
    if stop is None or start is None:
        raise RequestInvalid("service_control needs both stop_command and start_command, or a unit.")
    return ServiceControl(
        stop_argv=_split(stop, "stop_command"),
        start_argv=_split(start, "start_command"),
        name=f"the server of {start!r}",
    )


def _split(command: str, option: str) -> tuple[str, ...]:
    try:
        argv = tuple(shlex.split(command))
    except ValueError as error:
        raise RequestInvalid(f"service_control.{option} can't be read: {error}.") from None
    if not argv:
        raise RequestInvalid(f"service_control.{option} is empty.")
    return argv
