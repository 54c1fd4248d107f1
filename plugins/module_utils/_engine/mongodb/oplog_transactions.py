# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which transactions are open at a point of the oplog: entries of them were seen, but not their end. Pure.

A large transaction takes several entries: ``applyOps`` with *partialTxn*, and a last one without, or with *prepare* and
then ``commitTransaction`` or ``abortTransaction`` at any later time. Whoever replays its end needs all of them.
"""

from __future__ import annotations

import hashlib
import typing as t

from .oplog_entry import OplogEntry, has_predecessor, is_set, transaction_of
from .oplog_marks import term_of
from .oplog_slice import OpenTransaction
from .timestamps import Position

_COMMANDS = ("applyOps", "commitTransaction", "abortTransaction")


class OpenTransactions:
    """Fed with every entry in order, beginning with the transactions that are *known* to be open."""

    def __init__(self, known: t.Iterable[OpenTransaction] = ()) -> None:
        self._open = {one.key: one for one in known}

    @property
    def first(self) -> Position | None:
        """The oldest entry of a transaction that is open now."""
        return min((one.first for one in self._open.values()), default=None)

    def all(self) -> tuple[OpenTransaction, ...]:
        """Those that are open now, the oldest first."""
        return tuple(sorted(self._open.values(), key=lambda one: (one.first, one.key)))

    def take(self, entry: OplogEntry, *, position: Position) -> None:
        """Take the next entry. Raises MalformedBson."""
        if entry.kind == "n":
            if self._open:
                self._only_of(term_of(entry.raw))
        elif entry.kind == "c":
            self._command(entry, position=position)

    def lacks_beginning(self, entry: OplogEntry) -> bool:
        """Whether an entry goes on with, or commits, a transaction whose earlier entries were not read."""
        key = _key(entry)
        if key is None or key in self._open or entry.command == "abortTransaction":
            return False
        return entry.command == "commitTransaction" or has_predecessor(entry)

    def _command(self, entry: OplogEntry, *, position: Position) -> None:
        key = _key(entry)
        if key is None:
            return
        is_part = entry.command == "applyOps"
        is_prepared = is_part and is_set(entry, b"prepare")
        if not is_prepared and not (is_part and is_set(entry, b"partialTxn")):
            self._open.pop(key, None)
            return
        before = self._open.get(key)
        if before is None and has_predecessor(entry):
            return  # its beginning was never read: it is of no use to anybody
        first = position if before is None else before.first
        self._open[key] = OpenTransaction(key=key, first=first, term=term_of(entry.raw), prepared=is_prepared)

    def _only_of(self, term: int) -> None:
        """A primary of *term* writes: what earlier ones began and did not prepare never ends any more."""
        self._open = {key: one for key, one in self._open.items() if one.prepared or one.term >= term}


def _key(entry: OplogEntry) -> str | None:
    """What tells the transaction of an entry from all others; None for an entry that is no part or end of one."""
    if entry.kind != "c" or entry.command not in _COMMANDS:
        return None
    transaction = transaction_of(entry)
    if transaction is None or entry.field(b"multiOpType") is not None:  # a vectored insert is no transaction
        return None
    return hashlib.sha256(transaction).hexdigest()[:16]
