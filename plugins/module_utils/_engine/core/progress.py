# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long job is: a stage, bytes, a rate. Written by the workers, read by whoever shows it."""

from __future__ import annotations

import threading
import typing as t

from .clock import Clock, format_time


class ProgressSink(t.Protocol):
    """Takes a snapshot of the progress, about once a second."""

    def __call__(self, snapshot: t.Mapping[str, t.Any]) -> None:
        """*snapshot* holds JSON values only, see :meth:`Progress.snapshot`."""


class Progress:
    """Thread-safe counters of one run.

    ``bytes_done`` counts bytes of the source (before compression) where they are known, ``bytes_stored`` those that
    went to the repositories; ``bytes_expected`` is the plan's estimate of the source's bytes, 0 when unknown.
    """

    def __init__(self, *, clock: Clock, sink: ProgressSink | None = None, interval: float = 1.0) -> None:
        self._clock = clock
        self._sink = sink
        self._interval = interval
        self._lock = threading.Lock()
        self._started = clock.monotonic()
        self._stage_started = self._started
        self._last_shown = float("-inf")
        self._stage = "starting"
        self._stages: dict[str, float] = {}
        self.bytes_expected = 0
        self.bytes_done = 0
        self.bytes_stored = 0

    def stage(self, name: str, *, bytes_expected: int | None = None) -> None:
        """Enter the next stage: its name is what the operator sees ("dumping", "storing the manifest")."""
        with self._lock:
            self._close_stage()
            self._stage = name
            if bytes_expected is not None:
                self.bytes_expected = bytes_expected
        self._show(force=True)

    def add(self, *, done: int = 0, stored: int = 0) -> None:
        """Count bytes; shown at most once per interval."""
        with self._lock:
            self.bytes_done += done
            self.bytes_stored += stored
        self._show(force=False)

    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""
        with self._lock:
            seconds = dict(self._stages)
            seconds[self._stage] = seconds.get(self._stage, 0.0) + self._clock.monotonic() - self._stage_started
        return {name: round(value, 3) for name, value in seconds.items()}

    def snapshot(self) -> dict[str, t.Any]:
        """The progress as JSON values: stage, bytes, bytes a second since the start, percent where it can be told."""
        seconds = max(self._clock.monotonic() - self._started, 1e-6)
        moved = self.bytes_done or self.bytes_stored
        percent = None
        if self.bytes_expected and self.bytes_done:
            percent = min(99, int(100 * self.bytes_done / self.bytes_expected))
        return {
            "stage": self._stage,
            "bytes_done": self.bytes_done,
            "bytes_stored": self.bytes_stored,
            "bytes_expected": self.bytes_expected,
            "bytes_per_second": int(moved / seconds),
            "percent": percent,
            "seconds": round(seconds, 1),
            "updated": format_time(self._clock.now()),
        }

    def _close_stage(self) -> None:
        now = self._clock.monotonic()
        self._stages[self._stage] = self._stages.get(self._stage, 0.0) + now - self._stage_started
        self._stage_started = now

    def _show(self, *, force: bool) -> None:
        if self._sink is None:
            return
        now = self._clock.monotonic()
        if not force and now - self._last_shown < self._interval:
            return
        self._last_shown = now
        self._sink(self.snapshot())
