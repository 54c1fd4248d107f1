# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Being told to stop ends an operation from wherever it is, and no library takes it for a failed request."""

from __future__ import annotations

import os
import signal
import threading
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import Interrupted, LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.parallel import at_the_same_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import (
    Stop,
    interrupted,
    stopping_on_signals,
    undisturbed,
)

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_comes_out_as_the_error_of_the_engine_and_the_handlers_are_as_before(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(Interrupted, match=f"The run was ended by {number.name}"), stopping_on_signals():
        be_told(number)
    assert [signal.getsignal(each) for each in SIGNALS] == before


def be_told(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(5)


def test_nobody_who_catches_errors_catches_it() -> None:
    def request() -> None:
        try:
            be_told(signal.SIGTERM)
        except Exception as error:  # as botocore does, which then tries again
            raise AssertionError("a library took it for a failed request") from error

    with pytest.raises(Interrupted), stopping_on_signals():
        request()
    assert not issubclass(Stop, Exception)
    assert isinstance(interrupted(Stop("SIGTERM")), LifeboatError)


def test_the_error_of_the_operation_itself_passes() -> None:
    with pytest.raises(ValueError, match="of its own"), stopping_on_signals():
        raise ValueError("of its own")


def test_what_must_not_be_disturbed_is_ended_first() -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            with undisturbed():
                os.kill(os.getpid(), signal.SIGHUP)
                done.append("inner")
            done.append("outer")
        done.append("behind")

    with pytest.raises(Interrupted, match="SIGHUP"), stopping_on_signals():
        work()
    assert done == ["inner", "outer"]


def test_without_handlers_and_in_other_threads_undisturbed_does_nothing() -> None:
    with undisturbed():
        pass
    with stopping_on_signals():
        failures = at_the_same_time([enter_and_leave] * 3)
    assert [future.result() for future in failures] == [None, None, None]


def enter_and_leave() -> None:
    with undisturbed():
        pass


def test_steps_run_at_the_same_time_and_each_answers_for_itself() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def fail() -> int:
        barrier.wait()
        raise ValueError("this one only")

    first, second, third = at_the_same_time([barrier.wait, fail, barrier.wait])
    assert {first.result(), third.result()} <= {0, 1, 2}
    with pytest.raises(ValueError, match="this one only"):
        second.result()
    assert at_the_same_time([]) == []


def test_when_told_to_stop_every_step_has_ended_before_anything_is_raised() -> None:
    ended: list[int] = []

    def step() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
        ended.append(1)

    steps: list[t.Callable[[], None]] = [step, lambda: time.sleep(0.4)]
    with pytest.raises(Interrupted), stopping_on_signals():
        at_the_same_time(steps)
    assert ended == [1]
