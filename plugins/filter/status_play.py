# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/status.yml``: what each host is asked, and what all of them said."""

from __future__ import annotations

import typing as t

from .recovery_play import Json, entries, read

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock

_SECRETS = frozenset({"password", "token", "uri"})
_HIDDEN = "mongodb://left-out"


def status_request(
    services: t.Any, repositories: t.Any, settings: t.Any = None, select: t.Any = None
) -> dict[str, t.Any]:
    """What a host is asked: ``description`` without secrets that are given by value, and the ``jobs`` to look at.

    ``has_jobs`` is false where *select* names none of its jobs; ``unmet_objectives`` are what the schedules can't meet.
    """
    from ..module_utils._engine.operations.status_requests import unmet

    description = read(services, repositories, settings)
    wanted = entries(select)
    every = [job.id for job in description.jobs()]
    chosen = [one for one in every if not wanted or any(_selects(entry, one) for entry in wanted)]
    mapping = {"lifeboat_repositories": repositories or {}, "lifeboat_services": _without_secrets(services)}
    if settings:
        mapping["lifeboat_settings"] = settings
    return {
        "description": mapping,
        "jobs": chosen,
        "has_jobs": bool(chosen),
        "ids": every,
        "unmet_objectives": unmet(description),
    }


def unmatched_in_status(select: t.Any, requests: t.Sequence[Json]) -> list[str]:
    """The entries of *select* that name no job of any host."""
    every = [str(one) for request in requests for one in request["ids"]]
    return [entry for entry in entries(select) if not any(_selects(entry, one) for one in every)]


def status_summary(hosts: t.Sequence[Json], *, clock: Clock | None = None) -> dict[str, t.Any]:
    """What *hosts* (their variables) said: ``table``, ``verdict``, ``report`` (as JSON values), and ``well``."""
    from ..module_utils._engine.core.clock import SystemClock, format_time
    from ..module_utils._engine.report.status_hosts import hosts_table, hosts_verdict

    now = (clock or SystemClock()).now()
    asked = [_host(host) for host in hosts if (host.get("lifeboat_request") or {}).get("has_jobs")]
    told = [
        f"objective: {host['inventory_hostname']}: {one['place']}: {one['problem']} {one['change']}"
        for host in hosts
        for one in (host.get("lifeboat_request") or {}).get("unmet_objectives") or ()
    ]
    return {
        "table": hosts_table(asked, now=now),
        "verdict": "\n".join([hosts_verdict(asked), *told]),
        "report": {"at": format_time(now), "hosts": asked},
        "well": not told and all(host["status"] is not None and host["status"]["well"] for host in asked),
    }


def status_html(report: Json, *, clock: Clock | None = None) -> str:
    """The page of a report."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.report.status_page import status_page

    return status_page(report["hosts"], now=(clock or SystemClock()).now())


def _selects(entry: str, job: str) -> bool:
    return job == entry or job.startswith(f"{entry}/")


def _host(host: Json) -> dict[str, t.Any]:
    name = str(host["inventory_hostname"])
    answer = host.get("lifeboat_answer") or {}
    if answer.get("status") and not answer.get("failed"):
        return {"host": name, "status": answer["status"], "error": None}
    why = answer.get("msg") or "it did not answer"
    lost = answer.get("unreachable") or not answer
    return {"host": name, "status": None, "error": f"The host can't be reached: {why}" if lost else str(why)}


def _without_secrets(value: t.Any) -> t.Any:
    """The status connects to no database, so what would open one stays on the controller."""
    if isinstance(value, t.Mapping):
        return {
            key: _HIDDEN if key in _SECRETS and isinstance(item, str) else _without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "status_html": status_html,
            "status_request": status_request,
            "status_summary": status_summary,
            "unmatched_in_status": unmatched_in_status,
        }
