# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a service that was moved to another region: its phases, each source's loss, the objectives. Pure."""

from __future__ import annotations

import typing as t

from ..core.clock import parse_time
from .entry import DONE
from .ledger import Ledger
from .objectives import all_met, met
from .plan import (
    BACKUP,
    CUT,
    FENCE,
    FOLLOW,
    HEALTH,
    PROMOTE,
    PROMOTE_MONGODB,
    PROMOTE_REDIS,
    VERIFY,
    WATCH,
    FailoverPlan,
    Json,
)

_AFTERWARDS = (FOLLOW, WATCH, BACKUP)


def region_figures(ledger: Ledger, plan: FailoverPlan, steps: t.Sequence[Json]) -> dict[str, t.Any]:
    """JSON values. ``recovery_seconds`` is from the first entry until names pointed to what is well."""
    opened = parse_time(ledger.entries[0].at)
    ends = {kind: [parse_time(one["ended"]) for one in steps if one["state"] == DONE and kind(one)] for kind in _WAITED}
    healthy, recovered = (round((max(found) - opened).total_seconds(), 3) if found else None for found in ends.values())
    objectives = plan.facts.get("objectives") or {}
    sources = {name: _source(ledger, plan, name) for name in plan.facts["sources"]}
    return {
        "from": plan.facts["from"],
        "to": plan.facts["to"],
        "left": list(plan.facts.get("left") or ()),
        "phases": phases_of(steps),
        "sources": sources,
        "healthy_seconds": healthy,
        "recovery_seconds": recovered,
        "objectives": {
            "rpo": objectives.get("rpo"),
            "rto": objectives.get("rto"),
            "rpo_met": all_met(one["rpo_met"] for one in sources.values() if one["rpo"]),
            "rto_met": met(recovered, objectives.get("rto")),
        },
        "approval": ledger.entries[0].data.get("approval"),
    }


def phases_of(steps: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    """Steps of one kind that follow one another, with the time from the first one's beginning to the last one's end."""
    phases: list[dict[str, t.Any]] = []
    for step in steps:
        if not phases or phases[-1]["phase"] != step["kind"]:
            phases.append({"phase": step["kind"], "began": step["began"], "ended": None, "seconds": None, "steps": []})
        phase = phases[-1]
        phase["steps"].append(step["name"])
        phase["began"] = phase["began"] or step["began"]
        phase["ended"] = step["ended"]
        if phase["began"] and phase["ended"]:
            spent = parse_time(phase["ended"]) - parse_time(phase["began"])
            phase["seconds"] = round(spent.total_seconds(), 3)
    return phases


def _source(ledger: Ledger, plan: FailoverPlan, name: str) -> dict[str, t.Any]:
    facts = plan.facts["sources"][name]
    results = {
        step.kind: ledger.finished[step.name]
        for step in plan.steps
        if step.options.get("source") == name and step.name in ledger.finished
    }
    stated: Json = ((plan.measured or {}).get("stated") or {}).get(name) or {}
    fence = results.get(FENCE) or results.get(CUT) or {}
    follower: Json = results.get(PROMOTE_REDIS) or results.get(PROMOTE_MONGODB) or {}
    bytes_lost = follower.get("lost_bytes")
    lost = follower.get("loss") or fence.get("loss")
    if bytes_lost is not None:
        lost = {"bytes": bytes_lost, "statement": f"{bytes_lost} bytes are lost"}
    rpo = (plan.facts.get("limits") or {}).get(name)
    counted = isinstance(lost, dict) and 0 in (lost.get("commits"), lost.get("bytes"), lost.get("seconds"))
    seconds = lost.get("seconds") if isinstance(lost, dict) else None
    return {
        **facts,
        "fenced": {"proven": fence.get("proven"), "method": fence.get("method")},
        "timeline_after": (results.get(PROMOTE) or {}).get("timeline"),
        "writes_proven": VERIFY in results or bool(follower),
        "stated": dict(stated),
        "lost": lost,
        "rpo": rpo,
        "rpo_met": True if counted else met(stated.get("loss_seconds") if seconds is None else seconds, rpo),
    }


def _until_healthy(step: Json) -> bool:
    return str(step["kind"]) == HEALTH


def _until_recovered(step: Json) -> bool:
    return step["kind"] not in _AFTERWARDS


_WAITED: tuple[t.Callable[[Json], bool], ...] = (_until_healthy, _until_recovered)
