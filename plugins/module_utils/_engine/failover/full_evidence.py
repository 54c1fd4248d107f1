# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a system that came back on new hosts: its phases, what is lost of each source, objectives. Pure."""

from __future__ import annotations

import typing as t

from ..core.clock import parse_time
from .entry import DONE
from .full_phases import PHASES, VERIFY
from .ledger import Ledger
from .objectives import all_met, met
from .plan import ASK, FIRST_BACKUP, HEALTH, RESTORE, FailoverPlan, Json


def full_figures(ledger: Ledger, plan: FailoverPlan, steps: t.Sequence[Json]) -> dict[str, t.Any]:
    """JSON values. ``recovery_seconds`` is from the first entry until applications were started and well.

    Where the plan says when the system was lost, ``since_loss_seconds`` is from then on, and the objective of time is
    held to that one.
    """
    opened = parse_time(ledger.entries[0].at)
    phases = {step.name: str(step.options["phase"]) for step in plan.steps}
    waited = [one for one in steps if one["state"] == DONE and phases[one["name"]] != VERIFY]
    recovered = max((parse_time(one["ended"]) for one in waited), default=None)
    healthy = max((parse_time(one["ended"]) for one in waited if one["kind"] == HEALTH), default=None)
    lost_at = plan.facts.get("lost_at")
    since = None if recovered is None or not lost_at else (recovered - parse_time(str(lost_at))).total_seconds()
    took = None if recovered is None else round((recovered - opened).total_seconds(), 3)
    objectives = plan.facts.get("objectives") or {}
    sources = {name: _source(ledger, plan, name) for name in plan.facts["sources"]}
    limited = [one["rpo_met"] for one in sources.values() if one["rpo"]]
    losses = [one["stated"].get("loss_seconds") for one in sources.values()]
    return {
        "hosts": list(plan.facts["new_hosts"]),
        "left": list(plan.facts.get("left") or ()),
        "phases": [_phase(name, [one for one in steps if phases[one["name"]] == name]) for name in PHASES],
        "sources": sources,
        "healthy_seconds": None if healthy is None else round((healthy - opened).total_seconds(), 3),
        "recovery_seconds": took,
        "since_loss_seconds": None if since is None else round(since, 3),
        "stated": {"loss_seconds": None if None in losses else max(losses, default=None)},
        "objectives": {
            "rpo": objectives.get("rpo"),
            "rto": objectives.get("rto"),
            "rpo_met": all_met(limited),
            "rto_met": met(took if since is None else since, objectives.get("rto")),
        },
        "approval": ledger.entries[0].data.get("approval"),
    }


def _phase(name: str, steps: t.Sequence[Json]) -> dict[str, t.Any]:
    began = min((one["began"] for one in steps if one["began"]), default=None, key=parse_time)
    ended = max((one["ended"] for one in steps if one["ended"]), default=None, key=parse_time)
    spent = (parse_time(ended) - parse_time(began)).total_seconds() if began and ended else None
    return {
        "phase": name,
        "began": began,
        "ended": ended,
        "seconds": None if spent is None else round(spent, 3),
        "steps": [one["name"] for one in steps],
    }


def _source(ledger: Ledger, plan: FailoverPlan, name: str) -> dict[str, t.Any]:
    results = {
        step.kind: ledger.finished[step.name]
        for step in plan.steps
        if step.options.get("source") == name and step.name in ledger.finished
    }
    stated: Json = ((plan.measured or {}).get("stated") or {}).get(name) or {}
    restored: Json = results.get(RESTORE) or {}
    rpo = (plan.facts.get("limits") or {}).get(name)
    return {
        **plan.facts["sources"][name],
        "stated": dict(stated),
        "restored": {key: restored.get(key) for key in ("id", "where", "seconds")} if restored else None,
        "answers": list((results.get(ASK) or {}).get("answers") or ()),
        "first_backup": (results.get(FIRST_BACKUP) or {}).get("id"),
        "rpo": rpo,
        "rpo_met": met(stated.get("loss_seconds"), rpo),
    }
