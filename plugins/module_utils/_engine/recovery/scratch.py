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
_KEPT_PREFIX = "lifeboat-kept-"
_LOCK = "in-use"
# A folder without a lock may be one that is just being made.
_NAMELESS_SECONDS = 3600
_VARIABLE = "LIFEBOAT_SCRATCH"
_NICENESS = 10
_STOP_SECONDS = 30.0
# What a server has beside its caches: the stacks of its threads, and what its allocator keeps in reserve. A mongod 6.0
# with 38 threads has 260 MiB more of writable private memory than it uses.
_SLACK = 1024 * 1024 * 1024
# Whether processes have ended is a matter of the machine's own time, whatever a test says the time is.
_CLOCK = SystemClock()


class Scratch:
    """An empty folder of our own, and the processes that were started in it."""

    def __init__(self, *, folder: str, memory_limit: int) -> None:
        self.folder = folder
        self.memory_limit = memory_limit  # bytes that servers are asked to keep within; 0: as they like
        self._processes: list[subprocess.Popen[bytes]] = []

    def path(self, name: str) -> str:
        """A path in the folder."""
        return os.path.join(self.folder, name)

    def environment(self, extra: t.Mapping[str, str] | None = None) -> dict[str, str]:
        """What every process of this scratch instance must have, so that the next run can find it."""
        return child_environment({**(extra or {}), _VARIABLE: self.folder})

    def within_memory(self, argv: t.Sequence[str], *, needed: int = 0) -> list[str]:
        """*argv* so that the kernel holds each process of it to twice the memory limit (or twice *needed* bytes, where
        that is more) and 1 GiB: a server that its own settings do not hold must not take the host's memory.

        What counts is private memory that can be written (RLIMIT_DATA since Linux 4.7, see getrlimit(2)): neither
        shared buffers, nor mapped files, nor address space that is only reserved, as mongod does. Core dumps are off.
        Without a memory limit nothing is held. Raises ToolMissing.
        """
        if not self.memory_limit:
            return list(argv)
        limit = 2 * max(self.memory_limit, needed) + _SLACK
        return [find_program("prlimit"), f"--data={limit}", "--core=0", find_program(argv[0]), *argv[1:]]

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
        # Those we started need no looking for: a process that is just becoming another program (nice, prlimit) has an
        # empty environment for a moment.
        starts = {process.pid: _start_of(process.pid) for process in self._processes if process.poll() is None}
        known = {pid: start for pid, start in starts.items() if start is not None}
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = _CLOCK.monotonic() + _STOP_SECONDS
            told: set[int] = set()
            while True:
                for process in self._processes:
                    process.poll()
                # Remembered: a grandchild whose parent has ended is nobody's, and not all keep their environment
                # (PostgreSQL and Redis write their titles over it).
                known.update(_processes_in(self.folder, known))
                alive = {pid for pid, start in known.items() if _start_of(pid) == start}
                if not alive:
                    return
                for pid in alive - told:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                told |= alive
                if _CLOCK.monotonic() >= deadline:
                    break
                _CLOCK.sleep(0.05)


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
        lock = _locked(folder)
    except OSError as error:
        raise ScratchUnusable(
            f"The folder for scratch instances can't be used: {directory}: {error.strerror}.",
            hint="Name another with scratch_directory.",
            details={"path": directory},
        ) from error
    scratch = Scratch(folder=folder, memory_limit=memory_limit)
    try:
        yield scratch
    finally:
        with undisturbed(), lock:
            scratch.stop()
            if keep:
                kept = os.path.join(directory, _KEPT_PREFIX + os.path.basename(folder)[len(PREFIX) :])
                os.rename(folder, kept)
                journal.warning(f"The scratch copy was kept on request; remove it when done: rm -r {kept}")
            else:
                _remove(folder, journal=journal)


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
                is_gone = _clear(folder, journal=journal)
        except FileNotFoundError:
            # Just being made, just being removed, or of a run that died before there was anything in it.
            is_gone = _is_old(folder) and _clear(folder, journal=journal)
        except OSError:
            continue  # in use, or another user's
        if is_gone:
            journal.info(f"Removed the scratch instance of a run that died: {folder}")
            removed.append(folder)
    return removed


def free_bytes(directory: str) -> int:
    """Bytes that can be written below *directory* (or, while it is not there, below what will hold it)."""
    path = os.path.abspath(directory)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def _locked(folder: str) -> t.BinaryIO:
    """The lock of a new scratch folder, held: it has its name only then, so that nobody takes it for a dead run's."""
    path = os.path.join(folder, f".{_LOCK}")
    lock = open(path, "wb")  # noqa: SIM115 it is held until the end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(path, os.path.join(folder, _LOCK))
    except BaseException:
        lock.close()
        raise
    return lock


def _is_old(folder: str) -> bool:
    try:
        return os.stat(folder).st_mtime < _CLOCK.now().timestamp() - _NAMELESS_SECONDS
    except OSError:
        return False


def _clear(folder: str, *, journal: Journal) -> bool:
    Scratch(folder=folder, memory_limit=0).stop()
    return _remove(folder, journal=journal)


def _remove(folder: str, *, journal: Journal) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.lexists(folder):
        return True
    journal.warning(f"A scratch instance could not be removed whole and takes space: rm -r {folder}")
    return False


def _processes_in(folder: str, known: t.Collection[int] = ()) -> dict[int, int]:
    """Every process whose environment names the folder, with all that these, or those *known* already, have started:
    id and time of start. Servers begin a session of their own, so what one leaves behind is known by that.
    """
    wanted = f"{_VARIABLE}={folder}".encode()
    facts: dict[int, _Stat] = {}
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        stat = _stat(int(name))
        if stat is None:
            continue
        facts[int(name)] = stat
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
            if wanted in file.read().split(b"\0"):
                found.add(int(name))
    while True:
        leaders = found.union(known)
        started = {pid for pid, stat in facts.items() if stat.parent in found or stat.session in leaders} - found
        if not started:
            return {pid: facts[pid].start for pid in found}
        found |= started


def _start_of(pid: int) -> int | None:
    """When the process was started (in ticks since the machine was); None when it has ended."""
    stat = _stat(pid)
    return None if stat is None else stat.start


class _Stat(t.NamedTuple):
    parent: int
    session: int
    start: int


def _stat(pid: int) -> _Stat | None:
    """What proc(5) says of a process, zombies left out."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return _Stat(parent=int(fields[1]), session=int(fields[3]), start=int(fields[19]))
