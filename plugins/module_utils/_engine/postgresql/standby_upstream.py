# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that a standby follows: what it says of itself, and the slot that it keeps WAL by."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import PostgresPermissionDenied, StandbyRefused
from ..core.host import Host
from .connection import PostgresConnection
from .names import parse_lsn
from .session import Session
from .standby_state import StandbyState, read_state
from .standby_ways import Upstream
from .timeline_history import TimelineHistory, parse_history

_SLOT = """
SELECT slot_type, active_pid, wal_status, restart_lsn::text
  FROM pg_catalog.pg_replication_slots WHERE slot_name = %s
"""
_LOST = "lost"
_NAME = re.compile(r"[a-z0-9_]{1,63}")


@dataclass(frozen=True)
class Slot:
    """A physical replication slot. *there*: the upstream has it. *lost*: the WAL that it was to keep is gone."""

    name: str
    there: bool
    active: bool = False
    lost: bool = False


@dataclass(frozen=True)
class UpstreamLook:
    """What was found. *bounded*: an absent standby can't fill its disk. *segment_size* is in bytes."""

    state: StandbyState
    upstream: Upstream
    slot: Slot
    bounded: bool
    segment_size: int


def look_at_upstream(connection: PostgresConnection, *, slot: str, host: Host) -> UpstreamLook:
    """Ask it. Raises what connecting raises, and StandbyRefused for a name that no slot can have."""
    if not _NAME.fullmatch(slot):
        raise StandbyRefused(
            f"{slot!r} can't be the name of a replication slot.",
            hint="Use lower-case letters, digits and underscores, 63 at most.",
        )
    with connection.connect(runner=host.runner) as session:
        state = read_state(session)
        found = _slot(session, slot)
        segment_size = session.value("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'")
        # Since 13; before, nothing bounds what a slot keeps.
        limit = session.value("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'")
    written = max((one for one in (state.written, state.received, state.replayed) if one), key=parse_lsn, default="0/0")
    return UpstreamLook(
        state=state,
        upstream=Upstream(
            system_identifier=state.system_identifier,
            timeline=state.timeline,
            written=written,
            history=_history(connection, state.timeline, host=host),
        ),
        slot=found,
        bounded=limit not in (None, "-1"),
        segment_size=int(segment_size),
    )


def look_at_slot(connection: PostgresConnection, name: str, *, host: Host) -> Slot:
    """The slot as it is now."""
    with connection.connect(runner=host.runner) as session:
        return _slot(session, name)


def ensure_slot(connection: PostgresConnection, slot: Slot, *, host: Host) -> bool:
    """Make the slot, or make it anew where it has lost its WAL; whether anything was changed.

    It keeps WAL from now on, so what the standby needs is there when it comes.
    """
    if slot.there and not slot.lost:
        return False
    with connection.connect(runner=host.runner) as session:
        if slot.there:
            session.rows("SELECT pg_catalog.pg_drop_replication_slot(%s)", [slot.name])
        session.rows("SELECT pg_catalog.pg_create_physical_replication_slot(%s, true)", [slot.name])
    return True


def checkpoint(connection: PostgresConnection, *, host: Host) -> bool:
    """Have it write its timeline into its control file, which pg_rewind reads; False when it may not be told."""
    with connection.connect(runner=host.runner) as session:
        try:
            session.rows("CHECKPOINT")
        except PostgresPermissionDenied:
            return False
    return True


def _slot(session: Session, name: str) -> Slot:
    rows = session.rows(_SLOT, [name])
    if not rows:
        return Slot(name=name, there=False)
    kind, pid, status, _restart = rows[0]
    if kind != "physical":
        raise StandbyRefused(
            f"PostgreSQL at {session.address.server} has a {kind} slot called {name}.",
            hint="Give the standby another slot.",
        )
    return Slot(name=name, there=True, active=pid is not None, lost=status == _LOST)


def _history(connection: PostgresConnection, timeline: int, *, host: Host) -> TimelineHistory:
    """Over the replication protocol, which asks for no other right than the standby needs itself."""
    if timeline == 1:
        return TimelineHistory(timeline=1)
    with connection.connect_replication(runner=host.runner) as session:
        content = session.rows(f"TIMELINE_HISTORY {int(timeline)}")[0][1]
    data = content.encode("utf-8") if isinstance(content, str) else bytes(content)
    return parse_history(_unescaped(data), timeline=timeline)


def _unescaped(data: bytes) -> bytes:
    """The protocol calls it bytea and sends it as it is; a library that believes the former gives hexadecimals."""
    if data.startswith(b"\\x"):
        return bytes.fromhex(data[2:].decode("ascii"))
    return data
