# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a drill: how long it took, how old what was restored was, and what the checks said. Pure."""

from __future__ import annotations

import typing as t

from ..core.clock import parse_time
from .entry import DONE, FAILED
from .ledger import Ledger
from .objectives import all_met, met
from .plan import ANNOUNCE, DNS, DRILL_CHECK, DRILL_RESTORE, FailoverPlan, Json
from .region_evidence import phases_of

#: What a failover does not do before the service works again.
_NOT_WAITED = (DRILL_CHECK, ANNOUNCE)


def drill_figures(ledger: Ledger, plan: FailoverPlan, steps: t.Sequence[Json]) -> dict[str, t.Any]:
    """JSON values. ``recovery_seconds`` is from the first entry to the end of the last step that people would wait for:
    nobody decides, freezes or fences in a drill, so a failover takes longer by that.
    """
    opened = parse_time(ledger.entries[0].at)
    waited = [one for one in steps if one["kind"] not in _NOT_WAITED]
    whole = bool(waited) and all(one["state"] == DONE for one in waited)
    ends = [parse_time(one["ended"]) for one in waited if one["state"] == DONE]
    seconds = round((max(ends) - opened).total_seconds(), 3) if ends and whole else None
    objectives = plan.facts.get("objectives") or {}
    sources = {name: _source(ledger, plan, name) for name in plan.facts["sources"]}
    return {
        "from": plan.facts["from"],
        "to": plan.facts["to"],
        "phases": phases_of(steps),
        "sources": sources,
        "checks": {
            one["name"]: one["state"] == DONE
            for one in steps
            if one["kind"] == DRILL_CHECK and one["state"] in (DONE, FAILED)
        },
        "names": [one["name"] for one in steps if one["kind"] == DNS and one["state"] == DONE],
        "recovery_seconds": seconds,
        "objectives": {
            "rpo": objectives.get("rpo"),
            "rto": objectives.get("rto"),
            "rpo_met": all_met(one["rpo_met"] for one in sources.values() if one["rpo"]),
            "rto_met": met(seconds, objectives.get("rto")),
        },
    }


def _source(ledger: Ledger, plan: FailoverPlan, name: str) -> dict[str, t.Any]:
    facts = plan.facts["sources"][name]
    stated: Json = ((plan.measured or {}).get("stated") or {}).get(name) or {}
    restored = next(
        (
            ledger.finished[step.name]
            for step in plan.steps
            if step.kind == DRILL_RESTORE and step.options["source"] == name and step.name in ledger.finished
        ),
        None,
    )
    rpo = (plan.facts.get("limits") or {}).get(name)
    return {
        **facts,
        "restored": restored is not None,
        "seconds": None if restored is None else restored.get("seconds"),
        "stated": dict(stated),
        "rpo": rpo,
        "rpo_met": met(stated.get("loss_seconds"), rpo) if restored is not None else False if rpo else None,
    }
