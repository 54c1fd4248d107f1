# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through a repository, and planning a copy of it, take the memory of an hour of a stream, not of all of it.

So does planning what to remove, segments that no record names among it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import tracemalloc
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.check_values import CheckRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import CopyRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copying import plan_copy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import plan_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.repo_check import (
    check_repositories,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from tests.support.copies import STREAM, put_index, put_segments, segment_of

pytestmark = pytest.mark.slow

A_HOUR = 500
# More than are fetched ahead at a time.
FEW, MANY = 20, 80
BEGAN = SystemClock().now().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=2 * MANY)

OLD = (BEGAN - datetime.timedelta(days=30)).timestamp()


def write(folder: pathlib.Path, hours: int) -> LocalStorage:
    """A stream of so many hours, of which each has its index."""
    storage = LocalStorage(path=str(folder), create=True)
    for hour in range(hours):
        made = BEGAN + datetime.timedelta(hours=hour)
        segments = []
        for number in range(hour * A_HOUR, (hour + 1) * A_HOUR):
            segment, data = segment_of(number)
            path = folder / STREAM.segment_key(segment.description.group, segment.payload.name)
            # As the storage writes it, without its many calls for durability.
            with contextlib.suppress(FileExistsError):
                os.makedirs(path.parent)
            path.write_bytes(data)
            os.utime(path, (OLD, OLD))
            segments.append(segment)
        record = Record(
            record_id=new_backup_id(now=made),
            folder=STREAM,
            engine="mongodb",
            made=made,
            host="db1",
            lifeboat_version="0.1.0",
            segments=tuple(segments),
        )
        put_index(storage, record)
    return storage


def peak(work: t.Callable[[], t.Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check(storage: LocalStorage, *, segments: int) -> None:
    request = CheckRequest(repositories=(RepositoryRequest(name="it", description={}),))
    (checked,) = check_repositories(request, host=Host(), storages={"it": storage}).repositories
    assert checked.findings == ()
    assert checked.looked.segments == segments


def plan(source: LocalStorage, target: LocalStorage, state: pathlib.Path, *, segments: int) -> None:
    storages = {"source": source, "target": target}
    requests = tuple(RepositoryRequest(name=name, description={}) for name in storages)
    request = CopyRequest(repositories=requests, to=("target",), state_directory=str(state))
    (planned,) = plan_copy(request, host=Host(), storages=storages).streams
    assert planned.segments == segments


def plan_removal(folder: pathlib.Path, *, hours: int, strays: int) -> None:
    keep = keep_policy_from({"forever": True})
    policy = JobPolicy(repository="it", series=STREAM.series, engine="mongodb", job="oplog", keep=keep)
    request = PruneRequest(
        repositories=(RepositoryRequest(name="it", description={"type": "file", "path": str(folder)}),),
        policies=(policy,),
    )
    plans = plan_prune(request, host=Host())
    assert sum(one.segments for one in plans.plans[0].streams[0].entry.hours) == hours * A_HOUR
    assert len(plans.leftovers["it"].orphans) == strays


def leave_unrecorded(folder: pathlib.Path, *, beyond: int) -> None:
    segment, data = segment_of(beyond)
    path = folder / STREAM.segment_key(segment.description.group, segment.payload.name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (OLD, OLD))


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_length_of_a_stream(tmp_path: pathlib.Path) -> None:
    few, many = write(tmp_path / "few", FEW), write(tmp_path / "many", MANY)
    target = LocalStorage(path=str(tmp_path / "target"), create=True)
    put_segments(target, [MANY * A_HOUR], made=BEGAN)
    check(few, segments=FEW * A_HOUR)  # what is imported and built once is not counted
    of_few = peak(lambda: check(few, segments=FEW * A_HOUR))
    of_many = peak(lambda: check(many, segments=MANY * A_HOUR))
    assert of_many < 1.3 * of_few
    of_few = peak(lambda: plan(few, target, tmp_path / "state", segments=FEW * A_HOUR))
    of_many = peak(lambda: plan(many, target, tmp_path / "state", segments=MANY * A_HOUR))
    assert of_many < 1.3 * of_few
    for folder in ("few", "many"):
        leave_unrecorded(tmp_path / folder, beyond=MANY * A_HOUR + 1)
    of_few = peak(lambda: plan_removal(tmp_path / "few", hours=FEW, strays=1))
    of_many = peak(lambda: plan_removal(tmp_path / "many", hours=MANY, strays=1))
    assert of_many < 1.3 * of_few
