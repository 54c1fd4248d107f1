# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease without which a primary does not run: renewed, lost, taken, given back; and what a failover makes of it."""

from __future__ import annotations

import contextlib
import threading

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FailoverLeaseTaken,
    FailoverWitnessNotProven,
    LifeboatError,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import (
    ABANDONED,
    CLOSED,
    DONE,
    INTENDED,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease_taking import (
    TakeRequest,
    look_at_lease,
    patience,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.witness import Witness
from tests.support.leases import LEASE, Line, Primary, Taker, begin_failover, noted, take, witness_at
from tests.support.memory import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


class Blind(Witness):
    """As an agent would that does not look for marks."""

    def marks(self) -> tuple[str, ...]:
        return ()


def held(storage: MemoryStorage, *, turns: int = 3) -> Primary:
    primary = Primary(storage)
    primary.turn(turns)
    assert primary.gate.is_open
    assert primary.server.running
    return primary


def test_a_lease_that_is_renewed_lets_the_server_run_and_nothing_else_happens(storage: MemoryStorage) -> None:
    primary = held(storage, turns=40)
    assert primary.server.diary == []
    said = primary.witness.said("north1")
    assert said is not None
    assert (said.state, said.round) == ("held", 40)


@pytest.mark.parametrize("stuck", [0.0, 1000.0])
def test_a_witness_that_is_away_has_the_server_stopped_within_one_lease_of_the_last_renewal(
    storage: MemoryStorage, stuck: float
) -> None:
    primary = held(storage)
    primary.server.stuck = stuck
    last = primary.clock.monotonic() - LEASE / 6  # when the last good round began
    primary.line.cut()
    primary.turn(30)
    assert [what for what, _when in primary.server.diary] == ["stopped"]
    assert primary.server.diary[0][1] <= last + LEASE
    assert not primary.gate.is_open
    # And it comes back with the witness, after the ledger was asked again.
    primary.line.mend()
    primary.turn()
    assert [what for what, _when in primary.server.diary] == ["stopped", "started"]
    assert primary.gate.is_open


def test_a_server_that_somebody_had_stopped_is_not_started_when_the_witness_comes_back(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.server.running = False
    primary.line.cut()
    primary.turn(30)
    primary.line.mend()
    primary.turn(2)
    assert primary.gate.is_open
    assert not primary.server.running


def test_one_that_is_started_by_other_means_without_a_lease_is_stopped_again(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.line.cut()
    primary.turn(30)
    primary.server.running = True
    primary.turn()
    assert not primary.server.running


def test_a_storage_that_hangs_keeps_nobody_from_the_clock(storage: MemoryStorage) -> None:
    primary = Primary(storage, lease=0.6)
    primary.turn()
    answer = threading.Event()
    hanging = threading.Event()

    def hang(_name: str) -> None:
        hanging.set()
        answer.wait(60)

    primary.line.before = hang
    try:
        primary.turn()
        assert hanging.is_set()
        assert not answer.is_set()
        assert not primary.server.running, "it was stopped while the storage hung"
    finally:
        answer.set()


def test_no_server_starts_before_its_lease_is_held_and_one_that_never_had_it_is_not_stopped(
    storage: MemoryStorage,
) -> None:
    primary = Primary(storage)
    primary.line.cut()
    assert not primary.gate.promised
    primary.turn(100)
    assert not primary.gate.is_open
    assert primary.server.diary == []
    primary.line.mend()
    primary.turn()
    assert primary.gate.is_open


def test_the_mark_stops_it_and_it_does_not_start_again(storage: MemoryStorage) -> None:
    primary = held(storage)
    run = begin_failover(storage).run
    taken = take(run, line=Line(storage), clock=Taker(primary))
    assert not primary.server.running
    assert isinstance(primary.ended, FailoverLeaseTaken)
    assert "was moved to south1 by run-0001 of ada on desk" in primary.ended.message
    assert (taken.state, taken.host, taken.run, taken.repository) == ("released", "north1", "run-0001", "third")
    assert taken.waited_seconds < LEASE
    assert taken.renewals == 3
    primary.restart()
    primary.turn()
    assert isinstance(primary.ended, FailoverLeaseTaken)
    assert not primary.gate.is_open


def test_one_that_is_cut_off_is_waited_for_and_is_stopped_by_then(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.server.stuck = 1000.0
    primary.line.cut()
    clock = Taker(primary)
    begun = clock.monotonic()
    taken = take(begin_failover(storage).run, line=Line(storage), clock=clock)
    assert (taken.state, taken.lease_seconds) == ("ended", 30)
    assert clock.monotonic() - begun >= patience(LEASE)
    assert not primary.server.running


def test_a_longer_lease_than_the_described_one_is_waited_for(storage: MemoryStorage) -> None:
    primary = Primary(storage, lease=90.0)
    primary.turn(2)
    primary.line.cut()
    primary.server.stuck = 1000.0
    taken = take(begin_failover(storage).run, line=Line(storage), clock=Taker(primary), lease=10.0)
    assert taken.lease_seconds == 90
    assert taken.waited_seconds >= 90
    assert not primary.server.running


@pytest.mark.parametrize("call", range(1, 12))
def test_the_line_of_the_primary_is_cut_at_each_call_and_a_proof_is_always_true(
    storage: MemoryStorage, call: int
) -> None:
    primary = held(storage)
    first = primary.line.calls
    primary.line.fails = lambda number: number >= first + call
    primary.server.stuck = 1000.0
    primary.turn(call % 3)
    take(begin_failover(storage).run, line=Line(storage), clock=Taker(primary))
    assert not primary.server.running


@pytest.mark.parametrize("call", range(1, 60))
def test_the_line_of_the_taker_fails_at_each_call_and_doing_it_again_finds_the_mark(
    storage: MemoryStorage, call: int
) -> None:
    primary = held(storage)
    primary.line.cut()
    run = begin_failover(storage).run
    line, clock = Line(storage), Taker(primary)
    line.fails = lambda number: number == call
    first = None
    with contextlib.suppress(StorageUnreachable):
        first = take(run, line=line, clock=clock)
    if first is None:
        again = clock.monotonic()
        line.mend()
        assert take(run, line=line, clock=clock).state == "ended"
        assert clock.monotonic() - again >= patience(LEASE), "what was waited before nobody knows"
    assert not primary.server.running
    assert witness_at(Line(storage)).marks() == (run,)


def test_a_taker_that_died_after_its_mark_has_the_server_stopped_and_can_go_on(storage: MemoryStorage) -> None:
    primary = held(storage)
    run = begin_failover(storage).run
    witness_at(Line(storage)).mark(run, host="north1", at="then")
    primary.turn(2)
    assert not primary.server.running
    # At once: it has said that it obeyed this very failover.
    clock = Taker(primary)
    taken = take(run, line=Line(storage), clock=clock)
    assert (taken.state, clock.slept) == ("released", [])


def test_two_who_take_it_for_the_same_failover_both_prove_it(storage: MemoryStorage) -> None:
    primary = held(storage)
    run = begin_failover(storage).run
    first = take(run, line=Line(storage), clock=Taker(primary))
    second = take(run, line=Line(storage), clock=Taker(primary))
    assert (first.state, second.state) == ("released", "released")
    assert witness_at(Line(storage)).marks() == (run,)


def test_a_mark_between_the_look_and_the_renewal_is_no_renewal_after_it(storage: MemoryStorage) -> None:
    primary = held(storage)
    run = begin_failover(storage).run
    other = witness_at(Line(storage))

    def mark(name: str) -> None:
        if name == "put" and not other.marks():
            other.mark(run, host="north1", at="then")

    primary.line.before = mark
    primary.turn()
    assert primary.server.running, "it had looked before"
    assert take(run, line=Line(storage), clock=Taker(primary)).state == "released"
    assert not primary.server.running


def test_one_that_dies_between_the_look_and_the_renewal_is_waited_for(storage: MemoryStorage) -> None:
    primary = held(storage)

    def cut(name: str) -> None:
        if name == "put":
            primary.line.cut()

    primary.line.before = cut
    primary.turn()
    primary.ended = LifeboatError("killed, and systemd has killed the server")
    primary.server.running = False
    clock = Taker(primary)
    assert take(begin_failover(storage).run, line=Line(storage), clock=clock).state == "ended"
    assert sum(clock.slept) >= LEASE


def test_nothing_that_renewed_it_proves_nothing_and_no_mark_is_made(storage: MemoryStorage) -> None:
    run = begin_failover(storage).run
    with pytest.raises(FailoverWitnessNotProven, match="nothing on north1 has ever renewed") as error:
        take(run, line=Line(storage), clock=Taker())
    assert error.value.hint
    assert witness_at(Line(storage)).marks() == ()


def test_one_that_goes_on_renewing_after_the_mark_proves_that_it_takes_writes(storage: MemoryStorage) -> None:
    primary = Primary(storage)
    primary.witness = Blind(**vars(primary.witness))
    primary.restart()
    primary.turn(3)
    with pytest.raises(FailoverWitnessNotProven, match="times after it was taken") as error:
        take(begin_failover(storage).run, line=Line(storage), clock=Taker(primary))
    assert "systemctl status" in str(error.value.hint)
    assert primary.server.running


def test_one_that_gave_it_back_proves_nothing(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.holder.give_back()
    with pytest.raises(FailoverWitnessNotProven, match="gave the lease of adhd/main back"):
        take(begin_failover(storage).run, line=Line(storage), clock=Taker())
    assert primary.server.running
    assert witness_at(Line(storage)).marks() == ()


def test_one_that_ends_with_its_server_stopped_has_released_it(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.server.running = False
    primary.holder.give_back()
    clock = Taker()
    taken = take(begin_failover(storage).run, line=Line(storage), clock=clock)
    # It may be on its way back at this moment: that is waited for.
    assert (taken.state, sum(clock.slept) >= LEASE) == ("ended", True)


def test_a_lease_that_can_not_be_given_back_is_kept_by_stopping(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.line.cut()
    primary.holder.give_back()
    assert not primary.server.running


def test_a_standby_needs_no_lease_and_takes_it_when_it_is_promoted(storage: MemoryStorage) -> None:
    south = Primary(storage, name="south1")
    south.server.standby = True
    south.turn(3)
    assert south.gate.is_open
    assert not south.gate.promised
    assert south.witness.said("south1") is None
    ledger = noted(begin_failover(storage), (DONE, "fence"), (INTENDED, "promote"), storage=storage)
    south.server.standby = False
    south.turn()
    said = south.witness.said("south1")
    assert said is not None
    assert (said.state, said.knows) == ("held", ledger.run)


def test_a_primary_that_is_fenced_on_its_host_promises_nothing_more(storage: MemoryStorage) -> None:
    primary = held(storage)
    before = primary.gate.promised
    primary.server.standby = True
    primary.turn()
    assert (before, primary.gate.promised) == (True, False)
    said = primary.witness.said("north1")
    assert said is not None
    assert said.state == "withdrawn"


def test_after_a_failover_that_came_to_nothing_it_runs_again(storage: MemoryStorage) -> None:
    primary = held(storage)
    ledger = begin_failover(storage)
    take(ledger.run, line=Line(storage), clock=Taker(primary))
    noted(ledger, (ABANDONED, ""), storage=storage)
    primary.restart()
    primary.turn(3)
    assert primary.gate.is_open
    assert primary.ended is None
    # And the next failover takes it again.
    assert take(begin_failover(storage).run, line=Line(storage), clock=Taker(primary)).run == "run-0002"


def test_a_failover_that_is_given_up_while_it_waits_proves_nothing(storage: MemoryStorage) -> None:
    primary = held(storage)
    primary.line.cut()
    ledger = begin_failover(storage)
    clock = Taker(primary)
    line = Line(storage)

    def give_up(_name: str) -> None:
        if clock.slept and line.before is not None:
            line.before = None
            noted(ledger, (ABANDONED, ""), storage=storage)

    line.before = give_up
    with pytest.raises(FailoverWitnessNotProven, match="its last word is abandoned"):
        take(ledger.run, line=line, clock=clock)


def test_a_run_that_the_witness_does_not_know_would_not_be_obeyed(storage: MemoryStorage) -> None:
    held(storage)
    with pytest.raises(FailoverWitnessNotProven, match="has no ledger of run-0001") as error:
        take("run-0001", line=Line(storage), clock=Taker())
    assert "-e lifeboat_resume=run-0001" in str(error.value.hint)
    run = begin_failover(storage, fenced=False).run
    with pytest.raises(FailoverWitnessNotProven, match="is not fencing"):
        take(run, line=Line(storage), clock=Taker())
    assert witness_at(Line(storage)).marks() == ()


def test_two_servers_on_one_host_are_not_told_apart(storage: MemoryStorage) -> None:
    held(storage)
    run = begin_failover(storage, to="north1").run
    with pytest.raises(FailoverWitnessNotProven, match="the new primary is on north1 as well"):
        take(run, line=Line(storage), clock=Taker())


def test_what_was_renewed_under_an_earlier_tenure_proves_nothing(storage: MemoryStorage) -> None:
    held(storage)
    moved = ((DONE, "fence"), (INTENDED, "promote"), (DONE, "promote"), (CLOSED, ""))
    noted(begin_failover(storage, to="south1"), *moved, storage=storage)
    noted(begin_failover(storage, to="north1"), *moved, storage=storage)  # and home again
    run = begin_failover(storage).run
    with pytest.raises(FailoverWitnessNotProven, match="since run-0002 made it the primary"):
        take(run, line=Line(storage), clock=Taker())


def test_a_way_home_that_came_to_nothing_is_no_new_tenure(storage: MemoryStorage) -> None:
    primary = held(storage)
    noted(begin_failover(storage, to="north1"), (ABANDONED, ""), storage=storage)
    assert take(begin_failover(storage).run, line=Line(storage), clock=Taker(primary)).state == "released"


def test_check_mode_looks_and_writes_nothing(storage: MemoryStorage) -> None:
    held(storage)
    run = begin_failover(storage).run
    request = TakeRequest(run=run, host="north1", lease=LEASE)
    assert look_at_lease(request, witness=witness_at(Line(storage))).state == "held"
    assert witness_at(Line(storage)).marks() == ()


def test_the_name_of_a_host_may_be_an_address(storage: MemoryStorage) -> None:
    primary = Primary(storage, name="[2001:db8::1]")
    primary.turn()
    said = primary.witness.said("[2001:db8::1]")
    assert said is not None
    assert said.host == "[2001:db8::1]"
