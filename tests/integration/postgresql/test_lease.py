# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real primary under a lease: it stops when the witness goes away, comes back with it, and gives way to a mark."""

from __future__ import annotations

import contextlib
import json
import pathlib
import signal
import typing as t

import psycopg2
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease_taking import (
    TakeRequest,
    take_lease,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.server_state import (
    server_processes,
)
from sandbox.postgresql import PostgreSQLServer
from sandbox.s3 import S3Server
from tests.support.lease_holder import LEASE, control_of, lease_holder, standby_by
from tests.support.leases import begin_failover
from tests.support.waiting import wait_for
from tests.support.witnesses import Folder, Store, witness_in


@pytest.fixture
def server() -> t.Iterator[PostgreSQLServer]:
    """A primary of its own: it is stopped by others."""
    with PostgreSQLServer(archiving=False) as server:
        server.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        yield server


@pytest.fixture(params=["folder", "S3 server"])
def third(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[Folder | Store]:
    """Each kind of repository that may be a witness."""
    with contextlib.ExitStack() as stack:
        if request.param == "folder":
            yield Folder(tmp_path)
        else:
            store = Store(tmp_path, stack.enter_context(S3Server(buckets=["witness"])))
            stack.callback(store.come_back)  # one that is stopped can't be ended
            yield store


def described(folder: pathlib.Path, server: PostgreSQLServer, third: Folder | Store) -> pathlib.Path:
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
        "lifeboat_repositories": {"third": third.description},
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
def test_a_primary_lives_by_its_lease(tmp_path: pathlib.Path, server: PostgreSQLServer, third: Folder | Store) -> None:
    gate = tmp_path / "held"
    configuration = described(tmp_path, server, third)
    witness = witness_in(third)

    with lease_holder(configuration, host="north1", by=standby_by(server), gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        third.go()
        wait_for(lambda: not server_processes(str(server.data_directory)), what="stopped without its witness")
        assert not gate.exists()
        assert holder.poll() is None
        assert not writes(server)
        third.come_back()
        wait_for(lambda: writes(server), what="started with its witness")
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(60) == 0
    said = witness.said("north1")
    assert said is not None
    assert said.state == "withdrawn"
    assert writes(server)

    with lease_holder(configuration, host="north1", by=standby_by(server), gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        run = begin_failover(witness.storage).run
        taken = take_lease(TakeRequest(run=run, host="north1", lease=10.0), witness=witness, clock=SystemClock())
        assert taken.state == "released"
        assert not server_processes(str(server.data_directory))
        _out, told = holder.communicate(timeout=60)
        assert holder.returncode == 1
        assert "[failover.lease_taken]" in told
    # Nor does it start by its unit: who holds the lease ends at once, and the gate stays shut.
    with lease_holder(configuration, host="north1", by=standby_by(server), gate=gate) as holder:
        assert holder.wait(60) == 1
    assert not gate.exists()


@pytest.mark.slow
def test_one_whose_stop_hangs_is_killed(tmp_path: pathlib.Path, server: PostgreSQLServer) -> None:
    third, gate = Folder(tmp_path), tmp_path / "held"
    configuration = described(tmp_path, server, third)
    description = json.loads(configuration.read_text())
    control = {"stop_command": "sleep 600", "start_command": "true"}
    description["lifeboat_services"][0]["sources"][0]["service_control"] = control
    configuration.write_text(json.dumps(description))
    with lease_holder(configuration, host="north1", by=standby_by(server), gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        third.go()
        wait_for(lambda: not server_processes(str(server.data_directory)), what="killed without its witness")
        assert holder.poll() is None
