# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server's archiving is doing: what is set, what failed, what waits; and what of it an operator should hear."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import PostgresPermissionDenied
from ..streams.spool import SpoolEntry
from .names import parse_lsn
from .session import Session
from .wal_archive_script import is_archive_command
from .wal_names import SEGMENT, WalName, parse_wal_name

_SETTINGS = ("archive_mode", "archive_command", "archive_library", "archive_timeout", "wal_level", "data_directory")
_ARCHIVER = """
SELECT archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time
  FROM pg_catalog.pg_stat_archiver
"""
# Which slot needs the oldest WAL: everything behind its position stays in pg_wal, archived or not.
_SLOT = """
SELECT slot_name, restart_lsn FROM pg_catalog.pg_replication_slots
 WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 1
"""
_READY = """
SELECT name, modification FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
"""


@dataclass(frozen=True)
class ReadyFile:
    """A file that the archiver has yet to take, and since when (aware, UTC)."""

    name: WalName
    since: datetime.datetime


@dataclass(frozen=True)
class ArchivingState:
    """One look at the server. Sizes in bytes, times aware and UTC, None where nobody can tell or it never happened.

    *mode_in_files* is what the configuration files say of ``archive_mode``: where it differs from *mode* the server
    waits for a restart. *ready* and *wal_size*, which is all of ``pg_wal``, are None when the role may not know them,
    and *data_directory* is empty then. *slot* is the replication slot that needs the oldest WAL, *slot_bytes* how much.
    """

    system_identifier: str
    version: str
    timeline: int
    in_recovery: bool
    mode: str
    mode_in_files: str | None
    command: str
    library: str
    timeout_seconds: int
    wal_level: str
    segment_size: int
    current_lsn: str | None
    data_directory: str
    archived_count: int
    last_archived: str | None
    last_archived_time: datetime.datetime | None
    failed_count: int
    last_failed: str | None
    last_failed_time: datetime.datetime | None
    ready: tuple[ReadyFile, ...] | None
    wal_size: int | None = None
    slot: str | None = None
    slot_bytes: int = 0

    @property
    def is_archiving(self) -> bool:
        """Whether this server hands finished WAL to anybody: on a standby only with ``always``."""
        return self.mode == "always" or (self.mode == "on" and not self.in_recovery)

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt of the archiver failed."""
        if self.last_failed_time is None:
            return False
        return self.last_archived_time is None or self.last_failed_time > self.last_archived_time


def read_archiving(session: Session) -> ArchivingState:
    """Read it all in a few small queries; none of them waits for a lock. Raises what the server says."""
    settings = dict(
        session.rows("SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)", [list(_SETTINGS)])
    )
    identifier, checkpoint_timeline, segment_size, in_recovery = session.rows(
        "SELECT c.system_identifier, p.timeline_id,"
        " pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')), pg_catalog.pg_is_in_recovery()"
        " FROM pg_catalog.pg_control_system() c, pg_catalog.pg_control_checkpoint() p"
    )[0]
    position = "pg_last_wal_replay_lsn" if in_recovery else "pg_current_wal_lsn"
    current = session.value(f"SELECT pg_catalog.{position}()")
    timeline = int(checkpoint_timeline)
    if not in_recovery:
        # pg_control tells the timeline of the last checkpoint; after a promotion the WAL is ahead of it.
        timeline = int(str(session.value("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())"))[:8], 16)
    archived, last, last_time, failed, last_failed, last_failed_time = session.rows(_ARCHIVER)[0]
    slot, kept_from = next(iter(session.rows(_SLOT)), (None, None))
    return ArchivingState(
        system_identifier=str(identifier),
        version=str(session.value("SHOW server_version")).partition(" ")[0],
        timeline=timeline,
        in_recovery=bool(in_recovery),
        mode=settings.get("archive_mode", "off"),
        mode_in_files=_mode_in_files(session),
        command=settings.get("archive_command", ""),
        library=settings.get("archive_library", ""),
        timeout_seconds=int(settings.get("archive_timeout", 0)),
        wal_level=settings.get("wal_level", ""),
        segment_size=int(segment_size),
        current_lsn=None if current is None else str(current),
        data_directory=settings.get("data_directory", ""),
        archived_count=int(archived or 0),
        last_archived=last,
        last_archived_time=_utc(last_time),
        failed_count=int(failed or 0),
        last_failed=last_failed,
        last_failed_time=_utc(last_failed_time),
        ready=_ready(session),
        wal_size=_wal_size(session),
        slot=slot,
        slot_bytes=0 if slot is None or current is None else max(0, parse_lsn(str(current)) - parse_lsn(kept_from)),
    )


@dataclass(frozen=True)
class Lag:
    """What is finished and not shipped. *bytes* reaches up to the server's position, so it has the unfinished segment
    too; None when the server did not answer. *seconds* is the age of the oldest finished file that waits, 0 for none.
    """

    bytes: int | None
    seconds: float
    oldest: str | None
    waiting: int
    waiting_bytes: int


def lag_of(state: ArchivingState | None, *, spooled: t.Sequence[SpoolEntry], now: datetime.datetime) -> Lag:
    """The lag by what waits in the spool and, where the server answered, in its ``pg_wal``."""
    waiting = [
        (name, entry.modified) for entry in spooled for name in (parse_wal_name(entry.name),) if name is not None
    ]
    if state is not None:
        waiting += [(one.name, one.since) for one in state.ready or ()]
    segments = [name for name, _since in waiting if name.what == SEGMENT]
    oldest_name, oldest_time = min(waiting, key=lambda one: one[1], default=(None, now))
    behind = None
    if state is not None and state.current_lsn is not None:
        current = parse_lsn(state.current_lsn)
        first = min(segments, key=lambda one: one.order, default=None)
        try:
            start = current - current % state.segment_size if first is None else first.start(state.segment_size)
        except ValueError:  # a foreign file in the spool; it is refused elsewhere
            start = current
        behind = max(0, current - start)
    return Lag(
        bytes=behind,
        seconds=max(0.0, (now - oldest_time).total_seconds()),
        oldest=None if oldest_name is None else oldest_name.name,
        waiting=len(spooled),
        waiting_bytes=sum(entry.size for entry in spooled),
    )


def health_facts(state: ArchivingState, lag: Lag) -> dict[str, t.Any]:
    """As JSON values, for people and monitoring."""
    ready = state.ready
    return {
        "system_identifier": state.system_identifier,
        "server_version": state.version,
        "timeline": state.timeline,
        "in_recovery": state.in_recovery,
        "archive_mode": state.mode,
        "archive_mode_after_restart": state.mode_in_files,
        "archive_command": state.command,
        "archive_library": state.library,
        "archive_timeout_seconds": state.timeout_seconds,
        "wal_level": state.wal_level,
        "segment_size": state.segment_size,
        "current_lsn": state.current_lsn,
        "archived_count": state.archived_count,
        "last_archived": state.last_archived,
        "last_archived_time": _text(state.last_archived_time),
        "failed_count": state.failed_count,
        "last_failed": state.last_failed,
        "last_failed_time": _text(state.last_failed_time),
        "is_failing": state.is_failing,
        "ready_count": None if ready is None else len(ready),
        "oldest_ready": min(ready, key=lambda one: one.since).name.name if ready else None,
        "lag_bytes": lag.bytes,
        "lag_seconds": round(lag.seconds, 1),
        "oldest_unshipped": lag.oldest,
        "spooled_count": lag.waiting,
        "spooled_bytes": lag.waiting_bytes,
    }


def health_warnings(state: ArchivingState, *, spool: str, wanted_timeout: datetime.timedelta | None) -> dict[str, str]:
    """What an operator should hear, each under a stable name; the sentence ends with the next thing to type."""
    found: dict[str, str] = {}
    if state.mode == "off":
        if state.mode_in_files in ("on", "always"):
            found["restart-needed"] = (
                f"archive_mode is {state.mode_in_files} in the configuration, and the running server still has it off: "
                "no WAL is archived until it is restarted, which is up to you."
            )
        else:
            found["archiving-off"] = (
                "archive_mode is off: no WAL is archived, and nothing between two base backups can be recovered. Run: "
                "ALTER SYSTEM SET archive_mode = on;  then restart the server."
            )
        if state.wal_level == "minimal":
            found["wal-level-minimal"] = (
                "wal_level is minimal, with which no WAL can be archived. Run: ALTER SYSTEM SET wal_level = replica;  "
                "then restart the server."
            )
        return found
    if not state.is_archiving:
        found["standby"] = (
            "The server is a standby, and archive_mode is on: only a primary archives then. Ship from the primary, or "
            "set archive_mode = always and restart the standby."
        )
    found.update(_command_warnings(state, spool=spool))
    if state.is_failing and state.is_archiving:
        found["archiver-failing"] = (
            f"The archiver failed with {state.last_failed} at {_text(state.last_failed_time)} ({state.failed_count} "
            "times so far), and pg_wal grows. The server's log says why: search it for lifeboat-archive-wal."
        )
    found.update(_timeout_warnings(state, wanted=wanted_timeout))
    return found


def _command_warnings(state: ArchivingState, *, spool: str) -> dict[str, str]:
    if state.library:
        return {
            "command-foreign": f"archive_library is {state.library}, so archive_command is not used and nothing comes "
            f"into {spool}. Run: ALTER SYSTEM RESET archive_library; SELECT pg_reload_conf();"
        }
    if not state.command:
        return {
            "command-missing": "archive_command is empty: the server keeps all its WAL until the disk is full. Set it, "
            "then: SELECT pg_reload_conf();"
        }
    if not is_archive_command(state.command, spool=spool):
        return {
            "command-foreign": f"archive_command is {state.command!r}, which does not feed {spool}. Set it to the "
            f"script of Lifeboat with that spool, then: SELECT pg_reload_conf();"
        }
    return {}


def _timeout_warnings(state: ArchivingState, *, wanted: datetime.timedelta | None) -> dict[str, str]:
    if wanted is None:
        if state.timeout_seconds:
            return {}
        return {
            "archive-timeout-off": "archive_timeout is 0: a write can wait for hours in a segment that does not fill. "
            "Run: ALTER SYSTEM SET archive_timeout = '45s'; SELECT pg_reload_conf();"
        }
    seconds = int(wanted.total_seconds())
    if 0 < state.timeout_seconds <= seconds:
        return {}
    return {
        "archive-timeout-long": f"archive_timeout is {state.timeout_seconds} s, and the description wants {seconds} s. "
        f"Run: ALTER SYSTEM SET archive_timeout = '{seconds}s'; SELECT pg_reload_conf();"
    }


def _mode_in_files(session: Session) -> str | None:
    try:
        found = session.value(
            "SELECT setting FROM pg_catalog.pg_file_settings WHERE name = 'archive_mode' ORDER BY seqno DESC LIMIT 1"
        )
    except PostgresPermissionDenied:  # superusers only
        return None
    return None if found is None else str(found)


def _ready(session: Session) -> tuple[ReadyFile, ...] | None:
    try:
        rows = session.rows(_READY)
    except PostgresPermissionDenied:  # superusers and pg_monitor
        return None
    names = [(parse_wal_name(str(name)[: -len(".ready")]), since) for name, since in rows]
    return tuple(ReadyFile(name, since.astimezone(datetime.timezone.utc)) for name, since in names if name is not None)


def _wal_size(session: Session) -> int | None:
    try:
        return int(session.value("SELECT COALESCE(sum(size), 0) FROM pg_catalog.pg_ls_waldir()"))
    except PostgresPermissionDenied:  # superusers and pg_monitor
        return None


def _utc(moment: datetime.datetime | None) -> datetime.datetime | None:
    return None if moment is None else moment.astimezone(datetime.timezone.utc)


def _text(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
