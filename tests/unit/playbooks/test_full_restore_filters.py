# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/full_restore.yml`` decides on the controller."""

from __future__ import annotations

import copy
import pathlib
import typing as t

import pytest
import yaml

from tests.support.clocks import FakeClock
from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.failover_play import following_step, restoring, source_of
from ansible_collections.lifeboat.recovery.plugins.filter.full_restore_play import (
    comes_back,
    restore_all_objections,
    restore_all_plan,
    restore_all_report,
)

Json = dict[str, t.Any]
ROOT = pathlib.Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "playbooks/examples").glob("*-config.yml"))
GROUPS = {"all": ["db1", "web1", "fresh1", "fresh2"], "northern": ["db1", "web1"]}
KEPT = {"keep": {"within": "7d"}}
STORE: Json = {
    "name": "store",
    "engine": "postgresql",
    "connection": {"host": "/var/run/postgresql"},
    "service_control": {"unit": "postgresql"},
    "fencing": {"data_directory": "/data"},
    "backups": [
        {"kind": "base", "schedule": "0 1 * * *", "repositories": ["local", "offsite"], **KEPT},
        {"kind": "wal", "triggers": ["continuous"], "repositories": ["offsite"], **KEPT},
    ],
}
SESSIONS: Json = {
    "name": "sessions",
    "engine": "redis",
    "connection": {"port": 6379},
    "service_control": {"unit": "redis"},
    "backups": [{"kind": "rdb", "repositories": ["local", "offsite"], **KEPT}],
}
SETTINGS: Json = {
    "name": "settings",
    "engine": "files",
    "connection": {"paths": ["/etc/shop"]},
    "backups": [{"kind": "config", "repositories": ["offsite"], **KEPT}],
}
LOGS: Json = {
    "name": "logs",
    "engine": "files",
    "connection": {"paths": ["/var/log"]},
    "backups": [{"kind": "static", "repositories": ["local"], **KEPT}],
}


NAME: Json = {"name": "shop.example.org", "ttl": 60}


def described(**changes: t.Any) -> Json:
    data = copy.deepcopy(description())
    data["lifeboat_services"] = [
        {
            "name": "shop",
            "objectives": {"rpo": "1h", "rto": "15m"},
            "regions": [
                {"name": "north", "role": "primary", "hosts": ["northern"]},
                {"name": "south", "role": "standby", "hosts": ["db2"]},
            ],
            "sources": [SETTINGS, SESSIONS, STORE, LOGS],
            "applications": [
                {"name": "api", "region": "north", "unit": "api", "health": {"path": "/health"}},
                {"name": "api-south", "region": "south", "unit": "api"},
                {"name": "pods", "region": "north", "kubernetes": {"deployment": "pods"}},
            ],
            "dns": [{**NAME, "type": "A"}, {**NAME, "type": "AAAA"}],
            **changes,
        }
    ]
    return data


def found(config: t.Any = None, *, host: str = "db1", **changes: t.Any) -> list[Json]:
    data = described(**changes)
    given = {"service": "shop", "host": "fresh1", "hosts": {"web1": "fresh1"}, "sources": {"logs": {"leave": True}}}
    return comes_back(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        None,
        {**given, **config} if isinstance(config, dict) else given if config is None else config,
        host=host,
        groups=GROUPS,
    )


def of(name: str, config: Json | None = None, **changes: t.Any) -> Json:
    (target,) = found(config, **changes)
    return t.cast("Json", source_of(target, name))


def test_the_service_with_its_new_hosts_and_from_what_each_source_comes_back() -> None:
    (target,) = found()
    assert (target["host"], target["new_host"], target["keeper"]) == ("db1", "fresh1", "fresh1")
    assert (target["new_hosts"], target["old_hosts"]) == (["fresh1"], ["db1", "web1"])
    assert [(one["name"], one["way"], one.get("phase")) for one in target["sources"]] == [
        ("settings", "restore", "prepare"),
        ("sessions", "restore", "data"),
        ("store", "restore", "data"),
        ("logs", "leave", None),
    ]
    # What ran on two hosts that have become one runs there once; other regions have no part in it.
    assert [(one["name"], one["host"]) for one in target["applications"]] == [("api", "fresh1"), ("pods", "localhost")]
    assert [one["name"] for one in target["repositories"]] == ["offsite"]
    assert target["leaves_repositories"] == ["local"]
    assert found("other") == []
    assert found(host="fresh2") == [], "a host that is not of the region has no part in it"


def test_each_record_of_a_name_gets_the_values_of_its_type() -> None:
    given = {"A": ["198.51.100.7"], "AAAA": ["2001:db8::7"]}
    (target,) = found({"names": {NAME["name"]: given}})
    assert target["names"] == {NAME["name"]: given}
    assert found()[0]["names"] == {}


def test_a_source_comes_back_to_the_newest_point_that_was_shipped_to_where_it_can_be_read() -> None:
    store = of("store")["spare"]
    assert (store["point"], store["recover_to"], store["repositories"]) == ("latest", {"latest": True}, ["offsite"])
    assert store["options"] == {"data_directory": "/data"}
    assert of("sessions")["spare"]["recover_to"] == {}
    at = {"point": "2026-11-21T02:00:00Z"}
    assert of("store", at)["spare"]["recover_to"] == {"time": "2026-11-21T02:00:00Z"}
    # Nothing is replayed there: the last backup that had ended by then.
    assert of("sessions", at)["spare"]["before"] == "2026-11-21T02:00:00Z"
    assert of("store", {"point": "backup"})["spare"]["recover_to"] == {}
    assert of("store")["first_job"]["id"] == "shop/store/base"
    near = {**STORE, "backups": [STORE["backups"][0], {**STORE["backups"][1], "repositories": ["local"]}]}
    assert of("store", sources=[near, LOGS])["spare"]["point"] == "backup", "its WAL was lost with the host"


def test_what_the_restore_modules_are_told() -> None:
    (target,) = found({"unverified": ["sessions"], "point": "2026-11-21T02:00:00Z"})
    sessions = restoring(source_of(target, "sessions"), target)
    assert (sessions["on"], sessions["options"]["in_place"]) == ("fresh1", True)
    assert sessions["choice"]["point"] == "newest"
    assert sessions["choice"]["before"] == "2026-11-21T02:00:00Z"
    named = restoring(source_of(target, "sessions"), target, "b1", "redis")
    assert named["choice"] == {"id": "b1", "before": "", "point": "", "confirm": "redis", "allow_failed": False}
    store = restoring(source_of(target, "store"), target)
    assert store["recover_to"] == {"time": "2026-11-21T02:00:00Z"}
    # The module takes a backup or a point, not both.
    planned = restoring(source_of(target, "store"), target, "b1", "/data")
    assert planned["choice"] == {"id": "", "before": "", "point": "", "confirm": "/data", "allow_failed": False}
    assert store["options"]["service_control"] == {"unit": "postgresql"}


def test_what_differs_on_new_hosts_is_taken_from_the_recovery_config() -> None:
    own = {"host": "fresh2", "data_directory": "/srv/store", "connection": {"port": 5433}, "options": {"verify": False}}
    store = of("store", {"sources": {"store": own, "logs": {"leave": True}}})["spare"]
    assert (store["host"], store["connection"]) == ("fresh2", {"host": "/var/run/postgresql", "port": 5433})
    assert store["options"] == {"data_directory": "/srv/store", "verify": False}
    (target,) = found({"sources": {"store": own, "logs": {"leave": True}}, "order": ["store"]})
    assert target["new_hosts"] == ["fresh2", "fresh1"]
    assert target["sources"][0]["name"] == "store"
    assert of("store", {"repositories": ["local", "offsite"]})["spare"]["repositories"] == ["local", "offsite"]


@pytest.mark.parametrize(
    ("name", "config", "changes", "why"),
    [
        ("logs", {"sources": {}}, {}, "its backups are in local alone"),
        ("store", {}, {"sources": [{**STORE, "fencing": {"command": "true"}}, LOGS]}, "data_directory: /var/lib"),
        ("store", {"sources": {"store": {"kind": "logical"}, "logs": {"leave": True}}}, {}, "of the kind logical"),
    ],
)
def test_a_source_that_can_not_come_back_says_why(name: str, config: Json, changes: Json, why: str) -> None:
    source = of(name, config, **changes)
    assert source["way"] == "nowhere"
    assert why in source["problem"]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"service": "shop/store"}, "must name one service"),
        ({"sources": {"other": {}}}, "no such source"),
        ({"names": {"www.example.org": ["192.0.2.1"]}}, "no such name"),
        ({"names": {NAME["name"]: ["192.0.2.1"]}}, r"Write names: .*A: \[192.0.2.1\], AAAA: \[ADDRESS\]"),
        ({"host": "fresh9"}, "fresh9, which the inventory does not have"),
        ({"repositories": ["attic"]}, "stores nothing in attic"),
        ({"region": "west"}, "has no region west"),
    ],
)
def test_a_recovery_config_that_can_not_be_meant_ends_the_play(config: Json, why: str) -> None:
    with pytest.raises(AnsibleFilterError, match=why):
        found(config)


def test_backups_on_the_lost_host_alone_are_no_way_back() -> None:
    with pytest.raises(AnsibleFilterError, match="which are lost with it"):
        found(sources=[LOGS])


def looked() -> Json:
    backup = {"id": "b1", "state": "verified", "repository": "offsite", "started": "2026-11-21T01:55:00Z"}
    plan = {"backup": backup, "recovery": None, "replaces": None, "facts": {}, "warnings": []}
    return {name: {"plan": plan} for name in ("settings", "sessions", "store")}


def test_the_plan_as_people_read_it_and_whether_a_run_goes_on() -> None:
    (target,) = found()
    kinds = ("prepare", "restore", "kubernetes", "health", "watch", "schedule", "first_backup")
    made = restore_all_plan(target, looked(), kinds=kinds, silent=["attic"], clock=FakeClock())
    assert made["refusals"] == []
    text = "\n".join(made["text"])
    assert text.startswith("shop comes back on fresh1.")
    assert text.index("\nprepare:\n") < text.index("\ndata:\n") < text.index("\nstart:\n") < text.index("\nverify:\n")
    assert f"The plan's SHA-256: {made['plan']['sha256']}" in text
    assert "WARNING: the repository attic does not answer; it is left out" in text
    book = {"run": "run-0001", "plan": made["plan"], "finished": {}, "intended": []}
    assert restore_all_objections(book, looked(), target) == []
    assert len(restore_all_objections(book, {}, target)) == 3
    assert following_step(book, "") == "prepare-fresh1"
    assert following_step(book, "health-api-fresh1") == "schedule-fresh1"
    assert following_step(book, "schedule-fresh1") == "backup-sessions"
    assert following_step(book, "schedule-fresh1", backup=False) == "watch"
    refused = restore_all_plan(target, looked(), answering=["db1"], kinds=kinds, clock=FakeClock())
    assert any(line.startswith("REFUSED: db1, which was lost, answers") for line in refused["text"])


def test_what_a_finished_one_says() -> None:
    told = restore_all_report(
        {
            "service": "shop",
            "hosts": ["fresh1"],
            "recovery_seconds": 61.5,
            "since_loss_seconds": 600.0,
            "phases": [{"phase": "data", "seconds": 9.1, "steps": ["restore-store"]}, {"phase": "start", "steps": []}],
            "sources": {"store": {"stated": {"statement": "all after then"}, "answers": [{"message": "users: 5"}]}},
            "objectives": {"rto": "15m", "rto_met": True, "rpo": None, "rpo_met": None},
        }
    )
    assert told[0] == "shop is back on fresh1, 61.5 s after the confirmation, 600.0 s after it was lost."
    assert "data: 9.1 s (restore-store)" in told
    assert "  users: 5" in told
    assert "time to recover: objective 15m, met" in told
    assert "loss: objective not set, nobody knows" in told
    assert not any("start" in line for line in told)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_recovery_config_brings_back_what_its_inventory_describes(example: pathlib.Path) -> None:
    wanted = yaml.safe_load(example.read_text())["lifeboat_full_restore"]
    data: Json = {}
    for path in (ROOT / f"inventories/{wanted['service']}/group_vars/{wanted['service']}").glob("*.yml"):
        data.update(yaml.safe_load(path.read_text()))
    inventory = yaml.safe_load((ROOT / f"inventories/{wanted['service']}/hosts.yml").read_text())
    groups = {name: list(one["hosts"]) for name, one in inventory["all"]["children"].items()}
    (lost,) = groups[wanted["service"]]
    groups["all"] = [*(host for hosts in groups.values() for host in hosts), wanted["host"]]
    (target,) = comes_back(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        data.get("lifeboat_settings"),
        wanted,
        host=lost,
        groups=groups,
    )
    back = [one["name"] for one in target["sources"] if one["way"] == "restore"]
    assert [name for name in back if name in wanted["order"]] == wanted["order"]
    assert target["new_hosts"] == [wanted["host"]]
    assert example.name in (ROOT / "playbooks/examples/README.md").read_text()
