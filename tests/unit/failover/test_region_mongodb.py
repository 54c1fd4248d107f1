# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica set of MongoDB takes part in a region's move: by election, by force, or not at all."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import STEP_KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.promotion_plan import Accepted
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.region_mongodb import set_loss
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.region_plan import (
    PlannedMove,
    plan_move,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.region_world import move_objections

Json = dict[str, t.Any]

UNIT = {"unit": "mongod"}
SOURCE: Json = {
    "name": "db",
    "engine": "mongodb",
    "way": "promote-elsewhere",
    "host": "north1",
    "objectives": {"rpo": "5m"},
    "fencing": {},
    "service_control": UNIT,
    "members": [
        {"name": "near", "region": "north", "host": "north2", "member": "n2:27017", "entered": False},
        {"name": "far", "region": "south", "host": "south1", "connection": {}, "entered": True},
    ],
}


def member(host: str, role: str = "SECONDARY", **changes: t.Any) -> Json:
    healthy = role in ("PRIMARY", "SECONDARY", "ARBITER")
    return {
        "host": host,
        "role": role,
        "healthy": healthy,
        "votes": 1,
        "delayed": False,
        "newest": "2026-11-21T02:00:00Z" if healthy else None,
        "optime": "1763690400:1:3" if healthy else None,
        **changes,
    }


def state(*members: Json, majority: bool, **changes: t.Any) -> Json:
    primary = next((one["host"] for one in members if one["role"] == "PRIMARY"), None)
    return {
        "me": "s1:27017",
        "set_name": "rs0",
        "term": 3,
        "has_majority": majority,
        "primary": primary,
        "members": list(members),
        **changes,
    }


WHOLE = state(member("n1:27017", "PRIMARY"), member("n2:27017"), member("s1:27017"), majority=True)
LOST = state(member("n1:27017", "silent"), member("n2:27017", "silent"), member("s1:27017"), majority=False)


def move(
    said: Json | None, *, data_loss: bool = False, split_brain_risk: bool = False, **changes: t.Any
) -> PlannedMove:
    target: Json = {
        "service": "family",
        "host": "north1",
        "from": "north",
        "to": "south",
        "objectives": {},
        "left_hosts": ["north1"],
        "sources": [{**SOURCE, **changes}],
        "applications": [],
        "left_applications": [],
        "dns": [],
        "announces": False,
    }
    return plan_move(
        target,
        looked={"db": {"states": {"far": said}, "problems": {"far": "refused"}}},
        answering=[],
        kinds=STEP_KINDS,
        accepted=Accepted(data_loss=data_loss, split_brain_risk=split_brain_risk),
        now=parse_time("2026-11-21T02:00:10Z"),
    )


def test_with_a_majority_the_primary_hands_over_and_nobody_is_cut_off() -> None:
    planned = move(WHOLE)
    assert planned.refusals == ()
    assert [step.name for step in planned.plan.steps] == ["promote-db"]
    assert planned.plan.step("promote-db").options["members"] == ["s1:27017"]
    assert planned.fates[0].loss_seconds == 0.0
    assert "n1:27017, n2:27017 keep their votes" in planned.fates[0].told


def test_without_a_majority_each_other_voter_is_fenced_first_where_it_lives() -> None:
    planned = move(LOST)
    assert planned.refusals == ()
    assert [step.name for step in planned.plan.steps] == ["cut-db", "promote-db"]
    assert planned.plan.step("cut-db").options["members"] == [
        {"member": "n1:27017", "host": "north1", "service_control": UNIT},
        {"member": "n2:27017", "host": "north2", "service_control": UNIT},
    ]
    assert planned.plan.step("promote-db").options["others"] == ["n1:27017", "n2:27017"]
    (fate,) = planned.fates
    assert (fate.loss_seconds, fate.address) == (10.0, {"host": "s1", "port": 27017})
    assert "optime 1763690400:1:3" in fate.statement
    # Whether it is by election or by force is confirmed, too.
    assert planned.plan.fingerprint != move(WHOLE).plan.fingerprint


def test_whoever_could_elect_a_primary_and_can_not_be_fenced_refuses_the_move() -> None:
    # Two that no standby is described for: nobody knows which of them is the source's own server.
    unknown = {"members": [SOURCE["members"][1]]}
    assert "n1:27017, n2:27017 may elect a primary" in move(LOST, **unknown).refusals[0]
    assert "n1:27017, n2:27017 may" in move(LOST, service_control={}).refusals[0]
    by_command = {"fencing": {"command": "power-off"}}
    planned = move(LOST, **unknown, **by_command)
    assert planned.refusals == ()
    assert planned.plan.step("cut-db").options["ways"][-1]["command"] == "power-off"
    assert move(LOST, **unknown, split_brain_risk=True).refusals == ()
    # One without a vote elects nobody.
    voteless = state(
        member("n1:27017", "silent"), member("x:27017", "silent", votes=0), member("s1:27017"), majority=False
    )
    assert move(voteless).refusals == ()


def test_what_has_not_the_data_or_is_too_old_is_refused() -> None:
    late = state(member("n1:27017", "silent"), member("s1:27017", newest="2026-11-21T01:50:00Z"), majority=False)
    assert "at most 300 s may be lost" in move(late).refusals[0]
    assert move(late, data_loss=True).refusals == ()
    others: list[tuple[Json | None, str]] = [
        (None, "no member in south can be asked (far: refused)"),
        (state(member("n1:27017"), member("s1:27017", "RECOVERING", healthy=True), majority=False), "is RECOVERING"),
        (state(member("n1:27017"), member("s1:27017", delayed=True), majority=False), "with a delay"),
        (state(member("n1:27017"), majority=False), "far (s1:27017) is no member of rs0"),
    ]
    for said, refusal in others:
        assert refusal in move(said).refusals[0]


def of_set(planned: PlannedMove, said: Json | None, *finished: str) -> list[str]:
    ledger = {"plan": planned.plan.as_dict(), "finished": {step: {} for step in finished}, "intended": []}
    return move_objections(ledger, {"db": {"states": {"far": said}}})


def test_a_set_that_changed_meanwhile_ends_the_run() -> None:
    elected, forced = move(WHOLE), move(LOST)
    alone = state(member("s1:27017", "PRIMARY"), majority=True)
    assert of_set(elected, WHOLE) == of_set(forced, LOST) == of_set(forced, WHOLE) == []
    assert of_set(forced, alone, "promote-db") == []
    assert "none of s1:27017 answers" in of_set(elected, None)[0]
    assert "others have to be fenced now" in of_set(elected, LOST)[0]
    assert "n1:27017 is primary, and far was promoted" in of_set(elected, WHOLE, "promote-db")[0]
    assert "s1:27017 left the set" in of_set(elected, state(member("n1:27017"), majority=True))[0]
    assert "belong to the set rs1" in of_set(elected, {**WHOLE, "set_name": "rs1"})[0]


def test_what_was_lost_is_the_newest_there_against_what_the_fenced_ones_had() -> None:
    promoted = {"way": "force", "newest": "2026-11-21T02:00:00Z", "removed": ["n1:27017", "n2:27017"]}
    ends = {"n1:27017": {"newest": "2026-11-21T02:00:02Z"}, "n2:27017": {"newest": "2026-11-21T02:00:01Z"}}
    assert set_loss({"way": "election"}, {})["seconds"] == 0.0
    assert set_loss(promoted, {"fenced": {"ends": ends}})["seconds"] == 2.0
    part = set_loss(promoted, {"fenced": {"ends": {"n1:27017": ends["n1:27017"]}}})
    assert part["seconds"] is None
    assert "nobody knows what n2:27017 had" in part["statement"]
    assert set_loss(promoted, {"fenced": {}})["seconds"] is None
    same = {"n1:27017": {"newest": promoted["newest"]}, "n2:27017": {"newest": promoted["newest"]}}
    assert "nothing is lost" in set_loss(promoted, {"fenced": {"ends": same}})["statement"]
