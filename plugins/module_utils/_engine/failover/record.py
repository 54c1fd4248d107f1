# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover as people read it later, from the entries of its ledger: whatever its kind and its steps are. Pure.

What an entry holds is told as it is there; nothing is left out because a version does not know it.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from ..core.errors import LifeboatError
from .entry import ABANDONED, CLOSED, DONE, FAILED, INTENDED, OPENED, RESUMED, Entry
from .evidence import evidence
from .ledger import Ledger
from .plan import Json, digest

FORMAT, FORMAT_VERSION = "lifeboat-failover-record", 1
_TOLD_ELSEWHERE = ("plan", "versions", "repositories", "approvals", "approval")


def record(entries: t.Sequence[Entry]) -> dict[str, t.Any]:
    """JSON values: who did what by which plan, each step with its attempts, its result and hashes, and the figures.

    ``figures`` is the evidence that the closing entry has, or what the entries give so far; empty when neither is.
    """
    first, last = entries[0], entries[-1]
    plan = plan_of(entries) or {}
    stored = last.data.get("evidence") if last.event == CLOSED else None
    figures = stored if isinstance(stored, dict) else recomputed_evidence(entries)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "service": first.service,
        "run": first.run,
        "kind": plan.get("kind"),
        "state": _state(entries, figures or {}),
        "opened": first.at,
        "ended": last.at if last.event in (CLOSED, ABANDONED) else None,
        "seconds": _seconds(first.at, last.at),
        "plan": {
            "sha256": plan.get("sha256"),
            "made": plan.get("made"),
            "facts": dict(plan.get("facts") or {}),
            **{key: plan[key] for key in ("source", "chosen", "sources", "to") if plan.get(key)},
        },
        "confirmed": [_confirmed(one, plan) for one in entries if one.event in (OPENED, RESUMED)],
        "approvals": [one for entry in entries for one in approvals_in(entry)],
        "versions": _merged(entries, "versions"),
        "steps": [_step(entries, one) for one in _listed(plan.get("steps"))],
        "figures": {key: value for key, value in (figures or {}).items() if key != "steps"},
        "last_sha256": last.sha256,
        "entries": [
            {
                "number": one.number,
                "at": one.at,
                "event": one.event,
                "step": one.step,
                "by": str(one.by),
                "sha256": one.sha256,
            }
            for one in entries
        ],
    }


def plan_of(entries: t.Sequence[Entry]) -> Json | None:
    """The plan as the first entry has it, whether it can be trusted or not."""
    plan = entries[0].data.get("plan") if entries else None
    return plan if isinstance(plan, dict) else None


def approvals_in(entry: Entry) -> list[dict[str, t.Any]]:
    """Who approved what, as an entry has it: ``by``, ``at``, ``plan_sha256``; signed statements are looked into."""
    approval = entry.data.get("approval")
    given = approval.get("statements") if isinstance(approval, dict) else entry.data.get("approvals")
    listed = _listed(list(given.values()) if isinstance(given, dict) else given)
    told = [one["statement"] if isinstance(one.get("statement"), dict) else one for one in listed]
    return [
        {
            "by": one.get("by") or one.get("signer") or one.get("principal") or one.get("name"),
            "at": one.get("at") or one.get("made"),
            "plan_sha256": one.get("plan_sha256") or one.get("plan") or one.get("sha256"),
        }
        for one in told
    ]


def recomputed_evidence(entries: t.Sequence[Entry]) -> dict[str, t.Any] | None:
    """What the entries give; None where this version does not know such a plan."""
    if not entries:
        return None
    first = entries[0]
    ledger = Ledger(service=first.service, run=first.run, entries=tuple(entries), copies={})
    try:
        return evidence(ledger)
    except (LifeboatError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None


def _state(entries: t.Sequence[Entry], figures: Json) -> str:
    last = entries[-1].event
    if last == ABANDONED:
        return ABANDONED
    if last == CLOSED:
        return str(figures.get("state") or CLOSED)
    return "open"


def _confirmed(entry: Entry, plan: Json) -> dict[str, t.Any]:
    said = entry.data.get("plan") if entry.event == RESUMED else plan.get("sha256")
    more = {key: value for key, value in entry.data.items() if key not in _TOLD_ELSEWHERE}
    return {"event": entry.event, "by": str(entry.by), "at": entry.at, "plan_sha256": said, "more": more}


def _step(entries: t.Sequence[Entry], step: Json) -> dict[str, t.Any]:
    name = str(step.get("name"))
    attempts: list[dict[str, t.Any]] = []
    for entry in entries:
        if entry.step != name:
            continue
        if entry.event == INTENDED:
            attempts.append({"began": entry.at, "ended": None, "state": INTENDED, "message": None})
        elif entry.event in (DONE, FAILED):
            attempt = attempts.pop() if attempts and attempts[-1]["ended"] is None else {"began": entry.at}
            message = str(entry.data.get("message") or "") or None if entry.event == FAILED else None
            attempts.append({**attempt, "ended": entry.at, "state": entry.event, "message": message})
    last = next((one for one in reversed(entries) if one.step == name and one.event in (DONE, FAILED)), None)
    final = attempts[-1] if attempts else None
    return {
        "name": name,
        "kind": step.get("kind"),
        "on": step.get("on"),
        "what": step.get("what"),
        "irreversible": bool(step.get("irreversible")),
        "vital": bool(step.get("vital", True)),
        "state": final["state"] if final else "not begun",
        "began": attempts[0]["began"] if attempts else None,
        "ended": final["ended"] if final else None,
        "seconds": _seconds(final["began"], final["ended"]) if final and final["ended"] else None,
        "attempts": attempts,
        "result": dict(last.data) if last else None,
        "result_sha256": digest(last.data) if last else None,
        "entry_sha256": last.sha256 if last else None,
    }


def _merged(entries: t.Sequence[Entry], key: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for entry in entries:
        value = entry.data.get(key)
        found.update(value if isinstance(value, dict) else {})
    return found


def _seconds(began: str, ended: str) -> float | None:
    try:
        apart: datetime.timedelta = parse_time(ended) - parse_time(began)
    except ValueError:
        return None
    return round(apart.total_seconds(), 3)


def _listed(value: t.Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
