# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing the oplog while the collections are read, without gaps and only what can be replayed.

Replaying it onto the collections brings all of them to the capture's last entry. It is read all along, not at the end:
a long dump on a busy server then doesn't fail because the oplog has rolled over.
"""

from __future__ import annotations

import dataclasses
import threading
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import MongoMajorityUnavailable, MongoOplogNotReplayable, MongoOplogRolledOver
from .faults import named_faults
from .namespaces import COLLECTION, Namespace
from .oplog_lint import entry_time, objection
from .raw_reader import read_raw
from .reply import each_document
from .timestamps import Position, as_json, position_of, timestamp_of
from .topology import say_hello

if t.TYPE_CHECKING:
    from .connection import Client

_SECONDS_BETWEEN_READS = 1.0
_MAJORITY_SECONDS = 60.0


def oplog_namespace() -> Namespace:
    """The archive's entry for the oplog: database "", collection "oplog", as mongodump writes it."""
    return Namespace(
        database="",
        name="oplog",
        type=COLLECTION,
        uuid=None,
        source_database="local",
        source_name="oplog.rs",
        has_metadata=False,
    )


def majority_position(client: Client) -> Position:
    """The newest write that a majority has, as this member knows it: it can't be rolled back any more."""
    with named_faults("Asking for the last write"):
        return position_of(say_hello(client)["lastWrite"]["majorityOpTime"]["ts"])


def start_position(client: Client) -> Position:
    """Where a capture must begin: the newest entry that a majority has, or the oldest transaction still open then.

    The newest entry of all (what a reverse scan finds) won't do: writes with an earlier position may become visible
    after it (SERVER-47296), and would be neither in the collections read before nor in the capture.
    """
    majority = majority_position(client)
    with named_faults("Looking for open transactions"):
        oldest = client.config["transactions"].find_one(
            {"state": {"$in": ["prepared", "inProgress"]}}, {"startOpTime": 1}, sort=[("startOpTime", 1)]
        )
    if oldest is None or "startOpTime" not in oldest:
        return majority
    return min(majority, position_of(oldest["startOpTime"]["ts"]))


def wait_for_majority(client: Client, *, clock: Clock, timeout: float = _MAJORITY_SECONDS) -> Position:
    """Wait until a majority has everything that can have been read up to now; returns a position not before that.

    Raises MongoMajorityUnavailable after *timeout* seconds.
    """
    with named_faults("Asking for the last write"):
        target = position_of(say_hello(client)["lastWrite"]["opTime"]["ts"])
    deadline = clock.monotonic() + timeout
    while True:
        reached = majority_position(client)
        if reached >= target:
            return reached
        if clock.monotonic() >= deadline:
            raise MongoMajorityUnavailable(
                f"The last write that was read is not confirmed by a majority after {timeout:g} seconds.",
                hint="In mongosh: rs.status()   Members that are down or far behind must come back first.",
            )
        clock.sleep(0.05)


@dataclass(frozen=True)
class Captured:
    """A finished capture: both ends are in it."""

    start: Position
    end: Position
    entries: int

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"start": as_json(self.start), "end": as_json(self.end), "entries": self.entries}


class OplogCapture:
    """Reads the oplog from *start* on, piece by piece, into *emit* (bytes, count)."""

    def __init__(
        self,
        client: Client,
        *,
        start: Position,
        emit: t.Callable[[bytes, int], None],
        clock: Clock,
        users_and_roles: bool,
        databases_with_views: t.Collection[str],
    ) -> None:
        self._client = client
        self._start = start
        self._last: Position | None = None  # of the newest entry that was read
        self._entries = 0
        self._emit = emit
        self._clock = clock
        self._users_and_roles = users_and_roles
        self._databases_with_views = databases_with_views

    def follow(self, *, until: threading.Event, stop: threading.Event) -> Captured | None:
        """Read on until *until* is set, then to the last write that may have been read; None when *stop* was set.

        Raises MongoOplogRolledOver, MongoOplogNotReplayable and MongoMajorityUnavailable.
        """
        while not stop.is_set():
            last_time = until.is_set()
            end = wait_for_majority(self._client, clock=self._clock) if last_time else majority_position(self._client)
            self._read(end=end, stop=stop)
            if last_time and self._last is not None and not stop.is_set():
                return Captured(start=self._start, end=self._last, entries=self._entries)
            until.wait(_SECONDS_BETWEEN_READS)
        return None

    def _read(self, *, end: Position, stop: threading.Event) -> None:
        begin = self._start if self._last is None else self._last
        if self._last is not None and end <= self._last:
            return
        window = {"ts": {"$gte": timestamp_of(begin), "$lte": timestamp_of(end)}}
        namespace = dataclasses.replace(oplog_namespace(), query=window)
        proven = False
        for batch in read_raw(self._client, namespace, stop=stop):
            documents, count = batch.documents, batch.count
            if not proven and count:
                first = next(each_document(documents))
                self._require(entry_time(first) == begin, missing=begin)
                proven = True
                if self._last is not None:
                    documents, count = documents[len(first) :], count - 1
            for entry in each_document(documents):
                self._check(entry)
            if count:
                self._entries += count
                self._emit(documents, count)
        if stop.is_set():
            return
        self._require(proven, missing=begin)
        self._require(self._last == end, missing=end)

    def _check(self, entry: bytes) -> None:
        self._last = entry_time(entry)
        found = objection(entry, users_and_roles=self._users_and_roles, databases_with_views=self._databases_with_views)
        if found is not None:
            moment = as_json(self._last)
            raise MongoOplogNotReplayable(
                f"During the dump {found} (oplog entry {moment['t']}:{moment['i']}), which can't be replayed.",
                hint="Run the backup again when this is over.",
                details={"reason": found, "position": moment},
            )

    def _require(self, there: bool, *, missing: Position) -> None:  # noqa: FBT001 - reads as a sentence
        if not there:
            moment = as_json(missing)
            raise MongoOplogRolledOver(
                f"The oplog no longer holds its entry {moment['t']}:{moment['i']} ({moment['time']}).",
                hint="Keep more of it, in mongosh: db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 24})",
                details={"position": moment},
            )
