# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the oplog still has what is to be captured next, and having the servers keep it longer.

An oplog is a capped collection: when it is full each write removes the oldest. What was not captured by then is lost.
storage.oplogMinRetentionHours (MongoDB 4.4) makes it grow instead. It is raised on request, on every member that can be
reached, and put back when it is not asked for any more; the values to put back are first noted in the state folder.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time, parse_time
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.state import StateDirectory
from .faults import COMMAND_NOT_FOUND, named_faults
from .oplog_members import OplogSet, opened_set
from .oplog_options import OplogOptions
from .timestamps import Position, position_of
from .topology import PRIMARY, SECONDARY, Member

if t.TYPE_CHECKING:
    from .connection import Client

OK, SHORT, CRITICAL = "ok", "short", "critical"
_HOUR = 3600
_CAPTURES = 10
_FOLDER = "mongodb"
_ROLE = "hostManager"
# Servers forget the value when they restart, so it is looked at now and then; each look is a connection to each member.
_SECONDS_BETWEEN_LOOKS = 600


@dataclass(frozen=True)
class OplogWindow:
    """The oplog of one member: its ends, its *size* and the *limit* in bytes, and how many hours it keeps at least."""

    first: Position
    last: Position
    size: int
    limit: int
    minimum_hours: float

    @property
    def hours(self) -> float:
        """How far it reaches back."""
        return (self.last[0] - self.first[0]) / _HOUR

    @property
    def rate(self) -> float:
        """Bytes a second, on the average over all that it holds."""
        return self.size / max(self.last[0] - self.first[0], 1)

    def hours_left(self, captured: Position, *, rate: float = 0.0) -> float:
        """In how many hours what follows *captured* will be gone, at the average rate or at *rate*, the faster of both.

        Zero when it is gone already.
        """
        if captured < self.first:
            return 0.0
        span = max(self.last[0] - self.first[0], 1)
        older = self.size * min((captured[0] - self.first[0]) / span, 1.0)
        by_size = (max(self.limit - self.size, 0) + older) / max(rate, self.rate, 1e-6) / _HOUR
        by_age = self.minimum_hours - (self.last[0] - captured[0]) / _HOUR if self.minimum_hours else 0.0
        return max(by_size, by_age, 0.0)


def level_of(hours_left: float, *, wanted: float, capture_seconds: float) -> str:
    """OK, SHORT (fewer hours than wanted), or CRITICAL: under an hour, or under ten captures where those are rare."""
    critical = min(max(1.0, _CAPTURES * capture_seconds / _HOUR), wanted)
    if hours_left < critical:
        return CRITICAL
    return OK if hours_left >= wanted else SHORT


def read_window(client: Client) -> OplogWindow | None:
    """The window of one member; None when its oplog is empty. Raises MongoNotAuthorised."""
    oplog = client.local["oplog.rs"]
    with named_faults("Measuring the oplog", role="clusterMonitor"):
        ends = [oplog.find_one({}, {"ts": 1}, sort=[("$natural", direction)]) for direction in (1, -1)]
        statistics = client.local.command({"collStats": "oplog.rs"})
    if None in ends:
        return None
    first, last = (position_of(end["ts"]) for end in ends if end is not None)
    return OplogWindow(
        first=first,
        last=last,
        size=int(statistics.get("size", 0)),
        limit=int(statistics.get("maxSize", 0)),
        minimum_hours=minimum_hours(client),
    )


def minimum_hours(client: Client) -> float:
    """storage.oplogMinRetentionHours as it is now; 0 where it is not set or the server does not know it."""
    sections = dict.fromkeys(
        ("asserts", "connections", "extra_info", "globalLock", "locks", "metrics", "network", "opLatencies", "repl",
         "sharding", "tcmalloc", "transactions", "wiredTiger"),
        0,
    )  # fmt: skip
    with named_faults("Asking how long the oplog is kept", role="clusterMonitor"):
        status = client.admin.command({"serverStatus": 1, **sections, "oplogTruncation": 1})
    return float((status.get("oplogTruncation") or {}).get("oplogMinRetentionHours") or 0.0)


def keep_hours(options: OplogOptions, *, host: Host, state: StateDirectory, name: str) -> list[str]:
    """Have every member keep as many hours as the options ask for, or put back what was there before.

    *name* is that of the note. What can't be done is a sentence in the answer: the capture itself is not hurt by it.
    """
    note_name = f"oplog-hours-{name}.json"
    note = state.read(_FOLDER, note_name) or {}
    noted: dict[str, t.Any] = dict(note.get("members") or {})
    wanted = options.keep_oplog_hours
    if wanted is None and not noted:
        return []
    now = host.clock.now()
    if wanted is not None and note.get("wanted") == wanted and not _is_due(note.get("looked"), now=now):
        return []
    try:
        with opened_set(options, host=host) as oplog_set:
            keeping = _Keeping(oplog_set=oplog_set, state=state, note_name=note_name, noted=noted)
            warnings = keeping.put_back() if wanted is None else keeping.raise_to(wanted)
            said = [*warnings, *oplog_set.warnings]
        if wanted is not None:
            keeping.write(wanted=wanted, looked=format_time(now))
        return said
    except LifeboatError as error:
        return [f"How long the oplog is kept can't be set: {error.message}"]


class _Keeping:
    """What is set on each member, with the values of before noted first."""

    def __init__(self, *, oplog_set: OplogSet, state: StateDirectory, note_name: str, noted: dict[str, t.Any]) -> None:
        self._set = oplog_set
        self._state = state
        self._note_name = note_name
        self._noted = noted

    def write(self, **more: t.Any) -> None:
        """Make the note what is known now."""
        self._state.write(_FOLDER, self._note_name, {"members": self._noted, **more})

    def raise_to(self, hours: float) -> list[str]:
        said: list[str] = []
        for member, client in self._members():
            now = minimum_hours(client)
            if now >= hours:
                continue
            self._noted.setdefault(member.host, {"before": now})
            self._noted[member.host]["set"] = hours
            self.write()
            set_hours(client, hours=hours)
        return said

    def put_back(self) -> list[str]:
        said: list[str] = []
        for member, client in self._members():
            entry = self._noted.get(member.host)
            if entry is None:
                continue
            now = minimum_hours(client)
            if now == float(entry["set"]):
                set_hours(client, hours=float(entry["before"]))
                said.append(f"{member.host} keeps its oplog {entry['before']:g} hours again, not {now:g}.")
            # Else somebody has changed it since, or the server was restarted: it is not ours any more.
            del self._noted[member.host]
            self.write()
        if not self._noted:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._state.folder(_FOLDER), self._note_name))
        return said

    def _members(self) -> t.Iterator[tuple[Member, Client]]:
        for member in self._set.topology.members:
            if member.healthy and member.role in (PRIMARY, SECONDARY):
                client = self._set.connect(member)
                if client is not None:
                    yield member, client


def set_hours(client: Client, *, hours: float) -> None:
    """Have one member keep at least so many hours; servers before 4.4 know no such thing. Raises MongoNotAuthorised."""
    from pymongo.errors import OperationFailure

    with named_faults("Setting how long the oplog is kept", role=_ROLE):
        try:
            client.admin.command({"replSetResizeOplog": 1, "minRetentionHours": hours})
        except OperationFailure as error:
            if error.code != COMMAND_NOT_FOUND:
                raise


def _is_due(looked: t.Any, *, now: datetime.datetime) -> bool:
    try:
        return (now - parse_time(str(looked))).total_seconds() >= _SECONDS_BETWEEN_LOOKS
    except ValueError:
        return True
