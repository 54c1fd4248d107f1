# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several pieces of work at the same time, their outcomes in order, and never more than a few of them in memory."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import threading
import typing as t

from ..core.errors import Interrupted
from ..core.parallel import wait_for
from ..core.signals import undisturbed

_T = t.TypeVar("_T")
_R = t.TypeVar("_R")


class Stopping:
    """Tells threads that nobody wants their work any more."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """From now on :meth:`check` raises."""
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted when it is time to end; to be called between two pieces of a long work."""
        if self._event.is_set():
            raise Interrupted("The work was given up because the run ends.")


@contextlib.contextmanager
def workers(parallel: int, *, stopping: Stopping) -> t.Iterator[concurrent.futures.ThreadPoolExecutor]:
    """Threads that have all ended when the block is left. When we are told to stop meanwhile, *stopping* tells them.

    An error that ends the block lets what is begun come to its end, and begins nothing more.
    """
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=parallel)
    try:
        yield pool
    except BaseException as error:
        if not isinstance(error, Exception):
            stopping.stop()
        raise
    finally:
        with undisturbed():
            pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: concurrent.futures.ThreadPoolExecutor, work: t.Callable[[_T], _R], items: t.Iterable[_T], *, ahead: int
) -> t.Iterator[tuple[_T, concurrent.futures.Future[_R]]]:
    """Each item with its ended future, in the order of *items*; at most *ahead* of them are begun and not given out."""
    running: collections.deque[tuple[_T, concurrent.futures.Future[_R]]] = collections.deque()
    for item in items:
        with undisturbed():
            running.append((item, pool.submit(work, item)))
        if len(running) >= ahead:
            yield _ended(running.popleft())
    while running:
        yield _ended(running.popleft())


def _ended(
    pair: tuple[_T, concurrent.futures.Future[_R]],
) -> tuple[_T, concurrent.futures.Future[_R]]:
    wait_for([pair[1]])
    return pair
