# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided of backups that were made for a set: no job's rules count them, they stay and go with it. Pure.

One whose set is here has no reasons of its own: :mod:`chains` keeps it as long as the set stays. One whose set is not
here (a run that failed, a set that went first) is kept as long as the set's own policy would keep such a backup.
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.layout import BackupFolder, Series
from ..catalog.set_members import set_in
from .rules import Reasons, former_reasons
from .values import Entry, RepositoryContent, SeriesPolicy

# No run lasts longer (:mod:`catalog.leftovers`): the set of a younger one may be under way.
_MAY_BE_MADE = datetime.timedelta(days=7)


class Sets:
    """The sets of one repository, and what was made for them."""

    def __init__(
        self, content: RepositoryContent, policies: t.Mapping[Series, SeriesPolicy], *, now: datetime.datetime
    ) -> None:
        self._policies = policies
        self._now = now
        self._unreadable = frozenset(content.unreadable)
        self._set_of: dict[BackupFolder, str] = {}  # by the folder of a member the id of its set
        for entry in content.entries:
            for member in entry.members:
                self._set_of[member] = entry.backup_id

    def is_for_set(self, entry: Entry) -> bool:
        """Whether it was made for a set, be that here or not."""
        return set_in(entry.labels) is not None

    def reasons(self, entries: t.Sequence[Entry], places: t.Sequence[int]) -> tuple[Reasons, dict[int, str]]:
        """Of *entries* (a series, newest first) those at *places*: why some stay, and of the others what they are not.

        Raises ScheduleInvalid for an unknown time zone.
        """
        kept: Reasons = {}
        beyond: dict[int, str] = {}
        loose: dict[Series, list[int]] = {}
        for place in places:
            entry = entries[place]
            made_for = set_in(entry.labels)
            if not entry.is_asked:
                kept[place] = ("its source was not asked about",)
            elif entry.folder in self._set_of:
                beyond[place] = f"its set {self._set_of[entry.folder]} goes"
            elif made_for is None or made_for in self._unreadable:
                kept[place] = ("its set can't be read",)
            elif made_for.series not in self._policies:
                kept[place] = ("no job makes its sets here",)
            elif self._now - entry.started <= _MAY_BE_MADE:
                kept[place] = ("its set may still be made",)
            else:
                loose.setdefault(made_for.series, []).append(place)
        for series, group in loose.items():
            found, words = former_reasons(entries, group, self._policies[series], now=self._now)
            kept.update(found)
            beyond.update(dict.fromkeys(group, f"its set is not here, {words}"))
        return kept, beyond
