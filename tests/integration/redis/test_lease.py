# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Redis under a lease: it stops when the witness says nothing, comes back with it, and gives way to a mark."""

from __future__ import annotations

import contextlib
import json
import pathlib
import typing as t

import pytest
import redis

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.lease_taking import (
    TakeRequest,
    take_lease,
)
from sandbox.s3 import S3Server
from tests.integration.redis.daemons import Daemon
from tests.support.lease_holder import LEASE, lease_holder
from tests.support.leases import begin_failover
from tests.support.waiting import wait_for
from tests.support.witnesses import Store, witness_in


@pytest.fixture
def third(tmp_path: pathlib.Path) -> t.Iterator[Store]:
    with contextlib.ExitStack() as stack:
        store = Store(tmp_path, stack.enter_context(S3Server(buckets=["witness"])))
        stack.callback(store.come_back)  # one that is stopped can't be ended
        yield store


@pytest.fixture
def cache(tmp_path: pathlib.Path) -> t.Iterator[Daemon]:
    cache = Daemon(tmp_path / "cache", append_only=True)
    yield cache.start()
    cache.kill()


def described(folder: pathlib.Path, cache: Daemon, third: Store) -> pathlib.Path:
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": cache.port},
        "service_control": cache.control,
        "fencing": {"methods": [{"witness": {"repository": "third", "lease": LEASE}}]},
        "backups": [{"kind": "rdb", "repositories": ["third"], "keep": {"within": "7d"}}],
    }
    path = folder / "lifeboat.json"
    description = {
        "lifeboat_services": [{"name": "adhd", "sources": [source]}],
        "lifeboat_repositories": {"third": third.description},
    }
    path.write_text(json.dumps(description))
    return path


def writes(cache: Daemon) -> bool:
    try:
        with cache.client() as client:
            return bool(client.set("written", "1"))
    except redis.ConnectionError:
        return False


@pytest.mark.slow
def test_a_primary_lives_by_its_lease(tmp_path: pathlib.Path, cache: Daemon, third: Store) -> None:
    configuration, gate = described(tmp_path, cache, third), tmp_path / "held"
    witness = witness_in(third, source="cache")
    by = ["--configuration-file", str(cache.configuration_file)]
    with lease_holder(configuration, host="north1", by=by, gate=gate, of="adhd/cache") as holder:
        wait_for(gate.exists, what="the lease")
        assert writes(cache)
        third.go()
        wait_for(lambda: cache.pid is None, what="stopped without its witness")
        assert not gate.exists()
        assert holder.poll() is None
        third.come_back()
        wait_for(lambda: writes(cache), what="started with its witness")
        wait_for(gate.exists, what="the lease again")

        run = begin_failover(witness.storage, source="cache").run
        taken = take_lease(TakeRequest(run=run, host="north1", lease=10.0), witness=witness, clock=SystemClock())
        assert taken.state == "released"
        assert cache.pid is None
        _out, told = holder.communicate(timeout=60)
        assert holder.returncode == 1
        assert "[failover.lease_taken]" in told
    assert not writes(cache)
