# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock that a test sets: nothing waits, and every moment is known."""

from __future__ import annotations

import datetime

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time

START = parse_time("2026-11-21T02:00:00Z")


class FakeClock:
    """Stands at *start* until somebody sleeps or :meth:`advance` is called; ``slept`` is what was waited for."""

    def __init__(self, start: datetime.datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime.datetime:
        return self._start + datetime.timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._elapsed += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed += seconds
