# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G's storage where that is a bucket, seen without WAL-G: its locks, and old versions of what WAL-G removed.

WAL-G tells of neither (measured with 3.0.9). Where it knows that the bucket keeps versions, its ``delete`` removes all
of them. Its ``st rm``, and all that it does with ``S3_ENABLE_VERSIONING=disabled`` or without permission to ask, only
hides objects behind delete markers.
"""

from __future__ import annotations

import typing as t
import urllib.parse

from ..core.clock import Clock
from ..core.errors import LifeboatError, WalgRemovalDenied
from ..core.runner import Runner
from ..recovery.vendor_storage import VendorRest
from ..storage.base import LockState, ObjectVersion, Storage
from ..storage.registry import open_storage
from .walg_options import S3_PREFIX, WalgSettings

_KEYS: t.Mapping[str, tuple[str, ...]] = {
    "WALG_ACCESS_KEY_ID": ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
    "WALG_SECRET_ACCESS_KEY": ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
    "WALG_SESSION_TOKEN": ("AWS_SESSION_TOKEN",),
}
# Of very many objects the locks of the last ones are looked at: what was stored last is mostly locked longest.
_LOOKED_AT = 20


class WalgBucket:
    """The bucket below WAL-G's prefix. Names are as WAL-G has them: ``wal_005/000000010000000000000001.lz4``."""

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def lock_of(self, names: t.Collection[str]) -> LockState | None:
        """The lock that holds all of them, or of many the last ones; None when there is none, or we may not know.

        *hold* is true of one under a hold: then no date is known.
        """
        locks = [self._lock_of(name) for name in sorted(names)[-_LOOKED_AT:]]
        found = [lock for lock in locks if lock is not None]
        if not found or len(found) < len(locks):
            return None
        until = max((lock.until for lock in found if lock.until is not None), default=None)
        return LockState(until=until, mode=found[-1].mode, hold=any(lock.hold for lock in found))

    def names(self, prefix: str) -> list[str]:
        """The objects that readers see below it; none when we may not look."""
        try:
            return [found.key for found in self._storage.list(prefix)]
        except LifeboatError:
            return []

    def clear(self, prefix: str, *, of: t.Callable[[str], bool], everything: bool) -> VendorRest:
        """What the bucket still keeps of objects that are deleted, with *everything* after removing it; *of* these.

        Raises WalgRemovalDenied when some may not be removed, and what the storage raises.
        """
        hidden = [one for one in self._hidden(prefix) if of(one.key)]
        if everything and hidden:
            report = self._storage.delete_versions(hidden)
            if report.refused:
                key, reason = next(iter(report.refused.items()))
                raise WalgRemovalDenied(
                    f"Old versions of what WAL-G removed could not be removed from {self._storage.properties.url}, "
                    f"such as {key}: {reason}",
                    hint=next((cause.hint for cause in report.causes), ""),
                    details={"keys": sorted(report.refused)[:100]},
                )
            dates = list(report.deferred.values())
            known = [date for date in dates if date is not None]
            until = max(known, default=None) if len(known) == len(dates) else None
            return VendorRest(locked=len(dates), until=until)
        data = [one for one in hidden if not one.is_marker]
        return VendorRest(hidden=len(data), hidden_bytes=sum(one.size for one in data))

    def _hidden(self, prefix: str) -> t.Iterator[ObjectVersion]:
        """All versions and markers of objects that readers don't see any more."""
        current = ""
        is_hidden = False
        for version in self._storage.versions(prefix):
            # Those of one key come together, and what readers see of it comes first.
            if version.key != current:
                current, is_hidden = version.key, version.is_latest and version.is_marker
            if is_hidden:
                yield version

    def _lock_of(self, name: str) -> LockState | None:
        try:
            lock = self._storage.lock_state(name)
        except LifeboatError:
            return None
        return lock if lock is not None and lock.binds(self._clock.now()) else None


def open_bucket(settings: WalgSettings, *, clock: Clock, runner: Runner) -> WalgBucket | None:
    """By WAL-G's own settings, with its keys; None where its storage is no bucket, or they say it in another way."""
    if settings.kind != S3_PREFIX:
        return None
    place = urllib.parse.urlsplit(settings.prefix)
    environment = {
        name: next((settings.effective[one] for one in names if settings.effective.get(one)), "")
        for name, names in _KEYS.items()
    }
    description: dict[str, t.Any] = {"type": "s3", "bucket": place.netloc, "prefix": place.path.strip("/")}
    if environment["WALG_ACCESS_KEY_ID"]:
        description["credentials"] = {"env": "WALG"}
    more = {"endpoint_url": "AWS_ENDPOINT", "region": "AWS_REGION", "ca_bundle": "WALG_S3_CA_CERT_FILE"}
    description.update({key: settings.effective[name] for key, name in more.items() if settings.effective.get(name)})
    try:
        storage = open_storage(description, name="walg", clock=clock, runner=runner, environment=environment)
    except LifeboatError:
        return None
    return WalgBucket(storage, clock=clock)
