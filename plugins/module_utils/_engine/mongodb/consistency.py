# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the collections of a dump are brought to one moment, and which way is open on this server. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import MongoConsistencyUnavailable, MongoSnapshotWindowTooShort
from .facts import ServerFacts
from .namespaces import Scope

SNAPSHOT = "snapshot"
OPLOG = "oplog"
NONE = "none"
AUTO = "auto"
MODES = (AUTO, SNAPSHOT, OPLOG, NONE)

# A dump is given twice the time that it should take, and a minute for what comes before the first byte.
_SAFETY = 2
_PREPARATION_SECONDS = 60


@dataclass(frozen=True)
class Choice:
    """The mode that was chosen, why, and the history (seconds) that a snapshot needs."""

    mode: str
    reason: str
    history_needed: int = 0
    raise_window: bool = False


def history_needed(*, expected_bytes: int, bytes_per_second: float) -> int:
    """Seconds of history that a snapshot dump of so many bytes needs, with a margin."""
    return _PREPARATION_SECONDS + int(_SAFETY * expected_bytes / bytes_per_second)


def choose(
    *,
    wanted: str,
    tool_has_snapshots: bool,
    facts: ServerFacts,
    scope: Scope,
    expected_bytes: int,
    bytes_per_second: float,
    may_raise_window: bool,
    unsnapshotable: t.Sequence[str],
) -> Choice:
    """The mode to use.

    *tool_has_snapshots* is false for mongodump. *unsnapshotable* names the collections of the scope that this server
    can't read at a moment of the past (capped ones on older releases). ``auto`` takes the snapshot where everything can
    be read by it, else the oplog for a whole instance; for one database it leaves the capped collections outside the
    snapshot. Raises MongoConsistencyUnavailable and MongoSnapshotWindowTooShort, which say what else there is.
    """
    if wanted == NONE:
        return Choice(mode=NONE, reason="consistency: none was asked for; collections stem from different moments")
    needed = history_needed(expected_bytes=expected_bytes, bytes_per_second=bytes_per_second)
    if not facts.is_replica_set:
        raise MongoConsistencyUnavailable(
            f"{facts.host} is a standalone server: it has neither an oplog nor snapshots, so its collections can't be "
            "dumped as of one moment while somebody writes.",
            hint="Make it a replica set of one member (replication.replSetName and rs.initiate()), or use "
            "consistency: none when nobody writes meanwhile.",
        )
    short = facts.history_window is not None and facts.history_window < needed
    too_short = short and not may_raise_window
    if wanted == OPLOG:
        _require_whole(scope, facts=facts)
        return Choice(mode=OPLOG, reason="consistency: oplog was asked for")
    if not tool_has_snapshots:
        return _without_snapshots(scope)
    if wanted == AUTO and scope.is_everything and (not facts.snapshot_reads or too_short or unsnapshotable):
        return Choice(mode=OPLOG, reason=_why_not_snapshot(facts, too_short=too_short, unsnapshotable=unsnapshotable))
    if not facts.snapshot_reads:
        raise MongoConsistencyUnavailable(
            f"MongoDB {facts.version} can't read several collections at one moment; 5.0 and later can.",
            hint="Dump the whole instance (no database, consistency: oplog), upgrade the server, or use "
            "consistency: none when nobody writes meanwhile.",
        )
    if too_short:
        raise MongoSnapshotWindowTooShort(
            f"The server keeps {facts.history_window} seconds of history, but a snapshot dump of "
            f"{expected_bytes} bytes may take {needed} seconds.",
            hint=f"In mongosh: db.adminCommand({{setParameter: 1, minSnapshotHistoryWindowInSeconds: {needed}}}), or "
            "raise_history_window: true, or dump the whole instance with consistency: oplog.",
            details={"window_seconds": facts.history_window, "needed_seconds": needed},
        )
    return Choice(
        mode=SNAPSHOT,
        reason="every collection is read as of one cluster time",
        history_needed=needed,
        raise_window=short,
    )


def _without_snapshots(scope: Scope) -> Choice:
    if not scope.is_everything:
        raise MongoConsistencyUnavailable(
            "mongodump can't dump one database as of one moment.",
            hint="Use tool: native, or dump the whole instance, or use consistency: none when nobody writes meanwhile.",
        )
    return Choice(mode=OPLOG, reason="mongodump has no snapshots; the oplog brings the whole instance to one moment")


def _require_whole(scope: Scope, *, facts: ServerFacts) -> None:
    if scope.is_everything:
        return
    other = "consistency: snapshot" if facts.snapshot_reads else "consistency: none when nobody writes meanwhile"
    raise MongoConsistencyUnavailable(
        "The oplog brings only a whole instance to one moment, and this dump leaves collections out.",
        hint=f"Take out database, include and exclude, or use {other}.",
    )


def _why_not_snapshot(facts: ServerFacts, *, too_short: bool, unsnapshotable: t.Sequence[str]) -> str:
    if not facts.snapshot_reads:
        return f"MongoDB {facts.version} has no snapshot reads; the oplog brings the whole instance to one moment"
    if too_short:
        return "the server's snapshot history is too short for this much data; the oplog has no such limit"
    names = ", ".join(unsnapshotable[:3]) + (", ..." if len(unsnapshotable) > 3 else "")
    return f"this server can't read capped collections ({names}) by snapshot; the oplog covers them too"
