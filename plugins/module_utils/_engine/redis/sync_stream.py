# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot over the wire: we ask as a replica would, and the server sends its RDB.

Needs no access to the server's files, so it works for containers and other hosts. Source: replication.c of Redis:
SYNC is answered by line ends while the server prepares, then by ``$<length>`` and that many bytes, or by
``$EOF:<40 characters>`` and bytes until the same 40 characters come again.
"""

from __future__ import annotations

import re
import socket
import typing as t

from ..core.clock import Clock
from ..core.errors import LifeboatError, RedisSyncFailed, RedisUnreachable
from ..core.progress import Progress
from .faults import command_error
from .rdb import RdbChecker, RdbFacts
from .resp import ErrorReply, ProtocolViolation, RespClient

MARK_BYTES = 40
_PIECE = 1024 * 1024
_PREAMBLE = re.compile(rb"\$(?:(?P<length>\d{1,18})|EOF:(?P<mark>.{40}))", re.DOTALL)
# While it saves, a server sends a line end every repl-ping-replica-period (10 seconds); repl-timeout is 60.
_LONGEST_SILENCE = 120.0


class SyncStream:
    """One snapshot from one connection, which is of no use for anything else afterwards."""

    def __init__(self, *, client: RespClient, clock: Clock, progress: Progress, timeout: float) -> None:
        """*timeout* (seconds) is for the whole transfer; silence of two minutes ends it earlier."""
        self._client = client
        self._clock = clock
        self._progress = progress
        self._timeout = timeout
        self._deadline = clock.monotonic() + timeout
        self._checker = RdbChecker()
        self._mark: bytes | None = None
        self._remaining = 0

    def begin(self) -> None:
        """Ask for the snapshot and wait until its first byte is on the way.

        Raises RedisSyncFailed (a replica without its primary, a server that takes too long), RedisPermissionDenied and
        the other errors of the connection.
        """
        self._introduce()
        self._progress.stage("waiting for the server's snapshot")
        line = self._guarded(self._first_line)
        if line.startswith(b"-"):
            raise self._refusal(line[1:].decode("utf-8", "replace"))
        found = _PREAMBLE.fullmatch(line)
        if found is None:
            raise RedisSyncFailed(f"{self._client.peer} answered SYNC with {line[:60]!r} instead of a snapshot.")
        if found["length"] is None:
            self._mark = found["mark"]
        else:
            self._remaining = int(found["length"])

    def copy_to(self, output: t.BinaryIO) -> RdbFacts:
        """Write the RDB, and nothing else, to *output*; return its facts when it is whole.

        Raises RdbInvalid or RedisSyncFailed after the last byte or before; then what was written is worthless.
        """
        self._progress.stage("copying the snapshot")
        for piece in self._pieces_to_mark() if self._mark is not None else self._pieces_of_length():
            self._checker.feed(piece)
            output.write(piece)
        return self._checker.finish()

    def _introduce(self) -> None:
        self._client.command("REPLCONF", "capa", "eof")
        # 7.0 and later: the server won't keep us as a replica and won't send what comes after the snapshot.
        reply = self._client.pipeline(("REPLCONF", "rdb-only", "1"))[0]
        if isinstance(reply, ErrorReply) and "NOPERM" in reply.text:
            raise command_error(reply.text, command="REPLCONF", words=("REPLCONF",), peer=self._client.peer)
        self._guarded(lambda: self._client.send("SYNC"))

    def _refusal(self, text: str) -> LifeboatError:
        if text.startswith("NOMASTERLINK"):
            return RedisSyncFailed(
                f"{self._client.peer} is a replica that has lost its primary, and sends no snapshot until it is back.",
                hint="Back up the primary, or use method: bgsave on this host.",
                details={"server": self._client.peer},
            )
        return command_error(text, command="SYNC", words=("SYNC",), peer=self._client.peer)

    def _first_line(self) -> bytes:
        while True:
            line = self._client.read_line()
            if line:
                return line
            self._wait_on()

    def _pieces_of_length(self) -> t.Iterator[bytes]:
        while self._remaining > 0:
            piece = self._receive(min(_PIECE, self._remaining))
            self._remaining -= len(piece)
            yield piece

    def _pieces_to_mark(self) -> t.Iterator[bytes]:
        # The server sends nothing after the mark, so the stream is over when its last 40 bytes are the mark.
        held = b""
        while held != self._mark:
            data = held + self._receive(_PIECE)
            held = data[-MARK_BYTES:]
            yield data[:-MARK_BYTES]

    def _receive(self, limit: int) -> bytes:
        self._wait_on()
        piece = self._guarded(lambda: self._client.receive(limit))
        if not piece:
            raise self._cut_short("the server closed the connection")
        return piece

    def _wait_on(self) -> None:
        """Allow the next wait for bytes, within the deadline."""
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise RedisSyncFailed(
                f"{self._client.peer} did not send its snapshot within {self._timeout:g} seconds "
                f"({self._checker.size} bytes came).",
                hint="Raise timeout.",
                details={"seconds": self._timeout, "bytes": self._checker.size},
            )
        self._client.set_timeout(min(left, _LONGEST_SILENCE))

    _Result = t.TypeVar("_Result")

    def _guarded(self, action: t.Callable[[], _Result]) -> _Result:
        """Do something with the socket; its errors get their name."""
        self._wait_on()
        try:
            return action()
        except socket.timeout:
            self._wait_on()
            raise self._cut_short("nothing came for two minutes") from None
        except OSError as error:
            raise self._cut_short(error.strerror or str(error)) from error
        except ProtocolViolation as error:
            raise RedisUnreachable(f"{self._client.peer} does not speak the Redis protocol: {error}.") from error

    def _cut_short(self, why: str) -> RedisSyncFailed:
        return RedisSyncFailed(
            f"The snapshot of {self._client.peer} broke off after {self._checker.size} bytes: {why}.",
            hint="The server's log says why. A reader slower than the server is cut off: raise its "
            "client-output-buffer-limit replica and repl-timeout, or back up a replica.",
            details={"bytes": self._checker.size},
        )
