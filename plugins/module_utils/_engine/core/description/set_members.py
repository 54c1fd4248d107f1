# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs of a service a set (kind ``system``) consists of: by rule, and by its options include and exclude."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .kinds import MEMBER_KINDS, SET_KIND, is_runnable

if t.TYPE_CHECKING:
    from .model import Job

#: Settings of servers come back before their data, and what a server delivers after it.
_ORDER = ("config", "full", "base", "logical", "rdb", "aof", "app", "static")

_NOTHING_WHOLE = "has no job that makes a whole backup"
_ELSEWHERE = "its data stays in the storage of WAL-G, and not in the repositories of the set"
#: How lines of what is left out end that nobody asked for and that a set may be expected to have.
UNASKED = (_NOTHING_WHOLE, _ELSEWHERE)


@dataclass(frozen=True)
class Chosen:
    """The *jobs* of a set in the order in which it is made and brought back; *left_out* says what is not in it."""

    jobs: tuple[Job, ...]
    left_out: tuple[str, ...]


def choose_members(system: Job, jobs: t.Iterable[Job]) -> Chosen:
    """Of the *jobs* of a service those that the set *system* has made: of each source the first of each kind.

    Only kinds that hold all of a source as it is at one time, and that this version makes; *include* and *exclude*
    name sources, or jobs without the service (``main/full``).
    """
    include, exclude = (tuple(system.options.get(key) or ()) for key in ("include", "exclude"))
    chosen: list[Job] = []
    left_out: list[str] = []
    whole_sources: dict[str, bool] = {}
    for job in jobs:
        if job.kind == SET_KIND and job.engine == system.engine:
            continue
        in_set = whole_sources.setdefault(f"{job.service}/{job.source}", False)
        if job.kind not in MEMBER_KINDS.get(job.engine, ()):
            continue
        reason = _why_not(job, chosen, include=include, exclude=exclude)
        if reason is None:
            chosen.append(job)
        else:
            left_out.append(f"{job.id}: {reason}")
        whole_sources[f"{job.service}/{job.source}"] = True if reason is None else in_set
    said = {line.partition(":")[0].rpartition("/")[0] for line in left_out}
    left_out += [
        f"{source}: {_NOTHING_WHOLE}" for source, is_in in whole_sources.items() if not is_in and source not in said
    ]
    return Chosen(jobs=tuple(sorted(chosen, key=_place)), left_out=tuple(left_out))


def names(entry: str, job: Job) -> bool:
    """Whether an entry of include or exclude names that job: ``main``, or ``main/full``."""
    return entry in (job.source, job.id.partition("/")[2])


def _why_not(job: Job, chosen: t.Sequence[Job], *, include: t.Sequence[str], exclude: t.Sequence[str]) -> str | None:
    if any(names(entry, job) for entry in exclude):
        return "excluded"
    if include and not any(names(entry, job) for entry in include):
        return "not included"
    if not is_runnable(engine=job.engine, kind=job.kind):
        return f"this version makes no backups of the kind {job.engine} {job.kind}"
    if job.options.get("tool") == "walg":
        return _ELSEWHERE
    if any((one.source, one.kind) == (job.source, job.kind) for one in chosen):
        return f"another job of the kind {job.kind} comes before it"
    return None


def _place(job: Job) -> int:
    # Databases stay in the order of the description.
    rank = _ORDER.index(job.kind)
    return rank if job.engine == "files" else 1
