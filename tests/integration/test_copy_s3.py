# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies between a folder and buckets of a real S3 server: large payloads, object locks, two at once, then a check."""

from __future__ import annotations

import concurrent.futures
import datetime
import os
import pathlib
import typing as t
import uuid
from dataclasses import dataclass

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, pin_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import KeepPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.check_values import (
    CheckRequest,
    Share,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_results import CopyResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import (
    CopyRequest,
    TargetPolicy,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copying import run_copy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import JobPolicy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.repo_check import (
    check_repositories,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.repo_stats import read_stats
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.s3 import S3Server
from tests.support.backups import broken_payloads, listed
from tests.support.copies import STREAM, described, put_backup, put_segments, recorded

MIB = 1024 * 1024
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("plain",), locked_buckets=("locked",)) as server:
        yield server


@dataclass
class Site:
    """A folder with what a bucket lacks."""

    folder: pathlib.Path
    server: S3Server
    bucket: str = "plain"
    prefix: str = ""

    def __post_init__(self) -> None:
        (self.folder / "near").mkdir()
        self.prefix = f"copy-{uuid.uuid4().hex[:8]}"
        keys = self.server.administrator
        self.keys = self.folder / "s3.env"
        self.keys.write_text(f"AWS_ACCESS_KEY_ID={keys.access_key}\nAWS_SECRET_ACCESS_KEY={keys.secret_key}\n")

    def descriptions(self, **options: t.Any) -> dict[str, dict[str, t.Any]]:
        return {
            "near": {"type": "file", "path": str(self.folder / "near")},
            "far": {
                "type": "s3",
                "bucket": self.bucket,
                "prefix": self.prefix,
                "region": self.server.region,
                "endpoint_url": self.server.endpoint_url,
                "credentials": {"file": str(self.keys)},
                **options,
            },
        }

    def requests(self, **options: t.Any) -> tuple[RepositoryRequest, ...]:
        return tuple(
            RepositoryRequest(name=name, description=one) for name, one in self.descriptions(**options).items()
        )

    def open(self, name: str) -> Storage:
        return open_storage(self.descriptions()[name], name=name, clock=SystemClock(), runner=SubprocessRunner())

    def copy(self, *, lock: dict[str, str] | None = None, state: str = "state", **changes: t.Any) -> CopyResult:
        options = {"object_lock": lock} if lock else {}
        request = CopyRequest(
            repositories=self.requests(**options), to=("far",), state_directory=str(self.folder / state), **changes
        )
        return run_copy(request, host=Host())

    def make_backup(self, *, size: int = 300, **changes: t.Any) -> t.Any:
        made = new_backup_id(now=SystemClock().now() - datetime.timedelta(hours=3))
        return put_backup(
            self.open("near"), described(made, size=size, repositories=("near", "far"), **changes), size=size
        )


@pytest.fixture
def site(tmp_path: pathlib.Path, server: S3Server) -> Site:
    return Site(tmp_path, server)


@pytest.fixture
def locked(tmp_path: pathlib.Path, server: S3Server) -> Site:
    return Site(tmp_path, server, bucket="locked")


def policies(series: Series, within: datetime.timedelta) -> dict[str, TargetPolicy]:
    keep = JobPolicy(
        repository="far", series=series, engine="mongodb", job="x", keep=KeepPolicy(within=within, minimum_verified=0)
    )
    return {"far": TargetPolicy(names=lambda _series: True, keeps=(keep,))}


@pytest.mark.slow
def test_backups_of_many_parts_and_streams_come_across_and_a_check_reads_them(site: Site) -> None:
    for _turn in range(3):
        site.make_backup(size=9 * MIB)
    put_segments(site.open("near"), range(1, 151), made=SystemClock().now() - datetime.timedelta(hours=3))
    result = site.copy(policies={"far": TargetPolicy(names=lambda _series: True)})
    assert result.error is None
    far = site.open("far")
    assert len(listed(far)) == 3
    assert broken_payloads(far) == []
    assert len(recorded(far)) == 150
    assert list(far.unfinished()) == []
    request = CheckRequest(repositories=site.requests(), share=Share())
    checked = check_repositories(request, host=Host())
    assert [one.findings for one in checked.repositories] == [(), ()]
    assert checked.repositories[1].looked.segments_read == 150
    assert not site.copy(policies={"far": TargetPolicy(names=lambda _series: True)}).changed
    (stats,) = read_stats(site.requests(), only=("far",), host=Host())
    assert (stats.series["family/main/full"].backups, stats.series["family/main/oplog"].segments) == (3, 150)
    assert stats.total.bytes == checked.repositories[1].looked.bytes


@pytest.mark.slow
def test_two_copies_at_once_do_no_harm(site: Site) -> None:
    """From two hosts: each has a lock of its own."""
    for _turn in range(4):
        site.make_backup(size=200_000)
    put_segments(site.open("near"), range(1, 41), made=SystemClock().now() - datetime.timedelta(hours=3))
    wanted = {"far": TargetPolicy(names=lambda _series: True)}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(site.copy, state=f"state-{number}", policies=wanted) for number in range(3)]
        results = [future.result() for future in futures]
    far = site.open("far")
    assert [result.error for result in results] == [None, None, None]
    assert broken_payloads(far) == []
    assert len(listed(far)) == 4
    assert len(recorded(far)) == 40
    assert list(far.unfinished()) == []
    checked = check_repositories(CheckRequest(repositories=site.requests(), share=Share()), host=Host())
    assert checked.exit_status == 0


def test_what_comes_is_locked_as_long_as_the_description_says_and_pins_are_not(locked: Site) -> None:
    backup = locked.make_backup()
    pin = Pin(
        pin_id=new_backup_id(now=SystemClock().now()),
        backup_id=backup.backup_id,
        reason="an audit",
        by="root",
        host="db1",
        made=SystemClock().now(),
    )
    locked.open("near").put(pin_key(backup.folder, pin.pin_id), pin.as_bytes())
    assert locked.copy(lock={"mode": "governance", "retain": "1d"}).error is None
    far = locked.open("far")
    for name in ("dump.archive.zst", "RESTORE.md", "manifest.json"):
        state = far.lock_state(backup.folder.key(name))
        assert state is not None, name
        assert state.until is not None
        assert abs(state.until - SystemClock().now() - DAY) < datetime.timedelta(minutes=10)
    for key in (pin_key(backup.folder, pin.pin_id), backup.folder.key("started.json")):
        assert far.lock_state(key) is None, key


def test_what_comes_is_locked_as_long_as_its_policy_keeps_it(locked: Site) -> None:
    backup = locked.make_backup()
    put_segments(locked.open("near"), [1], made=SystemClock().now() - datetime.timedelta(hours=3))
    lock = {"mode": "governance", "retain": "policy"}
    assert locked.copy(lock=lock, policies=policies(backup.folder.series, 5 * DAY)).error is None
    far = locked.open("far")
    state = far.lock_state(backup.folder.manifest_key)
    assert state is not None
    assert state.until is not None
    assert 4 * DAY < state.until - SystemClock().now() < 6 * DAY
    # Of the stream nobody says how long it is kept.
    (segment,) = recorded(far).values()
    assert far.lock_state(STREAM.segment_key(segment.description.group, segment.payload.name)) is None


def test_what_is_pinned_is_locked_there_as_well(locked: Site) -> None:
    backup = locked.make_backup()
    until = SystemClock().now().replace(microsecond=0) + 40 * DAY
    pin = Pin(
        pin_id=new_backup_id(now=SystemClock().now()),
        backup_id=backup.backup_id,
        reason="an audit",
        by="root",
        host="db1",
        made=SystemClock().now(),
        until=until,
    )
    lock = {"mode": "governance", "retain": "1d"}
    assert locked.copy(lock=lock).error is None
    locked.open("near").put(pin_key(backup.folder, pin.pin_id), pin.as_bytes())
    result = locked.copy(lock=lock)
    assert [one.key for one in result.documents] == [pin_key(backup.folder, pin.pin_id)]
    state = locked.open("far").lock_state(backup.folder.manifest_key)
    assert state is not None
    assert state.until == until


def test_a_bucket_that_is_not_there_is_told_with_a_hint(site: Site) -> None:
    site.make_backup()
    site.bucket = "nobody-made-this"
    result = site.copy()
    assert result.error is not None
    assert result.errors["far"].code == "storage.bucket_missing"
    assert os.listdir(site.folder / "near") == ["family"]
