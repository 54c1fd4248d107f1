# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping the WAL of a running base backup on the server: a temporary replication slot for as long as it takes.

``pg_basebackup -X fetch`` copies the WAL last. Without a slot (or a generous wal_keep_size) a checkpoint on a busy
server recycles it before, and hours of copying end with "requested WAL segment has already been removed". A
temporary slot is dropped by the server when its connection ends, however it ends.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from ..core.errors import LifeboatError
from ..core.runner import Runner
from .connection import PostgresConnection


@contextlib.contextmanager
def wal_hold(*, connection: PostgresConnection, runner: Runner, backup_id: str, version: int) -> t.Iterator[bool]:
    """Hold WAL from now on; gives True. Raises what the server says when it has no slot or no WAL sender left."""
    options = {"idle_session_timeout": "0"} if version >= 140000 else None
    with connection.connect_replication(runner=runner, options=options) as session:
        name = slot_name(backup_id)
        session.rows(f"CREATE_REPLICATION_SLOT {name} TEMPORARY PHYSICAL RESERVE_WAL")
        yield True


def slot_name(backup_id: str) -> str:
    """A slot's name for the backup: lower-case letters, digits and underscores are allowed."""
    return "lifeboat_" + re.sub(r"[^a-z0-9]", "_", backup_id.lower())


@contextlib.contextmanager
def wal_hold_if_possible(
    *,
    connection: PostgresConnection,
    runner: Runner,
    backup_id: str,
    version: int,
    on_refusal: t.Callable[[LifeboatError], None],
) -> t.Iterator[bool]:
    """The same; when the server refuses, *on_refusal* is told and the body runs without. Gives whether it holds."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(wal_hold(connection=connection, runner=runner, backup_id=backup_id, version=version))
            held = True
        except LifeboatError as error:
            on_refusal(error)
            held = False
        yield held
