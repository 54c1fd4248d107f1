# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Degraded mode as data, and its record in the repositories."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ConfigurationInvalid,
    DegradedNotRecorded,
    DegradedOvertaken,
    DegradedRecordInvalid,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.degraded.history import (
    ENTERED,
    ENTERING,
    EXTENDED,
    LEFT,
    History,
    note_event,
    read_history,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.degraded.plan import degraded_plan, until_when
from tests.support.clocks import START, FakeClock
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage

INVENTORY = pathlib.Path(__file__).resolve().parents[3] / "inventories/adhd/group_vars/adhd"
Json = dict[str, t.Any]


def data() -> Json:
    found: Json = {}
    for path in sorted(INVENTORY.glob("*.yml")):
        found.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return copy.deepcopy(found)


def described(**mode: t.Any) -> Description:
    found = data()
    found["lifeboat_services"][0]["degraded_mode"].update(mode)
    return load_description(found)


def plan(description: Description) -> Json:
    return degraded_plan(description.services[0], places=lambda names: list(names) or ["db"])


def test_the_reference_service_as_a_plan() -> None:
    found = plan(described())
    assert [(one["name"], one["host"]) for one in found["measures"]][:2] == [
        ("application-knows", "db"),
        ("database-relief", "db"),
    ]
    by_name = {one["name"]: one for one in found["measures"]}
    webhook = by_name["users-know"]["options"]
    assert webhook["url"] == "https://api.mcp-adhd.com/api/emergency/notify-users"
    assert webhook["token_file"] == "/etc/lifeboat/webhook.token"
    assert webhook["body"]["essential"][0] == "crisis support"
    assert by_name["database-relief"]["what"].startswith("statement_timeout 5s, ")
    assert by_name["hourly-backups"]["options"] == {"jobs": ["main/incremental", "assets"]}
    criteria = {one["name"]: one["options"] for one in found["criteria"]}
    assert criteria["standby-follows"]["max_lag"] == "5s"
    assert criteria["server-well"]["url"] == "https://api.mcp-adhd.com/health/detailed"
    assert (found["max_duration"], len(found["repositories"])) == ("4h", 7)


def test_a_measure_of_several_hosts_is_one_for_each() -> None:
    measure = {"name": "off", "hosts": ["web1", "web2"], "unit": {"name": "background"}}
    assert [one["host"] for one in plan(described(measures=[measure]))["measures"]] == ["web1", "web2"]


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ({"measures": [{"name": "a", "application": {"name": "none"}}]}, "no application 'none'"),
        ({"measures": [{"name": "a", "redis": {"source": "main", "key": "k", "value": "v"}}]}, "no source of redis"),
        ({"measures": [{"name": "a", "pause_jobs": ["main/nothing"]}]}, "no job 'main/nothing'"),
        ({"measures": [{"name": "a", "unit": {"name": "x"}}, {"name": "a", "unit": {"name": "y"}}]}, "of entry 0"),
        ({"measures": [{"name": "a"}]}, "measures[0]"),
        ({"measures": [{"name": "a", "unit": {"name": "x"}, "pause_jobs": ["main"]}]}, "measures[0]"),
        (
            {"measures": [{"name": "a", "postgresql": {"source": "main", "settings": {"search_path": "x"}}}]},
            "search_path",
        ),
        (
            {"measures": [{"name": "a", "postgresql": {"source": "main", "settings": {"work_mem": "1MB"}}}]},
            "postgresql",
        ),
        ({"exit": [{"name": "a", "lag": {"standby": "none"}}]}, "no standby 'none'"),
        ({"exit": [{"name": "a", "question": {"source": "none", "ask": {"name": "q", "sql": "x"}}}]}, "no source"),
    ],
)
def test_what_can_not_be_meant_is_told_by_the_description(mode: Json, why: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        described(**mode)
    assert why in caught.value.message


def test_an_endpoint_that_nobody_has_described() -> None:
    found = data()
    del found["lifeboat_services"][0]["notifications"]["webhooks"]["endpoints"]["notify_users"]
    with pytest.raises(ConfigurationInvalid, match="has no endpoint notify_users"):
        load_description(found)


@pytest.mark.parametrize(
    ("measure", "why"),
    [
        ({"name": "a", "application": {"name": "deployment"}}, "neither a unit nor commands"),
        (None, "has no measures"),
    ],
)
def test_what_can_not_be_switched_is_refused_before_anything_is(measure: Json | None, why: str) -> None:
    with pytest.raises(RequestInvalid, match=why):
        plan(described(measures=[measure] if measure else []))


def test_a_password_by_value_does_not_go_into_a_plan() -> None:
    found = data()
    source = found["lifeboat_services"][0]["sources"][1]
    source["connection"] = {"host": "127.0.0.1", "password": "by-value"}
    with pytest.raises(RequestInvalid, match="by value") as caught:
        plan(load_description(found))
    assert "by-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "2026-11-21T06:00:00Z"),
        ("90m", "2026-11-21T03:30:00Z"),
        ("2026-11-21T05:00:00+01:00", "2026-11-21T04:00:00Z"),
    ],
)
def test_until_when(given: str | None, expected: str) -> None:
    assert until_when(given, longest="4h", now=START + datetime.timedelta(microseconds=5)) == expected


@pytest.mark.parametrize("given", ["soon", "2026-11-21T01:00:00Z", "2026-11-21T05:00:00", "4"])
def test_until_no_time_that_can_be(given: str) -> None:
    with pytest.raises(RequestInvalid):
        until_when(given, longest="4h", now=START)


class Down(MemoryStorage):
    """Does not answer."""

    def list(self, prefix: str = "") -> t.Any:
        unreachable()

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
        unreachable()


def note(storages: t.Mapping[str, t.Any], event: str, *, by: str = "ada", mode: str = "5f1c", **said: t.Any) -> History:
    history = read_history("adhd", storages=storages)
    last = history.events[-1].number if history.events else -1
    return note_event("adhd", event, mode=mode, by=by, data=said, after=last, storages=storages, clock=FakeClock())


def test_the_record_says_who_why_until_when_and_what_was_before() -> None:
    storages = {"local": MemoryStorage(), "offsite": MemoryStorage()}
    note(storages, ENTERING, reason="slow", until="2026-11-21T06:00:00Z")
    note(storages, ENTERED, before={"flag@db": {"value": "b24="}})
    history = note(storages, EXTENDED, by="grace", until="2026-11-21T09:00:00Z")
    assert history.mode == {
        "id": "5f1c",
        "state": "extended",
        "at": "2026-11-21T02:00:00Z",
        "by": "ada",
        "last_by": "grace",
        "reason": "slow",
        "until": "2026-11-21T09:00:00Z",
        "before": {"flag@db": {"value": "b24="}},
    }
    assert note(storages, LEFT).mode == {}
    assert note(storages, ENTERING, mode="7a90", reason="again").mode["reason"] == "again"


def test_a_repository_that_was_down_catches_up_and_one_that_is_alone_is_enough() -> None:
    local, offsite = MemoryStorage(), MemoryStorage()
    note({"local": local, "offsite": Down()}, ENTERING, reason="slow")
    note({"local": local, "offsite": offsite}, ENTERED)
    assert len(list(offsite.list("adhd/.degraded/"))) == 2
    assert read_history("adhd", storages={"local": Down(), "offsite": offsite}).mode["reason"] == "slow"
    with pytest.raises(DegradedNotRecorded):
        note_event("adhd", ENTERED, mode="x", by="ada", data={}, after=-1, storages={}, clock=FakeClock())


def test_of_two_people_one_is_refused() -> None:
    storages = {"local": MemoryStorage()}
    note(storages, ENTERING, reason="slow")
    with pytest.raises(DegradedOvertaken, match="ada wrote entering"):
        note_event("adhd", ENTERING, mode="7a90", by="grace", data={}, after=-1, storages=storages, clock=FakeClock())


def test_a_record_that_was_changed_ends_it() -> None:
    storages = {"local": MemoryStorage(), "offsite": MemoryStorage()}
    event = note(storages, ENTERING, reason="slow").events[0]
    other = dataclasses.replace(event, by="eve")
    storages["offsite"].put(other.key, other.as_bytes(), if_absent=False)
    with pytest.raises(DegradedRecordInvalid, match="two different records"):
        read_history("adhd", storages=storages)
    storages["offsite"].put(other.key, other.as_bytes() + b" ", if_absent=False)
    with pytest.raises(DegradedRecordInvalid, match="can't be trusted"):
        read_history("adhd", storages=storages)
