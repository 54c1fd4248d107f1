# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a failover: typed steps and the facts that they rest on, frozen, with a hash that is confirmed and kept.

What runs is what was read: the hash goes into the ledger, and every later run of the same plan is held to it.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.errors import FailoverPlanInvalid
from ..core.ids import is_name

Json = t.Mapping[str, t.Any]

FORMAT, FORMAT_VERSION = "lifeboat-failover-plan", 1
PROMOTE_STANDBY = "promote-standby"
#: What a step can be; playbooks/tasks/promote/ has a task file for each.
FENCE, PROMOTE, VERIFY, FOLLOW, REWIRE, BACKUP = "fence", "promote", "verify", "follow", "rewire", "backup"
STEP_KINDS = (FENCE, PROMOTE, VERIFY, FOLLOW, REWIRE, BACKUP)


@dataclass(frozen=True)
class PlanStep:
    """One step. *name* is unique in the plan, *kind* one of STEP_KINDS, *on* the inventory's host that it is about.

    *what* is the sentence that people read. An *irreversible* step has no way back but a restore. A step that is not
    *vital* may fail: the failover goes on and is complete with exceptions. *options* hold JSON values and no secret.
    """

    name: str
    kind: str
    on: str
    what: str
    irreversible: bool = False
    vital: bool = True
    options: Json = field(default_factory=dict)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "on": self.on,
            "what": self.what,
            "irreversible": self.irreversible,
            "vital": self.vital,
            "options": dict(self.options),
        }


@dataclass(frozen=True)
class FailoverPlan:
    """What will be done, in order, and what was known when that was decided. *chosen* is the standby."""

    kind: str
    service: str
    source: str
    chosen: str
    made: str
    facts: Json
    steps: tuple[PlanStep, ...]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the plan in the one form of it: two plans that differ anywhere differ here."""
        return digest(self._body())

    def step(self, name: str) -> PlanStep:
        """The step of that name. Raises FailoverPlanInvalid."""
        for step in self.steps:
            if step.name == name:
                return step
        raise FailoverPlanInvalid(
            f"The plan has no step {name!r}.", hint=f"Its steps: {', '.join(step.name for step in self.steps)}."
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, with its fingerprint."""
        return {**self._body(), "sha256": self.fingerprint}

    def _body(self) -> dict[str, t.Any]:
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "service": self.service,
            "source": self.source,
            "chosen": self.chosen,
            "made": self.made,
            "facts": dict(self.facts),
            "steps": [step.as_dict() for step in self.steps],
        }


def digest(document: Json) -> str:
    """The SHA-256 of JSON values in the one form that there is of them."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


def parse_plan(document: t.Any) -> FailoverPlan:
    """The inverse of :meth:`FailoverPlan.as_dict`. Raises FailoverPlanInvalid for anything else, and for a plan whose
    fingerprint is another one.
    """
    try:
        if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {document['format']!r} {document['format_version']!r}")
        plan = FailoverPlan(
            kind=str(document["kind"]),
            service=str(document["service"]),
            source=str(document["source"]),
            chosen=str(document["chosen"]),
            made=str(document["made"]),
            facts=dict(document["facts"]),
            steps=tuple(_step(one) for one in document["steps"]),
        )
        if plan.fingerprint != document["sha256"]:
            raise ValueError("its fingerprint differs: it was changed after it was made")
        if not is_name(plan.service):
            raise ValueError(f"{plan.service!r} can't be a service")
        names = [step.name for step in plan.steps]
        if not names or len(set(names)) != len(names):
            raise ValueError("it has no steps, or two of one name")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FailoverPlanInvalid(
            f"The plan of the failover can't be trusted: {error}.",
            hint="Make a new one: ansible-playbook playbooks/promote_standby.yml -e lifeboat_promote=SERVICE/SOURCE",
        ) from error
    return plan


def _step(document: Json) -> PlanStep:
    if document["kind"] not in STEP_KINDS:
        raise ValueError(f"it has a step of the kind {document['kind']!r}")
    return PlanStep(
        name=str(document["name"]),
        kind=str(document["kind"]),
        on=str(document["on"]),
        what=str(document["what"]),
        irreversible=bool(document["irreversible"]),
        vital=bool(document["vital"]),
        options=dict(document["options"]),
    )
