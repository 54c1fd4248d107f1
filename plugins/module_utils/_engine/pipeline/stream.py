# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One payload's bytes on their way: source | zstd | age as real processes joined by kernel pipes.

Python touches only the end of the stream (and the beginning, where the source is a Python writer). Memory is
constant. Every exit status counts: the caller may only commit what it consumed when :func:`stream` returned.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import fcntl
import io
import os
import re
import signal
import subprocess
import typing as t

from ..core.errors import PipelineFailed
from ..core.progress import Progress
from ..core.runner import child_environment, find_program
from ..core.signals import undisturbed
from .producer import PayloadInput
from .transforms import Compression, Transform

_CHUNK = 1024 * 1024
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ has a name from Python 3.10 on
_KEPT_LINES = 40
# zstd 1.3 to 1.5 print "( 1234 => 99 bytes" or "(1234 B => 99 B" when told -vv and not on a terminal.
_ZSTD_TOTAL = re.compile(r"\(\s*(\d+) (?:B )?=>")


def stream(
    payload: PayloadInput,
    *,
    transforms: t.Sequence[Transform],
    consume: t.Callable[[memoryview], None],
    progress: Progress,
) -> int | None:
    """Run the pipeline to its end and give every byte that comes out to *consume*, in order.

    The memory handed to *consume* is used again after it returns. Returns the number of plain bytes, None when it
    could not be told. Raises PipelineFailed when a process failed or was killed, what a Python writer raised, and
    what *consume* raised; in every case all processes have ended.
    """
    chain = _Chain(payload=payload, progress=progress)
    try:
        with undisturbed():
            chain.start(transforms)
        chain.drain(consume)
        chain.finish()
    except BaseException:
        chain.kill()
        raise
    return chain.plain_size


class _CountingPipe(io.FileIO):
    """The writing end of a pipe that counts what goes in."""

    def __init__(self, descriptor: int, *, progress: Progress) -> None:
        super().__init__(descriptor, "wb")
        self.count = 0
        self._progress = progress

    def write(self, data: t.Any) -> int:
        written = super().write(data)
        self.count += written
        self._progress.add(done=written)
        return written


class _Process:
    """A process of the chain with the end of what it prints on standard error."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], on_line: t.Callable[[str], None] | None) -> None:
        self.name = name
        self.process = process
        self.lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._on_line = on_line
        self._reading = _in_thread(self._read, name=f"stderr of {name}")

    def wait(self) -> int:
        """The exit status (negative: killed by that signal), once all that it printed was read."""
        status = self.process.wait()
        concurrent.futures.wait([self._reading])
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
                for line in map(_decode, error):
                    self.lines.append(line)
                    if self._on_line is not None:
                        self._on_line(line)
            finally:
                # Also when a callback raised: a process whose standard error is full would wait for ever.
                self.lines.extend(map(_decode, error))


class _Chain:
    def __init__(self, *, payload: PayloadInput, progress: Progress) -> None:
        self.plain_size: int | None = None
        self._payload = payload
        self._progress = progress
        self._processes: list[_Process] = []
        self._writer: concurrent.futures.Future[None] | None = None
        self._pipe: _CountingPipe | None = None
        self._output = -1  # the end of the stream, once everything is started
        self._counts_here = False  # plain bytes are those that drain() sees
        self._meter = -1  # the kernel's account of the process that reads the plain bytes
        self._metered = 0

    def start(self, transforms: t.Sequence[Transform]) -> None:
        """Start every process, the source last, so that a missing program leaves no source running."""
        programs = [(transform, find_program(transform.argv()[0])) for transform in transforms]
        payload = self._payload
        source = find_program(payload.argv[0]) if payload.argv else ""
        if payload.argv or payload.write is not None:
            reading, writing = _pipe()
        elif payload.file is not None:
            reading, writing = os.dup(payload.file), -1
        else:
            raise AssertionError(f"the payload {payload.name} has no input")
        source_end = reading
        self._counts_here = not programs and payload.write is None
        for position, (transform, program) in enumerate(programs):
            next_reading, next_writing = _pipe()
            argv = [program, *transform.argv()[1:]]
            self._spawn(transform.name, argv, stdin=source_end, stdout=next_writing)
            if position == 0 and payload.write is None:
                self._meter = _open_account(self._processes[-1].process.pid)
            source_end = next_reading
        self._output = source_end
        if payload.argv:
            self._spawn(
                os.path.basename(source),
                [source, *payload.argv[1:]],
                stdin=None,
                stdout=writing,
                environment=payload.environment,
                pass_descriptors=payload.pass_descriptors,
                on_line=payload.on_stderr,
            )
        elif payload.write is not None:
            self._pipe = _CountingPipe(writing, progress=self._progress)
            self._writer = _in_thread(self._write, name=f"writer of {payload.name}")

    def drain(self, consume: t.Callable[[memoryview], None]) -> None:
        """Read to the end of the stream."""
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        total = 0
        while True:
            count = os.readv(self._output, [buffer])
            if count == 0:
                break
            total += count
            consume(view[:count])
            self._progress.add(done=count if self._counts_here else self._meter_delta(), stored=count)
        self._close_output()
        if self._counts_here:
            self.plain_size = total

    def finish(self) -> None:
        """Wait for everybody and judge: raises for anything that failed anywhere."""
        writer_error = self._writer.exception() if self._writer is not None else None
        statuses = [(process, process.wait()) for process in self._processes]
        if writer_error is not None and not isinstance(writer_error, BrokenPipeError):
            raise writer_error
        # Who failed by himself is to blame, not who was cut off by his neighbour's end.
        failed = [(process, status) for process, status in statuses if status not in (0, -signal.SIGPIPE)]
        failed += [(process, status) for process, status in statuses if status == -signal.SIGPIPE]
        if failed:
            raise self._blame(*failed[0])
        if writer_error is not None:
            raise writer_error
        for process in self._processes:
            process.check_reading()
        if self._pipe is not None:
            self.plain_size = self._pipe.count
        elif self.plain_size is None:
            self.plain_size = self._plain_size_of_zstd()
            if self.plain_size is not None:
                # The kernel's account includes the program's own files, so this may take a little away.
                self._progress.add(done=self.plain_size - self._metered)

    def kill(self) -> None:
        """End everything now; used after a failure, so nobody looks at the statuses."""
        with undisturbed():
            self._close_output()
            self._kill_processes()
            for process in self._processes:
                process.wait()
        if self._writer is not None:
            # The writer meets a broken pipe at its next write; it may be waiting for its server until then.
            concurrent.futures.wait([self._writer], timeout=60)

    def _kill_processes(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself in the meantime
                os.killpg(process.process.pid, signal.SIGKILL)

    def _spawn(
        self,
        name: str,
        argv: t.Sequence[str],
        *,
        stdin: int | None,
        stdout: int,
        environment: t.Mapping[str, str] | None = None,
        pass_descriptors: t.Sequence[int] = (),
        on_line: t.Callable[[str], None] | None = None,
    ) -> None:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env=child_environment(environment),
                pass_fds=pass_descriptors,
                start_new_session=True,
            )
        finally:
            # Ours must be closed, or nobody downstream ever sees the end of the stream.
            os.close(stdout)
            if stdin is not None:
                os.close(stdin)
        self._processes.append(_Process(name, process, on_line))

    def _write(self) -> None:
        pipe, write = self._pipe, self._payload.write
        if pipe is None or write is None:
            raise AssertionError("a writer thread runs for Python writers only")
        is_whole = is_cut_off = False
        try:
            with io.BufferedWriter(pipe, _CHUNK) as buffered:
                write(buffered)
            is_whole = True
        except BrokenPipeError:
            is_cut_off = True  # a process of the chain has ended; its own status says why
            raise
        finally:
            if not is_whole and not is_cut_off:
                # The rest must not look like a whole stream: whoever reads it is stopped before it can.
                self._kill_processes()

    def _blame(self, process: _Process, status: int) -> PipelineFailed:
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        said = "\n".join(list(process.lines)[-8:]) or "(it printed nothing)"
        return PipelineFailed(
            f"{process.name} {ended} while {self._payload.name} was being written: {said}",
            hint=f"Nothing of {self._payload.name} was kept. Look at what {process.name} says above.",
            details={
                "process": process.name,
                "status": status,
                "payload": self._payload.name,
                "stderr": list(process.lines),
            },
        )

    def _plain_size_of_zstd(self) -> int | None:
        for process in self._processes:
            if process.name == Compression.name:
                for line in reversed(process.lines):
                    found = _ZSTD_TOTAL.search(line)
                    if found:
                        return int(found.group(1))
        return None

    def _meter_delta(self) -> int:
        """Plain bytes since the last call, by the kernel's account of the first process after the source."""
        if self._meter < 0:
            return 0
        try:
            # Every piece of the stream comes by here: opening the file anew cost a third of all that Python does.
            read = int(os.pread(self._meter, 64, 0).split()[1])  # "rchar: 1234"
        except (OSError, ValueError, IndexError):
            return 0  # it has just ended; finish() adds what is missing
        delta, self._metered = max(0, read - self._metered), max(read, self._metered)
        return delta

    def _close_output(self) -> None:
        for descriptor in (self._output, self._meter):
            if descriptor >= 0:
                os.close(descriptor)
        self._output = self._meter = -1


def _in_thread(work: t.Callable[[], None], *, name: str) -> concurrent.futures.Future[None]:
    """Run *work* in a thread of its own; the future holds what it raised."""
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    future = pool.submit(work)
    pool.shutdown(wait=False)  # the thread ends with its work
    return future


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").rstrip()


def _open_account(pid: int) -> int:
    """What proc(5) calls /proc/PID/io, open; -1 where there is none."""
    try:
        return os.open(f"/proc/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    # A larger pipe means fewer switches between the processes; the default of 64 KiB works too.
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, _F_SETPIPE_SZ, _CHUNK)
    return reading, writing
