# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shipper is killed at every single step: nothing is lost, nothing is recorded twice, the order is kept.

Nothing is simulated: the process that ships is ended by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import time
import typing as t
from dataclasses import replace

import pytest

from tests.integration.streams.rig import Rig
from tests.support.streams import in_spool, recorded

Make = t.Callable[..., Rig]
Bucket = t.Callable[..., dict[str, t.Any]]


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
def test_it_dies_at_every_call_to_a_folder(make_rig: Make, local: dict[str, t.Any], answer_lost: bool) -> None:
    rig = make_rig(it=local)
    rig.die_everywhere("at_call", at_least=12, answer_lost=answer_lost)


@pytest.mark.slow
def test_it_dies_at_every_change_of_a_file(make_rig: Make, local: dict[str, t.Any]) -> None:
    rig = make_rig(it=local)
    rig.die_everywhere("at_system_call", files=2, at_least=40)


@pytest.mark.slow
@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
def test_it_dies_at_every_call_to_a_bucket(make_rig: Make, make_bucket: Bucket, answer_lost: bool) -> None:
    rig = make_rig(it=make_bucket())
    rig.die_everywhere("at_call", files=2, at_least=8, answer_lost=answer_lost)


@pytest.mark.slow
def test_it_dies_at_every_request_to_a_bucket(make_rig: Make, make_bucket: Bucket) -> None:
    rig = make_rig(it=make_bucket())
    rig.die_everywhere("at_request", files=2, at_least=8)


@pytest.mark.slow
def test_it_dies_while_two_repositories_are_at_different_places(
    make_rig: Make, local: dict[str, t.Any], make_bucket: Bucket
) -> None:
    rig = make_rig(it=local, far=make_bucket())
    rig.die_everywhere("at_call", files=2, at_least=5, every=2)


def test_a_follower_ends_when_told_and_the_next_one_goes_on(make_rig: Make, local: dict[str, t.Any]) -> None:
    rig = make_rig(it=local)
    rig.make(3)
    pid = rig.nursery.begin(replace(rig.plain, follow=True))
    _until(lambda: recorded(rig.storages["it"]) == rig.made)
    rig.make(5)
    _until(lambda: recorded(rig.storages["it"]) == rig.made)
    os.kill(pid, signal.SIGTERM)
    outcome = rig.nursery.end()
    assert outcome.status == 0, outcome
    assert (outcome.document or {})["state"] == "complete"
    rig.assert_complete("a signal")


def test_a_follower_is_killed_again_and_again_at_work(make_rig: Make, local: dict[str, t.Any]) -> None:
    rig = make_rig(it=local)
    for turn in range(6):
        rig.make(20, size=20_000)
        before = len(recorded(rig.storages["it"]))
        pid = rig.nursery.begin(replace(rig.plain, follow=True))
        _until(lambda before=before, turn=turn: len(recorded(rig.storages["it"])) > before + turn)  # type: ignore[misc]
        os.kill(pid, signal.SIGKILL)
        assert rig.nursery.end().was_killed
        rig.assert_nothing_lost(f"turn {turn}")
    rig.finish("the last turn")


def test_a_run_that_is_told_to_end_has_recorded_what_it_stored(make_rig: Make, local: dict[str, t.Any]) -> None:
    rig = make_rig(it=local)
    rig.make(60, size=200_000)
    pid = rig.nursery.begin(replace(rig.plain, parallel=1))
    _until(lambda: len(list(rig.storages["it"].list("shop/main/oplog/one/segments/"))) > 5)
    os.kill(pid, signal.SIGTERM)
    outcome = rig.nursery.end()
    assert outcome.status == 0, outcome
    assert (outcome.document or {})["error"]["code"] == "run.interrupted"
    rig.assert_nothing_lost("a signal")
    rig.assert_no_leftovers()
    assert in_spool(rig.spool)
    rig.finish("a signal")


def _until(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
