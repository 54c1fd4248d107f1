# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a recovery: exactly one target, always. Pure.

A server replays in two starts. The first one fetches WAL, is cut off from everything and shuts down at the target, so
that it is known to have reached it before anything is replaced. The second one is the restored cluster's own: it asks
no archive, replays the last bit from its own ``pg_wal`` to the same target, and then does what was asked for.
"""

from __future__ import annotations

import typing as t

from ..core.clock import format_time
from ..recovery.recovery_target import RecoveryTarget
from .wal_names import format_lsn

#: Settings that a server in recovery which takes readers needs at least as high as its source had them (PostgreSQL,
#: "Hot Standby", "Administrator's Overview"), by their labels in pg_controldata.
AT_LEAST: t.Mapping[str, str] = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
#: Nothing is fetched: what the second start needs lies in ``pg_wal``.
NO_ARCHIVE = "false"
_XID_BITS = 1 << 32


def target_settings(target: RecoveryTarget, *, timeline: str) -> dict[str, str]:
    """``recovery_target*`` without the action. *timeline* is ``current`` or a number."""
    values = {
        "recovery_target_timeline": timeline,
        "recovery_target_inclusive": "on" if target.inclusive else "off",
    }
    if target.kind == "time" and target.time is not None:
        values["recovery_target_time"] = format_time(target.time).replace("T", " ").replace("Z", "+00")
    elif target.kind == "lsn":
        values["recovery_target_lsn"] = target.value
    elif target.kind == "xid":
        values["recovery_target_xid"] = str(int(target.value) % _XID_BITS)
    elif target.kind == "name":
        values["recovery_target_name"] = target.value
    elif target.kind == "immediate":
        values["recovery_target"] = "immediate"
    else:
        raise ValueError(f"{target.kind} is not a target that PostgreSQL knows")
    return values


def end_target(position: int) -> RecoveryTarget:
    """The target that includes the record at *position*: the last one that is stored."""
    return RecoveryTarget(kind="lsn", value=format_lsn(position))


def replay_settings(
    target: RecoveryTarget, *, timeline: str, restore_command: str, control: t.Mapping[str, str]
) -> dict[str, str]:
    """Of the first start, on top of those that cut a server off. *control* is what pg_controldata says."""
    return {
        **target_settings(target, timeline=timeline),
        "recovery_target_action": "shutdown",
        "restore_command": restore_command,
        "hot_standby": "off",
        "archive_cleanup_command": "",
        "recovery_end_command": "",
        "recovery_min_apply_delay": "0",
        "max_prepared_transactions": control.get("max_prepared_xacts setting", "0"),
        # The result is kept, so it must be durable.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_level": "replica",
        "max_wal_size": "2GB",
        # The times in its log are read.
        "timezone": "UTC",
        "log_timezone": "UTC",
        "unix_socket_directories": ".",
    }


def final_settings(
    target: RecoveryTarget, *, timeline: str, action: str, control: t.Mapping[str, str]
) -> dict[str, str]:
    """Of the second start, and of every later one until it was promoted."""
    values = {
        "restore_command": NO_ARCHIVE,
        **target_settings(target, timeline=timeline),
        "recovery_target_action": "pause" if action == "pause" else "promote",
        "hot_standby": "on" if action == "pause" else "off",
    }
    if action == "pause":
        # With less it would stop replaying before its target.
        values.update({name: control[label] for label, name in AT_LEAST.items() if label in control})
    return values
