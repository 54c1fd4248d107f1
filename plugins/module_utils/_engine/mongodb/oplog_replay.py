# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaying the oplog in an archive onto the collections that were just loaded: it brings all to one moment.

The rules are those of genuine mongorestore (mongo-tools: mongorestore/oplog.go), but for three: operations are applied
in batches, they may go to other names, and the end of a transaction whose beginning is missing is an error.
"""

from __future__ import annotations

import tempfile
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoArchiveInvalid, MongoOplogNotReplayable
from .apply_ops import ApplyOps
from .bson_bytes import MalformedBson
from .load_plans import IndexPlan, ViewPlan
from .namespace_map import BUCKETS, NamespaceMap
from .oplog_commands import MakeDirect, OplogCommands
from .oplog_entry import OplogEntry, has_predecessor, is_set, operation_on, read_entry, transaction_of
from .oplog_lint import entry_time
from .reply import each_document
from .timestamps import Position

if t.TYPE_CHECKING:
    from .connection import Client

_SPOOL_BYTES = 4 * 1024 * 1024
_VIEWS = "system.views"


@dataclass(frozen=True)
class ReplayReport:
    """What was replayed: *entries* of the oplog were read, *operations* applied; the last one has position *end*."""

    entries: int
    operations: int
    end: Position | None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "entries": self.entries,
            "operations": self.operations,
            "end": None if self.end is None else {"t": self.end[0], "i": self.end[1]},
        }


class OplogReplay:
    """One replay, fed in order. *indexes* and *views* are what has to be made after it."""

    def __init__(
        self,
        *,
        client: Client,
        names: NamespaceMap,
        users_into: str | None,
        make_direct: MakeDirect | None = None,
    ) -> None:
        self.indexes = IndexPlan()
        self.views = ViewPlan()
        self._names = names
        self._users_into = users_into
        self._operations = ApplyOps(client)
        self._commands = OplogCommands(
            client=client,
            names=names,
            operations=self._operations,
            indexes=self.indexes,
            views=self.views,
            make_direct=make_direct,
        )
        self._entries = 0
        self._last: Position | None = None
        # The parts of transactions that have not ended yet; large ones wait on disk.
        self._open: dict[bytes, t.IO[bytes]] = {}

    def take(self, documents: bytes) -> None:
        """Replay some entries, one after the other as bytes; an entry that was taken before is passed over.

        Raises MongoOplogNotReplayable, and MongoArchiveInvalid for what is no oplog.
        """
        try:
            for raw in each_document(documents):
                position = entry_time(raw)
                if self._last is not None and position <= self._last:
                    if position == self._last:
                        continue
                    raise MalformedBson("its oplog is out of order")
                self._last = position
                self._entries += 1
                self._take(read_entry(raw))
        except MalformedBson as error:
            raise MongoArchiveInvalid(
                f"The archive's oplog can't be read: {error}.",
                hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
            ) from error

    def finish(self) -> ReplayReport:
        """Apply what is left. A transaction that has not ended by now had not been committed then."""
        for parts in self._open.values():
            parts.close()
        self._open.clear()
        self._operations.flush()
        self._operations.require_paid()
        return ReplayReport(entries=self._entries, operations=self._operations.applied, end=self._last)

    def _take(self, entry: OplogEntry) -> None:
        if entry.kind in ("i", "u", "d"):
            self._change(entry)
        elif entry.kind == "c":
            self._command(entry)
        # n: no operation; km, cd, ci and so on don't concern collections

    def _change(self, entry: OplogEntry) -> None:
        if entry.name == _VIEWS:
            self._commands.view(entry)
            return
        target = self._target(entry)
        if target is not None:
            self._operations.add(f"{target[0]}.{target[1]}", operation_on(entry, database=target[0], name=target[1]))

    def _target(self, entry: OplogEntry) -> tuple[str, str] | None:
        if entry.database == "admin" and entry.name in ("system.users", "system.roles"):
            kind = entry.name[len("system.") :]
            return None if self._users_into is None else ("admin", f"{self._users_into}.{kind}")
        if entry.database in ("config", "local"):
            return None
        if entry.name.startswith("system.") and entry.name != "system.js" and not entry.name.startswith(BUCKETS):
            return None
        return self._names.target(entry.database, entry.name)

    def _command(self, entry: OplogEntry) -> None:
        name = entry.command
        if name == "applyOps":
            self._apply_ops(entry)
        elif name == "commitTransaction":
            self._commit(entry)
        elif name == "abortTransaction":
            parts = self._open.pop(self._transaction(entry), None)
            if parts is not None:
                parts.close()
        else:
            self._commands.run(entry)

    def _apply_ops(self, entry: OplogEntry) -> None:
        transaction = transaction_of(entry)
        is_several = entry.field(b"multiOpType") is not None  # a vectored insert, no transaction
        if transaction is None or is_several:
            self._take_operations(entry)
            return
        if has_predecessor(entry) and transaction not in self._open:
            raise self._cut(entry)
        if is_set(entry, b"partialTxn") or is_set(entry, b"prepare"):
            if transaction not in self._open:
                self._open[transaction] = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 closed at its end
            self._open[transaction].write(entry.raw)
            return
        self._take_parts(transaction)
        self._take_operations(entry)

    def _commit(self, entry: OplogEntry) -> None:
        transaction = self._transaction(entry)
        if transaction not in self._open:
            raise self._cut(entry)
        self._take_parts(transaction)

    def _take_parts(self, transaction: bytes) -> None:
        """The parts of a transaction that ended well, in order."""
        parts = self._open.pop(transaction, None)
        if parts is None:
            return
        with parts:
            parts.seek(0)
            while True:
                head = parts.read(4)
                if not head:
                    return
                raw = head + parts.read(int.from_bytes(head, "little") - 4)
                self._take_operations(read_entry(raw))

    def _take_operations(self, entry: OplogEntry) -> None:
        for operation in entry.operations():
            self._take(operation)

    def _transaction(self, entry: OplogEntry) -> bytes:
        found = transaction_of(entry)
        if found is None:
            raise MalformedBson("the end of a transaction does not say which")
        return found

    def _cut(self, entry: OplogEntry) -> MongoOplogNotReplayable:
        seconds, ordinal = entry_time(entry.raw)
        return MongoOplogNotReplayable(
            f"The oplog entry {seconds}:{ordinal} ends a transaction whose beginning is not in the archive.",
            hint="Restore another backup: lifeboat list shows them.",
            details={"t": seconds, "i": ordinal},
        )
