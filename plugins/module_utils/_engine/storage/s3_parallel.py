# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same call for many things, several at a time."""

from __future__ import annotations

import concurrent.futures
import threading
import typing as t

_T = t.TypeVar("_T")
_R = t.TypeVar("_R")


def at_once(
    call: t.Callable[[_T], _R], things: t.Sequence[_T], *, most: int, stop: threading.Event | None = None
) -> list[_R]:
    """The answers in the order of *things*, *most* asked for at a time.

    The first error is raised when what is on its way has ended; what had not begun by then never does. *stop* is set
    then, for calls that wait.
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(most, len(things)))) as pool:
        futures = [pool.submit(call, thing) for thing in things]
        try:
            return [future.result() for future in futures]
        except BaseException:
            if stop is not None:
                stop.set()
            for future in futures:
                future.cancel()
            raise
