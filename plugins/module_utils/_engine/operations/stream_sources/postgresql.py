# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL of PostgreSQL, from a job's options."""

from __future__ import annotations

from ...core.description.duration import parse_duration
from ...core.options import refuse_unknown
from ...postgresql.connection import PostgresConnection
from ...postgresql.wal_room import DEFAULT_BUDGET_MIB, DEFAULT_FREE_PERCENT, WalLimits
from ...postgresql.wal_source import WalStreamOptions, WalStreamSource
from .context import StreamContext

_MEBIBYTE = 1024 * 1024
_OPTIONS = frozenset(("archive_timeout", "pg_wal_budget_mib", "pg_wal_free_percent"))


def wal(context: StreamContext) -> WalStreamSource:
    """The archived WAL. Raises RequestInvalid and DurationInvalid for options that can't be."""
    refuse_unknown(context.options, known=_OPTIONS, of="a backup of kind wal")
    timeout = context.options.get("archive_timeout")
    budget = context.options.get("pg_wal_budget_mib", DEFAULT_BUDGET_MIB)
    free = context.options.get("pg_wal_free_percent", DEFAULT_FREE_PERCENT)
    return WalStreamSource(
        connection=PostgresConnection.from_description(context.connection),
        options=WalStreamOptions(
            archive_timeout=None if timeout is None else parse_duration(timeout),
            limits=WalLimits(budget=int(budget) * _MEBIBYTE, free_percent=int(free)),
        ),
        spool=context.spool,
        runner=context.host.runner,
        clock=context.host.clock,
        journal=context.host.journal,
    )
