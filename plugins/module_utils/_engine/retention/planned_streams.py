# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The streams that a plan is about: those of the repository, and those elsewhere that begin from backups here. Pure."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.layout import Series
from ..catalog.standing import FAILED
from .chains import Place, place_of
from .guards import HELD_BACK, Stops, window_refusal
from .stream_spans import (
    Base,
    Span,
    bases_inside,
    bases_of,
    chosen_bases,
    cut,
    first_hours,
    moment_text,
    newest_moment,
    seconds_covered,
    span_of,
    uncut,
)
from .values import (
    Elsewhere,
    Entry,
    RecoverySpan,
    Refusal,
    RepositoryContent,
    SeriesPolicy,
    StreamDecision,
    StreamEntry,
)

Source = tuple[str, str]
# Windows that differ by less are the same.
_SECOND = 1.0


@dataclass(frozen=True)
class _Stream:
    """One lineage. *elsewhere* names the other repository (empty: it is in the one that is planned for).

    *windows* are those that this plan is about, *told* the same ones with their series.
    """

    entry: StreamEntry
    span: Span
    objective: datetime.timedelta | None
    elsewhere: str
    windows: t.Sequence[RecoverySpan] = ()
    told: t.Sequence[RecoverySpan] = ()

    @property
    def source(self) -> Source:
        return self.entry.series.service, self.entry.series.source


@dataclass(frozen=True)
class StreamOutcome:
    """What becomes of the streams when certain backups stay: *bases* are the places of those that streams know."""

    decisions: tuple[StreamDecision, ...]
    windows_after: tuple[RecoverySpan, ...]
    bases: t.AbstractSet[Place]


class PlannedStreams:
    """What each stream begins from, and what of it stays."""

    def __init__(
        self,
        content: RepositoryContent,
        policies: t.Mapping[Series, SeriesPolicy],
        *,
        now: datetime.datetime,
        elsewhere: t.Sequence[Elsewhere],
    ) -> None:
        """A stream without a policy stays whole, and so does what it begins from."""
        self._now = now
        found = [(one, policies.get(one.series), "") for one in content.streams]
        for other in elsewhere:
            there = {policy.series: policy for policy in other.policies}
            found += [(one, there.get(one.series), other.content.name) for one in other.content.streams]
        #: The ids of all backups that any stream begins from.
        self.base_ids = frozenset(name for entry, _policy, _name in found for name in entry.needed_from)
        here = content.entries if self.base_ids else ()
        self._here = {place_of(entry): entry for entry in here if entry.backup_id in self.base_ids}
        others = [entry for one in elsewhere for entry in one.content.entries if entry.backup_id in self.base_ids]
        self._elsewhere = frozenset(map(place_of, others))
        self._bases = _bases_by_source([*self._here.values(), *others])
        streams = [_stream(entry, policy, name, self._here, now=now) for entry, policy, name in found]
        streams.sort(key=lambda one: (one.entry.series.folder, one.entry.lineage, one.elsewhere))
        # The lineages of one stream in one repository together: a source can be recovered by any of them.
        self._groups: dict[tuple[Series, str], list[_Stream]] = {}
        for stream in streams:
            self._groups.setdefault((stream.entry.series, stream.elsewhere), []).append(stream)
        self._chosen: dict[Source, dict[str, list[str]]] = {}  # by any stream, with the reasons
        self._begins: dict[Series, set[str]] = {}  # by each stream here
        for lineages in self._groups.values():
            self._choose(lineages)
        self.windows_before = tuple(window for stream in streams for window in stream.told)

    def bases_to_keep(self) -> dict[Place, list[str]]:
        """Of the backups here those that streams begin from, with the reasons."""
        kept: dict[Place, list[str]] = {}
        for (service, source), chosen in self._chosen.items():
            for name, reasons in chosen.items():
                entry = self._here.get((service, source, name))
                if entry is None:
                    continue
                # A copy that failed is no base where another repository has a good one.
                if entry.state != FAILED or self._bases[service, source][name][1] == FAILED:
                    kept[service, source, name] = reasons
        return kept

    def outcome(self, bases: t.AbstractSet[Place], stops: Stops) -> StreamOutcome:
        """What stays of each stream here when these backups do, and when *stops* hold back what they are about."""
        staying: dict[Source, set[str]] = {}
        for service, source, name in bases | self._elsewhere:
            staying.setdefault((service, source), set()).add(name)
        decisions: list[StreamDecision] = []
        windows: list[RecoverySpan] = []
        for (_series, elsewhere), lineages in self._groups.items():
            there = staying.get(lineages[0].source, set())
            made = [] if elsewhere else [self._decide(stream, there, stops) for stream in lineages]
            # A recovery may read several lineages one after the other: all of them must have what it needs.
            torn = {name for one in made for name, hour in first_hours(one.entry).items() if hour < one.keep_from}
            for stream in lineages:
                own = stream.entry.own_bases
                windows += [
                    told
                    for window, told in zip(stream.windows, stream.told)
                    if window.base not in torn and (window.base in there or window.base in own)
                ]
            decisions += made
        return StreamOutcome(decisions=tuple(decisions), windows_after=tuple(windows), bases=bases)

    def refusals(self, outcome: StreamOutcome) -> t.Iterator[Refusal]:
        """One for each series of which something would go that a stream's objective needs."""
        if len(outcome.windows_after) == len(self.windows_before):
            return
        cut_series = {one.entry.series for one in outcome.decisions if one.keep_from}
        going = {place: entry.series for place, entry in self._here.items() if place not in outcome.bases}
        left = {id(window) for window in outcome.windows_after}
        for (series, elsewhere), lineages in self._groups.items():
            objective = lineages[0].objective
            since = lineages[0].span.since if objective is None else self._now - objective
            windows = [window for stream in lineages for window in stream.told]
            before = seconds_covered(windows, since=since)
            after = seconds_covered((window for window in windows if id(window) in left), since=since)
            if after >= before - _SECOND:
                continue
            lost = {(*lineages[0].source, window.base) for window in windows if id(window) not in left}
            guilty = {going[place] for place in lost if place in going}
            if series in cut_series and not elsewhere:
                guilty.add(series)
            for one in sorted(guilty, key=lambda found: found.folder):
                yield window_refusal(one, stream=series, before=before, after=after, objective=objective)

    def _choose(self, lineages: t.Sequence[_Stream]) -> None:
        source = lineages[0].source
        bases = self._bases.get(source, {})
        newest = max(newest_moment(stream.entry) for stream in lineages)
        for stream in lineages:
            where = f" in {stream.elsewhere}" if stream.elsewhere else ""
            for name, begins in chosen_bases(stream.entry, stream.span, bases, newest=newest).items():
                words = f"base of {stream.entry.series.kind}{where} {moment_text(begins)} and later"
                reasons = self._chosen.setdefault(source, {}).setdefault(name, [])
                if words not in reasons:
                    reasons.append(words)
                if not stream.elsewhere:
                    self._begins.setdefault(stream.entry.series, set()).add(name)

    def _decide(self, stream: _Stream, there: t.AbstractSet[str], stops: Stops) -> StreamDecision:
        bases = self._bases.get(stream.source, {})
        inside = bases_inside(stream.entry, stream.span, bases, staying=there)
        decision = cut(stream.entry, stream.span, needed=inside | self._begins.get(stream.entry.series, set()))
        held = [HELD_BACK + word for key in (None, stream.entry.series) for word in stops.get(key, ())]
        if held and decision.keep_from:
            return uncut(stream.entry, (*decision.reasons, *held), held_back=True)
        return decision


def _stream(
    entry: StreamEntry,
    policy: SeriesPolicy | None,
    elsewhere: str,
    held: t.Container[Place],
    *,
    now: datetime.datetime,
) -> _Stream:
    series = entry.series
    is_ours = not elsewhere or any((series.service, series.source, name) in held for name in entry.needed_from)
    windows = sorted(entry.windows, key=lambda one: (one.begins, one.ends, one.base)) if is_ours else []
    return _Stream(
        entry=entry,
        span=span_of(policy, now=now),
        objective=policy.objective if policy else None,
        elsewhere=elsewhere,
        windows=windows,
        told=[RecoverySpan(one.lineage, one.base, one.begins, one.ends, series) for one in windows],
    )


def _bases_by_source(entries: t.Iterable[Entry]) -> dict[Source, dict[str, Base]]:
    groups: dict[Source, list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.series.service, entry.series.source), []).append(entry)
    return {source: bases_of(group) for source, group in groups.items()}
