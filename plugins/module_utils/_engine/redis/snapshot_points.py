# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups as points in time: what a server held at one moment, and nothing in between. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..core.clock import format_time, parse_time

_FAILED = "failed"


@dataclass(frozen=True)
class SnapshotPoint:
    """A backup and the last second (since 1970) of which it may hold writes."""

    backup: Backup
    second: int


def snapshot_points(bases: t.Sequence[Backup]) -> list[SnapshotPoint]:
    """The points of all backups that are not known to be bad, in order of time.

    A snapshot says itself when it was begun; append-only files were as they are at some moment before the backup ended.
    """
    points = [
        SnapshotPoint(backup=one, second=int(_moment(one).timestamp()))
        for one in bases
        if one.manifest.engine == "redis" and one.manifest.kind in ("rdb", "aof") and one.state != _FAILED
    ]
    return sorted(points, key=lambda point: (point.second, point.backup.manifest.backup_id))


def second_text(second: int) -> str:
    """A second as it can be given as a target: ``2026-11-21T14:03:00Z``."""
    return format_time(moment_of(second))


def moment_of(second: int) -> datetime.datetime:
    """The begin of a second since 1970, aware, in UTC; seconds that no calendar has become the first or the last."""
    try:
        return datetime.datetime.fromtimestamp(second, tz=datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return datetime.datetime.max.replace(microsecond=0, tzinfo=datetime.timezone.utc)


def _moment(backup: Backup) -> datetime.datetime:
    noted = backup.manifest.content.get("snapshot_time")
    if isinstance(noted, str):
        try:
            return parse_time(noted)
        except ValueError:
            pass  # an odd manifest: it was over when it was over
    return backup.manifest.finished
