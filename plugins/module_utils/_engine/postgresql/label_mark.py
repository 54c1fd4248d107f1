# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery label in the WAL: a restore point, and the segment that holds it handed to the archive at once."""

from __future__ import annotations

import typing as t

from ..core.errors import PostgresNotReady
from ..core.runner import Runner
from ..recovery.recovery_target import RecoveryTarget
from .connection import PostgresConnection


def mark(
    connection: t.Mapping[str, t.Any], *, name: str, runner: Runner
) -> tuple[RecoveryTarget, t.Mapping[str, t.Any]]:
    """Write a restore point; the target is the LSN behind it, because names may be given twice in a WAL.

    The LSN is where the next record begins, so the target is exclusive: that record may be somebody's commit.

    Raises PostgresNotReady on a standby, which can't write one, and what connecting raises.
    """
    with PostgresConnection.from_description(connection).connect(runner=runner) as session:
        if session.value("SELECT pg_is_in_recovery()"):
            raise PostgresNotReady(
                f"PostgreSQL at {session.address.server} is a standby; only a primary can write a restore point.",
                hint="Name the primary in the source's connection.",
            )
        session.connection.autocommit = True
        lsn = str(session.value("SELECT pg_create_restore_point(%s)", (name,)))
        timeline = session.value("SELECT timeline_id FROM pg_control_checkpoint()")
        # Without it the label could be recovered to only when the segment is full.
        session.value("SELECT pg_switch_wal()")
    return RecoveryTarget(kind="lsn", value=lsn, inclusive=False), {"restore_point": name, "timeline": timeline}
