# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at what would be done to a repository without doing it."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import StorageError, StorageExists, StorageNotFound
from .base import (
    DeleteReport,
    LockState,
    ObjectInfo,
    ObjectVersion,
    ObjectWriter,
    Properties,
    Storage,
    Unfinished,
    check_key,
)


@dataclass(frozen=True)
class Would:
    """One change that was not made. *size* is in bytes.

    *action* is ``store``, ``delete``, ``abort``, ``delete version``, ``lock``, ``hold`` or ``release``.
    """

    action: str
    key: str
    size: int | None = None


class DryRunStorage:
    """*storage*, whose reads pass while its changes are noted in ``would``, in order, and not made.

    A key that is there already is refused as it would be. What would be stored can't be read afterwards, and what
    would be deleted still can.
    """

    def __init__(self, *, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self.would: list[Would] = []

    def __repr__(self) -> str:
        return f"DryRunStorage({self._storage!r})"

    @property
    def properties(self) -> Properties:
        return self._storage.properties

    def check(self) -> None:
        """Proves only that the repository can be listed: proving more would write."""
        next(iter(self._storage.list_folders()), None)

    def free_bytes(self) -> int | None:
        return self._storage.free_bytes()

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        check_key(key)
        return _DiscardingWriter(storage=self, key=key, if_absent=if_absent)

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        return self.would_store(check_key(key), size=len(data), if_absent=if_absent)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        return self._storage.read(key, offset=offset, length=length)

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        return self._storage.get(key, limit=limit)

    def stat(self, key: str) -> ObjectInfo:
        return self._storage.stat(key)

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        return self._storage.list(prefix)

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        return self._storage.list_folders(prefix)

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        for key in keys:
            check_key(key)
        unique = tuple(dict.fromkeys(keys))
        self.would += [Would(action="delete", key=key) for key in unique]
        return DeleteReport(deleted=unique)

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        return self._storage.unfinished(prefix)

    def abort_unfinished(self, upload: Unfinished) -> None:
        self.would.append(Would(action="abort", key=check_key(upload.key)))

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        return self._storage.versions(prefix)

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        self.would += [
            Would(action="delete version", key=check_key(version.key), size=version.size) for version in versions
        ]
        return DeleteReport(deleted=tuple(dict.fromkeys(version.key for version in versions)))

    def lock_state(self, key: str) -> LockState | None:
        return self._storage.lock_state(key)

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        self.would += [Would(action="lock", key=check_key(key)) for key in keys]
        return {}

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        self.would += [Would(action="hold" if on else "release", key=check_key(key)) for key in keys]
        return {}

    def clock_skew(self) -> float:
        return self._storage.clock_skew()

    def would_store(self, key: str, *, size: int, if_absent: bool) -> ObjectInfo:
        """Note an object of *size* bytes; the facts that it would have."""
        if if_absent and self._is_there(key):
            raise StorageExists(f"There is an object {key} already, and it may not be replaced.", details={"key": key})
        self.would.append(Would(action="store", key=key, size=size))
        return ObjectInfo(key=key, size=size, modified=self._clock.now())

    def _is_there(self, key: str) -> bool:
        try:
            self._storage.stat(key)
        except StorageNotFound:
            return False
        return True


class _DiscardingWriter:
    def __init__(self, *, storage: DryRunStorage, key: str, if_absent: bool) -> None:
        self._storage = storage
        self._key = key
        self._if_absent = if_absent
        self._size = 0
        self._open = True

    def write(self, data: bytes | memoryview) -> None:
        self._require_open()
        self._size += memoryview(data).nbytes

    def commit(self) -> ObjectInfo:
        self._require_open()
        self._open = False
        return self._storage.would_store(self._key, size=self._size, if_absent=self._if_absent)

    def abort(self) -> None:
        self._open = False

    def _require_open(self) -> None:
        if not self._open:
            raise StorageError(f"The writing of {self._key} has ended already; begin it anew.")
