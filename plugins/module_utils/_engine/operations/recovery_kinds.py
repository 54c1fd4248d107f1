# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine recovers to a point in time, from which bases, along which stream: one static table."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..core.errors import KindNotRunnable
from ..recovery.recovery_planner import RecoveryPlanner
from ..recovery.recovery_target import RecoveryTarget
from ..recovery.vendor_archive import OpenVendorArchive, ReadVendorArchives
from ..recovery.windows import WindowsOf


@dataclass(frozen=True)
class EngineRecovery:
    """*stream_kind* is what is replayed, *base_kinds* the kinds of backups that it can be replayed onto.

    *reads_since* says when the backup was begun that a target will be reached from, and None where what was recorded
    before it may have a say; *needs_all* tells it of a group of stored segments. Without them plans read everything.
    *vendor_archives* and *open_vendor_archive* are for streams that a vendor's tool keeps in a storage of its own.
    """

    stream_kind: str
    base_kinds: tuple[str, ...]
    planner: RecoveryPlanner
    windows: WindowsOf
    reads_since: t.Callable[[t.Sequence[Backup], RecoveryTarget], datetime.datetime | None] | None = None
    needs_all: t.Callable[[str], bool] | None = None
    vendor_archives: ReadVendorArchives | None = None
    open_vendor_archive: OpenVendorArchive | None = None


#: Those with a stream.
RECOVERABLE_ENGINES = ("mongodb", "postgresql", "redis")


def engine_recovery(engine: str) -> EngineRecovery:
    """Raises KindNotRunnable for an engine without a stream."""
    if engine == "mongodb":
        return _mongodb()
    if engine == "postgresql":
        return _postgresql()
    if engine == "redis":
        return _redis()
    raise KindNotRunnable(
        f"Sources of the engine {engine} can't be recovered to a point in time.",
        hint="Restore a backup: lifeboat restore SERVICE/SOURCE/KIND --dry-run",
    )


# Each is imported when it is asked for: whoever works on one database loads no other.


def _mongodb() -> EngineRecovery:
    from ..mongodb.oplog_windows import windows_of
    from ..mongodb.recovery_planner import MongoRecoveryPlanner
    from ..mongodb.recovery_reading import reads_since

    return EngineRecovery("oplog", ("full",), MongoRecoveryPlanner(), windows_of, reads_since)


def _postgresql() -> EngineRecovery:
    from ..postgresql.recovery_planner import PgRecoveryPlanner
    from ..postgresql.recovery_reading import needs_all, reads_since
    from ..postgresql.wal_windows import wal_windows
    from ..postgresql.walg_stream import open_walg_archive, read_walg_archives

    return EngineRecovery(
        stream_kind="wal",
        base_kinds=("base", "incremental"),
        planner=PgRecoveryPlanner(),
        windows=wal_windows,
        reads_since=reads_since,
        needs_all=needs_all,
        vendor_archives=read_walg_archives,
        open_vendor_archive=open_walg_archive,
    )


def _redis() -> EngineRecovery:
    from ..redis.aof_log_planner import AofLogPlanner
    from ..redis.aof_log_windows import aof_log_windows

    return EngineRecovery("aof-log", ("rdb", "aof"), AofLogPlanner(), aof_log_windows)
