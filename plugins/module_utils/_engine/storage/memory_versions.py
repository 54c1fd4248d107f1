# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Old versions, markers and locks of a repository in memory, as S3 has them in a bucket with versions."""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass, replace

from .base import LockState, ObjectInfo, ObjectVersion
from .version_order import Outcome, Stayed

_UNLOCKED = LockState(until=None, mode="", hold=False)


@dataclass(frozen=True)
class MemoryVersion:
    """One version: its data, None for a marker."""

    version_id: str
    data: bytes | None
    info: ObjectInfo
    lock: LockState = _UNLOCKED


class MemoryVersions:
    """The versions of every key, the newest last. The caller sees to it that one thread is inside at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, list[MemoryVersion]] = {}
        self._ids = itertools.count(1)

    def add(self, info: ObjectInfo, data: bytes | None, *, lock: LockState | None = None) -> None:
        """Put a version, or without *data* a marker, on top of those of its key."""
        version = MemoryVersion(version_id=str(next(self._ids)), data=data, info=info, lock=lock or _UNLOCKED)
        self._kept.setdefault(info.key, []).append(version)

    def latest(self, key: str) -> MemoryVersion | None:
        """The newest version of the key; None when nothing is left of it."""
        kept = self._kept.get(key)
        return kept[-1] if kept else None

    def of_key(self, key: str) -> list[ObjectVersion]:
        """The versions of one key, newest first."""
        kept = self._kept.get(key, ())
        return [
            ObjectVersion(
                key=key,
                version_id=one.version_id,
                size=one.info.size,
                modified=one.info.modified,
                is_latest=number == len(kept),
                is_marker=one.data is None,
            )
            for number, one in sorted(enumerate(kept, start=1), reverse=True)
        ]

    def below(self, prefix: str) -> list[ObjectVersion]:
        """The versions of all keys that begin so, in order of key."""
        keys = sorted(key for key in self._kept if key.startswith(prefix))
        return [version for key in keys for version in self.of_key(key)]

    def remove(self, versions: t.Sequence[ObjectVersion], outcome: Outcome, *, now: datetime.datetime) -> None:
        """Drop what isn't locked, and note what is."""
        for version in versions:
            kept = self._kept.get(version.key, [])
            for one in [one for one in kept if one.version_id == version.version_id]:
                if one.lock.binds(now):
                    outcome.note(version.key, Stayed(until=None if one.lock.hold else one.lock.until))
                else:
                    kept.remove(one)
            if not kept:
                self._kept.pop(version.key, None)

    def change_lock(self, key: str, change: t.Callable[[LockState], LockState]) -> None:
        """Give the newest version of the key another lock."""
        kept = self._kept[key]
        kept[-1] = replace(kept[-1], lock=change(kept[-1].lock))
