# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running one command to its end and measuring it from outside, the same way whoever made it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .command import Command

_SAMPLE_SECONDS = 0.1
_LONGEST_SECONDS = 1800
# A server notices the end of a connection a moment later.
_SERVER_SECONDS = 0.2


class RunFailed(RuntimeError):
    """A command ended badly; carries the end of what it printed."""


@dataclass(frozen=True)
class Measurement:
    """One run. Seconds and bytes; *own_peak* is the memory of the process itself, *child_peak* that of the largest
    process that it started, *all_peak* of all together at one moment (shared pages counted in each).

    *scratch* is the most disk space at one time outside of what is stored; *written* all that went to disks, by the
    kernel's account; *others* processor seconds of the machine that neither the run nor its server used.
    """

    seconds: float
    client_cpu: float
    server_cpu: float
    others: float
    own_peak: int
    child_peak: int
    child_name: str
    all_peak: int
    scratch: int
    notes: int
    written: int
    stored: int
    output: str


def measure(command: Command, *, folder: Path, server_pids: t.Callable[[], t.Iterable[int]]) -> Measurement:
    """Run it in the empty *folder* and measure it. Raises RunFailed unless it ends with 0."""
    temporary, notes, output = folder / "tmp", folder / "state", folder / "output"
    temporary.mkdir(parents=True)
    watched = (temporary, notes)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "LIFEBOAT_WEED") if name in os.environ},
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        **command.environment,
    }
    server_before, machine_before = processes.processor_seconds(server_pids()), processes.machine_busy_seconds()
    with output.open("wb") as printed:
        started = time.monotonic()
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            cwd=temporary,
            env=environment,
            start_new_session=True,
        )
        watch = _Watch(root=process.pid, watched=watched, allowed=(command.target, output.parent))
        try:
            watch.start()
            _pid, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            watch.stop()
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    said = output.read_text(encoding="utf-8", errors="replace")
    if process.returncode != 0:
        raise RunFailed(f"{command.argv[0]} ended with {process.returncode} after {seconds:.0f} s:\n{said[-3000:]}")
    time.sleep(_SERVER_SECONDS)
    client_cpu = usage.ru_utime + usage.ru_stime
    server_cpu = processes.processor_seconds(server_pids()) - server_before
    machine = processes.machine_busy_seconds() - machine_before
    return Measurement(
        seconds=seconds,
        client_cpu=client_cpu,
        server_cpu=server_cpu,
        others=max(0.0, machine - client_cpu - server_cpu),
        own_peak=watch.own_peak,
        child_peak=watch.child_peak,
        child_name=watch.child_name,
        all_peak=watch.all_peak,
        scratch=watch.scratch,
        notes=watch.notes,
        written=usage.ru_oublock * 512,
        stored=processes.folder_bytes(command.target, apparent=True),
        output=said,
    )


class _Watch:
    """A thread that looks at the run ten times a second."""

    def __init__(self, *, root: int, watched: tuple[Path, Path], allowed: t.Sequence[Path]) -> None:
        self.own_peak = 0
        self.child_peak = 0
        self.child_name = ""
        self.all_peak = 0
        self.scratch = 0
        self.notes = 0
        self._root = root
        self._temporary, self._notes = watched
        self._allowed = allowed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching a run", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._look_at_disks([])

    def _run(self) -> None:
        deadline = time.monotonic() + _LONGEST_SECONDS
        round_number = 0
        while not self._ended.wait(_SAMPLE_SECONDS):
            pids = processes.tree(self._root)
            self._look_at_memory(pids)
            if round_number % 3 == 0:
                self._look_at_disks(pids)
            round_number += 1
            if time.monotonic() > deadline:
                os.killpg(self._root, signal.SIGKILL)
                return

    def _look_at_memory(self, pids: t.Sequence[int]) -> None:
        together = 0
        for pid in pids:
            now, peak = processes.memory(pid)
            together += now
            if pid == self._root:
                self.own_peak = max(self.own_peak, peak)
            elif peak > self.child_peak:
                self.child_peak, self.child_name = peak, processes.name_of(pid)
        self.all_peak = max(self.all_peak, together)

    def _look_at_disks(self, pids: t.Sequence[int]) -> None:
        stray = processes.stray_bytes(pids, allowed=self._allowed)
        self.scratch = max(self.scratch, processes.folder_bytes(self._temporary) + stray)
        self.notes = max(self.notes, processes.folder_bytes(self._notes, apparent=True))
