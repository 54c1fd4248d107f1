# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters with tablespaces of their own: backed up in one piece, proved, brought back beside and in place."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.physical import Physical, failed, make_key, physical
from tests.integration.postgresql.restoring import Cluster, Restoring
from tests.integration.postgresql.rig import RestoredCluster, base_producer
from tests.integration.postgresql.tablespaced import ANSWER, NAME, NAMES, QUESTION, ROWS, owned, tablespaces
from tests.support import resealing

pytestmark = pytest.mark.slow
STEPS = ("unpack", "verify", "prepare", "stop", "tablespaces", "swap", "start")


@pytest.fixture
def spaced(distribution_server: PostgreSQLServer) -> t.Iterator[tuple[Physical, str, dict[str, Path]]]:
    """A repository with one backup of a cluster with two tablespaces, and the folders of these."""
    with tablespaces(distribution_server) as places, physical(distribution_server) as rig:
        owned(rig.folder / "clusters")
        yield rig, rig.backup(), places


@pytest.fixture
def running(spaced: tuple[Physical, str, dict[str, Path]]) -> t.Iterator[tuple[Physical, str, Cluster]]:
    """A copy with tablespaces of its own that runs where the backup is to be restored, with data of its own."""
    rig, backup_id, _places = spaced
    cluster = Cluster(
        data=rig.folder / "clusters" / "main", port=free_port(), bin_directory=str(rig.server.bin_directory)
    )
    first = beside(rig, backup_id, cluster, start=True)
    first.restore_id = "20261120T030000Z-000000"
    first.run()
    try:
        cluster.query("CREATE TABLE old TABLESPACE fast AS SELECT 1 AS one", database=NAME)
        yield rig, backup_id, cluster
    finally:
        cluster.stop()


def beside(rig: Physical, backup_id: str, cluster: Cluster, **options: t.Any) -> Restoring:
    options.setdefault("tablespace_directory", str(rig.folder / "clusters" / "spaces"))
    return Restoring.of(rig, backup_id, data_directory=str(cluster.data), port=cluster.port, **options)


def in_place(rig: Physical, backup_id: str, cluster: Cluster, **options: t.Any) -> Restoring:
    etc = rig.folder / "cluster.d"
    etc.mkdir(exist_ok=True)
    (etc / "postgresql.conf").write_text(
        f"port = {cluster.port}\nlisten_addresses = ''\nunix_socket_directories = '{cluster.data}'\n"
    )
    (etc / "pg_hba.conf").write_text("local all all trust\n")
    return Restoring.of(
        rig,
        backup_id,
        data_directory=str(cluster.data),
        in_place=True,
        service_control=cluster.service_control,
        start_timeout=60,
        config_directory=str(etc),
        # The backup is of another place than the copy that is replaced here.
        tablespace_directory=str(rig.folder / "clusters" / "spaces"),
        **options,
    )


def operator(command: str) -> None:
    subprocess.run(shlex.split(command), check=True, capture_output=True, timeout=60)


def inside(folder: Path) -> list[str]:
    """Every name below a folder, down to the folders of databases."""
    return sorted(str(path.relative_to(folder)) for depth in ("*", "*/*") for path in folder.glob(depth))


def files_of(places: t.Mapping[str, Path]) -> dict[str, int]:
    """Every file in the source's tablespaces, with the time of its last change."""
    return {
        str(path): path.stat().st_mtime_ns for place in places.values() for path in sorted(place.rglob("*")) if path
    }


def test_one_payload_for_each(server: PostgreSQLServer) -> None:
    with tablespaces(server) as places, physical(server) as rig:
        source = rig.source(rig.backup())
        noted = {one["name"]: one for one in source.manifest.content["tablespaces"]}
        assert set(noted) == {"pg_default", "pg_global", *NAMES}
        assert "payload" not in noted["pg_default"]
        for name, place in places.items():
            assert noted[name]["location"] == str(place)
            assert noted[name]["payload"] == f"{noted[name]['oid']}.tar"
            assert noted[name]["size"] > 1_000_000
        wanted = {*(noted[name]["payload"] for name in NAMES), "base.tar"}
        assert set(source.names) - {"backup_manifest"} == wanted
        assert source.manifest.content["tool"]["name"] == "lifeboat"
        assert source.manifest.content["wal"]["held_by_slot"] is True


def test_it_is_proved_up_to_level_4(server: PostgreSQLServer, tmp_path: Path) -> None:
    recipient, identity = make_key(tmp_path)
    with tablespaces(server) as places, physical(server, recipients=(recipient,), identity=identity) as rig:
        backup_id = rig.backup()
        checks = rig.listing(backup_id)
        assert not failed(checks)
        assert checks["tablespaces"].state == "passed"
        before = files_of(places)
        with rig.alive(backup_id) as instance:
            checks = {check.name: check for check in instance.compare()}
            assert not failed(checks)
            assert checks["page checksums"].state == "passed"
        assert files_of(places) == before


def test_level_2_finds_a_changed_tablespace(spaced: tuple[Physical, str, dict[str, Path]]) -> None:
    rig, backup_id, _places = spaced
    source = rig.source(backup_id)
    oid = next(one["oid"] for one in source.manifest.content["tablespaces"] if one["name"] == "fast")
    place = rig.place(backup_id)
    other = next(name for name in source.names if name not in (f"{oid}.tar", "base.tar"))
    # As somebody would who can write to the repository: another tablespace's data under this one's name.
    plain = resealing.plain_bytes(rig.repository, place, other)
    resealing.replace_payload(rig.repository, place, f"{oid}.tar", plain)
    checks = rig.listing(backup_id)
    assert "is missing" in failed(checks)["files against backup_manifest"]


def test_an_increment_with_its_chain(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    recipient, identity = make_key(tmp_path)
    with tablespaces(server_18) as places, physical(server_18, recipients=(recipient,), identity=identity) as rig:
        full = rig.backup()
        server_18.query("UPDATE wide SET t = t || '!' WHERE n % 100 = 0", database=NAME)
        rig.backup("incremental")
        later = owned(places["fast"].parent / "later")
        server_18.query(f"CREATE TABLESPACE later LOCATION '{later}'")
        try:
            server_18.query("CREATE TABLE new TABLESPACE later AS SELECT 7 AS answer", database=NAME)
            last = rig.backup("incremental")
            sizes = {one.name: one.size for one in rig.source(last).manifest.payloads}
            whole = {one.name: one.size for one in rig.source(full).manifest.payloads}
            assert all(sizes[name] < whole[name] for name in sizes if name in whole and name[0].isdigit())
            assert not failed(rig.listing(last))
            with rig.alive(last) as instance:
                assert not failed({check.name: check for check in instance.compare()})
            owned(rig.folder / "clusters")
            cluster = Cluster(
                data=rig.folder / "clusters" / "copy", port=free_port(), bin_directory=str(server_18.bin_directory)
            )
            restoring = beside(rig, last, cluster, start=True, tablespace_map={"later": str(rig.folder / "a=b")})
            (rig.folder / "clusters").parent.chmod(0o755)
            owned(rig.folder / "a=b")
            restoring.run()
            try:
                assert cluster.query("SELECT count(*) FROM wide WHERE t LIKE '%!'", database=NAME) == str(ROWS // 100)
                assert cluster.query("SELECT answer FROM new", database=NAME) == "7"
                assert cluster.query("SELECT count(DISTINCT pg_tablespace_location(oid)) FROM pg_tablespace") == "4"
            finally:
                cluster.stop()
        finally:
            server_18.query("DROP TABLE IF EXISTS new", database=NAME)
            server_18.query("DROP TABLESPACE later")


def test_beside_its_source(spaced: tuple[Physical, str, dict[str, Path]]) -> None:
    rig, backup_id, places = spaced
    data = rig.folder / "clusters" / "copy"
    cluster = Cluster(data=data, port=free_port(), bin_directory=str(rig.server.bin_directory))
    before = files_of(places)
    restoring = beside(rig, backup_id, cluster, start=True, tablespace_map={"fast": str(rig.folder / "clusters/quick")})
    plan = restoring.inspect()
    noted = {one["name"]: one for one in plan.facts["tablespaces"]}
    assert noted["fast"]["place"] == str(rig.folder / "clusters/quick")
    assert noted["fast"]["was"] == str(places["fast"])
    assert 1_000_000 < noted["fast"]["needed_bytes"] < noted["fast"]["free_bytes"]
    assert inside(rig.folder / "clusters") == []
    restoration = restoring.run()
    try:
        assert cluster.query(QUESTION, database=NAME) == ANSWER
        # Only the new folders: what the copy writes goes there, and the source's stay as they were.
        cluster.query("UPDATE wide SET t = 'new'; CHECKPOINT", database=NAME)
        assert cluster.query("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'") == str(
            rig.folder / "clusters/quick"
        )
        assert files_of(places) == before
        assert not (data / "tablespace_map").exists()
        assert restoration.content["checked_by"] == "pg_verifybackup"
        assert sorted(path.name for path in (rig.folder / "clusters").iterdir()) == ["copy", "quick", "spaces"]
        for place in (rig.folder / "clusters/quick", *(rig.folder / "clusters/spaces").iterdir()):
            assert [path.name[:6] for path in place.iterdir()] == ["PG_15_"]
    finally:
        cluster.stop()


def test_a_copy_without_a_map_is_refused(spaced: tuple[Physical, str, dict[str, Path]]) -> None:
    rig, backup_id, places = spaced
    data = rig.folder / "clusters" / "copy"
    cluster = Cluster(data=data, port=free_port(), bin_directory=str(rig.server.bin_directory))

    def refusal(kind: type[errors.LifeboatError], **options: t.Any) -> errors.LifeboatError:
        with pytest.raises(kind) as caught:
            beside(rig, backup_id, cluster, **options).inspect()
        assert inside(rig.folder / "clusters") == []
        return caught.value

    nothing = {"tablespace_directory": None}
    error = refusal(errors.PostgresTablespaceUnmapped, **nothing)
    assert "-o tablespace_directory=" in error.hint
    error = refusal(errors.PostgresTablespaceUnmapped, **nothing, tablespace_map={"fast": "/srv/fast"})
    assert "bulk disk: /NEW/FOLDER" in error.hint
    assert "nobody" in refusal(errors.RequestInvalid, tablespace_map={"nobody": "/srv/fast"}).message
    refusal(errors.RequestInvalid, tablespace_map={"fast": "srv/fast"})
    # Production's own folder, a folder in the data folder, one for both, one that nobody can make.
    assert "not empty" in refusal(errors.RestoreTargetInvalid, tablespace_map={"fast": str(places["fast"])}).message
    refusal(errors.RestoreTargetInvalid, tablespace_map={"fast": str(data / "fast")})
    refusal(errors.RestoreTargetInvalid, tablespace_map=dict.fromkeys(NAMES, str(rig.folder / "clusters/one")))
    refusal(errors.RestoreTargetInvalid, tablespace_map={"fast": str(rig.folder / "no" / "where")})
    (rig.folder / "closed").mkdir(mode=0o700)
    if os.geteuid() == 0:
        refusal(errors.RestoreTargetInvalid, tablespace_map={"fast": str(rig.folder / "closed")})


def test_what_fails_leaves_no_folder(spaced: tuple[Physical, str, dict[str, Path]]) -> None:
    rig, backup_id, _places = spaced
    cluster = Cluster(
        data=rig.folder / "clusters" / "copy", port=free_port(), bin_directory=str(rig.server.bin_directory)
    )
    empty = owned(rig.folder / "clusters" / "empty")
    for step in ("verify", "tablespaces", "place"):
        restoring = beside(rig, backup_id, cluster, tablespace_map={"fast": str(empty)})

        def fail(_facts: t.Any) -> t.NoReturn:
            raise OSError("the disk is gone")

        steps = [replace(one, do=_then(one.do, fail)) if one.name == step else one for one in restoring.steps()]
        with pytest.raises(errors.RestoreError, match="the disk is gone"):
            restoring.run(steps=steps)
        assert inside(rig.folder / "clusters") == ["empty"]
        shutil.rmtree(rig.folder / "state" / "restores", ignore_errors=True)


def _then(first: t.Callable[[t.Any], t.Any], second: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any], t.Any]:
    def both(facts: t.Any) -> t.Any:
        first(facts)
        return second(facts)

    return both


def test_in_place_the_old_ones_go_aside(running: tuple[Physical, str, Cluster]) -> None:
    rig, backup_id, cluster = running
    restoring = in_place(rig, backup_id, cluster)
    plan = restoring.inspect()
    assert len(plan.moves) == 3
    restoration = restoring.run()
    assert cluster.query(QUESTION, database=NAME) == ANSWER
    assert cluster.query("SELECT to_regclass('old') IS NULL", database=NAME) == "t"
    assert len(restoration.aside) == 3
    # What was moved aside is a whole cluster still, and its own: it starts, and has what only it had.
    cluster.stop()
    aside = Cluster(data=Path(restoration.aside[0]), port=cluster.port, bin_directory=cluster.bin_directory)
    operator(aside.service_control["start_command"])
    try:
        # Its socket is where it was before, in the folder that is the new one's now.
        assert cluster.query("SELECT one FROM old", database=NAME) == "1"
        assert cluster.query("SHOW data_directory") == str(aside.data)
    finally:
        aside.stop()
    assert set(restoring.discard()) == set(restoration.aside)
    assert not [name for name in inside(rig.folder / "clusters") if "before-" in name]
    operator(cluster.service_control["start_command"])
    assert cluster.query(QUESTION, database=NAME) == ANSWER


@pytest.mark.parametrize("way", ["resume", "roll back"])
@pytest.mark.parametrize(
    ("step", "moment"), [("tablespaces", "renamed"), ("tablespaces", "after"), ("unpack", "after")]
)
def test_a_death_is_finished_or_taken_back(
    running: tuple[Physical, str, Cluster], step: str, moment: str, way: str
) -> None:
    rig, backup_id, cluster = running
    before = inside(rig.folder / "clusters" / "spaces")
    restoring = in_place(rig, backup_id, cluster)
    restoring.die(step, moment)
    if way == "resume":
        restoring.resume()
        assert cluster.query(QUESTION, database=NAME) == ANSWER
        assert cluster.query("SELECT to_regclass('old') IS NULL", database=NAME) == "t"
        left = [name for name in inside(rig.folder / "clusters" / "spaces") if "restoring-" in name]
        assert left == []
    else:
        restoring.roll_back()
        if not (cluster.data / "postmaster.pid").exists():
            operator(cluster.service_control["start_command"])
        assert cluster.query("SELECT one FROM old", database=NAME) == "1"
        assert cluster.query(QUESTION, database=NAME) == ANSWER
        assert inside(rig.folder / "clusters" / "spaces") == before


def test_by_the_words_of_restore_md(spaced: tuple[Physical, str, dict[str, Path]], tmp_path: Path) -> None:
    rig, _backup_id, places = spaced
    producer, _journal = base_producer(rig.server, state_directory=tmp_path)
    sink = FolderSink(tmp_path / "payloads")
    production = producer.produce(sink=sink, progress=sink.progress)
    before = files_of(places)
    cluster = RestoredCluster(rig.server, folder=tmp_path / "elsewhere")
    try:
        said = cluster.run(production, sink)
        assert any("successfully verified" in one for one in said)
        assert cluster.query(QUESTION, database=NAME) == ANSWER
        assert files_of(places) == before
    finally:
        cluster.stop()


def test_a_tablespace_that_comes_while_the_backup_runs_fails_it(
    spaced: tuple[Physical, str, dict[str, Path]], tmp_path: Path
) -> None:
    rig, _backup_id, places = spaced
    location = owned(places["fast"].parent / "sudden")
    producer, _journal = base_producer(rig.server, state_directory=tmp_path)
    made = []

    def make(_name: str) -> None:
        if not made:
            made.append(rig.server.query(f"CREATE TABLESPACE sudden LOCATION '{location}'"))

    sink = FolderSink(tmp_path / "payloads", on_data=make)
    try:
        with pytest.raises(errors.PostgresTablespaceUnsupported) as caught:
            producer.produce(sink=sink, progress=sink.progress)
        assert "sudden" in caught.value.message
    finally:
        rig.server.query("DROP TABLESPACE sudden")


def test_damaged_pages_in_a_tablespace_fail_the_backup(
    spaced: tuple[Physical, str, dict[str, Path]], tmp_path: Path
) -> None:
    rig, _backup_id, _places = spaced
    rig.server.query("CHECKPOINT")
    ((path,),) = rig.server.query("SELECT pg_relation_filepath('wide')", database=NAME)
    file = rig.server.data_directory / path
    good = file.read_bytes()
    with file.open("r+b") as pages:
        pages.seek(3 * 8192 + 5000)
        pages.write(b"\xff" * 8)
    try:
        producer, _journal = base_producer(rig.server, state_directory=tmp_path)
        sink = FolderSink(tmp_path / "payloads")
        with pytest.raises(errors.PostgresChecksumFailed) as caught:
            producer.produce(sink=sink, progress=sink.progress)
        (page,) = caught.value.details["pages"]
        assert page.startswith("./pg_tblspc/") or page.endswith("block 3")
    finally:
        file.write_bytes(good)


def test_a_server_that_dies_in_the_middle_leaves_no_backup(
    spaced: tuple[Physical, str, dict[str, Path]], tmp_path: Path
) -> None:
    rig, _backup_id, _places = spaced
    producer, _journal = base_producer(rig.server, state_directory=tmp_path)

    def kill(name: str) -> None:
        if name == "base.tar":
            rig.server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE state = 'backup'")

    sink = FolderSink(tmp_path / "payloads", on_data=kill)
    with pytest.raises(errors.PostgresConnectionLost):
        producer.produce(sink=sink, progress=sink.progress)
    assert "base.tar" not in sink.stored


def test_a_sink_that_fails_ends_the_connection(spaced: tuple[Physical, str, dict[str, Path]], tmp_path: Path) -> None:
    rig, _backup_id, _places = spaced
    producer, _journal = base_producer(rig.server, state_directory=tmp_path)

    def full(_name: str) -> None:
        raise errors.RestoreNoSpace("The repository is full.")

    sink = FolderSink(tmp_path / "payloads", on_data=full)
    with pytest.raises(errors.RestoreNoSpace):
        producer.produce(sink=sink, progress=sink.progress)
    assert rig.server.query("SELECT count(*) FROM pg_stat_replication") == [(0,)]
    # Nothing is left that would keep the next one from running.
    sink = FolderSink(tmp_path / "more")
    producer.produce(sink=sink, progress=sink.progress)
    assert "base.tar" in sink.stored
