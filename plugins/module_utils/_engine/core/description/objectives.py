# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objectives that the schedules can't meet: who may lose five minutes at most needs more than a nightly job.

A loss of exactly the objective is allowed: a job each 15 minutes meets an rpo of 15 minutes. How long a recovery takes
can't be read off a description; that is measured (``lifeboat status``).
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from .duration import describe_duration, format_duration, parse_duration
from .kinds import STREAM_BASES, STREAMED_KINDS
from .model import Job, Service, Source


@dataclass(frozen=True)
class UnmetObjective:
    """An rpo that can't be met: *place* is the source or the job, *objective* who asks for how much, *text* what is
    wrong, *change* what to do about it.
    """

    place: str
    objective: str
    text: str
    change: str

    def as_dict(self) -> dict[str, str]:
        """As JSON values."""
        return {"place": self.place, "objective": self.objective, "problem": self.text, "change": self.change}

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def unmet_objectives(services: t.Iterable[Service]) -> t.Iterator[UnmetObjective]:
    """Every rpo of *services* that their schedules can't meet."""
    for service in services:
        for source in service.sources:
            yield from _of_source(service, source)


def longest_wait(job: Job) -> datetime.timedelta | None:
    """The longest time between two runs: zero for what runs on events, None when nothing starts it.

    What is archived continuously waits as long as the server may hold a segment back (archive_timeout).
    """
    if job.triggers:
        held_back = job.options.get("archive_timeout") if "continuous" in job.triggers else None
        return parse_duration(held_back) if isinstance(held_back, str) else datetime.timedelta(0)
    return None if job.schedule is None else job.schedule.longest_gap()


def _of_source(service: Service, source: Source) -> t.Iterator[UnmetObjective]:
    if not source.jobs:
        return
    place = f"{service.name}/{source.name}"
    known = [(wait, job) for wait, job in ((longest_wait(job), job) for job in source.jobs) if wait is not None]
    usable = [(wait, job) for wait, job in known if _has_base(job, source)]
    for rpo, objective in _rpos(service, source):
        named = f"an rpo of {describe_duration(rpo)}" + (f" (class {objective})" if objective else "")
        if not known:
            text = f"nothing is scheduled, so {named} can't be met."
            yield UnmetObjective(place, objective or "rpo", text, f"Give a backup of {place} a schedule.")
            continue
        if not usable:
            text = f"{named} can't be met: {known[0][1].id.rpartition('/')[2]} has no base to be replayed behind."
            yield UnmetObjective(place, objective or "rpo", text, _add_base(known[0][1]))
            continue
        shortest, best = min(usable, key=lambda pair: pair[0])
        if shortest > rpo:
            text = (
                f"{named} can't be met: the most frequent backup "
                f"({best.id.rpartition('/')[2]}) runs {best.describe_schedule()}, "
                f"up to {describe_duration(shortest)} apart."
            )
            yield UnmetObjective(place, objective or "rpo", text, _change(best, rpo, shortest, source))
    for wait, job in known:
        own = job.objectives.rpo
        if own is not None and own != source.objectives.rpo and wait > own:
            text = (
                f"an rpo of {describe_duration(own)} can't be met: it runs {job.describe_schedule()}, "
                f"up to {describe_duration(wait)} apart."
            )
            yield UnmetObjective(job.id, "rpo", text, _change(job, own, wait, source))


def _rpos(service: Service, source: Source) -> t.Iterator[tuple[datetime.timedelta, str]]:
    """The source's own objective, and those of the classes whose data it holds where they are stricter."""
    own = source.objectives.rpo
    if own is not None:
        yield own, ""
    for one in service.classes:
        rpo = one.objectives.rpo
        if one.name in source.classes and rpo is not None and (own is None or rpo < own):
            yield rpo, one.name


def _has_base(job: Job, source: Source) -> bool:
    base = STREAM_BASES.get(job.kind) if job.kind in STREAMED_KINDS.get(job.engine, ()) else None
    return base is None or any(each.kind == base for each in source.jobs)


def _add_base(job: Job) -> str:
    return f"Add a backup of the kind {STREAM_BASES[job.kind]} to {job.service}/{job.source}."


def _change(job: Job, rpo: datetime.timedelta, wait: datetime.timedelta, source: Source) -> str:
    streams = [kind for kind in STREAMED_KINDS.get(job.engine, ()) if all(one.kind != kind for one in source.jobs)]
    ways = [f"run {job.id} at least every {describe_duration(rpo)}"]
    ways += [f"add a backup of the kind {kind} (a stream)" for kind in streams]
    ways.append(f"allow more: rpo: {format_duration(wait)}")
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."
