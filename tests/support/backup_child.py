# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup runs in processes of their own, that die where a test wants them to.

As a program it is a nursery (``tests/support/nursery.py``): :class:`Run` describes what a child does.
"""

from __future__ import annotations

import os
import resource
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LifeboatError
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.signals import stopping_on_signals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import backup as operation
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import registry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from tests.support.backups import SERIES, Source, request
from tests.support.nursery import LaterClock, NurseryOf, die_where, kill, serve


@dataclass(frozen=True)
class Run:
    """One backup run, as JSON values.

    The run kills itself (SIGKILL) before the n-th call (``at_call``) to the repository *target*, after it
    (``answer_lost``), before the n-th system call that changes a file (``at_system_call``), before the n-th request to
    S3 (``at_request``), or once so many bytes of the payload have gone to the target (``at_byte``: payload, bytes).
    *later* is how many seconds the run's clock is ahead. *uid* is the user that the run changes to, *file_limit* the
    largest file in bytes that it may write (``ulimit -f``).
    """

    source: str
    state: str
    repositories: dict[str, dict[str, t.Any]]
    target: str = ""
    at_call: int | None = None
    answer_lost: bool = False
    at_system_call: int | None = None
    at_request: int | None = None
    at_byte: tuple[str, int] | None = None
    later: float = 0.0
    script: str = "cat data"
    copied: int | None = None
    uid: int | None = None
    file_limit: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


def make_backup(run: Run) -> dict[str, t.Any]:
    """Make the backup in this process, which may not survive it; the result, or the error under ``error``."""
    os.environ.update(run.environment)
    storages: dict[str, FaultyStorage] = {}

    def opened(description: t.Mapping[str, t.Any], *, name: str, **surroundings: t.Any) -> FaultyStorage:
        point = FaultPoint(at_call=run.at_call, answer_lost=run.answer_lost) if name == run.target else None
        storage = registry.open_storage(description, name=name, **surroundings)
        storages[name] = FaultyStorage(storage=storage, fault=kill, point=point)
        return storages[name]

    operation.open_storage = opened
    source = Source(folder=run.source, script=run.script, copied=run.copied)

    def producer(context: t.Any) -> Source:
        if run.at_byte is not None:
            payload, position = run.at_byte
            storages[run.target]._point = FaultPoint(at_byte=(SERIES.backup(context.backup_id).key(payload), position))
        return source

    wanted = request(
        source,
        run.repositories,
        state_directory=run.state,
        make_producer=producer,
        transforms=Transforms(compression=Compression(level=1, threads=1)),
    )
    die_where(at_system_call=run.at_system_call, at_request=run.at_request)
    try:
        with stopping_on_signals():
            result = operation.run_backup(wanted, host=Host(clock=LaterClock(run.later), name="db1"))
    except LifeboatError as error:
        return {"error": error.as_dict()}
    return result.as_dict()


class Nursery(NurseryOf[Run]):
    """Makes backups in children of its own."""

    module = "tests.support.backup_child"


def _work(values: dict[str, t.Any]) -> dict[str, t.Any]:
    values["at_byte"] = tuple(values["at_byte"]) if values["at_byte"] else None
    run = Run(**values)
    if run.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (run.file_limit, run.file_limit))
    if run.uid is not None:
        os.setuid(run.uid)
    return make_backup(run)


if __name__ == "__main__":
    serve(_work)
