# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/retention.yml``: whose policies hold, and what became of what they don't keep."""

from __future__ import annotations

import typing as t

from .recovery_play import Json, entries, read

_COLUMNS = ("HOST", "REPOSITORY", "RESULT", "REMOVED", "FREED", "STAYS LOCKED")
_RIGHT = ("REMOVED", "FREED", "STAYS LOCKED")


def retention(
    services: t.Any, repositories: t.Any, settings: t.Any = None, selection: t.Any = None
) -> dict[str, t.Any]:
    """The options of ``s3_retention`` that the description gives: ``repositories``, ``policies``, ``state_directory``.

    With *selection* only the policies of jobs that one of its entries names, or begins the name of.
    """
    from ..module_utils._engine.core.description.duration import format_duration
    from ..module_utils._engine.operations.prune_requests import policies_of

    description = read(services, repositories, settings)
    wanted = entries(selection)
    jobs = [job for job in description.jobs() if not wanted or any(_is_below(job.id, entry) for entry in wanted)]
    policies = policies_of(jobs)
    return {
        "repositories": [
            {"name": one.name, **one.description} for one in description.repositories if not one.is_version_control
        ],
        "policies": [
            {
                "repository": policy.repository,
                "service": policy.series.service,
                "source": policy.series.source,
                "engine": policy.engine,
                "kind": policy.series.kind,
                "job": policy.job,
                "keep": policy.keep.as_dict(),
                "timezone": policy.timezone,
                **({"schedule": policy.schedule.expression} if policy.schedule else {}),
                **({"window": format_duration(policy.objective)} if policy.objective else {}),
                **({"walg": dict(policy.walg)} if policy.walg else {}),
            }
            for policy in policies
        ],
        "state_directory": description.settings.state_directory,
    }


def retention_summary(hosts: t.Sequence[Json], *, check_mode: bool = False) -> dict[str, t.Any]:
    """What came of it on *hosts* (their variables): ``table``, ``verdict``, whether one ``failed``."""
    from ..module_utils._engine.report.text import format_table

    rows: list[list[str]] = []
    problems: list[str] = []
    for host in hosts:
        name, result = str(host["inventory_hostname"]), host.get("lifeboat_pruned")
        if host.get("lifeboat_retention") is None:
            continue
        if not result or "plans" not in result:
            why = str((result or {}).get("msg") or "the host can't be reached")
            rows.append([name, "-", "failed", *("-" * 3)])
            problems.append(f"{name}: {why}")
            continue
        for plan in result["plans"]:
            done = next((one for one in result.get("results") or () if one["repository"] == plan["repository"]), None)
            rows.append([name, *_told(plan, done, check_mode=check_mode)])
            problems += [f"{name}: {plan['repository']}: {one['message']} {one['hint']}" for one in plan["refusals"]]
        if result.get("failed"):
            problems.append(f"{name}: {result.get('msg', 'failed')}")
    return {
        "table": format_table(_COLUMNS, rows, right=_RIGHT),
        "verdict": "\n".join([f"{len(rows)} repositories looked at.", *problems]),
        "failed": bool(problems),
    }


def _told(plan: Json, done: Json | None, *, check_mode: bool) -> list[str]:
    from ..module_utils._engine.report.text import format_bytes

    if done is None:
        removed, freed, locked = plan["summary"]["removed"], plan["summary"]["removed_bytes"], 0
        state = "planned" if check_mode or removed else "nothing to do"
    else:
        removed, freed, locked = len(done["removed"]), done["removed_bytes"], len(done["deferred"])
        state = "failed" if done["error"] else "done"
    if plan["refusals"]:
        state = "refused"
    return [str(plan["repository"]), state, str(removed), format_bytes(freed), str(locked)]


def _is_below(job: str, entry: str) -> bool:
    return job == entry or job.startswith(f"{entry}/")


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"retention": retention, "retention_summary": retention_summary}
