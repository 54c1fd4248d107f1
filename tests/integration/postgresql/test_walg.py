# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tool: walg with the genuine WAL-G, a real server that archives with it, and a storage of files."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.programs import server_account
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_options import walg_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_program import (
    WalgProgram,
    find_walg,
)
from sandbox.ports import free_port
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.physical import failed
from tests.integration.postgresql.restoring import Cluster, Restoring
from tests.integration.postgresql.rig import BACKUP_ID, RUNNER, SECRET, base_producer, restored_cluster
from tests.integration.postgresql.wal_rig import own
from tests.integration.postgresql.walg_rig import WalgRig, walg_rig

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def rig() -> t.Iterator[WalgRig]:
    with walg_rig() as found:
        found.segment()
        yield found


def program(rig: WalgRig) -> WalgProgram:
    return find_walg(walg_options(rig.options), runner=RUNNER, account=server_account())


@pytest.mark.slow
def test_full_then_deltas_then_a_full_one_again(rig: WalgRig) -> None:
    made = []
    for _number in range(4):
        rig.segment()
        made.append(rig.backup(max_steps=2))
    contents = [rig.content(one) for one in made]
    assert [one["walg"]["delta_count"] for one in contents] == [0, 1, 2, 0]
    first, second = contents[0], contents[1]
    assert first["walg"]["full_because"] == "it is the first one"
    assert contents[3]["walg"]["full_because"] == "the newest backup is the last of 2 steps"
    assert second["walg"]["delta_from"] == second["walg"]["delta_full"] == first["walg"]["backup_name"]
    assert second["tool"] == {"name": "wal-g", "version": "3.0.9"}
    assert second["walg"]["storage"] == str(rig.storage)
    assert second["payload"] == "walg-sentinel.json"
    assert second["start_lsn"].startswith("0/")
    assert second["timeline"] == 1
    assert second["walg"]["compressed_size"] < first["walg"]["compressed_size"]
    # Too old is decided by the full one that the chain begins with.
    rig.backup(max_steps=5)
    assert "older than max_age" in rig.content(rig.backup(max_steps=5, max_age="1s"))["walg"]["full_because"]


def test_no_password_is_in_what_is_stored(rig: WalgRig) -> None:
    rig.backup()
    files = [path for path in rig.physical.repository.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
def test_restored_beside_with_what_was_committed_before(rig: WalgRig) -> None:
    rig.backup(max_steps=3)
    rig.segment()
    rows = rig.server.query("SELECT count(*) FROM ledger")[0][0]
    backup_id = rig.backup(max_steps=3)
    rig.segment()
    data, port = rig.folder / "restored", free_port()
    restoring = Restoring.of(rig.physical, backup_id, data_directory=str(data), port=port, start=True, walg=rig.place)
    look = restoring.inspect()
    assert look.facts["walg"]["storage"] == str(rig.storage)
    assert any("not checked one by one" in warning for warning in look.warnings)
    cluster = Cluster(data=data, port=port, bin_directory=str(rig.server.bin_directory))
    try:
        restored = restoring.run()
        assert cluster.query("SELECT count(*) FROM ledger") == str(rows)
        assert cluster.query("SELECT pg_is_in_recovery()") == "f"
        assert restored.content["system_identifier"] == rig.content(backup_id)["system_identifier"]
        assert not [path for path in data.rglob("*") if path.name.startswith(".walg-")]
    finally:
        restoring.roll_back()
    assert not data.exists()


def count(rig: WalgRig) -> int:
    return int(rig.server.query("SELECT count(*) FROM ledger")[0][0])


@pytest.mark.slow
def test_recovered_to_a_time_and_to_the_end_of_what_is_archived(rig: WalgRig) -> None:
    backup_id = rig.backup()
    rig.segment()
    at_target = count(rig)
    moment = rig.server.query(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    )
    for _number in range(3):
        rig.segment()
    at_end = count(rig)
    assert at_end == at_target + 3
    rig.server.query("INSERT INTO ledger DEFAULT VALUES")  # not archived
    for recover_to, rows in (({"time": moment[0][0]}, at_target), ({"latest": True}, at_end)):
        data, port = rig.folder / "point", free_port()
        restoring = Restoring.of(
            rig.physical,
            backup_id,
            data_directory=str(data),
            port=port,
            start=True,
            walg={**rig.place, "recover_to": recover_to},
        )
        cluster = Cluster(data=data, port=port, bin_directory=str(rig.server.bin_directory))
        try:
            restored = restoring.run()
            assert cluster.query("SELECT count(*) FROM ledger") == str(rows)
            assert cluster.query("SELECT pg_is_in_recovery()") == "f"
            assert restored.content["full_backup_needed"]
            assert restored.content["recovery"]["new_timeline"] > 1
        finally:
            restoring.roll_back()


def test_a_hole_and_a_point_before_the_backup_s_end_are_refused_early(rig: WalgRig) -> None:
    before = rig.server.query("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")[0][0]
    backup_id = rig.backup()
    names = [rig.segment() for _number in range(3)]
    hole, away = rig.storage / "wal_005" / f"{names[1]}.lz4", rig.folder / "hole"

    def look(recover_to: dict[str, t.Any]) -> t.Any:
        walg = {**rig.place, "recover_to": recover_to}
        return Restoring.of(rig.physical, backup_id, data_directory=str(rig.folder / "no"), walg=walg).inspect()

    with pytest.raises(errors.RecoveryTargetUnreachable, match="before the end of this backup"):
        look({"time": before})
    with pytest.raises(errors.RequestInvalid, match="not immediate"):
        look({"immediate": True})
    hole.rename(away)
    try:
        with pytest.raises(errors.WalgArchiveBroken, match=names[1]):
            look({"latest": True})
        lsn = rig.server.query("SELECT pg_current_wal_lsn()")[0][0]
        assert any(names[1] in warning for warning in look({"lsn": lsn}).warnings)
    finally:
        away.rename(hole)
    assert not list(rig.folder.glob("no*"))


@pytest.mark.slow
def test_restored_by_the_words_of_its_restore_md(rig: WalgRig, tmp_path: Path) -> None:
    rig.backup(max_steps=5)
    rig.segment()
    rows = count(rig)
    producer, _journal = base_producer(
        rig.server, state_directory=tmp_path, tool="walg", walg={**rig.options, "max_steps": 5}
    )
    sink = FolderSink(tmp_path / "backup")
    production = producer.produce(sink=sink, progress=sink.progress)
    assert production.content["walg"]["delta_from"]
    with restored_cluster(rig.server, folder=tmp_path / "by-hand") as cluster:
        cluster.environment["PATH"] = f"{Path(rig.program).parent}:{cluster.environment['PATH']}"
        (cluster.folder / "walg.json").write_text(rig.config.read_text(encoding="utf-8"), encoding="utf-8")
        printed = cluster.run(production, sink)
        assert json.loads(printed[0])["UserData"] == {"lifeboat": BACKUP_ID}
        assert "f" in printed[-1].split()
        assert cluster.query("SELECT count(*) FROM ledger") == str(rows)


@pytest.mark.slow
def test_proved_at_level_4_and_listed_at_level_2(rig: WalgRig) -> None:
    backup_id = rig.backup()
    source = rig.physical.source(backup_id)

    def listing() -> dict[str, str]:
        found = rig.physical.verifier(source, walg=rig.place).listing(source=source, progress=rig.physical.progress())
        return {check.name: check.state for check in found}

    passed = {"wal-g's list": "passed", "wal-g's archive": "passed", "files": "skipped"}
    assert listing() == passed
    segment = rig.storage / "wal_005" / f"{source.manifest.content['wal']['first']}.lz4"
    segment.rename(rig.folder / "away")
    assert listing() == {**passed, "wal-g's archive": "failed"}
    (rig.folder / "away").rename(segment)
    with rig.physical.alive(backup_id, walg=rig.place) as instance:
        found = {check.name: check for check in instance.compare()}
        assert not failed(found)
        assert found["page checksums"].state == "passed"
        assert found["position"].state == "passed"


def test_a_backup_that_is_gone_there_is_found_out_before_anything_is_touched(rig: WalgRig) -> None:
    backup_id = rig.backup(max_steps=0)
    name = rig.content(backup_id)["walg"]["backup_name"]
    rig.run("delete", "target", name, "--confirm")
    data = rig.folder / "gone"
    with pytest.raises(errors.WalgBackupMissing, match="is not there"):
        Restoring.of(rig.physical, backup_id, data_directory=str(data), walg=rig.place).inspect()
    assert not list(rig.folder.glob("gone*"))


def test_the_archive_s_end_is_told_from_trouble_and_no_part_is_left(rig: WalgRig, tmp_path: Path) -> None:
    name = rig.segment()
    (stored,) = rig.storage.glob(f"wal_005/{name}.lz4")
    place = tmp_path / "wal"
    place.mkdir()
    own(place)
    walg, clock = program(rig), Impatient()
    target = place / name
    walg.fetch_wal(name, str(target), segment_size=16 * 1024 * 1024, clock=clock)
    assert target.stat().st_size == 16 * 1024 * 1024
    target.unlink()
    with pytest.raises(errors.WalgSegmentMissing):
        walg.fetch_wal("0000000100000000000000FF", str(target), segment_size=None, clock=clock)
    assert not clock.slept
    whole = stored.read_bytes()
    try:
        stored.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(errors.WalgFailed, match="wal-fetch ended with status 1"):
            walg.fetch_wal(name, str(target), segment_size=16 * 1024 * 1024, clock=clock)
        assert len(clock.slept) == 3
        rig.storage.rename(rig.folder / "away")
        with pytest.raises(errors.WalgFailed):
            walg.fetch_wal(name, str(target), segment_size=16 * 1024 * 1024, clock=clock)
    finally:
        if (rig.folder / "away").exists():
            (rig.folder / "away").rename(rig.storage)
        stored.write_bytes(whole)
    assert list(place.iterdir()) == []


def test_a_hole_in_the_archive_is_no_backup(rig: WalgRig) -> None:
    backup_id = rig.backup()
    name = rig.content(backup_id)["walg"]["backup_name"]
    hole = rig.segment()
    for _number in range(4):
        rig.segment()
    (stored,) = rig.storage.glob(f"wal_005/{hole}.lz4")
    environment = {"PGHOST": "127.0.0.1", "PGPORT": str(rig.server.port), "PGUSER": "postgres", "PGPASSWORD": SECRET}
    walg = find_walg(walg_options(rig.options), runner=RUNNER, account=server_account(), environment=environment)
    assert walg.archive(name).is_whole
    away = rig.folder / "hole"
    stored.rename(away)
    try:
        # Its exit status says nothing: the call does not raise.
        state = walg.archive(name)
        assert not state.is_whole
        assert not state.may_become_whole
        assert state.missing == ((hole, hole, "MISSING_LOST"),)
    finally:
        away.rename(stored)


@pytest.mark.slow
def test_wal_that_never_arrives_fails_the_backup(rig: WalgRig) -> None:
    def manifests() -> list[Path]:
        return sorted(rig.physical.repository.rglob("manifest.json"))

    rig.backup()
    before = manifests()
    assert before
    archive = rig.server.query("SHOW archive_command")[0][0]
    rig.server.query("ALTER SYSTEM SET archive_command = 'true'")
    rig.server.query("SELECT pg_reload_conf()")
    rig.forgotten_segment()
    try:
        with pytest.raises(errors.WalgArchiveBroken, match="MISSING"):
            rig.backup(archive_wait=0)
    finally:
        rig.server.query("ALTER SYSTEM SET archive_command = '" + archive.replace("'", "''") + "'")
        rig.server.query("SELECT pg_reload_conf()")
    assert manifests() == before
    rig.segment()
    rig.backup()
    assert len(manifests()) == len(before) + 1


@pytest.mark.slow
def test_damaged_pages_fail_the_backup_and_the_next_is_a_full_one(rig: WalgRig) -> None:
    rig.server.query("CREATE TABLE damaged AS SELECT generate_series(1, 1000) AS number")
    rig.server.query("CHECKPOINT")
    path = rig.server.data_directory / str(rig.server.query("SELECT pg_relation_filepath('damaged')")[0][0])
    with path.open("r+b") as file:
        file.seek(8192 + 4000)
        file.write(b"rust")
    with pytest.raises(errors.PostgresChecksumFailed, match="damaged pages"):
        rig.backup()
    rig.server.query("DROP TABLE damaged")
    rig.server.query("CHECKPOINT")
    assert "holds damaged pages" in rig.content(rig.backup())["walg"]["full_because"]


@pytest.mark.slow
def test_after_a_promotion_the_first_one_is_full(rig: WalgRig) -> None:
    rig.segment()
    rig.backup(max_steps=5)
    rig.promote_elsewhere()
    rig.segment()
    content = rig.content(rig.backup(max_steps=5))
    assert content["timeline"] == 2
    assert content["walg"]["delta_from"] is None
    assert "on timeline 2" in content["walg"]["full_because"]
    rig.segment()
    assert rig.content(rig.backup(max_steps=5))["walg"]["delta_count"] == 1


def test_its_deltas_are_its_own(rig: WalgRig) -> None:
    with pytest.raises(errors.PostgresToolUnavailable, match="kind: incremental"):
        rig.physical.backup(kind="incremental", tool="walg", walg=rig.options)


class Impatient(SystemClock):
    """Waits for nothing, and remembers how long it should have."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
