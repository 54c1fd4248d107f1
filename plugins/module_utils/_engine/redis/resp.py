# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Redis protocol (RESP2): commands as arrays of strings out, one reply each in.

Source: "Redis serialization protocol specification", redis.io. A client is a socket and a buffer; it knows nothing of
names, passwords or TLS (``connection.py``) nor of what a reply means.
"""

from __future__ import annotations

import socket
import typing as t

from .faults import command_error, connection_lost

Word = t.Union[str, bytes, int]
Reply = t.Union[bytes, int, None, t.Sequence["Reply"]]

# INFO and CONFIG GET answer with some kilobytes; anything beyond is not an answer to what is asked here.
_LARGEST_REPLY = 64 * 1024 * 1024
_LONGEST_LINE = 64 * 1024
_RECEIVE = 64 * 1024


class ErrorReply(Exception):
    """The server answered with an error; *text* is its line without the leading dash."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ProtocolViolation(Exception):
    """What the other side sent is not RESP; *start* holds the first bytes of it."""

    def __init__(self, start: bytes) -> None:
        super().__init__(repr(start[:32]))
        self.start = start


class RespClient:
    """One connection. Not thread-safe."""

    def __init__(self, *, stream: socket.socket, peer: str) -> None:
        """*peer* is what messages call the server: "127.0.0.1:6379"."""
        self.peer = peer
        self.stream = stream
        self._buffer = bytearray()

    def command(self, *words: Word) -> Reply:
        """Send one command and return its reply.

        Raises the named error of ``faults`` for an error reply or a broken connection.
        """
        reply = self.pipeline(words)[0]
        if isinstance(reply, ErrorReply):
            raise command_error(reply.text, command=str(words[0]), words=words, peer=self.peer)
        return reply

    def pipeline(self, *commands: t.Sequence[Word]) -> list[Reply | ErrorReply]:
        """Send several commands in one write and return their replies in order, error replies as values.

        A server that gets them in one piece runs them without another client's command between them.
        """
        try:
            self.stream.sendall(b"".join(encode(words) for words in commands))
            return [self._reply_or_error() for _command in commands]
        except (OSError, ProtocolViolation) as error:
            raise connection_lost(error, doing=str(commands[0][0]), peer=self.peer) from error

    def send(self, *words: Word) -> None:
        """Send one command without reading its reply. Raises ``OSError``."""
        self.stream.sendall(encode(words))

    def set_timeout(self, seconds: float) -> None:
        """How long one wait for bytes may take from now on."""
        self.stream.settimeout(max(seconds, 0.001))

    def read_line(self) -> bytes:
        """The next line without its end. Raises ``OSError`` and ProtocolViolation."""
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line[:-1] if line.endswith(b"\r") else line
            if len(self._buffer) > _LONGEST_LINE:
                raise ProtocolViolation(bytes(self._buffer[:32]))
            self._fill()

    def receive(self, limit: int) -> bytes:
        """The next bytes, at least one and at most *limit*; empty at the end of the stream. Raises ``OSError``."""
        if self._buffer:
            piece = bytes(self._buffer[:limit])
            del self._buffer[:limit]
            return piece
        return self.stream.recv(limit)

    def close(self) -> None:
        """Close the connection; may be called more than once."""
        self.stream.close()

    def _fill(self) -> None:
        piece = self.stream.recv(_RECEIVE)
        if not piece:
            raise ConnectionResetError("closed by the server")
        self._buffer += piece

    def _reply_or_error(self) -> Reply | ErrorReply:
        try:
            return self._reply()
        except ErrorReply as error:
            return error

    def _reply(self) -> Reply:
        line = self.read_line()
        mark, rest = line[:1], line[1:]
        if mark == b"+":
            return rest
        if mark == b"-":
            raise ErrorReply(rest.decode("utf-8", "replace"))
        if mark == b":":
            return self._number(line)
        if mark == b"$":
            return self._bulk(self._number(line))
        if mark == b"*":
            count = self._number(line)
            return None if count < 0 else [self._reply() for _element in range(count)]
        raise ProtocolViolation(line)

    def _number(self, line: bytes) -> int:
        try:
            number = int(line[1:])
        except ValueError:
            raise ProtocolViolation(line) from None
        if line[:1] in (b"$", b"*") and number > _LARGEST_REPLY:
            raise ProtocolViolation(line)
        return number

    def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        while len(self._buffer) < length + 2:
            self._fill()
        body = bytes(self._buffer[:length])
        del self._buffer[: length + 2]
        return body


def encode(words: t.Sequence[Word]) -> bytes:
    """A command as it goes over the wire."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
