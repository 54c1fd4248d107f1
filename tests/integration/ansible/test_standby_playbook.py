# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``standby.yml`` on real servers: a replica of Redis and a member of MongoDB are made from what is described."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import typing as t

import pytest
import yaml

from sandbox.mongod import MongoServer, hello
from sandbox.mongodb import MongoReplicaSet
from sandbox.redis import RedisServer
from tests.integration.ansible.plays import Json, Played, run_playbook

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Site:
    directory: pathlib.Path
    home: MongoReplicaSet
    far: MongoServer
    cache: RedisServer
    copy: RedisServer

    def inventory(self) -> pathlib.Path:
        backup = {"repositories": ["local"], "keep": {"within": "7d"}}
        elsewhere = {"region": "south", "inventory_host": "south1"}
        store = {
            "name": "store",
            "engine": "mongodb",
            "connection": {"uri": self.home.uri},
            "standbys": [
                {
                    "name": "far",
                    **elsewhere,
                    "connection": {"uri": self.far.uri},
                    "member": self.far.address,
                    "rights": {"priority": 0, "votes": 0, "hidden": True},
                }
            ],
            "backups": [{"kind": "full", **backup}],
        }
        cache = {
            "name": "cache",
            "engine": "redis",
            "connection": {"host": "127.0.0.1", "port": self.cache.port},
            "standbys": [{"name": "copy", **elsewhere, "connection": {"port": self.copy.port}}],
            "backups": [{"kind": "rdb", **backup}],
        }
        regions = [{"name": "north", "role": "primary"}, {"name": "south", "role": "standby"}]
        description: Json = {
            "lifeboat_services": [{"name": "shop", "regions": regions, "sources": [store, cache]}],
            "lifeboat_repositories": {"local": {"type": "file", "path": str(self.directory / "local")}},
        }
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "standby_python": sys.executable,
        }
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": {"north1": description, "south1": {}}, "vars": variables}}))
        return path

    def play(self, *more: str) -> Played:
        return run_playbook(self, "--inventory", str(self.inventory()), *more, playbook="playbooks/standby.yml")


@pytest.fixture
def site(tmp_path: pathlib.Path) -> t.Iterator[Site]:
    with (
        MongoReplicaSet() as home,
        MongoServer(replica_set=home.name) as far,
        RedisServer() as cache,
        RedisServer() as copy,
    ):
        yield Site(directory=tmp_path, home=home, far=far, cache=cache, copy=copy)


def test_described_standbys_follow_and_a_server_with_data_of_its_own_is_refused(site: Site) -> None:
    with site.home.client(w="majority") as client:
        client.shop.orders.insert_one({"_id": 1})
    site.cache.client().set("answer", 42)
    site.copy.client().set("mine", 1)

    refused = site.play()
    assert refused.status != 0, refused.output
    assert "following another one would throw its 1 keys away" in " ".join(refused.output.split())
    assert site.copy.client().get("mine") == b"1"

    site.copy.client().flushall()
    before = site.play("--check")
    assert before.status == 0, before.output
    assert site.copy.client().info("replication")["role"] == "master"

    made = site.play()
    assert made.status == 0, made.output
    assert site.copy.client().info("replication")["role"] == "slave"
    assert site.copy.client().get("answer") == b"42"
    assert hello(site.far).get("secondary") is True
    with site.home.client() as client:
        members = client.admin.command("replSetGetConfig")["config"]["members"]
    (there,) = [one for one in members if one["host"] == site.far.address]
    assert (there["priority"], there["votes"], there["hidden"]) == (0, 0, True)

    again = site.play()
    assert again.status == 0
    assert "changed=0" in again.output
