# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups of one repository on the way to their decisions: why each stays, and what builds on what. Pure."""

from __future__ import annotations

import datetime
import operator
import typing as t
from dataclasses import dataclass

from ..catalog.layout import Series
from ..catalog.standing import FAILED, VERIFIED
from .chains import Chains, Place, bases_of_unreadable, chains_of, needed_elsewhere, place_of
from .fingerprint import came_later
from .guards import HELD_BACK, Stops
from .rules import JOB_LABEL, Reasons, series_reasons
from .set_rules import Sets
from .stream_spans import moment_text
from .values import KEPT, REMOVED, Decision, Elsewhere, Entry, Pin, RepositoryContent, SeriesPolicy


@dataclass(frozen=True)
class Staying:
    """The backups that stay, by their numbers, and for each base its own increments that do."""

    numbers: t.AbstractSet[int]
    children: t.Mapping[int, t.Sequence[int]]


class PlannedBackups:
    """All backups in order (by series, oldest first), numbered, each with its reasons to stay."""

    def __init__(
        self,
        content: RepositoryContent,
        policies: t.Mapping[Series, SeriesPolicy],
        *,
        now: datetime.datetime,
        elsewhere: t.Sequence[Elsewhere],
        stream_bases: t.Mapping[Place, t.Sequence[str]],
    ) -> None:
        """*stream_bases* are the backups that a stream begins from, with the reasons. Raises as the planner does."""
        self._now = now
        self.entries: list[Entry] = []
        self._numbers: dict[Series, range] = {}
        self._reasons: Reasons = {}
        self._beyond: list[str] = []
        self._later: set[int] = set()
        self._sets = Sets(content, policies, now=now)
        self._jobs = {policy.series: frozenset(policy.jobs) for policy in policies.values()}
        for series, group in _in_order(content.entries):
            first = len(self.entries)
            self.entries += group
            self._numbers[series] = range(first, len(self.entries))
            self._add_rules(series, policies.get(series))
        self._add_words(content, elsewhere, stream_bases)
        self._chains: Chains = chains_of(self.entries)
        #: What stays when no guard stops anything.
        self.wanted = self._close(set(self._reasons))

    def present(self, series: Series) -> list[Entry]:
        """The backups of a series that were there at the plan's time, oldest first."""
        return [self.entries[number] for number in self._numbers.get(series, ()) if number not in self._later]

    def newest(self, series: Series) -> list[Entry]:
        """The newest backup of a series, and where several jobs make them, the newest of each job."""
        jobs = self._jobs.get(series, frozenset())
        found: dict[str, Entry] = {}
        for entry in self.present(series):
            if self._sets.is_for_set(entry):
                continue  # its set is judged
            found[""] = entry
            label = entry.labels.get(JOB_LABEL, "") if jobs else ""
            if label in jobs:
                found[label] = entry
        return [found[name] for name in sorted(found)]

    @property
    def all_present(self) -> t.Iterator[Entry]:
        """The same of all series."""
        return (entry for number, entry in enumerate(self.entries) if number not in self._later)

    def going(self, series: Series, staying: Staying) -> int:
        """How many backups of a series don't stay."""
        return sum(number not in staying.numbers for number in self._numbers.get(series, ()))

    def places(self, staying: Staying, ids: t.AbstractSet[str]) -> frozenset[Place]:
        """The places of those of *ids* that stay."""
        if not ids:
            return frozenset()
        entries = (self.entries[number] for number in staying.numbers)
        return frozenset(place_of(entry) for entry in entries if entry.backup_id in ids)

    def with_stops(self, stops: Stops) -> Staying:
        """What stays when some series, or everything, is held back, with all that it builds on."""
        if not stops:
            return self.wanted
        if None in stops:
            return self._close(set(range(len(self.entries))))
        held = (number for series in stops if series is not None for number in self._numbers.get(series, ()))
        return self._close({*self.wanted.numbers, *held})

    def decisions(self, staying: Staying, stops: Stops) -> tuple[Decision, ...]:
        """Every backup's fate, in order."""
        made: dict[int, Decision] = {}
        for series, numbers in self._numbers.items():
            held = [HELD_BACK + word for key in (None, series) for word in stops.get(key, ())]
            jobs = self._jobs.get(series, frozenset())
            verified = dict.fromkeys((*jobs, ""), 0)  # newer ones that stay, by job, and of all
            failed: list[tuple[int, str]] = []
            words: tuple[str, ...] = ()
            for number in reversed(numbers):
                entry = self.entries[number]
                label = entry.labels.get(JOB_LABEL, "") if jobs else ""
                job = label if label in jobs else ""
                if number in staying.numbers:
                    made[number] = self._kept(number, staying, held)
                    if entry.state == VERIFIED and number not in self._later:
                        verified[""] += 1
                        if job:
                            verified[job] += 1
                elif entry.state == FAILED:
                    failed.append((number, job))
                else:
                    found = (self._beyond[number], f"{verified[job]} newer verified")
                    # Thousands go for the same reasons: they share them.
                    words = words if words == found else found
                    made[number] = Decision(entry, REMOVED, words)
            for number, job in failed:
                why = ("failed its verification", self._beyond[number], f"{verified[job]} verified")
                made[number] = Decision(self.entries[number], REMOVED, why)
        return tuple(made[number] for number in range(len(self.entries)))

    def _kept(self, number: int, staying: Staying, held: t.Sequence[str]) -> Decision:
        reasons = self._reasons.get(number, ())
        needing = [self.entries[child] for child in staying.children.get(number, ())]
        reasons = (*reasons, *(f"member of set {one.backup_id}" for one in needing if one.members))
        children = [one.backup_id for one in needing if not one.members]
        if children:
            count = f"{len(children)} increments that stay, the newest" if len(children) > 1 else "increment"
            reasons = (*reasons, f"base of {count} {max(children)}")
        is_held_back = number not in self.wanted.numbers
        if is_held_back:
            reasons = (self._beyond[number], *reasons, *held)
        return Decision(self.entries[number], KEPT, reasons, is_held_back)

    def _close(self, numbers: set[int]) -> Staying:
        children = self._chains.close(numbers)
        return Staying(numbers=numbers, children=children)

    def _add_rules(self, series: Series, policy: SeriesPolicy | None) -> None:
        """The rules of one series. What came later stays and is not counted."""
        numbers, present = self._numbers[series], []
        for number in reversed(numbers):
            if came_later(self.entries[number], now=self._now):
                self._later.add(number)
                is_ahead = self.entries[number].started > self._now
                self._reasons[number] = ("starts in the future" if is_ahead else "came after this plan's time",)
            else:
                present.append(number)
        self._beyond += [""] * len(numbers)
        for_sets = {number for number in present if self._sets.is_for_set(self.entries[number])}
        if for_sets:
            self._add_set_rules(present, for_sets)
            present = [number for number in present if number not in for_sets]
        if policy is None:
            self._reasons.update(dict.fromkeys(present, ("no job keeps this series here",)))
            return
        found, beyond = series_reasons([self.entries[number] for number in present], policy, now=self._now)
        for place, reasons in found.items():
            self._reasons[present[place]] = reasons
        for number, words in zip(present, beyond):
            self._beyond[number] = words

    def _add_set_rules(self, present: t.Sequence[int], for_sets: t.AbstractSet[int]) -> None:
        """What was made for sets is kept by them, or as they would be."""
        places = [place for place, number in enumerate(present) if number in for_sets]
        found, beyond = self._sets.reasons([self.entries[number] for number in present], places)
        for place, reasons in found.items():
            self._reasons[present[place]] = reasons
        for place, words in beyond.items():
            self._beyond[present[place]] = words

    def _add_words(
        self,
        content: RepositoryContent,
        elsewhere: t.Sequence[Elsewhere],
        stream_bases: t.Mapping[Place, t.Sequence[str]],
    ) -> None:
        """What people and other things say, whatever the rules do."""
        needed = needed_elsewhere(elsewhere)
        unreadable = bases_of_unreadable(content) if content.unreadable else None
        bases = {backup_id for _service, _source, backup_id in (*needed, *stream_bases)}
        for number, entry in enumerate(self.entries):
            words = [_pin_words(pin) for pin in entry.pins if pin.holds_at(self._now)] if entry.pins else []
            if entry.backup_id in bases:
                place = place_of(entry)
                words += [*stream_bases.get(place, ()), *needed.get(place, ())]
            if unreadable is not None:
                words += unreadable(entry)
            if words:
                self._reasons[number] = (*self._reasons.get(number, ()), *words)


def _in_order(entries: t.Iterable[Entry]) -> t.Iterator[tuple[Series, list[Entry]]]:
    groups: dict[Series, list[Entry]] = {}
    for entry in entries:
        group = groups.get(entry.series)
        if group is None:
            group = groups[entry.series] = []
        group.append(entry)
    for series in sorted(groups, key=lambda one: one.folder):
        # Ids say when a backup started, so that the second sorting finds little to do.
        groups[series].sort(key=operator.attrgetter("backup_id"))
        groups[series].sort(key=operator.attrgetter("started"))
        yield series, groups[series]


def _pin_words(pin: Pin) -> str:
    if pin.hold:
        return f"legal hold: {pin.reason}"
    until = "" if pin.until is None else f" until {moment_text(pin.until)}"
    return f"pinned{until}: {pin.reason}"
