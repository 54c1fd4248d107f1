# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy dies at every single step: what it leaves never passes for a backup, and the next copy goes on with it.

Nothing is simulated: the process that copies is killed by SIGKILL, and the S3 server is a real one.
"""

from __future__ import annotations

import datetime
import itertools
import pathlib
import typing as t
from dataclasses import dataclass, replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.leftovers import sweep_leftovers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
    StateDirectory,
    running_jobs,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.faults.conftest import Bucket
from tests.support.backups import broken_payloads, leftovers, listed
from tests.support.clocks import FakeClock
from tests.support.copies import APP, backup_id, described, put_backup, put_segments, put_verification, recorded
from tests.support.copy_child import CopyNursery, CopyRun

SIZE = 2000
IDS = (backup_id(18), backup_id(19))
# So many calls that follow each other may fail in a copy that goes well.
_FAIL_IN_A_ROW = 3


@pytest.fixture(scope="module")
def nursery() -> t.Iterator[CopyNursery]:
    with CopyNursery() as nursery:
        yield nursery


@dataclass
class Rig:
    """A repository that has everything and one that has nothing, and what is asked of that after each death."""

    nursery: CopyNursery
    plain: CopyRun
    target: Storage
    count: int
    deaths: int = 0

    def die(self, **where: t.Any) -> bool:
        """Copy until the death that is meant for it, and judge what is left; False when it survived."""
        self.target.delete([found.key for found in self.target.list()])
        # The stream comes where something of it is.
        put_segments(self.target, [1], made=SystemClock().now())
        outcome = self.nursery.run(replace(self.plain, **where))
        if not outcome.was_killed:
            assert outcome.document is not None, where
            assert outcome.document["error"] is None, (where, outcome.document["error"])
            self.assert_whole(where)
            return False
        self.deaths += 1
        self.assert_true(where)
        state = StateDirectory(path=self.plain.state)
        assert running_jobs(state) == [], where
        lock = SourceLock(state=state, name=f"copy.{self.plain.to}", clock=FakeClock())
        lock.acquire(holder={}, timeout=0)
        lock.release()
        self.sweep(where)
        again = self.nursery.run(self.plain)
        assert again.document is not None, (where, again)
        assert again.document["error"] is None, (where, again.document["error"])
        self.assert_whole(where)
        return True

    def sweep(self, where: t.Any) -> None:
        """A backup that comes next on any host takes nothing from under a copy that may be alive."""
        before = [found.key for found in self.target.list()]
        sweep_leftovers(self.target, series=APP, host="db1", now=SystemClock().now())
        assert [found.key for found in self.target.list()] == before, where

    def assert_true(self, where: t.Any) -> None:
        """What is listed is whole, in its order, and what is recorded is there."""
        assert broken_payloads(self.target) == [], where
        found = {backup.manifest.backup_id for backup in listed(self.target)}
        assert IDS[1] not in found or IDS[0] in found, where
        recorded(self.target)

    def assert_whole(self, where: t.Any) -> None:
        """All of it is there, and nothing else."""
        self.assert_true(where)
        assert [backup.manifest.backup_id for backup in listed(self.target)] == list(IDS[: self.count]), where
        assert len(recorded(self.target)) == self.count + 1, where
        of_streams = [name for name in leftovers(self.target) if "/oplog/" not in name]
        # An upload that nobody can be told of is ended by the sweeps of a later day.
        assert all(name.startswith("unfinished ") for name in of_streams), (where, of_streams)

    def die_everywhere(self, point: str, *, at_least: int, **more: t.Any) -> None:
        """Die at the first step, then at the second, until a copy survives because it has fewer.

        A call that has no answer, because it fails (what is looked for is not there), can't be died after.
        """
        survived = 0
        for number in itertools.count(1):
            survived = 0 if self.die(**{point: number}, **more) else survived + 1
            if survived > (_FAIL_IN_A_ROW if more.get("answer_lost") else 0):
                break
        assert self.deaths >= at_least


def make_rig(
    nursery: CopyNursery,
    folder: pathlib.Path,
    target: dict[str, t.Any],
    environment: t.Mapping[str, str],
    *,
    count: int = 2,
) -> Rig:
    """With *count* of the backups of IDS."""
    source = {"type": "file", "path": str(folder / "source")}
    (folder / "source").mkdir()
    stored = open_storage(source, name="source", clock=SystemClock(), runner=SubprocessRunner())
    base = put_backup(stored, described(IDS[0], size=SIZE, kind="full", repositories=("source", "target")), size=SIZE)
    if count > 1:
        put_verification(stored, base, {"source": 4})
        increment = described(IDS[1], size=SIZE, parent=base.backup_id, repositories=("source", "target"))
        put_backup(stored, increment, size=SIZE)
    put_segments(stored, range(1, count + 2), made=SystemClock().now() - datetime.timedelta(hours=2))
    return Rig(
        nursery=nursery,
        plain=CopyRun(
            repositories={"source": source, "target": target},
            to="target",
            state=str(folder / "state"),
            environment=dict(environment),
        ),
        target=open_storage(
            target, name="target", clock=SystemClock(), runner=SubprocessRunner(), environment=environment
        ),
        count=count,
    )


@pytest.fixture
def local(nursery: CopyNursery, tmp_path: pathlib.Path) -> Rig:
    (tmp_path / "target").mkdir()
    return make_rig(nursery, tmp_path, {"type": "file", "path": str(tmp_path / "target")}, {})


@pytest.fixture
def s3(nursery: CopyNursery, tmp_path: pathlib.Path, bucket: Bucket) -> Rig:
    # Fewer steps: each takes a dozen requests to judge.
    return make_rig(nursery, tmp_path, bucket.repository(), bucket.environment, count=1)


@pytest.mark.slow
@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
def test_a_copy_into_a_folder_dies_at_every_call_to_the_repository(local: Rig, answer_lost: bool) -> None:
    local.die_everywhere("at_call", answer_lost=answer_lost, at_least=40)


@pytest.mark.slow
def test_a_copy_into_a_folder_dies_at_every_change_of_a_file(local: Rig) -> None:
    local.die_everywhere("at_system_call", at_least=60)


@pytest.mark.slow
def test_a_copy_into_a_bucket_dies_before_every_request_to_the_server(s3: Rig) -> None:
    """What is there before a request is what was left after the one before: so every change is covered."""
    s3.die_everywhere("at_request", at_least=30)
