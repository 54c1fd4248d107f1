# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several things at the same time, and none of them left behind."""

from __future__ import annotations

import concurrent.futures
import typing as t

from .signals import undisturbed

_T = t.TypeVar("_T")


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
