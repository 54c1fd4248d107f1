# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several things at the same time, and none of them left behind."""

from __future__ import annotations

import concurrent.futures
import typing as t

from .clock import SystemClock
from .signals import undisturbed

_T = t.TypeVar("_T")
_TURN_SECONDS = 0.1
_CLOCK = SystemClock()


def at_the_same_time(steps: t.Sequence[t.Callable[[], _T]]) -> list[concurrent.futures.Future[_T]]:
    """Run each of *steps* in a thread of its own; their ended futures, in the same order.

    Also when we are told to stop meanwhile, all have ended before anything is raised: whoever cleans up afterwards must
    not be overtaken by what he cleans up.
    """
    if not steps:
        return []
    # The waiting and the end, too: a thread whose pool is not told that it is over waits for more for ever.
    with undisturbed(), concurrent.futures.ThreadPoolExecutor(max_workers=len(steps)) as pool:
        return [pool.submit(step) for step in steps]


def wait_for(
    futures: t.Collection[concurrent.futures.Future[t.Any]], *, timeout: float | None = None, first: bool = False
) -> set[concurrent.futures.Future[t.Any]]:
    """Wait until all (with *first*: one) have ended, at most *timeout* seconds; those that have.

    A signal is obeyed within a tenth of a second, and never in the middle of the standard library's own waiting: raised
    there, it can leave the future locked: then its thread waits for ever to end it, and we for the thread.
    """
    deadline = None if timeout is None else _CLOCK.monotonic() + timeout
    when = concurrent.futures.FIRST_COMPLETED if first else concurrent.futures.ALL_COMPLETED
    while True:
        with undisturbed():
            done, running = concurrent.futures.wait(futures, timeout=_TURN_SECONDS, return_when=when)
        if not running or (first and done) or (deadline is not None and _CLOCK.monotonic() >= deadline):
            return done
