# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting the entries of a chain into slices: each is whole and begins with the entry that the one before ends with."""

from __future__ import annotations

import hashlib
import tempfile
import typing as t
from dataclasses import dataclass

from ..core.errors import MongoOplogMoved
from . import bson_bytes
from .oplog_chain import Chain
from .oplog_entry import OplogEntry, read_entry
from .oplog_lint import stream_objection
from .oplog_marks import is_periodic, mark_of
from .oplog_slice import Objection, OplogSlice
from .oplog_transactions import OpenTransactions
from .timestamps import Position, position_text

# What is larger waits in a file without a name, on the spool's own disk.
_IN_MEMORY = 4 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """A slice ends with the entry that reaches either."""

    entries: int
    size: int


@dataclass(frozen=True)
class ReadFrom:
    """Which server the entries come from."""

    member: str
    version: str


Put = t.Callable[[OplogSlice, t.BinaryIO], None]


class Slicer:
    """Fed with the entries of *chain* in order, beginning with the one that it ended with.

    Every finished slice goes to *put* together with its bytes. close() must follow.
    """

    def __init__(self, *, chain: Chain, limits: Limits, read_from: ReadFrom, folder: str, put: Put) -> None:
        self.chain = chain
        self._limits = limits
        self._read_from = read_from
        self._folder = folder
        self._put = put
        self._open = OpenTransactions(chain.open)
        self._objections: list[Objection] = []
        self._slice: _Slice | None = None

    def close(self) -> None:
        """Free what was not put."""
        self._drop()

    @property
    def open_first(self) -> Position | None:
        """The oldest entry of a transaction that is open after the last entry taken."""
        return self._open.first

    def take(self, raw: bytes) -> Objection | None:
        """Take the next entry; one that can't be replayed is not taken and returned.

        Raises MalformedBson, and MongoOplogMoved when the first entry is not the one that the chain ends with.
        """
        entry = read_entry(raw)
        position = entry.position()
        if self._slice is None:
            self._begin(raw, entry, position=position)
            return None
        if position <= self._slice.last:
            raise bson_bytes.MalformedBson("the oplog is out of order")
        objection = self._objection(entry, position=position)
        if objection is not None:
            return objection
        self._open.take(entry, position=position)
        self._slice.add(raw, position=position, is_idle=is_periodic(entry))
        if self._slice.added >= self._limits.entries or self._slice.size >= self._limits.size:
            self._finish(self._slice)
            self._slice = self._new(raw, position=position)
        return None

    def finish(self, *, until_idle: float | None) -> None:
        """Put what is left. With *until_idle* seconds, a slice that holds nothing but the server's own notes, and
        covers less than that, is left for the next time; so is nothing at all.
        """
        last = self._slice
        if last is None:
            return
        is_first = self.chain.is_new
        is_idle = last.is_idle and until_idle is not None and last.last[0] - last.first.position[0] < until_idle
        if is_first or (last.added and not is_idle):
            self._finish(last)
        self._drop()

    def _begin(self, raw: bytes, entry: OplogEntry, *, position: Position) -> None:
        """The first entry: known already, or the first of a new chain."""
        end = self.chain.end
        if end is not None and mark_of(raw) != end:
            raise moved(end.position)
        if end is None:
            self._objection(entry, position=position)
            self._open.take(entry, position=position)
        self._slice = self._new(raw, position=position)
        self._slice.is_idle = end is not None or is_periodic(entry)

    def _objection(self, entry: OplogEntry, *, position: Position) -> Objection | None:
        found = stream_objection(entry)
        if found is None:
            return None
        objection = Objection(position=position, cause=found[0], reason=found[1])
        if position > self.chain.bases_from:
            return objection
        self._objections.append(objection)  # no base that may use this chain is older
        return None

    def _new(self, raw: bytes, *, position: Position) -> _Slice:
        needs = position if self._open.first is None else min(position, self._open.first)
        return _Slice(raw, needs_from=needs, folder=self._folder)

    def _finish(self, one: _Slice) -> None:
        chain = self.chain
        made = OplogSlice(
            lineage=chain.lineage,
            first=one.first,
            last=mark_of(one.last_raw),
            entries=one.added + 1,
            size=one.size,
            sha256=one.digest.hexdigest(),
            replica_set=chain.replica_set,
            replica_set_id=chain.replica_set_id,
            server_version=self._read_from.version,
            feature_compatibility=chain.feature_compatibility,
            member=self._read_from.member,
            bases_from=chain.bases_from,
            needs_from=one.needs_from,
            open=self._open.all(),
            objections=tuple(self._objections),
            beginning=chain.beginning,
            idle=one.is_idle,
        )
        one.file.seek(0)
        self._put(made, one.file)
        self._objections = []
        self.chain = chain.after(made)
        self._drop()

    def _drop(self) -> None:
        if self._slice is not None:
            self._slice.file.close()
            self._slice = None


class _Slice:
    """The slice that grows."""

    def __init__(self, raw: bytes, *, needs_from: Position, folder: str) -> None:
        self.first = mark_of(raw)
        self.needs_from = needs_from
        self.added = 0
        self.size = 0
        self.is_idle = True
        self.digest = hashlib.sha256()
        self.file: t.Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=folder)  # noqa: SIM115 see _drop
        self._write(raw)
        self.last = self.first.position

    def add(self, raw: bytes, *, position: Position, is_idle: bool) -> None:
        self._write(raw)
        self.added += 1
        self.last = position
        self.is_idle = self.is_idle and is_idle

    def _write(self, raw: bytes) -> None:
        self.file.write(raw)
        self.digest.update(raw)
        self.size += len(raw)
        self.last_raw = raw


def moved(missing: Position) -> MongoOplogMoved:
    """An entry that was there a moment ago is not there any more."""
    return MongoOplogMoved(
        f"The oplog's entry {position_text(missing)} went away while the oplog was read.",
        hint="Run it again; if it happens again look into mongod's log for resyncs, rollbacks and a full oplog.",
        details={"position": position_text(missing)},
    )
