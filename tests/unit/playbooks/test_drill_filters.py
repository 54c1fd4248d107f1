# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/dr_drill.yml`` decides on the controller."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from tests.support.clocks import START, FakeClock
from tests.unit.playbooks.test_failover_filters import GROUPS, described

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible_collections.lifeboat.recovery.plugins.filter.drill_play import (
    drill_asked,
    drill_compared,
    drill_judged,
    drill_objections,
    drill_places,
    drill_plan,
    drill_planned,
    drill_report,
    drill_restoring,
    drill_stale,
    drill_standby,
    drillable,
)

Json = dict[str, t.Any]


def target(*, mounted: str = "", **changes: t.Any) -> Json:
    data = described(**changes)
    (found,) = drillable(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        None,
        "shop",
        host="db1",
        groups=GROUPS,
        mounted=mounted,
    )
    return found


def named(found: Json, name: str) -> Json:
    return next(one for one in found["sources"] if one["name"] == name)


def test_each_source_is_practised_on_a_host_of_the_other_region_from_what_can_be_read_there() -> None:
    found = target()
    store, sessions = named(found, "store")["drill"], named(found, "sessions")["drill"]
    assert (store["how"], store["host"], store["latest"]) == ("server", "db2", False)
    assert [one["name"] for one in store["repositories"]] == ["offsite"]
    assert (sessions["how"], sessions["host"]) == ("server", "db2")
    assert named(found, "logs")["drill"] == {"how": "left"}
    assert [one["name"] for one in named(target(mounted="local"), "store")["drill"]["repositories"]] == ["local"]
    unknown = named(target(mounted="nowhere"), "store")["drill"]
    assert unknown["how"] == ""
    assert "nowhere" in unknown["why"]


def test_a_database_that_its_restore_starts_no_server_of_is_tried_as_it_is_verified() -> None:
    backup = {"kind": "full", "repositories": ["offsite"], "keep": {"within": "7d"}}
    connection = {"uri_file": "/etc/uri"}
    standby = {"name": "far", "region": "south", "inventory_host": "db2", "connection": connection}
    source = {"name": "db", "engine": "mongodb", "connection": connection, "standbys": [standby], "backups": [backup]}
    found = target(sources=[source], applications=[])
    db = named(found, "db")
    assert (db["drill"]["how"], db["drill"]["host"]) == ("scratch", "db2")
    assert db["drill"]["backups"]["kind"] == "full"
    assert drill_standby(found, "far")["engine"] == "mongodb"


def test_everything_of_production_is_known_wherever_it_is_described() -> None:
    name = {"name": "api.example.org", "type": "A", "ttl": 60, "zone": "example.org"}
    production = target(dns=[name])["production"]
    assert {5432, 5433, 6379} <= set(production["ports"])
    assert "/data" in production["folders"]
    assert {"api", "redis", "r"} <= set(production["units"])
    assert production["names"] == ["api.example.org"]
    step: Json = {"name": "restore-store", "kind": "drill_restore", "options": {"port": 5433}}
    assert "5433" in drill_objections(step, {"production": production})[0]
    assert drill_objections({**step, "options": {"port": 20000}}, {"production": production}) == []
    # Without anything that is known the kind counts all the same.
    assert "promises nothing" in drill_objections({"name": "one", "kind": "promote"}, {})[0]


def test_a_restore_of_a_drill_goes_to_its_own_place_and_takes_nothing_over() -> None:
    found = target()
    said = [{"lifeboat_place": "db2", "place": {"path": "/d/shop", "ports": [20000, 20001]}}]
    places = drill_places(said, found["sources"])
    assert places["store"]["data_directory"] == "/d/shop/store"
    assert {places["store"]["port"], places["sessions"]["port"]} == {20000, 20001}
    assert drill_places([{"lifeboat_place": "db2", "msg": "no answer"}], found["sources"]) == {}
    made = drill_restoring(named(found, "sessions"), found, places["sessions"], "b1")
    assert made["on"] == "db2"
    assert made["options"]["start"] is True
    assert "in_place" not in made["options"]
    assert "service_control" not in made["options"]
    assert made["choice"]["id"] == "b1"
    # A recovery takes the point or the backup, not both.
    store = named(found, "store")
    shipped = {**store, "drill": {**store["drill"], "latest": True}}
    made = drill_restoring(shipped, found, places["store"], "b1")
    assert (made["choice"]["id"], made["recover_to"]) == ("", {"latest": True})
    plan = {"backup": {"id": "b1", "started": "2026-11-21T01:58:00Z"}}
    planned = drill_plan(found, {"store": {"plan": plan}, "sessions": {"plan": plan}}, places, clock=FakeClock())
    assert planned["refusals"] == []
    assert any("port 20000" in line for line in planned["text"])
    assert drill_planned({"plan": plan}, "server") == plan
    assert drill_planned({"plan": [{"backup": "20261121T020000Z-4f2c91"}]}, "scratch")["backup"]["started"] == (
        "2026-11-21T02:00:00Z"
    )


def test_what_was_restored_is_asked_and_compared_with_what_the_primary_says() -> None:
    found = target()
    (writes,) = drill_asked(named(found, "store"))["questions"]
    assert writes["name"] == "takes-writes"
    # Since PostgreSQL 15 an account of backups may make no table that stays.
    assert "create temporary table" in writes["sql"]
    question: Json = {
        "name": "users",
        "database": "shop",
        "sql": "select count(*) from users",
        "within_count_of": {"reference": "primary", "count": 9},
    }
    check: Json = {"name": "users", "source": "store", "question": question}
    assert drill_asked(named(found, "store"), check)["questions"] == [question]
    argv = drill_compared(named(found, "store"), check)
    assert argv[-2:] == ["-c", question["sql"]]
    assert "/var/run/postgresql" in argv
    assert drill_compared(named(found, "store"), {**check, "question": {**question, "within_count_of": None}}) == []

    def judged(there: str, primary: Json | None) -> str:
        asked = {"lifeboat_asked": {"question": question, "name": "users", "argv": ["x"]}, "rc": 0, "stdout": there}
        (told,) = drill_judged([asked], primary)
        return str(told["state"])

    assert judged("100", {"stdout": "109\n"}) == "passed"
    assert judged("100", {"stdout": "110\n"}) == "failed"
    assert judged("100", {"stdout": ""}) == "skipped"
    assert judged("100", None) == "skipped"


def test_the_monthly_checks_of_the_reference_service_are_made_and_nothing_of_it_is_named() -> None:
    data: Json = {}
    for path in (pathlib.Path(__file__).parents[3] / "inventories/adhd/group_vars/adhd").glob("*.yml"):
        data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    described = [data.get(key) for key in ("lifeboat_services", "lifeboat_repositories", "lifeboat_settings")]
    groups = {"all": ["adhd-primary", "adhd-standby", "adhd-dr"], "adhd": ["adhd-primary"]}
    groups |= {"adhd_standby": ["adhd-standby"], "adhd_dr": ["adhd-dr"]}
    (found,) = drillable(*described, "adhd", host="adhd-primary", groups=groups)
    said = [{"lifeboat_place": "adhd-dr", "place": {"path": "/d/adhd", "ports": [20000, 20001]}}]
    plan = {"plan": {"backup": {"id": "b1", "started": "2026-11-21T01:58:00Z"}}}
    places = drill_places(said, found["sources"])
    planned = drill_plan(found, {"main": plan, "cache": plan}, places, clock=FakeClock())
    assert planned["refusals"] == []
    checks = [one["options"]["check"] for one in planned["plan"]["steps"] if one["kind"] == "drill_check"]
    assert [one["name"] for one in checks] == ["dr-database", "dr-deployment", "users-differ-by-fewer-than-10"]
    assert "deploy-deployment-dr" in [one["name"] for one in planned["plan"]["steps"]]
    assert drill_standby(found, "dr-standby")["host"] == "adhd-dr"
    # Five minutes may be lost, so what was shipped since the backup is replayed as well.
    assert named(found, "main")["drill"]["latest"]


def test_a_drill_that_nobody_is_at_any_more_is_known_by_the_age_of_its_last_word() -> None:
    def stale(at: str, *, is_open: bool = True) -> bool:
        return drill_stale({"ledger": {"open": is_open, "entries": [{"at": at}]}}, clock=FakeClock(START))

    assert stale("2026-11-20T19:00:00Z")
    assert not stale("2026-11-20T21:00:00Z")
    assert not stale("2026-11-20T19:00:00Z", is_open=False)
    assert not drill_stale({"ledger": None})


def test_a_drill_is_told_with_what_it_measured() -> None:
    source = {"restored": True, "seconds": 2.5, "stated": {"statement": "ends at two"}}
    evidence: Json = {
        "run": "drill-0001",
        "service": "shop",
        "to": "south",
        "recovery_seconds": 41.5,
        "objectives": {"rto": "15m", "rpo": None, "rto_met": True, "rpo_met": None},
        "sources": {"store": source, "cache": {**source, "restored": False, "stated": {}}},
        "checks": {"check-monthly-users": False},
    }
    assert drill_report(evidence) == [
        "drill-0001: shop could run in south after 41.5 s of work.",
        "RTO 15m: met; RPO not set: nobody knows",
        "store: restored in 2.5 s; ends at two",
        "cache: NOT restored; nobody knows what would be lost",
        "check-monthly-users: FAILED",
    ]
