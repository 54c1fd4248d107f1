# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs are due: their time has come since they last went well, whether the host was up then or not."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import Clock, parse_time
from ..core.description.model import Job
from ..core.errors import LockHeld
from ..core.state import StateDirectory

#: In a run record, the id of the job in the description: two jobs of one kind share a file of records.
DESCRIBED_AS = "described_as"
_LOOK_SECONDS = 5.0
_WENT_WELL = ("complete", "partial")  # what a partial backup lacks is the business of `lifeboat copy`

Result = t.TypeVar("Result")


def is_due(job: Job, *, now: datetime.datetime) -> bool:
    """Whether the schedule of *job* has come round since its last run on this host that went well.

    A job that never went well is due; one without a schedule never is. Raises StateDirectoryUnusable, LibraryMissing.
    """
    if job.schedule is None:
        return False
    last = _last_good_start(job)
    return last is None or last < job.schedule.previous_run(now)


def run_when_due(job: Job, run: t.Callable[[], Result], *, clock: Clock, wait: float) -> Result | None:
    """What *run* returned; None when *job* is not due, or not any more because somebody else made it meanwhile.

    *run* must not wait for the lock itself: it is called again, for up to *wait* seconds, until it gets it. Raises
    LockHeld after that, and what *run* raises.
    """
    deadline = clock.monotonic() + wait
    while is_due(job, now=clock.now()):
        try:
            return run()
        except LockHeld:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise
            clock.sleep(min(_LOOK_SECONDS, left))
    return None


def _last_good_start(job: Job) -> datetime.datetime | None:
    records = StateDirectory(path=job.state_directory).records(f"{job.service}.{job.source}.{job.kind}")
    for record in reversed(records):
        if record.get("state") in _WENT_WELL and record.get(DESCRIBED_AS, record.get("job")) == job.id:
            return parse_time(str(record["started"]))
    return None
