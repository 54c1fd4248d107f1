# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/promote_standby.yml`` decides on the controller."""

from __future__ import annotations

import copy
import typing as t

import pytest

from tests.support.clocks import FakeClock
from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.promote_play import (
    promotable,
    promotion_loss,
    promotion_objections,
    promotion_plan,
    servers_said,
    wired,
)

Json = dict[str, t.Any]
GROUPS = {"all": ["db1", "db2", "web"], "applications": ["web"]}
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


def described(**changes: t.Any) -> Json:
    data = copy.deepcopy(description())
    service = data["lifeboat_services"][0]
    service["regions"] = [{"name": "north", "role": "primary", "hosts": ["db1", "applications"]}]
    service["applications"][0]["wiring"] = [{"file": "/etc/api.env", "match": "^DB=", "line": "DB={host}:{port}"}]
    service["sources"].append(
        {
            "name": "store",
            "engine": "postgresql",
            "connection": {"host": "/var/run/postgresql"},
            "service_control": {"unit": "postgresql@15-main"},
            "fencing": {"data_directory": "/data"},
            "standbys": [{"name": "second", "connection": {"host": "db2", "port": 5433}, "max_lag": "5s"}],
            "backups": [
                {
                    "kind": "base",
                    "schedule": "0 1 * * *",
                    "repositories": ["local", "offsite"],
                    "keep": {"within": "7d"},
                }
            ],
            **changes,
        }
    )
    return data


def found(wanted: str = "family/store", **changes: t.Any) -> list[Json]:
    data = described(**changes)
    return promotable(data["lifeboat_services"], data["lifeboat_repositories"], None, wanted, host="db1", groups=GROUPS)


def test_the_source_with_its_standbys_their_hosts_and_the_applications() -> None:
    (target,) = found()
    assert [(one["name"], one["host"]) for one in target["standbys"]] == [("second", "db2")]
    assert target["fencing"] == {"data_directory": "/data"}
    assert {one["name"] for one in target["repositories"]} == {"local", "offsite"}
    assert target["base_job"]["id"] == "family/store/base"
    # The application of the region runs on each of its hosts.
    assert [(one["name"], one["host"]) for one in target["applications"]] == [("api", "db1"), ("api", "web")]
    assert all(one["wiring"][0]["file"] == "/etc/api.env" for one in target["applications"])
    assert found("family/other") == []


def test_a_standby_runs_on_a_host_of_the_inventory() -> None:
    elsewhere = {"name": "second", "connection": {"host": "192.0.2.1"}}
    (target,) = found(standbys=[{**elsewhere, "inventory_host": "web"}])
    assert target["standbys"][0]["host"] == "web"
    with pytest.raises(AnsibleFilterError, match="which the inventory does not have"):
        found(standbys=[elsewhere])


def test_other_engines_and_other_words_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="family/main is mongodb"):
        found("family/main")
    with pytest.raises(AnsibleFilterError, match="SERVICE/SOURCE"):
        found("family/store/base")


def test_the_plan_in_words_with_its_refusals() -> None:
    (target,) = found()
    said = servers_said([{"lifeboat_standby": {"name": "second"}, "state": STATE}])
    planned = promotion_plan(target, said, None, "", clock=FakeClock())
    text = "\n".join(planned["text"])
    assert planned["refusals"] == []
    assert "1. second: timeline 1, may lose an unknown number of bytes of at most 2 s" in text
    assert "Fence the old primary: stop it for good in /data on db1." in text
    assert planned["plan"]["sha256"] in text
    assert planned["plan"]["facts"]["address"] == {"host": "db2", "port": 5433}

    late = FakeClock()
    late.advance(60)
    refused = promotion_plan(target, said, {}, None, clock=late)
    assert "REFUSED: with second up to 62 s may be lost" in "\n".join(refused["text"])
    assert promotion_plan(target, said, {}, None, accept_data_loss=True, clock=late)["refusals"] == []


def test_one_that_does_not_answer_is_a_problem_and_no_state() -> None:
    lost = {"lifeboat_standby": {"name": "second"}, "unreachable": True, "msg": "No route to host\nmore"}
    said = servers_said([lost])
    assert said == {"states": {"second": None}, "problems": {"second": "No route to host"}}
    (target,) = found()
    assert promotion_plan(target, said)["plan"] is None


def test_what_a_ledger_and_the_servers_say_together() -> None:
    (target,) = found()
    said = servers_said([{"lifeboat_standby": {"name": "second"}, "state": STATE}])
    plan = promotion_plan(target, said, clock=FakeClock())["plan"]
    ledger = {"run": "run-0001", "plan": plan, "finished": {}, "intended": []}
    assert promotion_objections(ledger, said, "family", "store") == []
    assert promotion_objections(ledger, said, "family", "main") == ["run-0001 is about family/store"]

    at_rest = {"received": "0/0", "count": 2, "ends": ["0/5000000", "0/5000100"], "first": "a", "last": "b"}
    lost = promotion_loss(ledger, said, {"at_rest": at_rest})
    assert lost["loss"]["commits"] == 1
    assert lost["refusals"] == [lost["loss"]["statement"]]
    assert promotion_loss(ledger, said, {})["refusals"] == []
    taken = promotion_plan(target, said, accept_data_loss=True, clock=FakeClock())["plan"]
    assert promotion_loss({**ledger, "plan": taken}, said, {"at_rest": at_rest})["refusals"] == []


def test_a_line_gets_the_address() -> None:
    assert wired("DB={host}:{port}", {"host": "db2", "port": 5433}) == "DB=db2:5433"
