# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a job must have succeeded again, by its own schedule: what makes it overdue. Pure.

The deadline hangs on the newest success alone: the first run that its schedule has after that success began, plus a
grace. So whoever knows the deadline can tell later, without asking again, whether the job has become overdue.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.description.schedule import Schedule

#: A quarter of the time to the run after it, within these bounds, is how late a run may be.
SHORTEST_GRACE, LONGEST_GRACE = datetime.timedelta(minutes=5), datetime.timedelta(hours=1)
#: A run that began so little before its time is that run: clocks are set while hosts work.
_EARLY = datetime.timedelta(seconds=30)


@dataclass(frozen=True)
class Due:
    """The run that the newest success leaves due next (*due*, UTC), and until when it must have succeeded.

    *next_run* is when the schedule comes next after now, which is later than *due* when a run was missed.
    """

    due: datetime.datetime
    grace: datetime.timedelta
    next_run: datetime.datetime
    now: datetime.datetime

    @property
    def deadline(self) -> datetime.datetime:
        """When the job becomes overdue."""
        return self.due + self.grace

    @property
    def overdue(self) -> bool:
        """Whether the run that was due has no success though its grace is over."""
        return self.now > self.deadline

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values; seconds."""
        return {
            "due": format_time(self.due),
            "grace_seconds": round(self.grace.total_seconds(), 1),
            "deadline": format_time(self.deadline),
            "overdue": self.overdue,
        }


def due_of(
    schedule: Schedule | None,
    *,
    now: datetime.datetime,
    success: datetime.datetime | None,
    running: datetime.datetime | None = None,
    known_since: datetime.datetime | None = None,
    longest_run: float = 0.0,
) -> Due | None:
    """What is due, None for what no clock starts, and where there never was a success to count from.

    *success* is when the newest successful run began, *running* when the one began that goes on: it is not late before
    the run after it is. *known_since* stands for the success of a job that has none: since when it is described.
    *longest_run* is how many seconds runs took lately; the grace is longer by that. Raises LibraryMissing.
    """
    began = [moment for moment in (success or known_since, running) if moment is not None]
    if schedule is None or not began:
        return None
    due = schedule.next_run(max(began) + _EARLY)
    return Due(due=due, grace=grace_of(schedule, due, longest_run), next_run=schedule.next_run(now), now=now)


def grace_of(schedule: Schedule, due: datetime.datetime, longest_run: float) -> datetime.timedelta:
    """How late the success of the run at *due* may be."""
    quarter = (schedule.next_run(due) - due) / 4
    return min(max(quarter, SHORTEST_GRACE), LONGEST_GRACE) + datetime.timedelta(seconds=longest_run)
