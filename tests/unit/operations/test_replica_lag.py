# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far standbys are behind: what each room makes of the answers, and what becomes of no answer."""

from __future__ import annotations

import socket
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoNoSuitableMember
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.replica_lag import ReplicaLag
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.replica import member_named
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.topology import Member, Topology
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.replica_lag import read_replicas
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.info import Info
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.replica import lag_from

_UP = "role:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:4\r\nslave_repl_offset:{}\r\n"


@pytest.mark.parametrize(
    ("told", "written", "expected"),
    [
        # What came last says nothing about the lag of one that has everything: a primary may have nothing to say.
        (_UP.format(1000), 1000, ReplicaLag(follows=True, seconds=0.0, behind_bytes=0)),
        (_UP.format(1200), 1000, ReplicaLag(follows=True, seconds=0.0, behind_bytes=0)),
        (_UP.format(900), 1000, ReplicaLag(follows=True, seconds=4.0, behind_bytes=100)),
        (_UP.format(900), -1, ReplicaLag(follows=True)),
        (
            "role:slave\r\nmaster_link_status:down\r\nmaster_link_down_since_seconds:61\r\nslave_repl_offset:900\r\n",
            1000,
            ReplicaLag(follows=False, seconds=61.0, behind_bytes=100),
        ),
        (
            "role:slave\r\nmaster_link_status:down\r\nmaster_link_down_since_seconds:-1\r\n",
            1,
            ReplicaLag(follows=False),
        ),
        ("role:master\r\nmaster_repl_offset:1000\r\n", 1000, ReplicaLag(follows=False)),
    ],
)
def test_what_a_replica_of_redis_says(told: str, written: int, expected: ReplicaLag) -> None:
    assert lag_from(Info(told.encode()), written=written) == expected


def test_a_member_is_found_by_its_name_or_by_asking_it() -> None:
    members = tuple(
        Member(host=host, role="SECONDARY", healthy=True, lag=1.0) for host in ("db1:27017", "db2:27017", "db2:27018")
    )
    whole = Topology(me="db1:27017", replica_set="rs0", replica_set_id=None, members=members, direct=False)
    assert member_named(whole, name="db2").host == "db2:27017"
    assert member_named(whole, name="db2:27018").host == "db2:27018"
    with pytest.raises(MongoNoSuitableMember, match="called db; it has db1:27017, db2:27017"):
        member_named(whole, name="db")
    asked = Topology(me="db2:27018", replica_set="rs0", replica_set_id=None, members=members, direct=True)
    assert member_named(asked, name="far away").host == "db2:27018"


def description(port: int, **settings: t.Any) -> t.Any:
    backup = {"kind": "rdb", "repositories": ["local"], "keep": {"count": 7}}
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": port},
        "standbys": [{"name": "second", "connection": {"port": port}, "max_lag": "5s"}],
        "backups": [backup],
    }
    return load_description(
        {
            "lifeboat_settings": settings,
            "lifeboat_repositories": {"local": {"type": "file", "path": "/var/backups/lifeboat"}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        }
    )


def test_a_server_that_is_frozen_is_told_and_waited_for_no_longer_than_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # takes connections and never answers
        (fact,) = read_replicas(description(frozen.getsockname()[1]), host=Host(), within=0.05)
    assert (fact.id, fact.lag) == ("shop/cache/second", None)
    assert fact.error is not None
    assert fact.error.code == "replica.silent"
    assert fact.objective is not None
    assert fact.objective.total_seconds() == 5


def test_a_server_that_is_gone_is_told_by_its_own_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (fact,) = read_replicas(description(port), host=Host())
    assert fact.error is not None
    assert fact.error.code == "redis.unreachable"


def test_a_host_that_makes_no_backups_asks_nobody() -> None:
    assert read_replicas(description(1, makes_backups=False), host=Host()) == ()
