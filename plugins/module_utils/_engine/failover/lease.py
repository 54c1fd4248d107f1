# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renewing the lease without which a primary does not run: whoever holds it stops the server before the lease ends.

A round looks for marks of failovers, and then says that the lease is held. The lease counts from before the look, by
the monotonic clock of this host alone. Half of it may pass without a good round; then the server is stopped in order,
and killed after another third: what is left is room for the kill. Each round is a thread of its own, because a storage
that does not answer must not keep anybody from the clock.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import FailoverError, FailoverLeaseTaken, LifeboatError
from ..core.host import Host
from ..core.signals import Stop, undisturbed
from .guard import replaced
from .ledger import runs_newest_first
from .witness import HELD, RELEASED, WITHDRAWN, Said, Witness

#: Parts of a lease: between two rounds, until the server is stopped, and how long it may take to stop in order.
EVERY, STOP_AFTER, STOP_WITHIN = 1 / 6, 1 / 2, 1 / 3


class Server(t.Protocol):
    """The server on this host."""

    def is_standby(self) -> bool:
        """Whether it starts as one by what lies there."""

    def runs(self) -> bool | None:
        """Whether any part of it runs; None when nobody knows."""

    def stop(self, *, within: float) -> bool:
        """Stop it in order, and kill it after *within* seconds; whether it is known to be stopped. Never raises."""

    def start(self) -> None:
        """Begin to start it, and do not wait. Never raises."""


class Gate(t.Protocol):
    """What the server asks before it starts, and the supervisor of this process."""

    def open(self) -> None:
        """It may start."""

    def close(self) -> None:
        """It must not."""

    def promise(self, *, given: bool) -> None:
        """Whether others may count on it that the server is stopped: when this process dies, it has to be."""

    def alive(self) -> None:
        """This process still looks at the clock."""


@dataclass(frozen=True)
class _Renewed:
    marks: frozenset[str]
    knows: str


@dataclass(frozen=True)
class _Replaced:
    run: str
    why: str


_Outcome = t.Union[_Renewed, _Replaced, LifeboatError]


class Holder:
    """Holds the lease of the server on *name* (as the inventory calls this host), of *lease* seconds."""

    def __init__(self, *, name: str, lease: float, witness: Witness, server: Server, gate: Gate, host: Host) -> None:
        self._name = name
        self._lease = lease
        self._witness = witness
        self._server = server
        self._gate = gate
        self._host = host
        self._clock = host.clock
        self._session = secrets.token_hex(8)
        self._round = 0
        self._marks: frozenset[str] = frozenset()
        self._knows: str | None = None  # None: the ledger has to be read before anything is promised
        self._since: float | None = None  # from when on the lease counts; None: the server does not run by it
        self._promising = False  # others may have read that it is held
        self._lapsed = False
        self._ran = False  # before the lease ended
        self._told = ""
        self._attempt: _Attempt | None = None

    def hold(self) -> None:
        """Until this process is told to end; the lease is given back then, and the server runs on where it runs.

        Raises FailoverLeaseTaken, with the server stopped.
        """
        self._gate.close()
        try:
            while True:
                self.turn()
        except Stop:
            with undisturbed():
                self.give_back()

    def turn(self) -> None:
        """Look once: whether it is a standby, whether the lease can be renewed, whether it is time to stop."""
        self._gate.alive()
        if self._server.is_standby():
            self._follow()
        else:
            self._renew()
        self._clock.sleep(self._pause())

    def give_back(self) -> None:
        """Say that nothing is promised any more. Where that can't be said, the promise is kept: the server stops."""
        self._gate.close()
        if not self._promising:
            return
        running = self._server.runs()
        if self._has_settled():
            try:
                self._say(RELEASED if running is False else WITHDRAWN)
                return
            except LifeboatError as error:
                self._warn(f"The lease could not be given back: {error.message}")
        if running is not False and not self._stop():
            raise FailoverError(
                f"The server on {self._name} runs on, and others believe that its lease keeps it from that.",
                hint="Stop it by hand, now.",
            )

    def _follow(self) -> None:
        """A standby takes no writes, and needs no lease. One that was the primary until now promises nothing more."""
        if self._promising and self._has_settled():
            self._since = None
            self._promise(given=False)
            try:
                self._say(WITHDRAWN)
            except LifeboatError as error:
                self._warn(f"{self._witness.repository} has not heard that it is a standby now: {error.message}")
        self._knows, self._lapsed = None, False
        self._gate.open()

    def _has_settled(self) -> bool:
        """Whether no round is under way that could say that the lease is held after what is said next."""
        if self._attempt is not None and self._attempt.wait(self._lease * EVERY):
            self._attempt = None
        return self._attempt is None

    def _renew(self) -> None:
        if self._attempt is None:
            self._promise(given=True)  # what is said may arrive, though its answer is lost
            self._attempt = _Attempt(self._try, begun=self._clock.monotonic())
        attempt = self._attempt
        done = attempt.wait(self._patience())
        if done:
            self._attempt = None
            self._judge(attempt)
        if self._since is not None and (not done or self._left() <= 0):
            self._lapse()
        elif self._lapsed and self._server.runs():
            self._stop()  # somebody started it by other means

    def _try(self) -> _Outcome:
        """One round, in a thread of its own: it changes nothing here."""
        witness, knows = self._witness, self._knows
        try:
            marks = frozenset(witness.marks())
            new = sorted(marks - self._marks)
            if knows is None or new:
                runs = runs_newest_first(witness.service, storages=witness.storages)
                newest = list(itertools.islice(runs, 1))
                why = replaced(itertools.chain(newest, runs), source=witness.source, host=self._name)
                if why:
                    return _Replaced(run=new[-1] if new else "", why=why)
                knows = newest[0].run if newest else ""
            self._say(HELD, number=self._round + 1, knows=knows)
        except LifeboatError as error:
            return error
        return _Renewed(marks=marks, knows=knows)

    def _judge(self, attempt: _Attempt) -> None:
        outcome = attempt.outcome()
        if isinstance(outcome, _Replaced):
            self._give_way(outcome)
        if isinstance(outcome, LifeboatError):
            self._warn(f"The lease of {self._witness.label} was not renewed: {outcome.message}")
        elif isinstance(outcome, _Renewed):
            self._round += 1
            if attempt.begun + self._lease * STOP_AFTER > self._clock.monotonic():
                self._marks, self._knows = outcome.marks, outcome.knows
                self._hold_from(attempt.begun)

    def _hold_from(self, begun: float) -> None:
        if self._since is None:
            self._host.journal.info(f"{self._name} holds the lease of {self._witness.label}.")
        self._since, self._told = begun, ""
        self._gate.open()
        if self._lapsed and self._ran:
            self._server.start()
        self._lapsed = self._ran = False

    def _lapse(self) -> None:
        """The server is stopped; before it may start again, the ledger is read anew."""
        self._warn(
            f"The lease of {self._witness.label} was not renewed for {self._lease * STOP_AFTER:.0f} s: "
            "the server is stopped before others believe that it is."
        )
        self._ran = self._server.runs() is not False
        self._stop()
        self._since, self._knows, self._lapsed = None, None, True

    def _give_way(self, found: _Replaced) -> t.NoReturn:
        stopped = self._stop()
        self._since = None
        if stopped and found.run:
            try:
                self._say(RELEASED, obeyed=found.run)
            except LifeboatError as error:
                self._warn(f"{self._witness.repository} has not heard that the server is stopped: {error.message}")
        raise FailoverLeaseTaken(
            f"{self._witness.label} {found.why}; the server on {self._name} must not be its primary.",
            hint="Make it a standby of the new one: docs/runbooks/failback.md. Where nothing was promoted, close the "
            "run with -e lifeboat_abandon=true and start the server.",
        )

    def _stop(self) -> bool:
        self._gate.close()
        self._gate.alive()
        return self._server.stop(within=self._lease * STOP_WITHIN)

    def _promise(self, *, given: bool) -> None:
        if given != self._promising:
            self._gate.promise(given=given)
        self._promising = given

    def _say(self, state: str, *, number: int | None = None, knows: str | None = None, obeyed: str = "") -> None:
        self._witness.say(
            Said(
                host=self._name,
                state=state,
                session=self._session,
                round=self._round if number is None else number,
                lease=self._lease,
                at=format_time(self._clock.now()),
                knows=(self._knows or "") if knows is None else knows,
                obeyed=obeyed,
            )
        )

    def _left(self) -> float:
        """Seconds until the server is stopped."""
        return 0.0 if self._since is None else self._since + self._lease * STOP_AFTER - self._clock.monotonic()

    def _patience(self) -> float:
        return self._lease * EVERY if self._since is None else max(0.0, self._left())

    def _pause(self) -> float:
        """Sooner than usual when it is close."""
        every = self._lease * EVERY
        if self._attempt is not None or self._told:
            every = min(every, 1.0)
        return every if self._since is None else max(0.0, min(every, self._left()))

    def _warn(self, message: str) -> None:
        if message != self._told:
            self._host.journal.warning(message)
        self._told = message


class _Attempt:
    """A round in a thread. One that hangs is left alone, and no second one begins beside it."""

    def __init__(self, work: t.Callable[[], _Outcome], *, begun: float) -> None:
        self.begun = begun
        self._outcome: _Outcome = FailoverError("The round did not end.")
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after *seconds* at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def outcome(self) -> _Outcome:
        """What came of it, once it has ended."""
        return self._outcome

    def _run(self, work: t.Callable[[], _Outcome]) -> None:
        try:
            self._outcome = work()
        except Exception as error:  # noqa: BLE001 - what nobody has foreseen is a round that failed, too
            self._outcome = FailoverError(f"{error!r}")
