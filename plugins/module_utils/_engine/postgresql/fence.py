# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing the old primary on its own host: stopped for good, and read-only should anybody start it again.

The order matters: the file ``standby.signal`` comes first, so that whatever restarts the server meanwhile (systemd, a
cluster manager, a reboot) gets a standby that takes no writes. What proves it is looked at afterwards: no process has
the folder, the control file says how it ended, and its address refuses connections.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import typing as t
from dataclasses import dataclass, field

from ..core.errors import CommandTimedOut, FenceNotProven, FenceRefused, LifeboatError
from ..core.host import Host
from ..recovery.service_control import mask_unit, service_control_from
from .base_folder import control_settings
from .fence_wal import CommitsAhead, commits_ahead
from .programs import ServerPrograms, find_server_programs
from .server_state import postmaster_pid, read_pid_file, server_processes
from .wal_names import USUAL_SEGMENT_SIZE
from .written_file import replace_file

SIGNAL = "standby.signal"
#: PostgreSQL looks at whether the file exists, never at what it says. Standbys have an empty one.
MARK = "# Fenced by Lifeboat: another server was made the primary. Remove this file only to undo that.\n"
_STANDBY_STATES = ("in archive recovery", "shut down in recovery")
_EVERYWHERE = ("", "*", "0.0.0.0", "::", "localhost")  # noqa: S104 read, never listened on
_POLL = 0.1
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class FenceRequest:
    """Which server: its *data_directory* on this host, whose control file must have *system_identifier*.

    *service_control* says how it is stopped, as in the description. *port* is asked for an answer where the server does
    not say its own. *received* is the position from which commits are counted that standbys may not have. *timeout* is
    in seconds, for each way to stop it.
    """

    data_directory: str
    system_identifier: str
    timeline: int
    received: str | None = None
    service_control: t.Mapping[str, t.Any] = field(default_factory=dict)
    port: int = 5432
    bin_directory: str = ""
    timeout: float = 60.0


@dataclass(frozen=True)
class Fenced:
    """The evidence. *stopped_by* is empty when it did not run, *cluster_state* what the control file says afterwards.

    *ended_at* is where its shutdown checkpoint lies when it ended in order: whoever has received WAL up to there has
    every commit, and it may have recycled the WAL before. *refused* are the addresses that refuse connections.
    *masked*: systemd does not start the unit any more.
    """

    changed: bool
    data_directory: str
    was_running: bool
    stopped_by: str
    stopped_in_order: bool
    cluster_state: str
    ended_at: str | None
    signal_file: bool
    masked: bool
    refused: tuple[str, ...]
    at_rest: CommitsAhead | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            **dataclasses.asdict(self),
            "refused": list(self.refused),
            "warnings": list(self.warnings),
            "at_rest": None if self.at_rest is None else self.at_rest.as_dict(),
        }


def fence_server(request: FenceRequest, *, host: Host, check: bool = False) -> Fenced:
    """Stop it for good and prove it; doing it again finds it done. With *check* only the refusals are made.

    Raises FenceRefused for a folder that is not that primary's, FenceNotProven, and what finding its programs raises.
    """
    folder = os.path.realpath(request.data_directory)
    programs = find_server_programs(
        major=_major(folder), runner=host.runner, bin_directory=request.bin_directory
    )  # fmt: skip
    return _Fence(request, folder=folder, programs=programs, host=host).run(check=check)


class _Fence:
    def __init__(self, request: FenceRequest, *, folder: str, programs: ServerPrograms, host: Host) -> None:
        self._request = request
        self._folder = folder
        self._programs = programs
        self._host = host
        self._control = service_control_from(request.service_control)
        self._warnings: list[str] = []

    def run(self, *, check: bool) -> Fenced:
        self._refuse_another_server()
        running = self._runs()
        addresses = self._addresses()
        if check:
            return self._evidence(running=running, stopped_by="", marked=True, masked=False, refused=())
        marked = replace_file(os.path.join(self._folder, SIGNAL), MARK, mode=0o600)
        self._programs.own(os.path.join(self._folder, SIGNAL))
        masked = self._mask()
        stopped_by = self._stop()
        refused = self._prove(addresses)
        return self._evidence(running=running, stopped_by=stopped_by, marked=marked, masked=masked, refused=refused)

    def _refuse_another_server(self) -> None:
        said = self._control_data()
        found = said.get("Database system identifier", "")
        if found != self._request.system_identifier:
            raise FenceRefused(
                f"{self._folder} has the system identifier {found}, and {self._request.system_identifier} is to be "
                "fenced.",
                hint="Name the data folder of the old primary: fencing.data_directory of the source.",
                details={"found": found},
            )
        state = said.get("Database cluster state", "")
        if state in _STANDBY_STATES and not self._is_marked():
            raise FenceRefused(
                f"{self._folder} is a standby's ({state}), not the old primary's.",
                hint="Name the data folder of the old primary: fencing.data_directory of the source.",
                details={"state": state},
            )

    def _mask(self) -> bool:
        unit = self._request.service_control.get("unit")
        if not unit:
            return False
        why = mask_unit(str(unit), runner=self._host.runner)
        if why is not None:
            # A unit that lies in /etc itself can't be masked; what is left is the signal file, and disabling it.
            with contextlib.suppress(LifeboatError):
                self._host.runner.run(["systemctl", "disable", str(unit)], timeout=30)
            self._warnings.append(f"The unit {unit} could not be masked: {why}")
        return why is None

    def _stop(self) -> str:
        """How it ended: the first way that worked; empty when it did not run."""
        if not self._runs():
            return ""
        if self._control is not None:
            try:
                self._control.stop(runner=self._host.runner)
            except LifeboatError as error:
                self._warnings.append(error.message)
            if not self._runs():
                return self._control.name
        for mode in ("fast", "immediate"):
            argv = ("stop", "-D", self._folder, "-m", mode, "-w", "-t", str(int(self._request.timeout)), "-s")
            timeout = self._request.timeout + 30
            with contextlib.suppress(CommandTimedOut):
                self._programs.run("pg_ctl", *argv, runner=self._host.runner, timeout=timeout, check=False)
            if not self._runs():
                return f"pg_ctl stop -m {mode}"
        return self._kill()

    def _kill(self) -> str:
        """Backends outlive a postmaster that was killed until they look for it, and one may commit before that."""
        deadline = self._host.clock.monotonic() + _KILL_SECONDS
        while self._runs() and self._host.clock.monotonic() < deadline:
            for pid in server_processes(self._folder):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._host.clock.sleep(_POLL)
        return "SIGKILL"

    def _prove(self, addresses: t.Sequence[tuple[str, int]]) -> tuple[str, ...]:
        answering = [f"{name}:{port}" for name, port in addresses if _answers(name, port)]
        problems = [
            *([f"process {postmaster_pid(self._folder)} still has {self._folder}"] if self._runs() else []),
            *([] if self._is_marked() else [f"{SIGNAL} is not in {self._folder}"]),
            *(f"something answers at {one}" for one in answering),
        ]
        if problems:
            raise FenceNotProven(
                f"The old primary in {self._folder} is not fenced: {'; '.join(problems)}.",
                hint=f"Look at it on {self._host.name}: ps -C postgres -f   and stop what runs there.",
                details={"problems": problems},
            )
        return tuple(f"{name}:{port}" for name, port in addresses)

    def _evidence(
        self, *, running: bool, stopped_by: str, marked: bool, masked: bool, refused: tuple[str, ...]
    ) -> Fenced:
        said = self._control_data()
        state = said.get("Database cluster state", "unknown")
        ahead = None
        if self._request.received:
            ahead = commits_ahead(
                self._folder,
                received=self._request.received,
                timeline=self._request.timeline,
                segment_size=int(said.get("Bytes per WAL segment", USUAL_SEGMENT_SIZE)),
                programs=self._programs,
                runner=self._host.runner,
            )
        return Fenced(
            changed=marked or running,
            data_directory=self._folder,
            was_running=running,
            stopped_by=stopped_by,
            stopped_in_order=state.startswith("shut down"),
            cluster_state=state,
            # A standby's restart point ("shut down in recovery") says nothing of where the primary's WAL ended.
            ended_at=said.get("Latest checkpoint location") if state == "shut down" else None,
            signal_file=self._is_marked(),
            masked=masked,
            refused=refused,
            at_rest=ahead,
            warnings=tuple(self._warnings),
        )

    def _control_data(self) -> dict[str, str]:
        return control_settings(self._folder, programs=self._programs, runner=self._host.runner)

    def _is_marked(self) -> bool:
        try:
            with open(os.path.join(self._folder, SIGNAL), encoding="utf-8", errors="replace") as file:
                return file.read() == MARK
        except OSError:
            return False

    def _runs(self) -> bool:
        return bool(server_processes(self._folder))

    def _addresses(self) -> list[tuple[str, int]]:
        """Where it listens: what it noted itself while it runs, else the port that was given."""
        lines = read_pid_file(self._folder)
        port = int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else self._request.port
        noted = lines[5].strip() if len(lines) > 5 else ""
        return [(name, port) for name in dict.fromkeys(["127.0.0.1", *([noted] if noted not in _EVERYWHERE else [])])]


def _major(folder: str) -> int:
    try:
        with open(os.path.join(folder, "PG_VERSION"), encoding="ascii") as file:
            return int(file.read().strip())
    except (OSError, ValueError) as error:
        raise FenceRefused(
            f"{folder} is no data folder of PostgreSQL on this host: {error}.",
            hint="Name the data folder of the old primary: fencing.data_directory of the source.",
            details={"folder": folder},
        ) from error


def _answers(name: str, port: int) -> bool:
    try:
        with socket.create_connection((name, port), timeout=5):
            return True
    except OSError:
        return False
