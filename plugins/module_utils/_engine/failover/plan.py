# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a failover: typed steps and the facts that they rest on, frozen, with a hash that is confirmed and kept.

What runs is what was read: the hash goes into the ledger, and every later run of the same plan is held to it.

There are two forms. A plan without *measured* is confirmed whole. One with *measured* keeps there, and in *made*, what
differs each time that the servers are asked; its hash is of all the rest. So the same plan made again a minute later
has the same hash, and what several people approved can be confirmed by it.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.errors import FailoverPlanInvalid
from ..core.ids import is_name

Json = t.Mapping[str, t.Any]

FORMAT, FORMAT_VERSION, FORMAT_VERSION_MEASURED = "lifeboat-failover-plan", 1, 2
PROMOTE_STANDBY, MOVE_REGION, DRILL, FULL_RESTORE = "promote-standby", "move-region", "drill", "full-restore"
#: How each kind of plan is begun and gone on with, by what is named in it.
COMMANDS: t.Mapping[str, str] = {
    PROMOTE_STANDBY: "ansible-playbook playbooks/promote_standby.yml -e lifeboat_promote={service}/{source}",
    MOVE_REGION: "ansible-playbook dr_failover.yml -e lifeboat_failover={service}",
    DRILL: "ansible-playbook playbooks/dr_drill.yml -e lifeboat_drill_of={service}",
    FULL_RESTORE: "ansible-playbook playbooks/full_restore.yml -e lifeboat_full_restore={service}",
}
#: Steps about one promotion of PostgreSQL; playbooks/tasks/promote/ has a task file for each.
FENCE, PROMOTE, VERIFY, FOLLOW, REWIRE, BACKUP = "fence", "promote", "verify", "follow", "rewire", "backup"
PROMOTION_KINDS = (FENCE, PROMOTE, VERIFY, FOLLOW, REWIRE, BACKUP)
#: Steps about a service; playbooks/tasks/failover/ has a task file for each.
FREEZE, CUT, PROMOTE_REDIS, PROMOTE_MONGODB, RESTORE = "freeze", "cut", "promote_redis", "promote_mongodb", "restore"
KUBERNETES, HEALTH, DNS, ANNOUNCE, WATCH = "kubernetes", "health", "dns", "announce", "watch"
#: Steps about a service that comes back on new hosts, beside those above.
PREPARE, ASK, SCHEDULE, FIRST_BACKUP = "prepare", "ask", "schedule", "first_backup"
SERVICE_KINDS = (
    *(FREEZE, CUT, PROMOTE_REDIS, PROMOTE_MONGODB, RESTORE),
    *(KUBERNETES, HEALTH, DNS, ANNOUNCE, WATCH),
    *(PREPARE, ASK, SCHEDULE, FIRST_BACKUP),
)
#: Steps of drills alone, and all that a drill may take: each promises to touch nothing that people use.
DRILL_RESTORE, DRILL_ASK = "drill_restore", "drill_ask"
DRILL_APPLICATION, DRILL_CHECK = "drill_application", "drill_check"
DRILL_ONLY = (DRILL_RESTORE, DRILL_ASK, DRILL_APPLICATION, DRILL_CHECK)
DRILL_KINDS = (*DRILL_ONLY, KUBERNETES, HEALTH, DNS, ANNOUNCE, WATCH)
STEP_KINDS = (*PROMOTION_KINDS, *SERVICE_KINDS, *DRILL_ONLY)


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
    """What will be done, in order, and what was known when that was decided.

    *chosen* is the standby; of a service that is moved, which has no one *source*, the region that is entered.
    """

    kind: str
    service: str
    source: str
    chosen: str
    made: str
    facts: Json
    steps: tuple[PlanStep, ...]
    measured: Json | None = None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the plan in the one form of it: two plans that differ in what is done differ here."""
        return plan_digest(self._body())

    def known(self, name: str) -> t.Any:
        """One of the facts, also where it was measured and so is not in the hash; None when there is none."""
        return self.facts.get(name, (self.measured or {}).get(name))

    @property
    def command(self) -> str:
        """What begins such a failover, without its ending: to go on with it ``-e lifeboat_resume=RUN``."""
        return COMMANDS[self.kind].format(service=self.service, source=self.source)

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
        measured: dict[str, t.Any] = {} if self.measured is None else {"measured": dict(self.measured)}
        return {
            **measured,
            "format": FORMAT,
            "format_version": FORMAT_VERSION if self.measured is None else FORMAT_VERSION_MEASURED,
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


def plan_digest(document: Json) -> str:
    """The hash of a plan's document: of all that is in it but the hash itself, and what was measured."""
    measured = ("made", "measured") if "measured" in document else ()
    return digest({key: value for key, value in document.items() if key not in ("sha256", *measured)})


def parse_plan(document: t.Any) -> FailoverPlan:
    """The inverse of :meth:`FailoverPlan.as_dict`. Raises FailoverPlanInvalid for anything else, and for a plan whose
    fingerprint is another one.
    """
    try:
        version = document["format_version"]
        if document["format"] != FORMAT or version not in (FORMAT_VERSION, FORMAT_VERSION_MEASURED):
            raise ValueError(f"its format is {document['format']!r} {version!r}")
        if document["kind"] not in COMMANDS:
            raise ValueError(f"it is of the kind {document['kind']!r}, which this version does not know")
        plan = FailoverPlan(
            kind=str(document["kind"]),
            service=str(document["service"]),
            source=str(document["source"]),
            chosen=str(document["chosen"]),
            made=str(document["made"]),
            facts=dict(document["facts"]),
            steps=tuple(_step(one) for one in document["steps"]),
            measured=dict(document["measured"]) if version == FORMAT_VERSION_MEASURED else None,
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
            hint="Make a new one: run the playbook again with --check.",
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
