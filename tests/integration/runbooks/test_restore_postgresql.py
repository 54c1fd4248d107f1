# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages for PostgreSQL, walked through with real servers."""

from __future__ import annotations

import os
import stat
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.runbooks.walk import Walk, backup

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOGICAL, BASE = "restore-postgresql-logical.md", "restore-postgresql-base.md"


@pytest.fixture(scope="module")
def server() -> t.Iterator[PostgreSQLServer]:
    with PostgreSQLServer(archiving=False) as one:
        one.query("CREATE DATABASE shop")
        yield one


def fill(server: PostgreSQLServer) -> None:
    """What the backup has: a thousand orders."""
    server.query("DROP TABLE IF EXISTS orders, later", database="shop")
    server.query("CREATE TABLE orders AS SELECT number AS id FROM generate_series(1, 1000) AS number", database="shop")


def orders(server: PostgreSQLServer, database: str = "shop") -> int:
    return int(server.query("SELECT count(*) FROM orders", database=database)[0][0])


@pytest.fixture
def logical(walk: Walk, server: PostgreSQLServer) -> Walk:
    """A verified logical backup."""
    fill(server)
    programs = str(server.bin_directory)
    connection = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "bin_directory": programs}
    lifeboat = walk.describe(
        {
            "name": "main",
            "engine": "postgresql",
            "connection": connection,
            "backups": [backup("logical", options={"databases": ["shop"]})],
        }
    )
    lifeboat("backup --quiet").succeeded()
    lifeboat("verify --quiet").succeeded()
    walk.variables.update(
        PATH=f"{walk.folder / 'bin'}:{programs}:{os.environ['PATH']}",
        PGHOST="127.0.0.1",
        PGPORT=str(server.port),
    )
    return walk


def test_logical_beside_and_in_place_and_back(logical: Walk, server: PostgreSQLServer) -> None:
    server.query("DELETE FROM orders WHERE id > 500", database="shop")
    logical.through(LOGICAL, 1, 2, 3)
    assert orders(server) == 500, "production is not touched"
    assert server.query("SELECT 1 FROM pg_database WHERE datname LIKE 'shop\\_%%'") == []
    logical.through(LOGICAL, 1, 5)
    assert orders(server) == 1000
    logical.through(LOGICAL, 1, 6)
    assert orders(server) == 500
    logical.through(LOGICAL, 1, 5, 7)
    assert orders(server) == 1000
    assert server.query("SELECT 1 FROM pg_database WHERE datname LIKE 'shop\\_%%'") == []


def test_logical_one_table(logical: Walk, server: PostgreSQLServer) -> None:
    server.query("DROP TABLE orders", database="shop")
    server.query("CREATE TABLE later ()", database="shop")
    logical.through(LOGICAL, 1, 4)
    assert orders(server) == 1000
    assert server.query("SELECT 1 FROM pg_tables WHERE tablename = 'later'", database="shop") == [(1,)]


def test_logical_whole_cluster(logical: Walk, server: PostgreSQLServer) -> None:
    port, cluster = str(free_port()), logical.folder / "clusters" / "recovered"
    cluster.parent.mkdir()
    cluster.parent.chmod(0o777)
    printed = logical.through(LOGICAL, 1, 9, PORT=port, CLUSTER=str(cluster))
    assert "1000" in printed.split()
    assert not cluster.exists()
    assert orders(server) == 1000


def test_logical_a_restore_that_died(logical: Walk, server: PostgreSQLServer) -> None:
    server.query("DELETE FROM orders WHERE id > 500", database="shop")
    # The fault: the program that loads the dump kills the one that started it.
    deadly = logical.folder / "deadly"
    deadly.mkdir()
    for program in server.bin_directory.iterdir():
        (deadly / program.name).symlink_to(program)
    (deadly / "pg_restore").unlink()
    genuine = server.program("pg_restore")
    (deadly / "pg_restore").write_text(
        f'#!/bin/sh\ncase " $* " in *" --list "*|*" -l "*|*--version*) exec {genuine} "$@";; esac\nkill -9 $PPID\n'
    )
    (deadly / "pg_restore").chmod(0o755)
    command = f"-o database=shop --in-place --confirm shop -o connection.bin_directory={deadly}"
    died = logical.command_line().process(f"restore shop/main/logical {command}")
    assert died.status == -9, died.out + died.err
    logical.through(LOGICAL, 1, 8)
    assert orders(server) == 500
    assert server.query("SELECT 1 FROM pg_database WHERE datname LIKE 'shop\\_%%'") == []


@dataclass
class Cluster:
    """A cluster that is stopped and started by commands, as by systemd."""

    server: PostgreSQLServer
    folder: Path

    def script(self, name: str, command: str) -> str:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\ncd /\n{command}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    @property
    def control(self) -> dict[str, str]:
        data, log = self.server.data_directory, self.server.directory / "log"
        # The sandbox removes the folder of its sockets when its own process ends.
        sockets = f"install -d -m 0711 -o postgres {self.server.socket_directory}"
        call = f"setpriv --reuid=postgres --regid=postgres --clear-groups {self.server.program('pg_ctl')} -D {data}"
        stop = f"{call} status > /dev/null || exit 0\n{call} -m fast -w stop"
        return {
            "stop_command": self.script("stop", stop),
            "start_command": self.script("start", f"{sockets}\n{call} -l {log} -w start"),
        }


@pytest.fixture
def base(walk: Walk) -> t.Iterator[tuple[Walk, Cluster]]:
    """A cluster of its own with a verified base backup."""
    if os.geteuid() != 0:
        pytest.skip("SKIPPED LOUDLY: the page is for root, and this is an ordinary user")
    with PostgreSQLServer(archiving=False) as server:
        cluster = Cluster(server=server, folder=walk.folder)
        server.query("CREATE DATABASE shop")
        fill(server)
        control = cluster.control
        server.stop()  # from now on by the commands
        subprocess.run([control["start_command"]], check=True, capture_output=True)
        try:
            programs = str(server.bin_directory)
            lifeboat = walk.describe(
                {
                    "name": "main",
                    "engine": "postgresql",
                    "connection": {
                        "host": "127.0.0.1",
                        "port": server.port,
                        "user": "postgres",
                        "bin_directory": programs,
                    },
                    "service_control": control,
                    "backups": [backup("base")],
                }
            )
            lifeboat("backup --quiet").succeeded()
            lifeboat("verify --quiet").succeeded()
            copies = walk.folder / "copies"
            copies.mkdir()
            copies.chmod(0o777)
            walk.variables.update(
                PATH=f"{walk.folder / 'bin'}:{programs}:{os.environ['PATH']}",
                DATA=str(server.data_directory),
                COPY=str(copies / "copy"),
                PORT=str(free_port()),
            )
            yield walk, cluster
        finally:
            subprocess.run([control["stop_command"]], check=True, capture_output=True)


def test_base_beside_and_in_place_and_back(base: tuple[Walk, Cluster]) -> None:
    walk, cluster = base
    server = cluster.server
    server.query("DELETE FROM orders WHERE id > 500", database="shop")
    printed = walk.through(BASE, 1, 2, 3)
    assert "1000" in printed.split()
    assert orders(server) == 500, "production is not touched"
    assert not (walk.folder / "copies" / "copy").exists()
    walk.through(BASE, 1, 4)
    assert orders(server) == 1000
    walk.through(BASE, 1, 5)
    assert orders(server) == 500
    walk.through(BASE, 1, 4, 6)
    assert orders(server) == 1000
    assert [path.name for path in server.directory.iterdir() if "before" in path.name] == []


def test_base_a_restore_that_died(base: tuple[Walk, Cluster]) -> None:
    walk, cluster = base
    cluster.server.query("DELETE FROM orders WHERE id > 500", database="shop")
    start = walk.folder / "start"
    good = start.read_text(encoding="utf-8")
    start.write_text("#!/bin/sh\nkill -9 $PPID\n", encoding="utf-8")  # the fault
    command = f"--in-place -o data_directory={cluster.server.data_directory} --confirm {cluster.server.data_directory}"
    assert walk.command_line().process(f"restore shop/main/base {command}").status == -9
    start.write_text(good, encoding="utf-8")
    walk.through(BASE, 1, 7)
    assert orders(cluster.server) == 500
