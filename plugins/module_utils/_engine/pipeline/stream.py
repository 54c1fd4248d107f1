# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One payload's bytes on their way: source | zstd | age as real processes joined by kernel pipes.

Python touches only the end of the stream (and the beginning, where the source is a Python writer). Memory is
constant. Every exit status counts: the caller may only commit what it consumed when :func:`stream` returned.
"""

from __future__ import annotations

import concurrent.futures
import io
import os
import re
import signal
import typing as t

from ..core.errors import PipelineFailed
from ..core.parallel import wait_for
from ..core.progress import Progress
from ..core.runner import find_program
from ..core.signals import undisturbed
from .processes import CHUNK, ChainProcess, in_thread, kill_all, open_account, open_pipe, spawn
from .producer import PayloadInput
from .transforms import Compression, Transform

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


class _Chain:
    def __init__(self, *, payload: PayloadInput, progress: Progress) -> None:
        self.plain_size: int | None = None
        self._payload = payload
        self._progress = progress
        self._processes: list[ChainProcess] = []
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
            reading, writing = open_pipe()
        elif payload.file is not None:
            reading, writing = os.dup(payload.file), -1
        else:
            raise AssertionError(f"the payload {payload.name} has no input")
        source_end = reading
        self._counts_here = not programs and payload.write is None
        for position, (transform, program) in enumerate(programs):
            next_reading, next_writing = open_pipe()
            argv = [program, *transform.argv()[1:]]
            self._processes.append(spawn(transform.name, argv, stdin=source_end, stdout=next_writing))
            if position == 0 and payload.write is None:
                self._meter = open_account(self._processes[-1].process.pid)
            source_end = next_reading
        self._output = source_end
        if payload.argv:
            self._processes.append(
                spawn(
                    os.path.basename(source),
                    [source, *payload.argv[1:]],
                    stdin=None,
                    stdout=writing,
                    environment=payload.environment,
                    pass_descriptors=payload.pass_descriptors,
                    on_line=payload.on_stderr,
                )
            )
        elif payload.write is not None:
            self._pipe = _CountingPipe(writing, progress=self._progress)
            self._writer = in_thread(self._write, name=f"writer of {payload.name}")

    def drain(self, consume: t.Callable[[memoryview], None]) -> None:
        """Read to the end of the stream."""
        buffer = bytearray(CHUNK)
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
        if self._writer is not None:
            wait_for([self._writer])
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
            kill_all(self._processes)
            for process in self._processes:
                process.wait()
        if self._writer is not None:
            # The writer meets a broken pipe at its next write; it may be waiting for its server until then.
            wait_for([self._writer], timeout=60)

    def _write(self) -> None:
        pipe, write = self._pipe, self._payload.write
        if pipe is None or write is None:
            raise AssertionError("a writer thread runs for Python writers only")
        is_whole = is_cut_off = False
        try:
            with io.BufferedWriter(pipe, CHUNK) as buffered:
                write(buffered)
            is_whole = True
        except BrokenPipeError:
            is_cut_off = True  # a process of the chain has ended; its own status says why
            raise
        finally:
            if not is_whole and not is_cut_off:
                # The rest must not look like a whole stream: whoever reads it is stopped before it can.
                kill_all(self._processes)

    def _blame(self, process: ChainProcess, status: int) -> PipelineFailed:
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
        # A signal between the two lines would have them closed twice, and with them the clean-up fail.
        with undisturbed():
            for descriptor in (self._output, self._meter):
                if descriptor >= 0:
                    os.close(descriptor)
            self._output = self._meter = -1
