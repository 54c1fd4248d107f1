# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service's move seen source by source: plan and ledger of one promotion in it, and whether it may go on. Pure.

The steps of a promotion know nothing of the service around it: they get its plan, and its part of the ledger, under the
names that the promotion alone would have.
"""

from __future__ import annotations

import typing as t

from .plan import RESTORE, FailoverPlan, Json, PlanStep, parse_plan
from .region_fate import FOLLOWED, PROMOTED, RESTORED
from .region_mongodb import set_objections
from .world import objections


def promotion_of(plan: FailoverPlan, source: str) -> FailoverPlan:
    """The promotion's own plan. Raises FailoverPlanInvalid when it is not that of the plan's hash."""
    part = parse_plan((plan.measured or {})["promotions"][source])
    facts = plan.facts["sources"][source]
    known = (part.service, part.source, part.chosen, part.facts["system_identifier"], part.facts["timeline"])
    wanted = (plan.service, source, facts["standby"], facts["system_identifier"], facts["timeline"])
    if known != wanted:
        return parse_plan({})  # raises: it was exchanged
    return part


def part_of_ledger(ledger: Json, step: Json) -> Json:
    """The *ledger* as the task file of *step* sees it: of a promotion only its own part, else all of it."""
    options = step.get("options") or {}
    if "part" not in options:
        return ledger
    plan = parse_plan(ledger["plan"])
    names = _part_names(plan, options["source"])
    return {
        **ledger,
        "plan": promotion_of(plan, options["source"]).as_dict(),
        "finished": {names[name]: data for name, data in ledger["finished"].items() if name in names},
        "intended": [names[name] for name in ledger["intended"] if name in names],
    }


def move_objections(ledger: Json, looked: t.Mapping[str, Json]) -> list[str]:
    """Why the move of *ledger* can't go on with what was found out now, as sentences; none: it can."""
    plan = parse_plan(ledger["plan"])
    found: list[str] = []
    for source, facts in plan.facts["sources"].items():
        seen = looked.get(source) or {}
        if facts["way"] == PROMOTED:
            part = part_of_ledger(ledger, {"options": {"source": source, "part": ""}})
            own = objections(
                promotion_of(plan, source),
                finished=part["finished"],
                intended=part["intended"],
                states=seen.get("states") or {},
            )
            found += [f"{source}: {one}" for one in own]
        elif facts["way"] == FOLLOWED and "set" in facts:
            found += [f"{source}: {one}" for one in set_objections(facts, ledger, seen, source=source)]
        elif facts["way"] == FOLLOWED and "history" in facts:
            found += [f"{source}: {one}" for one in _of_replica(source, facts, ledger, seen)]
        elif facts["way"] == RESTORED:
            found += [f"{source}: {one}" for one in _of_restore(plan, source, ledger, seen)]
    return found


def _of_replica(source: str, facts: Json, ledger: Json, seen: Json) -> t.Iterator[str]:
    state, step = seen.get("state"), f"promote-{source}"
    if not state:
        yield f"{facts['standby']} does not answer"
    elif state["role"] == "primary":
        known = step in ledger["finished"] or step in ledger["intended"]
        if not known or facts["history"] not in (state["previous_history"], state["history"]):
            yield f"{facts['standby']} is a primary, and this failover has not promoted it"
    elif step in ledger["finished"]:
        yield f"{facts['standby']} was promoted, and is a replica now"
    elif state["history"] != facts["history"]:
        yield f"{facts['standby']} belongs to another primary than when it was chosen"


def _of_restore(plan: FailoverPlan, source: str, ledger: Json, seen: Json) -> t.Iterator[str]:
    step: PlanStep | None = next(
        (one for one in plan.steps if one.kind == RESTORE and one.options["source"] == source), None
    )
    if step is None or step.name in ledger["finished"]:
        return
    if not seen.get("plan"):
        yield f"the backup {step.options['backup']} can't be restored any more: {seen.get('problem') or 'no answer'}"


def _part_names(plan: FailoverPlan, source: str) -> dict[str, str]:
    return {
        step.name: str(step.options["part"])
        for step in plan.steps
        if "part" in step.options and step.options["source"] == source
    }
