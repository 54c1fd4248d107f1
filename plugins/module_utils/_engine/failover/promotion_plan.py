# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning the promotion of a standby: which one, what it costs, what will be done, and why it may be refused. Pure.

Every refusal is made here, before anything is stopped; each can be met by a word of the operator's, or by a repair.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.description.duration import parse_duration
from .fencing import described_ways, fencing_ways
from .plan import BACKUP, FENCE, FOLLOW, PROMOTE, PROMOTE_STANDBY, REWIRE, VERIFY, FailoverPlan, Json, PlanStep
from .ranking import Ranked, Ranking, rank
from .role_hook import by_role, role_option

ACCEPT_LOSS = "-e lifeboat_accept_data_loss=true"
ACCEPT_SPLIT_BRAIN = "-e lifeboat_accept_split_brain_risk=true"


@dataclass(frozen=True)
class Planned:
    """The plan, None when there is nobody to promote, and every reason not to run it."""

    plan: FailoverPlan | None
    ranking: Ranking
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """What the operator takes upon themselves."""

    data_loss: bool = False
    split_brain_risk: bool = False


def plan_promotion(
    target: Json,
    *,
    states: t.Mapping[str, Json | None],
    problems: t.Mapping[str, str],
    primary: Json | None,
    chosen: str | None,
    accepted: Accepted,
    now: datetime.datetime,
    approved: bool = False,
) -> Planned:
    """*target* is what the filter ``promotable`` says of the source; *states* and *primary* are what its servers said.

    *chosen* is the standby that the operator names; the best one without. A plan that must be *approved* keeps what
    differs each time that the servers are asked out of its hash, so that people can sign it and it can be made again.
    """
    ranking = rank(states, problems=problems, primary=primary, now=now)
    best = ranking.candidates[0] if ranking.candidates else None
    candidate = ranking.of(chosen) if chosen else best
    refusals = [f"{name} is a primary already" for name in _primaries(states)]
    if candidate is None or best is None:
        why = "; ".join(f"{name}: {reason}" for name, reason in ranking.refused.items()) or "none is described"
        refusals.append(_no(chosen, ranking) if chosen else f"no standby can be promoted ({why})")
        return Planned(plan=None, ranking=ranking, refusals=tuple(refusals))
    refusals += _loss_refusals(target, candidate, best, accepted=accepted)
    standby = _standby(target, candidate.name)
    folder = target["fencing"].get("data_directory") or (primary or {}).get("data_directory")
    if not fencing_ways(target["fencing"], on_host=bool(folder)) and not accepted.split_brain_risk:
        refusals.append(
            "nothing says how the old primary is fenced: describe fencing.data_directory or fencing.command of "
            f"the source ({ACCEPT_SPLIT_BRAIN}: promote beside a primary that may still take writes)"
        )
    state = t.cast("Json", states[candidate.name])
    facts = {
        "system_identifier": str(state["system_identifier"]),
        "timeline": candidate.timeline,
        "old_data_directory": folder,
        "accepted": {"data_loss": accepted.data_loss, "split_brain_risk": accepted.split_brain_risk},
        "address": {"host": standby["connection"].get("host"), "port": int(standby["connection"].get("port") or 5432)},
        "objectives": dict(target["objectives"]),
        "limit_seconds": _limit(target, candidate.name),
    }
    measured = {
        "ranking": [one.as_dict() for one in ranking.candidates],
        "left_out": dict(ranking.refused),
        "primary_answers": primary is not None and not primary["in_recovery"],
    }
    plan = FailoverPlan(
        kind=PROMOTE_STANDBY,
        service=str(target["service"]),
        source=str(target["source"]),
        chosen=candidate.name,
        made=format_time(now),
        facts=facts if approved else {**facts, **measured},
        measured=measured if approved else None,
        steps=tuple(_steps(target, candidate, standby, ranking, folder=folder, states=states)),
    )
    return Planned(plan=plan, ranking=ranking, refusals=tuple(refusals))


def _steps(
    target: Json,
    candidate: Ranked,
    standby: Json,
    ranking: Ranking,
    *,
    folder: str | None,
    states: t.Mapping[str, Json | None],
) -> t.Iterator[PlanStep]:
    ways = fencing_ways(target["fencing"], on_host=bool(folder))
    on_host = f"stop it for good in {folder} on {target['host']}"
    yield PlanStep(
        name="fence",
        kind=FENCE,
        on=str(target["host"]),
        what=f"Fence the old primary: {described_ways(ways, on_host=on_host)}.",
        options={"data_directory": folder, "ways": ways},
    )
    yield PlanStep(
        name="promote",
        kind=PROMOTE,
        on=str(standby["host"]),
        what=f"Promote {candidate.name}; there is no way back to the old timeline {candidate.timeline}.",
        irreversible=True,
    )
    yield PlanStep(
        name="verify",
        kind=VERIFY,
        on=str(standby["host"]),
        what=f"See that {candidate.name} takes writes on a new timeline, and that there is no other primary.",
    )
    for place in target["applications"]:
        rewired = bool(place.get("wiring") or place.get("role"))
        verb = "Point at the new primary, restart and ask" if rewired else "Ask"
        yield PlanStep(
            name=f"rewire-{place['name']}-{place['host']}",
            kind=REWIRE,
            on=str(place["host"]),
            what=f"{verb} {place['name']} on {place['host']}{by_role(place)}.",
            vital=False,
            options={"application": str(place["name"]), **role_option(place)},
        )
    # Clients first: one that does not come along is waited for.
    address = str(standby["connection"].get("host") or "")
    for other in target["standbys"]:
        if other["name"] != candidate.name and ranking.of(str(other["name"])) is not None and states[other["name"]]:
            yield PlanStep(
                name=f"follow-{other['name']}",
                kind=FOLLOW,
                on=str(other["host"]),
                what=f"Have {other['name']} follow {candidate.name} at {address or 'no address that is described'}.",
                vital=False,
                options={"standby": str(other["name"])},
            )
    if target.get("base_job"):
        yield PlanStep(
            name="backup",
            kind=BACKUP,
            on=str(standby["host"]),
            what=f"Take a base backup of {candidate.name}: no earlier one reaches beyond the promotion by itself.",
            vital=False,
            options={"job": str(target["base_job"]["id"])},
        )


def _loss_refusals(target: Json, candidate: Ranked, best: Ranked, *, accepted: Accepted) -> t.Iterator[str]:
    if accepted.data_loss:
        return
    if (candidate.timeline, candidate.compared) != (best.timeline, best.compared):
        behind = best.compared - candidate.compared
        yield (
            f"{best.name} has more than {candidate.name}"
            + (f" ({behind} bytes)" if candidate.timeline == best.timeline else f" (timeline {best.timeline})")
            + f", which is lost then ({ACCEPT_LOSS}: lose it)"
        )
    limit = _limit(target, candidate.name)
    if limit is None or candidate.loss_bytes == 0:
        return
    if candidate.loss_seconds is None:
        yield f"nobody knows how much is lost with {candidate.name}, and at most {limit} s may be ({ACCEPT_LOSS})"
    elif candidate.loss_seconds > limit:
        yield (
            f"with {candidate.name} up to {candidate.loss_seconds:.0f} s may be lost, and at most {limit} s may be "
            f"({ACCEPT_LOSS}: lose what that is, or know that the primary was quiet)"
        )


def _limit(target: Json, name: str) -> int | None:
    """The loss that is allowed, in seconds: the shorter one of the standby's max_lag and the objective."""
    given = [_standby(target, name).get("max_lag"), target["objectives"].get("rpo")]
    limits = [int(parse_duration(str(one)).total_seconds()) for one in given if one]
    return min(limits) if limits else None


def _standby(target: Json, name: str) -> Json:
    return next(one for one in target["standbys"] if one["name"] == name)


def _primaries(states: t.Mapping[str, Json | None]) -> list[str]:
    return [name for name, state in states.items() if state is not None and not state["in_recovery"]]


def _no(chosen: str, ranking: Ranking) -> str:
    there = ", ".join(one.name for one in ranking.candidates) or "none"
    return (
        f"{chosen} can't be promoted: {ranking.refused.get(chosen, 'no standby is called that')} (candidates: {there})"
    )
