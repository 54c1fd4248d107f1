# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a standby is behind its primary. Both are asked: one that has lost its primary believes to have it all."""

from __future__ import annotations

import typing as t

from ..core.replica_lag import ReplicaLag
from ..core.runner import Runner
from .connection import PostgresConnection
from .session import Session

# A source can itself be a standby that others follow.
_WRITTEN = """
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_flush_lsn() END
        - '0/0'::pg_lsn)::bigint
"""
_REPLAYED = """
SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::double precision
"""
_SLOT = """
SELECT ((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_flush_lsn() END)
        - restart_lsn)::bigint, coalesce(to_jsonb(one) ->> 'wal_status', '') = 'lost'
  FROM pg_catalog.pg_replication_slots AS one WHERE slot_name = %s AND slot_type = 'physical'
"""


def replica_lag(
    source: t.Mapping[str, t.Any], standby: t.Mapping[str, t.Any], *, timeout: int, runner: Runner, slot: str = ""
) -> ReplicaLag:
    """Ask both. The seconds are the age of the newest transaction that the standby has, 0 when it has everything.

    Raises what connecting and asking raise.
    """
    # The primary first: what is written while the standby is asked makes no lag that there is not.
    with _open(source, timeout=timeout, runner=runner) as session:
        written = session.value(_WRITTEN)
        kept = session.rows(_SLOT, [slot]) if slot else []
    with _open(standby, timeout=timeout, runner=runner) as session:
        ((follows, replayed, age),) = session.rows(_REPLAYED)
    retained, lost = kept[0] if kept else (None, None)
    slot_facts: dict[str, t.Any] = {
        "retained_bytes": None if retained is None else max(0, int(retained)),
        "slot_lost": lost,
    }
    if not follows or written is None or replayed is None:
        return ReplicaLag(follows=bool(follows), **slot_facts)
    behind = max(0, int(written) - int(replayed))
    seconds = 0.0 if behind == 0 else None if age is None else max(0.0, float(age))
    return ReplicaLag(follows=True, seconds=seconds, behind_bytes=behind, **slot_facts)


def _open(connection: t.Mapping[str, t.Any], *, timeout: int, runner: Runner) -> Session:
    settings = {"statement_timeout": str(timeout * 1000)}
    return PostgresConnection.from_description(connection).connect(runner=runner, options=settings)
