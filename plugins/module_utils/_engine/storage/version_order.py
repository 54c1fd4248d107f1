# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order versions of objects are removed, so that nothing that was deleted is ever seen again."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..core.errors import StorageError
from .base import DeleteReport, ObjectVersion

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@dataclass(frozen=True)
class Stayed:
    """Why something was not deleted: *reason*; or, without one, its lock until *until* (None: not known, or a hold)."""

    reason: str = ""
    until: datetime.datetime | None = None


@dataclass
class Outcome:
    """What stayed, and why, by key; and one error for each kind of refusal."""

    stayed: dict[str, Stayed] = field(default_factory=dict)
    causes: dict[str, StorageError] = field(default_factory=dict)  # by code

    def note(self, key: str, stayed: Stayed) -> None:
        """Add what became of one version. Of several versions of a key the one that stays longest counts."""
        known = self.stayed.get(key)
        if known is None or _length(stayed) > _length(known):
            self.stayed[key] = stayed

    def report(self, keys: t.Iterable[str]) -> DeleteReport:
        """The answer for all of *keys*."""
        stayed = self.stayed
        return DeleteReport(
            deleted=tuple(key for key in dict.fromkeys(keys) if key not in stayed),
            refused={key: why.reason for key, why in stayed.items() if why.reason},
            deferred={key: why.until for key, why in stayed.items() if not why.reason},
            causes=tuple(self.causes.values()),
        )


def _length(stayed: Stayed) -> tuple[bool, bool, datetime.datetime]:
    """For comparing how long something stays: refused for ever, held for nobody knows how long, until a date."""
    return bool(stayed.reason), stayed.until is None, stayed.until or _EPOCH


def delete_in_order(
    versions: t.Iterable[ObjectVersion], *, delete: t.Callable[[t.Sequence[ObjectVersion], Outcome], None]
) -> Outcome:
    """Remove *versions* by *delete*, which notes what stayed: what nobody sees first, then the latest of each key.

    The latest of a key, object or marker, is not touched when one below it stayed: that would be seen again.
    """
    hidden: list[ObjectVersion] = []
    latest: list[ObjectVersion] = []
    for version in versions:
        (latest if version.is_latest else hidden).append(version)
    outcome = Outcome()
    if hidden:
        delete(hidden, outcome)
    free = [version for version in latest if version.key not in outcome.stayed]
    if free:
        delete(free, outcome)
    return outcome
