# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service's way to another region: every step in its order, what is lost, and every reason not to begin."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FailoverPlanInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.copies import LedgerCopy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import CLOSED, DONE, INTENDED
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.evidence import evidence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.fencing import fencing_ways
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import (
    REWIRE,
    STEP_KINDS,
    parse_plan,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.promotion_plan import Accepted
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.proof import examine
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.region_plan import (
    PlannedMove,
    plan_move,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.region_world import (
    move_objections,
    part_of_ledger,
)
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage

Json = dict[str, t.Any]

NOW = parse_time("2026-11-21T02:00:10Z")


def standby(received: str = "0/5000000", **changes: t.Any) -> Json:
    return {
        "server": "db:5432",
        "system_identifier": "7",
        "in_recovery": True,
        "timeline": 1,
        "received": received,
        "replayed": received,
        "written": None,
        "receiving": False,
        "last_commit": "2026-11-21T02:00:08Z",
        **changes,
    }


def promoted(timeline: int = 2) -> Json:
    return standby(in_recovery=False, timeline=timeline, received=None, replayed=None, written="0/5000100")


MAIN: Json = {
    "name": "main",
    "engine": "postgresql",
    "way": "promote",
    "objectives": {"rpo": "5m"},
    "fencing": {"data_directory": "/data"},
    "service_control": {},
    "promotion": {
        "service": "adhd",
        "source": "main",
        "host": "old",
        "fencing": {"data_directory": "/data"},
        "objectives": {"rpo": "5m"},
        "standbys": [
            {"name": "near", "region": "north", "host": "near1", "connection": {"host": "n1"}},
            {"name": "far", "region": "south", "host": "far1", "connection": {"host": "s1", "port": 5433}},
        ],
        "applications": [],
        "base_job": {"id": "adhd/main/base"},
    },
}
CACHE: Json = {
    "name": "cache",
    "engine": "redis",
    "way": "restore",
    "objectives": {"rpo": "10m"},
    "fencing": {},
    "service_control": {"unit": "redis"},
    "spare": {"name": "far-cache", "host": "far1", "connection": {"port": 6380}},
}
LOGS: Json = {"name": "logs", "engine": "files", "way": "leave", "objectives": {}}
BACKUP: Json = {"id": "b1", "state": "verified", "repository": "offsite", "started": "2026-11-21T01:55:00Z"}
API: Json = {
    "name": "api",
    "host": "web2",
    "unit": "api",
    "health": {"url": "http://x"},
    "outside": False,
    "wiring": [{"file": "/e", "match": "^DB=", "line": "DB={host}", "source": "main"}],
}
NAME: Json = {
    "name": "api.example.org",
    "type": "A",
    "ttl": 60,
    "values": {"north": ["192.0.2.1"], "south": ["192.0.2.2"]},
}


def target(**changes: t.Any) -> Json:
    return {
        "service": "adhd",
        "host": "old",
        "from": "north",
        "to": "south",
        "objectives": {"rpo": "5m", "rto": "15m"},
        "left_hosts": ["old", "near1"],
        "sources": [MAIN, CACHE, LOGS],
        "applications": [API],
        "left_applications": [{"name": "api", "host": "old"}],
        "dns": [NAME],
        "announces": True,
        "failover": {"watch": {"checks": 2, "every": "1m"}},
        **changes,
    }


def looked(**changes: t.Any) -> Json:
    main = {"states": {"near": None, "far": standby()}, "problems": {}, "primary": {}}
    return {"main": main, "cache": {"plan": {"backup": BACKUP, "replaces": "redis", "recovery": None}}, **changes}


def move(
    *,
    seen: Json | None = None,
    answering: t.Sequence[str] = (),
    kinds: t.Collection[str] = STEP_KINDS,
    data_loss: bool = False,
    split_brain_risk: bool = False,
    later: str = "2026-11-21T02:00:10Z",
    **changes: t.Any,
) -> PlannedMove:
    return plan_move(
        target(**changes),
        looked=looked() if seen is None else seen,
        answering=answering,
        kinds=kinds,
        accepted=Accepted(data_loss=data_loss, split_brain_risk=split_brain_risk),
        now=parse_time(later),
    )


# --- in which order -----------------------------------------------------------------------------------------------


def test_nothing_is_promoted_before_all_are_fenced_and_no_name_moves_before_all_are_well() -> None:
    planned = move(answering=["near1"])
    assert planned.refusals == ()
    assert planned.warnings == ()
    assert [step.name for step in planned.plan.steps] == [
        "freeze-near1",
        "announce-began",
        "fence-main",
        "cut-cache",
        "promote-main",
        "verify-main",
        "restore-cache",
        "rewire-api-web2",
        "health-api-web2",
        "dns-api.example.org",
        "announce",
        "watch",
        "backup-main",
    ]
    assert [step.name for step in planned.plan.steps if step.irreversible] == ["promote-main"]
    vital = [step.name for step in planned.plan.steps if step.vital]
    assert vital[0] == "fence-main"
    assert vital[-1] == "dns-api.example.org"
    assert planned.plan.step("dns-api.example.org").options["values"] == ["192.0.2.2"]
    assert planned.plan.step("watch").options == {"checks": 2, "every": 60}
    assert planned.plan.facts["left"] == ["logs"]


def test_only_a_standby_of_the_entered_region_is_promoted_and_others_follow_it() -> None:
    main = {"states": {"near": standby(), "far": standby()}, "problems": {}, "primary": {}}
    planned = move(seen=looked(main=main))
    assert planned.plan.facts["sources"]["main"]["standby"] == "far"
    assert planned.plan.facts["addresses"] == {
        "main": {"host": "s1", "port": 5433},
        "cache": {"host": "far1", "port": 6380},
    }
    assert planned.plan.step("follow-main-near").options["part"] == "follow-near"
    # One of the left region that has more is what would be lost.
    main["states"]["near"] = standby("0/5000040")
    assert "main: near has more than far (64 bytes)" in move(seen=looked(main=main)).refusals[0]


REPLICA: Json = {
    "role": "replica",
    "history": "abc",
    "previous_history": None,
    "silent_seconds": 3,
    "first_copy_running": False,
}
FOLLOWER: Json = {
    "way": "promote-elsewhere",
    "standby": {"name": "copy", "host": "far1", "connection": {}},
    "service_control": {},
}


def of_replica(finished: Json | None = None, intended: t.Sequence[str] = (), **state: t.Any) -> list[str]:
    planned = move(seen=looked(cache={"state": REPLICA}), sources=source(CACHE, **FOLLOWER))
    assert planned.refusals == ()
    book = {**ledger(finished=finished, intended=intended), "plan": planned.plan.as_dict()}
    return move_objections(book, looked(cache={"state": {**REPLICA, **state}}))


def test_a_replica_of_redis_is_promoted_after_its_primary_was_fenced_over_its_connection() -> None:
    planned = move(seen=looked(cache={"state": REPLICA}), sources=source(CACHE, **FOLLOWER))
    assert planned.refusals == ()
    names = [step.name for step in planned.plan.steps]
    assert names[1:6] == ["fence-main", "cut-cache", "promote-main", "verify-main", "promote-cache"]
    assert planned.plan.step("cut-cache").options == {"source": "cache", "ways": [{"way": "host"}], "history": "abc"}
    assert planned.plan.step("promote-cache").irreversible
    assert planned.fates[1].loss_seconds == 3.0
    others: list[tuple[Json, str]] = [
        ({"state": None, "problem": "refused"}, "cache: its standby copy can't be asked: refused"),
        ({"state": {**REPLICA, "role": "primary"}}, "cache: copy is a primary already"),
        ({"state": {**REPLICA, "first_copy_running": True}}, "in the middle of its first copy"),
        ({"state": {**REPLICA, "silent_seconds": 601}}, "has heard nothing from its primary for 601 s"),
        ({"state": {**REPLICA, "silent_seconds": None}}, "nobody knows for how long"),
    ]
    for said, refusal in others:
        (found,) = move(seen=looked(cache=said), sources=source(CACHE, **FOLLOWER)).refusals
        assert refusal in found
    late = looked(cache={"state": {**REPLICA, "silent_seconds": 601}})
    assert move(seen=late, sources=source(CACHE, **FOLLOWER), data_loss=True).refusals == ()


def test_a_replica_that_somebody_else_has_promoted_ends_the_run() -> None:
    assert of_replica() == []
    gone = {"role": "primary", "history": "new", "previous_history": "abc"}
    assert of_replica(**gone) == ["cache: copy is a primary, and this failover has not promoted it"]
    assert of_replica(intended=["promote-cache"], **gone) == []
    assert of_replica(finished={"promote-cache": {}}, **gone) == []
    assert "is a replica now" in of_replica(finished={"promote-cache": {}})[0]
    assert "another primary than when it was chosen" in of_replica(history="other")[0]


def test_a_name_may_have_addresses_of_two_types() -> None:
    other = {**NAME, "type": "AAAA", "values": {"north": ["2001:db8::1"], "south": ["2001:db8::2"]}}
    planned = move(dns=[NAME, other])
    assert planned.plan.step("dns-api.example.org-A").options["values"] == ["192.0.2.2"]
    assert planned.plan.step("dns-api.example.org-AAAA").options["values"] == ["2001:db8::2"]
    assert parse_plan(planned.plan.as_dict()) == planned.plan


def test_an_application_on_a_cluster_is_rolled_out_and_asked_from_the_controller() -> None:
    cluster = {**API, "name": "pods", "host": "localhost", "unit": None, "outside": True, "wiring": []}
    names = [(step.name, step.on) for step in move(applications=[API, cluster]).plan.steps]
    assert ("deploy-pods", "localhost") in names
    assert names.index(("deploy-pods", "localhost")) < names.index(("rewire-api-web2", "web2"))
    assert ("health-pods-localhost", "localhost") in names


def test_a_role_of_the_user_is_named_in_the_step_and_changes_the_hash() -> None:
    (step,) = [
        step
        for step in move(applications=[{**API, "wiring": [], "role": "acme.shop.deploy"}]).plan.steps
        if step.kind == REWIRE
    ]
    assert step.what.endswith(", by your role acme.shop.deploy.")
    assert step.what.startswith("Point at what was moved, and restart,")
    assert step.options["role"] == "acme.shop.deploy"
    hashes = {move(applications=[{**API, "role": role}]).plan.fingerprint for role in (None, "one", "other")}
    assert len(hashes) == 3


# --- what is confirmed --------------------------------------------------------------------------------------------


def test_the_same_plan_made_later_has_the_same_hash_and_what_would_be_done_changes_it() -> None:
    first = move().plan
    later = looked(main={"states": {"near": None, "far": standby("0/5000100")}, "problems": {}, "primary": {}})
    assert move(seen=later, later="2026-11-21T02:01:00Z").plan.fingerprint == first.fingerprint
    assert parse_plan(first.as_dict()) == first
    others = [
        move(answering=["near1"]),
        move(data_loss=True),
        move(dns=[]),
        move(seen=looked(cache={"plan": {"backup": {**BACKUP, "id": "b2"}, "replaces": "redis", "recovery": None}})),
        move(seen=looked(main={"states": {"far": standby(timeline=2)}, "problems": {}, "primary": {}})),
    ]
    assert len({first.fingerprint, *(one.plan.fingerprint for one in others)}) == 6


def test_a_plan_that_was_changed_is_not_read() -> None:
    document = move().plan.as_dict()
    document["steps"] = document["steps"][1:]
    with pytest.raises(FailoverPlanInvalid):
        parse_plan(document)
    with pytest.raises(FailoverPlanInvalid, match="which this version does not know"):
        parse_plan({**move().plan.as_dict(), "kind": "something-else"})


# --- refusals -----------------------------------------------------------------------------------------------------


def source(of: Json, **changes: t.Any) -> list[Json]:
    return [{**one, **changes} if one is of else one for one in (MAIN, CACHE, LOGS)]


def with_far(**changes: t.Any) -> Json:
    return looked(main={"states": {"near": None, "far": standby(**changes)}, "problems": {}, "primary": {}})


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"sources": source(CACHE, way=None)}, "cache: it has no standby and no spare in south"),
        (
            {"seen": looked(cache={"plan": None, "problem": "nothing was verified"})},
            "cache: it has no standby there, and",
        ),
        ({"sources": source(CACHE, service_control={})}, "cache: nothing says how its old server is fenced"),
        (
            {"seen": looked(main={"states": {"near": None, "far": None}, "problems": {}, "primary": {}})},
            "main: no standby in south can be promoted (far: it does not answer)",
        ),
        ({"seen": with_far(last_commit="2026-11-21T01:50:00Z")}, "main: with far up to 610 s may be lost"),
        (
            {"seen": looked(main={"states": {"near": promoted(), "far": standby()}, "problems": {}, "primary": {}})},
            "main: near is a primary already",
        ),
        ({"dns": [{**NAME, "values": {"north": ["192.0.2.1"]}}]}, "api.example.org has no values for south"),
        ({"applications": []}, "names move only to what is well"),
        (
            {"applications": [{**API, "wiring": [{"file": "/e", "match": "x", "line": "y"}]}]},
            "the wiring of api does not say which source it means, and 2 move",
        ),
        ({"kinds": [kind for kind in STEP_KINDS if kind != "dns"]}, "dns-api.example.org needs a step 'dns'"),
        ({"surroundings": {"approvals": {"needed": 1}}}, "the plan must be approved"),
        ({"later": "2026-11-21T02:06:00Z"}, "cache: what is restored ends at 2026-11-21T01:55:00Z: 660 s are lost"),
    ],
)
def test_what_can_not_be_is_refused_by_name(changes: Json, refusal: str) -> None:
    found = move(**changes).refusals
    assert [one for one in found if refusal in one], found


def test_what_the_operator_takes_upon_themselves_is_no_refusal_and_is_in_the_plan() -> None:
    planned = move(
        sources=source(CACHE, service_control={}), later="2026-11-21T02:06:00Z", data_loss=True, split_brain_risk=True
    )
    assert planned.refusals == ()
    assert planned.plan.facts["accepted"] == {"data_loss": True, "split_brain_risk": True}


def test_a_spare_that_is_made_beside_its_source_is_said_to_archive_nothing_and_to_be_out_of_reach() -> None:
    copy = {"in_place": False, "data_directory": "/data", "port": 5433, "start": True}
    place = {"name": "far-main", "host": "far1", "connection": {"host": "s1", "port": 5433}, "options": copy}
    ways = {"way": "restore", "spare": place, "objectives": {}, "service_control": {"unit": "postgresql"}}
    restored = {"plan": {"backup": BACKUP, "replaces": None, "recovery": None}}
    planned = move(sources=source(MAIN, **ways), seen=looked(main=restored))
    assert planned.refusals == ()
    archives, reached = planned.warnings
    assert archives.startswith("main: far-main on far1 is restored as a copy beside its source")
    assert "archives nothing" in archives
    assert "listens on no address: applications that are pointed to s1 don't reach it" in reached
    place["options"] = {"data_directory": "/data"}
    assert move(sources=source(MAIN, **ways), seen=looked(main=restored)).warnings == ()


def test_a_name_that_is_remembered_for_longer_than_the_service_may_be_away_is_a_warning() -> None:
    planned = move(dns=[{**NAME, "ttl": 3600}])
    assert planned.refusals == ()
    assert "api.example.org is remembered for 3600 s" in planned.warnings[0]


def test_what_was_shipped_after_a_backup_counts() -> None:
    recovery = {"facts": {"until": "2026-11-21T02:00:00Z"}}
    plan = {"backup": BACKUP, "replaces": None, "recovery": recovery}
    (_main, cache, _logs) = move(seen=looked(cache={"plan": plan})).fates
    assert cache.loss_seconds == 10.0
    plan["recovery"] = {"facts": {"complete_through": int(NOW.timestamp()) - 4}}
    (_main, cache, _logs) = move(seen=looked(cache={"plan": plan})).fates
    assert cache.loss_seconds == 4.0


def test_the_ways_of_fencing_are_tried_in_the_order_of_the_description() -> None:
    assert fencing_ways({"data_directory": "/d", "command": "cut"}, on_host=True) == [
        {"way": "host"},
        {"way": "command", "name": "command 1", "command": "cut"},
    ]
    methods = [{"command": "power", "name": "power"}, {"host": True}, {"command": "group"}]
    ways = fencing_ways({"methods": methods}, on_host=True)
    assert [one.get("name", one["way"]) for one in ways] == ["power", "host", "command 2"]
    assert [one["way"] for one in fencing_ways({"methods": methods}, on_host=False)] == ["command", "command"]
    assert fencing_ways({}, on_host=False) == []


# --- whether it may go on -----------------------------------------------------------------------------------------


def ledger(*, finished: Json | None = None, intended: t.Sequence[str] = ()) -> Json:
    return {
        "run": "run-0001",
        "plan": move().plan.as_dict(),
        "finished": finished or {},
        "intended": list(intended),
    }


def test_a_promotion_sees_its_own_part_of_the_ledger_under_its_own_names() -> None:
    whole = ledger(finished={"fence-main": {"proven": True}, "cut-cache": {}}, intended=["promote-main"])
    step = move().plan.step("promote-main").as_dict()
    part = part_of_ledger(whole, step)
    assert part["finished"] == {"fence": {"proven": True}}
    assert part["intended"] == ["promote"]
    assert parse_plan(part["plan"]).chosen == "far"
    restore = move().plan.step("restore-cache").as_dict()
    assert part_of_ledger(whole, restore) is whole


def test_a_promotion_in_the_plan_that_was_exchanged_is_seen() -> None:
    other = move(seen=looked(main={"states": {"far": standby(timeline=3)}, "problems": {}, "primary": {}}))
    whole = ledger()
    whole["plan"]["measured"]["promotions"] = other.plan.as_dict()["measured"]["promotions"]
    parse_plan(whole["plan"])  # what was measured is not in the hash
    with pytest.raises(FailoverPlanInvalid):
        part_of_ledger(whole, move().plan.step("promote-main").as_dict())


def test_the_world_of_the_plan_may_go_on_and_another_one_may_not() -> None:
    assert move_objections(ledger(), looked()) == []
    gone = looked(main={"states": {"far": None}})
    assert move_objections(ledger(), gone) == ["main: far does not answer"]
    done = looked(main={"states": {"far": promoted()}})
    assert "has not promoted it" in move_objections(ledger(), done)[0]
    assert move_objections(ledger(intended=["promote-main"]), done) == []
    assert move_objections(ledger(finished={"promote-main": {"timeline": 2}}), done) == []
    lost = looked(cache={"plan": None, "problem": "it is gone"})
    assert move_objections(ledger(), lost) == ["cache: the backup b1 can't be restored any more: it is gone"]
    assert move_objections(ledger(finished={"restore-cache": {}}), lost) == []


# --- what is left of it -------------------------------------------------------------------------------------------


def test_the_evidence_has_phases_and_each_sources_loss_against_its_objective() -> None:
    clock, storages = FakeClock(), {"local": MemoryStorage()}
    plan = move().plan
    book = ledgers.begin(plan, operator="ada", host="desk", storages=storages, clock=clock, data={})
    results: Json = {
        "fence-main": {"proven": True, "method": "host", "loss": {"commits": 0}},
        "promote-main": {"timeline": 2},
    }
    shared: Json = {"session": book.operator.session, "storages": storages, "clock": clock}
    for step in plan.steps:
        ledgers.note("adhd", book.run, event=INTENDED, step=step.name, data={}, **shared)
        clock.advance(2)
        ledgers.note("adhd", book.run, event=DONE, step=step.name, data=results.get(step.name, {}), **shared)
    found = evidence(ledgers.read_run("adhd", book.run, storages=storages))
    book = ledgers.note("adhd", book.run, event=CLOSED, step="", data={"evidence": found}, **shared)
    assert (found["state"], found["kind"], found["from"], found["to"]) == ("complete", "move-region", "north", "south")
    assert (found["healthy_seconds"], found["recovery_seconds"]) == (16.0, 20.0)
    assert [one["phase"] for one in found["phases"]][:4] == ["announce", "fence", "cut", "promote"]
    assert found["sources"]["main"]["rpo_met"] is True
    assert found["sources"]["main"]["timeline_after"] == 2
    assert found["sources"]["cache"]["rpo_met"] is True
    assert found["objectives"] == {"rpo": "5m", "rto": "15m", "rpo_met": True, "rto_met": True}
    assert all(step["result_sha256"] for step in found["steps"])

    # Whoever looks later finds that it is the plan of its hash, and that the evidence is that of the entries.
    copies = [LedgerCopy(repository=name, entries=book.entries) for name in ("local", "offsite")]
    proof = examine(copies, service="adhd", run=book.run, now=clock.now())
    assert proof.doubts == ()
