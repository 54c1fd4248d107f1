# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan says what would be done and changes nothing."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    StorageAllFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import (
    SourceLock,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.backups import SERIES, request, tree
from tests.support.bench import Bench, faulty, forbidden
from tests.support.clocks import FakeClock


def test_a_plan_says_what_would_be_done_and_changes_nothing(bench: Bench) -> None:
    local = LocalStorage(path=str(bench.folder / "repository"), create=True)
    bench.storages = {"local": local, "far": faulty()}
    bench.run()
    local.put(SERIES.backup("20261101T000000Z-aaaaaa").key("started.json"), b'{"host": "db1"}')  # to be swept one day
    far = bench.storages["far"]
    assert isinstance(far, FaultyStorage)
    changes, before = far.changes, tree(bench.folder)
    plan = bench.plan()
    assert far.changes == changes
    assert tree(bench.folder) == before
    document = plan.as_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["job"] == "shop/main/static"
    assert document["steps"] == ["read the file twice"]
    assert document["expected_bytes"] == 5_000_000
    assert document["compression"] == {"method": "zstd", "level": 1}
    assert [(entry["name"], entry["state"]) for entry in document["repositories"]] == [
        ("local", "ready"),
        ("far", "ready"),
    ]
    assert document["repositories"][0]["free_bytes"] > 0
    assert document["repositories"][1]["free_bytes"] is None


def test_a_plan_on_a_fresh_host_makes_no_folder(bench: Bench) -> None:
    bench.storages = {"local": LocalStorage(path=str(bench.folder / "repository"), create=True)}
    before = tree(bench.folder)
    assert bench.plan().repositories[0]["state"] == "ready"
    assert tree(bench.folder) == before


def test_a_plan_shows_repositories_that_can_not_be_used_and_fails_when_none_can(bench: Bench) -> None:
    bench.storages["far"] = faulty(forbidden, at_call=1, times=None)
    near, far = bench.plan().repositories
    assert (near["state"], far["state"], far["error"]["code"]) == ("ready", "unusable", "storage.forbidden")
    bench.storages["near"] = LocalStorage(path=str(bench.folder / "missing"))
    with pytest.raises(StorageAllFailed, match=r"storage\.bucket_missing"):
        bench.plan()


def test_a_plan_needs_no_lock(bench: Bench) -> None:
    lock = SourceLock(state=bench.state, name="shop.main", clock=FakeClock())
    lock.acquire(holder={}, timeout=0)
    bench.plan()
    lock.release()


@pytest.mark.parametrize("repositories", [{}, None])
def test_a_job_without_repositories_or_with_one_twice_is_refused(
    bench: Bench, repositories: dict[str, t.Any] | None
) -> None:
    if repositories is not None:
        with pytest.raises(RequestInvalid, match="has no repository"):
            request(bench.source, repositories, state_directory="/nowhere")
        return
    whole = bench.request()
    with pytest.raises(RequestInvalid, match="names a repository twice: near, near"):
        BackupRequest(
            series=SERIES, engine="files", repositories=whole.repositories[:1] * 2, make_producer=bench.source.producer
        )
