# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning of a stream in processes of their own, that die where a test wants them to.

As a program it is a nursery (``tests/support/nursery.py``): :class:`StreamPruning` describes what a child does.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.support.nursery import NurseryOf, die_where, kill, serve
from tests.support.pruning import prune, summarise


@dataclass(frozen=True)
class StreamPruning:
    """One run, as JSON values. It reads *repository*, and then removes what was recorded before *keep_from*.

    It kills itself before the n-th system call that changes a file, or before the n-th call that changes the repository
    (after it with ``answer_lost``).
    """

    repository: dict[str, t.Any]
    keep_from: str
    is_newest: bool = True
    at_system_call: int | None = None
    at_change: int | None = None
    answer_lost: bool = False
    environment: dict[str, str] = field(default_factory=dict)


def prune_here(run: StreamPruning) -> dict[str, t.Any]:
    """Prune in this process, which may not survive it."""
    os.environ.update(run.environment)
    storage = open_storage(run.repository, name="it", clock=SystemClock(), runner=SubprocessRunner())
    summary = replace(summarise(storage), is_newest=run.is_newest)
    die_where(at_system_call=run.at_system_call, at_request=None)
    point = FaultPoint(at_change=run.at_change, answer_lost=run.answer_lost)
    done = prune(FaultyStorage(storage=storage, fault=kill, point=point), run.keep_from, summary=summary)
    return {**done.as_dict(), "finished": done.is_finished}


class PruneNursery(NurseryOf[StreamPruning]):
    """Prunes in children of its own."""

    module = "tests.support.prune_child"


if __name__ == "__main__":
    serve(lambda values: prune_here(StreamPruning(**values)))
