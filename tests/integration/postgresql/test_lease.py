# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real primary under a lease: it stops when the witness goes away, comes back with it, and gives way to a mark."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import typing as t

import psycopg2
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease_taking import (
    TakeRequest,
    take_lease,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.witness import Witness
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.server_state import (
    server_processes,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from sandbox.postgresql import PostgreSQLServer
from tests.support.lease_holder import LEASE, control_of, lease_holder
from tests.support.leases import begin_failover
from tests.support.waiting import wait_for


@pytest.fixture
def server() -> t.Iterator[PostgreSQLServer]:
    """A primary of its own: it is stopped by others."""
    with PostgreSQLServer(archiving=False) as server:
        server.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        yield server


def described(folder: pathlib.Path, server: PostgreSQLServer) -> pathlib.Path:
    source = {
        "name": "main",
        "engine": "postgresql",
        "connection": {"host": "127.0.0.1", "port": server.port, "user": "postgres"},
        "service_control": control_of(server),
        "fencing": {
            "data_directory": str(server.data_directory),
            "methods": [{"witness": {"repository": "third", "lease": LEASE}}],
        },
        "backups": [{"kind": "base", "repositories": ["third"], "keep": {"within": "7d"}}],
    }
    path = folder / "lifeboat.json"
    description = {
        "lifeboat_services": [{"name": "adhd", "sources": [source]}],
        "lifeboat_repositories": {"third": {"type": "file", "path": str(folder / "third")}},
    }
    path.write_text(json.dumps(description))
    return path


def writes(server: PostgreSQLServer) -> bool:
    try:
        server.query("INSERT INTO ledger SELECT coalesce(max(id), 0) + 1 FROM ledger")
    except psycopg2.OperationalError:
        return False
    return True


@pytest.mark.slow
def test_a_primary_lives_by_its_lease(tmp_path: pathlib.Path, server: PostgreSQLServer) -> None:
    third, away, gate = tmp_path / "third", tmp_path / "away", tmp_path / "held"
    third.mkdir()
    configuration = described(tmp_path, server)
    storage = LocalStorage(path=str(third))
    witness = Witness(repository="third", storage=storage, service="adhd", source="main")

    with lease_holder(configuration, host="north1", server=server, gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        third.rename(away)
        wait_for(lambda: not server_processes(str(server.data_directory)), what="stopped without its witness")
        assert not gate.exists()
        assert holder.poll() is None
        assert not writes(server)
        away.rename(third)
        wait_for(lambda: writes(server), what="started with its witness")
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(60) == 0
    said = witness.said("north1")
    assert said is not None
    assert said.state == "withdrawn"
    assert writes(server)

    with lease_holder(configuration, host="north1", server=server, gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        run = begin_failover(storage).run
        taken = take_lease(TakeRequest(run=run, host="north1", lease=10.0), witness=witness, clock=SystemClock())
        assert taken.state == "released"
        assert not server_processes(str(server.data_directory))
        _out, told = holder.communicate(timeout=60)
        assert holder.returncode == 1
        assert "[failover.lease_taken]" in told
    # Nor does it start by its unit: who holds the lease ends at once, and the gate stays shut.
    with lease_holder(configuration, host="north1", server=server, gate=gate) as holder:
        assert holder.wait(60) == 1
    assert not gate.exists()


@pytest.mark.slow
def test_one_whose_stop_hangs_is_killed(tmp_path: pathlib.Path, server: PostgreSQLServer) -> None:
    (tmp_path / "third").mkdir()
    gate = tmp_path / "held"
    configuration = described(tmp_path, server)
    description = json.loads(configuration.read_text())
    control = {"stop_command": "sleep 600", "start_command": "true"}
    description["lifeboat_services"][0]["sources"][0]["service_control"] = control
    configuration.write_text(json.dumps(description))
    with lease_holder(configuration, host="north1", server=server, gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        subprocess.run(["mv", tmp_path / "third", tmp_path / "away"], check=True)
        wait_for(lambda: not server_processes(str(server.data_directory)), what="killed without its witness")
        assert holder.poll() is None
