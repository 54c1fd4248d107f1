# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To which moment a source can be brought back: by its newest backup, or by what its stream has stored. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.catalog import Backup
from ..core.clock import parse_time
from ..recovery.windows import Windows
from .status import JobStatus
from .status_facts import is_usable
from .status_objectives import Point
from .stream_status import StreamStatus

#: A window of an oplog ends with the last whole second before its last entry.
_ROUNDED = datetime.timedelta(seconds=2)
_NO_GRACE = datetime.timedelta(0)


def job_point(job: JobStatus) -> Point | None:
    """The beginning of the newest backup that no verification found bad."""
    usable = [one.manifest for one in job.history if is_usable(one)]
    if not usable:
        return None
    grace = job.due.grace if job.due else _NO_GRACE
    return Point(moment=usable[-1].started, by=job.job.job_id, base=usable[-1].kind, grace=grace)


def stream_point(stream: StreamStatus, windows: Windows | None, backups: t.Sequence[Backup]) -> Point | None:
    """The end of the newest window; None where no base stands before the stream.

    Where the window reaches the newest that is stored, what a run proved counts as well: a server that writes nothing
    leaves no newer segment.
    """
    if windows is None or not windows.windows:
        return None
    newest = windows.windows[-1]
    ends, stored = newest.ends, stream.newest_time
    if stored and stream.proven is not None and ends >= parse_time(stored) - _ROUNDED:
        ends = max(ends, stream.proven)
    kinds = {one.manifest.backup_id: one.manifest.kind for one in backups}
    return Point(
        moment=ends,
        by=stream.job,
        base=kinds.get(newest.bases[-1]) if newest.bases else None,
        grace=stream.due.grace if stream.due else stream.alarm_age,
    )


def newest_point(points: t.Iterable[Point | None]) -> Point | None:
    """The best of them."""
    return max((one for one in points if one is not None), key=lambda one: one.moment, default=None)
