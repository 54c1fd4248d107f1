# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object locks of what is copied: as long as the policy keeps it, and as long as a pin that comes along wants it."""

from __future__ import annotations

import datetime
import functools
import threading
import typing as t

from ..catalog.catalog import Backup, Reading
from ..catalog.layout import Series
from ..core.host import Host
from ..retention.rules import merged
from ..storage.registry import RETAIN_BY_POLICY, open_storage
from .backup_values import RepositoryRequest
from .copy_object import Place
from .copy_values import TargetPolicy
from .pin_locks import chain_folders, change_locks


class LockedTargets:
    """The repositories of a request, opened for what is to be written there; each only once. Safe for
    threads.
    """

    def __init__(
        self, repositories: t.Sequence[RepositoryRequest], policies: t.Mapping[str, TargetPolicy], *, host: Host
    ) -> None:
        self._descriptions = {one.name: one.description for one in repositories}
        self._policies = policies
        self._host = host
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, datetime.timedelta | None], Place] = {}

    def open(self, place: Place, series: Series | None) -> Place:
        """*place* as what belongs to *series* is written there: locked for as long as its jobs keep it."""
        lock = self._descriptions.get(place.name, {}).get("object_lock")
        if not lock:
            return place
        by_policy = isinstance(lock, dict) and lock.get("retain") == RETAIN_BY_POLICY
        within = self._within(place.name, series) if by_policy else None
        key = (place.name, within)
        with self._lock:
            if key not in self._opened:
                opened = functools.partial(
                    open_storage,
                    self._descriptions[place.name],
                    name=place.name,
                    clock=self._host.clock,
                    runner=self._host.runner,
                )
                self._opened[key] = Place(
                    name=place.name, storage=opened(retain_for=within), removable=opened(lock_writes=False)
                )
            return self._opened[key]

    def protect(self, place: Place, backup: Backup, reading: Reading) -> None:
        """Lock or hold what pins of the backup want to stay. That it can't be done is a warning: the pin is there."""
        if not self._descriptions.get(place.name, {}).get("object_lock") and not place.storage.properties.locks:
            return
        pins = [pin for pin in backup.pins if pin.is_in_force(self._host.clock.now())]
        until = max((pin.until for pin in pins if pin.until is not None), default=None)
        hold = any(pin.hold for pin in pins)
        if not hold and until is None:
            return
        _done, reasons = change_locks(
            {place.name: place.storage}, chain_folders(backup, reading), until=until, hold=True if hold else None
        )
        for reason in reasons.values():
            self._host.journal.warning(
                f"{place.name}: the pinned {backup.manifest.backup_id} could not be locked there: {reason}"
            )

    def _within(self, repository: str, series: Series | None) -> datetime.timedelta | None:
        policy = self._policies.get(repository)
        keeps = [job.keep for job in (policy.keeps if policy else ()) if job.series == series]
        return merged(keeps).within if keeps else None
