# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pointing another standby at the new primary: its address, its slot, and the new timeline seen to arrive."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import FollowNotReached, FollowRefused
from ..core.host import Host
from .connection import PostgresConnection
from .names import parse_lsn
from .session import Session, psycopg2_module
from .standby_state import StandbyState, read_state, received_position

_POLL = 0.2
#: Before 13 a standby reads where its primary is at its start only.
_RELOADS = 130000
_UNLOGGED = {"log_statement": "none", "log_min_duration_statement": "-1", "log_min_error_statement": "panic"}


@dataclass(frozen=True)
class NewPrimary:
    """Where the standby is to receive from: the address as *it* reaches it, and what must be there.

    *switched* is where the new timeline left the old one: a standby that is beyond can't follow. *connection* reaches
    the new primary from here, for the slot that the standby uses; None: none is made.
    """

    host: str
    port: int
    system_identifier: str
    timeline: int
    switched: str | None = None
    connection: PostgresConnection | None = None


@dataclass(frozen=True)
class Followed:
    """What came of it. *slot_made* is the name of a slot that the new primary lacked."""

    changed: bool
    sender: str | None
    timeline: int
    received: str | None
    slot_made: str | None
    seconds: float

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


def follow(session: Session, primary: NewPrimary, *, timeout: float, host: Host, check: bool = False) -> Followed:
    """Have the standby follow *primary* and wait until it receives the new timeline. With *check* only refuse.

    Raises FollowRefused, FollowNotReached, PostgresPermissionDenied (settings are a superuser's).
    """
    began = host.clock.monotonic()
    state = read_state(session)
    _refuse(state, primary)
    wanted = _conninfo(session, primary)
    changed = wanted is not None
    if check or (not changed and _arrived(state, primary)):
        return _followed(state, changed=changed, slot=None, seconds=0.0)
    slot = _make_slot(state.slot, primary, host=host)
    if wanted is not None:
        # There may be a password in it, and the server's log is read by others.
        for name, value in _UNLOGGED.items():
            session.rows("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
        session.rows("ALTER SYSTEM SET primary_conninfo = %s", [wanted])
        session.rows("SELECT pg_catalog.pg_reload_conf()")
    state = _wait(session, primary, timeout=timeout, host=host)
    return _followed(state, changed=changed, slot=slot, seconds=round(host.clock.monotonic() - began, 3))


def _refuse(state: StandbyState, primary: NewPrimary) -> None:
    why = ""
    if not state.in_recovery:
        why = f"is a primary itself, on timeline {state.timeline}"
    elif state.system_identifier != primary.system_identifier:
        why = f"belongs to another cluster (system identifier {state.system_identifier})"
    elif state.version < _RELOADS:
        why = "is older than version 13 and reads its primary's address at its start only"
    elif (
        primary.switched is not None
        and state.timeline < primary.timeline
        and received_position(state) > parse_lsn(primary.switched)
    ):
        why = f"has WAL that the new primary never had (up to {state.received}, which left at {primary.switched})"
    if why:
        raise FollowRefused(
            f"PostgreSQL at {state.server} {why}, so it can't follow {primary.host}:{primary.port}.",
            hint="Bring it back as one: pg_standby with rejoin: auto (docs/runbooks/failback.md).",
            details=state.as_dict(),
        )


def _conninfo(session: Session, primary: NewPrimary) -> str | None:
    """How it reaches the new primary: as it reached the old one, at another address; None when that is so already."""
    extensions = _extensions()
    present = str(session.value("SELECT pg_catalog.current_setting('primary_conninfo')") or "")
    parts = dict(extensions.parse_dsn(present))
    if parts.get("host") == primary.host and str(parts.get("port", 5432)) == str(primary.port):
        return None
    parts.pop("hostaddr", None)
    return str(extensions.make_dsn(**{**parts, "host": primary.host, "port": primary.port}))


def make_conninfo(parts: t.Mapping[str, t.Any]) -> str:
    """The parts of a connection as one line of libpq, quoted as it wants."""
    return str(_extensions().make_dsn(**parts))


def _extensions() -> t.Any:
    psycopg2_module()
    import psycopg2.extensions

    return psycopg2.extensions


def _make_slot(name: str | None, primary: NewPrimary, *, host: Host) -> str | None:
    if name is None or primary.connection is None:
        return None
    with primary.connection.connect(runner=host.runner) as session:
        if session.value("SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", [name]):
            return None
        session.rows("SELECT pg_catalog.pg_create_physical_replication_slot(%s, true)", [name])
    return name


def _wait(session: Session, primary: NewPrimary, *, timeout: float, host: Host) -> StandbyState:
    deadline = host.clock.monotonic() + timeout
    while True:
        state = read_state(session)
        if _arrived(state, primary):
            return state
        if host.clock.monotonic() >= deadline:
            raise FollowNotReached(
                f"PostgreSQL at {state.server} does not receive timeline {primary.timeline} from "
                f"{primary.host}:{primary.port} after {timeout:g} seconds; it is on timeline {state.timeline}.",
                hint="Look in its log: can it log in there, is its slot there, does it have all WAL?",
                details=state.as_dict(),
            )
        host.clock.sleep(_POLL)


def _arrived(state: StandbyState, primary: NewPrimary) -> bool:
    return state.receiving and state.timeline == primary.timeline and (state.sender or "").endswith(f":{primary.port}")


def _followed(state: StandbyState, *, changed: bool, slot: str | None, seconds: float) -> Followed:
    return Followed(
        changed=changed,
        sender=state.sender,
        timeline=state.timeline,
        received=state.received,
        slot_made=slot,
        seconds=seconds,
    )
