# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever prunes a stream dies at every single step: what is read is there, and the next run finishes.

Nothing is simulated: the process is killed by SIGKILL, in a folder and on a real S3 server.
"""

from __future__ import annotations

import itertools
import pathlib
import shutil
import typing as t
from dataclasses import dataclass, replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from tests.faults.conftest import Bucket
from tests.support.prune_child import PruneNursery, StreamPruning
from tests.support.pruning import assert_clean, assert_true, keys, names, prune, put_hour, summarise, switch, wal
from tests.support.stream_hours import hour

PART, WHOLE = (hour(3), True), (hour(30), False)


def fill(storage: Storage) -> None:
    """Two timelines, indexed hours and others, a segment that was recorded twice."""
    put_hour(storage, 0, wal(1, 2))
    put_hour(storage, 1, [switch(3), *wal(3, 4, timeline=2)])
    put_hour(storage, 2, wal(5, 6, timeline=2), indexed=False)
    put_hour(storage, 3, wal(6, 7, timeline=2), indexed=False)


@pytest.fixture(scope="module")
def pruners() -> t.Iterator[PruneNursery]:
    with PruneNursery() as nursery:
        yield nursery


def opened(description: dict[str, t.Any], environment: t.Mapping[str, str]) -> Storage:
    return open_storage(description, name="it", clock=SystemClock(), runner=SubprocessRunner(), environment=environment)


@dataclass
class Rig:
    """A way to fresh repositories with the same content."""

    pruners: PruneNursery
    fresh: t.Callable[[], tuple[dict[str, t.Any], Storage]]
    environment: dict[str, str]

    def die_everywhere(self, point: str, keep_from: str, *, is_newest: bool, **more: bool) -> int:
        """Die at the first step, then at the second, until a run survives; how many deaths that were."""
        _description, storage = self.fresh()
        before = names(storage)
        summary = replace(summarise(storage), is_newest=is_newest)
        assert prune(storage, keep_from, summary=summary).is_finished
        afterwards = _without_times(keys(storage))
        shown_afterwards = names(storage) if afterwards else []
        for number in itertools.count(1):
            description, storage = self.fresh()
            run = StreamPruning(
                repository=description, keep_from=keep_from, is_newest=is_newest, environment=self.environment
            )
            outcome = self.pruners.run(replace(run, **{point: number}, **more))
            if not outcome.was_killed:
                assert outcome.document is not None, outcome
                assert outcome.document["finished"], outcome
                return number - 1
            assert_true(storage)
            shown = names(storage) if summarise(storage).entry.hours else []
            assert shown in (before, shown_afterwards), number
            again = self.pruners.run(run)
            assert again.document is not None, again
            assert again.document["finished"], (number, again)
            assert _without_times(keys(storage)) == afterwards, number
            if afterwards:
                assert_clean(storage)
        raise AssertionError("it never survived")


def _without_times(found: list[str]) -> list[str]:
    """Ids of records are random."""
    return sorted(key if "records/" not in key else key[:18] for key in found)


@pytest.mark.parametrize(("keep_from", "is_newest"), [PART, WHOLE], ids=["a part", "whole"])
def test_it_dies_at_every_change_of_a_file(
    keep_from: str, is_newest: bool, pruners: PruneNursery, tmp_path: pathlib.Path
) -> None:
    template = tmp_path / "template"
    template.mkdir()
    fill(opened({"type": "file", "path": str(template)}, {}))

    def fresh() -> tuple[dict[str, t.Any], Storage]:
        shutil.rmtree(tmp_path / "repository", ignore_errors=True)
        shutil.copytree(template, tmp_path / "repository")
        description = {"type": "file", "path": str(tmp_path / "repository")}
        return description, opened(description, {})

    rig = Rig(pruners=pruners, fresh=fresh, environment={})
    assert rig.die_everywhere("at_system_call", keep_from, is_newest=is_newest) > 20


@pytest.mark.parametrize(
    ("keep_from", "is_newest", "answer_lost"),
    [(*PART, False), (*PART, True), (*WHOLE, True)],
    ids=["a part, before", "a part, after", "whole, after"],
)
def test_it_dies_at_every_change_of_a_bucket(
    keep_from: str, is_newest: bool, answer_lost: bool, pruners: PruneNursery, bucket: Bucket
) -> None:
    def fresh() -> tuple[dict[str, t.Any], Storage]:
        description = bucket.repository()
        storage = opened(description, bucket.environment)
        fill(storage)
        return description, storage

    rig = Rig(pruners=pruners, fresh=fresh, environment=dict(bucket.environment))
    assert rig.die_everywhere("at_change", keep_from, is_newest=is_newest, answer_lost=answer_lost) >= 6
