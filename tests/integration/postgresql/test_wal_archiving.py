# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server archives into a spool: under load, through deaths, full disks and strangers, nothing is lost or mixed.

Faults are injected by programs of the same name in front on the server's PATH, and by a small file system in memory.
"""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PostgresArchivingOff,
    PostgresForeignCluster,
    StreamSegmentRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    read_spool_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import segments_between
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.rig import SECRET, client_environment
from tests.integration.postgresql.wal_rig import MIB, Archive, archiving, own, with_events

SIZE = 16 * MIB


@pytest.fixture
def archive(distribution_server: PostgreSQLServer) -> t.Iterator[Archive]:
    with archiving(distribution_server) as made:
        yield made


def pgbench(server: PostgreSQLServer, *arguments: str) -> None:
    program = server.program("pgbench")
    if not program.exists():
        program = Path(shutil.which("pgbench") or "/usr/lib/postgresql/15/bin/pgbench")
    done = subprocess.run(
        [program, *arguments],
        env=client_environment(server),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def commits_by_waldump(server: PostgreSQLServer, path: Path) -> list[datetime.datetime]:
    """What PostgreSQL's own reader finds: times of the commits in one segment."""
    done = subprocess.run(
        [server.program("pg_waldump"), "--rmgr=Transaction", path],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,  # it ends with 1 where the segment's last record goes on in the next one
    )
    found = re.findall(r"desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC", done.stdout)
    return [datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=datetime.UTC) for text in found]


@pytest.mark.slow
def test_under_load_everything_arrives_and_is_known_for_what_it_is(server: PostgreSQLServer) -> None:
    with archiving(server) as archive:
        server.query("DROP DATABASE IF EXISTS bench")
        server.query("CREATE DATABASE bench")
        first = archive.segments(1)[0]
        pgbench(server, "--initialize", "--quiet", "--scale=4", "bench")
        pgbench(server, "--client=4", "--time=3", "--no-vacuum", "bench")
        last = archive.segments(1)[0]
        archive.wait_for(last)
        server.query("DROP DATABASE bench")

        source = archive.source()
        assert source.inspect().lineage == archive.identifier
        names = [name for name in archive.names() if first <= name <= last]
        assert names == list(segments_between(first, last, segment_size=SIZE))
        stored = archive.stored(source, names=names)
        assert len(names) >= 4
        for before, after in zip(stored.segments, stored.segments[1:], strict=False):
            assert source.follows(before.segment, after.segment)
            assert after.segment.description.begins == before.segment.description.ends
        for one in stored.segments:
            facts = one.segment.facts
            assert facts["server_major"] == server.version
            path = archive.spool_folder / one.segment.name
            commits = commits_by_waldump(server, path)
            expected = (
                [commit.isoformat().replace("+00:00", "Z") for commit in (commits[0], commits[-1])] if commits else []
            )
            if facts["commits_complete"]:
                assert [facts["first_commit"], facts["last_commit"]] == (expected or [None, None])
            ends = one.segment.description.ends
            assert ends is not None
            assert not commits or commits[-1] <= ends
        assert any(one.segment.facts["last_commit"] for one in stored.segments)
        assert archive.hidden() == [".settings"]


def test_a_script_that_is_killed_loses_nothing_and_the_archiver_comes_back(archive: Archive) -> None:
    # It dies once, between the copy and the name. PostgreSQL starts its archiver again after ten seconds, no sooner.
    shims = archive.folder / "shims"
    shims.mkdir()
    once = shims / "once"
    once.touch()
    once.chmod(0o666)
    real = shutil.which("dd")
    (shims / "dd").write_text(
        f'#!/bin/sh\n[ -s {once} ] && exec {real} "$@"\necho >{once}; {real} "$@"; kill -9 $PPID\n'
    )
    (shims / "dd").chmod(0o755)
    pid = archive.server.pid
    archive.use(f"PATH={shims}:$PATH {archive.script} {archive.spool_folder} %p %f")
    names = archive.segments(3)
    archive.until(lambda: once.stat().st_size > 0, "death")
    archive.wait_for(names[-1])
    assert [name for name in archive.names() if name in names] == names
    assert archive.hidden() == [".settings"]
    assert re.search(r"FATAL:  archive command (?:failed with exit code 137|was terminated by signal 9)", archive.log())
    assert archive.server.pid == pid
    source = archive.source()
    source.inspect()
    assert len(archive.stored(source).segments) >= 3


def test_another_cluster_can_t_write_into_this_archive(archive: Archive, server_18: PostgreSQLServer) -> None:
    before = archive.names()
    with archiving(server_18, begin=False) as stranger:
        stranger.use(f"{archive.script} {archive.spool_folder} %p %f")
        failures = stranger.failures()
        stranger.segments(1)
        stranger.until(lambda: stranger.failures() > failures, "refusal")
        assert "[foreign-cluster]" in stranger.log()
    assert archive.names() == before


def test_a_full_spool_holds_the_wal_back_and_loses_none(archive: Archive) -> None:
    archive.tell(budget_mib=3 * 16)
    names = archive.segments(6)
    archive.wait_until_failing()
    assert "[budget]" in archive.log()
    waiting = archive.names()
    assert len([name for name in waiting if len(name) == 24]) == 3
    inspection = archive.source().inspect()
    assert inspection.facts["is_failing"] is True
    assert inspection.facts["ready_count"] >= 3
    assert inspection.facts["lag_bytes"] >= 6 * SIZE
    assert "archiver-failing" in inspection.facts["warnings"]

    drained: list[str] = []

    def drain() -> bool:
        for name in archive.names():
            drained.append(name)
            archive.spool.remove([name])
        archive.wake()
        return names[-1] in drained

    archive.until(drain, "end of draining")
    assert [name for name in drained if name in names] == names
    assert drained == sorted(drained)
    archive.until(lambda: not archive.source().inspect().facts["is_failing"], "recovery of the archiver")


@pytest.fixture
def small_disk(archive: Archive) -> t.Iterator[Path]:
    """The spool on a file system with room for two segments and a half."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    for path in archive.spool_folder.iterdir():
        path.unlink()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "tmpfs", archive.spool_folder],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        own(archive.spool_folder)
        archive.tell()
        yield archive.spool_folder
    finally:
        archive.use("/bin/true")
        subprocess.run(["umount", "--lazy", archive.spool_folder], check=True, timeout=30)


def test_a_disk_that_is_full_leaves_nothing_half(archive: Archive, small_disk: Path) -> None:
    names = archive.segments(4)
    archive.wait_until_failing()
    assert "[no-space]" in archive.log()
    archive.until(lambda: archive.hidden() == [".settings"], "clean spool")
    assert all((small_disk / name).stat().st_size == SIZE for name in archive.names())
    drained: list[str] = []

    def drain() -> bool:
        drained.extend(archive.names())
        archive.spool.remove(archive.names())
        archive.wake()
        return names[-1] in drained

    archive.until(drain, "end of draining")
    assert [name for name in drained if name in names] == names


# --- the stream source ------------------------------------------------------------------------------------------------


def test_the_first_look_ties_the_spool_to_the_cluster(distribution_server: PostgreSQLServer) -> None:
    with archiving(distribution_server, begin=False) as archive:
        archive.use()
        names = archive.segments(1)
        archive.wait_until_failing()
        assert "[settings]" in archive.log()
        source = archive.source()
        inspection = source.inspect()
        assert inspection.lineage == archive.identifier
        source.capture(spool=archive.spool, stored=None, progress=archive.progress())
        archive.wake()
        archive.wait_for(names[0])
        settings = read_spool_settings(str(archive.spool_folder))
        assert settings is not None
        assert (settings.system_identifier, settings.budget_mib) == (archive.identifier, archive.budget_mib)


def test_a_spool_of_another_cluster_is_refused_by_name(archive: Archive) -> None:
    archive.tell(identifier="42")
    with pytest.raises(PostgresForeignCluster, match="takes the WAL of 42"):
        archive.source().inspect()


def test_health_says_what_is_set_and_what_lags(archive: Archive) -> None:
    (name,) = archive.segments(1)
    archive.wait_for(name)
    inspection = archive.source(archive_timeout=datetime.timedelta(seconds=60)).inspect()
    facts = inspection.facts
    assert facts["archive_mode"] == "on"
    assert facts["warnings"] == ["archive-timeout-long"]
    assert "archive_timeout = '60s'" in inspection.warnings[0]
    assert facts["segment_size"] == SIZE
    assert facts["oldest_unshipped"] in archive.names()
    assert SIZE <= facts["lag_bytes"] <= (len(archive.names()) + 1) * SIZE
    assert facts["spooled_bytes"] == sum(entry.size for entry in archive.spool.entries())


def test_what_was_lost_from_the_spool_comes_from_pg_wal_again(archive: Archive) -> None:
    names = archive.segments(5)
    archive.wait_for(names[-1])
    source = archive.source()
    source.inspect()
    kept = {name: (archive.spool_folder / name).read_bytes() for name in names}
    times = {name: (archive.spool_folder / name).stat().st_mtime for name in names}
    stored = archive.stored(source, names=names[:2])
    # The first two are stored; the third is lost in between, and the last one behind.
    archive.spool.remove([*names[:3], names[4]])
    capture = source.capture(spool=archive.spool, stored=stored, progress=archive.progress())
    assert (capture.files, capture.events, capture.warnings) == (2, (), ())
    for name in (names[2], names[4]):
        path = archive.spool_folder / name
        assert path.read_bytes() == kept[name]
        assert path.stat().st_mtime == times[name]
        assert path.stat().st_uid == archive.spool_folder.stat().st_uid
    again = source.capture(spool=archive.spool, stored=stored, progress=archive.progress())
    assert (again.files, again.events) == (0, ())
    # The server may come with them once more: they are the same.
    refusals = archive.failures()
    for name in (names[2], names[4]):
        status = archive.server.data_directory / "pg_wal" / "archive_status"
        (status / f"{name}.done").rename(status / f"{name}.ready")
    (fresh,) = archive.segments(1)
    archive.wait_for(fresh)
    assert archive.failures() == refusals


def test_a_hole_that_can_t_be_mended_is_a_break_once(archive: Archive) -> None:
    names = archive.segments(4)
    archive.wait_for(names[-1])
    source = archive.source()
    source.inspect()
    stored = archive.stored(source, names=names[:1])
    archive.spool.remove(names[:3])
    # pg_wal has one of the two; the other one was taken for something else.
    wal = archive.server.data_directory / "pg_wal"
    (wal / names[1]).unlink()
    capture = source.capture(spool=archive.spool, stored=stored, progress=archive.progress())
    assert capture.files == 1
    assert [event.what for event in capture.events] == ["break", "full-backup-needed"]
    assert capture.events[0].facts["first"] == capture.events[0].facts["last"] == names[1]
    assert "pg_wal does not have it any more" in capture.warnings[0]
    assert len(capture.warnings) == 2
    again = source.capture(spool=archive.spool, stored=with_events(stored, capture.events), progress=archive.progress())
    assert (again.files, again.events, again.warnings) == (0, (), ())


def test_damage_in_pg_wal_is_never_spooled_as_a_repair(archive: Archive) -> None:
    names = archive.segments(3)
    archive.wait_for(names[-1])
    source = archive.source()
    source.inspect()
    stored = archive.stored(source, names=names[:1])
    archive.spool.remove(names[:2])
    (archive.server.data_directory / "pg_wal" / names[1]).write_bytes(bytes(SIZE))
    capture = source.capture(spool=archive.spool, stored=stored, progress=archive.progress())
    assert capture.files == 0
    assert "begins with zeros" in capture.warnings[0]
    assert names[1] not in archive.names()
    assert archive.hidden() == [".settings"]


def test_a_zeroed_segment_in_the_spool_is_never_described(archive: Archive) -> None:
    (name,) = archive.segments(1)
    archive.wait_for(name)
    path = archive.spool_folder / name
    good = path.read_bytes()
    source = archive.source()
    source.inspect()
    for damage in (bytes(SIZE), good[: SIZE // 2], good[:8192] + bytes(SIZE - 8192)):
        path.write_bytes(damage)
        (entry,) = [one for one in archive.spool.entries() if one.name == name]
        if damage == good:  # a segment with so little in it that its first page is all there is
            continue
        with pytest.raises(StreamSegmentRefused):
            source.describe(entry)


def test_an_archive_mode_that_is_off_or_waits_for_a_restart_is_refused_by_name() -> None:
    with PostgreSQLServer(archiving=False, password=SECRET) as server, archiving(server, begin=False) as archive:
        archive.use()
        with pytest.raises(PostgresArchivingOff) as refused:
            archive.source().inspect()
        assert refused.value.details["warning"] == "archiving-off"
        server.query("ALTER SYSTEM SET archive_mode = on")
        with pytest.raises(PostgresArchivingOff, match="until it is restarted") as refused:
            archive.source().inspect()
        assert refused.value.details["warning"] == "restart-needed"
        # What waits is shipped all the same.
        (archive.spool_folder / "000000010000000000000001").touch()
        inspection = archive.source().inspect()
        assert inspection.facts["warnings"] == ["restart-needed"]
        assert inspection.facts["archive_mode_after_restart"] == "on"


def test_a_promotion_is_recorded_with_its_history() -> None:
    with PostgreSQLServer(password=SECRET) as primary, archiving(primary) as archive:
        (first,) = archive.segments(1)
        archive.wait_for(first)
        standby = PostgreSQLServer.standby_of(primary, settings={"archive_mode": "always"})
        with standby, archiving(standby, begin=False) as successor:
            archive.until(
                lambda: primary.query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [(1,)],
                "streaming standby",
            )
            # The standby takes over the archive of its primary.
            archive.server.query("ALTER SYSTEM SET archive_command = '/bin/true'")
            archive.wake()
            successor.use(f"{archive.script} {archive.spool_folder} %p %f")
            standby.query("SELECT pg_promote(true, 30)")
            (name,) = successor.segments(1)
            archive.until(lambda: name in archive.names(), "first segment of the new timeline")
            assert "00000002.history" in archive.names()
            source = Archive(server=standby, folder=archive.folder).source()
            assert source.inspect().facts["timeline"] == 2
            stored = archive.stored(source)
            capture = source.capture(spool=archive.spool, stored=stored, progress=archive.progress())
            assert [event.what for event in capture.events] == ["new-timeline", "full-backup-needed"]
            assert capture.events[0].facts["parent"] == 1
            assert capture.warnings == ()
            history = next(one.segment for one in stored.segments if one.segment.name == "00000002.history")
            assert history.facts["history"] == [[1, capture.events[0].facts["lsn"]]]
            ordered = sorted((one.segment for one in stored.segments), key=lambda one: source.order(one.name))
            assert ordered[-1].name == name
