# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover as its play would leave it in the repositories: opened, resumed once, one step failed and done again."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover import ledger as ledgers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.entry import (
    CLOSED,
    DONE,
    FAILED,
    INTENDED,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.evidence import evidence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.ledger import Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.plan import FailoverPlan, PlanStep
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import FakeClock

PLAN = FailoverPlan(
    kind="promote-standby",
    service="adhd",
    source="main",
    chosen="hot",
    made="2026-11-21T02:00:00Z",
    facts={
        "system_identifier": "7412345678901234567",
        "timeline": 1,
        "ranking": [
            {
                "name": "hot",
                "timeline": 1,
                "received": 83886080,
                "loss_bytes": None,
                "loss_seconds": 4,
                "statement": "the primary is not heard of; whatever it committed after the last commit that arrived "
                "is lost, and a quiet hour looks the same as a lost one",
            }
        ],
        "left_out": {"second": "it does not answer"},
        "accepted": {"data_loss": False, "split_brain_risk": False},
        "objectives": {"rpo": "5m", "rto": "15m"},
    },
    steps=(
        PlanStep(name="fence", kind="fence", on="adhd-primary", what="Fence the old primary: stop it for good."),
        PlanStep(
            name="promote",
            kind="promote",
            on="adhd-standby",
            what="Promote hot; there is no way back to the old timeline 1.",
            irreversible=True,
        ),
        PlanStep(name="verify", kind="verify", on="adhd-standby", what="See that hot takes writes."),
        PlanStep(
            name="rewire-server-web",
            kind="rewire",
            on="web",
            what="Point at the new primary, restart and ask server on web.",
            vital=False,
        ),
    ),
)
_RESULTS: dict[str, dict[str, t.Any]] = {
    "fence": {
        "proven": True,
        "method": "host",
        "fenced": {"was_running": False, "cluster_state": "in production"},
        "loss": {
            "commits": 0,
            "first": None,
            "last": None,
            "statement": "Nothing is lost: the standby has every commit that is on the old primary's disk.",
        },
    },
    "promote": {"timeline": 2, "switched": "0/5000148", "written": {"row": 1}},
    "verify": {"row": 2, "seconds": 0.04},
    "rewire-server-web": {"well": True, "rewired": ["/etc/mcp/<database>.env"]},
}


def write_failover(
    storages: t.Mapping[str, Storage], *, plan: FailoverPlan = PLAN, until: str = CLOSED, **data: t.Any
) -> Ledger:
    """The whole of it in *storages*; *until* is the last event, or the step that is the last one to be done."""
    clock = FakeClock()
    begun = {"repositories": sorted(storages), "versions": {"lifeboat": "0.1.0", "ansible-core": "2.19.4"}, **data}
    ledger = ledgers.begin(plan, operator="ada", host="desk", storages=storages, clock=clock, data=begun)

    def note(event: str, step: str = "", **said: t.Any) -> Ledger:
        clock.advance(3.25)
        session = ledger.operator.session
        return ledgers.note(
            plan.service,
            ledger.run,
            session=session,
            event=event,
            step=step,
            data=said,
            storages=storages,
            clock=clock,
        )

    for step in plan.steps:
        if step.name == "promote":
            ledger = note(INTENDED, step.name)
            ledger = note(FAILED, step.name, message="It did not answer: <timeout> & nothing.", code="postgresql.late")
            clock.advance(20)
            ledger = ledgers.resume(
                plan.service, ledger.run, operator="grace", host="sofa", storages=storages, clock=clock
            )
        ledger = note(INTENDED, step.name)
        ledger = note(DONE, step.name, **_RESULTS[step.name])
        if until == step.name:
            return ledger
    return note(CLOSED, evidence=evidence(ledger))
