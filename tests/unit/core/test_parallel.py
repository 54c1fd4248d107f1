# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several things at the same time leave no thread behind, whenever a signal comes."""

from __future__ import annotations

import concurrent.futures
import functools
import os
import signal
import threading
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import Interrupted
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.parallel import (
    at_the_same_time,
    wait_for,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_steps_run_at_the_same_time_and_their_futures_come_in_order() -> None:
    together = threading.Barrier(3, timeout=10)

    def step(number: int) -> int:
        together.wait()
        if number == 1:
            raise ValueError("the second")
        return number

    first, second, third = at_the_same_time([functools.partial(step, number) for number in range(3)])
    assert (first.result(), third.result()) == (0, 2)
    with pytest.raises(ValueError, match="the second"):
        second.result()
    assert at_the_same_time([]) == []


def test_all_steps_have_ended_before_a_signal_comes_out() -> None:
    ended = []

    def step() -> None:
        stop_me()
        time.sleep(0.3)
        ended.append("step")

    with pytest.raises(Interrupted), stopping_on_signals():
        at_the_same_time([step])
    assert ended == ["step"]


@pytest.mark.parametrize("moment", ["submit", "shutdown"])
def test_a_signal_while_threads_are_started_or_dismissed_leaves_none_behind(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    plain = getattr(concurrent.futures.ThreadPoolExecutor, moment)

    def met_by_a_signal(*arguments: t.Any, **options: t.Any) -> t.Any:
        stop_me()
        return plain(*arguments, **options)

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, moment, met_by_a_signal)
    # The error is held: with it goes the pool, and a thread of a pool that is gone ends by itself.
    with pytest.raises(Interrupted) as raised, stopping_on_signals():
        at_the_same_time([lambda: None, lambda: None])
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) == before, raised.value


def test_a_signal_in_the_middle_of_waiting_does_not_keep_the_thread_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acquire = concurrent.futures._base._AcquireFutures
    enter = acquire.__enter__
    wakes = threading.Event()

    def met_by_a_signal(self: t.Any) -> None:
        enter(self)
        if not wakes.is_set():
            wakes.set()
            stop_me()

    monkeypatch.setattr(acquire, "__enter__", met_by_a_signal)
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    future = pool.submit(lambda: wakes.wait(10) and time.sleep(0.2))
    with pytest.raises(Interrupted), stopping_on_signals():
        wait_for([future])
    deadline = time.monotonic() + 5
    while any(thread.is_alive() for thread in pool._threads) and time.monotonic() < deadline:
        pool.shutdown(wait=False)
        time.sleep(0.01)
    assert not any(thread.is_alive() for thread in pool._threads), "the thread waits for a lock that nobody gives back"


def test_waiting_ends_with_the_first_or_with_its_time() -> None:
    gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        quick, slow = pool.submit(lambda: 1), pool.submit(lambda: gate.wait(10))
        assert wait_for([quick, slow], first=True) == {quick}
        assert wait_for([quick, slow], timeout=0.25) == {quick}
        gate.set()
        assert wait_for([quick, slow]) == {quick, slow}
