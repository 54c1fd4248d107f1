# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the stream of a replica set is: how far the capture is behind, how long the oplog lasts, what is open."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .oplog_members import OplogSet
from .oplog_options import OplogOptions
from .oplog_reading import NOTHING, LastWrites, last_writes, open_transactions, server_version
from .oplog_slice import OplogSlice
from .oplog_window_guard import CRITICAL, OK, OplogWindow, level_of, read_window
from .timestamps import position_text
from .topology import Member

if t.TYPE_CHECKING:
    from .connection import Client

_LONG_OPEN_SECONDS = 3600
# A slice that is shorter says little about how fast the oplog fills.
_TELLING_SECONDS = 5


@dataclass(frozen=True)
class Health:
    """*facts* are JSON values for people and monitoring, *warnings* sentences."""

    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def look_at_health(oplog_set: OplogSet, *, options: OplogOptions, head: OplogSlice | None) -> Health:
    """Ask the member that a capture would read; *head* is the newest slice. Changes nothing."""
    asked = _member(oplog_set, options)
    if asked is None:
        return Health(facts={"replica_set": oplog_set.name, "replica_set_id": oplog_set.set_id})
    member, client = asked
    version, compatibility = server_version(client)
    writes = last_writes(client)
    facts: dict[str, t.Any] = {
        "replica_set": oplog_set.name,
        "replica_set_id": oplog_set.set_id,
        "member": member.host,
        "role": member.role.lower(),
        "primary": None if oplog_set.primary is None else oplog_set.primary.host,
        "version": version,
        "feature_compatibility_version": compatibility,
        "majority": position_text(writes.majority) if writes.majority != NOTHING else None,
        "captured": None if head is None else position_text(head.last.position),
        "lag_seconds": None if head is None else lag_seconds(writes, head),
        "unconfirmed_seconds": max(0, writes.newest[0] - writes.majority[0]) if writes.majority != NOTHING else None,
    }
    window = read_window(client)
    warnings: list[str] = []
    if window is not None:
        oplog, sentence = _oplog_facts(window, writes, member=member, options=options, head=head)
        facts["oplog"] = oplog
        warnings += [sentence] if sentence else []
        facts["open_transactions"], sentence = _transactions(client, writes, window=window)
        warnings += [sentence] if sentence else []
    return Health(facts=facts, warnings=tuple(warnings))


def lag_seconds(writes: LastWrites, head: OplogSlice) -> int:
    """How long ago, by the server's clock, the last entry that was captured happened."""
    return max(0, int(writes.now.timestamp()) - head.last.position[0])


def _member(oplog_set: OplogSet, options: OplogOptions) -> tuple[Member, Client] | None:
    for member in oplog_set.members(options):
        client = oplog_set.connect(member)
        if client is not None:
            return member, client
    return None


def _oplog_facts(
    window: OplogWindow, writes: LastWrites, *, member: Member, options: OplogOptions, head: OplogSlice | None
) -> tuple[dict[str, t.Any], str]:
    captured = writes.majority if head is None else head.last.position
    rate = _rate(head)
    left = window.hours_left(captured, rate=rate)
    level = level_of(left, wanted=options.hours_wanted, capture_seconds=options.capture_seconds)
    facts = {
        "first": position_text(window.first),
        "last": position_text(window.last),
        "hours": round(window.hours, 2),
        "hours_left": round(left, 2),
        "hours_wanted": options.hours_wanted,
        "level": level,
        "bytes": window.size,
        "limit_bytes": window.limit,
        "bytes_per_second": round(max(rate, window.rate), 1),
        "minimum_hours": window.minimum_hours,
    }
    if level == OK:
        return facts, ""
    urgent = "what is not captured by then is lost" if level == CRITICAL else f"{options.hours_wanted:g} are wanted"
    return facts, (
        f"The oplog of {member.host} has what is to be captured next for {left:.1f} hours more; {urgent}. Set "
        "keep_oplog_hours, or in mongosh: db.adminCommand({replSetResizeOplog: 1, "
        f"minRetentionHours: {options.hours_wanted:g}}})"
    )


def _rate(head: OplogSlice | None) -> float:
    """Bytes a second of the newest slice, 0 where it says nothing."""
    if head is None or head.last.position[0] - head.first.position[0] < _TELLING_SECONDS:
        return 0.0
    return head.size / (head.last.position[0] - head.first.position[0])


def _transactions(client: Client, writes: LastWrites, *, window: OplogWindow) -> tuple[dict[str, t.Any], str]:
    found = open_transactions(client, since=window.first)
    if found.first is None:
        return {"count": 0, "first": None, "oldest_seconds": None}, ""
    seconds = max(0, writes.newest[0] - found.first[0])
    facts = {"count": found.count, "first": position_text(found.first), "oldest_seconds": seconds}
    if seconds < _LONG_OPEN_SECONDS:
        return facts, ""
    return facts, (
        f"A transaction is open since {position_text(found.first)}, {seconds // 60} minutes: a recovery to any moment "
        "since must read the oplog from there on."
    )
