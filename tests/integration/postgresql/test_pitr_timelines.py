# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries in place of production, one after another, and after a failover: across the timelines that they begin."""

from __future__ import annotations

import contextlib
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_windows import wal_windows
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import Restoration
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from tests.integration.postgresql.physical import Physical, physical
from tests.integration.postgresql.pitr_ledger import Commit, Ledger, found_in
from tests.integration.postgresql.pitr_rig import (
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
class Production:
    """A cluster that archives, with its ledger; what each timeline's commits are is known to the test."""

    rig: Physical
    server: PostgreSQLServer
    identifier: str
    ledger: Ledger
    recoveries: int = 0
    copies: list[Cluster] = field(default_factory=list)

    @property
    def service_control(self) -> dict[str, str]:
        """The commands of an operator; stopping what does not run is no error of them."""
        data = self.server.data_directory
        words = " ".join(
            [*as_user(operating_system_user()), f"{self.server.bin_directory}/pg_ctl", "-D", str(data), "-w", "-s"]
        )
        log = self.server.directory / "in-place.log"
        return {
            "stop_command": f"sh -c '{words} -m fast stop || test ! -e {data}/postmaster.pid'",
            "start_command": f"sh -c '{words} -l {log} start || test -e {data}/postmaster.pid'",
        }

    def recover_in_place(self, target: t.Mapping[str, t.Any], **options: t.Any) -> Restoration:
        """Replace production by what it was then."""
        return self.in_place(target, **options).run()

    def in_place(self, target: t.Mapping[str, t.Any], **options: t.Any) -> Recovering:
        self.recoveries += 1
        recovering = Recovering.to(
            self.rig,
            target,
            identifier=self.identifier,
            data_directory=str(self.server.data_directory),
            in_place=True,
            service_control=self.service_control,
            start_timeout=60,
            **options,
        )
        recovering.restore_id = f"20261122T03{self.recoveries:04d}Z-abc123"
        return recovering

    @contextlib.contextmanager
    def copy(self, target: t.Mapping[str, t.Any]) -> t.Iterator[tuple[Cluster, Restoration]]:
        """A copy beside it."""
        self.recoveries += 1
        data = self.rig.folder / "clusters" / f"copy{self.recoveries}"
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(self.server.bin_directory))
        options = {"data_directory": str(data), "start": True, "port": cluster.port, "verify": False}
        recovering = Recovering.to(self.rig, target, identifier=self.identifier, **options)
        recovering.restore_id = f"20261122T03{self.recoveries:04d}Z-abc123"
        try:
            yield cluster, recovering.run()
        finally:
            cluster.stop()
            shutil.rmtree(data, ignore_errors=True)

    def query(self, statement: str) -> str:
        rows = self.server.query(statement)
        return "\n".join("|".join(map(str, row)) for row in rows)

    def forget_after(self, seq: int) -> list[Commit]:
        """What the ledger has behind that commit, taken out: on the new timeline the numbers begin again."""
        gone = [one for one in self.ledger.commits if one.seq > seq]
        self.ledger.commits = [one for one in self.ledger.commits if one.seq <= seq]
        return gone

    @property
    def timeline(self) -> int:
        return int(self.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[:8], 16)


@pytest.fixture
def production() -> t.Iterator[Production]:
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
        made = Production(rig, server, identifier, ledger)
        try:
            yield made
        finally:
            # It may be the one that a recovery started.
            server.run("pg_ctl", "-D", str(server.data_directory), "-w", "-m", "immediate", "stop")


def spooled(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "spool").iterdir() if not path.name.startswith("."))


def test_in_place_twice_and_then_across_what_they_began(production: Production) -> None:
    ledger, rig = production.ledger, production.rig
    first = ledger.write(20, switch_every=8)
    archive_everything(production.server, rig.folder)

    # Back to the middle: what came after is gone, and what was there is moved aside.
    kept = first[9]
    restoration = production.recover_in_place({"lsn": kept.after, "exclusive": True})
    assert found_in(production.query) == ledger.until(kept.seq)
    assert (production.timeline, restoration.content["recovery"]["new_timeline"]) == (2, 2)
    assert restoration.content["full_backup_needed"] is True
    assert any("full base backup" in one for one in restoration.warnings)
    assert production.query("SHOW archive_mode") == "on"
    configuration = (production.server.data_directory / "postgresql.auto.conf").read_text()
    assert "recovery" not in configuration
    assert "restore_command" not in configuration
    assert not list(production.server.data_directory.glob("*.signal"))
    assert Path(restoration.aside[0], "PG_VERSION").exists()

    # The new timeline is archived beside the old one.
    abandoned = production.forget_after(kept.seq)
    second = ledger.write(15, switch_every=6)
    archive_everything(production.server, rig.folder)
    names = spooled(rig.folder)
    assert "00000002.history" in names
    assert {name[:8] for name in names if len(name) == 24} == {"00000001", "00000002"}

    # A copy across the timeline that the first recovery began, from the base before it.
    middle = second[7]
    with production.copy({"time": format_time(middle.committed)}) as (cluster, found):
        assert found_in(cluster.query) == ledger.until(middle.seq)
        assert found.content["recovery"]["followed_timeline"] == 2
        assert found.content["recovery"]["new_timeline"] == 3
    # The abandoned end is still what there was at that time.
    lost = abandoned[4]
    with production.copy({"time": format_time(lost.committed)}) as (cluster, found):
        everything = {one.seq: one.parts for one in [*ledger.commits, *abandoned]}
        assert found_in(cluster.query) == {seq: everything[seq] for seq in everything if seq <= lost.seq}
        assert found.content["recovery"]["followed_timeline"] == 1
        # The number 2 is taken, though this recovery never saw that timeline.
        assert found.content["recovery"]["new_timeline"] == 3
    # The same position is on both: the newer timeline by rule, the older one on request.
    here = second[2]
    assert plan_recovery(rig, {"lsn": here.after}, identifier=production.identifier).facts["timeline"] == 2
    with production.copy({"xid": abandoned[2].xid, "timeline": 1}) as (cluster, _found):
        assert set(found_in(cluster.query)) == set(range(1, abandoned[2].seq + 1))

    # A second recovery in place, of the cluster that the first one made.
    again = second[3]
    restoration = production.recover_in_place({"xid": again.xid})
    assert found_in(production.query) == ledger.until(again.seq)
    assert (production.timeline, restoration.content["recovery"]["new_timeline"]) == (3, 3)
    production.forget_after(again.seq)
    third = ledger.write(10, switch_every=4)
    archive_everything(production.server, rig.folder)
    with production.copy({"latest": True}) as (cluster, found):
        assert found_in(cluster.query) == ledger.until(third[-1].seq)
        assert found.content["recovery"]["followed_timeline"] == 3

    windows = wal_windows(backups_of(rig), [read_spool(rig.folder / "spool", production.identifier)[0]])
    assert [window.last.partition("/")[0] for window in windows.windows] == ["1", "2", "3"]
    # A base of the newest timeline, and back to a point behind it.
    rig.backup()
    fourth = ledger.write(6, switch_every=3)
    archive_everything(production.server, rig.folder)
    with production.copy({"time": format_time(fourth[2].committed)}) as (cluster, found):
        assert found_in(cluster.query) == ledger.until(fourth[2].seq)


def test_after_a_failover(production: Production) -> None:
    """A standby takes over in the middle of a segment; the old primary is gone with what it had not archived."""
    ledger, rig, primary = production.ledger, production.rig, production.server
    ledger.write(20, switch_every=8)
    standby = PostgreSQLServer.standby_of(primary, settings=archive_settings(rig.folder))
    with standby:
        last = ledger.write(5)[-1]
        clock, deadline = SystemClock(), SystemClock().monotonic() + 30
        while not standby.query("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (last.after,))[0][0]:
            assert clock.monotonic() < deadline
            clock.sleep(0.05)
        primary.kill()
        standby.query("SELECT pg_promote()")
        ledger.server = standby
        after = ledger.write(20, switch_every=8)
        archive_everything(standby, rig.folder)
        for commit in (last, after[0], after[12]):
            with production.copy({"time": format_time(commit.committed)}) as (cluster, found):
                assert found_in(cluster.query) == ledger.until(commit.seq)
                assert found.content["recovery"]["followed_timeline"] == 2
        with production.copy({"lsn": last.after, "exclusive": True}) as (cluster, _found):
            assert found_in(cluster.query) == ledger.until(last.seq)


def test_what_fails_leaves_production_running(production: Production) -> None:
    ledger, rig = production.ledger, production.rig
    ledger.write(20, switch_every=8)
    archive_everything(production.server, rig.folder)
    started = (production.server.data_directory / "postmaster.pid").read_text()
    with pytest.raises(errors.RecoveryEndedEarly):
        production.recover_in_place({"xid": 123456789})
    # It was never stopped: the replay came before.
    assert (production.server.data_directory / "postmaster.pid").read_text() == started
    assert found_in(production.query) == ledger.until(ledger.commits[-1].seq)
    assert spooled(rig.folder) == [name for name in spooled(rig.folder) if not name.endswith(".history")]


@pytest.mark.parametrize(("step", "moment"), [("replay", "fetched"), ("swap", "after"), ("start", "after")])
def test_a_death_in_place_is_undone_or_finished(production: Production, step: str, moment: str) -> None:
    ledger, rig = production.ledger, production.rig
    written = ledger.write(20, switch_every=8)
    archive_everything(production.server, rig.folder)
    target = {"time": format_time(written[9].committed)}
    recovering = production.in_place(target)
    recovering.die(step, moment)
    recovering.roll_back()
    assert found_in(production.query) == ledger.until(ledger.commits[-1].seq)

    again = production.in_place(target)
    again.die(step, moment)
    again.resume()
    assert found_in(production.query) == ledger.until(written[9].seq)
    # Once, and not twice: the timeline that a promotion before the death began is gone on with.
    assert production.timeline in (2, 3)
    names = sorted(path.name for path in production.server.data_directory.parent.iterdir())
    assert not [name for name in names if "restoring" in name or "replaying" in name]


def test_production_is_not_replaced_by_accident(production: Production) -> None:
    ledger, rig = production.ledger, production.rig
    written = ledger.write(10, switch_every=4)
    archive_everything(production.server, rig.folder)
    target = {"time": format_time(written[4].committed)}
    data = str(production.server.data_directory)
    beside = Recovering.to(rig, target, identifier=production.identifier, data_directory=data)
    with pytest.raises(errors.RestoreTargetInvalid, match="runs on"):
        beside.inspect()
    taken = Recovering.to(
        rig,
        target,
        identifier=production.identifier,
        data_directory=str(rig.folder / "clusters" / "copy"),
        start=True,
        port=production.server.port,
    )
    with pytest.raises(errors.RestoreTargetInvalid, match="port"):
        taken.inspect()
    plan = production.in_place(target).inspect()
    assert plan.replaces == data
    assert plan.stops
