# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several things at once: the first error ends it, a signal ends it, and nobody goes on behind our back."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import Interrupted
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.collection_making import at_once


def test_all_are_done() -> None:
    done: list[int] = []
    at_once([lambda number=number: done.append(number) for number in range(20)], threads=3)  # type: ignore[misc]
    assert sorted(done) == list(range(20))


def test_after_an_error_none_is_begun() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("first")

    def work() -> None:
        time.sleep(0.01)
        done.append(1)

    with pytest.raises(ValueError, match="first"):
        at_once([fail, *[work] * 200], threads=2)
    assert len(done) < 100
    assert [one.name for one in threading.enumerate() if one.name.startswith("mongodb making")] == []


def test_a_signal_waits_for_what_is_being_done_and_begins_no_more() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def work() -> None:
        begun.append(1)
        if len(begun) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
        ended.append(1)

    with pytest.raises(Interrupted), stopping_on_signals():
        at_once([work] * 50, threads=2)
    assert 0 < len(begun) <= 4
    assert begun == ended
