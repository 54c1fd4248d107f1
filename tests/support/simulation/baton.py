# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several programs at the same time, of which one runs at a time: a baton is handed on wherever one could be overtaken.

Every program runs in a thread of its own and calls :meth:`Baton.point` before whatever others can see. Who goes on is
drawn from a seed, and so is where programs die; the same seed gives the same course of events.
"""

from __future__ import annotations

import datetime
import random
import threading
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageUnreachable

_PATIENCE = 120.0
_PAUSES = 0.02


class Crashed(BaseException):
    """The program is dead: nothing that it does from now on has any effect, its clean-up included."""


class SimulatedClock:
    """One time for all, in which nothing waits."""

    def __init__(self, start: datetime.datetime) -> None:
        self.time = start

    def now(self) -> datetime.datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += datetime.timedelta(seconds=seconds)


@dataclass
class Program:
    """One program: *work* is what it does. It dies before its step *dies_at*, or right after it has changed something
    for the *dies_after*-th time; at *fails_at* it gets no answer once. *outcome* is what it raised.
    """

    name: str
    work: t.Callable[[], None] = lambda: None
    dies_at: int | None = None
    dies_after: int | None = None
    fails_at: int | None = None
    steps: int = 0
    changes: int = 0
    has_changed: bool = False
    is_dead: bool = False
    rank: int = 0
    outcome: BaseException | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._turn.acquire()

    def wait(self) -> None:
        """Wait for the baton."""
        if not self._turn.acquire(timeout=_PATIENCE):
            raise AssertionError(f"{self.name} waits for ever")

    def go(self) -> None:
        """Hand the baton to it."""
        self._turn.release()


class Baton:
    """Runs programs; *log* is what they did in order, as ``"name: what"``.

    In one half of all runs whoever goes on is drawn anew again and again. In the other half each goes on until it is
    overtaken, at a few moments only, and then waits until all others have ended: rare orders are found so, in which one
    program does much while another is in the middle of something.

    In some runs it takes an hour or two, once or twice, until anybody goes on: somebody stores something large. That is
    less than pruners and their marks live, and more than a sweep may take for the age of what is being made.
    """

    def __init__(self, chance: random.Random, clock: SimulatedClock) -> None:
        self.log: list[str] = []
        self.failure: BaseException | None = None
        self._chance = chance
        self._clock = clock
        self._running: list[Program] = []
        self._patient = chance.random() < 0.5
        self._pauses = chance.choice((0, 0, 1, 2))
        self._last_rank = 0
        self._done = threading.Lock()
        self._done.acquire()

    def run(self, programs: t.Sequence[Program]) -> None:
        """Run them until all have ended. Raises the first failure of an invariant, or what a program must not raise."""
        self._running = list(programs)
        threads = [threading.Thread(target=self._run, args=(program,), daemon=True) for program in programs]
        for thread in threads:
            thread.start()
        if programs:
            for rank, program in enumerate(self._chance.sample(self._running, len(self._running)), start=1):
                program.rank = rank
            self._first().go()
            if not self._done.acquire(timeout=_PATIENCE):
                raise AssertionError(f"nobody has the baton; the last steps: {self.log[-20:]}")
        for thread in threads:
            thread.join(_PATIENCE)
        if self.failure is not None:
            raise self.failure

    def point(self, program: Program, what: str, *, changes: bool) -> None:
        """The program is about to do *what*, and others may be quicker. Raises Crashed and StorageUnreachable."""
        if program.is_dead:
            raise Crashed
        program.steps += 1
        if program.steps == program.dies_at or (program.has_changed and program.changes == program.dies_after):
            self.log.append(f"{program.name}: DIES before: {what}")
            program.is_dead = True
            raise Crashed
        self._clock.advance(self._chance.random() * 20)
        if self._pauses and self._chance.random() < _PAUSES:
            self._pauses -= 1
            self._clock.advance(self._chance.uniform(3600, 7200))
        if len(self._running) > 1:
            other = self._next(program)
            if other is not program:
                other.go()
                program.wait()
        if self.failure is not None:
            program.is_dead = True
            raise Crashed
        program.has_changed = changes
        program.changes += changes
        if program.steps == program.fails_at:
            self.log.append(f"{program.name}: NO ANSWER to: {what}")
            raise StorageUnreachable("The repository does not answer.", hint="Look at the network.")
        self.log.append(f"{program.name}: {what}")

    def _first(self) -> Program:
        if self._patient:
            return max(self._running, key=lambda one: one.rank)
        return self._chance.choice(self._running)

    def _next(self, program: Program) -> Program:
        # The moments after a change are those in which somebody else decides by what was there before.
        if self._patient:
            if self._chance.random() < (0.2 if program.has_changed else 0.02):
                self._last_rank -= 1
                program.rank = self._last_rank
            return max(self._running, key=lambda one: one.rank)
        return (
            self._chance.choice(self._running)
            if self._chance.random() < (0.7 if program.has_changed else 0.3)
            else program
        )

    def now(self) -> datetime.datetime:
        """The simulated time."""
        return self._clock.now()

    def fail(self, failure: BaseException) -> None:
        """An invariant does not hold: everything ends."""
        if self.failure is None:
            self.failure = failure

    def _run(self, program: Program) -> None:
        program.wait()
        try:
            program.work()
        except Crashed as crashed:
            program.outcome = crashed
        except BaseException as error:  # noqa: BLE001 - it is raised again where everything was started
            program.outcome = error
            self.fail(error)
        finally:
            self._running.remove(program)
            if self._running:
                self._first().go()
            else:
                self._done.release()
