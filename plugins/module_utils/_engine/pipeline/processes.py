# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both directions of the pipeline are made of: processes whose words are kept, pipes, threads, accounts."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import fcntl
import os
import signal
import subprocess
import typing as t

from ..core.parallel import wait_for
from ..core.runner import child_environment

CHUNK = 1024 * 1024
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ has a name from Python 3.10 on
_KEPT_LINES = 40


class ChainProcess:
    """A process of the chain with the end of what it prints on standard error."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], on_line: t.Callable[[str], None] | None) -> None:
        self.name = name
        self.process = process
        self.lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._on_line = on_line
        self._reading = in_thread(self._read, name=f"stderr of {name}")

    def wait(self) -> int:
        """The exit status (negative: killed by that signal), once all that it printed was read."""
        status = self.process.wait()
        wait_for([self._reading])
        return status

    def check_reading(self) -> None:
        """Raise what the reader of the lines raised."""
        self._reading.result()

    def _read(self) -> None:
        error = self.process.stderr
        if error is None:
            raise AssertionError("every process of a pipeline has its standard error read")
        with error:
            try:
                for line in map(_decoded, error):
                    self.lines.append(line)
                    if self._on_line is not None:
                        self._on_line(line)
            finally:
                # Also when a callback raised: a process whose standard error is full would wait for ever.
                self.lines.extend(map(_decoded, error))


def spawn(
    name: str,
    argv: t.Sequence[str],
    *,
    stdin: int | None,
    stdout: int | None,
    environment: t.Mapping[str, str] | None = None,
    pass_descriptors: t.Sequence[int] = (),
    on_line: t.Callable[[str], None] | None = None,
) -> ChainProcess:
    """Start a process of a chain in a session of its own; *stdin* and *stdout* (None: nothing) are closed here.

    Ours must be closed whatever happens, or nobody downstream ever sees the end of the stream.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.PIPE,
            env=child_environment(environment),
            pass_fds=pass_descriptors,
            start_new_session=True,
        )
    finally:
        for descriptor in (stdin, stdout):
            if descriptor is not None:
                os.close(descriptor)
    return ChainProcess(name, process, on_line)


def kill_all(processes: t.Iterable[ChainProcess]) -> None:
    """End each with all that it started."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself in the meantime
            os.killpg(process.process.pid, signal.SIGKILL)


def in_thread(work: t.Callable[[], None], *, name: str) -> concurrent.futures.Future[None]:
    """Run *work* in a thread of its own; the future holds what it raised."""
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    future = pool.submit(work)
    pool.shutdown(wait=False)  # the thread ends with its work
    return future


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").rstrip()


def open_account(pid: int) -> int:
    """What proc(5) calls /proc/PID/io, open; -1 where there is none."""
    try:
        return os.open(f"/proc/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def open_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    # A larger pipe means fewer switches between the processes; the default of 64 KiB works too.
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, _F_SETPIPE_SZ, CHUNK)
    return reading, writing
