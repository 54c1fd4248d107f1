# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``dr_failover.yml`` on a real replica set: its member in the other region takes over when all others are lost."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from sandbox.mongodb import MongoReplicaSet
from tests.integration.ansible.plays import PASSWORD, Json, Played, run_playbook
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Site:
    """North has the first two members, south the third."""

    directory: pathlib.Path
    servers: MongoReplicaSet

    def connection(self) -> Json:
        path = self.directory / "uri"
        path.touch(mode=0o600)
        path.write_text(self.servers.uri)
        return {"uri_file": str(path), "server_selection_timeout": 3}

    def inventory(self) -> str:
        _first, near, far = (node.address for node in self.servers.nodes)
        shared: Json = {"connection": self.connection()}
        source = {
            **shared,
            "name": "db",
            "engine": "mongodb",
            # Those that are stopped already need no command that stops them.
            "service_control": {"stop_command": "false", "start_command": "false"},
            "standbys": [
                {**shared, "name": "near", "region": "north", "inventory_host": "north2", "member": near},
                {**shared, "name": "far", "region": "south", "inventory_host": "south1", "member": far},
            ],
            "backups": [{"kind": "full", "repositories": ["local"], "keep": {"within": "7d"}}],
        }
        service = {
            "name": "family",
            "objectives": {"rpo": "1h", "rto": "10m"},
            "regions": [
                {"name": "north", "role": "primary", "hosts": ["north1", "north2"]},
                {"name": "south", "role": "standby", "hosts": ["south1"]},
            ],
            "sources": [source],
        }
        (self.directory / "local").mkdir(exist_ok=True)
        description = {
            "lifeboat_services": [service],
            "lifeboat_repositories": {"local": {"type": "file", "path": str(self.directory / "local")}},
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }
        everywhere = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "lifeboat_cron_directory": str(self.directory / "cron.d"),
        }
        hosts: Json = {"north1": description, "north2": {}, "south1": {}}
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": everywhere}}))
        return str(path)

    def play(self, *more: str, **variables: t.Any) -> Played:
        words = json.dumps({"lifeboat_failover": "family", **variables})
        arguments = ["--inventory", self.inventory(), "-e", words, *more]
        return run_playbook(self, *arguments, playbook="dr_failover.yml", seconds=300)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> t.Iterator[Site]:
    with MongoReplicaSet(members=3, password=PASSWORD) as servers:
        yield Site(directory=tmp_path, servers=servers)


def flat(played: Played) -> str:
    return " ".join(played.output.split())


@pytest.mark.long
def test_the_member_of_the_other_region_takes_over_a_set_that_has_lost_its_majority(site: Site) -> None:
    first, near, far = site.servers.nodes
    with site.servers.client(w=3) as client:
        client.shop.ledger.insert_many([{"_id": number} for number in range(200)])
    whole = site.play("--check")
    assert whole.status == 0, whole.output
    assert "the primary hands over to far on south1" in flat(whole)
    assert "cut-db" not in whole.output

    first.kill()
    near.kill()
    with far.client() as client:
        gone = {first.address, near.address}

        def lost() -> bool:
            said = client.admin.command("replSetGetStatus")["members"]
            return gone <= {one["name"] for one in said if not one["health"]}

        wait_for(lost)
    checked = site.play("--check")
    assert checked.status == 0, checked.output
    assert f"{first.address}, {near.address} leave it" in flat(checked)
    _before, _found, rest = checked.output.partition("The plan's SHA-256: ")
    evidence_file = site.directory / "evidence.json"
    played = site.play(lifeboat_confirm=rest[:12], lifeboat_evidence=str(evidence_file))
    assert played.status == 0, played.output

    with far.client(w="majority") as client:
        assert client.admin.command("hello")["isWritablePrimary"]
        assert client.shop.ledger.count_documents({}) == 200
        client.shop.ledger.insert_one({"_id": "of south"})
    evidence = json.loads(evidence_file.read_text())
    assert [step["name"] for step in evidence["steps"]][-2:] == ["cut-db", "promote-db"]
    db = evidence["sources"]["db"]
    assert (db["by"], db["fenced"], db["writes_proven"]) == ("force", {"proven": True, "method": "host"}, True)
    assert "optime" in db["stated"]["statement"]
    assert "what the lost members had written after" in db["lost"]["statement"]
    assert PASSWORD not in played.output
