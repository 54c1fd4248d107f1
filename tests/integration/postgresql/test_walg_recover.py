# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat windows`` and ``lifeboat recover`` where WAL-G keeps the WAL, with the genuine WAL-G and a real server."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass

import pytest

from sandbox.ports import free_port
from tests.integration.postgresql.restoring import Cluster
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.wal_rig import own
from tests.integration.postgresql.walg_rig import WalgRig, walg_rig
from tests.support.children import ENGINE, environment
from tests.support.command_line import CommandLine, Said, describe
from tests.support.waiting import wait_for

pytestmark = pytest.mark.interop

_NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


@dataclass
class Site:
    """A rig with a description of it, and what the ledger had at which moments."""

    rig: WalgRig

    @property
    def ask(self) -> CommandLine:
        rig = self.rig
        secret = rig.folder / "password"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        options = {"tool": "walg", "walg": rig.place}
        job = {"kind": "base", "repositories": ["local"], "keep": {"within": "7d"}, "options": options}
        connection = {
            "host": "127.0.0.1",
            "port": rig.server.port,
            "user": "postgres",
            "password_file": str(secret),
        }
        source = {"name": "main", "engine": "postgresql", "connection": connection, "backups": [job]}
        return describe(
            rig.folder / "lifeboat.json",
            {
                "lifeboat_settings": {"state_directory": str(rig.folder / "state")},
                "lifeboat_repositories": {"local": {"type": "file", "path": str(rig.physical.repository)}},
                "lifeboat_services": [{"name": "shop", "sources": [source]}],
            },
        )

    def windows(self) -> dict[str, t.Any]:
        said = self.ask("windows shop/main --json")
        assert said.status in (0, 1), said.err
        return dict(said.document["sources"][0])

    def moment(self) -> tuple[str, int]:
        """Now, by the server's clock, and how many rows there are; what is committed next is later."""
        found = str(self.rig.server.query(_NOW)[0][0]), self.count()
        time.sleep(0.01)
        return found

    def count(self) -> int:
        return int(self.rig.server.query("SELECT count(*) FROM ledger")[0][0])

    def recover(self, *target: str, expected: int) -> dict[str, t.Any]:
        """Beside production; compared, and gone again."""
        data, port = self.rig.folder / "recovered", free_port()
        place = ("-o", f"data_directory={data}", "-o", f"port={port}", "-o", "start=true")
        cluster = Cluster(data=data, port=port, bin_directory=str(self.rig.server.bin_directory))
        said = self.ask("recover shop/main --json --quiet", *target, *place).succeeded()
        restored = dict(said.document["restore"])
        try:
            assert cluster.query("SELECT count(*) FROM ledger") == str(expected)
            assert cluster.query("SELECT pg_is_in_recovery()") == "f"
        finally:
            cluster.stop()
            shutil.rmtree(data)
        return restored

    def continue_elsewhere(self, moment: str) -> Cluster:
        """Recover to *moment* and let that cluster go on, archiving into the same storage: another timeline."""
        data, port = self.rig.folder / "goes-on", free_port()
        place = ("-o", f"data_directory={data}", "-o", f"port={port}", "-o", "start=true")
        self.ask("recover shop/main --quiet --to-time", moment, *place).succeeded()
        cluster = Cluster(data=data, port=port, bin_directory=str(self.rig.server.bin_directory))
        command = f'{self.rig.program} --config {self.rig.config} wal-push "%p"'
        cluster.query("ALTER SYSTEM SET archive_mode = 'on'")
        cluster.query(f"ALTER SYSTEM SET archive_command = '{command}'")
        cluster.stop()
        subprocess.run(["sh", "-c", cluster.service_control["start_command"]], check=True)
        return cluster

    def refuse(self, *target: str) -> Said:
        said = self.ask("recover shop/main", *target, "-o", f"data_directory={self.rig.folder}/no")
        assert said.status != 0, said.out
        assert not list(self.rig.folder.glob("no*"))
        return said


@pytest.fixture
def site() -> t.Iterator[Site]:
    with walg_rig() as rig:
        rig.segment()
        yield Site(rig)


def moment_of(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.slow
def test_windows_and_points_on_one_timeline(site: Site) -> None:
    before, _rows = site.moment()
    first = site.rig.backup()
    site.rig.segment()
    middle = site.moment()
    position = str(site.rig.server.query("SELECT pg_current_wal_lsn()")[0][0])
    site.rig.segment()
    second = site.rig.backup()
    site.rig.segment()
    end = site.count()
    last_commit = str(site.rig.server.query("SELECT max(at) FROM ledger")[0][0])
    later, _rows = site.moment()
    site.rig.server.query("INSERT INTO ledger DEFAULT VALUES")  # not archived

    (window,) = site.windows()["windows"]
    assert window["bases"] == [first, second]
    assert moment_of(before) < moment_of(window["begins"]) < moment_of(middle[0]) < moment_of(window["ends"])
    # What was committed last is the end, to the microsecond; it is claimed for nothing that was written later.
    assert abs(moment_of(window["ends"]) - moment_of(last_commit)) < datetime.timedelta(seconds=1)
    assert moment_of(window["ends"]) <= moment_of(later)

    restored = site.recover("--to-time", middle[0], expected=middle[1])
    assert restored["backup"]["id"] == first
    site.recover("--to-lsn", position, expected=middle[1])
    latest = site.recover("--latest", expected=end)
    assert latest["content"]["recovery"]["new_timeline"] == 2

    for outside, reason in ((before, "first base backup"), (later, "behind the end")):
        refused = site.refuse("--to-time", outside)
        assert "[recovery.target_unreachable]" in refused.err
        assert reason in refused.err


@pytest.mark.slow
def test_a_hole_ends_the_window_and_is_named(site: Site) -> None:
    site.rig.backup()
    names = [site.rig.segment() for _number in range(3)]
    whole = site.windows()
    assert not whole["gaps"]
    hole, away = site.rig.storage / "wal_005" / f"{names[1]}.lz4", site.rig.folder / "hole"
    hole.rename(away)
    broken = site.windows()
    assert any(names[1] in gap["reason"] for gap in broken["gaps"])
    assert broken["windows"][0]["ends"] < whole["windows"][0]["ends"]
    assert names[1] in site.refuse("--latest").err


@pytest.mark.slow
def test_across_a_promotion_each_timeline_has_its_window(site: Site) -> None:
    site.rig.backup()
    site.rig.segment()
    before = site.moment()
    site.rig.segment()
    site.rig.promote_elsewhere()
    site.rig.segment()
    on_the_new_one = site.moment()
    site.rig.segment()
    end = site.count()
    found = site.windows()
    assert {window["first"].partition("/")[0] for window in found["windows"]} == {"1", "2"}
    site.recover("--to-time", before[0], expected=before[1])
    site.recover("--to-time", on_the_new_one[0], expected=on_the_new_one[1])
    latest = site.recover("--latest", expected=end)
    assert latest["content"]["recovery"]["followed_timeline"] == 2
    assert latest["content"]["recovery"]["new_timeline"] == 3


@pytest.mark.slow
def test_what_was_abandoned_is_told_from_what_goes_on(site: Site) -> None:
    """A recovery into the past, from where another cluster goes on: at each moment the one that lived then counts."""
    site.rig.backup()
    site.rig.segment()
    past = site.moment()
    site.rig.segment()
    abandoned = site.moment()
    site.rig.segment()
    cluster = site.continue_elsewhere(past[0])
    try:
        for _number in range(2):
            cluster.query("INSERT INTO ledger SELECT FROM generate_series(1, 100)")
            name = cluster.query("SELECT pg_walfile_name(pg_switch_wal())")
            wait_for((site.rig.storage / "wal_005" / f"{name}.lz4").exists)
            elsewhere = cluster.query(_NOW), int(cluster.query("SELECT count(*) FROM ledger"))
        cluster.query("INSERT INTO ledger DEFAULT VALUES")
        name = cluster.query("SELECT pg_walfile_name(pg_switch_wal())")
        wait_for((site.rig.storage / "wal_005" / f"{name}.lz4").exists)
        # It was promoted before it archived, so its history is given by hand, as docs/runbooks/walg.md says.
        assert any("00000002.history" in warning for warning in site.windows()["warnings"])
        site.rig.run("wal-push", str(cluster.data / "pg_wal" / "00000002.history"))
    finally:
        cluster.stop()
    site.recover("--to-time", abandoned[0], expected=abandoned[1])
    site.recover("--to-time", elsewhere[0], expected=elsewhere[1])
    site.recover("--latest", expected=elsewhere[1] + 1)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["--resume", "--roll-back"])
def test_a_recovery_that_dies_is_gone_on_with_or_put_back(site: Site, way: str) -> None:
    first = site.rig.content(site.rig.backup())["wal"]["first"]
    for _number in range(6):
        site.rig.segment()
    end = site.count()
    # The fault: when the replay asks for its first segment, lifeboat is killed.
    seen, slow = site.rig.folder / "answers" / "asked", site.rig.folder / "slow-wal-g"
    seen.parent.mkdir()
    own(seen.parent)
    slow.write_text(
        f"#!/bin/sh\ncase $* in *wal-fetch\\ {first}*)\n"
        f'test -e {seen} || {{ touch {seen}; sleep 5; }};;\nesac\nexec {site.rig.program} "$@"\n'
    )
    slow.chmod(0o755)
    data, port = site.rig.folder / "died", free_port()
    place = ("-o", f"data_directory={data}", "-o", f"port={port}", "-o", "start=true", "-o", f"walg.program={slow}")
    words = ["--config", str(site.ask.configuration), "recover", "shop/main", "--latest", "--quiet", *place]
    child = subprocess.Popen([sys.executable, "-m", ENGINE, *words], env=environment(), start_new_session=True)
    try:
        wait_for(seen.exists, seconds=60)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    (died,) = site.ask("restore --unfinished --json").ended(1).document["unfinished"]
    site.ask(f"restore {way} {died['id']} --quiet").succeeded()
    cluster = Cluster(data=data, port=port, bin_directory=str(site.rig.server.bin_directory))
    if way == "--resume":
        try:
            assert cluster.query("SELECT count(*) FROM ledger") == str(end)
        finally:
            cluster.stop()
    else:
        assert not list(site.rig.folder.glob("died*"))
    assert site.ask("restore --unfinished").succeeded().out == "No restore is unfinished.\n"


def test_a_storage_that_gives_no_answer_is_said_and_claims_nothing(site: Site) -> None:
    site.rig.backup()
    site.rig.segment()
    assert site.windows()["windows"]
    site.rig.storage.rename(site.rig.folder / "away")
    try:
        found = site.windows()
        assert found["windows"] == []
        assert any("wal-g" in warning for warning in found["warnings"])
    finally:
        (site.rig.folder / "away").rename(site.rig.storage)
