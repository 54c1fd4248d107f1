# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/degraded_mode.yml``: what is switched where, until when, and what came of it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, entries, read

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock


def degradable(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    wanted: t.Any,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
) -> list[dict[str, t.Any]]:
    """The degraded mode of the service *wanted*, as *host* describes it; an empty list when it does not."""
    from ..module_utils._engine.core.errors import LifeboatError
    from ..module_utils._engine.degraded.plan import degraded_plan

    names = entries(wanted)
    if len(names) != 1 or "/" in names[0]:
        raise AnsibleFilterError(f"{wanted!r} is no service. Name it as -e lifeboat_service=SERVICE")
    description = read(services, repositories, settings)
    known = set(groups.get("all", ()))

    def places(listed: t.Sequence[str]) -> list[str]:
        found = list(dict.fromkeys(one for name in listed for one in groups.get(name, [name]))) or [host]
        unknown = [one for one in found if one not in known]
        if unknown:
            raise AnsibleFilterError(f"The inventory has no host or group {' or '.join(unknown)}.")
        return found

    try:
        return [
            {
                **degraded_plan(service, places=places),
                "host": host,
                "state_directory": description.settings.state_directory,
            }
            for service in description.services
            if service.name == names[0]
        ]
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None


def degraded_text(target: Json) -> list[str]:
    """What would be switched."""
    from ..module_utils._engine.degraded.plan import plan_text

    return plan_text(target)


def degraded_until(target: Json, given: t.Any = None, *, clock: Clock | None = None) -> str:
    """Until when it is meant to last."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.core.errors import LifeboatError
    from ..module_utils._engine.degraded.plan import until_when

    try:
        return until_when(
            str(given) if given else None, longest=str(target["max_duration"]), now=(clock or SystemClock()).now()
        )
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None


def degraded_noted(mode: Json) -> dict[str, t.Any]:
    """What a host notes of a mode: who, when, why and until when; what was before it has itself."""
    return {key: mode[key] for key in ("id", "at", "by", "reason", "until") if mode.get(key)}


def degraded_results(results: t.Sequence[Json]) -> dict[str, t.Any]:
    """Of the tasks of all measures: ``before`` by measure and host, ``failed`` as sentences, ``lines`` for people."""
    before: dict[str, t.Any] = {}
    failed: list[str] = []
    lines: list[str] = []
    for one in results:
        measure = one["lifeboat_measure"]
        place = f"{measure['name']} on {measure['host']}"
        if one.get("failed") or one.get("unreachable") or "measure" not in one:
            why = str(one.get("msg") or "it does not answer").split("\n", maxsplit=1)[0]
            failed.append(f"{place}: {why}")
            lines.append(f"{place}: FAILED, {why}")
            continue
        said = one["measure"]
        if said["before"] is not None:
            before[f"{measure['name']}@{measure['host']}"] = said["before"]
        state = {"on": "in force", "noted": "begun", "leaving": "being put back"}.get(
            str(said["state"]), "not in force"
        )
        now = "" if said["now"] is None else f" (now {said['now']}, before {said['before']})"
        lines.append(f"{place}: {state}{now}")
    return {"before": before, "failed": failed, "lines": lines}


def degraded_answers(results: t.Sequence[Json]) -> dict[str, t.Any]:
    """Of the tasks of all criteria: ``unmet`` as sentences, and ``lines`` for people."""
    unmet: list[str] = []
    lines: list[str] = []
    for one in results:
        criterion = one["lifeboat_criterion"]
        place = f"{criterion['name']} from {criterion['host']}"
        answer = one.get("answer") or {}
        said = answer.get("said") or str(one.get("msg") or "it does not answer").split("\n", maxsplit=1)[0]
        if not answer.get("met"):
            unmet.append(f"{place}: {said}")
        lines.append(f"{'met' if answer.get('met') else 'NOT met'}  {place}: {said}")
    return {"unmet": unmet, "lines": lines}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "degradable": degradable,
            "degraded_answers": degraded_answers,
            "degraded_noted": degraded_noted,
            "degraded_results": degraded_results,
            "degraded_text": degraded_text,
            "degraded_until": degraded_until,
        }
