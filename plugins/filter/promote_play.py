# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/promote_standby.yml``: what is promoted, by which plan, and whether it may go on."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, entries, read
from .restore_play import application_places

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock
    from ..module_utils._engine.core.description.description import Description
    from ..module_utils._engine.core.description.model import Service, Source

_WHERE = "Name it as -e lifeboat_promote=SERVICE/SOURCE."


def promotable(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    wanted: t.Any,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
) -> list[dict[str, t.Any]]:
    """What *wanted* (``service/source``) means to *host*; an empty list when its description has nothing of that name.

    One entry otherwise: the primary and its standbys with the hosts that they run on, how it is fenced, the
    applications that use it, where the ledger is kept, and the job that takes base backups.
    """
    names = entries(wanted)
    if len(names) != 1 or len(names[0].split("/")) != 2:
        raise AnsibleFilterError(f"{wanted!r} does not say what to promote a standby of. {_WHERE}")
    description = read(services, repositories, settings)
    for service in description.services:
        for source in service.sources:
            if f"{service.name}/{source.name}" == names[0]:
                return [_of_source(description, service, source, host=host, groups=groups)]
    return []


def servers_said(results: t.Sequence[Json]) -> dict[str, t.Any]:
    """``states`` of the standbys by their names (none where one did not answer), and the ``problems`` of those."""
    states: dict[str, t.Any] = {}
    problems: dict[str, str] = {}
    for one in results:
        name = str(one["lifeboat_standby"]["name"])
        states[name] = one.get("state")
        if not states[name]:
            states[name] = None
            problems[name] = str(one.get("msg") or "it does not answer").split("\n", maxsplit=1)[0]
    return {"states": states, "problems": problems}


def promotion_plan(
    target: Json,
    said: Json,
    primary: Json | None = None,
    chosen: str | None = None,
    *,
    accept_data_loss: bool = False,
    accept_split_brain_risk: bool = False,
    approved: bool = False,
    clock: Clock | None = None,
) -> dict[str, t.Any]:
    """The ``plan`` (none when nobody can be promoted), the ``refusals``, and the ``text`` that people read."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.failover.promotion_plan import Accepted, plan_promotion

    planned = plan_promotion(
        target,
        states=said["states"],
        problems=said["problems"],
        primary=primary or None,
        chosen=chosen or None,
        accepted=Accepted(data_loss=accept_data_loss, split_brain_risk=accept_split_brain_risk),
        approved=approved,
        now=(clock or SystemClock()).now(),
    )
    lines = [
        f"{number}. {one.name}: timeline {one.timeline}, {_loss(one.loss_bytes, one.loss_seconds)}; {one.statement}"
        for number, one in enumerate(planned.ranking.candidates, start=1)
    ]
    lines += [f"-  {name}: no candidate, {why}" for name, why in planned.ranking.refused.items()]
    if planned.plan is not None:
        lines += ["", f"To promote {planned.plan.chosen}:"]
        lines += [f"{number}. {step.what}" for number, step in enumerate(planned.plan.steps, start=1)]
        lines += [f"The plan's SHA-256: {planned.plan.fingerprint}"]
    lines += [f"REFUSED: {one}" for one in planned.refusals]
    return {
        "plan": planned.plan.as_dict() if planned.plan else None,
        "refusals": list(planned.refusals),
        "text": lines,
    }


def promotion_objections(ledger: Json, said: Json, service: str, source: str) -> list[str]:
    """Why the failover of *ledger* can't go on with what the servers say now."""
    from ..module_utils._engine.failover.plan import parse_plan
    from ..module_utils._engine.failover.world import objections

    plan = parse_plan(ledger["plan"])
    if (plan.service, plan.source) != (service, source):
        return [f"{ledger['run']} is about {plan.service}/{plan.source}"]
    return objections(plan, finished=ledger["finished"], intended=ledger["intended"], states=said["states"])


def promotion_loss(ledger: Json, said: Json, fenced: Json | None) -> dict[str, t.Any]:
    """What is lost after fencing (``loss``), and why that is a reason to stop before the promotion (``refusals``)."""
    from ..module_utils._engine.failover.plan import parse_plan
    from ..module_utils._engine.failover.world import further, loss_after_fence

    plan = parse_plan(ledger["plan"])
    loss = loss_after_fence(fenced, said["states"].get(plan.chosen))
    refusals = further(plan, said["states"])
    if loss.commits:
        refusals.append(loss.statement)
    return {"loss": loss.as_dict(), "refusals": [] if plan.facts["accepted"]["data_loss"] else refusals}


def wired(line: str, address: Json) -> str:
    """A line of an application's configuration for a database at *address*."""
    return line.replace("{host}", str(address["host"])).replace("{port}", str(address["port"]))


def _of_source(
    description: Description,
    service: Service,
    source: Source,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
) -> dict[str, t.Any]:
    if source.engine != "postgresql":
        raise AnsibleFilterError(
            f"{service.name}/{source.name} is {source.engine}; this version promotes standbys of PostgreSQL only."
        )
    known = set(groups.get("all", ()))
    surroundings = service.surroundings
    target: dict[str, t.Any] = {
        "service": service.name,
        "source": source.name,
        "host": host,
        "connection": dict(source.connection),
        "service_control": dict(source.service_control),
        "fencing": dict(source.fencing),
        "objectives": source.objectives.as_dict(),
        "standbys": [_standby(dict(one), known=known) for one in source.standbys],
        "applications": [dict(one) for one in surroundings.get("applications") or ()],
        "regions": {one["name"]: list(one.get("hosts") or ()) for one in surroundings.get("regions") or ()},
        "state_directory": description.settings.state_directory,
    }
    wiring = {one["name"]: one.get("wiring") or [] for one in target["applications"]}
    places = application_places(target, host, groups)
    target["applications"] = [{**one, "wiring": wiring[one["name"]]} for one in places if not one["outside"]]
    uses = {use.name: use for job in source.jobs for use in job.repositories if not use.is_version_control}
    target["repositories"] = [{"name": name, **use.description} for name, use in uses.items()]
    base = next((job for job in source.jobs if job.kind == "base"), None)
    target["base_job"] = None if base is None else base.as_dict()
    return target


def _standby(standby: dict[str, t.Any], *, known: t.Collection[str]) -> dict[str, t.Any]:
    host = standby.get("inventory_host") or standby["connection"].get("host")
    if host not in known:
        raise AnsibleFilterError(
            f"The standby {standby['name']} runs on {host or 'a host that is not named'}, which the inventory does not "
            "have. Give it inventory_host in the description."
        )
    return {**standby, "host": host}


def _loss(size: int | None, seconds: float | None) -> str:
    amount = "an unknown number of bytes" if size is None else f"{size} bytes"
    time = "for nobody knows how long" if seconds is None else f"of at most {seconds:.0f} s"
    return f"may lose {amount} {time}" if size != 0 else "has all that its primary had when it last spoke"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "promotable": promotable,
            "promotion_loss": promotion_loss,
            "promotion_objections": promotion_objections,
            "promotion_plan": promotion_plan,
            "servers_said": servers_said,
            "wired": wired,
        }
