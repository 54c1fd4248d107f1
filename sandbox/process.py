# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start a server process so that it dies with us (tests) or outlives us (demo), and end it for certain."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import StopFailed

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class ProcessIdentity:
    """A process for certain: its id and when it started (clock ticks since boot), since ids are used again."""

    pid: int
    start_ticks: int

    def is_alive(self) -> bool:
        """False for a zombie as well: it holds no port and no file, once its last thread is gone."""
        state, ticks = _state_and_start(self.pid)
        if ticks != self.start_ticks or not state:
            return False
        return state not in ("Z", "X") or _threads(self.pid) > 1


def _state_and_start(pid: int) -> tuple[str, int]:
    try:
        # The name in parentheses may hold spaces: the fields of interest start after the last one that closes.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[19])


def _threads(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def identify(pid: int) -> ProcessIdentity:
    """The identity of a process that is there now."""
    return ProcessIdentity(pid=pid, start_ticks=_state_and_start(pid)[1])


@dataclass(frozen=True)
class PidFile:
    """Which process serves, or has served, in a folder and on which port: for those who come later.

    ``outside``: files and folders that it makes elsewhere and leaves behind, to be removed when it has ended.
    """

    pid: int
    start_ticks: int
    port: int
    outside: tuple[str, ...] = ()

    @property
    def living(self) -> ProcessIdentity | None:
        """The process, unless it is gone."""
        identity = ProcessIdentity(pid=self.pid, start_ticks=self.start_ticks)
        return identity if identity.is_alive() else None

    def write(self, path: Path) -> None:
        """Replace the file as a whole."""
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> PidFile | None:
        """None when there is no file or it is broken."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**content, "outside": tuple(content["outside"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def remove_outside(self) -> None:
        """Call it when the process has ended."""
        for path in map(Path, self.outside):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@functools.cache
def _spawner() -> ThreadPoolExecutor:
    """One thread that starts every server.

    The kernel's parent-death signal fires when the starting *thread* ends: a server that was started from a short-lived
    worker thread would die with that thread.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-spawner")


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    directory: Path,
    environment: Mapping[str, str],
    user: str | None,
    death_signal: signal.Signals | None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, output appended to ``log``.

    With ``death_signal`` the kernel sends that signal when we die, even by SIGKILL. ``setpriv`` sets it (after changing
    the user, which would clear it) rather than a Python function between fork and exec, which isn't safe with threads.
    """
    prefix = []
    if user is not None or death_signal is not None:
        prefix.append("setpriv")
        if user is not None:
            prefix += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        if death_signal is not None:
            prefix.append(f"--pdeathsig={death_signal.name}")
        prefix.append("--")

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
            )

    return _spawner().submit(start).result()


def wait_until_gone(identity: ProcessIdentity, child: subprocess.Popen[bytes] | None, seconds: float) -> bool:
    """Wait at most ``seconds``; reaps the process when it is our child."""
    deadline = time.monotonic() + seconds
    while True:
        if not identity.is_alive():
            if child is not None:
                child.wait()
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def end(
    identity: ProcessIdentity, child: subprocess.Popen[bytes] | None, *, graceful: signal.Signals, seconds: float
) -> None:
    """``graceful`` to the process, SIGKILL to its whole group after ``seconds`` or when members are left over."""
    if identity.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, graceful)
        wait_until_gone(identity, child, seconds)
    # Also when our child is dead: its children may still be in the group, and while they are, nobody else gets the id.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if child is not None or identity.is_alive():
            os.killpg(identity.pid, signal.SIGKILL)
    if not wait_until_gone(identity, child, 10):
        raise StopFailed(f"process {identity.pid} is still there 10 s after SIGKILL (state D: look at the disk)")


def end_processes_inside(directory: Path) -> None:
    """SIGKILL to every process whose working directory lies in ``directory``; returns when none is left."""
    deadline = time.monotonic() + 10
    while found := processes_inside(directory):
        if time.monotonic() >= deadline:
            raise StopFailed(f"processes {found} in {directory} are still there 10 s after SIGKILL")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def processes_inside(directory: Path) -> list[int]:
    """Processes (not ourselves) whose working directory lies in ``directory``, or did until that was removed."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            # So Linux names what is there no more.
            place = str((entry / "cwd").readlink()).removesuffix(" (deleted)")
            if Path(place).is_relative_to(directory):
                found.append(int(entry.name))
    return found
