# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holes in a WAL archive, found by the names alone. Pure."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from .timeline_history import TimelineHistory
from .wal_names import SEGMENT, parse_wal_name, segment_name


@dataclass(frozen=True)
class Hole:
    """The segments with the numbers *first* to *last*, both included, of one timeline: neither stored nor waiting."""

    timeline: int
    first: int
    last: int
    segment_size: int

    @property
    def names(self) -> tuple[str, str]:
        """The names of the first and the last one."""
        return self.name(self.first), self.name(self.last)

    @property
    def text(self) -> str:
        """For people."""
        first, last = self.names
        return first if first == last else f"{first} to {last} ({self.last - self.first + 1} segments)"

    def name(self, number: int) -> str:
        """The name of the segment with that number on this timeline."""
        return segment_name(timeline=self.timeline, number=number, segment_size=self.segment_size)

    def without(self, numbers: t.Iterable[int]) -> tuple[Hole, ...]:
        """What is left of it when those are there."""
        found = []
        start = self.first
        for number in sorted(numbers):
            if start < number:
                found.append(Hole(self.timeline, start, number - 1, self.segment_size))
            start = number + 1
        if start <= self.last:
            found.append(Hole(self.timeline, start, self.last, self.segment_size))
        return tuple(found)


def find_holes(
    known: t.Iterable[str],
    *,
    segment_size: int,
    histories: t.Iterable[TimelineHistory] = (),
    archived: t.Iterable[str] = (),
) -> tuple[Hole, ...]:
    """The holes between the first and the last segment that is *known* (stored or waiting), timeline by timeline.

    With *histories* also those at a switch: the parent's end that a child builds on, and the child's beginning.
    *archived* are segments that the server says it has handed over: those behind all known ones are missing. What was
    before the first known segment is no hole: the archive began there, or retention cut it off.
    """
    numbers = _numbers(known, segment_size=segment_size)
    if not numbers:
        return ()
    found: list[Hole] = []
    for timeline, there in numbers.items():
        for before, after in zip(there, there[1:]):
            if before + 1 < after:
                found.append(Hole(timeline, before + 1, after - 1, segment_size))
    for history in histories:
        found += _at_the_switch(history, numbers, segment_size=segment_size)
    newest = max((timeline, there[-1]) for timeline, there in numbers.items())
    for timeline, behind in _numbers(archived, segment_size=segment_size).items():
        missing = [one for one in behind if (timeline, one) > newest]
        found += [Hole(timeline, first, last, segment_size) for first, last in _runs(missing)]
    return tuple(sorted(found, key=lambda hole: (hole.timeline, hole.first)))


def _at_the_switch(
    history: TimelineHistory, numbers: t.Mapping[int, t.Sequence[int]], *, segment_size: int
) -> t.Iterator[Hole]:
    if not history.ancestors or history.timeline not in numbers:
        return
    parent = history.ancestors[-1]
    # The child's first file repeats the beginning of the segment in which the parent was left.
    switch = parent.switch // segment_size
    if switch < numbers[history.timeline][0]:
        yield Hole(history.timeline, switch, numbers[history.timeline][0] - 1, segment_size)
    there = numbers.get(parent.timeline)
    if there and there[-1] + 1 < switch:
        yield Hole(parent.timeline, there[-1] + 1, switch - 1, segment_size)


def _numbers(names: t.Iterable[str], *, segment_size: int) -> dict[int, list[int]]:
    """The segments among the names: timeline to numbers, rising."""
    found: dict[int, set[int]] = {}
    for text in names:
        name = parse_wal_name(text)
        if name is not None and name.what == SEGMENT:
            with contextlib.suppress(ValueError):  # of another segment size: refused where it is described
                found.setdefault(name.timeline, set()).add(name.number(segment_size))
    return {timeline: sorted(numbers) for timeline, numbers in found.items()}


def _runs(numbers: t.Sequence[int]) -> list[tuple[int, int]]:
    """Rising numbers as spans without a hole."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
