# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in memory: for tests and for trying things out. It keeps every promise but that of lasting."""

from __future__ import annotations

import collections
import datetime
import itertools
import threading
import typing as t
import weakref
from dataclasses import dataclass, replace

from ..core.clock import Clock, SystemClock
from ..core.errors import StorageError, StorageExists, StorageNotFound
from .base import (
    DeleteReport,
    LockState,
    ObjectInfo,
    ObjectVersion,
    ObjectWriter,
    Properties,
    Unfinished,
    check_folder,
    check_key,
    check_prefix,
)
from .memory_versions import MemoryVersions
from .version_order import Outcome, delete_in_order

_PIECE = 1024 * 1024
_NO_LOCKS = "this repository in memory was made without locks"
_NO_VERSIONS = "this repository in memory keeps no old versions"


@dataclass(frozen=True)
class _Stored:
    data: bytes
    info: ObjectInfo


class MemoryStorage:
    """Objects in a dictionary. Safe for threads; a reader sees the object as it was when the read began.

    *versioned*: replaced and deleted objects stay as versions, as in a bucket of S3; with *delete_versions* delete()
    removes them, too, as with ``versions: delete``. *locks* (which takes versions along): objects can be locked, and
    are from the start for *retain_for*.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        name: str = "memory",
        versioned: bool = False,
        delete_versions: bool = False,
        locks: bool = False,
        retain_for: datetime.timedelta | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._name = name
        self._lock = threading.Lock()
        self._objects: dict[str, _Stored] = {}  # what readers see
        self._versions = MemoryVersions() if versioned or locks else None
        self._deletes_versions = delete_versions
        self._locks = locks
        self._retain_for = retain_for
        self._unfinished: dict[str, Unfinished] = {}
        self._tokens = itertools.count(1)
        # Tokens of writers that nobody holds any more. They are collected at any moment, in a thread that may be inside
        # of the storage just then: it only notes them here, which takes no lock.
        self._forgotten: collections.deque[str] = collections.deque()

    def __repr__(self) -> str:
        return f"MemoryStorage({self._name!r})"

    @property
    def properties(self) -> Properties:
        return Properties(
            kind="memory",
            url=f"memory:{self._name}",
            conditional_put=True,
            versioned=self._versions is not None,
            locks=self._locks,
        )

    def check(self) -> None:
        return

    def free_bytes(self) -> int | None:
        return None

    def writer(self, key: str, *, expected_bytes: int | None = None, if_absent: bool = True) -> ObjectWriter:
        check_key(key)
        with self._lock:
            self._drop_forgotten()
            token = str(next(self._tokens))
            self._unfinished[token] = Unfinished(key=key, token=token, started=self._clock.now())
        return _MemoryWriter(storage=self, key=key, token=token, if_absent=if_absent)

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
        writer = self.writer(key, expected_bytes=len(data), if_absent=if_absent)
        writer.write(data)
        return writer.commit()

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> t.Iterator[bytes]:
        data = self._find(key).data
        end = len(data) if length is None else min(len(data), offset + length)
        return (data[start : min(start + _PIECE, end)] for start in range(offset, end, _PIECE))

    def get(self, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        data = self._find(key).data
        if len(data) > limit:
            raise StorageError(f"{key} is {len(data)} bytes long, more than the {limit} that were to be read.")
        return data

    def stat(self, key: str) -> ObjectInfo:
        return self._find(key).info

    def list(self, prefix: str = "") -> t.Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self._lock:
            found = sorted((key, stored.info) for key, stored in self._objects.items() if key.startswith(prefix))
        return (info for _key, info in found)

    def list_folders(self, prefix: str = "") -> t.Iterator[str]:
        check_folder(prefix)
        with self._lock:
            below = [key[len(prefix) :] for key in self._objects if key.startswith(prefix)]
        return iter(sorted({key.partition("/")[0] for key in below if "/" in key}))

    def delete(self, keys: t.Sequence[str]) -> DeleteReport:
        for key in keys:
            check_key(key)
        unique = tuple(dict.fromkeys(keys))
        with self._lock:
            if self._versions is not None and self._deletes_versions:
                return self._remove([version for key in unique for version in self._versions.of_key(key)], keys=unique)
            for key in unique:
                if self._objects.pop(key, None) is not None and self._versions is not None:
                    self._versions.add(ObjectInfo(key=key, size=0, modified=self._clock.now()), None)
        return DeleteReport(deleted=unique)

    def unfinished(self, prefix: str = "") -> t.Iterator[Unfinished]:
        check_prefix(prefix)
        with self._lock:
            self._drop_forgotten()
            return iter([upload for upload in self._unfinished.values() if upload.key.startswith(prefix)])

    def abort_unfinished(self, upload: Unfinished) -> None:
        check_key(upload.key)
        self.forget(upload.token)

    def versions(self, prefix: str = "") -> t.Iterator[ObjectVersion]:
        check_prefix(prefix)
        with self._lock:
            return iter([] if self._versions is None else self._versions.below(prefix))

    def delete_versions(self, versions: t.Sequence[ObjectVersion]) -> DeleteReport:
        keys = [check_key(version.key) for version in versions]
        if self._versions is None:
            return DeleteReport(refused=dict.fromkeys(keys, _NO_VERSIONS))
        with self._lock:
            return self._remove(versions, keys=keys)

    def lock_state(self, key: str) -> LockState | None:
        self._find(key)
        with self._lock:
            latest = None if self._versions is None else self._versions.latest(key)
        return None if latest is None or not (latest.lock.hold or latest.lock.until) else latest.lock

    def extend_lock(self, keys: t.Sequence[str], *, until: datetime.datetime) -> t.Mapping[str, str]:
        def extend(lock: LockState) -> LockState:
            if lock.until is not None and lock.until >= until:
                return lock
            return replace(lock, until=until, mode=lock.mode or "governance")

        return self._change_locks(keys, extend)

    def set_hold(self, keys: t.Sequence[str], *, on: bool) -> t.Mapping[str, str]:
        return self._change_locks(keys, lambda lock: replace(lock, hold=on))

    def clock_skew(self) -> float:
        return 0.0

    def forget(self, token: str) -> None:
        """End the upload of that token, if it is still going on; may be called at any moment."""
        self._forgotten.append(token)

    def store(self, key: str, data: bytes, *, token: str, if_absent: bool) -> ObjectInfo:
        """End the upload of that token by making its object visible."""
        with self._lock:
            self._drop_forgotten()
            if self._unfinished.pop(token, None) is None:
                raise StorageError(f"The upload of {key} was aborted by somebody else meanwhile.")
            if if_absent and key in self._objects:
                raise StorageExists(
                    f"There is an object {key} already, and it may not be replaced.", details={"key": key}
                )
            info = ObjectInfo(key=key, size=len(data), modified=self._clock.now())
            self._objects[key] = _Stored(data=data, info=info)
            if self._versions is not None:
                self._versions.add(info, data, lock=self._first_lock(info.modified))
        return info

    def _first_lock(self, now: datetime.datetime) -> LockState | None:
        if not self._locks or self._retain_for is None:
            return None
        return LockState(until=now + self._retain_for, mode="governance", hold=False)

    def _remove(self, versions: t.Sequence[ObjectVersion], *, keys: t.Sequence[str]) -> DeleteReport:
        kept = t.cast(MemoryVersions, self._versions)

        def remove(some: t.Sequence[ObjectVersion], outcome: Outcome) -> None:
            kept.remove(some, outcome, now=self._clock.now())

        report = delete_in_order(versions, delete=remove).report(keys)
        for key in keys:
            latest = kept.latest(key)
            if latest is None or latest.data is None:
                self._objects.pop(key, None)
            else:
                self._objects[key] = _Stored(data=latest.data, info=latest.info)
        return report

    def _change_locks(self, keys: t.Sequence[str], change: t.Callable[[LockState], LockState]) -> dict[str, str]:
        problems: dict[str, str] = {}
        for key in dict.fromkeys(map(check_key, keys)):
            with self._lock:
                if not self._locks or self._versions is None:
                    problems[key] = _NO_LOCKS
                elif key not in self._objects:
                    problems[key] = f"there is no object {key}"
                else:
                    self._versions.change_lock(key, change)
        return problems

    def _drop_forgotten(self) -> None:
        while self._forgotten:
            self._unfinished.pop(self._forgotten.popleft(), None)

    def _find(self, key: str) -> _Stored:
        check_key(key)
        with self._lock:
            stored = self._objects.get(key)
        if stored is None:
            raise StorageNotFound(f"There is no object {key} in the repository.", details={"key": key})
        return stored


class _MemoryWriter:
    def __init__(self, *, storage: MemoryStorage, key: str, token: str, if_absent: bool) -> None:
        self._storage = storage
        self._key = key
        self._token = token
        self._if_absent = if_absent
        self._data = bytearray()
        self._open = True
        # A writer that is forgotten is no upload any more.
        weakref.finalize(self, storage.forget, token)

    def write(self, data: bytes | memoryview) -> None:
        self._require_open()
        self._data += data

    def commit(self) -> ObjectInfo:
        self._require_open()
        self._open = False
        return self._storage.store(self._key, bytes(self._data), token=self._token, if_absent=self._if_absent)

    def abort(self) -> None:
        self._open = False
        self._data.clear()
        self._storage.forget(self._token)

    def _require_open(self) -> None:
        if not self._open:
            raise StorageError(f"The writing of {self._key} has ended already; begin it anew.")
