# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaying an oplog onto the collections that were just loaded: that in an archive, or stored slices behind it.

The rules are those of genuine mongorestore (mongo-tools: mongorestore/oplog.go), but for four: operations are applied
in batches, they may go to other names, collections may change their names, and the end of a transaction whose beginning
is missing is an error.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, MongoArchiveInvalid, MongoOplogNotReplayable, RecoveryEndedEarly
from . import bson_bytes
from .apply_ops import ApplyOps
from .bson_bytes import MalformedBson
from .load_plans import IndexPlan, ViewPlan
from .namespace_map import BUCKETS, NamespaceMap
from .namespaces import is_backed_up_database
from .oplog_commands import ARCHIVE, MakeDirect, OplogCommands, Origin
from .oplog_entry import OplogEntry, has_predecessor, operation_on, read_entry, transaction_of
from .oplog_parts import TransactionParts, is_part
from .oplog_skips import Skip, Skips, Touched
from .reply import each_document
from .timestamps import Position, as_json

if t.TYPE_CHECKING:
    from .connection import Client

_VIEWS = "system.views"
_PEOPLE = ("system.users", "system.roles")


@dataclass(frozen=True)
class ReplaySettings:
    """What of an oplog is replayed onto what.

    What the base is loaded from has everything up to *after* (None: nothing of this oplog); transactions that began
    before and ended behind it are replayed whole. Nothing at *stop* or behind it is replayed. *skip* is left out.
    *exact*: the base is all of one moment, see :class:`apply_ops.ApplyOps`. Users and roles are taken when they are of
    the databases *users_of*; None: all.
    """

    after: Position | None = None
    stop: Position | None = None
    skip: tuple[Skip, ...] = ()
    exact: bool = False
    users_of: frozenset[str] | None = None
    origin: Origin = ARCHIVE


@dataclass(frozen=True)
class ReplayReport:
    """What was replayed: *entries* of the oplog were read, *operations* applied; the last one has position *end*.

    *missed* operations found nothing to change, because one before them was left out.
    """

    entries: int
    operations: int
    end: Position | None
    missed: int = 0

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "entries": self.entries,
            "operations": self.operations,
            "end": None if self.end is None else {"t": self.end[0], "i": self.end[1]},
        }


class OplogReplay:
    """One replay, fed in order; close() must follow. *indexes* and *views* are what has to be made after it.

    *reached* says that the stop was seen. *skips* has the account of what was left out, *gone* sentences about
    collections that left what is taken.
    """

    def __init__(
        self,
        *,
        client: Client,
        names: NamespaceMap,
        users_into: str | None,
        make_direct: MakeDirect | None = None,
        settings: ReplaySettings | None = None,
        plans: tuple[IndexPlan, ViewPlan] | None = None,
    ) -> None:
        self._settings = settings or ReplaySettings()
        self.indexes, self.views = plans or (IndexPlan(), ViewPlan())
        self.skips = Skips(self._settings.skip)
        self.reached = False
        self._names = names
        self._users_into = users_into
        self._operations = ApplyOps(client, exact=self._settings.exact)
        self._commands = OplogCommands(
            client=client,
            names=names,
            operations=self._operations,
            indexes=self.indexes,
            views=self.views,
            make_direct=make_direct,
            origin=self._settings.origin,
        )
        self._entries = 0
        self._last: Position | None = None
        self._last_of_piece: Position | None = None
        # Where each namespace goes; forgotten after every command, which may change that.
        self._targets: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._sources: dict[str, str] = {}
        self._open = TransactionParts()

    @property
    def gone(self) -> tuple[str, ...]:
        """Sentences about collections that were renamed to where nothing is taken."""
        return tuple(self._commands.gone)

    def forgive(self, full_name: str) -> None:
        """Operations on this collection (``database.name`` in the oplog) may find nothing to change."""
        database, _dot, name = full_name.partition(".")
        target = self._target(database, name)
        if target is not None:
            self._operations.forgive(".".join(target))

    def begin_piece(self) -> None:
        """What comes next may repeat entries that were taken before: they are passed over."""
        self._last_of_piece = None

    def take(self, documents: bytes) -> None:
        """Replay some entries, one after the other as bytes; an entry that was taken before is passed over.

        Raises MongoOplogNotReplayable, and for what is no oplog MongoArchiveInvalid or RecoveryEndedEarly.
        """
        self.take_entries(each_document(documents))

    def take_entries(self, entries: t.Iterable[bytes]) -> None:
        """As take(), one by one."""
        try:
            for raw in entries:
                self._next(read_entry(raw))
        except MalformedBson as error:
            raise self._unreadable(error) from error

    def finish(self) -> ReplayReport:
        """Apply what is left. A transaction that has not ended by now had not been committed then."""
        self._operations.flush()
        self._operations.require_paid()
        self.close()
        return ReplayReport(
            entries=self._entries,
            operations=self._operations.applied,
            end=self._last,
            missed=self._operations.missed,
        )

    def close(self) -> None:
        """End what is still being done, without what was not begun. Fit to be called twice."""
        self._operations.close()
        self._open.close()

    def _next(self, entry: OplogEntry) -> None:
        position = entry.position()
        if self._last_of_piece is not None and position < self._last_of_piece:
            raise MalformedBson("its oplog is out of order")
        self._last_of_piece = position
        if self._last is not None and position <= self._last:
            return
        stop, after = self._settings.stop, self._settings.after
        if stop is not None and position >= stop:
            self.reached = True
            return
        self._last = position
        self._entries += 1
        if after is not None and position <= after:
            self._keep_parts(entry)
        else:
            self._take(entry, position, None)

    def _take(self, entry: OplogEntry, position: Position, ordinal: int | None) -> None:
        if entry.kind == "c" and entry.command in ("applyOps", "commitTransaction", "abortTransaction"):
            self._transaction(entry, position)
        elif entry.kind in ("i", "u", "d", "c"):
            if self._settings.skip and self._is_left_out(entry, position, ordinal):
                return
            if entry.kind == "c":
                self._targets.clear()
                self._commands.run(entry)
            else:
                self._change(entry)
        # n: no operation; km, cd, ci and so on don't concern collections

    def _change(self, entry: OplogEntry) -> None:
        if entry.name == _VIEWS:
            if self._names.database(entry.database) is not None:
                self._commands.view(entry)
            return
        key = (entry.database, entry.name)
        if key in self._targets:
            target = self._targets[key]
        else:
            target = self._targets[key] = self._target(entry.database, entry.name)
        if target is None or (entry.database == "admin" and not self._is_wanted(entry)):
            return
        self._operations.add(f"{target[0]}.{target[1]}", operation_on(entry, database=target[0], name=target[1]))

    def _target(self, database: str, name: str) -> tuple[str, str] | None:
        if database == "admin" and name in _PEOPLE:
            kind = name[len("system.") :]
            return None if self._users_into is None else ("admin", f"{self._users_into}.{kind}")
        if database == "config" or not is_backed_up_database(database):
            return None
        if name.startswith("system.") and name != "system.js" and not name.startswith(BUCKETS):
            return None
        target = self._names.target(database, name)
        if target is not None and self._sources.setdefault(target[0], database) != database:
            raise MongoOplogNotReplayable(
                f"The databases {self._sources[target[0]]} and {database} would both become {target[0]}.",
                hint="Give each a name of its own with rename.",
            )
        return target

    def _is_wanted(self, entry: OplogEntry) -> bool:
        """Whether a change in the database admin is: a user's or role's when it is of a wanted database."""
        if entry.name not in _PEOPLE or self._settings.users_of is None:
            return True
        body = entry.field(b"o2") if entry.kind == "u" else entry.body
        key = None if body is None else bson_bytes.find(entry.raw, b"_id", position=body.start, end=body.end)
        if key is None or key.type != bson_bytes.STRING:
            return True
        database, _dot, _name = bson_bytes.text(entry.raw, key).partition(".")
        return database in self._settings.users_of

    def _transaction(self, entry: OplogEntry, position: Position) -> None:
        name = entry.command
        if name == "applyOps":
            self._apply_ops(entry, position)
            return
        transaction = self._transaction_key(entry)
        if name == "abortTransaction":
            self._open.forget(transaction)
            return
        if transaction not in self._open:
            raise self._cut(entry)
        self._take_parts(transaction, left_out=self.skips.takes_all(position))

    def _apply_ops(self, entry: OplogEntry, position: Position) -> None:
        transaction = transaction_of(entry)
        if transaction is None or entry.field(b"multiOpType") is not None:  # a vectored insert, no transaction
            self._take_operations(entry, position)
            return
        if has_predecessor(entry) and transaction not in self._open:
            raise self._cut(entry)
        if is_part(entry):
            self._open.keep(transaction, entry)
            return
        left_out = self.skips.takes_all(position)
        self._take_parts(transaction, left_out=left_out)
        self._take_operations(entry, position, left_out=left_out)

    def _keep_parts(self, entry: OplogEntry) -> None:
        """Of what the base has, only transactions matter that end behind it."""
        if entry.kind != "c":
            return
        name, transaction = entry.command, transaction_of(entry)
        if transaction is None or entry.field(b"multiOpType") is not None:
            return
        if name != "applyOps" or not is_part(entry):
            self._open.forget(transaction)
        elif transaction in self._open or not has_predecessor(entry):
            self._open.keep(transaction, entry)
        # else its beginning was not read: its end is refused, should it come behind the base

    def _take_parts(self, transaction: bytes, *, left_out: bool) -> None:
        """The parts of a transaction that ended well, in order."""
        for entry in self._open.take(transaction):
            self._take_operations(entry, entry.position(), left_out=left_out)

    def _take_operations(self, entry: OplogEntry, position: Position, *, left_out: bool = False) -> None:
        for ordinal, operation in enumerate(entry.operations()):
            if left_out:
                self._leave_out(operation, position, ordinal)
            else:
                self._take(operation, position, ordinal)

    def _is_left_out(self, operation: OplogEntry, position: Position, ordinal: int | None) -> bool:
        if self.skips.is_left_out(position, ordinal or 0):
            self._leave_out(operation, position, ordinal)
            return True
        if self.skips.any_met:
            self.skips.pass_by(operation, position=position, ordinal=ordinal)
        return False

    def _leave_out(self, operation: OplogEntry, position: Position, ordinal: int | None) -> None:
        touched: Touched = self.skips.leave_out(operation, position=position, ordinal=ordinal)
        for full in touched.namespaces:
            database, _dot, name = full.partition(".")
            target = self._target(database, name) if name else None
            if target is not None:
                self._operations.forgive(".".join(target), touched.document)

    def _transaction_key(self, entry: OplogEntry) -> bytes:
        found = transaction_of(entry)
        if found is None:
            raise MalformedBson("the end of a transaction does not say which")
        return found

    def _cut(self, entry: OplogEntry) -> MongoOplogNotReplayable:
        seconds, ordinal = entry.position()
        origin = self._settings.origin
        return MongoOplogNotReplayable(
            f"The oplog entry {seconds}:{ordinal} ends a transaction whose beginning is not in {origin.whole}.",
            hint=origin.hint,
            details={"t": seconds, "i": ordinal},
        )

    def _unreadable(self, error: MalformedBson) -> LifeboatError:
        if self._settings.origin.whole == ARCHIVE.whole:
            return MongoArchiveInvalid(
                f"The archive's oplog can't be read: {error}.",
                hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
            )
        behind = "" if self._last is None else f" behind {as_json(self._last)['time']}"
        return RecoveryEndedEarly(
            f"The stored oplog can't be read{behind}: {error}.",
            hint="Recover to an earlier moment; lifeboat windows shows which can be reached.",
            details={"last": None if self._last is None else as_json(self._last)},
        )
