# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/dr_drill.yml`` beside two real regions that people use: it is killed, measures, leaves nothing."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import tempfile
import typing as t

import pytest

from sandbox.bind import Key, NameServer, Zone
from sandbox.mongodb import MongoReplicaSet
from sandbox.parts import MONGOD, find_mongod, require
from sandbox.process import processes_inside
from tests.integration.ansible.plays import PASSWORD, Json, Played, play_until, run_playbook
from tests.integration.ansible.region_site import Regions, two_regions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLAYBOOK = "playbooks/dr_drill.yml"


NAME, DRILL_NAME = "www.example.org", "www.drill.example.org"
ZONES = {"example.org": ("www 3 IN A 192.0.2.1",), "drill.example.org": ("www 3 IN A 203.0.113.9",)}


@pytest.fixture
def names(tmp_path: pathlib.Path) -> t.Iterator[NameServer]:
    """It serves the name that people use, and the one of drills; the key may change both."""
    key = Key("lifeboat")
    (tmp_path / "dns.key").write_text(key.text)
    zones = [
        Zone(zone, records, f"update-policy {{ grant {key.name} name www.{zone} A; }}")
        for zone, records in ZONES.items()
    ]
    with NameServer(zones=zones, keys=[key]) as server:
        yield server


@pytest.fixture
def documents() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(password=PASSWORD) as servers:
        with servers.client() as client:
            client.shop.baskets.insert_many([{"_id": number} for number in range(20)])
        yield servers


@pytest.fixture
def regions(tmp_path: pathlib.Path, names: NameServer, documents: MongoReplicaSet) -> t.Iterator[Regions]:
    with two_regions(tmp_path) as pair:
        checks: list[Json] = [
            {"name": "answers", "standby_reachable": "far"},
            {
                "name": "difference",
                "source": "main",
                "question": {
                    "name": "rows",
                    "database": "postgres",
                    "sql": "select count(*) from ledger",
                    "within_count_of": {"reference": "primary", "count": 9},
                },
            },
        ]
        exercise = {"name": "monthly", "kind": "disaster_recovery_test", "schedule": "0 5 1 * *", "checks": checks}
        name: Json = {
            "name": "api.example.org",
            "type": "A",
            "ttl": 60,
            "zone": "example.org",
            "provider": "command",
            "command": f"touch {tmp_path}/moved",
            "try_command": "true",
            "nameservers": ["127.0.0.1:1"],
            "values": {"north": ["192.0.2.1"], "south": ["192.0.2.2"]},
        }
        moved: Json = {
            **{key: name[key] for key in ("type", "ttl", "values")},
            "name": NAME,
            "zone": "example.org",
            "drill": {"name": DRILL_NAME, "zone": "drill.example.org"},
            "provider": "rfc2136",
            "server": names.uri,
            "key_file": str(tmp_path / "dns.key"),
            "nameservers": [names.uri],
        }
        around = {"exercises": [exercise], "dns": [name, moved]}
        kept: Json = {"repositories": ["local"], "keep": {"within": "7d"}}
        own: Json = {"connection": {"paths": [str(pair.north.environment)]}}
        conf = {
            **own,
            "name": "conf",
            "engine": "files",
            "spares": [{**own, "name": "far-conf", "region": "south", "inventory_host": "south1"}],
            "backups": [{"kind": "config", **kept}],
        }
        dump = {
            "name": "dump",
            "engine": "postgresql",
            "connection": pair.connection(pair.primary),
            "backups": [{"kind": "logical", "options": {"databases": ["postgres"]}, **kept}],
            "verify": {"level": 3},
        }
        uri = tmp_path / "uri"
        uri.touch(mode=0o600)
        uri.write_text(documents.uri)
        baskets = {"name": "baskets", "count": {"database": "shop", "collection": "baskets"}, "equals": 20}
        mongod = str(require(find_mongod(), MONGOD))
        shop = {
            "name": "shop",
            "engine": "mongodb",
            "connection": {"uri_file": str(uri)},
            "backups": [{"kind": "full", **kept}],
            "verify": {"level": 4, "questions": [baskets], "options": {"mongod": mongod, "cache_megabytes": 256}},
        }
        found = dataclasses.replace(pair, around=around, main={"verify": {"level": 3}}, more=[conf, dump, shop])
        found.lifeboat("backup adhd/main adhd/conf adhd/dump adhd/shop --quiet").succeeded()
        found.lifeboat("verify adhd/main --quiet").succeeded()
        yield found
        shutil.rmtree(room(found), ignore_errors=True)


def room(regions: Regions) -> pathlib.Path:
    """Where PostgreSQL's account can enter, which it can't in a test's own folder."""
    return pathlib.Path(tempfile.gettempdir()) / f"lifeboat-drill-{regions.primary.port}"


def arguments(regions: Regions, **variables: t.Any) -> list[str]:
    words = {
        "lifeboat_drill_of": "adhd",
        "lifeboat_drill_directory": str(room(regions)),
        "lifeboat_repository": "local",
        **variables,
    }
    return ["--inventory", str(regions.inventory()), "-e", json.dumps(words)]


def play(regions: Regions, **variables: t.Any) -> Played:
    return run_playbook(regions, *arguments(regions, **variables), playbook=PLAYBOOK, seconds=600)


def flat(played: Played) -> str:
    return " ".join(played.output.split())


def drills(regions: Regions) -> list[list[str]]:
    """The events of each drill's ledger."""
    runs = sorted((regions.local / "adhd/.failover").glob("drill-*"))
    return [[json.loads(path.read_text())["event"] for path in sorted(run.glob("[0-9]*.json"))] for run in runs]


def results(regions: Regions, run: str) -> dict[str, Json]:
    """What came of each step of a drill, by its ledger."""
    paths = (regions.local / "adhd/.failover" / run).glob("[0-9]*.json")
    entries = [json.loads(path.read_text()) for path in sorted(paths)]
    return {one["step"]: one["data"] for one in entries if one["event"] == "done"}


@pytest.mark.long
def test_a_drill_restores_asks_measures_and_leaves_nothing_though_one_before_it_was_killed(
    regions: Regions, names: NameServer, documents: MongoReplicaSet
) -> None:
    drill = room(regions) / "adhd"
    # What keeps a drill from its work is the same with fewer sources, and is sooner found out.
    few = dataclasses.replace(regions, more=regions.more[:1])
    for wrong, why in (
        ({"lifeboat_drill_port": regions.primary.port}, "is production's"),
        ({"lifeboat_drill": False}, "says that it is none"),
    ):
        refused = play(few, **wrong)
        assert refused.status != 0
        assert why in flat(refused), refused.output
    assert drills(regions) == []
    assert not drill.exists()

    # Killed while servers of it run.
    play_until(few, *arguments(few), playbook=PLAYBOOK, reached=lambda: bool(processes_inside(drill)))
    assert processes_inside(drill)

    before = (
        regions.primary.query("SELECT pg_postmaster_start_time()"),
        regions.standby.query("SELECT system_identifier FROM pg_control_system()"),
    )
    busy = play(few)
    assert busy.status != 0
    assert "has drill-0001 open" in flat(busy)
    cleaned = play(few, lifeboat_clean=True)
    assert cleaned.status == 0, cleaned.output
    assert processes_inside(drill) == []
    assert not drill.exists()
    assert drills(regions)[0][-1] == "abandoned"

    evidence_file = regions.directory / "evidence.json"
    played = play(regions, lifeboat_evidence=str(evidence_file))
    assert played.status == 0, played.output
    evidence = json.loads(evidence_file.read_text())
    assert (evidence["kind"], evidence["run"], evidence["state"]) == ("drill", "drill-0002", "complete")
    assert [one["name"] for one in evidence["steps"]] == [
        "restore-main",
        "ask-main",
        "restore-cache",
        "ask-cache",
        "restore-conf",
        "restore-dump",
        "restore-shop",
        "look-api-south-south1",
        "dns-api.example.org-A",
        f"dns-{NAME}-A",
        f"dns-back-{NAME}-A",
        "check-monthly-answers",
        "check-monthly-difference",
    ]
    assert evidence["checks"] == {"check-monthly-answers": True, "check-monthly-difference": True}
    assert evidence["objectives"]["rto_met"] is True
    assert evidence["objectives"]["rpo_met"] is True
    assert evidence["recovery_seconds"] > 0
    assert evidence["sources"]["main"]["restored"]

    # What has no server of its own in a drill is restored as its verification does it.
    done = results(regions, "drill-0002")
    assert [done[f"restore-{name}"]["level"] for name in ("conf", "dump", "shop")] == [4, 3, 4]
    # The drill's name went there and back, by updates that the server took; the other one was never touched.
    there, back = done[f"dns-{NAME}-A"], done[f"dns-back-{NAME}-A"]
    assert [(one["name"], one["changed"], one["proven"]) for one in (there, back)] == [(DRILL_NAME, True, True)] * 2
    assert there["before"]["values"] == ["203.0.113.9"]
    assert (there["after"]["values"], back["before"]["values"]) == (["192.0.2.2"], ["192.0.2.2"])
    assert names.says(DRILL_NAME) == ["192.0.2.1"]
    assert (names.says(NAME), names.serial("example.org")) == (["192.0.2.1"], 1)

    # Nothing of it is left, and nothing of production was touched.
    assert processes_inside(drill) == []
    assert not drill.exists()
    after = (
        regions.primary.query("SELECT pg_postmaster_start_time()"),
        regions.standby.query("SELECT system_identifier FROM pg_control_system()"),
    )
    assert before == after
    assert regions.standby.query("SELECT pg_is_in_recovery()") == [(True,)]
    assert regions.north.is_well()
    assert "DATABASE_PORT=1\n" in regions.south.environment.read_text()
    with regions.cache.client() as client:
        assert client.get("later") == b"1"
    with documents.client() as mongo:
        assert mongo.shop.baskets.count_documents({}) == 20
    assert not (regions.directory / "moved").exists()
    # A failover is not kept by any of it.
    assert regions.entries() == []

    # Readiness knows that it was practised, and that the name could not be moved with what is there now.
    regions.around["dns"][0]["try_command"] = "false"
    told = regions.directory / "readiness.json"
    words = {"lifeboat_service": "adhd", "lifeboat_repository": "local", "lifeboat_readiness_json": str(told)}
    looked = run_playbook(
        regions,
        *("--inventory", str(few.inventory()), "-e", json.dumps(words)),
        playbook="playbooks/dr_readiness.yml",
        seconds=600,
    )
    assert looked.status == 0, looked.output
    codes = {one["code"]: one for one in json.loads(told.read_text())["findings"]}
    assert not [code for code in codes if code.startswith("exercise")], codes
    assert codes["dns.rights"]["about"] == "api.example.org A"
    assert not (regions.directory / "moved").exists()
