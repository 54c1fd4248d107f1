# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``dr_failover.yml`` on two real regions: one is lost; the play is killed, resumed, refused, and carried out."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing as t

import psycopg2
import pytest
import redis

from tests.integration.ansible.plays import PASSWORD, Played
from tests.integration.ansible.region_site import Regions, Writer, two_regions
from tests.support.lease_holder import LEASE, control_of, lease_holder, standby_by
from tests.support.told_servers import WebServer
from tests.support.waiting import wait_for

STEPS = [
    "freeze-north1",
    "fence-main",
    "cut-cache",
    "promote-main",
    "verify-main",
    "restore-cache",
    "rewire-api-south-south1",
    "health-api-south-south1",
    "watch",
    "backup-main",
]


@pytest.fixture
def regions(tmp_path: pathlib.Path) -> t.Iterator[Regions]:
    with two_regions(tmp_path) as found:
        yield found


def flat(played: Played) -> str:
    return " ".join(played.output.split())


@pytest.mark.long
def test_a_lost_region_is_left_though_the_play_is_killed_and_two_people_are_at_it(regions: Regions) -> None:
    writer = Writer(regions.primary)
    while len(writer.acknowledged) < 200:
        pass
    regions.lose_north()
    acknowledged = writer.join()

    word = {"lifeboat_accept_data_loss": True}
    checked, confirm = regions.planned(**word)
    assert checked.status == 0, checked.output
    assert "adhd leaves north and enters south." in flat(checked)
    assert "its standby far on south1 is promoted; may lose" in flat(checked)
    assert "is restored to far-cache on south1; all after" in flat(checked)
    assert regions.entries() == []

    # The same plan, made again, has the same hash: what was read is what runs.
    word |= {"lifeboat_confirm": confirm, "lifeboat_operator": "ada"}
    regions.play_until("promote-main", **word)
    other = regions.play(**{**word, "lifeboat_operator": "grace"})
    assert other.status != 0
    assert "ada on " in flat(other)
    assert "has run-0001 open since" in flat(other)

    evidence_file = regions.directory / "evidence.json"
    played = regions.play(**word, lifeboat_resume="run-0001", lifeboat_evidence=str(evidence_file))
    assert played.status == 0, played.output
    assert regions.finished() == STEPS
    assert "Stop it for good on its host" not in played.output, "what was finished is not done again"
    assert "Promote far" in played.output
    assert regions.entries()[-1]["event"] == "closed"

    # Who is primary, and which acknowledged writes are there: all but those that were counted as lost.
    evidence = json.loads(evidence_file.read_text())
    assert regions.standby.query("SELECT pg_is_in_recovery()") == [(False,)]
    there = {row[0] for row in regions.standby.query("SELECT id FROM ledger")}
    missing = [number for number in acknowledged if number not in there]
    assert len(missing) <= evidence["sources"]["main"]["lost"]["commits"]
    assert missing == acknowledged[len(acknowledged) - len(missing) :], "what is lost is the end"

    # The cache is that of its backup, the application uses both, and what was stopped stays so.
    with regions.spare.client() as client:
        assert client.get("key:49") == b"49"
        assert client.get("later") is None
    assert regions.south.is_well()
    assert f"DATABASE_PORT={regions.standby.port}\n" in regions.south.environment.read_text()
    assert f"CACHE_PORT={regions.spare.port}\n" in regions.south.environment.read_text()
    assert [path.name for path in regions.tables.iterdir()] == ["lifeboat-adhd.frozen"]

    assert (evidence["state"], evidence["from"], evidence["to"]) == ("complete", "north", "south")
    assert evidence["sources"]["main"]["fenced"] == {"proven": True, "method": "host"}
    assert evidence["sources"]["cache"]["fenced"] == {"proven": True, "method": "host"}
    fence = next(one["data"] for one in regions.entries() if (one["event"], one["step"]) == ("done", "fence-main"))
    assert fence["tried"] == ["power: it had not ended after 2 s, and was killed (status 124)"]
    assert evidence["objectives"]["rto_met"] is True
    assert 0 < evidence["healthy_seconds"] <= evidence["recovery_seconds"]
    assert all(step["result_sha256"] for step in evidence["steps"])
    assert PASSWORD not in played.output + "".join(path.read_text() for path in regions.local.rglob("*.json"))

    # The old primary comes back, and takes nothing.
    regions.primary.start()
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        regions.primary.query("INSERT INTO ledger VALUES (1)")


@pytest.mark.long
def test_what_is_not_well_gets_no_names_and_what_can_not_be_is_refused_before_anything_is_touched(
    regions: Regions, request: pytest.FixtureRequest
) -> None:
    """North lives, and its cache has a replica in south: nothing is lost that was acknowledged."""
    with regions.spare.client() as client:
        client.replicaof("127.0.0.1", regions.cache.port)
        wait_for(lambda: client.get("later") == b"1")
    replica = {
        "name": "copy",
        "region": "south",
        "inventory_host": "south1",
        "connection": {"port": regions.spare.port},
    }
    name = {
        "name": "api.example.org",
        "type": "A",
        "ttl": 60,
        "zone": "example.org",
        "provider": "command",
        "command": f"touch {regions.directory}/moved",
        "nameservers": ["127.0.0.1:1"],
        "values": {"north": ["192.0.2.1"], "south": ["192.0.2.2"]},
    }
    web = WebServer()
    request.addfinalizer(web.stop)
    channels = [
        {"name": "page", "webhook": {"url": web.url, "body": {"title": "{title}", "text": "{text}"}}},
        {"name": "dead", "webhook": {"url": "http://127.0.0.1:9/x", "timeout": "1s"}},
    ]
    told = {"audience": "operators", "channels": ["dead", "page"], "events": ["failed"]}
    around = {"dns": [name], "notifications": {"channels": channels}, "communication": {"announcements": [told]}}
    regions = dataclasses.replace(regions, cached={"spares": [], "standbys": [replica]}, around=around)
    nowhere = dataclasses.replace(
        regions, cached={"spares": [], "standbys": []}, main={"fencing": {"command": "false"}}
    )
    refused = nowhere.play(lifeboat_confirm="000000000000")
    assert refused.status != 0
    assert "cache: it has no standby and no spare in south" in flat(refused), refused.output
    assert regions.entries() == []
    assert regions.north.is_well()

    # While it is stopped, the primary goes on to other segments, and lets go of what the standby had when it was asked.
    statements = ["INSERT INTO ledger VALUES (1)", "SELECT pg_switch_wal()", "INSERT INTO ledger VALUES (2)"]
    with (regions.north.folder / "stop").open("a") as stop:
        for statement in [*statements, "SELECT pg_switch_wal()", "SELECT pg_sleep(3)", "CHECKPOINT", "CHECKPOINT"]:
            stop.write(f"PGPASSWORD={PASSWORD} {regions.primary.bin_directory}/psql -X -h 127.0.0.1 ")
            stop.write(f"-p {regions.primary.port} -U postgres -c '{statement}'\n")

    # South's application does not get well: it can't reach what it is pointed at.
    (regions.south.folder / "application.py").write_text("raise SystemExit(1)\n")
    _checked, confirm = regions.planned()
    failed = regions.play(lifeboat_confirm=confirm, lifeboat_health_wait=4)
    assert failed.status != 0
    assert "health-api-south-south1 failed" in flat(failed)
    moved = ["promote-cache" if step == "restore-cache" else step for step in STEPS]
    finished = [step for step in regions.finished() if step != "announce-began"]
    assert finished == moved[: moved.index("health-api-south-south1")]
    # The operators know, though one of their channels is dead; and what failed is what the play ends with.
    assert [call.document["title"] for call in web.calls] == ["Moving adhd to south has stopped"]
    assert "operators by dead" in flat(failed)
    assert regions.entries()[-1]["event"] == "failed"
    assert "dns-api.example.org" in [step["name"] for step in regions.entries()[0]["data"]["plan"]["steps"]]
    assert not (regions.directory / "moved").exists()
    # A living primary that is stopped in order has sent everything.
    fence = next(one["data"] for one in regions.entries() if (one["event"], one["step"]) == ("done", "fence-main"))
    assert fence["loss"]["commits"] == 0, fence
    assert not regions.cut_off.exists(), "what is proved is not done by another way, too"
    assert not regions.north.is_well()
    with regions.spare.client() as client, regions.cache.client() as old:
        assert (client.role()[0], client.get("later")) == (b"master", b"1")
        with pytest.raises(redis.exceptions.ReadOnlyError):
            old.set("written", "there")

    given_up = regions.play(lifeboat_resume="run-0001", lifeboat_abandon=True)
    assert given_up.status == 0, given_up.output
    assert regions.entries()[-1]["event"] == "abandoned"


_ROLE = """\
- name: Point it at the database
  ansible.builtin.lineinfile:
    path: "{{ %(file)s }}"
    regexp: ^DATABASE_PORT=
    line: "DATABASE_PORT={{ lifeboat_moved.databases.main.port }}"
- name: Say for whom
  ansible.builtin.copy:
    content: "{{ lifeboat_moved | to_json }}"
    dest: "%(told)s"
    mode: "0600"
"""


def test_a_living_primary_gives_way_when_its_lease_is_taken(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks its host: who renews the lease stops it, in order, so nothing is lost. A role of the user's points
    the application there.
    """
    leased = {
        "data_directory": str(regions.primary.data_directory),
        "methods": [{"witness": {"repository": "local", "lease": LEASE}}, {"command": f"touch {regions.cut_off}"}],
    }
    api = regions.south.described_in("south")
    by_role = {**api, "role": "point_api", "wiring": [one for one in api["wiring"] if one["source"] == "cache"]}
    regions = dataclasses.replace(
        regions,
        main={"fencing": leased, "service_control": control_of(regions.primary)},
        around={"applications": [regions.north.described_in("north"), by_role]},
    )
    checked = regions.play("--check", lifeboat_accept_data_loss=True)
    assert "Nothing was changed -- the role point_api of api-south is not there" in flat(checked), checked.output
    tasks, told = regions.directory / "roles" / "point_api" / "tasks", regions.directory / "told.json"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(_ROLE % {"file": f"'{regions.south.environment}'", "told": told})
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", str(tasks.parent.parent))
    configuration, gate = regions.lifeboat.configuration, regions.directory / "held"
    with lease_holder(configuration, host="north1", by=standby_by(regions.primary), gate=gate) as holder:
        wait_for(gate.exists, what="the lease")
        regions.primary.query("INSERT INTO ledger VALUES (501)")
        checked, confirm = regions.planned(lifeboat_accept_data_loss=True)
        assert "restart, api-south on south1, by your role point_api." in flat(checked), checked.output
        played = regions.play(lifeboat_accept_data_loss=True, lifeboat_confirm=confirm)
        assert played.status == 0, played.output
        assert holder.wait(60) == 1
    fence = next(one["data"] for one in regions.entries() if (one["event"], one["step"]) == ("done", "fence-main"))
    assert (fence["proven"], fence["method"], fence["witness"]["state"]) == (True, "witness", "released")
    assert not regions.cut_off.exists(), "what is proved is not done by another way, too"
    assert regions.standby.query("SELECT pg_is_in_recovery(), count(*) FROM ledger") == [(False, 501)]
    with pytest.raises(psycopg2.OperationalError):
        regions.primary.query("SELECT 1")
    assert regions.south.is_well()
    assert f"DATABASE_PORT={regions.standby.port}\n" in regions.south.environment.read_text()
    address = {"host": "127.0.0.1", "port": regions.standby.port}
    heard = json.loads(told.read_text())
    assert heard.pop("databases")["main"] == address
    assert heard == {"service": "adhd", "application": "api-south", "host": "south1", "run": "run-0001"}
