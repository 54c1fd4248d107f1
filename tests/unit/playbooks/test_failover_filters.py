# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/dr_failover.yml`` decides on the controller."""

from __future__ import annotations

import copy
import typing as t

import pytest

from tests.support.clocks import FakeClock
from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.failover_play import (
    begun_before,
    following_step,
    movable,
    move_objections,
    move_plan,
    planned_backup,
    restoring,
    source_of,
    step_file,
    step_ledger,
    step_target,
    wires,
)

Json = dict[str, t.Any]
GROUPS = {"all": ["db1", "db2", "web1", "web2"], "southern": ["db2", "web2"]}
STATE: Json = {
    "server": "db2:5432",
    "system_identifier": "7",
    "in_recovery": True,
    "timeline": 1,
    "received": "0/5000000",
    "replayed": "0/5000000",
    "written": None,
    "receiving": False,
    "last_commit": "2026-11-21T01:59:58Z",
}
KINDS = ("freeze", "cut", "restore", "health", "watch")


def described(**changes: t.Any) -> Json:
    data = copy.deepcopy(description())
    backup = {"repositories": ["local", "offsite"], "keep": {"within": "7d"}}
    store: Json = {
        "name": "store",
        "engine": "postgresql",
        "connection": {"host": "/var/run/postgresql"},
        "fencing": {"data_directory": "/data"},
        "standbys": [{"name": "far", "region": "south", "connection": {"host": "db2", "port": 5433}}],
        "backups": [{"kind": "base", "schedule": "0 1 * * *", **backup}],
    }
    sessions: Json = {
        "name": "sessions",
        "engine": "redis",
        "connection": {"port": 6379},
        "service_control": {"unit": "redis"},
        "spares": [
            {"name": "empty", "region": "south", "connection": {"host": "db2"}, "service_control": {"unit": "r"}}
        ],
        "backups": [{"kind": "rdb", **backup}],
    }
    files: Json = {
        "name": "logs",
        "engine": "files",
        "region_loss": "leave",
        "connection": {"paths": ["/var/log"]},
        "backups": [{"kind": "static", **backup}],
    }
    wiring = [{"file": "/etc/api.env", "match": "^DB=", "line": "DB={host}:{port}", "source": "store"}]
    data["lifeboat_services"] = [
        {
            "name": "shop",
            "objectives": {"rpo": "1h", "rto": "15m"},
            "regions": [
                {"name": "north", "role": "primary", "hosts": ["db1", "web1"]},
                {"name": "south", "role": "standby", "hosts": ["southern"]},
            ],
            "sources": [store, sessions, files],
            "applications": [
                {"name": "api", "region": "north", "unit": "api", "health": {"path": "/health"}},
                {
                    "name": "api-south",
                    "region": "south",
                    "unit": "api",
                    "health": {"path": "/health"},
                    "wiring": wiring,
                },
                {"name": "pods", "region": "south", "kubernetes": {"deployment": "pods"}},
            ],
            **changes,
        }
    ]
    return data


def found(wanted: str = "shop", host: str = "db1", region: str = "", left: str = "", **changes: t.Any) -> list[Json]:
    data = described(**changes)
    return movable(
        data["lifeboat_services"],
        data["lifeboat_repositories"],
        None,
        wanted,
        host=host,
        groups=GROUPS,
        region=region,
        left=left,
    )


def looked() -> Json:
    backup = {"id": "b1", "state": "verified", "repository": "offsite", "started": "2026-11-21T01:55:00Z"}
    return {
        "store": {"states": {"far": STATE}, "problems": {}, "primary": {}},
        "sessions": {"plan": {"backup": backup, "replaces": "redis", "recovery": None}},
    }


def test_the_service_with_what_becomes_of_each_source_and_who_is_where() -> None:
    (target,) = found()
    assert (target["from"], target["to"], target["keeper"]) == ("north", "south", "db2")
    assert [(one["name"], one["way"]) for one in target["sources"]] == [
        ("store", "promote"),
        ("sessions", "restore"),
        ("logs", "leave"),
    ]
    assert target["left_hosts"] == ["db1", "web1"]
    assert [(one["name"], one["host"]) for one in target["left_applications"]] == [("api", "db1"), ("api", "web1")]
    places = [(one["name"], one["host"], one["outside"]) for one in target["applications"]]
    assert places == [("api-south", "db2", False), ("api-south", "web2", False), ("pods", "localhost", True)]
    assert {one["name"] for one in target["repositories"]} == {"local", "offsite"}
    assert found("other") == []


def test_a_host_of_another_region_that_has_the_description_too_has_no_part_in_it() -> None:
    assert found(host="db2") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"wanted": "shop/store"}, "does not say which service moves"),
        ({"region": "west"}, "shop has no region west. It has: north, south."),
        ({"region": "north"}, "that is the same region"),
        ({"regions": [{"name": "north", "role": "primary"}], "sources": [], "applications": []}, "of the role standby"),
    ],
)
def test_words_that_mean_nothing_are_refused(arguments: Json, why: str) -> None:
    with pytest.raises(AnsibleFilterError, match=why):
        found(**arguments)


def test_the_plan_in_words_with_its_hash_and_its_refusals() -> None:
    (target,) = found()
    planned = move_plan(target, looked(), answering=["web1"], kinds=KINDS, clock=FakeClock())
    text = "\n".join(planned["text"])
    assert "shop leaves north and enters south." in text
    assert "its standby far on db2 is promoted" in text
    assert "b1 of offsite is restored to empty on db2; all after 2026-11-21T01:55:00Z is lost" in text
    assert "logs (files): nothing is done with it" in text
    assert "nothing is stopped there: db1" in text
    assert "[promote] store: Promote far; there is no way back to the old timeline 1. (no way back)" in text
    assert f"The plan's SHA-256: {planned['plan']['sha256']}" in text
    (refusal,) = planned["refusals"]
    assert refusal.startswith("deploy-pods needs a step 'kubernetes', which this version does not have")


def test_a_step_gets_its_file_its_target_and_its_part_of_the_ledger() -> None:
    (target,) = found()
    plan = move_plan(target, looked(), kinds=(*KINDS, "kubernetes"), clock=FakeClock())["plan"]
    steps = {one["name"]: one for one in plan["steps"]}
    ledger = {
        "run": "run-0001",
        "plan": plan,
        "finished": {"fence-store": {"proven": True}},
        "intended": [],
        "entries": [],
    }
    promote, cut = steps["promote-store"], steps["cut-sessions"]
    assert (step_file(promote), step_file(cut)) == ("../promote/promote.yml", "cut.yml")
    assert step_target(target, promote)["source"] == "store"
    assert step_target(target, cut) is target
    assert step_ledger(ledger, promote)["finished"] == {"fence": {"proven": True}}
    assert step_ledger(ledger, cut)["plan"] is ledger["plan"]
    assert planned_backup(ledger, "sessions") == "b1"
    assert planned_backup(ledger, "store") == ""
    assert move_objections(ledger, looked(), target) == []
    assert "is about shop" in move_objections(ledger, looked(), {**target, "to": "west"})[0]


def test_a_spare_gets_the_backup_in_its_place_from_where_it_can_read() -> None:
    (target,) = found()
    told = restoring(source_of(target, "sessions"), target, "b1", "redis", "/key")
    assert (told["target"]["module"], told["on"]) == ("redis_restore", "db2")
    assert told["options"]["in_place"] is True
    assert told["options"]["service_control"] == {"unit": "r"}
    assert told["options"]["connection"] == {"host": "db2"}
    assert [one["name"] for one in told["repositories"]] == ["offsite"]
    assert (told["choice"]["id"], told["choice"]["confirm"], told["key"]) == ("b1", "redis", {"identity_file": "/key"})


def test_a_line_gets_the_address_of_its_source() -> None:
    application = {
        "wiring": [
            {"file": "/e", "line": "DB={host}:{port}", "source": "store"},
            {"file": "/e", "line": "CACHE={host}:{port}", "source": "sessions"},
            {"file": "/e", "line": "SEARCH={host}", "source": "logs"},
        ]
    }
    addresses = {"store": {"host": "db2", "port": 5433}, "sessions": {"host": "db3", "port": 6379}}
    lines = [one["line"] for one in wires(application, {"source": "", "facts": {"addresses": addresses}})]
    assert lines == ["DB=db2:5433", "CACHE=db3:6379"]
    # Where one source alone is promoted the lines of others stay as they are.
    promotion = {"source": "store", "facts": {"address": addresses["store"]}}
    assert [one["line"] for one in wires(application, promotion)] == ["DB=db2:5433"]
    assert len(wires({"wiring": [{"file": "/e", "line": "DB={host}"}]}, promotion)) == 1


def test_a_step_knows_what_runs_before_this_one_have_begun_and_not_what_this_one_has() -> None:
    words = ("opened ", "intended fence", "done fence", "intended cut", "resumed ", "intended cut", "intended promote")
    entries = [{"event": event, "step": step} for event, _blank, step in (word.partition(" ") for word in words)]
    ledger: Json = {"entries": entries, "finished": {"fence": {}}, "intended": ["cut", "promote"]}
    assert begun_before(ledger) == ["cut"]
    # A standby that was promoted meanwhile was promoted by somebody else, though our own intent stands in the ledger.
    assert step_ledger(ledger, {"name": "promote", "options": {}})["intended"] == ["cut"]
    assert begun_before({**ledger, "entries": entries[:4]}) == []


def test_the_step_that_follows_is_the_next_one_that_is_taken() -> None:
    steps = [{"name": name, "kind": name.partition("-")[0]} for name in ("fence-a", "promote-a", "watch", "backup-a")]
    ledger = {"plan": {"steps": steps}, "finished": {"promote-a": {}}}
    assert following_step(ledger, "fence-a") == "watch"
    assert following_step(ledger, "watch") == "backup-a"
    assert following_step(ledger, "watch", backup=False) == ""
    assert following_step(ledger, "backup-a") == ""
    assert following_step(ledger, "") == "fence-a"
    assert following_step({**ledger, "finished": {"fence-a": {}, "promote-a": {}}}, "") == "watch"
    assert following_step(ledger, "unknown") == ""
