# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness: from what was seen to findings with their fix, and the score that they make."""

from __future__ import annotations

import copy
import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.readiness.assessing import assess
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.readiness.facts import (
    readiness_facts,
    readiness_plan,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.readiness.findings import (
    AREAS,
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    Finding,
    Readiness,
    in_order,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.readiness_text import readiness_text
from tests.support.clocks import START
from tests.unit.description.samples import description

Json = dict[str, t.Any]
GIB = 1024**3

STATE: Json = {
    "in_recovery": True,
    "system_identifier": "7",
    "timeline": 1,
    "received": "0/5000000",
    "replayed": "0/5000000",
    "receiving": True,
    "paused": False,
    "slot": "dr",
    "last_commit": "2026-11-21T01:59:58Z",
}
#: Everything is well.
WELL: Json = {
    "service": "adhd",
    "objectives": {"rpo": "5m", "rto": "15m"},
    "regions": {"primary": ["west"], "standby": ["central"]},
    "approvals": {"needed": 2, "signers": [{"name": "ada"}, {"name": "grace"}, {"name": "joan"}]},
    "sources": [
        {
            "name": "main",
            "engine": "postgresql",
            "objectives": {"rpo": "5m"},
            "backed_up": True,
            "fencing": {"data_directory": "/data", "command": "power-off db", "executable": True},
            "standbys": [
                {"name": "dr", "region": "central", "max_lag": "5s", "host": "dr", "state": STATE, "problem": None}
            ],
            "primary": {"in_recovery": False, "system_identifier": "7", "timeline": 1, "written": "0/5000000"},
            "problem": None,
            "spares": [],
            "slots": [{"name": "dr", "active": True, "wal_status": "reserved"}],
            "data_bytes": 10 * GIB,
            "disks": [
                {"host": "dr", "path": "/data", "free_bytes": 50 * GIB, "problem": None, "holds_data": True},
            ],
        }
    ],
    "places": [
        {
            "host": "dr",
            "repositories": [{"name": "dr", "readable": True, "writable": True, "problem": None}],
            "backups": [
                {"source": "main", "kind": "base", "id": "b", "finished": "2026-11-21T01:00:00Z", "verified": True}
            ],
        }
    ],
    "ledger": [
        {"host": "db", "repository": "local", "writable": True, "problem": None},
        {"host": "dr", "repository": "dr", "writable": True, "problem": None},
    ],
    "open_run": None,
    "last_run": {"run": "run-0003", "at": "2026-10-21T02:00:00Z", "open": False},
    "dns": [
        {
            "name": "api.example.com",
            "type": "A",
            "ttl": 60,
            "provider": "route53",
            "values": {"west": ["192.0.2.1"], "central": ["198.51.100.1"]},
            "answers": ["192.0.2.1"],
            "ttl_found": 60,
            "problem": None,
        }
    ],
    "exercises": [
        {"name": "drill", "kind": "drill", "due": "2026-10-01T02:00:00Z", "done": "2026-10-21T02:00:00Z"},
    ],
    "given": [],
}


def changed(path: str, value: t.Any) -> Json:
    """WELL with one thing that is other; *path* has dots, and numbers for places in lists."""
    facts = copy.deepcopy(WELL)
    place: t.Any = facts
    *way, last = path.split(".")
    for part in way:
        place = place[int(part)] if part.isdigit() else place[part]
    place[int(last) if last.isdigit() else last] = value
    return facts


def lease(**changes: t.Any) -> Json:
    """One that is renewed."""
    told = {"source": "main", "host": "db", "repository": "third", "lease": 30}
    return {**told, "state": "held", "age_seconds": 4, "problem": None, **changes}


def look(facts: Json) -> Readiness:
    return assess(facts, now=START)


def test_a_service_of_which_everything_is_well_has_a_hundred() -> None:
    found = look(WELL)
    assert (found.findings, found.score) == ((), 100)
    assert set(found.well) == set(AREAS) - {"other"}
    assert readiness_text(found.as_dict())[0] == "adhd is ready for the loss of its region to 100 of 100."


STANDBY, STATES = "sources.0.standbys.0", "sources.0.standbys.0.state"
BACKUP, RECORD = "places.0.backups.0", "dns.0"
BEHIND = {**STATE, "received": "0/4000000", "replayed": "0/4000000"}
CASES: t.Mapping[str, tuple[str, t.Any, str, str]] = {
    "no standby": ("sources.0.standbys", [], "standby.none", HIGH),
    "a standby in the same region only": (f"{STANDBY}.region", "west", "standby.none", HIGH),
    "a standby that is silent": (STATES, None, "standby.silent", CRITICAL),
    "a standby that was promoted": (f"{STATES}.in_recovery", False, "standby.promoted", CRITICAL),
    "a standby of other data": (f"{STATES}.system_identifier", "8", "standby.other_cluster", CRITICAL),
    "a standby that gets nothing": (f"{STATES}.receiving", False, "standby.not_streaming", HIGH),
    "a standby that waits": (f"{STATES}.paused", True, "standby.paused", MEDIUM),
    "behind max_lag": (STATES, {**BEHIND, "last_commit": "2026-11-21T01:59:54Z"}, "standby.lag", HIGH),
    "behind the objective": (STATES, {**BEHIND, "last_commit": "2026-11-21T01:54:59Z"}, "standby.lag", CRITICAL),
    "behind for nobody knows": (STATES, {**BEHIND, "last_commit": None}, "standby.lag_unknown", HIGH),
    "a silent primary": ("sources.0.primary", None, "standby.primary_silent", HIGH),
    "no slot": (f"{STATES}.slot", None, "slot.none", MEDIUM),
    "a slot that is not there": ("sources.0.slots", [], "slot.none", MEDIUM),
    "a slot that nobody uses": ("sources.0.slots.0.active", False, "slot.inactive", MEDIUM),
    "a slot that has lost": ("sources.0.slots.0.wal_status", "lost", "slot.lost", CRITICAL),
    "nobody looked from there": ("places", [], "backup.nobody_looked", HIGH),
    "credentials that don't work there": (
        "places.0.repositories.0",
        {"name": "dr", "readable": False, "writable": False, "problem": "forbidden"},
        "backup.unreadable",
        HIGH,
    ),
    "no backup there": ("places.0.backups", [], "backup.none", HIGH),
    "no proved backup there": (f"{BACKUP}.verified", False, "backup.none_proved", HIGH),
    "an old backup": (f"{BACKUP}.finished", "2026-11-18T02:00:00Z", "backup.old", MEDIUM),
    "a very old backup": (f"{BACKUP}.finished", "2026-11-11T02:00:00Z", "backup.old", HIGH),
    "a ledger that can't be written": ("ledger.1.writable", False, "ledger.unwritable", HIGH),
    "a failover that is open": (
        "open_run",
        {"run": "run-0004", "operator": "ada on desk", "since": "2026-11-01T02:00:00Z"},
        "ledger.open_run",
        HIGH,
    ),
    "no fencing": ("sources.0.fencing", {}, "fencing.none", CRITICAL),
    "fencing on the host only": ("sources.0.fencing", {"data_directory": "/data"}, "fencing.host_only", HIGH),
    "a command that is not there": ("sources.0.fencing.executable", False, "fencing.command", HIGH),
    "the only command is not there": (
        "sources.0.fencing",
        {"command": "power-off db", "executable": False, "problem": "there is no program"},
        "fencing.command",
        CRITICAL,
    ),
    "a lease that nobody ever renewed": ("sources.0.leases", [lease(state=None)], "fencing.witness", HIGH),
    "a lease that is renewed no more": ("sources.0.leases", [lease(age_seconds=31)], "fencing.witness", HIGH),
    "a lease that was given back": ("sources.0.leases", [lease(state="withdrawn")], "fencing.witness", HIGH),
    "a witness that is silent": ("sources.0.leases", [lease(problem="no answer")], "fencing.witness", HIGH),
    "no values for the other region": (f"{RECORD}.values", {"west": ["192.0.2.1"]}, "dns.no_values", HIGH),
    "nobody switches it": (f"{RECORD}.provider", "manual", "dns.by_hand", LOW),
    "a name that is not answered": (f"{RECORD}.answers", [], "dns.silent", HIGH),
    "another answer": (f"{RECORD}.answers", ["203.0.113.9"], "dns.other_answer", MEDIUM),
    "a TTL above what is described": (f"{RECORD}.ttl_found", 300, "dns.ttl", HIGH),
    "a TTL above the objective": (f"{RECORD}.ttl_found", 3600, "dns.ttl", CRITICAL),
    "no name": ("dns", [], "dns.none", LOW),
    "a quorum that can't be": ("approvals.needed", 4, "approvals.quorum", CRITICAL),
    "a quorum of all": ("approvals.needed", 3, "approvals.tight", MEDIUM),
    "little room to grow": ("sources.0.disks.0.free_bytes", GIB, "capacity.small", HIGH),
    "hardly any room": ("sources.0.disks.0.free_bytes", GIB // 4, "capacity.small", CRITICAL),
    "a disk that is not known": ("sources.0.disks.0.free_bytes", None, "capacity.unknown", LOW),
    "data of which the size is not known": ("sources.0.data_bytes", None, "capacity.unknown", LOW),
    "never tried": ("last_run", None, "exercise.never", HIGH),
    "tried long ago": ("last_run.at", "2026-07-21T02:00:00Z", "exercise.old", MEDIUM),
    "tried very long ago": ("last_run.at", "2025-07-21T02:00:00Z", "exercise.old", HIGH),
    "a drill that was not well": (
        "last_drill",
        {"run": "drill-0002", "at": "2026-11-01T02:00:00Z", "state": "unfinished", "exceptions": []},
        "exercise.failed",
        HIGH,
    ),
    "a name that may not be changed": (
        "names_tried",
        [{"name": "api", "type": "A", "refused": True, "why": "REFUSED", "fix": ""}],
        "dns.rights",
        CRITICAL,
    ),
    "an exercise that is due": ("exercises.0.done", "2026-09-01T02:00:00Z", "exercise.due", MEDIUM),
    "an exercise that was never noted": ("exercises.0.done", None, "exercise.due", LOW),
}


def test_names_that_may_be_changed_and_a_drill_that_was_well_are_no_finding() -> None:
    facts = changed("names_tried", [{"name": "api", "type": "A", "refused": False, "why": "no answer", "fix": ""}])
    facts["last_drill"] = {"run": "drill-0002", "at": "2026-11-01T02:00:00Z", "state": "complete", "exceptions": []}
    assert look(facts).findings == ()


def test_a_drill_that_came_to_its_end_is_practice_and_one_that_was_given_up_is_none() -> None:
    plan = {key: WELL[key] for key in ("service", "objectives", "approvals", "dns")}
    plan |= {"regions": {"primary": ["west"], "standby": ["central"]}, "sources": [], "exercises": []}
    entries = [{"at": "2026-11-01T02:00:00Z", "event": "opened"}, {"at": "2026-11-01T02:05:00Z", "event": "closed"}]
    seen: Json = {
        "ledger": {"run": "run-0001", "open": False, "entries": [{"at": "2026-01-01T02:00:00Z", "event": "closed"}]},
        "drill": {"run": "drill-0001", "open": False, "entries": entries},
        "drilled": {"state": "complete", "exceptions": []},
    }
    facts = readiness_facts(plan, seen, done={}, given=[], now=START)
    assert facts["last_run"]["run"] == "drill-0001"
    assert facts["last_drill"]["state"] == "complete"
    entries[1]["event"] = "abandoned"
    facts = readiness_facts(plan, seen, done={}, given=[], now=START)
    assert (facts["last_run"]["run"], facts["last_drill"]) == ("run-0001", None)


@pytest.mark.parametrize("what", CASES)
def test_one_thing_that_is_not_well_is_one_finding_with_its_fix(what: str) -> None:
    path, value, code, severity = CASES[what]
    found = {one.code: one for one in look(changed(path, value)).findings}
    assert code in found, found
    assert found[code].severity == severity
    assert all(one.what and one.why and one.fix and one.about for one in found.values())
    assert len(found) <= 2, sorted(found)
    assert look(changed(path, value)).score < 100


@pytest.mark.parametrize(
    ("path", "value"),
    [
        # A quiet night looks like this: the newest commit is old, and it has all.
        (f"{STATES}.last_commit", "2026-11-20T02:00:00Z"),
        (f"{STATES}.received", "0/5000001"),
        (STATES, {**BEHIND, "last_commit": "2026-11-21T01:59:56Z"}),
        (f"{STANDBY}.region", None),
        (f"{RECORD}.ttl_found", None),
        (f"{RECORD}.ttl_found", 30),
        ("approvals", {}),
        ("sources.0.slots", None),  # nobody could ask, which is told of the primary
        ("sources.0.backed_up", False),
        (f"{BACKUP}.finished", "2026-11-19T01:00:00Z"),
        ("exercises", []),
        ("sources.0.leases", [lease()]),
        # A witness works without the primary's host.
        ("sources.0.fencing", {"data_directory": "/data", "methods": [{"witness": {"repository": "third"}}]}),
        ("sources.0.fencing", {"data_directory": "/data", "methods": [{"command": "cut"}]}),
    ],
)
def test_what_is_well_is_not_told(path: str, value: t.Any) -> None:
    assert look(changed(path, value)).findings == ()


def test_a_spare_that_will_archive_nothing_and_that_nobody_will_reach_is_found_before() -> None:
    data = description()
    beside = {"in_place": False, "data_directory": "/data", "port": 5433}
    source = data["lifeboat_services"][1]["sources"][0]
    source["spares"] = [
        {
            "name": "far",
            "region": "central",
            "inventory_host": "dr1",
            "connection": {"host": "198.51.100.9", "user": "lifeboat"},
            "options": beside,
        }
    ]
    data["lifeboat_services"][1]["regions"] = [
        {"name": "west", "role": "primary"},
        {"name": "central", "role": "standby"},
    ]
    plan = readiness_plan(load_description(data).services[1], places=list, host="db1")
    (spare,) = readiness_facts(plan, {}, done={}, given=[], now=START)["sources"][0]["spares"]
    assert [one["code"] for one in spare["lacks"]] == ["archives_nothing", "not_reached"]

    facts = changed("sources.0.spares", [spare])
    assert look(facts).findings == ()  # the standby there is promoted
    facts["sources"][0]["standbys"] = []
    found = {one.code: one for one in look(facts).findings}
    assert found["spare.archives_nothing"].severity == MEDIUM
    assert found["spare.not_reached"].severity == HIGH
    assert found["spare.not_reached"].about == "adhd/main/far"
    assert "Set options.listen_addresses" in found["spare.not_reached"].fix
    facts["sources"][0]["spares"] = [{**spare, "region": "elsewhere"}]
    assert not [one for one in look(facts).findings if one.code.startswith("spare.")]


def test_a_lease_that_is_described_is_looked_at_from_where_the_ledger_is_written() -> None:
    data = description()
    service = data["lifeboat_services"][1]
    service["sources"][0] |= {
        "service_control": {"unit": "postgresql@15-main"},
        "fencing": {"data_directory": "/data", "methods": [{"witness": {"repository": "local", "lease": "20s"}}]},
    }
    described = load_description(data).services[1]
    plan = readiness_plan(described, places=list, host="db1")
    wanted = {"source": "main", "host": "db1", "repository": "local", "lease": 20}
    assert plan["leases"] == [wanted]
    told = {**wanted, "state": None, "age_seconds": None, "problem": None}
    facts = readiness_facts(plan, {"home": {"db1": {"leases": [told]}}}, done={}, given=[], now=START)
    assert facts["sources"][0]["leases"] == [told]


def test_without_a_standby_backups_weigh_more() -> None:
    facts = changed("sources.0.standbys", [])
    facts["places"][0]["backups"] = []
    assert {one.code: one.severity for one in look(facts).findings}["backup.none"] == CRITICAL
    facts = changed("sources.0.disks.0", {**WELL["sources"][0]["disks"][0], "holds_data": False})
    assert look(facts).findings == ()
    facts["sources"][0]["disks"][0]["free_bytes"] = 11 * GIB
    assert [(one.code, one.severity) for one in look(facts).findings] == [("capacity.small", CRITICAL)]


def test_a_ledger_that_can_be_kept_in_one_place_or_nowhere() -> None:
    one = changed("ledger", [WELL["ledger"][0]])
    assert [(found.code, found.severity) for found in look(one).findings] == [("ledger.one", MEDIUM)]
    none = changed("ledger", [{**WELL["ledger"][0], "writable": False, "problem": "it is full"}])
    assert {found.code: found.severity for found in look(none).findings} == {
        "ledger.unwritable": CRITICAL,
        "ledger.one": MEDIUM,
    }


def test_what_others_have_looked_at_counts_as_it_is_handed_in() -> None:
    given = [
        {"area": "dns", "severity": "critical", "code": "dns.rights", "about": "zone", "what": "No right.", "fix": "X"},
        {"area": "nonsense", "severity": "awful", "what": "Something."},
    ]
    found = look(changed("given", given))
    assert [(one.code, one.area, one.severity) for one in found.findings] == [
        ("dns.rights", "dns", CRITICAL),
        ("other.given", "other", MEDIUM),
    ]
    assert found.score == 49


def finding(area: str, severity: str, number: int = 0) -> Finding:
    return Finding(f"{area}.x", area, severity, str(number), "what", "why", "fix")


@pytest.mark.parametrize(
    ("findings", "score"),
    [
        ([], 100),
        ([finding("dns", LOW)], 99),
        ([finding("dns", MEDIUM)], 95),
        ([finding("dns", HIGH)], 88),
        ([finding("dns", CRITICAL)], 49),
        ([finding("dns", HIGH, number) for number in range(9)], 60),  # at most 40 for one area
        ([finding(area, HIGH) for area in AREAS[:4]], 52),
        ([finding(area, CRITICAL, number) for area in AREAS for number in range(2)], 0),
        ([finding("dns", CRITICAL), *[finding(area, HIGH) for area in AREAS[:3]]], 34),
    ],
)
def test_the_rule_of_the_score(findings: list[Finding], score: int) -> None:
    found = Readiness(service="adhd", at="", findings=tuple(findings), well=())
    assert found.score == score
    assert found.as_dict()["score"] == score


def test_the_worst_comes_first_and_the_text_has_each_fix() -> None:
    ordered = in_order([finding("dns", LOW), finding("ledger", CRITICAL), finding("backups", CRITICAL)])
    assert [(one.area, one.severity) for one in ordered] == [
        ("backups", CRITICAL),
        ("ledger", CRITICAL),
        ("dns", LOW),
    ]
    lines = readiness_text(look(changed("sources.0.fencing", {})).as_dict())
    assert any(line.startswith("CRITICAL [fencing.none] adhd/main:") for line in lines)
    assert any(line.strip().startswith("fix: Describe fencing") for line in lines)
    assert any("at most 49 with anything critical" in line for line in lines)


def test_a_clock_that_is_later_makes_things_older() -> None:
    later = assess(WELL, now=START + datetime.timedelta(days=400))
    assert {"backup.old", "exercise.old"} <= {one.code for one in later.findings}
