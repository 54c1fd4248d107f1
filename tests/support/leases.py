# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary with a witness, and the failover that takes its lease: each on a line and with a clock of its own."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import INTENDED
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease import Holder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease_taking import (
    Taken,
    TakeRequest,
    take_lease,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import (
    FENCE,
    PROMOTE,
    PROMOTE_STANDBY,
    FailoverPlan,
    PlanStep,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.witness import Witness
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

LEASE = 30.0


class Line:
    """The way to a storage: it does not answer at the calls for which *fails* says so, counted from 1."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self.calls = 0
        self.fails: t.Callable[[int], bool] = _never
        self.before: t.Callable[[str], None] | None = None

    def cut(self) -> None:
        self.fails = _always

    def mend(self) -> None:
        self.fails = _never

    def __getattr__(self, name: str) -> t.Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def call(*given: t.Any, **named: t.Any) -> t.Any:
            self.calls += 1
            if self.before is not None:
                self.before(name)
            if self.fails(self.calls):
                unreachable()
            return found(*given, **named)

        return call


class FakeServer:
    """A server of which every start and stop is noted, by *clock*."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.running: bool | None = True
        self.standby = False
        self.stuck = 0.0  # seconds that it takes to stop
        self.diary: list[tuple[str, float]] = []

    def is_standby(self) -> bool:
        return self.standby

    def runs(self) -> bool | None:
        return self.running

    def stop(self, *, within: float) -> bool:
        self._clock.advance(min(self.stuck, within))
        self.running = False
        self.diary.append(("stopped", self._clock.monotonic()))
        return True

    def start(self) -> None:
        self.running = True
        self.diary.append(("started", self._clock.monotonic()))


class FakeGate:
    is_open = True
    promised = False

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def promise(self, *, given: bool) -> None:
        self.promised = given

    def alive(self) -> None:
        pass


class Primary:
    """The primary's host: its clock, its server, its line to the witness, and who holds the lease."""

    def __init__(self, storage: MemoryStorage, *, name: str = "north1", lease: float = LEASE) -> None:
        self.name = name
        self.clock = FakeClock()
        self.server = FakeServer(self.clock)
        self.gate = FakeGate()
        self.line = Line(storage)
        self.witness = witness_at(self.line)
        self.ended: LifeboatError | None = None
        self.holder = self._holder(lease)
        self._lease = lease

    def restart(self) -> None:
        """Who holds the lease begins anew."""
        self.ended = None
        self.holder = self._holder(self._lease)

    def turn(self, times: int = 1) -> None:
        """What the process does until it ends."""
        for _time in range(times):
            if self.ended is None:
                try:
                    self.holder.turn()
                except LifeboatError as error:
                    self.ended = error

    def live_until(self, moment: float) -> None:
        while self.ended is None and self.clock.monotonic() < moment:
            self.turn()

    def _holder(self, lease: float) -> Holder:
        self.gate.close()
        return Holder(
            name=self.name,
            lease=lease,
            witness=self.witness,
            server=self.server,
            gate=self.gate,
            host=Host(clock=self.clock, name="unused"),
        )


class Taker(FakeClock):
    """The clock of whoever takes the lease: while it waits, the same time passes for *primary*, if that lives."""

    def __init__(self, primary: Primary | None = None) -> None:
        super().__init__()
        self.primary = primary
        self._behind = 0.0 if primary is None else primary.clock.monotonic() - self.monotonic()

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.primary is not None:
            self.primary.live_until(self.monotonic() + self._behind)


def witness_at(line: Line) -> Witness:
    return Witness(repository="third", storage=t.cast("Storage", line), service="adhd", source="main")


def begin_failover(
    storage: Storage, *, to: str = "south1", fenced: bool = True, source: str = "main"
) -> ledgers.Ledger:
    """One that is open, and has begun to fence."""
    plan = FailoverPlan(
        kind=PROMOTE_STANDBY,
        service="adhd",
        source=source,
        chosen="far",
        made="2026-11-21T02:00:00Z",
        facts={},
        steps=(
            PlanStep(name="fence", kind=FENCE, on="north1", what="It."),
            PlanStep(name="promote", kind=PROMOTE, on=to, what="It."),
        ),
    )
    shared: dict[str, t.Any] = {"storages": {"third": storage}, "clock": FakeClock()}
    ledger = ledgers.begin(plan, operator="ada", host="desk", data={}, **shared)
    return noted(ledger, (INTENDED, "fence"), storage=storage) if fenced else ledger


def noted(ledger: ledgers.Ledger, *notes: tuple[str, str], storage: Storage) -> ledgers.Ledger:
    for event, step in notes:
        ledger = ledgers.note(
            "adhd",
            ledger.run,
            session=ledger.operator.session,
            event=event,
            step=step,
            data={},
            storages={"third": storage},
            clock=FakeClock(),
        )
    return ledger


def take(run: str, *, line: Line, clock: FakeClock, lease: float = LEASE, host: str = "north1") -> Taken:
    return take_lease(TakeRequest(run=run, host=host, lease=lease), witness=witness_at(line), clock=clock)


def _never(_number: int) -> bool:
    return False


def _always(_number: int) -> bool:
    return True
