# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/verify.yml``: what is to be proved of which backups, and what came of it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .backup_play import was_never_reached
from .recovery_play import Json, read, series

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock
    from ..module_utils._engine.core.description.model import Source

_COLUMNS = ("HOST", "BACKUPS OF", "RESULT", "ID", "LEVEL", "CHECKS", "RECOVERED IN", "TOOK", "WHERE")
_RIGHT = ("CHECKS", "RECOVERED IN", "TOOK")
_STATES = ("passed", "failed", "error", "no backup", "nothing due", "planned", "left out")
_LOUD = ("failed", "error", "no backup")


def verifications(
    services: t.Any, repositories: t.Any, settings: t.Any = None, *, clock: Clock | None = None
) -> list[dict[str, t.Any]]:
    """One entry for each service, source and kind that the description backs up, with all that its proof needs.

    ``jobs`` holds the ids of the jobs that make these backups; ``since`` is the newest time at which the source's
    verification was due (UTC), None where it has no schedule.
    """
    from ..module_utils._engine.core.clock import SystemClock, format_time
    from ..module_utils._engine.operations.description_requests import last_due
    from ..module_utils._engine.operations.verifier_kinds import VERIFIERS

    description = read(services, repositories, settings)
    now = (clock or SystemClock()).now()
    found: list[dict[str, t.Any]] = []
    for service in description.services:
        for source in service.sources:
            due = last_due(source, default_timezone=description.settings.timezone, now=now)
            shared = {
                **_proof(source),
                "scratch_directory": description.settings.scratch_directory,
                "scratch_memory_mib": description.settings.scratch_memory_mib,
                "since": None if due is None else format_time(due),
            }
            found.extend(
                {**series(description, source, service=service.name, kind=kind), **shared}
                for kind in dict.fromkeys(job.kind for job in source.jobs)
                # Of files, this version makes some kinds only; there is nothing of the others to prove.
                if source.engine != "files" or (source.engine, kind) in VERIFIERS
            )
    return found


def verify_summary(hosts: t.Sequence[Json], *, check_mode: bool = False, all_engines: bool = False) -> dict[str, t.Any]:
    """What came of the verifications of *hosts* (their variables): ``table``, ``verdict``, whether one ``failed``.

    With *all_engines* a host without any result is one that nobody came to; without, its engines may not be wanted.
    """
    from ..module_utils._engine.report.text import format_table

    rows: list[list[str]] = []
    problems: list[str] = []
    counts = dict.fromkeys(_STATES, 0)
    for host in hosts:
        name = str(host["inventory_hostname"])
        results = host.get("lifeboat_results") or []
        if was_never_reached(host, tried="lifeboat_proved", all_engines=all_engines):
            counts["error"] += 1
            rows.append([name, "-", "unreachable", *("-" * (len(_COLUMNS) - 3))])
            problems.append(f"{name}: the host that verifies can't be reached; nothing of it was verified.")
        for result in results:
            for state, cells, problem in _told(result, check_mode=check_mode):
                counts[state] += 1
                rows.append([name, str(result["job"]), state, *cells, str(result.get("on") or name)])
                if state in _LOUD:
                    problems.append(f"{name}: {result['job']} {state}: {problem}")
    summed = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing was selected"
    return {
        "table": format_table(_COLUMNS, rows, right=_RIGHT),
        "verdict": "\n".join([f"{len(rows)} looked at: {summed}." if rows else "Nothing was selected.", *problems]),
        "failed": any(counts[state] for state in _LOUD),
    }


def _proof(source: Source) -> dict[str, t.Any]:
    """As the options of the module have it; a source without ``verify`` is proved as far as can be."""
    from ..module_utils._engine.core.errors import LifeboatError
    from ..module_utils._engine.operations.description_requests import proof_of

    try:
        proof = proof_of(source, level=None)
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None
    asked = {question.name for question in proof.questions}
    verify = source.verify
    return {
        "level": proof.level,
        "require_collections": list(verify.get("require_collections") or ()),
        "require_tables": list(verify.get("require_tables") or ()),
        "require_paths": list(verify.get("require_paths") or ()),
        "questions": [dict(one) for one in verify.get("questions") or () if one["name"] in asked],
        "options": dict(verify.get("options") or {}),
        "newest": int(verify.get("newest", 1)),
    }


def _told(result: Json, *, check_mode: bool) -> t.Iterator[tuple[str, list[str], str]]:
    """For each backup that *result* is about: its state, its cells of the table, and what is wrong."""
    from ..module_utils._engine.core.errors import BackupNotFound

    if result.get("skipped"):
        yield "left out", ["-"] * 5, ""
        return
    outcomes = result.get("plan" if check_mode else "verifications") or ()
    for outcome in outcomes:
        yield "planned" if check_mode else str(outcome["state"]), _cells(outcome), _reason(outcome)
    problems = result.get("problems") or ()
    for problem in problems:
        yield "error", ["-", str(problem.get("code") or "-"), "-", "-", "-"], str(problem.get("message"))
    if outcomes or problems:
        return
    if result.get("failed") or result.get("unreachable"):
        state = "no backup" if result.get("code") == BackupNotFound.code else "error"
        yield state, ["-", str(result.get("code") or "-"), "-", "-", "-"], str(result.get("msg", "no message"))
    else:
        yield "nothing due", ["-"] * 5, ""


def _cells(outcome: Json) -> list[str]:
    from ..module_utils._engine.report.text import format_seconds

    verification = outcome.get("verification")
    if not verification:
        level = outcome.get("level")  # of a plan
        told = (outcome.get("error") or {}).get("code", "-") if level is None else f"to {level}"
        return [str(outcome["backup"]), str(told), "-", "-", "-"]
    states = [check["state"] for check in verification["checks"]]
    counted = [f"{states.count(state)} {state}" for state in ("passed", "failed", "skipped") if state in states]
    reached = verification["reached"]
    return [
        str(outcome["backup"]),
        f"{reached if reached >= 0 else 'none'} of {verification['level']}",
        ", ".join(counted) or "-",
        format_seconds(verification["recovery_seconds"]),
        format_seconds(sum(verification["stages"].values())),
    ]


def _reason(outcome: Json) -> str:
    verification = outcome.get("verification") or {}
    errors = [outcome.get("error"), verification.get("error")]
    errors += [copy.get("error") for copy in (verification.get("copies") or {}).values()]
    return next((str(error.get("message")) for error in errors if error), "no message")


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "verifications": verifications,
            "verify_summary": verify_summary,
        }
