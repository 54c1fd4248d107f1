# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/backup.yml``: choosing jobs and summing up what became of them."""

from __future__ import annotations

import json
import typing as t

_COLUMNS = ("HOST", "JOB", "STATE", "ID", "DATA", "STORED", "TOOK", "WHERE")
_RIGHT = ("DATA", "STORED", "TOOK")

Json = t.Mapping[str, t.Any]


def select_jobs(jobs: t.Sequence[Json], selection: t.Any) -> list[Json]:
    """Those *jobs* that an entry of *selection* (text with commas, or a list) names; all when it is empty."""
    wanted = _entries(selection)
    return [job for job in jobs if not wanted or any(_names(entry, job) for entry in wanted)]


def unmatched_jobs(selection: t.Any, jobs: t.Sequence[Json]) -> list[str]:
    """The entries of *selection* that name none of *jobs*."""
    return [entry for entry in _entries(selection) if not any(_names(entry, job) for job in jobs)]


def job_repositories(job: Json, *, silent: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
    """The repositories of a job in the form that the modules take, without git, where nothing is stored yet.

    Those that are *silent* are left out, unless all are: then the module says what is wrong with them.
    """
    from ..module_utils._engine.core.description.model import written_description
    from ..module_utils._engine.core.description.version_control import is_version_control

    known = [use for use in job["repositories"] if not is_version_control(use["description"])]
    uses = [use for use in known if use["name"] not in silent] or known
    return [
        {"name": use["name"], **written_description(use["description"], within=use.get("keep", {}).get("within"))}
        for use in uses
    ]


def backup_summary(hosts: t.Sequence[Json], *, check_mode: bool = False, all_engines: bool = False) -> dict[str, t.Any]:
    """What became of every job of *hosts* (their variables): ``table``, ``verdict`` and whether it ``failed``.

    With *all_engines* a host without any result is one that nobody came to; without, its engines may not be wanted.
    """
    from ..module_utils._engine.report.text import format_table

    rows: list[list[str]] = []
    problems: list[str] = []
    counts = {"complete": 0, "unchanged": 0, "partial": 0, "failed": 0, "planned": 0, "left out": 0}
    for host in hosts:
        name = str(host["inventory_hostname"])
        results = host.get("lifeboat_results") or []
        if was_never_reached(host, tried="lifeboat_made", all_engines=all_engines):
            counts["failed"] += 1
            rows.append([name, "-", "unreachable", *("-" * (len(_COLUMNS) - 3))])
            problems.append(f"{name}: can't be reached; none of its {len(host['lifeboat_selected'])} jobs ran.")
        for result in results:
            state = _state(result, check_mode=check_mode)
            counts[state] += 1
            rows.append([name, str(result["job"]), state, *_figures(result)])
            if state in ("failed", "partial"):
                problems.append(f"{name}: {result['job']} {state}: {result.get('msg', 'no message')}")
    summed = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no job was selected"
    failed = counts["failed"] + counts["partial"] > 0
    return {
        "table": format_table(_COLUMNS, rows, right=_RIGHT),
        "verdict": "\n".join([f"{len(rows)} jobs: {summed}." if rows else "No job was selected.", *problems]),
        "failed": failed,
    }


def agent_backup(said: Json) -> dict[str, t.Any]:
    """What the agent of a host said of one job (the result of the command), in the form that modules answer in."""
    try:
        (result,) = json.loads(str(said.get("stdout") or ""))["results"]
    except (KeyError, TypeError, ValueError):
        told = str(said.get("stderr") or said.get("msg") or "").strip() or "the agent said nothing that can be read"
        return {"failed": True, "changed": False, "msg": told}
    error = result.get("error") or {}
    found = {key: result[key] for key in ("backup", "plan") if result.get(key)}
    return {
        **found,
        "failed": bool(error) and not found,
        "changed": "backup" in found,
        "msg": str(error.get("message") or ""),
        **({"code": error["code"]} if error.get("code") else {}),
    }


def _entries(selection: t.Any) -> list[str]:
    texts = [selection] if isinstance(selection, str) else [str(entry) for entry in selection or ()]
    return [entry.strip().strip("/") for text in texts for entry in text.split(",") if entry.strip()]


def _names(entry: str, job: Json) -> bool:
    return str(job["id"]) == entry or str(job["id"]).startswith(f"{entry}/")


def was_never_reached(host: Json, *, tried: str, all_engines: bool) -> bool:
    """Whether the first that was tried did not come to it; a host that was lost later has results.

    *tried* is the variable in which the play keeps what came of its module.
    """
    results = host.get("lifeboat_results") or ()
    if any(not result.get("skipped") for result in results):
        return False
    if (host.get(tried) or {}).get("unreachable"):
        return True
    return all_engines and bool(host.get("lifeboat_selected")) and not results


def _state(result: Json, *, check_mode: bool) -> str:
    if result.get("skipped"):
        return "left out"
    backup = result.get("backup")
    if backup:
        return str(backup["state"])
    lost = result.get("failed") or result.get("unreachable")
    return "planned" if check_mode and not lost else "failed"


def _figures(result: Json) -> list[str]:
    from ..module_utils._engine.report.text import format_bytes, format_seconds

    backup = result.get("backup")
    if not backup:
        return ["-", "-", "-", "-", str(result.get("code") or "-")]
    where = [("" if entry["state"] == "complete" else "not ") + entry["name"] for entry in backup["repositories"]]
    return [
        str(backup["id"]),
        format_bytes(backup["plain_bytes"]),
        format_bytes(backup["stored_bytes"]),
        format_seconds(backup["seconds"]),
        ", ".join(where),
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "agent_backup": agent_backup,
            "backup_summary": backup_summary,
            "job_repositories": job_repositories,
            "select_jobs": select_jobs,
            "unmatched_jobs": unmatched_jobs,
        }
