# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of a policy say of the backups of one series: which they keep, and in which words. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.standing import FAILED, VERIFIED
from ..core.description.duration import format_duration
from ..core.description.keep import KeepPolicy
from ..core.description.schedule import timezone_named
from .calendar import PERIODS, newest_of_each
from .values import Entry, SeriesPolicy

#: The label of a backup that names the job that made it.
JOB_LABEL = "job"

#: Why backups stay, by their place or number; who isn't in it may go. Tuples, for thousands share theirs.
Reasons = dict[int, tuple[str, ...]]


def merged(keeps: t.Iterable[KeepPolicy]) -> KeepPolicy:
    """One policy that keeps what any of *keeps* does: of each rule the widest. An empty one for none."""
    policies = tuple(keeps)
    if not policies:
        return KeepPolicy(minimum_verified=KeepPolicy().minimum_verified)
    values = {
        name: max((value for value in (getattr(one, name) for one in policies) if value is not None), default=None)
        for name in ("within", "count", *PERIODS)
    }
    return KeepPolicy(
        **t.cast(t.Any, values),
        forever=any(one.forever for one in policies),
        minimum_verified=max(one.minimum_verified for one in policies),
    )


def keeps_nothing(keep: KeepPolicy) -> bool:
    """Whether no rule of the policy names any backup."""
    return not keep.forever and all(getattr(keep, name) is None for name in ("within", "count", *PERIODS))


def series_reasons(
    entries: t.Sequence[Entry], policy: SeriesPolicy, *, now: datetime.datetime
) -> tuple[Reasons, list[str]]:
    """Of *entries* (one series, newest first, none after *now*) why some stay, and of all why no rule names them.

    What a stream or an increment needs is not known here. Raises ScheduleInvalid for an unknown time zone.
    """
    kept: Reasons = {}
    beyond = [""] * len(entries)
    zone = timezone_named(policy.timezone)
    for places, keep, job in _groups(entries, policy):
        kept.update(_group_reasons(entries, places, keep, job=job, now=now, zone=zone))
        words = _beyond(keep)
        for place in places:
            beyond[place] = words
    return kept, beyond


def former_reasons(
    entries: t.Sequence[Entry], places: t.Sequence[int], policy: SeriesPolicy, *, now: datetime.datetime
) -> tuple[Reasons, str]:
    """Of those of *entries* (newest first) at *places* why some stay, and what the others are not.

    They are counted among themselves by the keeps of *policy*, and nobody makes any more of them: they may go when
    enough that are proved came after them, whoever made those. Raises as series_reasons() does.
    """
    keep = merged(policy.keeps)
    zone = timezone_named(policy.timezone)
    return _group_reasons(entries, places, keep, job=_NO_JOB, now=now, zone=zone), _beyond(keep)


def _group_reasons(
    entries: t.Sequence[Entry],
    places: t.Sequence[int],
    keep: KeepPolicy,
    *,
    job: str,
    now: datetime.datetime,
    zone: datetime.tzinfo,
) -> Reasons:
    group = [entries[place] for place in places]
    suffix = f" ({job})" if job else ""
    is_newest = bool(places) and (places[0] == 0 or job != _NO_JOB)
    found: Reasons = {0: (f"the newest{suffix}",)} if is_newest else {}
    _apply_rules(group, keep, found, now=now, zone=zone, suffix=suffix)
    # The job of such backups makes none any more: what came after them is what the others make.
    successors = entries if job == _NO_JOB else group
    newest_verified = [one for one in successors if one.state == VERIFIED][: keep.minimum_verified]
    _keep_verified(group, newest_verified, keep.minimum_verified, found)
    return {places[place]: reasons for place, reasons in found.items()}


#: Stands for all backups whose label names no job that there is.
_NO_JOB = "former jobs"


def _groups(entries: t.Sequence[Entry], policy: SeriesPolicy) -> t.Iterator[tuple[t.Sequence[int], KeepPolicy, str]]:
    """The places of backups that are counted together, by which policy, and the job's name where there are several."""
    whole = merged(policy.keeps)
    if not policy.jobs:
        yield range(len(entries)), whole, ""
        return
    by_job: dict[str, list[KeepPolicy]] = {}
    for job, keep in zip(policy.jobs, policy.keeps):
        by_job.setdefault(job, []).append(keep)
    places: dict[str, list[int]] = {job: [] for job in (*by_job, _NO_JOB)}
    for place, entry in enumerate(entries):
        job = entry.labels.get(JOB_LABEL, "")
        places[job if job in by_job else _NO_JOB].append(place)
    several = len(by_job) > 1 or bool(places[_NO_JOB])
    for job, keeps in by_job.items():
        yield places[job], merged(keeps), job if several else ""
    yield places[_NO_JOB], whole, _NO_JOB


def _apply_rules(
    entries: t.Sequence[Entry],
    keep: KeepPolicy,
    kept: Reasons,
    *,
    now: datetime.datetime,
    zone: datetime.tzinfo,
    suffix: str,
) -> None:
    def add(place: int, *words: str) -> None:
        kept[place] = (*kept.get(place, ()), *(word + suffix for word in words))

    if keep.forever:
        forever = (f"forever{suffix}",)
        for place in range(len(entries)):
            kept[place] = kept.get(place, ()) + forever
    if keep.within is not None:
        since, young = now - keep.within, (f"within {format_duration(keep.within)}{suffix}",)
        for place, entry in enumerate(entries):
            if entry.started < since:
                break
            kept[place] = kept.get(place, ()) + young
    # A failed one takes no place from one that may be good.
    good = [place for place, entry in enumerate(entries) if entry.state != FAILED]
    for number, place in enumerate(good[: keep.count or 0], start=1):
        add(place, f"{number} of the newest {keep.count}")
    moments = [entries[place].started for place in good]
    for period in PERIODS:
        count = getattr(keep, period) or 0
        for number, place in enumerate(newest_of_each(period, moments, zone=zone, count=count), start=1):
            add(good[place], f"{period} {number} of {count}")


def _keep_verified(entries: t.Sequence[Entry], newest_verified: t.Sequence[Entry], minimum: int, kept: Reasons) -> None:
    """Keep the newest verified ones, and whatever has too few of them above it; all are newest first."""
    numbers = {entry.backup_id: number for number, entry in enumerate(newest_verified, start=1)}
    order = [(entry.started, entry.backup_id) for entry in newest_verified]
    # A failed one is worth nothing: it needs others, be they older. Anything else needs newer ones.
    failed = (f"only {len(order)} verified of {minimum}",)
    above, words = 0, (f"only 0 newer verified of {minimum}",)
    for place, entry in enumerate(entries):
        if above == minimum:
            break  # all that follow are older
        number = numbers.get(entry.backup_id)
        if number is not None:
            kept[place] = (*kept.get(place, ()), f"verified {number} of {minimum} that always stay")
            continue
        while above < len(order) and order[above] > (entry.started, entry.backup_id):
            above += 1
            words = (f"only {above} newer verified of {minimum}",)
        if place in kept:
            continue
        if entry.state != FAILED:
            if above < minimum:
                kept[place] = words
        elif len(order) < minimum:
            kept[place] = failed


def _beyond(keep: KeepPolicy) -> str:
    """In words: what the backups that go are not."""
    places = [f"newest {keep.count}"] if keep.count is not None else []
    places += [f"{period} {getattr(keep, period)}" for period in PERIODS if getattr(keep, period) is not None]
    older = [] if keep.within is None else [f"older than {format_duration(keep.within)}"]
    return ", ".join([*older, *([f"not in {', '.join(places)}"] if places else [])]) or "the policy is empty"
