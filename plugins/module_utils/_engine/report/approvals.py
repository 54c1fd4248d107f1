# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover's plan in words, who has approved it, and what to type next."""

from __future__ import annotations

import typing as t

from ..failover.approval_rules import Verdict
from ..failover.plan import FailoverPlan


def plan_text(plan: FailoverPlan) -> str:
    """The plan as people read it before they sign. What is not printable in it is shown as a question mark."""
    lines = [f"{plan.service}: {plan.kind}, planned at {plan.made}"]
    for number, step in enumerate(plan.steps, start=1):
        notes = [
            *([f"on {step.on}"] if step.on else []),
            *(["no way back but a restore"] if step.irreversible else []),
            *([] if step.vital else ["may fail: the rest goes on"]),
        ]
        lines.append(f"{number:>3}. {step.what}{' (' + ', '.join(notes) + ')' if notes else ''}")
    lines += [f"  {statement}" for statement in _statements(plan)]
    lines.append(f"  The plan's SHA-256: {plan.fingerprint}")
    return "\n".join(_printable(line) for line in lines)


def _statements(plan: FailoverPlan) -> t.Iterator[str]:
    """What was accepted, and what the plan says about losses: of the chosen standby, or of each source."""
    accepted = plan.facts.get("accepted")
    for name, value in accepted.items() if isinstance(accepted, dict) else ():
        if value:
            of = f" of {', '.join(map(str, value))}" if isinstance(value, list) else ""
            yield f"Accepted beforehand: {str(name).replace('_', ' ')}{of}"
    for one in plan.known("ranking") or ():
        if one.get("name") == plan.chosen and one.get("statement"):
            yield f"{plan.chosen}: {one['statement']}"
    measured = getattr(plan, "measured", None) or {}
    for source, stated in (measured.get("stated") or {}).items():
        statement = stated.get("statement") if isinstance(stated, dict) else stated
        if statement:
            yield f"{source}: {statement}"


def verdict_text(verdict: Verdict) -> str:
    """Who approved, who may still, and why something does not count."""
    if not verdict.needed:
        return "No approval is needed."
    lines = [f"{len(verdict.counted)} of {verdict.needed} approvals."]
    lines += [
        f"  {one.signed.statement.signer} at {one.signed.statement.made}, holds until {one.signed.statement.until} "
        f"({one.fingerprint})"
        for one in verdict.counted
    ]
    lines += [f"  {one}." for one in verdict.refused]
    if verdict.missing:
        lines.append(f"  {missing_text(verdict)}")
    else:
        lines.append(f"  Enough, until {verdict.until}.")
    return "\n".join(_printable(line) for line in lines)


def missing_text(verdict: Verdict) -> str:
    """How many are missing, and of whom, as one sentence."""
    count = verdict.missing
    return (
        f"{count} approval{' is' if count == 1 else 's are'} missing; {_one_of(verdict.waiting)} may give "
        f"{'it' if count == 1 else 'them'}."
    )


def approve_command(plan_sha256: str) -> str:
    """What an approver types."""
    return f"lifeboat failover approve --plan {plan_sha256} --key KEY"


def _one_of(names: t.Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "nobody else"


def _printable(line: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in line)
