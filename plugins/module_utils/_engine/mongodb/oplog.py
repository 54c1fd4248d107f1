# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing the oplog of the time in which the collections were read, without gaps and only what can be replayed.

Replaying it onto the collections brings all of them to the capture's last entry. It stands last in the archive:
mongorestore takes no collection after it, and waits for ever when one is still open.
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
from .oplog_entry import read_entry
from .oplog_lint import entry_time, objection
from .oplog_transactions import OpenTransactions
from .raw_reader import read_raw
from .reply import each_document
from .timestamps import Position, as_json, position_of, timestamp_of
from .topology import say_hello

if t.TYPE_CHECKING:
    from .connection import Client

_SECONDS_BETWEEN_LOOKS = 5.0
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
    """The newest write that a majority has, as this member knows it: it can't be rolled back any more.

    Raises MongoMajorityUnavailable when it does not know: it was started, and has heard of no majority since.
    """
    with named_faults("Asking for the last write"):
        found = majority_in(say_hello(client))
    if found is None:
        raise MongoMajorityUnavailable(
            "The member does not know what a majority has: it has spoken to none since it was started.",
            hint="In mongosh: rs.status()   Members that are down or far behind must come back first.",
        )
    return found


def majority_in(hello: t.Mapping[str, t.Any]) -> Position | None:
    """The newest write that a majority has, in what a member says of itself; None where it does not know."""
    found = hello["lastWrite"].get("majorityOpTime")
    return None if found is None else position_of(found["ts"])


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
        with named_faults("Asking for the last write"):
            reached = majority_in(say_hello(client))
        if reached is not None and reached >= target:
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


@dataclass(frozen=True)
class OplogCapture:
    """The oplog from *start* on; the rules for what may be in it are those of oplog_lint.objection()."""

    client: Client
    start: Position
    clock: Clock
    users_and_roles: bool
    databases_with_views: t.Collection[str]

    def watch(self, *, until: threading.Event) -> None:
        """Look now and then, until *until* is set, whether the start is still there: why dump on when it is lost?

        Raises MongoOplogRolledOver.
        """
        while not until.wait(_SECONDS_BETWEEN_LOOKS):
            with named_faults("Reading the oplog"):
                oldest = self.client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", 1)])
            if oldest is None or position_of(oldest["ts"]) > self.start:
                raise _rolled_over(self.start)

    def read(self, emit: t.Callable[[bytes, int], None]) -> Captured:
        """Give every entry from the start to the last write that may have been read to *emit* (bytes, count).

        Raises MongoOplogRolledOver, MongoOplogNotReplayable and MongoMajorityUnavailable.
        """
        end = wait_for_majority(self.client, clock=self.clock)
        window = {"ts": {"$gte": timestamp_of(self.start), "$lte": timestamp_of(end)}}
        entries = 0
        last: Position | None = None
        transactions = OpenTransactions()
        for batch in read_raw(self.client, dataclasses.replace(oplog_namespace(), query=window)):
            for entry in each_document(batch.documents):
                # The first entry that is still there must be the one that was asked for: that proves that none is gone.
                if last is None and entry_time(entry) != self.start:
                    raise _rolled_over(self.start)
                last = entry_time(entry)
                self._check(entry, position=last)
                self._follow(transactions, entry, position=last)
            entries += batch.count
            emit(batch.documents, batch.count)
        if last != end:
            raise _rolled_over(self.start if last is None else end)
        return Captured(start=self.start, end=end, entries=entries)

    def _check(self, entry: bytes, *, position: Position) -> None:
        found = objection(entry, users_and_roles=self.users_and_roles, databases_with_views=self.databases_with_views)
        if found is not None:
            raise _not_replayable(f"During the dump {found}", position=position, reason=found)

    def _follow(self, transactions: OpenTransactions, entry: bytes, *, position: Position) -> None:
        """A transaction may have begun before the start and ended before anybody asked which ones were open."""
        read = read_entry(entry)
        if transactions.lacks_beginning(read):
            reason = "a transaction ended whose beginning was not captured"
            raise _not_replayable(f"While the dump began {reason}", position=position, reason=reason)
        transactions.take(read, position=position)


def _not_replayable(what: str, *, position: Position, reason: str) -> MongoOplogNotReplayable:
    moment = as_json(position)
    return MongoOplogNotReplayable(
        f"{what} (oplog entry {moment['t']}:{moment['i']}), which can't be replayed.",
        hint="Run the backup again when this is over.",
        details={"reason": reason, "position": moment},
    )


def _rolled_over(missing: Position) -> MongoOplogRolledOver:
    moment = as_json(missing)
    return MongoOplogRolledOver(
        f"The oplog no longer holds its entry {moment['t']}:{moment['i']} ({moment['time']}).",
        hint="Keep more of it, in mongosh: db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 24})",
        details={"position": moment},
    )
