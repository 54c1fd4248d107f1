# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job of the description to its dump on a server and back, as people type it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.restoring import fingerprint, own_names
from tests.support.command_line import CommandLine

pytestmark = pytest.mark.slow

JOB = "shop/main/full"


@pytest.fixture
def lifeboat(replica_set: MongoReplicaSet, tmp_path: Path) -> t.Iterator[CommandLine]:
    """The command with one source, whose database is there and backed up once."""
    (tmp_path / "uri").write_text(replica_set.uri)
    description = {
        "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
        "lifeboat_repositories": {"it": {"type": "file", "path": str(tmp_path / "repository"), "create": True}},
        "lifeboat_services": [
            {
                "name": "shop",
                "objectives": {"rpo": "1d", "rto": "2h"},
                "sources": [
                    {
                        "name": "main",
                        "engine": "mongodb",
                        "connection": {"uri_file": str(tmp_path / "uri")},
                        "backups": [
                            {
                                "kind": "full",
                                "schedule": "0 2 * * *",
                                "repositories": ["it"],
                                "keep": {"count": 7},
                                "options": {"database": "sold"},
                            }
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "lifeboat.yml"
    path.write_text(yaml.safe_dump(description))
    with replica_set.client() as client:
        client.drop_database("sold")
        client.sold.orders.insert_many({"_id": number, "price": number} for number in range(100))
        client.sold.orders.create_index("price")
        client.sold.create_collection("dear", viewOn="orders", pipeline=[{"$match": {"price": {"$gt": 90}}}])
        command = CommandLine(configuration=path)
        command(f"backup {JOB} --quiet").succeeded()
        yield command
        for name in ("sold", "sold_recovery"):
            client.drop_database(name)


def restored(lifeboat: CommandLine, *more: str) -> dict[str, t.Any]:
    said = lifeboat(f"restore {JOB} --json --point newest --quiet", *more).succeeded()
    found: dict[str, t.Any] = said.document["restore"]
    return found


@pytest.mark.smoke
def test_beside_production_and_gone_again(lifeboat: CommandLine, client: t.Any) -> None:
    plan = lifeboat(f"restore {JOB} --point newest --dry-run -o suffix=_recovery").succeeded().out
    assert "sold_recovery" in plan
    assert "sold_recovery" not in client.list_database_names(), "a plan changes nothing"
    result = restored(lifeboat, "-o", "suffix=_recovery")
    assert result["content"]["documents"] == 100
    [forecast] = lifeboat("list --json").succeeded().document["forecasts"]
    assert forecast["forecast"]["count"] == 1
    assert client.sold_recovery.dear.count_documents({}) == 9
    assert client.sold.orders.count_documents({}) == 100
    lifeboat(f"restore {JOB} --point newest --quiet -o suffix=_recovery").refused(
        "restore.target_invalid", hint="in_place"
    )
    assert client.sold_recovery.orders.count_documents({}) == 100
    lifeboat("restore --roll-back", result["id"], "--quiet", "--confirm", result["target"]).succeeded()
    assert "sold_recovery" not in client.list_database_names()


@pytest.mark.smoke
def test_in_place_needs_the_name_and_can_be_taken_back(lifeboat: CommandLine, client: t.Any) -> None:
    client.sold.orders.delete_many({"_id": {"$gt": 10}})
    client.sold.orders.insert_one({"_id": "after the accident"})
    damaged = fingerprint(client)
    refused = lifeboat(f"restore {JOB} --json --point newest --quiet --in-place")
    error = json.loads(refused.out)["error"]
    assert error["code"] == "restore.confirmation_missing"
    name = error["details"]["replaces"]
    assert "127.0.0.1" in name
    assert fingerprint(client) == damaged

    first = restored(lifeboat, "--in-place", "--confirm", name)
    assert client.sold.orders.count_documents({}) == 100
    assert len(first["aside"]) == 2
    lifeboat("restore --roll-back", first["id"], "--quiet").refused("restore.confirmation_missing")
    lifeboat("restore --roll-back", first["id"], "--quiet", "--confirm", name).succeeded()
    assert fingerprint(client) == damaged

    second = restored(lifeboat, "--in-place", "--confirm", name, "-o", "parallel=2")
    lifeboat("restore --discard", second["id"], "--quiet", "--confirm", name).succeeded()
    assert own_names(client) == []
    assert client.sold.orders.count_documents({}) == 100
    lifeboat("restore --roll-back", second["id"], "--quiet", "--confirm", name).refused("restore.ledger_invalid")


def test_one_collection(lifeboat: CommandLine, client: t.Any) -> None:
    result = restored(lifeboat, "-o", "collections=[sold.orders]", "-o", "rename={sold: sold_recovery}")
    assert client.sold_recovery.list_collection_names() == ["orders"]
    assert "sold_recovery.orders at" in result["target"]
    [forecast] = lifeboat("list --json").succeeded().document["forecasts"]
    assert forecast["forecast"] is None, "how long one collection takes says nothing of the whole"
