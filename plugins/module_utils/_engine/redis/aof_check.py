# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an append-only file is whole: walked while it streams by, in constant memory.

A file is commands; or an RDB; or, before Redis 7.0 and after an upgrade from there, an RDB with commands after it. The
RDB's end is written nowhere: it is where the checksum fits everything before.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..core.errors import AofInvalid, RdbInvalid
from .aof_commands import CommandFacts, CommandWalker
from .rdb import CHECKSUM_BYTES, RdbChecker, RdbFacts

_RDB_MAGICS = (b"REDIS", b"VALKEY")
_LONGEST_MAGIC = 6
_END_BYTES = CHECKSUM_BYTES + 1
# The end mark of an RDB, its checksum, and the begin of a command.
_PREAMBLE_END = re.compile(rb"\xff.{8}(?=\*\d{1,7}\r\n\$\d{1,12}\r\n)", re.DOTALL)
_OVERLAP = 64


@dataclass(frozen=True)
class AofFacts:
    """A file that was walked to its end. Sizes in bytes, times in seconds since 1970.

    *torn* bytes at the end belong to a command or transaction that was not complete when the length was frozen; a
    server drops them at load (``aof-load-truncated yes``, the default).
    """

    size: int
    rdb: RdbFacts | None
    commands: int = 0
    torn: int = 0
    first_timestamp: int | None = None
    last_timestamp: int | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for the manifest."""
        return {
            "size": self.size,
            "rdb": None if self.rdb is None else self.rdb.as_dict(),
            "commands": self.commands,
            "torn_bytes": self.torn,
            "first_timestamp": self.first_timestamp,
            "last_timestamp": self.last_timestamp,
        }


class AofChecker:
    """Takes one file in pieces of any size."""

    def __init__(self, *, name: str) -> None:
        """*name* is for messages."""
        self._name = name
        self._start = b""
        self._walker: CommandWalker | _RdbWalker | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises AofInvalid and RdbInvalid where it is clear already."""
        if self._walker is not None:
            self._walker.feed(data)
            return
        self._start += data
        if len(self._start) >= _LONGEST_MAGIC:
            self._begin()

    def finish(self, *, last: bool) -> AofFacts:
        """The facts of the whole file; only the *last* file of a set may be torn. Raises AofInvalid and RdbInvalid."""
        walker = self._walker or self._begin()
        facts = walker.finish()
        if isinstance(facts, CommandFacts):
            facts = _with_commands(None, facts)
        if facts.torn and not last:
            raise AofInvalid(
                f"{self._name} ends in the middle of a command, and another file follows it: a server refuses that.",
                hint="Run on the server: redis-cli BGREWRITEAOF, and back up again.",
                details={"file": self._name, "torn_bytes": facts.torn},
            )
        return facts

    def _begin(self) -> CommandWalker | _RdbWalker:
        if self._start.startswith(_RDB_MAGICS):
            walker: CommandWalker | _RdbWalker = _RdbWalker(name=self._name)
        else:
            walker = CommandWalker(name=self._name)
        walker.feed(self._start)
        self._walker = walker
        self._start = b""
        return walker


class _RdbWalker:
    """Walks an RDB and whatever commands follow it."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._checker = RdbChecker()
        self._window = b""
        self._rdb: RdbFacts | None = None
        self._commands: CommandWalker | None = None

    def feed(self, data: bytes) -> None:
        if self._commands is not None:
            self._commands.feed(data)
            return
        window = self._window + data
        fed = 0
        for found in _PREAMBLE_END.finditer(window):
            self._checker.feed(memoryview(window)[fed : found.start()])
            fed = found.start()
            if self._ends_with(found[0]):
                self._commands = CommandWalker(name=self._name, offset=self._checker.size + _END_BYTES)
                self._commands.feed(window[found.end() :])
                self._window = b""
                return
        keep = max(fed, len(window) - _OVERLAP)
        self._checker.feed(memoryview(window)[fed:keep])
        self._window = window[keep:]

    def finish(self) -> AofFacts:
        if self._commands is not None:
            return _with_commands(self._rdb, self._commands.finish())
        self._checker.feed(self._window)
        self._window = b""
        rdb = self._checker.finish()
        return AofFacts(size=rdb.size, rdb=rdb)

    def _ends_with(self, end: bytes) -> bool:
        try:
            self._rdb = self._checker.result_with(end)
        except RdbInvalid:
            return False
        return True


def _with_commands(rdb: RdbFacts | None, facts: CommandFacts) -> AofFacts:
    return AofFacts(
        size=facts.end,
        rdb=rdb,
        commands=facts.commands,
        torn=facts.torn,
        first_timestamp=facts.first_timestamp,
        last_timestamp=facts.last_timestamp,
    )
