# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each source of a lost system comes back on its new host: from what, up to when, and why it can't. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.clock import parse_time
from ..core.description.duration import parse_duration
from .full_phases import APPLICATION, DATA, PREPARE
from .plan import Json
from .region_fate import LEFT, RESTORED, address_of, copy_warnings, restored_until

ACCEPT_UNVERIFIED, REPLACE = "-e lifeboat_accept_unverified", "-e lifeboat_replace"
_VERIFIED, _NOT_TRUSTED = "verified", "[catalog.backup_not_trusted]"


@dataclass(frozen=True)
class Comeback:
    """One source. *until* is the moment that its data are of, *loss_seconds* what was written after that at most.

    *facts* belong to the hash of the plan. *warnings* stop nobody.
    """

    source: str
    engine: str
    way: str
    phase: str
    on: str
    told: str
    until: str = ""
    statement: str = ""
    loss_seconds: float | None = None
    account: str = ""
    address: Json | None = None
    facts: Json = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def stated(self) -> dict[str, t.Any]:
        """What is said of the loss, as JSON values; whole seconds, so that they survive templates."""
        seconds = None if self.loss_seconds is None else int(-(-self.loss_seconds // 1))
        return {"loss_seconds": seconds, "until": self.until or None, "statement": self.statement}


def phase_of(engine: str, kind: str) -> str:
    """Settings first, for servers are started by them; then databases; then what uses them."""
    if engine != "files":
        return DATA
    return PREPARE if kind == "config" else APPLICATION


def comeback_of(
    source: Json,
    looked: Json,
    *,
    lost_at: str,
    may_replace: bool,
    accept_unverified: bool,
    now: datetime.datetime,
) -> Comeback:
    """*source* is one of what the filter ``comes_back`` says, *looked* what its new host and the repositories said."""
    shared: dict[str, t.Any] = {"source": str(source["name"]), "engine": str(source["engine"])}
    if source["way"] == LEFT:
        return Comeback(**shared, way=LEFT, phase="", on="", told="is left out, as the recovery config says")
    if source["way"] != RESTORED:
        why = f"it can't come back: {source['problem']}"
        return Comeback(**shared, way="", phase="", on="", told="nobody knows", refusals=(why,))
    place, plan = source["spare"], looked.get("plan")
    shared.update(way=RESTORED, phase=str(source["phase"]), on=str(place["host"]))
    if not plan:
        why = str(looked.get("problem") or "it was not asked").rstrip(".")
        if _NOT_TRUSTED in why:
            why += f" ({ACCEPT_UNVERIFIED}={source['name']}: take the newest all the same)"
        return Comeback(**shared, told="can't be restored", refusals=(f"it can't be restored: {why}",))
    backup, until = plan["backup"], restored_until(plan)
    # A stream that carries its own base has none of the catalog's.
    base = "" if (plan.get("recovery") or {"base": True}).get("base") is None else str(backup["id"])
    lost = max(0.0, (parse_time(lost_at) - parse_time(until)).total_seconds()) if lost_at else None
    at_most = max(0.0, (now - parse_time(until)).total_seconds())
    refusals = []
    if base and backup["state"] != _VERIFIED and not accept_unverified:
        refusals.append(
            f"the backup {base} was never verified ({backup['state']}). Prove it first, from a host with the key: "
            f"lifeboat verify {base} ({ACCEPT_UNVERIFIED}={source['name']}: take it all the same)"
        )
    if _is_in_the_way(source["engine"], plan) and not may_replace:
        refusals.append(
            f"{plan['replaces']} on {place['host']} holds something already, which would be moved aside. Look at it; "
            f"when nobody needs it there: {REPLACE}={source['name']} (several with commas)"
        )
    what = f"{base or 'the stored stream'} of {backup['repository']}"
    behind = " and what was shipped after it" if plan.get("recovery") and base else ""
    statement = f"everything that was written after {until} is lost" + (f" ({lost:.0f} s)" if lost is not None else "")
    return Comeback(
        **shared,
        told=f"{what}{behind} is restored on {place['host']}; {statement}",
        until=until,
        statement=statement,
        loss_seconds=at_most if lost is None else lost,
        account=str((plan.get("facts") or {}).get("account") or ""),
        address=address_of(source, place),
        facts={
            "kind": source["restore"]["kind"],
            "backup": base,
            "state": backup["state"],
            "point": place["point"],
            "replaces": plan["replaces"],
            "phase": source["phase"],
        },
        refusals=tuple(refusals),
        warnings=(
            *_late(source, at_most if lost is None else lost),
            *copy_warnings(source),
            *(str(one) for one in plan.get("warnings") or ()),
        ),
    )


def _is_in_the_way(engine: str, plan: Json) -> bool:
    """Whether something that somebody may need is replaced. Servers that run and are empty say so themselves."""
    facts = plan.get("facts") or {}
    if plan["replaces"] is None:
        return False
    if engine == "redis" and isinstance(facts.get("target"), dict):
        return bool(facts["target"].get("keyspace"))
    if engine == "mongodb" and "replaces" in facts:
        return bool(facts["replaces"])
    return True


def _late(source: Json, seconds: float) -> t.Iterator[str]:
    objective = source["objectives"].get("rpo")
    if objective and seconds > parse_duration(str(objective)).total_seconds():
        yield f"{seconds:.0f} s are lost by then, and at most {objective} may be: look for a repository that has more"
