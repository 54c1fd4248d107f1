# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies between repositories in processes of their own, that die where a test wants them to.

As a program it is a nursery (``tests/support/nursery.py``): :class:`CopyRun` describes what a child does.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import copy_run, copying
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import CopyRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import registry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.nursery import LaterClock, NurseryOf, die_where, kill, serve


@dataclass(frozen=True)
class CopyRun:
    """One run, as JSON values; it kills itself at one of these places, or ends by itself.

    ``at_call``: before the n-th call to the repository *to* (after it with ``answer_lost``). ``at_system_call``: before
    the n-th system call that changes a file. ``at_request``: before the n-th request to S3. *later* is how many seconds
    the run's clock is ahead.
    """

    repositories: dict[str, dict[str, t.Any]]
    to: str
    state: str
    at_call: int | None = None
    answer_lost: bool = False
    at_system_call: int | None = None
    at_request: int | None = None
    repair: bool = False
    later: float = 0.0
    parallel: int = 2
    environment: dict[str, str] = field(default_factory=dict)


def copy(run: CopyRun) -> dict[str, t.Any]:
    """Copy in this process, which may not survive it; the result, or the error under ``error``."""
    os.environ.update(run.environment)

    def opened(description: t.Mapping[str, t.Any], *, name: str, **surroundings: t.Any) -> FaultyStorage:
        point = FaultPoint(at_call=run.at_call, answer_lost=run.answer_lost) if name == run.to else None
        storage = registry.open_storage(description, name=name, **surroundings)
        return FaultyStorage(storage=storage, fault=kill, point=point)

    copy_run.open_storage = opened
    request = CopyRequest(
        repositories=tuple(RepositoryRequest(name=name, description=given) for name, given in run.repositories.items()),
        to=(run.to,),
        repair=run.repair,
        parallel=run.parallel,
        state_directory=run.state,
    )
    die_where(at_system_call=run.at_system_call, at_request=run.at_request)
    try:
        with stopping_on_signals():
            result = copying.run_copy(request, host=Host(clock=LaterClock(run.later), name="db1"))
    except LifeboatError as error:
        return {"error": error.as_dict()}
    return {**result.as_dict(), "error": result.error.as_dict() if result.error else None}


class CopyNursery(NurseryOf[CopyRun]):
    """Copies in children of its own."""

    module = "tests.support.copy_child"


if __name__ == "__main__":
    serve(lambda values: copy(CopyRun(**values)))
