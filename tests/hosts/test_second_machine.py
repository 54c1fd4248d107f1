# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is lost for good. Another, with packages, the description and the repository's keys, gets its data back."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

import pytest

from tests.hosts.conftest import StartHosts
from tests.hosts.shop import DATA, PASSWORD, PASSWORD_FILE, allow_digest, describe, fill, keys, rows
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Played, inventory, play
from tests.support.hosts.store import Store, store_for

_COPY_PORT = 5433


@dataclass(frozen=True)
class Loss:
    """The host ``first`` was backed up and died; *rows* and *keys* are what it held then."""

    fleet: Fleet
    store: Store
    rows: str
    keys: str

    @property
    def second(self) -> Host:
        return self.fleet["second"]

    def play(self, playbook: str, *arguments: str, **variables: t.Any) -> Played:
        return _play(self.fleet, self.store, playbook, *arguments, **variables)

    def restore(self, what: str, *arguments: str, options: dict[str, t.Any], **more: t.Any) -> Played:
        """As somebody does it at night: the inventory still has the dead host, and the restore runs on the other."""
        return self.play(
            "restore",
            *arguments,
            lifeboat_restore=what,
            lifeboat_restore_on="second",
            lifeboat_restore_point="newest",
            lifeboat_restore_options=options,
            **more,
        )


def _play(fleet: Fleet, store: Store, playbook: str, *arguments: str, **variables: t.Any) -> Played:
    shared = {"lifeboat_repositories": {"offsite": store.repository()}}
    hosts = inventory(fleet, of_all=shared, own={"first": {"lifeboat_services": describe(repositories=["offsite"])}})
    return play(fleet, f"playbooks/{playbook}.yml", "-e", json.dumps(variables), *arguments, inventory=hosts)


@pytest.fixture(scope="module")
def loss(start_hosts: StartHosts) -> t.Iterator[Loss]:
    fleet = start_hosts("first", "second")
    first, second = fleet["first"], fleet["second"]
    # Packages are the same everywhere; a cluster is not.
    second.run("pg_dropcluster --stop 15 main && pg_createcluster 15 main --start")
    second.write(PASSWORD_FILE, PASSWORD + "\n")
    for host in (first, second):
        allow_digest(host)
    fill(first)
    with store_for(fleet) as store:
        store.give_keys(first, second)
        played = _play(fleet, store, "backup")
        assert played.status == 0, played.output
        held = (rows(first), keys(first))
        first.kill()
        yield Loss(fleet=fleet, store=store, rows=held[0], keys=held[1])


def test_redis_comes_back_in_place_of_the_empty_one(loss: Loss) -> None:
    wanted = {"lifeboat_restore_in_place": True, "lifeboat_restore_confirm": "redis at 127.0.0.1:6379"}
    loss.second.run("redis-cli SET 'of the second' 1")
    played = loss.restore("shop/cache/rdb", options={}, **wanted)
    assert played.status == 0, played.output
    assert keys(loss.second) == loss.keys
    assert loss.second.run("systemctl is-active redis-server") == "active\n"
    # It is the unit's own server, with the files where the unit looks for them.
    loss.second.run("systemctl restart redis-server")
    assert keys(loss.second) == loss.keys


def test_postgresql_comes_back_beside_as_a_fresh_cluster_of_the_dump(loss: Loss) -> None:
    options = {"data_directory": "/var/lib/postgresql/15/copy", "port": _COPY_PORT}
    played = loss.restore("shop/main/logical", options=options)
    assert played.status == 0, played.output
    assert "runs on second" in played.output
    assert rows(loss.second, port=_COPY_PORT) == loss.rows
    assert loss.second.run("psql -XAtc 'SELECT datname FROM pg_database'", user="postgres").split() == [
        "postgres",
        "template1",
        "template0",
    ]


def test_postgresql_comes_back_in_place_and_survives_a_reboot(loss: Loss) -> None:
    identity = "psql -XAtc 'SELECT system_identifier FROM pg_control_system()'"
    own = loss.second.run(identity, user="postgres")
    options = {"data_directory": DATA}
    played = loss.restore(
        "shop/main/base", options=options, lifeboat_restore_in_place=True, lifeboat_restore_confirm=DATA
    )
    assert played.status == 0, played.output
    assert PASSWORD not in played.output
    assert rows(loss.second) == loss.rows
    assert loss.second.run(identity, user="postgres") != own
    assert loss.second.run("systemctl is-active postgresql@15-main") == "active\n"
    loss.second.reboot()
    assert rows(loss.second) == loss.rows
    assert loss.second.run("pg_lsclusters -h | awk '$2 == \"main\" { print $4 }'") == "online\n"


def test_the_first_host_was_not_there_all_the_while(loss: Loss) -> None:
    assert loss.fleet["first"].attempt("true").returncode != 0
    assert loss.second.attempt("timeout 3 bash -c 'exec 3<>/dev/tcp/first/22'").returncode == 124
