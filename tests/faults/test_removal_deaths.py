# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal of backups is killed at every single step: what is shown is whole, and the next runs bring it to its end.

Nothing is simulated: the process that removes is killed by SIGKILL, and the S3 server is a real one. Only that marks of
the dead are void after six hours is not waited for.
"""

from __future__ import annotations

import datetime
import itertools
import pathlib
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import unfinished_removals
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.faults.conftest import Bucket
from tests.support.removal_child import RemovalNursery, RemovalRun
from tests.support.removal_deaths import KEPT, PINNED, RealTime, finish, judge, prepare


@pytest.fixture(scope="module")
def nursery() -> t.Iterator[RemovalNursery]:
    with RemovalNursery() as nursery:
        yield nursery


@pytest.fixture(autouse=True)
def _marks_are_void_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished_removals, "VOID_AFTER", datetime.timedelta(seconds=-60))


def die_everywhere(
    nursery: RemovalNursery,
    point: str,
    make: t.Callable[[], dict[str, t.Any]],
    environment: t.Mapping[str, str],
    *,
    versions: str = "current",
) -> int:
    """Die at the first step, then at the second, until a run survives because it has fewer; how many there were."""
    for number in itertools.count(1):
        description = make()
        storage = open_storage(
            description, name="it", clock=SystemClock(), runner=SubprocessRunner(), environment=environment
        )
        clock = RealTime()
        prepare(storage, clock)
        run = RemovalRun(
            repository=description, versions=versions, environment=dict(environment), **t.cast("t.Any", {point: number})
        )
        outcome = nursery.run(run)
        judge(storage, f"{point} {number}")
        finish(storage, clock, f"{point} {number}", versions=versions)
        if not outcome.was_killed:
            assert outcome.status == 0, outcome
            return number - 1
    raise AssertionError


@pytest.mark.timeout(900)
def test_in_a_bucket_before_every_request(nursery: RemovalNursery, bucket: Bucket) -> None:
    assert die_everywhere(nursery, "at_request", bucket.repository, bucket.environment) > 25


@pytest.mark.timeout(900)
def test_in_a_folder_before_every_system_call_that_changes_it(nursery: RemovalNursery, tmp_path: pathlib.Path) -> None:
    numbers = itertools.count(1)

    def make() -> dict[str, t.Any]:
        return {"type": "file", "path": str(tmp_path / str(next(numbers))), "create": True}

    assert die_everywhere(nursery, "at_system_call", make, {}) > 25


@pytest.mark.timeout(900)
def test_two_at_once_in_one_bucket_do_no_harm(nursery: RemovalNursery, bucket: Bucket) -> None:
    """Without a lease, at the same time, some moments apart: whoever is faster, all that was to go is gone."""
    with RemovalNursery() as other:
        for turn in range(8):
            description = bucket.repository()
            storage = open_storage(
                description, name="it", clock=SystemClock(), runner=SubprocessRunner(), environment=bucket.environment
            )
            prepare(storage, RealTime())
            run = RemovalRun(repository=description, environment=dict(bucket.environment))
            nursery.begin(run)
            time.sleep(turn * 0.02)
            other.begin(run)
            outcomes = [nursery.end(), other.end()]
            assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
            judge(storage, turn)
            shown = {found.key.split("/")[3] for found in storage.list() if found.key.endswith("/manifest.json")}
            assert shown == {KEPT.backup_id, PINNED.backup_id}
            finish(storage, RealTime(), turn)
