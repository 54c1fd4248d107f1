# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries with WAL that is missing, damaged, double or slow: complete, or refused, or undone; never short."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import recovery_replay
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_planner import (
    PgRecoveryPlanner,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_fetcher import (
    FetcherLimits,
    WalFetcher,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    recovery_target_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.physical import Physical, physical
from tests.integration.postgresql.pitr_ledger import Commit, Ledger, found_in
from tests.integration.postgresql.pitr_rig import (
    FolderReader,
    Recovering,
    archive_everything,
    archive_settings,
    backups_of,
    open_spool,
    own,
    plan_recovery,
    read_spool,
)
from tests.integration.postgresql.restoring import Cluster
from tests.integration.postgresql.rig import SECRET

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A cluster with one base and some segments behind it; *target* lies in the last but one."""

    rig: Physical
    server: PostgreSQLServer
    identifier: str
    ledger: Ledger
    target: Commit

    def recovering(self, **changes: t.Any) -> tuple[Recovering, Cluster]:
        data = self.rig.folder / "clusters" / "copy"
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(self.server.bin_directory))
        target = changes.pop("target", {"time": format_time(self.target.committed)})
        recovering = Recovering.to(
            self.rig,
            target,
            identifier=self.identifier,
            data_directory=str(data),
            start=True,
            port=cluster.port,
            verify=False,
            start_timeout=60,
        )
        return replace(recovering, **changes), cluster

    @property
    def clusters(self) -> list[str]:
        return sorted(path.name for path in (self.rig.folder / "clusters").iterdir())

    @property
    def segments(self) -> list[str]:
        plan = plan_recovery(self.rig, {"time": format_time(self.target.committed)}, identifier=self.identifier)
        return [one.segment.name for one in plan.segments]

    def stream(self, folder: Path) -> Stream:
        return read_spool(folder, self.identifier)[0]


@pytest.fixture(scope="module")
def made() -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(physical(t.cast("PostgreSQLServer", None)))
        own(rig.folder / "clusters")
        own(rig.folder / "spool")
        rig.server = server = stack.enter_context(
            PostgreSQLServer(password=SECRET, settings=archive_settings(rig.folder))
        )
        identifier = open_spool(server, rig.folder)
        ledger = Ledger(server)
        ledger.begin()
        ledger.write(5)
        rig.backup()
        ledger.write(40, switch_every=8)
        archive_everything(server, rig.folder)
        yield Site(rig, server, identifier, ledger, ledger.commits[-10])


@pytest.fixture
def site(made: Site) -> t.Iterator[Site]:
    yield made
    for path in (made.rig.folder / "clusters").iterdir():
        shutil.rmtree(path)


@pytest.fixture
def spool(site: Site, tmp_path: Path) -> Path:
    """A copy of the spool, for damage."""
    copy = tmp_path / "spool"
    shutil.copytree(site.rig.folder / "spool", copy, ignore=shutil.ignore_patterns(".*"))
    return copy


def refused(site: Site, stream: Stream, **target: t.Any) -> errors.RecoveryTargetUnreachable:
    """The refusal; and the nearest points that it names can be reached from the same."""
    backups = backups_of(site.rig)
    now = site.rig.host.clock.now()
    with pytest.raises(errors.RecoveryTargetUnreachable) as caught:
        PgRecoveryPlanner().plan(bases=backups, streams=[stream], target=recovery_target_from(target, now=now), now=now)
    nearest = [caught.value.details[key] for key in ("before", "after") if caught.value.details[key]]
    assert nearest
    for one in nearest:
        kind = next(iter(target))
        again = recovery_target_from({kind: one}, now=now)
        PgRecoveryPlanner().plan(bases=backups, streams=[stream], target=again, now=now)
    return caught.value


def test_a_missing_segment(site: Site, spool: Path) -> None:
    missing = site.segments[1]
    (spool / missing).unlink()
    error = refused(site, site.stream(spool), time=format_time(site.target.committed))
    assert f"{missing} is in no repository" in error.message
    assert refused(site, site.stream(spool), lsn=site.target.after).details["before"]


@pytest.mark.parametrize("damage", ["zeroed", "truncated", "of another place", "zeros behind the middle"])
def test_a_damaged_segment_is_never_recorded(site: Site, spool: Path, damage: str) -> None:
    name = site.segments[1]
    path = spool / name
    size = path.stat().st_size
    if damage == "zeroed":
        path.write_bytes(b"\0" * size)
    elif damage == "truncated":
        os.truncate(path, size - 1)
    elif damage == "of another place":
        shutil.copyfile(spool / site.segments[2], path)
    else:
        # In the middle of what is written: behind a switch there are zeros anyway.
        content = path.read_bytes()
        written = len(content.rstrip(b"\0"))
        path.write_bytes(content[: written // 2] + b"\0" * (size - written // 2))
    stream, names = read_spool(spool, site.identifier)
    assert names == [name]
    assert name in refused(site, stream, time=format_time(site.target.committed)).message


def test_a_segment_with_two_contents(site: Site, spool: Path) -> None:
    name = site.segments[1]
    stream = site.stream(spool)
    twin = next(one for one in stream.segments if one.segment.name == name)
    other = replace(twin, segment=replace(twin.segment, plain_sha256="0" * 64))
    error = refused(site, replace(stream, segments=(*stream.segments, other)), time=format_time(site.target.committed))
    assert "stored twice" in error.message
    again = replace(stream, segments=(*stream.segments, twin))
    now = site.rig.host.clock.now()
    target = recovery_target_from({"time": format_time(site.target.committed)}, now=now)
    PgRecoveryPlanner().plan(bases=backups_of(site.rig), streams=[again], target=target, now=now)


def test_the_latest_when_nothing_is_stored_behind_the_base(site: Site, spool: Path) -> None:
    """The backup's own WAL is all there is; its end is a target, too."""
    stream = site.stream(spool)
    early = replace(stream, segments=tuple(one for one in stream.segments if one.segment.name < site.segments[0]))
    now = site.rig.host.clock.now()
    plan = PgRecoveryPlanner().plan(
        bases=backups_of(site.rig), streams=[early], target=recovery_target_from({"latest": True}, now=now), now=now
    )
    assert plan.segments == ()
    recovering, cluster = site.recovering(target={"latest": True})
    recovering.reader = FolderReader(plan=plan, folder=spool)
    try:
        recovering.run()
        assert found_in(cluster.query) == site.ledger.until(5)
    finally:
        cluster.stop()


def test_storage_that_fails_now_and_then_loses_nothing(site: Site) -> None:
    names = site.segments
    recovering, cluster = site.recovering(faults={names[0]: 1, names[1]: 2, names[-1]: 1})
    try:
        recovering.run()
        assert found_in(cluster.query) == site.ledger.until(site.target.seq)
    finally:
        cluster.stop()


@pytest.mark.parametrize("target", ["time", "latest", "xid"])
def test_storage_that_stays_away_ends_the_recovery_and_undoes_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    impatient = functools.partial(WalFetcher, limits=FetcherLimits(wait_seconds=1))  # instead of two minutes
    monkeypatch.setattr(recovery_replay, "WalFetcher", impatient)
    given = {
        "time": {"time": format_time(site.target.committed)},
        "latest": {"latest": True},
        "xid": {"xid": site.target.xid},
    }[target]
    recovering, _cluster = site.recovering(target=given, faults={site.segments[1]: 10**6})
    with pytest.raises(errors.RecoveryEndedEarly) as caught:
        recovering.run()
    assert "made to fail" in str(caught.value.details["said"])
    assert site.clusters == []


def test_a_transaction_that_is_not_there(site: Site) -> None:
    recovering, _cluster = site.recovering(target={"xid": 123456789})
    with pytest.raises(errors.RecoveryEndedEarly, match="xid 123456789") as caught:
        recovering.run()
    assert "pg_waldump" in str(caught.value.hint)
    assert site.clusters == []


def test_a_name_that_is_not_there(site: Site) -> None:
    recovering, _cluster = site.recovering(target={"name": "nowhere"})
    with pytest.raises(errors.RecoveryEndedEarly, match="name nowhere"):
        recovering.run()
    assert site.clusters == []


@pytest.mark.parametrize("what", ["script", "server"])
def test_an_early_end_is_never_taken_for_the_target(site: Site, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The fault: every trouble is answered with "there is none", or the server is told to open at the end."""
    if what == "script":
        name = site.segments[1]
        monkeypatch.setattr(
            recovery_replay,
            "restore_command",
            lambda **_paths: f"test %f != {name} && cp {site.rig.folder}/spool/%f %p",
        )
    else:
        monkeypatch.setattr(
            recovery_replay,
            "replay_settings",
            lambda _target, **options: {"restore_command": "false", "recovery_target_timeline": options["timeline"]},
        )
    recovering, _cluster = site.recovering()
    with pytest.raises(errors.RecoveryEndedEarly):
        recovering.run()
    assert site.clusters == []


@pytest.mark.parametrize(
    ("step", "moment"), [("replay", "before"), ("replay", "fetched"), ("replay", "after"), ("start", "after")]
)
def test_a_death_is_undone_or_finished(site: Site, step: str, moment: str) -> None:
    recovering, _cluster = site.recovering()
    recovering.die(step, moment)
    recovering.roll_back()
    assert site.clusters == []

    again, cluster = site.recovering()
    again.restore_id = "20261123T030000Z-def456"
    again.die(step, moment)
    try:
        again.resume()
        assert found_in(cluster.query) == site.ledger.until(site.target.seq)
        assert site.clusters == ["copy"]
    finally:
        cluster.stop()


def test_the_position_of_a_restore_point_is_the_one_behind_it(site: Site) -> None:
    """What a server answers is where the next record begins: inclusive would take in somebody's commit after it."""
    with contextlib.closing(site.server.connect()) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO ledger VALUES (9001, 0, 'x'); INSERT INTO mirror VALUES (9001, 1)")
            position = site.server.query("SELECT pg_create_restore_point('a label')::text")[0][0]
            connection.commit()
    archive_everything(site.server, site.rig.folder)
    for exclusive in (True, False):
        recovering, cluster = site.recovering(target={"lsn": position, "exclusive": exclusive})
        recovering.restore_id = f"20261122T03000{int(exclusive)}Z-abc123"
        try:
            recovering.run()
            assert (9001 in found_in(cluster.query)) is not exclusive
        finally:
            cluster.stop()
            shutil.rmtree(cluster.data)


def test_what_contradicts_a_recovery_is_refused_early(site: Site) -> None:
    recovering, _cluster = site.recovering()
    recovering.options["new_timeline"] = False
    with pytest.raises(errors.RequestInvalid, match="new_timeline"):
        recovering.inspect()
    paused, _cluster = site.recovering(target={"latest": True, "action": "pause"})
    paused.options.update(start=False, port=None)
    with pytest.raises(errors.RequestInvalid, match="pause"):
        paused.inspect()
    plan = site.recovering()[0].inspect()
    assert plan.needed_bytes > 16 * 1024 * 1024 * len(site.segments)
    assert plan.facts["recovery"]["timeline"] == 1
    assert any(one.startswith("Replay ") for one in plan.steps)
    assert plan.facts["recovery"]["why"]
    assert site.clusters == []
