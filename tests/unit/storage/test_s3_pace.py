# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many requests are on their way at a time."""

from __future__ import annotations

import concurrent.futures
import threading
import time

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_pace import Pace, Turn
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_parallel import at_once


def serve(pace: Pace, *, slowed: bool) -> None:
    with pace.turn() as turn:
        if slowed:
            turn.complain()


def test_it_begins_small_and_doubles_until_the_first_complaint() -> None:
    pace = Pace(most=100)
    assert pace.limit == 4
    for expected in (8, 16, 32):
        # A round is as many answers as may be on their way.
        for _answer in range(expected // 2):
            serve(pace, slowed=False)
        assert pace.limit == expected


def test_after_a_complaint_it_grows_by_one_a_round() -> None:
    pace = Pace(most=100, first=8)
    serve(pace, slowed=True)
    assert pace.limit == 4
    for expected in range(5, 10):
        for _answer in range(expected):
            serve(pace, slowed=False)
        assert pace.limit == expected


def test_it_never_goes_beyond_what_is_allowed() -> None:
    pace = Pace(most=6)
    for _answer in range(1000):
        serve(pace, slowed=False)
    assert pace.limit == 6
    assert Pace(most=2).limit == 2


def test_a_complaint_halves_it_and_one_stays() -> None:
    pace = Pace(most=16, first=12)
    limits = []
    for _answer in range(6):
        serve(pace, slowed=True)
        limits.append(pace.limit)
    assert limits == [6, 3, 1, 1, 1, 1]
    for _answer in range(20):
        serve(pace, slowed=False)
    assert pace.limit > 1


def test_complaints_about_the_same_rate_count_once() -> None:
    """Twelve were on their way when the service had enough: that is one reason to slow down and not twelve."""
    pace = Pace(most=16, first=12)
    everybody = threading.Barrier(12)

    def complain(_number: int) -> None:
        with pace.turn() as turn:
            everybody.wait(timeout=10)
            turn.complain()

    with concurrent.futures.ThreadPoolExecutor(max_workers=12) as pool:
        list(pool.map(complain, range(12)))
    assert pace.limit == 6


def test_no_more_than_the_limit_are_inside() -> None:
    pace = Pace(most=3, first=3)
    lock = threading.Lock()
    inside = most = 0

    def work(_number: int) -> None:
        nonlocal inside, most
        with pace.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.002)
            with lock:
                inside -= 1

    with concurrent.futures.ThreadPoolExecutor(max_workers=12) as pool:
        list(pool.map(work, range(60)))
    assert most == 3


def test_an_error_gives_its_turn_back() -> None:
    pace = Pace(most=1)
    for _attempt in range(3):
        with pytest.raises(ZeroDivisionError), pace.turn():
            raise ZeroDivisionError
    serve(pace, slowed=False)


def test_a_turn_knows_the_rate_that_it_began_with() -> None:
    pace = Pace(most=16, first=8)
    with pace.turn() as late:
        serve(pace, slowed=True)
        assert isinstance(late, Turn)
        late.complain()
    assert pace.limit == 4


def test_answers_come_in_the_order_of_the_questions() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * 10

    assert at_once(slow_first, range(20), most=4) == [number * 10 for number in range(20)]
    assert at_once(slow_first, [], most=4) == []


def test_after_an_error_nothing_new_begins() -> None:
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        time.sleep(0.01)
        if number == 0:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        at_once(fail, range(200), most=2)
    assert len(begun) < 20


def test_after_an_error_those_who_wait_are_told() -> None:
    stop = threading.Event()

    def wait(number: int) -> bool:
        if number == 0:
            raise ZeroDivisionError
        return stop.wait(timeout=30)

    before = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        at_once(wait, range(8), most=8, stop=stop)
    assert time.monotonic() - before < 10
