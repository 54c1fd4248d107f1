# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of all repositories together, under one hash; and such plans read back from the file of ``--out``."""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time, parse_time
from ..core.errors import PlanInvalid
from ..retention.costs import PlanCosts, PriceTable, plan_costs
from ..retention.plan_document import PlanDocument, differences, parse_plan, plan_document, plan_hash, plan_not_trusted
from ..retention.values import RetentionPlan
from .prune_reading import RepositoryReading
from .stray_segments import SEGMENT
from .stray_sweep import planned_strays
from .sweep import Swept
from .vendor_plans import VendorPlan, vendor_plans


@dataclass(frozen=True)
class PrunePlans:
    """What is to happen in each repository, decided for *now* (aware, UTC) from what *readings* say.

    *leftovers* is by repository what belongs to nothing and would be swept as well, where that was looked for. Segments
    of streams that no record names are part of the hash; of the rest goes whatever belongs to nothing by then.
    """

    now: datetime.datetime
    plans: tuple[RetentionPlan, ...]
    readings: t.Mapping[str, RepositoryReading]
    prices: PriceTable = field(default_factory=PriceTable)
    storage_classes: t.Mapping[str, str] = field(default_factory=dict)  # of repositories: what they write in
    leftovers: t.Mapping[str, Swept] = field(default_factory=dict)

    def costs_of(self, plan: RetentionPlan) -> PlanCosts:
        """What a plan saves, as far as prices and classes are known."""
        return plan_costs(plan, self.prices, storage_class=self.storage_classes.get(plan.repository))

    @property
    def hash(self) -> str:
        """Stands for all decisions and for what they rest on, and says for which time: ``20261121T020000Z-9f…``."""
        strays = {
            plan.repository: planned_strays(self.readings[plan.repository].strays)
            for plan in self.plans
            if plan.repository in self.readings
        }
        return _hash_of_all(
            self.now,
            [plan_hash(plan) for plan in self.plans],
            {name: [orphan.as_dict() for orphan in found.orphans] for name, found in strays.items()},
        )

    @property
    def vendors(self) -> tuple[VendorPlan, ...]:
        """What that means for data that vendors' tools keep."""
        return vendor_plans(self.plans, {name: reading.content for name, reading in self.readings.items()})

    @property
    def removes_something(self) -> bool:
        """Whether anything would go."""
        return any(not one.kept for swept in self.leftovers.values() for one in swept.orphans) or any(
            plan.removals or plan.unfinished_removals or any(one.keep_from for one in plan.streams)
            for plan in self.plans
        )

    @property
    def exit_status(self) -> int:
        """3 when a guard keeps something, else 0."""
        return 3 if any(plan.refusals for plan in self.plans) else 0

    def as_dicts(self) -> list[dict[str, t.Any]]:
        """As JSON values, one for each repository."""
        return [plan_document(plan, costs=self.costs_of(plan)) for plan in self.plans]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "plan_hash": self.hash,
            "now": format_time(self.now),
            "plans": self.as_dicts(),
            "vendors": [one.as_dict() for one in self.vendors],
            "leftovers": {name: swept.as_dict() for name, swept in self.leftovers.items()},
        }


@dataclass(frozen=True)
class ReviewedPlans:
    """Plans as somebody read them: under *hash*, one for each repository.

    *segments* are by repository the keys of those that no record names.
    """

    hash: str
    plans: tuple[PlanDocument, ...]
    segments: t.Mapping[str, frozenset[str]] = field(default_factory=dict)

    def changes(self, now: PrunePlans) -> list[str]:
        """What is otherwise in the plans that were made again, in words."""
        again = {plan.repository: plan for plan in now.plans}
        reviewed = {plan.repository: plan for plan in self.plans}
        return [
            *(f"{name} is not planned for any more" for name in sorted(reviewed.keys() - again.keys())),
            *(f"{name} is planned for as well" for name in sorted(again.keys() - reviewed.keys())),
            *(
                f"{name}: {change}"
                for name in sorted(again.keys() & reviewed.keys())
                for change in differences(reviewed[name], again[name])
            ),
            *(
                f"{name}: {change}"
                for name in sorted(again.keys() & reviewed.keys())
                for change in self._stray_changes(name, now)
            ),
        ]

    def _stray_changes(self, name: str, now: PrunePlans) -> t.Iterator[str]:
        reviewed = self.segments.get(name, frozenset())
        again = {one.key for one in now.readings[name].strays.found if not one.kept}
        yield from (f"{key} would be swept as well" for key in sorted(again - reviewed))
        yield from (f"{key} would not be swept any more" for key in sorted(reviewed - again))


def parse_plans(data: bytes) -> ReviewedPlans:
    """Read what :meth:`PrunePlans.as_dict` wrote. Raises PlanInvalid for whatever is not as it was written."""
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise plan_not_trusted(str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("plans"), list) or not document["plans"]:
        raise plan_not_trusted("it has no plans")
    plans = tuple(parse_plan(one) for one in document["plans"])
    orphans = _orphans_of(document)
    if document.get("plan_hash") != _hash_of_all(plans[0].planned, [plan.plan_hash for plan in plans], orphans):
        raise plan_not_trusted("its plan_hash is not that of its plans")
    segments = {
        name: frozenset(str(one["place"]) for one in found if one.get("what") == SEGMENT and not one.get("kept"))
        for name, found in orphans.items()
    }
    return ReviewedPlans(hash=document["plan_hash"], plans=plans, segments=segments)


def _orphans_of(document: t.Mapping[str, t.Any]) -> dict[str, list[dict[str, t.Any]]]:
    """What belongs to nothing, by repository. Raises PlanInvalid."""
    leftovers = document.get("leftovers", {})
    try:
        found = {str(name): list(swept["orphans"]) for name, swept in leftovers.items()}
        if not all(isinstance(one, dict) and isinstance(one["place"], str) for each in found.values() for one in each):
            raise TypeError("an orphan is no object with a place")
    except (AttributeError, KeyError, TypeError) as error:
        raise plan_not_trusted("its leftovers are not as they were written") from error
    return found


def _hash_of_all(
    now: datetime.datetime, hashes: t.Iterable[str], orphans: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]
) -> str:
    """Of *orphans*, which are by repository and as JSON values, only segments that no record names are part of it."""
    segments = (
        f"{name} {one.get('place')} {one.get('bytes')} {one.get('kept')}"
        for name, found in orphans.items()
        for one in found
        if one.get("what") == SEGMENT
    )
    digest = hashlib.sha256("\n".join([*sorted(hashes), *sorted(segments)]).encode("utf-8")).hexdigest()
    return f"{now.strftime('%Y%m%dT%H%M%SZ')}-{digest[:32]}"


def time_of(plan_hash: str) -> datetime.datetime:
    """The time that a plan with this hash was made for. Raises PlanInvalid."""
    stamp, dash, digest = plan_hash.partition("-")
    try:
        if not dash or len(digest) != 32:
            raise ValueError("it has another form")
        return parse_time(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:11]}:{stamp[11:13]}:{stamp[13:]}")
    except ValueError as error:
        raise PlanInvalid(
            f"{plan_hash!r} is no hash of a plan.",
            hint="lifeboat prune --plan shows it: 20261121T020000Z-9f0a… with 32 characters behind the dash.",
        ) from error
