# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spooled file through zstd and age, at most once for all repositories that take it at about the same time."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import hashlib
import io
import itertools
import os
import threading
import typing as t
from dataclasses import dataclass

from ..core.errors import StreamSegmentGone, StreamSpoolUnusable
from ..core.progress import Progress
from ..pipeline.producer import PayloadInput
from ..pipeline.stream import stream
from ..pipeline.transforms import Compression, Encryption, Transforms
from .library_zstd import Compressing, begin_compressing
from .spool import SpoolEntry

#: Files up to so many bytes are kept in memory as they will be stored; larger ones are streamed to each repository.
LARGEST_KEPT = 32 * 1024 * 1024
#: So many bytes are kept for a repository that comes later; one that comes later still has them made again.
_KEPT_BYTES = 64 * 1024 * 1024
# Hashed in pieces that stay in the processor's cache between reading and hashing.
_PIECE = 256 * 1024


@dataclass(frozen=True)
class _OneThread(Compression):
    """The program zstd without threads of its own: segments come several at a time, and more threads would only cost.

    Measured with 16 MiB of WAL at level 1: a sixth less processor time than with ``-T1``.
    """

    def argv(self) -> list[str]:
        return ["zstd", f"-{self.level}", "--single-thread", "-vv", "--no-progress", "-c"]


@dataclass(frozen=True)
class Encoded:
    """A file as it will be stored. *data* is None for a large one, whose stored size and hash are not known yet."""

    plain_size: int
    plain_sha256: str
    data: bytes | None = None
    sha256: str = ""


class SegmentEncoder:
    """Reads, hashes, compresses and encrypts; safe for threads. At most *parallel* at the same time.

    *repositories* is how many take each file: when the last one has it, its memory is free (:meth:`taken`).
    """

    def __init__(self, *, transforms: Transforms, progress: Progress, parallel: int, repositories: int = 1) -> None:
        compression = transforms.compression
        if compression is not None:
            compression = _OneThread(level=compression.level)
        chain = Transforms(compression=compression, encryption=transforms.encryption).for_payload(compressed=False)
        self._chain = chain
        self._level = None if compression is None else compression.level
        self._progress = progress
        self._places = threading.BoundedSemaphore(parallel)
        self._lock = threading.Lock()
        self._repositories = repositories
        self._taken: dict[SpoolEntry, int] = {}
        self._kept: collections.OrderedDict[SpoolEntry, concurrent.futures.Future[Encoded]] = collections.OrderedDict()

    @property
    def suffixes(self) -> str:
        """What the names of stored objects end in."""
        return "".join(transform.suffix for transform in self._chain)

    @property
    def compression(self) -> str | None:
        """ "zstd" or None."""
        return Compression.name if any(isinstance(each, Compression) for each in self._chain) else None

    @property
    def encryption(self) -> str | None:
        """ "age" or None."""
        return Encryption.name if any(isinstance(each, Encryption) for each in self._chain) else None

    def encode(self, entry: SpoolEntry) -> Encoded:
        """The file as it will be stored. Raises StreamSegmentGone, StreamSpoolUnusable, PipelineFailed."""
        with self._lock:
            future = self._kept.get(entry)
            is_ours = future is None
            if future is None:
                future = self._kept[entry] = concurrent.futures.Future()
            self._kept.move_to_end(entry)
        if is_ours:
            try:
                future.set_result(self._encode(entry))
            except BaseException as error:
                self.forget(entry)
                future.set_exception(error)
                raise
            self._make_room()
        return future.result()

    def taken(self, entry: SpoolEntry) -> None:
        """One more repository has stored it; when all have, its memory is free."""
        with self._lock:
            count = self._taken.get(entry, 0) + 1
            self._taken[entry] = count
        if count >= self._repositories:
            self.forget(entry)

    def plain_sha256(self, entry: SpoolEntry) -> str:
        """The hash of the file's bytes. Raises StreamSegmentGone, StreamSpoolUnusable."""
        with self._lock:
            known = self._kept.get(entry)
        if known is not None:
            return known.result().plain_sha256
        with self._places, _opened(entry) as file:
            return _Hashing(file).finished()[1]

    def send(self, entry: SpoolEntry, encoded: Encoded, consume: t.Callable[[memoryview], None]) -> tuple[int, str]:
        """Stream a large file as it will be stored to *consume*; its stored size and SHA-256.

        Raises StreamSegmentGone also when the file's bytes are no longer those that were hashed.
        """
        size, digest = 0, hashlib.sha256()

        def take(data: memoryview) -> None:
            nonlocal size
            size += len(data)
            digest.update(data)
            consume(data)

        with self._places:
            again = self._run(entry, take)
        if again != (encoded.plain_size, encoded.plain_sha256):
            raise _gone(entry, "was changed while it was being stored")
        return size, digest.hexdigest()

    def forget(self, entry: SpoolEntry) -> None:
        """Free the memory of an entry that nobody will ask for any more."""
        with self._lock:
            self._kept.pop(entry, None)
            self._taken.pop(entry, None)

    def _encode(self, entry: SpoolEntry) -> Encoded:
        with self._places:
            if entry.size > LARGEST_KEPT:
                with _opened(entry) as file:
                    plain_size, plain_sha256 = _Hashing(file).finished()
                return Encoded(plain_size=plain_size, plain_sha256=plain_sha256)
            # Its value is given away without a copy.
            buffer = io.BytesIO()
            plain_size, plain_sha256 = self._run(entry, buffer.write)
            data = buffer.getvalue()
        return Encoded(
            plain_size=plain_size, plain_sha256=plain_sha256, data=data, sha256=hashlib.sha256(data).hexdigest()
        )

    def _run(self, entry: SpoolEntry, consume: t.Callable[[memoryview], t.Any]) -> tuple[int, str]:
        """The file through the chain; its size and hash meanwhile.

        What the name says must be what is inside. So the file must not have been written to from before the first who
        reads it began until after the last one ended, and the number of bytes that zstd read must be ours.
        """
        with _opened(entry) as file:
            before = _state(file)
            hashing = _Hashing(file)
            compressing = None if self._level is None else begin_compressing(self._level)
            if compressing is None:
                read = self._by_programs(entry, file, hashing, consume)
            else:
                read = self._by_library(entry, hashing, compressing, consume)
            size, sha256 = hashing.finished()
            if _state(file) != before or read not in (None, size):
                raise _gone(entry, "was changed while it was being stored")
        return size, sha256

    def _by_programs(
        self, entry: SpoolEntry, file: t.BinaryIO, hashing: _Hashing, consume: t.Callable[[memoryview], t.Any]
    ) -> int | None:
        """They read the file themselves, while it is hashed; how much the first of them says that it read."""

        def take(data: memoryview) -> None:
            consume(data)
            hashing.go_on()

        payload = PayloadInput(name=entry.name, media="segment", file=file.fileno())
        return stream(payload, transforms=self._chain, consume=take, progress=self._progress)

    def _by_library(
        self,
        entry: SpoolEntry,
        hashing: _Hashing,
        compressing: Compressing,
        consume: t.Callable[[memoryview], t.Any],
    ) -> int:
        """The very pieces that are hashed are compressed here, and age, if any, gets them; how many bytes they were."""

        def compressed() -> t.Iterator[tuple[int, bytes]]:
            for piece in hashing.pieces():
                yield len(piece), compressing.compress(piece)
            yield 0, compressing.flush()

        def write(file: t.BinaryIO) -> None:
            for read, data in compressed():
                file.write(data)
                self._progress.add(done=read - len(data))  # the pipe counts what comes in; the file's bytes are meant

        if len(self._chain) > 1:
            payload = PayloadInput(name=entry.name, media="segment", write=write)
            stream(payload, transforms=self._chain[1:], consume=consume, progress=self._progress)
        else:
            for read, data in compressed():
                consume(memoryview(data))
                self._progress.add(done=read, stored=len(data))
        return hashing.size

    def _make_room(self) -> None:
        with self._lock:
            kept = 0
            for entry, future in reversed(list(self._kept.items())):
                data = future.result().data if future.done() and not future.exception() else None
                kept += len(data or b"")
                if kept > _KEPT_BYTES and future.done():
                    del self._kept[entry]


@contextlib.contextmanager
def _opened(entry: SpoolEntry) -> t.Iterator[t.BinaryIO]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(entry.path, "rb", buffering=0, opener=_without_links))
        except FileNotFoundError as error:
            raise _gone(entry, "was removed from the spool by somebody else before it was stored") from error
        except OSError as error:
            raise StreamSpoolUnusable(
                f"{entry.path} can't be read: {error.strerror}.", hint=f"Run: ls -l {entry.path}"
            ) from error
        yield t.cast("t.BinaryIO", file)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)


class _Hashing:
    """The size and SHA-256 of an open file, from its beginning; whoever else reads it has its own position."""

    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file.fileno()
        self._digest = hashlib.sha256()
        self.size = 0

    def pieces(self) -> t.Iterator[bytes]:
        """What comes next, hashed, to the end. Raises StreamSpoolUnusable."""
        while True:
            try:
                piece = os.pread(self._file, _PIECE, self.size)
            except OSError as error:
                raise StreamSpoolUnusable(
                    f"The spool can't be read: {error.strerror}.",
                    hint="Look at the disk: dmesg | tail",
                    details={"error": str(error)},
                ) from error
            if not piece:
                return
            self._digest.update(piece)
            self.size += len(piece)
            yield piece

    def go_on(self, pieces: int = 4) -> None:
        """Hash so many pieces more. Raises StreamSpoolUnusable."""
        for _piece in itertools.islice(self.pieces(), pieces):
            pass

    def finished(self) -> tuple[int, str]:
        """Hash the rest."""
        for _piece in self.pieces():
            pass
        return self.size, self._digest.hexdigest()


def _state(file: t.BinaryIO) -> tuple[int, int]:
    """What differs after anybody has written to the file."""
    facts = os.fstat(file.fileno())
    return facts.st_size, facts.st_mtime_ns


def _gone(entry: SpoolEntry, what: str) -> StreamSegmentGone:
    return StreamSegmentGone(
        f"{entry.path} {what}.",
        hint="Nobody but lifeboat ship may change the spool. The next run says whether the stream has a hole.",
        details={"segment": entry.name, "path": entry.path},
    )
