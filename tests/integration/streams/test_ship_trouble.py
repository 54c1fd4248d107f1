# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories, spool and disk in trouble: what is acknowledged is kept, in order, and everything comes right again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import time
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    IdentityMissing,
    PayloadDamaged,
    RecoveryTargetUnreachable,
    RestoreTargetInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Encryption,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.segment_reader import (
    StoredSegmentReader,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.faults import FaultProxy
from sandbox.s3 import S3Server
from tests.integration.streams.rig import Rig
from tests.support.clocks import FakeClock
from tests.support.streams import SERIES, assert_true, content_of, in_spool, read_one, recorded, ship_request

Make = t.Callable[..., Rig]
Bucket = t.Callable[..., dict[str, t.Any]]


def test_a_bucket_is_away_for_a_while_and_the_follower_survives_it(
    make_rig: Make, make_bucket: Bucket, local: dict[str, t.Any], s3: S3Server
) -> None:
    with FaultProxy(s3.port) as proxy:
        rig = make_rig(near=local, far=make_bucket(endpoint_url=proxy.endpoint_url))
        rig.make(3)
        pid = rig.nursery.begin(replace(rig.plain, follow=True))
        _until(lambda: recorded(rig.storages["far"]) == rig.made)
        proxy.fail()
        rig.make(5)
        _until(lambda: recorded(rig.storages["near"]) == rig.made)
        assert len(in_spool(rig.spool)) == 5
        rig.make(5)
        _until(lambda: recorded(rig.storages["near"]) == rig.made)
        proxy.heal()
        _until(lambda: recorded(rig.storages["far"]) == rig.made)
        os.kill(pid, signal.SIGTERM)
        outcome = rig.nursery.end()
        assert outcome.status == 0, outcome
        rig.assert_complete("an outage")
        rig.assert_no_leftovers()


def test_the_disk_of_a_repository_is_full(make_rig: Make, tmp_path: pathlib.Path, local: dict[str, t.Any]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {small} 2>/dev/null") != 0:  # noqa: S605 a path of the test's own
        pytest.skip("no file system can be mounted here")
    try:
        rig = make_rig(near=local, small={"type": "file", "path": str(small)})
        rig.make(30, size=20_000)
        document = rig.ship()
        assert document["state"] == "partial", document
        assert recorded(rig.storages["near"]) == rig.made
        has = recorded(rig.storages["small"])
        assert 0 < len(has) < 30
        assert in_spool(rig.spool) == rig.made[len(has) :], "what is not in both waits"
        rig.assert_nothing_lost("a full disk")
        assert os.system(f"mount -o remount,size=10m {small}") == 0  # noqa: S605
        rig.finish("a full disk")
    finally:
        os.system(f"umount {small}")  # noqa: S605


def test_a_full_disk_under_spool_and_notes_is_emptied_by_shipping(
    make_rig: Make, tmp_path: pathlib.Path, local: dict[str, t.Any]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {disk} 2>/dev/null") != 0:  # noqa: S605 a path of the test's own
        pytest.skip("no file system can be mounted here")
    try:
        rig = make_rig(it=local)
        rig.plain = replace(rig.plain, state=str(disk / "state"), spool=str(disk / "spool"))
        rig.spool = disk / "spool"
        rig.make(3, size=20_000)
        rig.ship()
        rig.make(3, size=20_000)
        for name in rig.made[3:]:
            (rig.spool / name).write_bytes((rig.tape.folder / name).read_bytes())
            (rig.tape.folder / name).unlink()
        _fill(disk / "filler")
        document = rig.ship()
        assert document["state"] == "complete", document
        rig.assert_complete("a full disk")
    finally:
        os.system(f"umount {disk}")  # noqa: S605


def test_a_host_that_archives_under_our_name(make_rig: Make, local: dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    """Two hosts ship different bytes of one segment at the same time: neither is overwritten, and it is said."""
    rig = make_rig(it=local)
    rig.make(2)
    rig.ship()
    other = replace(rig.plain, tape=str(tmp_path / "b"), spool=str(tmp_path / "bs"), state=str(tmp_path / "bt"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / rig.made[1]).write_bytes(b"of another history")
    before = {found.key: rig.storages["it"].get(found.key) for found in rig.storages["it"].list()}
    outcome = rig.nursery.run(other)
    assert outcome.document is not None
    assert outcome.document["state"] == "blocked"
    assert {warning["name"] for warning in outcome.document["warnings"]} >= {"segment_conflict"}
    assert in_spool(tmp_path / "bs") == [rig.made[1]]
    for key, data in before.items():
        assert rig.storages["it"].get(key) == data
    rig.assert_complete("a foreign host")


def test_segments_come_back_from_whichever_repository_has_them_whole(
    make_rig: Make, local: dict[str, t.Any], make_bucket: Bucket, tmp_path: pathlib.Path
) -> None:
    rig = make_rig(near=local, far=make_bucket())
    rig.make(6, size=50_000)
    rig.ship()
    stream = read_one(rig.storages)
    plan = RecoveryPlan(
        target=RecoveryTarget(kind="latest"), base=None, lineage="one", segments=stream.segments, why=()
    )
    reader = StoredSegmentReader(plan=plan, series=SERIES, storages=rig.storages, host=Host(clock=FakeClock()))
    reader.check()

    def path_of(number: int) -> pathlib.Path:
        segment = stream.segments[number].segment
        group, name = segment.description.group, segment.payload.name
        return tmp_path / "repository" / f"shop/main/oplog/one/segments/{group}/{name}"

    damaged = bytearray(path_of(0).read_bytes())
    damaged[100] ^= 1
    path_of(0).write_bytes(damaged)
    path_of(1).unlink()
    path_of(2).write_bytes(path_of(2).read_bytes()[:-7])
    path_of(3).write_bytes(path_of(4).read_bytes())
    reader.check()
    for number, segment in enumerate(stream.segments):
        target = tmp_path / f"fetched{number}"
        reader.fetch(segment, str(target))
        assert target.read_bytes() == content_of(number + 1, size=50_000)
    with pytest.raises(RestoreTargetInvalid):
        reader.fetch(stream.segments[0], str(tmp_path / "fetched0"))
    alone = StoredSegmentReader(
        plan=plan, series=SERIES, storages={"near": rig.storages["near"]}, host=Host(clock=FakeClock())
    )
    with pytest.raises(RecoveryTargetUnreachable, match=stream.segments[0].segment.name):
        alone.check()
    for number in (0, 2, 3):
        with pytest.raises(PayloadDamaged):
            alone.fetch(stream.segments[number], str(tmp_path / "never"))
    assert not list(tmp_path.glob("never*"))
    assert not list(tmp_path.glob(".lifeboat-segment-*"))


def test_a_record_that_lies_about_the_plain_bytes_is_found_out(
    make_rig: Make, local: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    rig = make_rig(it=local)
    rig.make(2)
    rig.ship()
    first, second = read_one(rig.storages).segments
    copy = replace(first.copies["it"], plain_sha256=second.segment.plain_sha256)
    plan = RecoveryPlan(target=RecoveryTarget(kind="latest"), base=None, lineage="one", segments=(), why=())
    reader = StoredSegmentReader(plan=plan, series=SERIES, storages=rig.storages, host=Host(clock=FakeClock()))
    with pytest.raises(PayloadDamaged, match="other plain bytes"):
        reader.fetch(replace(first, copies={"it": copy}), str(tmp_path / "it"))
    assert not (tmp_path / "it").exists()
    assert_true(rig.storages["it"])


def test_segments_are_asked_for_again_when_nobody_answers(
    make_rig: Make, make_bucket: Bucket, s3: S3Server, tmp_path: pathlib.Path
) -> None:
    with FaultProxy(s3.port) as proxy:
        rig = make_rig(it=make_bucket(endpoint_url=proxy.endpoint_url))
        rig.make(1)
        rig.ship()
        stream = read_one(rig.storages)
        plan = RecoveryPlan(
            target=RecoveryTarget(kind="latest"), base=None, lineage="one", segments=stream.segments, why=()
        )
        clock = FakeClock()
        reader = StoredSegmentReader(plan=plan, series=SERIES, storages=rig.storages, host=Host(clock=clock))
        proxy.cut_download(100, path_contains="/segments/", times=1)
        reader.fetch(stream.segments[0], str(tmp_path / "it"))
        assert (tmp_path / "it").read_bytes() == content_of(1)


def test_credentials_that_may_only_write(make_rig: Make, make_bucket: Bucket) -> None:
    description = make_bucket(credentials="WRITER")
    rig = make_rig(it=description)
    everything = {**description, "credentials": {"env": "STREAMS"}}
    rig.storages = {"it": open_storage(everything, name="it", clock=SystemClock(), runner=SubprocessRunner())}
    for point in (None, 3, 4, 5, None):
        rig.make(2)
        outcome = rig.nursery.run(replace(rig.plain, at_request=point))
        assert outcome.was_killed == (point is not None), outcome
        assert_true(rig.storages["it"])
    document = rig.ship()
    assert document["state"] == "complete", document
    assert document["repositories"][0]["write_only"] is True
    assert in_spool(rig.spool) == []
    stream = read_one(rig.storages)
    assert [each.segment.name for each in stream.segments] == rig.made
    assert stream.problems == ()


def test_encrypted_segments_come_back_to_several_threads_at_a_time(
    make_rig: Make, local: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    key = next(line for line in made.splitlines() if line.startswith("AGE-SECRET-KEY"))
    public = next(line.rpartition(" ")[2] for line in made.splitlines() if "public key" in line)
    rig = make_rig(it=local)
    rig.make(6, size=40_000)
    transforms = Transforms(compression=Compression(1, 1), encryption=Encryption((public,)))
    request = ship_request(
        rig.tape, rig.plain.repositories, state=rig.plain.state, spool=rig.plain.spool, transforms=transforms
    )
    assert run_ship(request, host=Host()).state == "complete"
    stream = read_one(rig.storages)
    assert all(each.segment.payload.encryption == "age" for each in stream.segments)
    plan = RecoveryPlan(
        target=RecoveryTarget(kind="latest"), base=None, lineage="one", segments=stream.segments, why=()
    )
    (tmp_path / "key").write_text(made)
    for number, identity in enumerate((Secret(name="it", value=key), Secret(name="it", file=str(tmp_path / "key")))):
        reader = StoredSegmentReader(plan=plan, series=SERIES, storages=rig.storages, host=Host(), identity=identity)
        targets = [str(tmp_path / f"{number}-{position}") for position in range(6)]
        with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(reader.fetch, stream.segments, targets))
        for position, target in enumerate(targets):
            assert pathlib.Path(target).read_bytes() == content_of(position + 1, size=40_000)
    without = StoredSegmentReader(plan=plan, series=SERIES, storages=rig.storages, host=Host(clock=FakeClock()))
    reader.check()
    with pytest.raises(IdentityMissing):
        without.check()
    with pytest.raises(IdentityMissing):
        without.fetch(stream.segments[0], str(tmp_path / "never"))


def _fill(path: pathlib.Path) -> None:
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    assert os.statvfs(path.parent).f_bfree == 0


def _until(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
