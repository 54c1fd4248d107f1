# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What builds on what: a backup stays as long as an increment or a set that stays needs it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.standing import FAILED
from ..core.ids import backup_id_time
from .values import Elsewhere, Entry, RepositoryContent, place_of_folder

#: Service, source and id: a base and its increments are backups of one source, of whatever kind.
Place = tuple[str, str, str]


def place_of(entry: Entry) -> Place:
    """Where an increment's *parent* leads to."""
    return entry.series.service, entry.series.source, entry.backup_id


def parent_place_of(entry: Entry) -> Place | None:
    """Where its own leads to; None for what stands alone."""
    return None if entry.parent is None else (entry.series.service, entry.series.source, entry.parent)


@dataclass(frozen=True)
class Chains:
    """The increments and sets of one repository, by number: *bases* leads to what each needs, where that is here."""

    bases: t.Mapping[int, t.Sequence[int]]

    def close(self, staying: set[int]) -> dict[int, list[int]]:
        """Add to *staying* all that they need. The answer: by base, its own increments and its sets that stay."""
        children: dict[int, list[int]] = {}
        waiting = [number for number in self.bases if number in staying]
        while waiting:
            number = waiting.pop()
            for base in self.bases[number]:
                children.setdefault(base, []).append(number)
                if base not in staying:
                    staying.add(base)
                    if base in self.bases:
                        waiting.append(base)
        return children


def chains_of(entries: t.Sequence[Entry]) -> Chains:
    """The chains among *entries*, which are numbered by their order."""
    numbers: dict[Place, int] = {}
    if any(entry.parent is not None or entry.members for entry in entries):
        numbers = {place_of(entry): number for number, entry in enumerate(entries)}
    bases: dict[int, t.Sequence[int]] = {}
    for number, entry in enumerate(entries):
        found = [numbers[place] for place in _needs(entry) if place in numbers]
        if found:
            bases[number] = found
    return Chains(bases=bases)


def _needs(entry: Entry) -> t.Iterator[Place]:
    place = parent_place_of(entry)
    if place is not None:
        yield place
    yield from map(place_of_folder, entry.members)


def needed_elsewhere(elsewhere: t.Iterable[Elsewhere]) -> dict[Place, list[str]]:
    """What an increment or a set in another repository needs and doesn't find whole there, with the reason to stay.

    Where the other repository has the base, its own plan keeps it.
    """
    needed: dict[Place, list[str]] = {}
    for other in sorted(elsewhere, key=lambda one: one.content.name):
        children = [entry for entry in other.content.entries if entry.parent is not None or entry.members]
        there = {place_of(entry) for entry in other.content.entries if entry.state != FAILED} if children else set()
        newest: dict[tuple[Place, str], str] = {}
        for child in children:
            role = "member of set" if child.members else "base of increment"
            for place in _needs(child):
                if place not in there:
                    newest[place, role] = max(newest.get((place, role), ""), child.backup_id)
        for (place, role), child_id in newest.items():
            needed.setdefault(place, []).append(f"{role} {child_id} in {other.content.name}")
    return needed


def bases_of_unreadable(content: RepositoryContent) -> t.Callable[[Entry], list[str]]:
    """Why an entry may be the base of one that can't be read, for that may be an increment. Empty: it can't be."""
    newest: dict[tuple[str, str], str] = {}
    for folder in content.unreadable:
        source = folder.series.service, folder.series.source
        newest[source] = max(newest.get(source, ""), folder.backup_id)

    def reasons(entry: Entry) -> list[str]:
        unreadable = newest.get((entry.series.service, entry.series.source))
        if unreadable is None or entry.started > backup_id_time(unreadable):
            return []
        return [f"{unreadable} can't be read and may build on it"]

    return reasons
