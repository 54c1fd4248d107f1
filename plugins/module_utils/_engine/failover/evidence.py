# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failover leaves for those who ask later: when each step was taken, what was lost, and the objectives. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from .drill_evidence import drill_figures
from .entry import DONE, FAILED, INTENDED, Entry
from .full_evidence import full_figures
from .ledger import Ledger
from .objectives import met
from .plan import DRILL, FENCE, FULL_RESTORE, MOVE_REGION, PROMOTE, VERIFY, FailoverPlan, Json, digest
from .region_evidence import region_figures

FORMAT, FORMAT_VERSION = "lifeboat-failover-evidence", 1


def evidence(ledger: Ledger) -> dict[str, t.Any]:
    """The evidence of a failover so far, JSON values. ``state``: complete, complete-with-exceptions, or unfinished.

    The time to recover is that from its first entry to the end of the last step that people waited for; it does not
    know when the primary was lost. What is lost, and whether the objectives are met, differs by the kind of plan.
    """
    plan = ledger.plan
    steps = [_step(ledger, plan, step.name) for step in plan.steps]
    failed = [one["name"] for one in steps if one["state"] == FAILED]
    vital = {step.name for step in plan.steps if step.vital}
    undone = [one["name"] for one in steps if one["name"] in vital and one["state"] != DONE]
    own = _FIGURES.get(plan.kind, _of_promotion)(ledger, plan, steps)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": plan.kind,
        "service": ledger.service,
        "source": plan.source,
        "run": ledger.run,
        "plan_sha256": plan.fingerprint,
        "last_entry_sha256": ledger.entries[-1].sha256,
        "state": "unfinished" if undone else "complete-with-exceptions" if failed else "complete",
        "exceptions": failed,
        "operators": list(dict.fromkeys(str(one.by) for one in ledger.entries)),
        "accepted": dict(plan.facts.get("accepted") or {}),
        **own,
        "steps": steps,
    }


def _of_promotion(ledger: Ledger, plan: FailoverPlan, steps: t.Sequence[Json]) -> dict[str, t.Any]:
    """``lost`` is what was counted after fencing, ``stated`` what was said before."""
    by_kind = {step.kind: ledger.finished.get(step.name) for step in plan.steps}
    waited = [parse_time(one["ended"]) for one in steps if one["state"] == DONE and one["kind"] != "backup"]
    opened = parse_time(ledger.entries[0].at)
    seconds = round((max(waited) - opened).total_seconds(), 3) if waited else None
    chosen: Json = next((one for one in plan.known("ranking") if one["name"] == plan.chosen), {})
    fence: Json = by_kind.get(FENCE) or {}
    objectives = plan.facts.get("objectives") or {}
    return {
        "promoted": plan.chosen,
        "fenced": {"proven": fence.get("proven"), "method": fence.get("method")},
        "timeline": {
            "before": plan.facts["timeline"],
            "after": (by_kind.get(PROMOTE) or {}).get("timeline"),
            "switched": (by_kind.get(PROMOTE) or {}).get("switched"),
        },
        "writes_proven": bool(by_kind.get(VERIFY)),
        "stated": {key: chosen.get(key) for key in ("loss_bytes", "loss_seconds", "statement")},
        "lost": fence.get("loss"),
        "recovery_seconds": seconds,
        "objectives": {
            "rpo": objectives.get("rpo"),
            "rto": objectives.get("rto"),
            "rpo_met": _loss_met(fence.get("loss"), chosen, objectives.get("rpo")),
            "rto_met": met(seconds, objectives.get("rto")),
        },
    }


def _step(ledger: Ledger, plan: FailoverPlan, name: str) -> dict[str, t.Any]:
    step = plan.step(name)
    own: list[Entry] = [one for one in ledger.entries if one.step == name]
    began = next((one.at for one in own if one.event == INTENDED), None)
    last = next((one for one in reversed(own) if one.event in (DONE, FAILED)), None)
    return {
        "name": name,
        "kind": step.kind,
        "on": step.on,
        "state": last.event if last else INTENDED if own else "not begun",
        "began": began,
        "ended": last.at if last else None,
        "seconds": round((_time(last.at) - _time(began)).total_seconds(), 3) if last and began else None,
        "sha256": last.sha256 if last else None,
        "result": dict(last.data) if last else None,
        "result_sha256": digest(last.data) if last else None,
    }


def _loss_met(lost: t.Any, stated: Json, rpo: t.Any) -> bool | None:
    """Met for certain when nothing was lost; else by the bound that was stated; None when nobody knows."""
    if isinstance(lost, dict) and lost.get("commits") == 0:
        return True
    return met(stated.get("loss_seconds"), rpo)


def _time(text: str) -> datetime.datetime:
    return parse_time(text)


_FIGURES: t.Mapping[str, t.Callable[[Ledger, FailoverPlan, t.Sequence[Json]], dict[str, t.Any]]] = {
    MOVE_REGION: region_figures,
    DRILL: drill_figures,
    FULL_RESTORE: full_figures,
}
