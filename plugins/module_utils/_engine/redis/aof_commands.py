# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks the commands of an append-only file while they stream by, without keeping them.

Source: loadSingleAppendOnlyFile in Redis's aof.c. Commands are arrays of strings in the Redis protocol, with lines
``#TS:<seconds>`` between them where ``aof-timestamp-enabled`` is on. A server that finds a file torn at its end drops
the last incomplete command, and with it the whole transaction (MULTI to EXEC) that the command belongs to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import AofInvalid

_LONGEST_LINE = 64 * 1024
# An argument that is not at hand whole is waited for up to this size; beyond it is skipped as it comes.
_LARGE_ARGUMENT = 256 * 1024
# proto-max-bulk-len can be raised, but not beyond memory; Redis itself limits argument counts to 2^31.
_LARGEST_LENGTH = 1 << 40
_MOST_DIGITS = 13
_TRANSACTION = re.compile(rb"\*1\r\n\$(?:5\r\n(MULTI)|4\r\n(EXEC))\r\n", re.IGNORECASE)
_TRANSACTION_MARKS = (b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n")
_LONGEST_TRANSACTION_MARK = 15
_TIMESTAMP = re.compile(rb"#TS:(\d{1,12})\s*")


@dataclass(frozen=True)
class CommandFacts:
    """What was walked. *torn* bytes at the end belong to a command or transaction that is not complete.

    Times are seconds since 1970, None without annotations. *untimed* counts the commands before the first annotation.
    """

    end: int
    commands: int
    torn: int
    first_timestamp: int | None
    last_timestamp: int | None
    lowest_timestamp: int | None = None
    highest_timestamp: int | None = None
    untimed: int = 0


class CommandWalker:
    """Takes a file in pieces of any size; memory is bounded by a piece and a quarter of a megabyte."""

    def __init__(self, *, name: str, offset: int = 0, through: int | None = None) -> None:
        """*name* is for messages; *offset* is where in the file the first byte stands.

        *through* (seconds since 1970) has ``cut`` noted: the offset before everything that is annotated as later.
        """
        self.cut: int | None = None
        self._through = through
        self._name = name
        self._buffer = b""
        self._base = offset  # where in the file the buffer begins
        self._whole = offset  # where the last complete command outside a transaction ends
        self._arguments = 0  # still to come of the current command
        self._skip = 0  # still to come of a large argument
        self._line_end_due = False  # after a large argument
        self._in_transaction = False
        self._commands = 0
        self._first_timestamp: int | None = None
        self._last_timestamp: int | None = None
        self._lowest_timestamp: int | None = None
        self._highest_timestamp: int | None = None
        self._untimed: int | None = None

    @property
    def whole(self) -> int:
        """The offset behind the last command that is complete, and not inside of a transaction that is not."""
        return self._whole

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises AofInvalid where a server would stop with a format error."""
        buffer = self._buffer + data if self._buffer else data
        position = self._finish_large_argument(buffer)
        if not self._skip and not self._line_end_due:
            position = self._walk(buffer, position)
        self._buffer = buffer[position:]
        self._base += position

    def finish(self) -> CommandFacts:
        """The facts at the end of the file."""
        end = self._base + len(self._buffer)
        return CommandFacts(
            end=end,
            commands=self._commands,
            torn=end - self._whole,
            first_timestamp=self._first_timestamp,
            last_timestamp=self._last_timestamp,
            lowest_timestamp=self._lowest_timestamp,
            highest_timestamp=self._highest_timestamp,
            untimed=self._commands if self._untimed is None else self._untimed,
        )

    def _walk(self, buffer: bytes, position: int) -> int:
        """Take everything that is at hand and return where the rest begins. The inner loop decides the speed."""
        find = buffer.find
        size = len(buffer)
        while True:
            if not self._arguments:
                following = self._between_commands(buffer, position)
                if following is None:
                    return position
                position = following
            while self._arguments:
                end = find(b"\r\n", position, position + _LONGEST_LINE)
                if end < 0:
                    self._refuse_endless_line(buffer, position)
                    return position
                digits = buffer[position + 1 : end]
                if buffer[position] != 0x24 or not digits.isdigit() or len(digits) > _MOST_DIGITS:
                    raise self._invalid(position, "no length of an argument")
                following = end + 4 + int(digits)
                if following > size:
                    return self._large_argument(buffer, position, end + 2, length=int(digits))
                if buffer[following - 2 : following] != b"\r\n":
                    raise self._invalid(position, "an argument of another length than it says")
                position = following
                self._arguments -= 1
            if not self._in_transaction:
                self._whole = self._base + position

    def _between_commands(self, buffer: bytes, position: int) -> int | None:
        """Take the head of a command, MULTI or EXEC as a whole, or an annotation; None when it is not at hand whole."""
        end = buffer.find(b"\n", position, position + _LONGEST_LINE)
        if end < 0:
            self._refuse_endless_line(buffer, position)
            return None
        mark = buffer[position]
        if mark == 0x23:  # '#'
            self._take_annotation(buffer[position : end + 1])
            return end + 1
        digits = buffer[position + 1 : end - 1]
        if mark != 0x2A or buffer[end - 1] != 0x0D or not digits.isdigit() or len(digits) > _MOST_DIGITS:
            raise self._invalid(position, "neither a command nor an annotation")
        if digits == b"1":
            transaction = _TRANSACTION.match(buffer, position)
            if transaction is not None:
                self._in_transaction = transaction[1] is not None
                return transaction.end()
            if len(buffer) - position < _LONGEST_TRANSACTION_MARK:
                begun = buffer[position:].upper()
                if any(mark.startswith(begun) for mark in _TRANSACTION_MARKS):
                    return None
        self._arguments = int(digits)
        if not self._arguments:
            raise self._invalid(position, "a command without a name")
        self._commands += 1
        return end + 1

    def _take_annotation(self, line: bytes) -> None:
        found = _TIMESTAMP.fullmatch(line)
        if found is None:
            return
        seconds = int(found[1])
        if self._first_timestamp is None:
            self._first_timestamp = self._lowest_timestamp = self._highest_timestamp = seconds
            self._untimed = self._commands
        self._last_timestamp = seconds
        self._lowest_timestamp = min(seconds, self._lowest_timestamp or seconds)
        self._highest_timestamp = max(seconds, self._highest_timestamp or seconds)
        if self._through is not None and self.cut is None and seconds > self._through:
            self.cut = self._whole

    def _large_argument(self, buffer: bytes, position: int, start: int, *, length: int) -> int:
        """Wait for the rest of an argument, or begin to skip it when it is large; return where the rest begins."""
        if length > _LARGEST_LENGTH:
            raise self._invalid(position, "an argument larger than any memory")
        if length <= _LARGE_ARGUMENT:
            return position
        at_hand = min(len(buffer) - start, length)
        self._skip = length - at_hand
        self._line_end_due = True
        return start + at_hand

    def _finish_large_argument(self, buffer: bytes) -> int:
        position = min(self._skip, len(buffer))
        self._skip -= position
        if self._skip or not self._line_end_due or len(buffer) - position < 2:
            return position
        if buffer[position : position + 2] != b"\r\n":
            raise self._invalid(position, "an argument of another length than it says")
        self._line_end_due = False
        self._arguments -= 1
        if not self._arguments and not self._in_transaction:
            self._whole = self._base + position + 2
        return position + 2

    def _refuse_endless_line(self, buffer: bytes, position: int) -> None:
        if len(buffer) - position >= _LONGEST_LINE:
            raise self._invalid(position, "a line without an end")

    def _invalid(self, position: int, what: str) -> AofInvalid:
        offset = self._base + position
        return AofInvalid(
            f"{self._name} is damaged at byte {offset}: {what}.",
            hint="Run on the server: redis-cli BGREWRITEAOF, and back up again; redis-check-aof shows the damage.",
            details={"file": self._name, "offset": offset},
        )
