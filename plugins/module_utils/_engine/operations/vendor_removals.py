# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing the data of backups that lies in a vendor's storage: when the last repository lets one go, and not before.

The data is one, however many repositories name it. What stays anywhere keeps its data, and the log that a recovery from
it reads. Why a removal may not be is found out before anything is marked; from then on it is unfinished until the data
is gone, and the next run goes on with it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import ElsewhereUnreadable, LifeboatError
from ..core.journal import Journal
from ..core.runner import Runner
from ..postgresql.walg_options import WalgOptions
from ..postgresql.walg_removal import open_walg_storage
from ..recovery.vendor_storage import VendorBackup, VendorRest, VendorStorage

#: Service, source.
Source = tuple[str, str]
Open = t.Callable[[VendorBackup, t.Sequence[WalgOptions]], VendorStorage]


class VendorPlaces:
    """Opens the storages that backups name, each once. *options* are what the jobs of a source say of their tool."""

    def __init__(self, options: t.Mapping[Source, t.Sequence[WalgOptions]], *, open_storage: Open) -> None:
        self._options = options
        self._open = open_storage
        self._opened: dict[tuple[Source, str, str], VendorStorage] = {}

    def storage_of(self, backup: VendorBackup, *, source: Source) -> VendorStorage:
        """Where its data lies. Raises what finding the tool and its settings raises."""
        key = (source, backup.storage, backup.config)
        if key not in self._opened:
            self._opened[key] = self._open(backup, self._options.get(source, ()))
        return self._opened[key]


def vendor_places(
    options: t.Mapping[Source, t.Sequence[WalgOptions]], *, runner: Runner, clock: Clock, everything: bool
) -> VendorPlaces:
    """With the genuine tools; *everything*: old versions of what they remove go, too."""
    return VendorPlaces(
        options,
        open_storage=lambda backup, found: open_walg_storage(
            backup, options=found, runner=runner, clock=clock, everything=everything
        ),
    )


@dataclass(frozen=True)
class Going:
    """A backup of a vendor's tool that is on its way out of the repository, and its source."""

    backup: VendorBackup
    source: Source


@dataclass
class VendorRemovals:
    """Those of one run. *known* are all such backups that any repository has; *gone* are the ids of those whose data
    was removed, *trimmed* counts the files of the log that went, by storage. *named_elsewhere* says of an id whether
    another repository has the backup, *unread* are other repositories that could not be read: what they name nobody
    knows, so no data goes. :meth:`rests` says what the storages keep all the same.
    """

    places: VendorPlaces
    known: t.Sequence[VendorBackup]
    journal: Journal
    named_elsewhere: t.Callable[[str], bool]
    unread: t.Sequence[str] = ()
    gone: set[str] = field(default_factory=set)
    trimmed: dict[str, int] = field(default_factory=dict)
    _rests: dict[tuple[str, str], VendorRest] = field(default_factory=dict)  # by storage and backup; "" for the log

    def rests(self) -> dict[str, VendorRest]:
        """By storage, where anything stays."""
        found: dict[str, VendorRest] = {}
        for (place, _backup), rest in self._rests.items():
            if rest:
                found[place] = found.get(place, VendorRest()) + rest
        return found

    def objections(self, going: t.Sequence[Going]) -> dict[str, LifeboatError]:
        """Why the data of some of them may not be removed, by the backup's id; what can't be asked counts as a no."""
        if self.unread:
            return self._unsure(going)
        found: dict[str, LifeboatError] = {}
        for group in self._by_storage(going):
            try:
                storage = self.places.storage_of(group[0].backup, source=group[0].source)
                found.update(storage.objections([one.backup for one in group]))
            except LifeboatError as error:
                found.update((one.backup.backup_id, error) for one in group)
        return found

    def remove(self, going: t.Sequence[Going]) -> dict[str, LifeboatError]:
        """Remove the data of each, then the log that nothing needs any more; of which that failed, by id, and why."""
        if self.unread:
            return self._unsure(going)
        failed: dict[str, LifeboatError] = {}
        for group in self._by_storage(going):
            for one in group:
                try:
                    rest = self.places.storage_of(one.backup, source=one.source).remove(one.backup)
                except LifeboatError as error:
                    failed[one.backup.backup_id] = error
                else:
                    self.gone.add(one.backup.backup_id)
                    self._rests[one.backup.storage, one.backup.name] = rest
            removed = [one for one in group if one.backup.backup_id not in failed]
            if removed:
                self._trim(removed, failed)
        return failed

    def _unsure(self, going: t.Sequence[Going]) -> dict[str, LifeboatError]:
        error = ElsewhereUnreadable(
            f"{', '.join(self.unread)} can't be read, and may name the same data: it is removed when nobody does.",
            hint="Try again when it can: lifeboat repo check",
            details={"repositories": list(self.unread)},
        )
        return {one.backup.backup_id: error for one in going}

    def _trim(self, removed: t.Sequence[Going], failed: dict[str, LifeboatError]) -> None:
        first = removed[0]
        # What is half gone reads no log any more.
        going = self.gone | {one.backup.backup_id for one in removed}
        kept = [one for one in self.known if one.storage == first.backup.storage and one.backup_id not in going]
        try:
            number, rest = self.places.storage_of(first.backup, source=first.source).trim(kept)
        except LifeboatError as error:
            failed.update((one.backup.backup_id, error) for one in removed)
            return
        place = first.backup.storage
        self._rests[place, ""] = rest
        self.trimmed[place] = self.trimmed.get(place, 0) + number
        if number:
            self.journal.info(f"{first.backup.tool} removed {number} files of WAL before the oldest backup in {place}")

    @staticmethod
    def _by_storage(going: t.Sequence[Going]) -> list[list[Going]]:
        groups: dict[tuple[Source, str, str], list[Going]] = {}
        for one in going:
            groups.setdefault((one.source, one.backup.storage, one.backup.config), []).append(one)
        return list(groups.values())
