# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical backups restored beside their source and in place, on real servers; what fails or dies loses nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.steps import Facts, Step
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.postgresql.load import SCRIPT, TOTAL, load
from tests.integration.postgresql.physical import Physical, make_key, physical
from tests.integration.postgresql.restoring import Cluster, Restoring
from tests.integration.postgresql.rig import database, psql
from tests.support import resealing

NAME = "loaded"
STEPS = ("unpack", "verify", "prepare", "stop", "swap", "start")
pytestmark = pytest.mark.slow


def own(folder: Path) -> Path:
    folder.mkdir()
    user = operating_system_user()
    if user is not None:
        shutil.chown(folder, user)
    return folder


@pytest.fixture
def made(distribution_server: PostgreSQLServer) -> t.Iterator[tuple[Physical, str]]:
    """A repository with one backup of a nearly empty cluster, and a folder ``clusters``."""
    with physical(distribution_server) as rig:
        own(rig.folder / "clusters")
        yield rig, rig.backup()


@pytest.fixture
def running(made: tuple[Physical, str]) -> t.Iterator[tuple[Physical, str, Cluster]]:
    """A cluster that runs where the backup is to be restored, with data that the backup does not have."""
    rig, backup_id = made
    cluster = Cluster(
        data=rig.folder / "clusters" / "main", port=free_port(), bin_directory=str(rig.server.bin_directory)
    )
    first = Restoring.of(rig, backup_id, data_directory=str(cluster.data), start=True, port=cluster.port)
    first.restore_id = "20261120T030000Z-000000"
    first.run()
    try:
        cluster.query("CREATE TABLE old AS SELECT 1 AS one")
        yield rig, backup_id, cluster
    finally:
        cluster.stop()


def in_place(rig: Physical, backup_id: str, cluster: Cluster, **options: t.Any) -> Restoring:
    etc = rig.folder / "cluster.d"
    etc.mkdir(exist_ok=True)
    # The configuration in the backup is the source's, whose port is in use here.
    (etc / "postgresql.conf").write_text(
        f"port = {cluster.port}\nlisten_addresses = ''\nunix_socket_directories = '{cluster.data}'\n"
    )
    (etc / "pg_hba.conf").write_text("local all all trust\n")
    options.setdefault("config_directory", str(etc))
    return Restoring.of(
        rig,
        backup_id,
        data_directory=str(cluster.data),
        in_place=True,
        service_control=cluster.service_control,
        start_timeout=60,
        **options,
    )


def clusters(rig: Physical) -> list[str]:
    return sorted(path.name for path in (rig.folder / "clusters").iterdir())


def test_beside_its_source(server: PostgreSQLServer) -> None:
    with physical(server) as rig, database(server, NAME, script=SCRIPT):
        with load(server, NAME):
            backup_id = rig.backup()
        data = own(rig.folder / "clusters") / "copy"
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(server.bin_directory))
        restoring = Restoring.of(rig, backup_id, data_directory=str(data), start=True, port=cluster.port)
        plan = restoring.inspect()
        assert plan.replaces is None
        assert plan.stops == plan.moves == ()
        assert 0 < plan.needed_bytes < (plan.free_bytes or 0)
        assert not data.exists()
        restoration = restoring.run()
        try:
            assert cluster.query("SELECT sum(balance) FROM accounts", database=NAME) == str(TOTAL)
            assert cluster.query("SHOW archive_mode") == "off"
            assert cluster.query("SHOW listen_addresses") == ""
            assert cluster.query("SHOW max_logical_replication_workers") == "0"
            assert cluster.query("SELECT pg_is_in_recovery()") == "f"
            assert int(cluster.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[:8], 16) == 2
            assert restoration.content["checked_by"] in ("pg_verifybackup", "lifeboat")
            assert restoration.content["state"] == "read-write"
            assert restoration.where.endswith(str(data))
            assert "restore_command" not in (data / "postgresql.auto.conf").read_text()
            assert clusters(rig) == ["copy"]
        finally:
            cluster.stop()


def test_into_an_empty_folder_without_starting(made: tuple[Physical, str]) -> None:
    rig, backup_id = made
    data = own(rig.folder / "clusters" / "copy")
    Restoring.of(rig, backup_id, data_directory=str(data)).run()
    assert (data / "recovery.signal").exists()
    assert not (data / "postmaster.pid").exists()
    assert data.stat().st_mode & 0o777 == 0o700


def test_an_encrypted_increment_with_its_chain(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    recipient, identity = make_key(tmp_path)
    with (
        physical(server_18, recipients=(recipient,), identity=identity) as rig,
        database(server_18, NAME, script=SCRIPT),
    ):
        rig.backup()
        with load(server_18, NAME):
            rig.backup("incremental")
        psql(server_18, "CREATE TABLE later AS SELECT 7 AS answer", database=NAME)
        last = rig.backup("incremental")
        data = own(rig.folder / "clusters") / "copy"
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(server_18.bin_directory))
        (tmp_path / "other").mkdir()
        _recipient, other = make_key(tmp_path / "other")
        for wrong, refusal in (("", errors.IdentityMissing), (other, errors.DecryptionFailed)):
            with pytest.raises(refusal):  # in the plan, before a byte is unpacked
                replace(Restoring.of(rig, last, data_directory=str(data)), identity=wrong).inspect()
        assert not clusters(rig)
        Restoring.of(rig, last, data_directory=str(data), start=True, port=cluster.port).run()
        try:
            assert cluster.query("SELECT sum(balance) FROM accounts", database=NAME) == str(TOTAL)
            assert cluster.query("SELECT answer FROM later", database=NAME) == "7"
            assert clusters(rig) == ["copy"]
        finally:
            cluster.stop()


def test_in_place(running: tuple[Physical, str, Cluster]) -> None:
    rig, backup_id, cluster = running
    restoring = in_place(rig, backup_id, cluster)
    plan = restoring.inspect()
    assert plan.replaces == str(cluster.data)
    assert plan.stops
    assert cluster.query("SELECT one FROM old") == "1"
    restoration = restoring.run()
    aside = Path(restoration.aside[0])
    assert aside.name == f"main.before-{restoring.restore_id}"
    assert cluster.query("SELECT count(*) FROM pg_class WHERE relname = 'old'") == "0"
    assert cluster.query("SHOW restore_command") == "false", "it goes with the next start"
    assert "restore_command" not in (cluster.data / "postgresql.auto.conf").read_text()
    assert not (cluster.data / "recovery.signal").exists()
    assert (aside / "PG_VERSION").exists()
    assert clusters(rig) == ["main", aside.name]
    assert restoring.discard() == (str(aside),)
    assert restoring.discard() == (str(aside),)
    assert clusters(rig) == ["main"]


def failing(step: Step, *, name: str, after: bool) -> Step:
    """A fault: the step fails, before or after it has done its work."""
    if step.name != name:
        return step

    def do(facts: Facts) -> Facts | None:
        if after:
            step.do(facts)
        raise errors.CommandFailed("made to fail")

    return replace(step, do=do)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", STEPS)
def test_what_fails_is_put_back(running: tuple[Physical, str, Cluster], name: str, after: bool) -> None:
    rig, backup_id, cluster = running
    restoring = in_place(rig, backup_id, cluster)
    steps = [failing(step, name=name, after=after) for step in restoring.steps()]
    assert [step.name for step in steps] == list(STEPS)
    with pytest.raises(errors.CommandFailed, match="made to fail"):
        restoring.run(steps=steps)
    assert clusters(rig) == ["main"]
    assert cluster.query("SELECT one FROM old") == "1"


@pytest.mark.parametrize(
    ("name", "moment"),
    [*((name, moment) for name in STEPS for moment in ("before", "after")), ("swap", "renamed")],
)
def test_a_death_is_undone_or_finished(running: tuple[Physical, str, Cluster], name: str, moment: str) -> None:
    rig, backup_id, cluster = running
    restoring = in_place(rig, backup_id, cluster)
    restoring.die(name, moment)
    restoring.roll_back()
    assert clusters(rig) == ["main"]
    assert cluster.query("SELECT one FROM old") == "1"

    again = in_place(rig, backup_id, cluster)
    again.restore_id = "20261123T030000Z-def456"
    again.die(name, moment)
    again.resume()
    assert clusters(rig) == ["main", f"main.before-{again.restore_id}"]
    assert cluster.query("SELECT count(*) FROM pg_class WHERE relname = 'old'") == "0"
    assert not list(cluster.data.glob("*.signal"))


def test_a_cluster_that_does_not_start_is_put_back(running: tuple[Physical, str, Cluster]) -> None:
    rig, backup_id, cluster = running
    configuration = rig.folder / "etc"
    configuration.mkdir()
    (configuration / "postgresql.conf").write_text("shared_buffers = nonsense\n")
    with pytest.raises((errors.PostgresServerDied, errors.ServiceControlFailed)):
        in_place(rig, backup_id, cluster, config_directory=str(configuration)).run()
    assert clusters(rig) == ["main"]
    assert cluster.query("SELECT one FROM old") == "1"


def test_damage_is_found_before_anything_stops(running: tuple[Physical, str, Cluster]) -> None:
    rig, backup_id, cluster = running

    def without_a_byte(data: bytes) -> bytes:
        position = data.index(b"PG_VERSION") + 512
        return data[:position] + b"9" + data[position + 1 :]

    resealing.mutate_payload(rig.repository, rig.place(backup_id), "base.tar", without_a_byte)
    started = (cluster.data / "postmaster.pid").read_text()
    with pytest.raises(errors.RestoreIncomplete, match="PG_VERSION"):
        in_place(rig, backup_id, cluster).run()
    assert (cluster.data / "postmaster.pid").read_text() == started
    assert clusters(rig) == ["main"]


def test_a_configuration_from_outside(made: tuple[Physical, str]) -> None:
    """As Debian has it: the configuration lies elsewhere, and names the source's data folder."""
    rig, backup_id = made
    etc = rig.folder / "etc"
    (etc / "conf.d").mkdir(parents=True)
    (etc / "postgresql.conf").write_text(
        f"data_directory = '{rig.server.data_directory}'\nhba_file = '/etc/x/pg_hba.conf'\nport = {rig.server.port}\n"
        "include_dir = 'conf.d'\nshared_buffers = 16MB\nexternal_pid_file='/run/x.pid'\n"
    )
    (etc / "pg_hba.conf").write_text("local all all trust\n")
    (etc / "conf.d" / "own.conf").write_text("work_mem = 5MB\nport = 1\n")
    data = rig.folder / "clusters" / "copy"
    cluster = Cluster(data=data, port=free_port(), bin_directory=str(rig.server.bin_directory))
    Restoring.of(
        rig, backup_id, data_directory=str(data), start=True, port=cluster.port, config_directory=str(etc)
    ).run()
    try:
        assert cluster.query("SHOW data_directory") == str(data)
        assert cluster.query("SHOW hba_file") == str(data / "pg_hba.conf")
        assert cluster.query("SHOW work_mem") == "5MB"
        assert cluster.query("SHOW shared_buffers") == "16MB"
        assert cluster.query("SHOW archive_mode") == "off"
    finally:
        cluster.stop()


def test_what_is_refused_before_anything_is_touched(made: tuple[Physical, str], server_18: PostgreSQLServer) -> None:
    rig, backup_id = made
    place = rig.folder / "clusters"
    full = own(place / "full")
    (full / "file").touch()

    def refused(error: type[errors.LifeboatError], match: str, **options: t.Any) -> None:
        restoring = Restoring.of(rig, backup_id, **options)
        with pytest.raises(error, match=match) as caught:
            restoring.inspect()
        assert caught.value.hint

    refused(errors.RestoreTargetInvalid, "not empty", data_directory=str(full))
    refused(errors.RestoreTargetInvalid, "no PostgreSQL cluster", data_directory=str(full), in_place=True, start=False)
    refused(errors.RestoreTargetInvalid, "is not there", data_directory=str(place / "none" / "data"))
    refused(errors.RestoreTargetInvalid, "too long", data_directory=str(place / ("x" * 100)))
    refused(errors.RestoreTargetInvalid, "runs on", data_directory=str(rig.server.data_directory))
    refused(
        errors.RestoreTargetInvalid,
        "runs on",
        data_directory=str(rig.server.data_directory),
        in_place=True,
        start=False,
    )
    refused(
        errors.RestoreVersionMismatch,
        "PostgreSQL 18",
        data_directory=str(place / "new"),
        bin_directory=str(server_18.bin_directory),
    )
    refused(errors.ToolMissing, "not on this host", data_directory=str(place / "new"), bin_directory="/nowhere")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(errors.RestoreTargetInvalid, "port", data_directory=str(place / "new"), start=True, port=port)
    assert clusters(rig) == ["full"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_of_its_own(made: tuple[Physical, str]) -> None:
    """A mount point can't be renamed; and a disk that becomes full in the middle leaves nothing behind."""
    rig, backup_id = made
    disk = rig.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {mounted.stderr.decode()}")
    try:
        user = operating_system_user()
        assert user is not None
        shutil.chown(disk, user)
        for options in ({"in_place": True, "start": False}, {}):
            with pytest.raises(errors.PostgresDataDirectoryMounted):
                Restoring.of(rig, backup_id, data_directory=str(disk), **options).inspect()
        restoring = Restoring.of(rig, backup_id, data_directory=str(disk / "data"))
        plan = restoring.inspect()
        assert plan.needed_bytes > (plan.free_bytes or 0)
        with pytest.raises(errors.RestoreNoSpace):
            restoring.run()
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_chain_with_a_hole(server_18: PostgreSQLServer) -> None:
    with physical(server_18) as rig:
        rig.backup()
        last = rig.backup("incremental")
        own(rig.folder / "clusters")
        restoring = Restoring.of(rig, last, data_directory=str(rig.folder / "clusters" / "copy"))
        source = rig.source(last)
        resealing.mutate_manifest(
            rig.repository,
            rig.place(last, "incremental"),
            lambda document: document["content"]["parent"].update(chain=[]),
        )
        with pytest.raises(errors.PostgresChainIncomplete):
            restoring.inspect()
        assert source.manifest.backup_id == last
