# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention decides for one repository: from its content, the policies and a time to a plan with reasons. Pure.

In this order: the rules of each series (:mod:`rules`), what streams and increments need (:mod:`stream_spans`,
:mod:`chains`), then the guards (:mod:`guards`), which keep what they are about and whatever that builds on. What came
after the plan's time stays and counts for nothing, so that the same time gives the same plan later.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.layout import Series
from .fingerprint import state_hash
from .guards import (
    Stops,
    check_overrides,
    is_allowed,
    number_refusal,
    repository_refusals,
    series_refusals,
    share_refusal,
)
from .planned_backups import PlannedBackups
from .planned_streams import PlannedStreams
from .values import Elsewhere, Limits, Refusal, RepositoryContent, RetentionPlan, SeriesPolicy

_USUAL_LIMITS = Limits()


def plan(
    content: RepositoryContent,
    policies: t.Sequence[SeriesPolicy],
    *,
    now: datetime.datetime,
    limits: Limits = _USUAL_LIMITS,
    allow: t.AbstractSet[str] = frozenset(),
    elsewhere: t.Sequence[Elsewhere] = (),
) -> RetentionPlan:
    """What of *content* is to go at *now* (aware), and why the rest stays.

    *policies* are those of this repository, one for each series; a series or stream without any stays whole.
    *elsewhere* are all other repositories with backups or streams of the same sources: a stream may begin from a base
    that is kept there. The order of entries makes no difference. Nothing is read and no clock is asked.

    Raises RequestInvalid for a word in *allow* that overrides nothing, ScheduleInvalid for a time zone that this host
    doesn't know, ``ValueError`` for two policies of one series.
    """
    check_overrides(allow)
    by_series = {policy.series: policy for policy in policies}
    if len(by_series) != len(policies):
        raise ValueError("two policies of one series: give one with the keeps of all of its jobs")
    streams = PlannedStreams(content, by_series, now=now, elsewhere=elsewhere)
    backups = PlannedBackups(content, by_series, now=now, elsewhere=elsewhere, stream_bases=streams.bases_to_keep())
    verdict = _Verdict(allow)
    for refusal in repository_refusals(content, limits=limits):
        verdict.add(refusal)
    unguarded = streams.outcome(backups.places(backups.wanted, streams.base_ids), {})
    cut = {decision.entry.series for decision in unguarded.decisions if decision.keep_from}
    for series in sorted(by_series, key=lambda one: one.folder):
        there, going = len(backups.present(series)), backups.going(series, backups.wanted)
        for refusal in series_refusals(
            by_series[series],
            backups.newest(series),
            would_go=bool(going) or series in cut,
            now=now,
            elsewhere=elsewhere,
        ):
            verdict.add(refusal)
        verdict.add(share_refusal(series, going=going, there=there, limits=limits))
    staying = backups.with_stops(verdict.stops)
    verdict.add(number_refusal(content, going=len(backups.entries) - len(staying.numbers), limits=limits))
    outcome = unguarded
    if verdict.stops:
        staying = backups.with_stops(verdict.stops)
        outcome = streams.outcome(backups.places(staying, streams.base_ids), verdict.stops)
    shorter = list(streams.refusals(outcome))
    if shorter:
        for refusal in shorter:
            verdict.add(refusal)
        staying = backups.with_stops(verdict.stops)
        outcome = streams.outcome(backups.places(staying, streams.base_ids), verdict.stops)
    return RetentionPlan(
        repository=content.name,
        now=now,
        decisions=backups.decisions(staying, verdict.stops),
        streams=outcome.decisions,
        refusals=tuple(verdict.refusals),
        overridden=tuple(verdict.overridden),
        windows_before=streams.windows_before,
        windows_after=outcome.windows_after,
        state_hash=state_hash(backups.all_present, content.streams, now=now),
        allow=frozenset(allow),
        policies=tuple(sorted(policies, key=lambda one: one.series.folder)),
        unfinished_removals=tuple(sorted(content.unfinished_removals)),
    )


class _Verdict:
    """The refusals so far, and what they stop."""

    def __init__(self, allow: t.AbstractSet[str]) -> None:
        self.refusals: list[Refusal] = []
        self.overridden: list[Refusal] = []
        self._allow = allow

    def add(self, refusal: Refusal | None) -> None:
        """Take it in, unless there is none."""
        if refusal is not None:
            (self.overridden if is_allowed(refusal, self._allow) else self.refusals).append(refusal)

    @property
    def stops(self) -> Stops:
        found: dict[Series | None, list[str]] = {}
        for refusal in self.refusals:
            found.setdefault(refusal.series, []).append(refusal.override.partition(":")[0])
        return found
