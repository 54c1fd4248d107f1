# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which standby, at what loss, in which steps, and every reason not to: decided before anything is stopped."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.fencing import witness_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import parse_plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.promotion_plan import (
    Accepted,
    Planned,
    plan_promotion,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.ranking import rank
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.world import (
    further,
    loss_after_fence,
    objections,
)

Json = dict[str, t.Any]

NOW = parse_time("2026-11-21T02:00:10Z")
JUST_NOW, LONG_AGO = "2026-11-21T02:00:08Z", "2026-11-21T01:30:00Z"


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
        "last_commit": JUST_NOW,
        **changes,
    }


def primary(written: str = "0/5000000", **changes: t.Any) -> Json:
    gone = {"in_recovery": False, "received": None, "replayed": None, "written": written}
    return standby(**{**gone, **changes})


def target(**changes: t.Any) -> Json:
    return {
        "service": "adhd",
        "source": "main",
        "host": "old",
        "connection": {},
        "fencing": {"data_directory": "/data"},
        "objectives": {"rpo": "5m", "rto": "15m"},
        "standbys": [
            {"name": "hot", "host": "one", "connection": {"host": "db1"}, "max_lag": "5s"},
            {"name": "dr", "host": "two", "connection": {"host": "db2"}},
        ],
        "applications": [],
        "base_job": None,
        **changes,
    }


def plan(
    states: dict[str, Json | None],
    *,
    old: Json | None = None,
    chosen: str | None = None,
    data_loss: bool = False,
    split_brain_risk: bool = False,
    **changes: t.Any,
) -> Planned:
    return plan_promotion(
        target(**changes),
        states=states,
        problems={},
        primary=old,
        chosen=chosen,
        accepted=Accepted(data_loss=data_loss, split_brain_risk=split_brain_risk),
        now=NOW,
    )


def ranked(states: dict[str, Json | None], old: Json | None = None) -> list[str]:
    return [one.name for one in rank(states, problems={}, primary=old, now=NOW).candidates]


# --- who ----------------------------------------------------------------------------------------------------------


def test_the_timeline_counts_more_than_the_position_and_the_position_more_than_the_order() -> None:
    ahead, behind = standby("0/6000000"), standby("0/5000000")
    assert ranked({"hot": behind, "dr": ahead}) == ["dr", "hot"]
    assert ranked({"hot": ahead, "dr": standby("0/5000000", timeline=2)}) == ["dr", "hot"]
    assert ranked({"hot": behind, "dr": behind}) == ["hot", "dr"]


def test_what_a_living_primary_wrote_while_the_standbys_were_asked_changes_no_order() -> None:
    asked_first, asked_later = standby("0/5000000"), standby("0/5000100")
    assert ranked({"hot": asked_first, "dr": asked_later}, primary("0/5000000")) == ["hot", "dr"]
    assert ranked({"hot": asked_first, "dr": asked_later}, primary("0/5000080")) == ["dr", "hot"]
    assert ranked({"hot": asked_first, "dr": asked_later}) == ["dr", "hot"]


def test_what_was_replayed_from_an_archive_counts_as_received() -> None:
    archive = standby("0/4000000", replayed="0/7000000")
    never = {**standby("0/5000000"), "received": None}
    assert ranked({"hot": never, "dr": archive}) == ["dr", "hot"]


def test_another_cluster_a_primary_and_one_that_does_not_answer_are_no_candidates() -> None:
    states = {"hot": None, "dr": standby(), "foreign": standby(system_identifier="8"), "other": primary(timeline=2)}
    ranking = rank(states, problems={"hot": "connection refused"}, primary=primary(), now=NOW)
    assert [one.name for one in ranking.candidates] == ["dr"]
    assert ranking.refused["hot"] == "connection refused"
    assert "another cluster" in ranking.refused["foreign"]
    assert "a primary already, on timeline 2" in ranking.refused["other"]


def test_two_clusters_without_anybody_to_say_which_is_ours_leave_no_candidate() -> None:
    assert ranked({"hot": standby(), "dr": standby(system_identifier="8")}) == []
    assert ranked({"hot": standby(), "dr": standby(system_identifier="8")}, primary(system_identifier="8")) == ["dr"]


# --- at what loss -------------------------------------------------------------------------------------------------


def loss(state: Json, old: Json | None = None) -> tuple[int | None, float | None]:
    (one,) = rank({"hot": state}, problems={}, primary=old, now=NOW).candidates
    return one.loss_bytes, one.loss_seconds


def test_a_primary_that_is_not_heard_of_may_have_written_anything_since_the_last_commit_that_arrived() -> None:
    assert loss(standby()) == (None, 2.0)
    assert loss(standby(last_commit=None)) == (None, None)


def test_a_primary_that_answers_says_how_far_it_is() -> None:
    assert loss(standby("0/5000000"), primary("0/5000000")) == (0, 0.0)
    assert loss(standby("0/5000000"), primary("0/5000100")) == (256, 2.0)
    # Of one that is connected: what was written while others were asked is no lag, however long that took.
    heard = {"receiving": True, "last_message": "2026-11-21T02:00:08.5Z"}
    assert loss(standby("0/5000000", **heard, primary_end="0/5000000"), primary("0/5000100")) == (256, 0.0)
    assert loss(standby("0/5000000", **heard, primary_end="0/5000010"), primary("0/5000100")) == (256, 0.5)
    # One that had everything by what it heard, and hears nothing any more, does not know what was written since.
    asked = {**heard, "asked": "2026-11-21T02:00:09.75Z"}
    assert loss(standby("0/5000000", **asked, primary_end="0/5000000"), primary("0/5000100")) == (256, 1.25)
    assert loss(standby("0/5000000", **asked, primary_end="0/5000010"), primary("0/5000100")) == (256, 1.75)
    assert loss(standby("0/5000000", **asked, primary_end="0/5000000"), primary("0/5000000")) == (0, 0.0)


def test_a_standby_that_still_receives_knows_what_its_primary_had_when_it_last_spoke() -> None:
    heard = {"receiving": True, "last_message": "2026-11-21T02:00:09Z"}
    assert loss(standby("0/5000000", **heard, primary_end="0/5000000")) == (0, 1.0)
    assert loss(standby("0/5000000", **heard, primary_end="0/5000010")) == (16, 2.0)


def test_more_loss_than_max_lag_or_the_objective_is_refused_until_it_is_accepted() -> None:
    old = {"hot": standby(last_commit="2026-11-21T02:00:00Z"), "dr": None}
    (refusal,) = plan(old).refusals
    assert "up to 10 s may be lost, and at most 5 s may be" in refusal
    assert "lifeboat_accept_data_loss=true" in refusal
    assert plan(old, data_loss=True).refusals == ()
    # The standby without a max_lag is held to the objective of the source.
    assert plan({"hot": None, "dr": standby(last_commit="2026-11-21T02:00:00Z")}).refusals == ()
    assert "may be lost" in plan({"hot": None, "dr": standby(last_commit=LONG_AGO)}).refusals[0]
    assert "nobody knows" in plan({"hot": standby(last_commit=None), "dr": None}).refusals[0]


def test_choosing_one_that_has_less_is_refused_until_it_is_accepted() -> None:
    states: dict[str, Json | None] = {"hot": standby("0/5000000"), "dr": standby("0/5000040")}
    assert "dr has more than hot (64 bytes)" in plan(states, chosen="hot").refusals[0]
    # What a living primary wrote between two questions is on its way to both.
    assert plan(states, old=primary("0/5000000"), chosen="hot").refusals == ()
    assert plan(states, old=primary("0/5000000"), chosen="dr").refusals == ()
    assert "dr has more than hot (64 bytes)" in plan(states, old=primary("0/5000040"), chosen="hot").refusals[0]
    accepted = plan(states, chosen="hot", data_loss=True)
    assert accepted.refusals == ()
    assert accepted.plan is not None
    assert accepted.plan.chosen == "hot"


# --- in which steps -----------------------------------------------------------------------------------------------


def test_the_steps_fence_first_and_the_promotion_is_the_only_one_without_a_way_back() -> None:
    applications = [{"name": "api", "host": "web", "wiring": [{"file": "/etc/api.env"}]}]
    planned = plan({"hot": standby(), "dr": standby()}, applications=applications, base_job={"id": "adhd/main/base"})
    assert planned.plan is not None
    names = [step.name for step in planned.plan.steps]
    assert names == ["fence", "promote", "verify", "rewire-api-web", "follow-dr", "backup"]
    assert [step.name for step in planned.plan.steps if step.irreversible] == ["promote"]
    assert planned.plan.steps[3].options == {"application": "api"}
    by_role = plan({"hot": standby()}, applications=[{"name": "api", "host": "web", "role": "acme.shop.deploy"}]).plan
    assert by_role is not None
    (rewire,) = [step for step in by_role.steps if step.name == "rewire-api-web"]
    assert rewire.what == "Point at the new primary, restart and ask api on web, by your role acme.shop.deploy."
    assert rewire.options == {"application": "api", "role": "acme.shop.deploy"}
    assert [step.name for step in planned.plan.steps if step.vital] == ["fence", "promote", "verify"]
    assert planned.refusals == ()


def test_without_a_way_to_fence_nothing_begins() -> None:
    states: dict[str, Json | None] = {"hot": standby(), "dr": None}
    assert "fencing.data_directory" in plan(states, fencing={}).refusals[0]
    assert plan(states, fencing={"command": "cut"}).refusals == ()
    assert plan(states, fencing={}, split_brain_risk=True).refusals == ()
    # A primary that answers says itself where its data is.
    answering = plan(states, fencing={}, old=primary(data_directory="/its/own"))
    assert answering.plan is not None
    assert answering.plan.step("fence").options["data_directory"] == "/its/own"


def test_a_witness_is_a_way_in_its_order_and_the_plan_names_it() -> None:
    methods = [{"host": True}, {"witness": {"repository": "third", "lease": "1m"}}, {"command": "cut"}]
    planned = plan({"hot": standby(), "dr": None}, fencing={"data_directory": "/data", "methods": methods})
    assert planned.plan is not None
    step = planned.plan.step("fence")
    assert step.options["ways"][1] == {"way": "witness", "repository": "third", "lease": 60}
    assert [one["way"] for one in step.options["ways"]] == ["host", "witness", "command"]
    assert ", or take its lease in third and wait until it has ended (60 s), or run 'cut'" in step.what
    alone = {"methods": [{"witness": {"repository": "third"}}]}
    assert plan({"hot": standby(), "dr": None}, fencing=alone).refusals == ()
    assert witness_of(alone) == {"way": "witness", "repository": "third", "lease": 30}
    assert witness_of({"command": "cut"}) is None


def test_nobody_to_promote_and_a_second_primary_are_refused_with_the_reasons() -> None:
    nobody = plan({"hot": None, "dr": None})
    assert nobody.plan is None
    assert nobody.refusals == ("no standby can be promoted (hot: it does not answer; dr: it does not answer)",)
    assert (
        "nobody can't be promoted: no standby is called that" in plan({"hot": standby()}, chosen="nobody").refusals[0]
    )
    assert "dr is a primary already" in plan({"hot": standby(), "dr": primary(timeline=2)}).refusals


def test_a_plan_that_is_approved_is_the_same_when_it_is_made_again() -> None:
    def made(received: str, **changes: t.Any) -> t.Any:
        return plan_promotion(
            target(**changes),
            states={"hot": standby(received), "dr": None},
            problems={},
            primary=None,
            chosen=None,
            accepted=Accepted(),
            approved=True,
            now=NOW,
        ).plan

    one, later = made("0/5000000"), made("0/6000000")
    assert one.fingerprint == later.fingerprint
    assert one.fingerprint != made("0/5000000", fencing={"command": "power-off"}).fingerprint
    assert parse_plan(one.as_dict()) == one
    assert one.known("ranking") != later.known("ranking")
    # A standby that has less than when it was planned is told all the same.
    found = objections(later, finished={}, intended=(), states={"hot": standby("0/5000000"), "dr": None})
    assert found == ["hot has less WAL than when it was chosen"]


def test_the_plan_s_fingerprint_is_of_all_that_is_in_it() -> None:
    one, other = plan({"hot": standby(), "dr": None}).plan, plan({"hot": standby("0/5000008"), "dr": None}).plan
    assert one is not None
    assert other is not None
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == t.cast("t.Any", plan({"hot": standby(), "dr": None}).plan).fingerprint


# --- whether it may go on -----------------------------------------------------------------------------------------


def against(
    states: dict[str, Json | None], *, finished: Json | None = None, intended: t.Sequence[str] = ()
) -> list[str]:
    planned = plan({"hot": standby(), "dr": standby()}).plan
    assert planned is not None
    return objections(planned, finished=finished or {}, intended=intended, states=states)


def test_the_world_of_the_plan_may_go_on_and_another_one_may_not() -> None:
    assert against({"hot": standby(), "dr": standby()}) == []
    assert against({"hot": None, "dr": standby()}) == ["hot does not answer"]
    assert "dr is a primary, on timeline 2" in against({"hot": standby(), "dr": primary(timeline=2)})
    assert "another cluster now" in against({"hot": standby(system_identifier="8"), "dr": None})[0]
    assert "was on timeline 1" in against({"hot": standby(timeline=2), "dr": None})[0]
    assert "less WAL" in against({"hot": standby("0/4000000"), "dr": None})[0]


def test_a_promotion_that_the_ledger_does_not_know_is_somebody_elses() -> None:
    promoted: dict[str, Json | None] = {"hot": primary(timeline=2), "dr": None}
    assert "this failover has not promoted it" in against(promoted)[0]
    # It was begun, and its run died before it could say that it was done.
    assert against(promoted, intended=["promote"]) == []
    assert against(promoted, finished={"promote": {"timeline": 2}}) == []
    assert (
        "is a primary on timeline 3 now"
        in against({"hot": primary(timeline=3), "dr": None}, finished={"promote": {"timeline": 2}})[0]
    )
    assert "is a standby on timeline 1 now" in against({"hot": standby()}, finished={"promote": {"timeline": 2}})[0]


def test_another_standby_that_got_more_meanwhile_is_seen() -> None:
    planned = plan({"hot": standby(), "dr": standby()}).plan
    assert planned is not None
    assert further(planned, {"hot": standby(), "dr": standby("0/5000010")}) == ["dr has 16 bytes more than hot"]
    assert further(planned, {"hot": standby(), "dr": standby()}) == []


@pytest.mark.parametrize(
    ("ends", "count", "received", "lost"),
    [
        ([], 0, "0/5000000", 0),
        (["0/5000010", "0/5000020"], 2, "0/5000020", 0),
        (["0/5000010", "0/5000020"], 2, "0/5000018", 1),
        (["0/5000010", "0/5000020"], 2, "0/5000000", 2),
        # Only the newest are named; what is older has arrived when one of them has.
        (["0/5000010", "0/5000020"], 9, "0/5000010", 1),
        (["0/5000010", "0/5000020"], 9, "0/5000000", 9),
    ],
)
def test_what_is_lost_is_counted_on_the_disk_of_the_old_primary(
    ends: list[str], count: int, received: str, lost: int
) -> None:
    at_rest = {"received": "0/4000000", "count": count, "ends": ends, "first": "a", "last": "b"}
    found = loss_after_fence({"at_rest": at_rest}, standby(received))
    assert found.commits == lost
    assert ("Nothing is lost" in found.statement) == (lost == 0)


def test_a_disk_that_could_not_be_read_says_nothing() -> None:
    assert loss_after_fence(None, standby()).commits is None
    assert loss_after_fence({"at_rest": None, "ended_at": None}, standby()).commits is None


@pytest.mark.parametrize(("received", "lost"), [("0/4FFFFFF", None), ("0/5000000", 0), ("0/5000078", 0)])
def test_who_has_all_up_to_the_shutdown_lacks_nothing_though_the_old_wal_is_recycled(
    received: str, lost: int | None
) -> None:
    fenced = {"at_rest": None, "ended_at": "0/5000000"}
    assert loss_after_fence(fenced, standby(received)).commits == lost
