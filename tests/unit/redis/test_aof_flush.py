# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before the lengths of append-only files are taken, what the server acknowledged is in them."""

from __future__ import annotations

import itertools
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis import aof
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.info import Info
from tests.support.clocks import FakeClock


def looks(monkeypatch: pytest.MonkeyPatch, lengths: t.Iterable[int]) -> list[int]:
    """What the server says of its buffer, each time it is asked; returns what was told so far."""
    told: list[int] = []
    answers = iter(lengths)

    def look(_client: t.Any, _facts: t.Any) -> Info:
        told.append(next(answers))
        return Info(f"aof_buffer_length:{told[-1]}\r\n".encode())

    monkeypatch.setattr(aof, "_look", look)
    return told


@pytest.mark.parametrize("lengths", [[0], [10, 0], [10, 4000, 0]])
def test_it_waits_until_the_buffer_was_seen_empty(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    told = looks(monkeypatch, lengths)
    aof._wait_for_flush(t.cast("t.Any", None), t.cast("t.Any", None), clock=FakeClock())
    assert told == lengths


def test_a_buffer_that_is_filled_all_the_time_is_waited_for_as_long_as_the_server_may_put_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks(monkeypatch, itertools.repeat(10))
    clock = FakeClock()
    began = clock.monotonic()
    aof._wait_for_flush(t.cast("t.Any", None), t.cast("t.Any", None), clock=clock)
    assert 2.0 < clock.monotonic() - began < 3.0
