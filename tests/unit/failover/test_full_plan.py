# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lost system on new hosts: the recovery config, every step in its phase, every reason not to begin or go on."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import DONE, INTENDED
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.evidence import evidence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.full_config import (
    ONLY,
    RecoveryConfig,
    recovery_config,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.full_names import names_afterwards
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.full_plan import (
    AcceptedForRestore,
    PlannedRestore,
    plan_full_restore,
    restore_objections,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import STEP_KINDS, parse_plan
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage

Json = dict[str, t.Any]

NOW = "2026-11-21T03:00:00Z"
API: Json = {
    "name": "api",
    "host": "fresh1",
    "unit": "api",
    "health": {"url": "http://x"},
    "outside": False,
    "wiring": [{"file": "/e", "match": "^DB=", "line": "DB={host}", "source": "main"}],
}
NAME: Json = {"name": "api.example.org", "type": "A", "ttl": 60, "values": {"north": ["192.0.2.1"]}}


def source(name: str, engine: str, *, phase: str, kind: str, questions: t.Sequence[Json] = ()) -> Json:
    return {
        "name": name,
        "engine": engine,
        "way": "restore",
        "phase": phase,
        "objectives": {"rpo": "5m"},
        "restore": {"kind": kind, "questions": list(questions)},
        "spare": {"name": "fresh1", "host": "fresh1", "connection": {}, "point": "latest"},
        "first_job": {"id": f"adhd/{name}/{kind}"},
    }


MAIN = source("main", "postgresql", phase="data", kind="base", questions=[{"name": "users"}])
CACHE = source("cache", "redis", phase="data", kind="rdb")
CODE = source("code", "files", phase="application", kind="app")
SETTINGS = source("settings", "files", phase="prepare", kind="config")
LOGS: Json = {"name": "logs", "engine": "files", "way": "leave", "objectives": {}}


def found(
    backup: str = "b1", *, state: str = "verified", until: str = "2026-11-21T01:59:00Z", **changes: t.Any
) -> Json:
    taken = {"id": backup, "state": state, "repository": "offsite", "started": until}
    return {"plan": {"backup": taken, "recovery": None, "replaces": None, "facts": {}, "warnings": [], **changes}}


def target(**changes: t.Any) -> Json:
    return {
        "service": "adhd",
        "host": "old1",
        "new_host": "fresh1",
        "new_hosts": ["fresh1"],
        "old_hosts": ["old1"],
        "from": "",
        "to": "north",
        "lost_at": "",
        "objectives": {"rpo": "5m", "rto": "2h"},
        "sources": [CODE, MAIN, CACHE, SETTINGS, LOGS],
        "applications": [API],
        "dns": [NAME],
        "names": {"api.example.org": {"A": ["198.51.100.7"]}},
        "announces": True,
        "scheduled": True,
        "failover": {"watch": {"checks": 1, "every": "1s"}},
        "repositories": [{"name": "offsite"}],
        "leaves_repositories": [],
        **changes,
    }


def looked(**changes: t.Any) -> Json:
    recovery = {"base": "base1", "facts": {"until": "2026-11-21T02:58:00Z"}}
    main = found("base1", facts={"account": "postgres"}, recovery=recovery)
    return {"main": main, **{name: found() for name in ("cache", "code", "settings")}, **changes}


def planned(
    *,
    seen: Json | None = None,
    answering: t.Sequence[str] = (),
    kinds: t.Collection[str] = STEP_KINDS,
    accepted: AcceptedForRestore | None = None,
    now: str = NOW,
    **changes: t.Any,
) -> PlannedRestore:
    return plan_full_restore(
        target(**changes),
        looked=looked() if seen is None else seen,
        answering=answering,
        kinds=kinds,
        accepted=accepted or AcceptedForRestore(),
        now=parse_time(now),
    )


# --- in which order -----------------------------------------------------------------------------------------------


def test_settings_come_before_databases_and_code_before_applications_start_and_names_after_they_are_well() -> None:
    made = planned()
    assert made.refusals == ()
    assert [(step.options["phase"], step.name) for step in made.plan.steps] == [
        ("prepare", "announce-began"),
        ("prepare", "prepare-fresh1"),
        ("prepare", "restore-settings"),
        ("prepare", "hold-fresh1"),
        ("data", "restore-main"),
        ("data", "restore-cache"),
        ("application", "restore-code"),
        ("start", "rewire-api-fresh1"),
        ("start", "health-api-fresh1"),
        ("start", "dns-api.example.org"),
        ("verify", "ask-main"),
        ("verify", "schedule-fresh1"),
        ("verify", "backup-main"),
        ("verify", "backup-cache"),
        ("verify", "watch"),
        ("verify", "announce"),
    ]
    vital = [step.name for step in made.plan.steps if step.vital]
    assert vital[0] == "prepare-fresh1"
    assert vital[-1] == "dns-api.example.org"
    assert made.plan.step("dns-api.example.org").options["values"] == ["198.51.100.7"]
    assert made.plan.step("ask-main").options["account"] == "postgres"
    assert made.plan.facts["left"] == ["logs"]
    assert made.plan.facts["addresses"]["main"] == {"host": "fresh1", "port": 5432}
    assert parse_plan(made.plan.as_dict()).fingerprint == made.plan.fingerprint


def test_what_is_lost_is_counted_from_the_loss_where_that_is_known() -> None:
    by_name = {one.source: one for one in planned(lost_at="2026-11-21T02:00:00Z").comebacks}
    assert by_name["main"].loss_seconds == 0, "what was written after the loss can't be lost"
    assert by_name["cache"].loss_seconds == 60
    assert by_name["cache"].statement == "everything that was written after 2026-11-21T01:59:00Z is lost (60 s)"
    assert {one.source: one.loss_seconds for one in planned().comebacks}["main"] == 120
    # More than the objective is said, and stops nobody: there is nothing else to go back to.
    late = planned(seen=looked(cache=found(until="2026-11-21T01:00:00Z")), lost_at="2026-11-21T02:00:00Z")
    assert late.refusals == ()
    assert any(one.startswith("cache: 3600 s are lost by then, and at most 5m may be") for one in late.warnings)


def test_the_same_plan_has_the_same_hash_later_and_another_one_where_something_else_is_done() -> None:
    first = planned().plan.fingerprint
    assert planned(now="2026-11-21T03:10:00Z").plan.fingerprint == first
    assert planned(accepted=AcceptedForRestore(replace=("main",))).plan.fingerprint != first
    assert planned(seen=looked(cache=found("b2"))).plan.fingerprint != first
    assert planned(new_host="fresh2").plan.fingerprint != first


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "accepted", "why"),
    [
        (
            {"seen": looked(cache={"plan": None, "problem": "No repository could be read. hint: look."})},
            None,
            "cache: it can't be restored: No repository could be read. hint: look",
        ),
        (
            {"seen": looked(cache={"plan": None, "problem": "None was verified. [catalog.backup_not_trusted]"})},
            None,
            "(-e lifeboat_accept_unverified=cache: take the newest all the same)",
        ),
        ({"seen": {}}, None, "settings: it can't be restored: it was not asked"),
        (
            {"seen": looked(main=found("base1", state="complete", recovery={"base": "base1", "facts": {}}))},
            AcceptedForRestore(unverified=("main",)),
            "main: the backup base1 was never verified (complete). Prove it first",
        ),
        (
            {"seen": looked(main=found(replaces="/data"))},
            AcceptedForRestore(replace=("main",)),
            "main: /data on fresh1 holds something already, which would be moved aside",
        ),
        (
            {"seen": looked(cache=found(replaces="redis", facts={"target": {"keyspace": {"db0": {"keys": 1}}}}))},
            AcceptedForRestore(replace=("all",)),
            "-e lifeboat_replace=cache",
        ),
        (
            {"answering": ["old1"]},
            AcceptedForRestore(split_brain_risk=True),
            "old1, which was lost, answers: two systems would take writes",
        ),
        ({"sources": [{**MAIN, "way": "nowhere", "problem": "no disk"}]}, None, "main: it can't come back: no disk"),
        ({"sources": [LOGS]}, None, "nothing of adhd comes back"),
        ({"kinds": [one for one in STEP_KINDS if one != "ask"]}, None, "ask-main needs a step 'ask'"),
        (
            {"applications": [{**API, "wiring": [{"file": "/e", "match": "x", "line": "y"}]}]},
            None,
            "the wiring of api does not say which source it means",
        ),
        ({"surroundings": {"approvals": {}, "x": 1}, "kinds": ["x"]}, None, "needs a step"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_touched(
    changes: Json, accepted: AcceptedForRestore | None, why: str
) -> None:
    refusals = planned(**changes).refusals
    assert any(why in one for one in refusals), refusals
    if accepted is not None:
        assert not any(why in one for one in planned(**changes, accepted=accepted).refusals)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("cache", found(replaces="redis at 127.0.0.1:6379", facts={"target": {"keyspace": {}}})),
        ("main", found(replaces=None)),
    ],
)
def test_a_server_that_is_empty_needs_no_word(name: str, plan: Json) -> None:
    assert planned(seen=looked(**{name: plan})).refusals == ()


def test_a_stream_that_carries_its_own_beginning_has_no_backup_of_the_catalog() -> None:
    stream = found("made-up", state="complete", recovery={"base": None, "facts": {"until": "2026-11-21T02:59:00Z"}})
    made = planned(seen=looked(cache=stream))
    assert made.refusals == ()
    assert made.plan.facts["sources"]["cache"]["backup"] == ""


def test_what_nobody_does_is_said() -> None:
    warnings = planned(names={}, leaves_repositories=["local"], applications=[{**API, "health": None}]).warnings
    assert any("api.example.org (A) is pointed nowhere" in one for one in warnings)
    assert any("folders of the lost host: local" in one for one in warnings)
    assert any("can't be asked for its health" in one for one in warnings)
    assert any("nothing is started" in one for one in planned(applications=[]).warnings)
    beside = {**MAIN["spare"], "options": {"in_place": False, "data_directory": "/data"}}
    warnings = planned(sources=[CODE, {**MAIN, "spare": beside}, CACHE, SETTINGS]).warnings
    assert any(one.startswith("main: fresh1 on fresh1") and "archives nothing" in one for one in warnings)
    assert any(one.startswith("main: fresh1 on fresh1") and "listens on no address" in one for one in warnings)


# --- going on -----------------------------------------------------------------------------------------------------


def objections(
    *, seen: Json | None = None, finished: Json | None = None, intended: t.Sequence[str] = (), **changes: t.Any
) -> list[str]:
    book = {"run": "run-0001", "plan": planned().plan.as_dict(), "finished": finished or {}, "intended": list(intended)}
    return restore_objections(book, looked() if seen is None else seen, target(**changes))


def test_a_run_goes_on_with_the_backups_and_hosts_of_then_or_not_at_all() -> None:
    assert objections() == []
    gone = looked(cache={"plan": None, "problem": "it is gone"})
    assert objections(seen=gone) == ["cache can't be restored any more: it is gone"]
    assert objections(seen=gone, finished={"restore-cache": {}}) == []
    assert objections(seen=gone, intended=["restore-cache"]) == [], "a server that a dead run stopped is started by it"
    assert objections(seen=looked(cache=found("b2"))) == ["cache would come from b2 now, and not from b1"]
    assert "go on with the recovery config of then" in objections(new_host="fresh2")[0]
    assert "go on with the recovery config of then" in objections(new_hosts=["fresh1", "fresh2"])[0]


# --- what is left -------------------------------------------------------------------------------------------------


def carried_out(**changes: t.Any) -> Json:
    """The evidence of a run whose every step takes five seconds, and as long to be begun."""
    plan = planned(**changes).plan
    clock, storages = FakeClock(parse_time(NOW)), {"offsite": MemoryStorage()}
    book = ledgers.begin(plan, operator="ada", host="desk", storages=storages, clock=clock, data={})
    results: Json = {
        "restore-main": {"id": "r1", "where": "/data", "seconds": 9.0},
        "ask-main": {"answers": [{"name": "users"}]},
    }
    who = {"session": book.operator.session, "storages": storages, "clock": clock}
    for step in plan.steps:
        for event, data in ((INTENDED, {}), (DONE, results.get(step.name, {}))):
            clock.advance(5)
            book = ledgers.note("adhd", book.run, event=event, step=step.name, data=data, **who)
    return evidence(book)


def test_the_evidence_has_the_five_phases_and_what_came_of_each_source() -> None:
    made = carried_out(lost_at="2026-11-21T02:00:00Z")
    assert (made["kind"], made["state"], made["hosts"]) == ("full-restore", "complete", ["fresh1"])
    assert [(one["phase"], len(one["steps"])) for one in made["phases"]] == [
        ("prepare", 4),
        ("data", 2),
        ("application", 1),
        ("start", 3),
        ("verify", 6),
    ]
    assert made["stated"] == {"loss_seconds": 60}
    assert made["sources"]["main"]["restored"] == {"id": "r1", "where": "/data", "seconds": 9.0}
    assert made["sources"]["main"]["answers"] == [{"name": "users"}]


def test_the_objective_of_time_is_held_against_the_loss_where_that_is_known() -> None:
    within = {"objectives": {"rpo": "5m", "rto": "1h"}}
    made = carried_out(lost_at="2026-11-21T02:00:00Z", **within)
    assert (made["healthy_seconds"], made["recovery_seconds"]) == (90, 100), "verifying is no part of it"
    assert made["since_loss_seconds"] == 3700
    assert made["objectives"] == {"rpo": "5m", "rto": "1h", "rpo_met": True, "rto_met": False}
    aimless = carried_out(sources=[{**MAIN, "objectives": {}}], objectives={})
    assert aimless["objectives"] == {"rpo": None, "rto": None, "rpo_met": None, "rto_met": None}
    unknown = carried_out(**within)
    assert unknown["since_loss_seconds"] is None
    assert unknown["objectives"]["rto_met"] is True


# --- the recovery config ------------------------------------------------------------------------------------------


def test_a_recovery_config_is_a_name_or_a_file() -> None:
    assert recovery_config("adhd") == RecoveryConfig(service="adhd")
    config = recovery_config(
        {
            "service": "adhd",
            "host": "fresh1",
            "hosts": {"old2": "fresh1"},
            "point": "2026-11-21 15:03 Europe/Berlin",
            "lost_at": parse_time("2026-11-21T14:00:00Z"),
            "sources": {"logs": {"leave": True}, "main": {"data_directory": "/data", "point": "backup"}},
            "names": {"api.example.org": "192.0.2.1"},
            "unverified": ["main"],
        },
        replace="main, cache",
    )
    assert (config.point, config.lost_at) == ("2026-11-21T14:03:00Z", "2026-11-21T14:00:00Z")
    assert (config.of("logs").leave, config.of("main").point, config.of("other").leave) == (True, "backup", False)
    assert (config.place_of("old2"), config.place_of("other")) == ("fresh1", "other")
    assert (config.replace, config.unverified) == (("main", "cache"), ("main",))
    assert config.names == {"api.example.org": {ONLY: ("192.0.2.1",)}}
    config.require_known(sources=["logs", "main", "cache"], names=["api.example.org"])
    with pytest.raises(RequestInvalid, match=r"speaks of cache, and adhd has no such source"):
        config.require_known(sources=["logs", "main"], names=["api.example.org"])
    with pytest.raises(RequestInvalid, match=r"no such name \(dns\)"):
        config.require_known(sources=["logs", "main", "cache"], names=[])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "is the name of a service or a mapping"),
        ({}, "must name one service"),
        ("adhd/main", "must name one service"),
        ({"service": "a", "hots": "x"}, "has no option hots"),
        ({"service": "a", "point": "yesterday"}, "point: The time can't be meant"),
        ({"service": "a", "lost_at": "2026-11-21 02:00:00"}, "lost_at"),
        ({"service": "a", "hosts": ["x"]}, "hosts must be a mapping"),
        ({"service": "a", "hosts": {"x": ""}}, "hosts.x must be text"),
        ({"service": "a", "sources": {"main": "x"}}, "sources.main must be a mapping"),
        ({"service": "a", "sources": {"main": {"folder": "x"}}}, "sources.main has no option folder"),
        ({"service": "a", "sources": {"main": {"leave": "yes"}}}, "must be true or false"),
        ({"service": "a", "order": 3}, "order must be a list of texts"),
        ({"service": "a", "names": {"x": {"MX": ["y"]}}}, "names.x has no option MX"),
        ({"service": "a", "names": {"x": {"A": 3}}}, "names.x.A must be a list of texts"),
        ({"service": "a", "names": {"x": {"A": [""]}}}, "names.x.A must be text"),
    ],
)
def test_a_mistake_in_it_ends_the_play_at_once(given: t.Any, why: str) -> None:
    with pytest.raises(RequestInvalid, match=why):
        recovery_config(given)


# --- names with addresses of two types ----------------------------------------------------------------------------

SIXTH: Json = {**NAME, "type": "AAAA", "values": {"north": ["2001:db8::1"]}}
ALIAS: Json = {"name": "web.example.org", "type": "CNAME", "ttl": 60}


def afterwards(names: Json, *records: Json) -> Json:
    return names_afterwards(recovery_config({"service": "adhd", "names": names}), records)


def test_two_records_of_one_name_get_each_the_values_of_its_type() -> None:
    both = {"A": ["198.51.100.7"], "AAAA": "2001:db8::7"}
    names = afterwards({"api.example.org": both}, NAME, SIXTH)
    assert names == {"api.example.org": {"A": ["198.51.100.7"], "AAAA": ["2001:db8::7"]}}
    made = planned(dns=[NAME, SIXTH], names=names)
    assert [
        (step.name, step.options["record"]["type"], step.options["values"], step.options["previous"])
        for step in made.plan.steps
        if step.kind == "dns"
    ] == [
        ("dns-api.example.org-A", "A", ["198.51.100.7"], ["192.0.2.1"]),
        ("dns-api.example.org-AAAA", "AAAA", ["2001:db8::7"], ["2001:db8::1"]),
    ]
    # What is said of one leaves the other where it is, and that is said.
    one = planned(dns=[NAME, SIXTH], names=afterwards({"api.example.org": {"AAAA": ["2001:db8::7"]}}, NAME, SIXTH))
    assert [step.name for step in one.plan.steps if step.kind == "dns"] == ["dns-api.example.org-AAAA"]
    assert next(why for why in one.warnings if "pointed nowhere" in why).startswith("api.example.org (A) is")
    assert not any("(AAAA)" in why for why in one.warnings)


def test_the_only_record_of_a_name_needs_no_type() -> None:
    assert afterwards({"api.example.org": ["198.51.100.7"]}, NAME) == {"api.example.org": {"A": ["198.51.100.7"]}}
    assert afterwards({"api.example.org": "2001:db8::7"}, SIXTH) == {"api.example.org": {"AAAA": ["2001:db8::7"]}}
    assert afterwards({"web.example.org": "new.example.org"}, ALIAS, NAME) == {
        "web.example.org": {"CNAME": ["new.example.org"]}
    }
    assert afterwards({"api.example.org": None}, NAME, SIXTH) == {"api.example.org": {}}


@pytest.mark.parametrize(
    ("names", "why", "hint"),
    [
        (
            {"api.example.org": ["198.51.100.7", "2001:db8::7"]},
            "names.api.example.org has one list, and api.example.org has records of the types A and AAAA.",
            "Write names: {api.example.org: {A: [198.51.100.7], AAAA: [2001:db8::7]}}.",
        ),
        (
            {"api.example.org": ["198.51.100.7"]},
            "has one list",
            "Write names: {api.example.org: {A: [198.51.100.7], AAAA: [ADDRESS]}}.",
        ),
        (
            {"web.example.org": {"A": ["198.51.100.7"]}},
            "names.web.example.org has values of the type A, and no such record of web.example.org is described.",
            "It has: CNAME.",
        ),
        (
            {"api.example.org": {"AAAA": ["198.51.100.7"]}},
            "198.51.100.7 is no address of a record of type AAAA",
            "A has",
        ),
        ({"api.example.org": {"A": ["fresh1"]}}, "fresh1 is no address of a record of type A", "A has"),
        ({"web.example.org": ["a.example.org", "b.example.org"]}, "names.web.example.org has 2 values", "A CNAME"),
        ({"web.example.org": ["no name"]}, "names.web.example.org: 'no name' is no name of the DNS", "Write it as"),
    ],
)
def test_values_that_can_not_be_meant_end_the_play_at_once(names: Json, why: str, hint: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        afterwards(names, NAME, SIXTH, ALIAS)
    assert refused.value.code == "request.invalid"
    assert why in refused.value.message
    assert hint in refused.value.hint
