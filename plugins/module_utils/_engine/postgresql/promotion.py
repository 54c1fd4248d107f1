# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a standby the primary: all that it has received is replayed, then it is told, then its state is waited for."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresPermissionDenied, PromotionNotReached, PromotionRefused
from ..core.host import Host
from .names import parse_lsn
from .session import Session
from .standby_state import StandbyState, read_state, received_position

_POLL = 0.1
#: So long nothing may move before what was received counts as replayed: the last record may have come in part.
_STILL = 3.0
_STATEMENT_TIMEOUT = "15s"


@dataclass(frozen=True)
class Promotion:
    """What is to become a primary: which cluster, on which *timeline* it must be as a standby. *timeout* in seconds."""

    system_identifier: str
    timeline: int
    timeout: float = 60.0


@dataclass(frozen=True)
class Promoted:
    """What came of it. *changed* is False when it was a primary on a later timeline already.

    *replayed* is the position that the standby had come to, *switched* where the new timeline begins, None when that
    was not seen. *warnings* are sentences.
    """

    changed: bool
    timeline_before: int
    timeline: int
    replayed: str | None
    switched: str | None
    seconds: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


def promote(session: Session, promotion: Promotion, *, host: Host, check: bool = False) -> Promoted:
    """Promote the standby, or find that it was promoted. With *check* only the refusals are made.

    Raises PromotionRefused (another cluster, a primary that nobody promoted, another timeline), PromotionNotReached,
    and PostgresPermissionDenied for a role that may not call pg_promote().
    """
    began = host.clock.monotonic()
    state = read_state(session)
    _refuse(state, promotion)
    if not state.in_recovery:
        return _promoted(session, promotion, before=None, changed=False, began=began, host=host)
    if check:
        return Promoted(
            changed=True,
            timeline_before=state.timeline,
            timeline=state.timeline,
            replayed=state.replayed,
            switched=None,
            seconds=0.0,
        )
    if not session.value("SELECT pg_catalog.has_function_privilege('pg_catalog.pg_promote(bool, int4)', 'EXECUTE')"):
        raise PostgresPermissionDenied(
            f"The role {session.address.user} may not promote PostgreSQL at {session.address.server}.",
            hint="Name a superuser as administrator, or: GRANT EXECUTE ON FUNCTION pg_promote TO ROLE;",
        )
    if state.paused:
        session.rows("SELECT pg_catalog.pg_wal_replay_resume()")
    state = _replayed(session, promotion, host=host)
    session.rows("SELECT pg_catalog.pg_promote(false)")  # what it returns is not what it has become
    _wait_for_writes(session, promotion, host=host)
    return _promoted(session, promotion, before=state, changed=True, began=began, host=host)


def prove_writes(session: Session, *, timeline: int) -> dict[str, t.Any]:
    """Write to the new primary, and what it says: ``timeline``, ``position``, ``warnings``. Leaves no object behind.

    Raises PromotionNotReached when it takes no writes, or is on another timeline than *timeline*.
    """
    state = read_state(session)
    if state.in_recovery or state.timeline != timeline:
        raise PromotionNotReached(
            f"PostgreSQL at {state.server} is {_described(state)}, and was to be a primary on timeline {timeline}.",
            hint=f"Look at it: {session.address.psql}",
            details=state.as_dict(),
        )
    session.rows("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [_STATEMENT_TIMEOUT])
    # A commit with WAL, so that it waits for synchronous standbys as every commit of an application will.
    session.rows("SELECT pg_catalog.pg_logical_emit_message(true, 'lifeboat', 'promoted')")
    position = session.value("SELECT pg_catalog.pg_current_wal_lsn()::text")
    return {"timeline": state.timeline, "position": position, "warnings": list(_sync_warnings(read_state(session)))}


def _refuse(state: StandbyState, promotion: Promotion) -> None:
    if state.system_identifier != promotion.system_identifier:
        raise PromotionRefused(
            f"PostgreSQL at {state.server} has the system identifier {state.system_identifier}, and "
            f"{promotion.system_identifier} was to be promoted.",
            hint="Look at the connection of the standby in the description.",
            details=state.as_dict(),
        )
    expected = state.timeline == promotion.timeline if state.in_recovery else state.timeline > promotion.timeline
    if not expected:
        raise PromotionRefused(
            f"PostgreSQL at {state.server} is {_described(state)}, and a standby on timeline {promotion.timeline} was "
            "to be promoted.",
            hint="Somebody has promoted another server, or this one is the old primary. Make a new plan.",
            details=state.as_dict(),
        )


def _replayed(session: Session, promotion: Promotion, *, host: Host) -> StandbyState:
    """Wait until all that was received is replayed; PostgreSQL itself does the same when it is told to promote."""
    deadline = host.clock.monotonic() + promotion.timeout
    seen, since = -1, host.clock.monotonic()
    while True:
        state = read_state(session)
        replayed = parse_lsn(state.replayed) if state.replayed else 0
        if replayed >= received_position(state) or not state.in_recovery:
            return state
        now = host.clock.monotonic()
        if replayed != seen:
            seen, since = replayed, now
        elif now - since >= _STILL:
            return state
        if now >= deadline:
            raise PromotionNotReached(
                f"PostgreSQL at {state.server} has received WAL up to {state.received} and replayed it up to "
                f"{state.replayed} within {promotion.timeout:g} seconds.",
                hint="It goes on replaying. Do the same again with a longer timeout; nothing was promoted.",
                details=state.as_dict(),
            )
        host.clock.sleep(_POLL)


def _wait_for_writes(session: Session, promotion: Promotion, *, host: Host) -> None:
    deadline = host.clock.monotonic() + promotion.timeout
    while session.value("SELECT pg_catalog.pg_is_in_recovery()"):
        if host.clock.monotonic() >= deadline:
            raise PromotionNotReached(
                f"PostgreSQL at {session.address.server} was told to promote and is a standby after "
                f"{promotion.timeout:g} seconds.",
                hint=f"Look in its log, and ask it: {session.address.psql}   SELECT pg_is_in_recovery();",
            )
        host.clock.sleep(_POLL)


def _promoted(
    session: Session,
    promotion: Promotion,
    *,
    before: StandbyState | None,
    changed: bool,
    began: float,
    host: Host,
) -> Promoted:
    warnings: list[str] = []
    try:
        # pg_rewind of the old primary looks at the timeline in the control file.
        session.rows("CHECKPOINT")
    except PostgresPermissionDenied:
        warnings.append("The role may not CHECKPOINT: wait for the next one before pg_rewind.")
    state = read_state(session)
    if state.timeline <= promotion.timeline:
        raise PromotionNotReached(
            f"PostgreSQL at {state.server} takes writes and is on timeline {state.timeline}, not behind "
            f"{promotion.timeline}.",
            hint="Look in its log before any application is started.",
            details=state.as_dict(),
        )
    return Promoted(
        changed=changed,
        timeline_before=promotion.timeline,
        timeline=state.timeline,
        replayed=before.replayed if before else None,
        switched=_switch(session, timeline=state.timeline, parent=promotion.timeline),
        seconds=round(host.clock.monotonic() - began, 3),
        warnings=(*warnings, *_sync_warnings(state)),
    )


def _switch(session: Session, *, timeline: int, parent: int) -> str | None:
    """Where the new timeline left the old one, from its history file; None when the role may not read that."""
    from .timeline_history import parse_history
    from .wal_names import format_lsn, history_name

    try:
        text = session.value("SELECT pg_catalog.pg_read_file(%s)", [f"pg_wal/{history_name(timeline)}"])
    except PostgresPermissionDenied:
        return None
    try:
        end = parse_history(str(text).encode("utf-8"), timeline=timeline).end_of(parent)
    except (KeyError, ValueError):
        return None
    return None if end is None else format_lsn(end)


def _sync_warnings(state: StandbyState) -> tuple[str, ...]:
    if not state.synchronous or state.synchronous_connected:
        return ()
    sentence = (
        f"Every commit waits for a synchronous standby ({state.synchronous}), and none is connected. Until one is: "
        "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();"
    )
    return (sentence,)


def _described(state: StandbyState) -> str:
    return f"a {'standby' if state.in_recovery else 'primary'} on timeline {state.timeline}"
