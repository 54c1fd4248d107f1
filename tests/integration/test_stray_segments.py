# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments that no record names, in folders and on a real S3 server: swept by its own clock, told where locked."""

from __future__ import annotations

import datetime
import pathlib
import time
import typing as t
import uuid

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import prune_values
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import plan_prune, run_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.s3 import S3Server
from tests.support.clocks import FakeClock
from tests.support.copies import STREAM, put_segments, segment_of

TWO_DAYS = datetime.timedelta(days=2)


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("plain",), locked_buckets=("locked",)) as server:
        yield server


class Site:
    """An oplog of twenty segments, all recorded, and prunes that keep it."""

    def __init__(self, folder: pathlib.Path, description: dict[str, t.Any]) -> None:
        self.folder = folder
        self.description = description
        self.storage: Storage = open_storage(description, name="it", clock=SystemClock(), runner=SubprocessRunner())
        put_segments(self.storage, list(range(20)), made=SystemClock().now())

    @classmethod
    def on(cls, kind: str, folder: pathlib.Path, server: S3Server, **more: t.Any) -> Site:
        """In a folder, or in a bucket of that name."""
        if kind == "folder":
            return cls(folder, {"type": "file", "path": str(folder / "repository"), "create": True})
        keys = folder / "s3.env"
        given = server.administrator
        keys.write_text(f"AWS_ACCESS_KEY_ID={given.access_key}\nAWS_SECRET_ACCESS_KEY={given.secret_key}\n")
        return cls(
            folder,
            {
                "type": "s3",
                "bucket": kind,
                "prefix": f"strays-{uuid.uuid4().hex[:8]}",
                "region": server.region,
                "endpoint_url": server.endpoint_url,
                "credentials": {"file": str(keys)},
                **more,
            },
        )

    def stray(self, number: int) -> str:
        """A segment that was stored and never recorded; its key."""
        segment, data = segment_of(number)
        key = STREAM.segment_key(segment.description.group, segment.payload.name)
        self.storage.put(key, data)
        return key

    def request(self, *, sweep_age: datetime.timedelta, versions: str = "current") -> PruneRequest:
        policy = JobPolicy(
            repository="it",
            series=STREAM.series,
            engine="mongodb",
            job="oplog",
            keep=keep_policy_from({"forever": True}),
        )
        return PruneRequest(
            repositories=(RepositoryRequest(name="it", description=self.description),),
            policies=(policy,),
            sweep_age=sweep_age,
            versions=versions,
            allow=frozenset({"clock"}),
            state_directory=str(self.folder / "state"),
        )

    @property
    def keys(self) -> set[str]:
        return {found.key for found in self.storage.list() if not found.key.startswith(".lifeboat")}


@pytest.fixture
def any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server has stored can't be made older: here everything is old enough after a second."""
    monkeypatch.setattr(prune_values, "LEAST_SWEEP_AGE", datetime.timedelta(0))


@pytest.mark.slow
@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("kind", ["folder", "plain"])
@pytest.mark.parametrize("versions", ["current", "all"])
def test_it_is_planned_and_goes_and_what_is_recorded_stays(
    tmp_path: pathlib.Path, server: S3Server, kind: str, versions: str
) -> None:
    site = Site.on(kind, tmp_path, server)
    before = site.keys
    strays = [site.stray(number) for number in (200, 201)]
    time.sleep(3)
    request = site.request(sweep_age=datetime.timedelta(seconds=1), versions=versions)
    plans = plan_prune(request, host=Host())
    assert [one.place for one in plans.leftovers["it"].orphans] == strays
    result = run_prune(request, plan_hash=plans.hash, host=Host())
    assert result.error is None
    assert [one.is_removed for one in result.repositories[0].swept.orphans] == [True, True]
    assert site.keys == before
    assert not plan_prune(request, host=Host()).removes_something


@pytest.mark.slow
def test_a_host_whose_clock_is_ahead_sweeps_nothing(tmp_path: pathlib.Path, server: S3Server) -> None:
    site = Site.on("plain", tmp_path, server)
    site.stray(200)
    ahead = FakeClock(SystemClock().now() + datetime.timedelta(days=9))
    plans = plan_prune(site.request(sweep_age=TWO_DAYS), host=Host(clock=ahead))
    assert plans.leftovers["it"].orphans == ()


@pytest.mark.slow
@pytest.mark.usefixtures("any_age")
def test_what_is_locked_is_told_with_its_date_and_tried_again(tmp_path: pathlib.Path, server: S3Server) -> None:
    site = Site.on("locked", tmp_path, server, object_lock={"mode": "governance", "retain": "1d"})
    stray = site.stray(200)
    time.sleep(3)
    request = site.request(sweep_age=datetime.timedelta(seconds=1), versions="all")
    for _turn in range(2):
        result = run_prune(request, host=Host())
        (orphan,) = result.repositories[0].swept.orphans
        assert (orphan.place, orphan.is_removed) == (stray, False)
        assert orphan.kept.startswith("locked until ")
        assert stray in site.keys
