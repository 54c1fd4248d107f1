# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One payload's bytes on their way back: repository | age -d | zstd -dc | consumer.

Python touches only the stored bytes, which it hashes as they pass, and the plain ones where the consumer is written in
Python. Memory is constant. What a consumer was given counts only when :func:`deliver` returned: the hash is known at
the end, so whoever restores puts the data where nobody takes it for restored yet.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import hashlib
import io
import os
import signal
import struct
import termios
import typing as t
from dataclasses import dataclass, field

from ..core.clock import SystemClock
from ..core.errors import DecryptionFailed, IdentityMissing, PayloadDamaged, PipelineFailed
from ..core.parallel import wait_for
from ..core.progress import Progress
from ..core.runner import find_program
from ..core.signals import undisturbed
from .plain_reader import PlainReader, drain, too_large
from .processes import CHUNK, ChainProcess, in_thread, kill_all, open_account, open_pipe, spawn
from .producer import StoredPayload
from .stored_check import ReadStored, check_stored, compare, too_long
from .transforms import Compression, Encryption

# What the kernel says about a decompressor includes a few bytes that are not of the stream.
_ACCOUNT_SLACK = 64 * 1024
_POLL_SECONDS = 0.02
# What age adds to every error, and what helps nobody.
_AGE_ASIDE = "age: report unexpected or unhelpful errors"
# When a process ends is a matter of the machine's own time, whatever a test says the time is.
_CLOCK = SystemClock()


@dataclass(frozen=True)
class PayloadOutput:
    """Where a payload's plain bytes go: exactly one of *argv* (a process's standard input), *read* (a function that
    reads them from a file object) or *file* (a descriptor, written from its current position).

    *on_stderr* takes the lines that the process prints on standard error, while it runs. *pass_descriptors* stay open
    in the process. *may_end_early* is set for consumers that need not read to the end (a listing): then what is left is
    neither decoded nor compared; with *check_rest* it is read, not decoded, and the whole compared all the same (a part
    that is taken for restored).
    """

    argv: tuple[str, ...] = ()
    environment: t.Mapping[str, str] = field(default_factory=dict)
    pass_descriptors: tuple[int, ...] = ()
    on_stderr: t.Callable[[str], None] | None = None
    read: t.Callable[[t.BinaryIO], None] | None = None
    file: int | None = None
    may_end_early: bool = False
    check_rest: bool = False


def deliver(
    payload: StoredPayload,
    output: PayloadOutput,
    *,
    read: ReadStored,
    identity_file: str | None,
    progress: Progress,
) -> int | None:
    """Run the pipeline to its end: every plain byte of the payload goes to *output*, in order.

    *identity_file* holds the private key of encrypted payloads (age's ``-i``; may be ``/dev/fd/N``). Returns the number
    of plain bytes where it could be told, else None.

    Raises, with every process ended: what *read* raises; PayloadDamaged when the stored bytes are not those of the
    manifest or can't be decoded; IdentityMissing and DecryptionFailed; PayloadTooLarge as soon as more plain bytes come
    out than the manifest says (a decompression bomb); PipelineFailed when the consuming process failed; what
    *output.read* raises.
    """
    if payload.encryption and not identity_file:
        raise IdentityMissing(
            f"{payload.name} is encrypted, and no private key was given.",
            hint="Name the file that holds AGE-SECRET-KEY-...: --identity-file FILE (decryption.identity_file).",
        )
    chain = _Chain(payload=payload, output=output, read=read, progress=progress)
    try:
        with undisturbed():
            chain.start(identity_file=identity_file or "")
        chain.consume()
        return chain.finish()
    except BaseException:
        chain.kill()
        raise
    finally:
        chain.close()


class _Chain:
    def __init__(self, *, payload: StoredPayload, output: PayloadOutput, read: ReadStored, progress: Progress) -> None:
        self._payload = payload
        self._output = output
        self._read = read
        self._progress = progress
        self._decoders: list[ChainProcess] = []
        self._consumer: ChainProcess | None = None
        self._feeder: concurrent.futures.Future[None] | None = None
        self._stopping = False
        self._feed_to = -1
        self._end = -1  # the reading end for a consumer in Python
        self._meter = -1  # the kernel's account of the last decoder
        self._consumer_end = -1  # the consuming process's reading end, for a look at what it left
        self._has_left = False
        self._reader: PlainReader | None = None
        self._pieces: t.Iterator[bytes] = iter(())
        self._digest = hashlib.sha256()
        self._size = 0
        self._is_cut = False
        self._file_start: int | None = None

    def start(self, *, identity_file: str) -> None:
        """Start every process, the consumer first."""
        decoders: list[tuple[str, list[str]]] = []
        if self._payload.encryption:
            decoders.append((Encryption.name, [find_program("age"), "-d", "-i", identity_file]))
        if self._payload.compression:
            # Its own checksum is for streams that nobody else compares; here SHA-256 of all stored bytes says more.
            decoders.append((Compression.name, [find_program("zstd"), "-dc", "--no-check", "--no-progress", "-q"]))
        output = self._output
        self._feed_to = self._open_end()
        for name, argv in reversed(decoders):
            last = self._feed_to
            reading, self._feed_to = open_pipe()
            descriptors = (_descriptor_of(identity_file),) if name == Encryption.name else ()
            passed = [descriptor for descriptor in descriptors if descriptor is not None]
            process = spawn(name, argv, stdin=reading, stdout=last, pass_descriptors=passed)
            self._decoders.insert(0, process)
        if self._decoders and output.read is None:
            self._meter = open_account(self._decoders[-1].process.pid)
        self._feeder = in_thread(self._feed, name=f"reader of {self._payload.name}")

    def consume(self) -> None:
        """Let a consumer in Python do its work, or watch the processes do theirs."""
        if self._output.read is not None:
            reader = self._reader = PlainReader(
                self._end, limit=self._payload.plain_size, name=self._payload.name, progress=self._progress
            )
            problem: Exception | None = None
            try:
                with io.BufferedReader(reader, CHUNK) as buffered:
                    self._output.read(t.cast("t.BinaryIO", buffered))
                    if not self._output.may_end_early:
                        drain(reader)
            except Exception as error:  # noqa: BLE001 whatever it is, it is raised again below
                problem = error
            self._close_end()
            if reader.is_too_long:
                # Whatever the consumer made of being told so.
                raise too_large(self._payload.name, self._payload.plain_size or 0) from problem
            if problem is not None:
                # What the consumer stumbled over may come from further up; that is then the reason.
                self._settle()
                self._judge_decoders(is_cut_off=True)
                self._judge_stored()
                raise problem
            return
        while not all(_has_ended(process) for process in self._all()):
            self._see_what_is_left()
            self._require_within_limit()
            _CLOCK.sleep(_POLL_SECONDS)
        self._see_what_is_left()

    def _see_what_is_left(self) -> None:
        """Once the consuming process has ended: whether it left anything in its pipe, which nobody else would tell."""
        if self._consumer is None or not _has_ended(self._consumer):
            return
        with undisturbed():
            if self._consumer_end >= 0:
                self._has_left = _bytes_in(self._consumer_end) > 0
                self._close_consumer_end()  # whoever writes on now learns that nobody reads

    def _close_consumer_end(self) -> None:
        with undisturbed():
            if self._consumer_end >= 0:
                os.close(self._consumer_end)
                self._consumer_end = -1

    def finish(self) -> int | None:
        """Wait for everybody and judge. Returns the plain bytes where they were counted."""
        self._settle()
        self._require_within_limit()
        consumer = self._consumer
        if consumer is not None:
            status = consumer.wait()
            if status != 0:
                self._judge_decoders(is_cut_off=True)
                self._judge_stored()
                raise self._blame(consumer, status)
            consumer.check_reading()
            if self._is_cut_short and not self._output.may_end_early:
                self._judge_decoders(is_cut_off=True)
                self._judge_stored()
                raise self._ended_early(consumer)
        self._judge_decoders(is_cut_off=self._output.may_end_early)
        if self._is_cut and self._output.may_end_early:
            if not self._output.check_rest:
                return None
            self._read_rest()
        compare(self._payload, size=self._size, sha256=self._digest.hexdigest())
        count = self._counted()
        expected = self._payload.plain_size
        if count is not None and expected is not None and count != expected:
            raise PayloadDamaged(
                f"{self._payload.name} holds {count} plain bytes, but the manifest says {expected}.",
                hint="Restore another copy or another backup: lifeboat list shows them.",
                details={"payload": self._payload.name, "expected": expected, "found": count},
            )
        return count

    def _counted(self) -> int | None:
        """How many plain bytes came out, where that is known exactly."""
        if self._reader is not None:
            return self._reader.count if self._reader.ended else None
        if self._file_start is None or self._output.file is None:
            return None
        return os.lseek(self._output.file, 0, os.SEEK_CUR) - self._file_start

    @property
    def _is_cut_short(self) -> bool:
        """Whether somebody upstream of the consumer still had something for him."""
        return self._is_cut or self._has_left or any(_met_broken_pipe(process) for process in self._decoders)

    def kill(self) -> None:
        """End everything now."""
        self._stopping = True
        with undisturbed():
            self._close_end()
            self._close_consumer_end()
            kill_all(self._all())
            for process in self._all():
                process.wait()
        if self._feeder is not None:
            wait_for([self._feeder], timeout=60)

    def close(self) -> None:
        """Give back what is still open."""
        with undisturbed():
            if self._meter >= 0:
                os.close(self._meter)
                self._meter = -1
            if self._feeder is None and self._feed_to >= 0:
                os.close(self._feed_to)
                self._feed_to = -1

    def _close_end(self) -> None:
        # A signal between the two lines would have it closed twice, and with that the clean-up fail.
        with undisturbed():
            if self._end >= 0:
                os.close(self._end)
                self._end = -1

    def _open_end(self) -> int:
        """The descriptor that takes the plain bytes; whoever consumes them is started."""
        output = self._output
        if output.file is not None:
            self._file_start = _position_of(output.file)
            return os.dup(output.file)
        program = find_program(output.argv[0]) if output.argv else ""
        reading, writing = open_pipe()
        if output.read is not None:
            self._end = reading
        elif output.argv:
            # In its place already when starting the program fails.
            self._feed_to = writing
            self._consumer_end = os.dup(reading)
            self._consumer = spawn(
                os.path.basename(program),
                [program, *output.argv[1:]],
                stdin=reading,
                stdout=None,
                environment=output.environment,
                pass_descriptors=output.pass_descriptors,
                on_line=output.on_stderr,
            )
        else:
            raise AssertionError(f"the payload {self._payload.name} has no output")
        return writing

    def _all(self) -> list[ChainProcess]:
        # The last one first: who is killed must not learn of a neighbour's death by the end of his input.
        return [*([self._consumer] if self._consumer else []), *reversed(self._decoders)]

    def _feed(self) -> None:
        """In a thread of its own: the stored bytes into the first process."""
        counts_plain = not self._decoders and self._output.read is None
        is_whole = False
        with contextlib.suppress(BrokenPipeError), io.FileIO(self._feed_to, "wb") as pipe:
            try:
                self._pieces = self._read()
                for piece in self._pieces:
                    if self._stopping:
                        break
                    self._account(piece)
                    self._write(pipe, piece)
                    self._progress.add(stored=len(piece), done=len(piece) if counts_plain else 0)
                # The last look before the consumer is told that this was all.
                is_whole = self._size == self._payload.size and self._digest.hexdigest() == self._payload.sha256
            except BrokenPipeError:
                self._is_cut = True  # somebody downstream has ended; his status says why
                raise
            finally:
                if not is_whole and not self._is_cut:
                    # The rest must not look like a whole stream: whoever reads it is stopped before he sees its end.
                    kill_all(self._all())

    def _account(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._size += len(piece)
        if self._size > self._payload.size:
            raise too_long(self._payload, self._size)

    def _read_rest(self) -> None:
        """What was still to come when the consumer had all that it wanted: each piece is accounted once."""
        for piece in self._pieces:
            self._account(piece)
            self._progress.add(stored=len(piece))

    def _write(self, pipe: io.FileIO, piece: bytes) -> None:
        try:
            _write_all(pipe, piece)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._unwritable(str(error.strerror)) from error

    def _unwritable(self, reason: str) -> PipelineFailed:
        return PipelineFailed(
            f"The plain bytes of {self._payload.name} can't be written: {reason}",
            hint="Look at the space that is left there: df -h",
            details={"payload": self._payload.name},
        )

    def _settle(self) -> None:
        """Wait for the feeder and the decoders. Raises what reading the repository raised: that is the first reason."""
        if self._feeder is not None:
            wait_for([self._feeder])
        # What the kernel knows of a process is gone with its status.
        while not all(_has_ended(process) for process in self._decoders):
            _CLOCK.sleep(_POLL_SECONDS)
        error = self._feeder.exception() if self._feeder is not None else None
        if error is not None:
            raise error
        self._require_within_limit()

    def _judge_decoders(self, *, is_cut_off: bool) -> None:
        # Who failed by himself is to blame, not who was cut off by his neighbour's end.
        for process in sorted(self._decoders, key=_met_broken_pipe):
            if process.wait() == 0 or (is_cut_off and _met_broken_pipe(process)):
                continue
            lines = [line for line in process.lines if not line.startswith(_AGE_ASIDE)]
            said = "\n".join(lines[-4:]) or "(it printed nothing)"
            if "no space left" in said.lower() or "file too large" in said.lower():
                raise self._unwritable(said)
            if process.name == Encryption.name:
                if "no identity matched" in said or "identity" in said or "AGE-SECRET-KEY" in said:
                    raise DecryptionFailed(
                        f"{self._payload.name} can't be decrypted with this private key: {said}",
                        hint="Use the private key of one of the recipients: lifeboat show ID lists them.",
                        details={"payload": self._payload.name},
                    )
                self._judge_stored()
                raise self._undecodable(process, said, DecryptionFailed)
            self._judge_stored()
            raise self._undecodable(process, said, PayloadDamaged)

    def _undecodable(
        self, process: ChainProcess, said: str, kind: type[PayloadDamaged | DecryptionFailed]
    ) -> PayloadDamaged | DecryptionFailed:
        return kind(
            f"{self._payload.name} can't be decoded by {process.name}: {said}",
            hint="Restore another copy or another backup: lifeboat list shows them.",
            details={"payload": self._payload.name, "process": process.name, "stderr": list(process.lines)},
        )

    def _judge_stored(self) -> None:
        """Tell whether the stored bytes themselves are to blame; reads them again when the chain was cut."""
        if self._is_cut:
            check_stored(self._payload, read=self._read, progress=self._progress)
        else:
            compare(self._payload, size=self._size, sha256=self._digest.hexdigest())

    def _require_within_limit(self) -> None:
        limit = self._payload.plain_size
        if self._meter < 0 or limit is None:
            return
        try:
            account = os.pread(self._meter, 256, 0).split()
            written = int(account[account.index(b"wchar:") + 1])
        except (OSError, ValueError, IndexError):
            return  # it has just ended
        if written > limit + _ACCOUNT_SLACK:
            raise too_large(self._payload.name, limit)

    def _ended_early(self, process: ChainProcess) -> PipelineFailed:
        said = "\n".join(list(process.lines)[-8:]) or "(it printed nothing)"
        return PipelineFailed(
            f"{process.name} ended with status 0 before it had read all of {self._payload.name}: {said}",
            hint=f"Look at what {process.name} says above.",
            details={"process": process.name, "status": 0, "payload": self._payload.name},
        )

    def _blame(self, process: ChainProcess, status: int) -> PipelineFailed:
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        said = "\n".join(list(process.lines)[-8:]) or "(it printed nothing)"
        return PipelineFailed(
            f"{process.name} {ended} while it read {self._payload.name}: {said}",
            hint=f"Look at what {process.name} says above.",
            details={
                "process": process.name,
                "status": status,
                "payload": self._payload.name,
                "stderr": list(process.lines),
            },
        )


def _has_ended(process: ChainProcess) -> bool:
    """Whether it has, without taking its status: the kernel's account of it can still be read."""
    if process.process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _bytes_in(pipe: int) -> int:
    """How many bytes wait in a pipe (pipe(7), FIONREAD)."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(count)


def _met_broken_pipe(process: ChainProcess) -> bool:
    status = process.wait()
    # zstd says so and ends with 1 rather than dying by the signal, where the signal is ignored.
    return status == -signal.SIGPIPE or (status != 0 and "broken pipe" in "\n".join(process.lines).lower())


def _position_of(descriptor: int) -> int | None:
    try:
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return None  # a pipe or the like


def _write_all(pipe: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _descriptor_of(path: str) -> int | None:
    head, _slash, tail = path.rpartition("/")
    return int(tail) if head == "/dev/fd" and tail.isdigit() else None
