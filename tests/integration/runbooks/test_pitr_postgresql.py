# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/pitr-postgresql.md``, walked through with a real server: from shipped WAL to recovered orders."""

from __future__ import annotations

import os
import stat
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    archive_command,
    write_archive_script,
)
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.runbooks.walk import Walk, backup

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = "pitr-postgresql.md"


@dataclass
class Cluster:
    """A cluster that is stopped and started by commands, as by systemd, and archives into a spool."""

    server: PostgreSQLServer
    walk: Walk

    @property
    def spool(self) -> Path:
        return self.walk.folder / "spool"

    def script(self, name: str, command: str) -> str:
        path = self.walk.folder / name
        path.write_text(f"#!/bin/sh\ncd /\n{command}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    @property
    def control(self) -> dict[str, str]:
        data, log = self.server.data_directory, self.server.directory / "log"
        # The sandbox removes the folder of its sockets when its own process ends.
        sockets = f"install -d -m 0711 -o postgres {self.server.socket_directory}"
        call = f"setpriv --reuid=postgres --regid=postgres --clear-groups {self.server.program('pg_ctl')} -D {data}"
        return {
            "stop_command": self.script("stop", f"{call} status > /dev/null || exit 0\n{call} -m fast -w stop"),
            "start_command": self.script("start", f"{sockets}\n{call} -l {log} -w start"),
        }

    @property
    def orders(self) -> int:
        return int(self.server.query("SELECT count(*) FROM orders", database="shop")[0][0])

    def ship(self) -> None:
        """Everything that was written, into the repository."""
        name = self.server.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0]
        clock = SystemClock()
        deadline = clock.monotonic() + 90
        while not (self.spool / name).exists():
            assert clock.monotonic() < deadline
            clock.sleep(0.05)
        self.walk.command_line()("ship --quiet").succeeded()
        assert not (self.spool / name).exists()


@pytest.fixture
def cluster(walk: Walk) -> t.Iterator[Cluster]:
    """A thousand orders at TIME, half of them deleted by mistake afterwards, all of it shipped."""
    user = operating_system_user()
    if user is None:
        pytest.skip("SKIPPED LOUDLY: the page is for root, and this is an ordinary user")
    subprocess.run(["install", "-d", "-m", "0750", "-o", user, walk.folder / "spool"], check=True)
    write_archive_script(str(walk.folder / "archive-wal"))
    command = archive_command(script=str(walk.folder / "archive-wal"), spool=str(walk.folder / "spool"))
    with PostgreSQLServer(settings={"archive_mode": "on", "archive_command": command}) as server:
        made = Cluster(server=server, walk=walk)
        server.query("CREATE DATABASE shop")
        control = made.control
        server.stop()  # from now on by the commands
        subprocess.run([control["start_command"]], check=True, capture_output=True)
        try:
            programs = str(server.bin_directory)
            connection = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "bin_directory": programs}
            wal = backup("wal", options={"spool_directory": str(made.spool)})
            del wal["schedule"]
            lifeboat = walk.describe(
                {
                    "name": "main",
                    "engine": "postgresql",
                    "connection": connection,
                    "service_control": control,
                    "backups": [backup("base"), {**wal, "triggers": ["continuous"]}],
                }
            )
            lifeboat("ship --quiet").succeeded()  # ties the spool to the cluster
            server.query("SELECT pg_reload_conf()")  # wakes the archiver
            lifeboat("backup --quiet").succeeded()
            server.query("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 1000) AS n", database="shop")
            moment = server.query("SELECT clock_timestamp()")[0][0]
            server.query("DELETE FROM orders WHERE id > 500", database="shop")
            made.ship()
            copies = walk.folder / "copies"
            copies.mkdir()
            copies.chmod(0o777)
            walk.variables.update(
                PATH=f"{walk.folder / 'bin'}:{programs}:{os.environ['PATH']}",
                TIME=format_time(moment),
                DATA=str(server.data_directory),
                COPY=str(copies / "copy"),
                PORT=str(free_port()),
            )
            yield made
        finally:
            subprocess.run([control["stop_command"]], check=True, capture_output=True)


def test_beside_and_in_place_and_back(walk: Walk, cluster: Cluster) -> None:
    printed = walk.through(PAGE, 1, 2, 3, 4)
    assert "1000" in printed.split()
    assert cluster.orders == 500, "production is not touched"
    assert not (walk.folder / "copies" / "copy").exists()
    walk.through(PAGE, 1, 5)
    assert cluster.orders == 1000
    walk.through(PAGE, 1, 6)
    assert cluster.orders == 500
    walk.through(PAGE, 1, 5, 7)
    assert cluster.orders == 1000
    assert [path.name for path in cluster.server.directory.iterdir() if "before" in path.name] == []
    # What comes afterwards is archived on the new timeline, and can be recovered in its turn.
    cluster.server.query("INSERT INTO orders SELECT n FROM generate_series(2001, 2010) AS n", database="shop")
    cluster.ship()
    # The first recovery was rolled back, and nothing of it was shipped yet: its number must not be taken again.
    [window] = [one for one in windows(cluster) if one["last"].startswith("3/")]
    printed = walk.through(PAGE, 1, 3, 4, TIME=window["ends"])
    assert "1010" in printed.split()


def windows(cluster: Cluster) -> list[dict[str, t.Any]]:
    """As the command line shows them to programs."""
    found: list[dict[str, t.Any]] = cluster.walk.command_line()("windows shop/main --json").document["sources"][0][
        "windows"
    ]
    return found


def test_a_recovery_that_died(walk: Walk, cluster: Cluster) -> None:
    start = walk.folder / "start"
    good = start.read_text(encoding="utf-8")
    start.write_text("#!/bin/sh\nkill -9 $PPID\n", encoding="utf-8")  # the fault
    data = cluster.server.data_directory
    command = (
        f"recover shop/main --to-time {walk.variables['TIME']} --in-place -o data_directory={data} --confirm {data}"
    )
    died = walk.command_line().process(command)
    assert died.status == -9, died.out + died.err
    start.write_text(good, encoding="utf-8")
    walk.through(PAGE, 1, 8)
    assert cluster.orders == 500
