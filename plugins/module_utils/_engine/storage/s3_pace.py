# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many requests a service is given at a time: a few more while it is content, half as many when it complains."""

from __future__ import annotations

import contextlib
import threading
import typing as t

_FIRST = 4.0


class Turn:
    """One request on its way."""

    def __init__(self, *, cuts: int) -> None:
        self.cuts = cuts
        self.slowed = False

    def complain(self) -> None:
        """Note that the service had too much of it."""
        self.slowed = True


class Pace:
    """Additive increase, multiplicative decrease, as TCP does it, its quick start included; for threads.

    Without it all threads go on at full rate into a service that answers 503 SlowDown, and it gets on with nothing.
    """

    def __init__(self, *, most: int, first: float = _FIRST) -> None:
        self._most = float(most)
        self._limit = min(first, self._most)
        self._cuts = 0
        self._running = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many may be on their way now; at least 1."""
        return int(self._limit)

    @contextlib.contextmanager
    def turn(self) -> t.Iterator[Turn]:
        """Wait until one more may be on its way; the end of the block counts as its answer."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self.limit)
            self._running += 1
            turn = Turn(cuts=self._cuts)
        try:
            yield turn
        finally:
            with self._changed:
                self._running -= 1
                self._adapt(turn)
                self._changed.notify_all()

    def _adapt(self, turn: Turn) -> None:
        if not turn.slowed:
            # One more for each answer, twice as many a round, until the first complaint; then one more a round.
            self._limit = min(self._most, self._limit + (1 / self._limit if self._cuts else 1))
        elif turn.cuts == self._cuts:
            # What was on its way already when the rate was cut says nothing about the new one.
            self._limit = max(1.0, self._limit / 2)
            self._cuts += 1
