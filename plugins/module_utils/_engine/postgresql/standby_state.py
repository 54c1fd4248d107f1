# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a standby is: what it has received and replayed, and when it last heard from its primary. Changes nothing."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.host import Host
from .connection import PostgresConnection
from .names import parse_lsn
from .session import Session

# Three places know the timeline, and each of them may be behind: the receiver is gone when the primary is, the control
# file tells of the last restart point, and of the record up to which a recovery must get at least.
_RECOVERING = """
SELECT greatest(coalesce((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver), 0),
                (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()),
                (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())),
       pg_catalog.pg_last_wal_receive_lsn()::text, pg_catalog.pg_last_wal_replay_lsn()::text,
       pg_catalog.pg_last_xact_replay_timestamp(), pg_catalog.pg_is_wal_replay_paused()
"""
_RECEIVER = """
SELECT status, latest_end_lsn::text, last_msg_receipt_time, sender_host, sender_port, slot_name,
       pg_catalog.clock_timestamp()
  FROM pg_catalog.pg_stat_wal_receiver
"""
_WRITING = """
SELECT pg_catalog.pg_current_wal_lsn()::text, pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()),
       (SELECT count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
"""


@dataclass(frozen=True)
class StandbyState:
    """One server at one moment, JSON values only. Positions are as PostgreSQL writes them, times RFC 3339.

    A standby has *received* and *replayed* (either may be None), a primary *written*. *receiving*: it is connected to
    its primary now; *primary_end* is how far that one had written when it last spoke (*last_message*, by the clock of
    the standby, as is *asked*). *last_commit* is the time of the last commit that was replayed, by the primary's clock.
    *synchronous* names the standbys that commits wait for, *synchronous_connected* how many of them are there.
    """

    server: str
    version: int
    system_identifier: str
    in_recovery: bool
    timeline: int
    received: str | None = None
    replayed: str | None = None
    written: str | None = None
    lag_bytes: int | None = None
    receiving: bool = False
    primary_end: str | None = None
    last_message: str | None = None
    asked: str | None = None
    last_commit: str | None = None
    paused: bool = False
    sender: str | None = None
    slot: str | None = None
    data_directory: str | None = None
    synchronous: str = ""
    synchronous_connected: int = 0

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


def look_at_standby(connection: PostgresConnection, *, host: Host) -> StandbyState:
    """The state of the server, a standby or not. Raises what connecting raises, and PostgresPermissionDenied."""
    with connection.connect(runner=host.runner) as session:
        return read_state(session)


def read_state(session: Session) -> StandbyState:
    """The same over an open session."""
    settings = dict(
        session.rows(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('data_directory', "
            "'synchronous_standby_names', 'primary_slot_name')"
        )
    )
    identifier = session.value("SELECT system_identifier FROM pg_catalog.pg_control_system()")
    common: dict[str, t.Any] = {
        "server": session.address.server,
        "version": session.version,
        "system_identifier": str(identifier),
        "data_directory": settings.get("data_directory"),
        "synchronous": settings.get("synchronous_standby_names") or "",
        "slot": settings.get("primary_slot_name") or None,
    }
    if session.value("SELECT pg_catalog.pg_is_in_recovery()"):
        return _standby(session, common)
    written, file_name, connected = session.rows(_WRITING)[0]
    return StandbyState(
        **common,
        in_recovery=False,
        timeline=int(file_name[:8], 16),
        written=written,
        synchronous_connected=int(connected),
    )


def received_position(state: StandbyState) -> int:
    """Up to where the server has WAL, replayed or not; 0 when it has none."""
    return max((parse_lsn(one) for one in (state.received, state.replayed, state.written) if one), default=0)


def _standby(session: Session, common: t.Mapping[str, t.Any]) -> StandbyState:
    timeline, received, replayed, last_commit, paused = session.rows(_RECOVERING)[0]
    receiver = (session.rows(_RECEIVER) or [(None,) * 7])[0]
    status, primary_end, last_message, host, port, slot, asked = receiver
    has = max((parse_lsn(one) for one in (received, replayed) if one), default=0)
    return StandbyState(
        **{**common, "slot": slot or common["slot"]},
        in_recovery=True,
        timeline=int(timeline),
        received=received,
        replayed=replayed,
        lag_bytes=has - parse_lsn(replayed) if replayed else None,
        receiving=status == "streaming",
        primary_end=primary_end,
        last_message=_time(last_message),
        asked=_time(asked),
        last_commit=_time(last_commit),
        paused=bool(paused),
        sender=f"{host}:{port}" if host else None,
    )


def _time(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
