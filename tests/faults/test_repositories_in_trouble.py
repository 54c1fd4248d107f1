# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job with two repositories, one of which is in trouble: the other gets the backup whole, from one reading."""

from __future__ import annotations

import os
import pathlib
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageAllFailed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup import (
    plan_backup,
    run_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import BackupResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.faults import FaultProxy
from tests.faults.conftest import Bucket
from tests.support.backup_child import Nursery, Run
from tests.support.backups import MIB, Source, broken_payloads, leftovers, listed, make_source, request, tree

# One full part of a multipart upload, and more.
SIZE = 8 * MIB + 100_000


@dataclass
class Job:
    """A source, a folder that works, and a second repository."""

    source: Source
    state: str
    near: dict[str, t.Any]
    far: dict[str, t.Any]

    def run(self) -> BackupResult:
        wanted = request(self.source, {"near": self.near, "far": self.far}, state_directory=self.state)
        return run_backup(wanted, host=Host(name="db1"))

    def run_partial(self, code: str) -> BackupResult:
        """A run in which *far* fails with that code, and near has all of it."""
        result = self.run()
        near, far = result.repositories
        assert (near["state"], far["state"]) == ("complete", "failed"), far
        assert far["error"]["code"] == code, far
        assert far["error"]["hint"]
        assert self.source.readings == (1, 1)
        storage = self.open(self.near)
        assert [backup.manifest for backup in listed(storage)] == [result.manifest]
        assert broken_payloads(storage) == []
        assert leftovers(storage) == []
        return result

    def open(self, description: dict[str, t.Any]) -> Storage:
        return open_storage(description, name="it", clock=SystemClock(), runner=SubprocessRunner())


@pytest.fixture
def job(tmp_path: pathlib.Path) -> Job:
    source = make_source(tmp_path / "source", size=SIZE)
    source.copied = 2000
    near = {"type": "file", "path": str(tmp_path / "near"), "create": True}
    return Job(source=source, state=str(tmp_path / "state"), near=near, far={})


# --- a bucket ---------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[FaultProxy]:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    with FaultProxy(bucket.server.port) as proxy:
        yield proxy


@pytest.fixture
def s3_job(job: Job, bucket: Bucket, proxy: FaultProxy) -> Job:
    job.far = bucket.repository(endpoint_url=proxy.endpoint_url)
    return job


def test_a_bucket_that_is_slow_for_a_while_gets_the_backup(s3_job: Job, proxy: FaultProxy) -> None:
    proxy.slow_down(method="PUT", path_contains="process.zst", skip=1, times=2)
    proxy.slow_down(path_contains="manifest.json", times=1)
    result = s3_job.run()
    assert not result.is_partial
    assert s3_job.source.readings == (1, 1)
    assert [request.fault for request in proxy.requests].count("503 SlowDown") == 3
    far = s3_job.open(s3_job.far)
    assert [backup.manifest for backup in listed(far)] == [result.manifest]
    assert broken_payloads(far) == []
    assert leftovers(far) == []


def test_a_bucket_that_forbids_is_not_asked_again_and_keeps_nothing(s3_job: Job, proxy: FaultProxy) -> None:
    proxy.forbid(method="PUT", path_contains="process.zst")
    started = time.monotonic()
    s3_job.run_partial("storage.forbidden")
    assert time.monotonic() - started < 10
    # Two parts may be on their way at once.
    assert [request.fault for request in proxy.requests].count("403 AccessDenied") <= 2
    proxy.heal()
    far = s3_job.open(s3_job.far)
    assert listed(far) == []
    assert not any(left.startswith("unfinished") for left in leftovers(far)), "the multipart upload was not aborted"
    s3_job.source.script = "head -c 1000 data"
    assert not s3_job.run().is_partial
    assert leftovers(far) == []


def test_a_connection_that_is_cut_in_mid_upload_is_made_again(s3_job: Job, proxy: FaultProxy) -> None:
    proxy.cut_upload(3 * MIB, method="PUT", path_contains="process.zst", times=1)
    assert not s3_job.run().is_partial
    assert any(request.fault.startswith("cut upload") for request in proxy.requests)
    far = s3_job.open(s3_job.far)
    assert broken_payloads(far) == []
    assert leftovers(far) == []


def test_a_connection_that_is_cut_in_every_upload_leaves_the_bucket_out(s3_job: Job, proxy: FaultProxy) -> None:
    proxy.cut_upload(3 * MIB, method="PUT", path_contains="process.zst")
    s3_job.run_partial("storage.unreachable")
    proxy.heal()
    far = s3_job.open(s3_job.far)
    assert listed(far) == []
    assert not any(left.startswith("unfinished") for left in leftovers(far)), "the multipart upload was not aborted"


def test_a_bucket_that_is_missing_is_left_out_before_the_source_is_read(
    s3_job: Job, bucket: Bucket, proxy: FaultProxy
) -> None:
    s3_job.far["bucket"] = "no-such-bucket"
    s3_job.run_partial("storage.bucket_missing")
    s3_job.near = dict(s3_job.far, prefix="other")
    with pytest.raises(StorageAllFailed, match=r"storage\.bucket_missing"):
        s3_job.run()
    assert s3_job.source.readings == (1, 1)
    del bucket, proxy


def test_a_source_that_dies_in_mid_stream_leaves_nothing_in_the_bucket(s3_job: Job) -> None:
    s3_job.source.script = f"head -c {8 * MIB + 50_000} data; kill -9 $$"
    with pytest.raises(Exception, match="killed by signal 9"):
        s3_job.run()
    for description in (s3_job.near, s3_job.far):
        assert leftovers(s3_job.open(description)) == []


def test_a_plan_changes_nothing_in_folder_and_bucket(s3_job: Job, proxy: FaultProxy) -> None:
    s3_job.source.script = "head -c 1000 data"
    s3_job.run()
    far = s3_job.open(s3_job.far)
    dead = far.writer("shop/main/static/20261101T000000Z-aaaaaa/process.zst")
    far.put("shop/main/static/20261101T000000Z-aaaaaa/started.json", b'{"host": "db1"}')
    before = list(far.list()), list(far.unfinished()), tree(s3_job.near["path"]), tree(s3_job.state)
    seen = len(proxy.requests)
    wanted = request(s3_job.source, {"near": s3_job.near, "far": s3_job.far}, state_directory=s3_job.state)
    plan = plan_backup(wanted, host=Host(name="db1"))
    asked = proxy.requests[seen:]
    assert [entry["state"] for entry in plan.repositories] == ["ready", "ready"]
    assert asked
    assert {request.method for request in asked} <= {"GET", "HEAD"}
    assert (list(far.list()), list(far.unfinished()), tree(s3_job.near["path"]), tree(s3_job.state)) == before
    dead.abort()


# --- a folder ---------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_left_out_and_not_made(job: Job, tmp_path: pathlib.Path) -> None:
    job.far = {"type": "file", "path": str(tmp_path / "not" / "mounted")}
    job.run_partial("storage.bucket_missing")
    assert not (tmp_path / "not").exists()


def in_child(nursery: Nursery, job: Job, **limits: t.Any) -> dict[str, t.Any]:
    """A run under *limits* of the operating system; its result."""
    run = Run(source=job.source.folder, state=job.state, repositories={"near": job.near, "far": job.far}, copied=2000)
    outcome = nursery.run(replace(run, **limits))
    assert outcome.document is not None, outcome
    return outcome.document


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written_is_left_out(nursery: Nursery) -> None:
    nobody = 65534
    # Not below pytest's folder, which is closed to others.
    with tempfile.TemporaryDirectory(prefix="lifeboat-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o711)
        near, far = ({"type": "file", "path": str(folder / each)} for each in ("near", "far"))
        job = Job(source=make_source(folder / "source", size=10_000), state=str(folder / "state"), near=near, far=far)
        (folder / "far").mkdir(mode=0o755)
        for mine in ("source", "state", "near"):
            (folder / mine).mkdir(exist_ok=True)
            os.chown(folder / mine, nobody, nobody)
        document = in_child(nursery, job, uid=nobody)
        assert document.get("state") == "partial", document
        error = document["repositories"][1]["error"]
        assert error["code"] == "storage.forbidden"
        assert "uid 65534" in error["message"]
        assert os.listdir(folder / "far") == []
        assert broken_payloads(job.open(near)) == []


def test_a_disk_that_fills_in_mid_stream_leaves_no_backup(nursery: Nursery, job: Job, tmp_path: pathlib.Path) -> None:
    """The operating system lets the run write no file over 5 MB: that error comes from write(2), as a full disk's."""
    job.far = {"type": "file", "path": str(tmp_path / "far"), "create": True}
    document = in_child(nursery, job, file_limit=5_000_000)
    assert document["error"]["code"] == "storage.all_failed"
    assert [entry["error"]["code"] for entry in document["error"]["details"]["repositories"]] == [
        "storage.no_space",
        "storage.no_space",
    ]
    for description in (job.near, job.far):
        assert leftovers(job.open(description)) == []
