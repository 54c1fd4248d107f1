# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch instances: a folder and the servers in it, for one verification; nothing of it is left, whatever happens.

A run that is killed leaves both. The next run recognises the folder by its free lock (the kernel frees it) and the
processes by their environment, which names the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import typing as t

from ..core.clock import SystemClock
from ..core.errors import ScratchUnusable
from ..core.journal import Journal
from ..core.runner import child_environment, find_program
from ..core.signals import undisturbed

PREFIX = "lifeboat-scratch-"
_LOCK = "in-use"
_VARIABLE = "LIFEBOAT_SCRATCH"
_NICENESS = 10
_STOP_SECONDS = 30.0
# Whether processes have ended is a matter of the machine's own time, whatever a test says the time is.
_CLOCK = SystemClock()


class Scratch:
    """An empty folder of our own, and the processes that were started in it."""

    def __init__(self, *, folder: str, memory_limit: int) -> None:
        self.folder = folder
        self.memory_limit = memory_limit  # bytes that servers are asked to keep within, by their own settings
        self._processes: list[subprocess.Popen[bytes]] = []

    def path(self, name: str) -> str:
        """A path in the folder."""
        return os.path.join(self.folder, name)

    def environment(self, extra: t.Mapping[str, str] | None = None) -> dict[str, str]:
        """What every process of this scratch instance must have, so that the next run can find it."""
        return child_environment({**(extra or {}), _VARIABLE: self.folder})

    def spawn(
        self,
        argv: t.Sequence[str],
        *,
        log: str,
        environment: t.Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a server: niced, in a session of its own, its words in the file *log* of the folder.

        *user* is who runs it when we are root. Raises ToolMissing.
        """
        program = find_program(argv[0])
        account = pwd.getpwnam(user) if user is not None and os.geteuid() == 0 else None
        with undisturbed(), open(self.path(log), "ab") as output:
            process = subprocess.Popen(
                [find_program("nice"), "-n", str(_NICENESS), program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment(environment),
                cwd=self.folder,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
            )
            self._processes.append(process)
        return process

    def stop(self) -> None:
        """End everything that runs in here: politely, then not."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = _CLOCK.monotonic() + _STOP_SECONDS
            pids = _processes_in(self.folder)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while pids and _CLOCK.monotonic() < deadline:
                for process in self._processes:
                    process.poll()
                _CLOCK.sleep(0.05)
                pids = _processes_in(self.folder)
            if not pids:
                return


@contextlib.contextmanager
def scratch_instance(directory: str, *, memory_limit: int, journal: Journal, keep: bool = False) -> t.Iterator[Scratch]:
    """A scratch folder (mode 0711: servers run as users of their own) below *directory*, gone with its processes at the
    end; with *keep* the folder stays (its processes do not), and the journal says where.

    First removes what dead runs left there. Raises ScratchUnusable.
    """
    sweep_scratch(directory, journal=journal)
    try:
        os.makedirs(directory, mode=0o711, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=directory)
        os.chmod(folder, 0o711)  # noqa: S103 servers of other users must reach their own folders in it
        lock = open(os.path.join(folder, _LOCK), "wb")  # noqa: SIM115 it is held until the end
    except OSError as error:
        raise ScratchUnusable(
            f"The folder for scratch instances can't be used: {directory}: {error.strerror}.",
            hint="Name another with scratch_directory.",
            details={"path": directory},
        ) from error
    fcntl.flock(lock, fcntl.LOCK_EX)
    scratch = Scratch(folder=folder, memory_limit=memory_limit)
    try:
        yield scratch
    finally:
        with undisturbed(), lock:
            scratch.stop()
            if keep:
                journal.warning(f"The scratch copy was kept on request; remove it when done: rm -r {folder}")
                with contextlib.suppress(OSError):
                    os.rename(folder, folder.replace(PREFIX, "lifeboat-kept-"))
            else:
                shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(directory: str, *, journal: Journal) -> list[str]:
    """Remove scratch instances of runs that died, with their processes; returns the folders."""
    removed = []
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    for name in names:
        folder = os.path.join(directory, name)
        if not name.startswith(PREFIX) or os.path.islink(folder) or not os.path.isdir(folder):
            continue
        try:
            with open(os.path.join(folder, _LOCK), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Scratch(folder=folder, memory_limit=0).stop()
                shutil.rmtree(folder, ignore_errors=True)
        except (FileNotFoundError, BlockingIOError):
            continue  # just being made, just being removed, or in use
        journal.info(f"Removed the scratch instance of a run that died: {folder}")
        removed.append(folder)
    return removed


def free_bytes(directory: str) -> int:
    """Bytes that can be written below *directory* (or, while it is not there, below what will hold it)."""
    path = os.path.abspath(directory)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def _processes_in(folder: str) -> list[int]:
    """Every process whose environment names the folder, zombies left out."""
    wanted = f"{_VARIABLE}={folder}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue  # it has just ended, or is somebody else's
    return found
