# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standbys on real servers: nodes that the engine starts itself, and what they say."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.promotion import Promotion, promote
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_configuration import (
    StandbyConfiguration,
    WalArchiveWay,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_making import (
    Seed,
    StandbyMade,
    StandbyRequest,
    make_standby,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_state import (
    StandbyState,
    look_at_standby,
    received_position,
)
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from sandbox.process import end_processes_inside
from tests.integration.postgresql.rig import RUNNER, SECRET
from tests.support.waiting import wait_for

HOST = Host()


@dataclass
class Node:
    """A data folder with a port of its own. *primary* lends its programs and its account."""

    primary: PostgreSQLServer
    data: Path
    port: int = field(default_factory=free_port)

    @classmethod
    def of(cls, server: PostgreSQLServer) -> Node:
        """The server of the sandbox itself, as a folder and a port."""
        return cls(primary=server, data=server.data_directory, port=server.port)

    @property
    def password_file(self) -> Path:
        path = self.primary.directory / "lifeboat.password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(SECRET + "\n", encoding="utf-8")
        return path

    def connection(self, **changes: t.Any) -> PostgresConnection:
        description = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "postgres",
            "database": "postgres",
            "password_file": str(self.password_file),
            "bin_directory": str(self.primary.bin_directory),
            **changes,
        }
        return PostgresConnection.from_description(description)

    def query(self, statement: str, parameters: t.Any = None) -> list[tuple[t.Any, ...]]:
        with contextlib.closing(
            psycopg2.connect(
                host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", password=SECRET, connect_timeout=5
            )
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall()) if cursor.description else []

    def state(self) -> StandbyState:
        return look_at_standby(self.connection(), host=HOST)

    def numbers(self) -> set[int]:
        return {number for (number,) in self.query("SELECT id FROM ledger")}

    def write(self, numbers: t.Iterable[int]) -> None:
        """Each is acknowledged when this returns."""
        for number in numbers:
            self.query("INSERT INTO ledger VALUES (%s)", [number])

    def control(self, verb: str, *words: str) -> None:
        done = self.primary.run("pg_ctl", verb, "-D", str(self.data), "-w", "-s", *words)
        assert done.returncode == 0, done.stderr

    def stop(self, mode: str = "fast") -> None:
        self.control("stop", "-m", mode)

    def start(self) -> None:
        self.control("start", "-l", str(self.data / "test.log"))

    def kill(self) -> None:
        """As a host dies: nobody is told."""
        if self.data == self.primary.data_directory and self.primary.is_running:
            self.primary.kill()
            return
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        end_processes_inside(self.data)

    def promote(self) -> None:
        before = self.state()
        promotion = Promotion(system_identifier=before.system_identifier, timeline=before.timeline, timeout=60)
        with self.connection().connect(runner=RUNNER) as session:
            promote(session, promotion, host=HOST)

    def has(self, other: Node) -> None:
        """Wait until all that *other* has written is here, too."""
        position = received_position(other.state())
        wait_for(lambda: _replayed(self.state()) >= position)

    def end(self) -> None:
        with contextlib.suppress(AssertionError):
            self.stop("immediate")


def _replayed(state: StandbyState) -> int:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.names import parse_lsn

    return parse_lsn(state.replayed) if state.replayed else received_position(state)


def request_for(
    node: Node,
    upstream: Node,
    *,
    name: str = "two",
    archive: WalArchiveWay | None = None,
    settings: t.Mapping[str, str] | None = None,
    **changes: t.Any,
) -> StandbyRequest:
    """A standby on *node* that follows *upstream*."""
    own = {"port": str(node.port), "unix_socket_directories": "", "archive_mode": "off"}
    given: dict[str, t.Any] = {
        "data_directory": str(node.data),
        "primary": upstream.connection(),
        "connection": node.connection(),
        "configuration": StandbyConfiguration(
            name=name,
            slot=name,
            passfile=f"{node.data}.pgpass",
            archive=archive,
            settings=own if settings is None else settings,
        ),
        "bin_directory": str(upstream.primary.bin_directory),
        "timeout": 60.0,
    }
    return StandbyRequest(**{**given, **changes})


def make(node: Node, upstream: Node, *, check: bool = False, seed: Seed | None = None, **changes: t.Any) -> StandbyMade:
    """Make it, or say what would be done."""
    return make_standby(request_for(node, upstream, **changes), host=HOST, seed=seed, check=check)


def slots_of(node: Node) -> dict[str, bool]:
    """The replication slots by name: whether somebody uses it."""
    return dict(node.query("SELECT slot_name, active FROM pg_replication_slots"))
