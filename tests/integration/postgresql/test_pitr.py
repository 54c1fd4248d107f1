# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery beside production to the boundary before, at and after commits: every acknowledged one, and nothing else."""

from __future__ import annotations

import contextlib
import datetime
import random
import shutil
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.names import parse_lsn
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import Restoration
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.physical import Physical, physical
from tests.integration.postgresql.pitr_ledger import Commit, Ledger, Writer, found_in
from tests.integration.postgresql.pitr_rig import (
    Recovering,
    archive_everything,
    archive_settings,
    open_spool,
    own,
    plan_recovery,
)
from tests.integration.postgresql.restoring import Cluster
from tests.integration.postgresql.rig import SECRET
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow
SECOND = datetime.timedelta(seconds=1)


@dataclass
class Site:
    """A cluster with a ledger, two base backups, and the WAL of all of it in a spool."""

    rig: Physical
    server: PostgreSQLServer
    identifier: str
    ledger: Ledger
    bases: list[str]
    first: int  # the last commit before the first base was begun
    second: int  # the same of the second one
    named: Commit  # the last one before the restore point
    end: datetime.datetime  # when the last segment was left
    recoveries: int = 0

    @contextlib.contextmanager
    def recovered(self, target: t.Mapping[str, t.Any], **options: t.Any) -> t.Iterator[tuple[Cluster, Restoration]]:
        """A copy that was recovered to the target; stopped afterwards."""
        self.recoveries += 1
        data = self.rig.folder / "clusters" / f"copy{self.recoveries}"
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(self.server.bin_directory))
        given = {
            "data_directory": str(data),
            "start": True,
            "port": cluster.port,
            "verify": False,
            "start_timeout": 60,
            **options,
        }
        recovering = Recovering.to(self.rig, target, identifier=self.identifier, **given)
        recovering.restore_id = f"20261122T03{self.recoveries:04d}Z-abc123"
        try:
            yield cluster, recovering.run()
        finally:
            cluster.stop()
            shutil.rmtree(data, ignore_errors=True)

    def check(self, target: t.Mapping[str, t.Any], *, last: int) -> dict[str, t.Any]:
        """Recover, and compare with the ledger up to commit number *last*; what the result says of the recovery."""
        with self.recovered(target) as (cluster, restoration):
            assert found_in(cluster.query) == self.ledger.until(last)
            assert cluster.query("SELECT pg_is_in_recovery()") == "f"
            cluster.query("CREATE TABLE writable AS SELECT 1 AS one")
            assert restoration.content["full_backup_needed"] is True
            recovery = restoration.content["recovery"]
            name = cluster.query("SELECT pg_walfile_name(pg_current_wal_lsn())")
            assert recovery["new_timeline"] == int(name[:8], 16)
            found: dict[str, t.Any] = recovery
            return found


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
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
        ledger.write(12, switch_every=6)
        first = len(ledger.commits)
        bases = [rig.backup()]
        ledger.write(30, switch_every=10)
        # One that is open all the time: it is never there, wherever the recovery ends.
        open_one = stack.enter_context(contextlib.closing(server.connect()))
        open_one.autocommit = False
        with open_one.cursor() as cursor:
            cursor.execute("INSERT INTO ledger VALUES (-1000, 0, 'open'); INSERT INTO mirror VALUES (-1000, 1)")
        [named] = ledger.write(1)
        server.query("SELECT pg_create_restore_point('before ''the'' upgrade')")
        ledger.write(20, switch_every=7)
        second = len(ledger.commits)
        bases.append(rig.backup())
        with Writer(ledger):
            clock, deadline = SystemClock(), SystemClock().monotonic() + 60
            while len(ledger.commits) < second + 120 and clock.monotonic() < deadline:
                clock.sleep(0.02)
        open_one.rollback()
        last = ledger.commits[-1].committed
        # A moment without commits at the end of what is stored.
        while server.query("SELECT clock_timestamp() < %s", (last + 3 * SECOND,))[0][0]:
            SystemClock().sleep(0.1)
        server.query("SELECT pg_create_restore_point('the end')")
        end = server.query("SELECT clock_timestamp()")[0][0]
        archive_everything(server, rig.folder)
        yield Site(rig, server, identifier, ledger, bases, first, second, named, end)


def test_by_position(site: Site) -> None:
    commit = site.ledger.at(0.3)
    record = site.ledger.record_of(commit, site.rig.folder / "spool")
    assert parse_lsn(commit.before) <= parse_lsn(record) < parse_lsn(commit.after)
    recovery = site.check({"lsn": record}, last=commit.seq)
    assert "after WAL location" in recovery["stop"]["words"]
    recovery = site.check({"lsn": record, "exclusive": True}, last=commit.seq - 1)
    assert "before WAL location" in recovery["stop"]["words"]
    site.check({"lsn": commit.after, "exclusive": True}, last=commit.seq)


def test_by_transaction(site: Site) -> None:
    commit = next(one for one in site.ledger.commits if one.seq > site.first + 10 and one.parts > 1)
    recovery = site.check({"xid": commit.xid}, last=commit.seq)
    assert recovery["stop"]["transaction"] == commit.xid
    assert recovery["stop"]["time"] == format_time(commit.committed)
    site.check({"xid": str(commit.xid), "exclusive": True}, last=commit.seq - 1)


def test_by_time(site: Site) -> None:
    commit, following = site.ledger.at(0.7), site.ledger.commits[site.ledger.at(0.7).seq]
    assert commit.committed < following.committed
    site.check({"time": format_time(commit.committed)}, last=commit.seq)
    site.check({"time": format_time(commit.committed), "exclusive": True}, last=commit.seq - 1)
    middle = commit.committed + (following.committed - commit.committed) / 2
    recovery = site.check({"time": format_time(middle)}, last=commit.seq)
    assert recovery["is_end"] is False
    assert parse_lsn(recovery["lsn"]) <= parse_lsn(following.after)


def test_by_name(site: Site) -> None:
    recovery = site.check({"name": "before 'the' upgrade"}, last=site.named.seq)
    assert "restore point" in recovery["stop"]["words"]


def test_the_latest(site: Site) -> None:
    recovery = site.check({"latest": True}, last=site.ledger.commits[-1].seq)
    assert recovery["is_end"] is True
    assert parse_lsn(recovery["lsn"]) >= parse_lsn(site.ledger.commits[-1].after)


def test_as_soon_as_it_is_consistent(site: Site) -> None:
    recovery = site.check({"immediate": True}, last=site.second)
    assert "consistency" in recovery["stop"]["words"]


def test_a_time_behind_the_last_commit_is_the_end_of_what_is_stored(site: Site) -> None:
    """PostgreSQL itself would die of it."""
    moment = site.ledger.commits[-1].committed + SECOND
    recovery = site.check({"time": format_time(moment)}, last=site.ledger.commits[-1].seq)
    assert recovery["is_end"] is True


def test_the_time_of_the_last_commit_itself(site: Site) -> None:
    last = site.ledger.commits[-1]
    site.check({"time": format_time(last.committed)}, last=last.seq)
    site.check({"time": format_time(last.committed), "exclusive": True}, last=last.seq - 1)


def test_the_first_moment_of_the_window(site: Site) -> None:
    """The first base, and not the second one, whose end lies behind the target."""
    with pytest.raises(errors.RecoveryTargetUnreachable) as caught:
        plan_recovery(site.rig, {"time": "2001-01-01T00:00:00Z"}, identifier=site.identifier)
    after = caught.value.details["after"]
    assert after is not None
    assert caught.value.details["before"] is None
    site.check({"time": after}, last=site.first)


def test_what_is_not_stored_yet_is_refused_with_the_nearest_point(site: Site) -> None:
    with pytest.raises(errors.RecoveryTargetUnreachable) as caught:
        plan_recovery(
            site.rig, {"time": format_time(site.end + datetime.timedelta(seconds=0.5))}, identifier=site.identifier
        )
    site.check({"time": caught.value.details["before"]}, last=site.ledger.commits[-1].seq)


def random_targets(site: Site, count: int, *, seed: int) -> t.Iterator[tuple[dict[str, t.Any], int]]:
    chosen = random.Random(seed)
    commits = [one for one in site.ledger.commits if one.seq > site.first]
    for _turn in range(count):
        commit = chosen.choice(commits[:-1])
        exclusive = chosen.random() < 0.5
        kind = chosen.choice(["time", "xid", "lsn"])
        if kind == "lsn":
            yield {"lsn": commit.after, "exclusive": True}, commit.seq
        else:
            value = {"time": format_time(commit.committed), "xid": commit.xid}[kind]
            yield {kind: value, "exclusive": exclusive}, commit.seq - (1 if exclusive else 0)


def test_random_points(site: Site) -> None:
    for target, last in random_targets(site, 3, seed=len(site.ledger.commits)):
        site.check(target, last=last)


@pytest.mark.soak
def test_thirty_random_points(site: Site) -> None:
    for target, last in random_targets(site, 30, seed=site.ledger.commits[-1].xid):
        site.check(target, last=last)


def wait_for_answer(cluster: Cluster, statement: str, answer: str) -> None:
    wait_for(lambda: cluster.query(statement) == answer, what=f"{answer} from {statement}")


# --- what becomes of it -----------------------------------------------------------------------------------------------


def test_paused_at_the_target_until_somebody_says_so(site: Site) -> None:
    commit = site.ledger.at(0.5)
    connection = {"user": "postgres", "password_file": str(site.rig.folder / "password")}
    target = {"time": format_time(commit.committed), "action": "pause"}
    with site.recovered(target, connection=connection) as (cluster, restoration):
        assert restoration.content["state"] == "paused"
        assert cluster.query("SELECT pg_is_in_recovery(), pg_get_wal_replay_pause_state()") == "t|paused"
        assert found_in(cluster.query) == site.ledger.until(commit.seq)
        assert any("pg_wal_replay_resume" in one for one in restoration.warnings)
        cluster.query("SELECT pg_wal_replay_resume()")
        wait_for_answer(cluster, "SELECT pg_is_in_recovery()", "f")
        assert found_in(cluster.query) == site.ledger.until(commit.seq)
        cluster.query("CREATE TABLE writable AS SELECT 1 AS one")


def test_paused_and_nobody_may_ask(site: Site) -> None:
    with site.recovered({"xid": site.ledger.at(0.5).xid, "action": "pause"}) as (cluster, restoration):
        assert restoration.content["state"] == "standby"
        assert any("nobody" in one for one in restoration.warnings)
        wait_for_answer(cluster, "SELECT pg_get_wal_replay_pause_state()", "paused")
        assert found_in(cluster.query) == site.ledger.until(site.ledger.at(0.5).seq)


def test_shut_down_at_the_target(site: Site) -> None:
    commit = site.ledger.at(0.5)
    with site.recovered({"xid": commit.xid, "action": "shutdown"}) as (cluster, restoration):
        assert restoration.content["state"] == "not started"
        assert not (cluster.data / "postmaster.pid").exists()
        site.server.run("pg_ctl", "-D", str(cluster.data), "-w", "-l", str(cluster.data / "log"), "start")
        clock, deadline = SystemClock(), SystemClock().monotonic() + 30
        while "ready" not in (cluster.data / "postmaster.pid").read_text():
            assert clock.monotonic() < deadline
            clock.sleep(0.05)
        assert found_in(cluster.query) == site.ledger.until(commit.seq)


def test_a_copy_disturbs_nobody(site: Site) -> None:
    """No archiving, no listening, no trace of the recovery in its configuration, the files checked."""
    before = sorted(path.name for path in (site.rig.folder / "spool").iterdir())
    commit = site.ledger.at(0.4)
    with site.recovered({"lsn": commit.after, "exclusive": True}, verify=True) as (cluster, restoration):
        assert restoration.content["checked_by"]
        assert cluster.query("SHOW archive_mode") == "off"
        assert cluster.query("SHOW listen_addresses") == ""
        cluster.query("SELECT pg_switch_wal()")
        configuration = (cluster.data / "postgresql.auto.conf").read_text()
        assert "recovery_target" not in configuration
        assert "restore_command" not in configuration
        assert not list(cluster.data.glob("*.signal"))
        folders = sorted(path.name for path in (site.rig.folder / "clusters").iterdir())
        assert not [name for name in folders if "restoring" in name or "replaying" in name]
    assert sorted(path.name for path in (site.rig.folder / "spool").iterdir()) == before
