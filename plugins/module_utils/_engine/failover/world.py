# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the world is still the one that a failover was planned in. Pure: from its plan and what the servers say."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..postgresql.names import parse_lsn
from .plan import PROMOTE, FailoverPlan, Json
from .ranking import received_of

States = t.Mapping[str, t.Optional[Json]]


@dataclass(frozen=True)
class Loss:
    """What is lost after the old primary was fenced. *commits* is None when its disk could not be read.

    *first* and *last* are the times of the lost commits. *statement* is the sentence for people.
    """

    commits: int | None
    first: str | None
    last: str | None
    statement: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"commits": self.commits, "first": self.first, "last": self.last, "statement": self.statement}


def objections(
    plan: FailoverPlan, *, finished: t.Mapping[str, Json], intended: t.Sequence[str], states: States
) -> list[str]:
    """Why the plan can't go on, as sentences; none: it can. *states* are what the standbys say now."""
    chosen = states.get(plan.chosen)
    found = [
        f"{name} is a primary, on timeline {state['timeline']}"
        for name, state in states.items()
        if name != plan.chosen and state is not None and not state["in_recovery"]
    ]
    if chosen is None:
        return [*found, f"{plan.chosen} does not answer"]
    if str(chosen["system_identifier"]) != plan.facts["system_identifier"]:
        found.append(f"{plan.chosen} is another cluster now (system identifier {chosen['system_identifier']})")
    promote = next((step.name for step in plan.steps if step.kind == PROMOTE), PROMOTE)
    if promote in finished:
        timeline = finished[promote].get("timeline")
        if chosen["in_recovery"] or chosen["timeline"] != timeline:
            found.append(f"{plan.chosen} was promoted to timeline {timeline} and is {_described(chosen)} now")
    elif not chosen["in_recovery"]:
        if promote not in intended or chosen["timeline"] <= plan.facts["timeline"]:
            found.append(f"{plan.chosen} is {_described(chosen)}, and this failover has not promoted it")
    else:
        if chosen["timeline"] != plan.facts["timeline"]:
            found.append(f"{plan.chosen} is {_described(chosen)}, and was on timeline {plan.facts['timeline']}")
        if received_of(chosen) < _planned_position(plan):
            found.append(f"{plan.chosen} has less WAL than when it was chosen")
    return found


def further(plan: FailoverPlan, states: States) -> list[str]:
    """The standbys of the same timeline that have more than the chosen one, as sentences: that would be lost."""
    chosen = states.get(plan.chosen)
    if chosen is None or not chosen["in_recovery"]:
        return []
    own = received_of(chosen)
    return [
        f"{name} has {received_of(state) - own} bytes more than {plan.chosen}"
        for name, state in states.items()
        if state is not None
        and state["in_recovery"]
        and str(state["system_identifier"]) == plan.facts["system_identifier"]
        and state["timeline"] == chosen["timeline"]
        and received_of(state) > own
    ]


def loss_after_fence(fenced: Json | None, state: Json | None) -> Loss:
    """How many commits the fenced primary has on its disk that the standby lacks; *fenced* is what fencing found."""
    at_rest, ended_at = ((fenced or {}).get(key) for key in ("at_rest", "ended_at"))
    if state is not None and ended_at and received_of(state) >= parse_lsn(str(ended_at)):
        return Loss(
            commits=0,
            first=None,
            last=None,
            statement="Nothing is lost: the old primary ended in order, and the standby has all up to its last record.",
        )
    if at_rest is None or state is None:
        return Loss(
            commits=None,
            first=None,
            last=None,
            statement="The old primary's disk could not be read, so what was stated before is all that is known.",
        )
    received = received_of(state)
    ends = [parse_lsn(str(one)) for one in at_rest["ends"]]
    arrived = sum(1 for end in ends if end <= received)
    lost = int(at_rest["count"]) - arrived - (max(0, int(at_rest["count"]) - len(ends)) if arrived else 0)
    if lost <= 0:
        return Loss(
            commits=0,
            first=None,
            last=None,
            statement="Nothing is lost: the standby has every commit that is on the old primary's disk.",
        )
    first, last = at_rest.get("first"), at_rest.get("last")
    return Loss(
        commits=lost,
        first=None if arrived else first,
        last=last,
        statement=f"{lost} commits are on the old primary's disk and did not arrive, the last of {last}.",
    )


def _planned_position(plan: FailoverPlan) -> int:
    return next((int(one["received"]) for one in plan.known("ranking") if one["name"] == plan.chosen), 0)


def _described(state: Json) -> str:
    return f"a {'standby' if state['in_recovery'] else 'primary'} on timeline {state['timeline']}"
